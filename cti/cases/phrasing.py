"""What we say to customers that says nothing: found, and never refused (E-15). Pure."""

from collections.abc import Iterable, Sequence
from typing import Final

from cti.cases.acts import Act, Draft, Result, Tried
from cti.cases.words import fold, holds

KINDS: Final = ("draft", "result", "tried")
"""Acts with words of ours in them. A reply has none: its `wish` is the customer's."""


def ours(act: Act) -> str:
    """What we said, or are about to; empty where an act has no such words."""
    if isinstance(act, Draft | Result):
        return act.text
    return act.left if isinstance(act, Tried) else ""


def evasive(done: Iterable[Act], phrases: Sequence[str]) -> list[str]:
    """The phrases that stand in what we said, whatever their width and kana."""
    texts = [text for act in done if (text := ours(act))]
    return [phrase for phrase in phrases if (folded := fold(phrase)) and holds(folded, texts)]
