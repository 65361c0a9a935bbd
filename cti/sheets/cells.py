"""Cells that a spreadsheet shows and does not work out. Pure."""

from collections.abc import Iterable
from typing import Final

_BEGINNINGS: Final = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")
"""What makes a formula of a text, the full-width ones where Excel is Japanese."""


def guarded(value: object) -> str:
    """As text, with an apostrophe before what would be a formula."""
    text = "" if value is None else str(value)
    return f"'{text}" if text.lstrip(" \u3000\ufeff").startswith(_BEGINNINGS) else text


def all_guarded(row: Iterable[object]) -> list[str]:
    """A row of them."""
    return [guarded(one) for one in row]
