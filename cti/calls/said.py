"""What the dialplan says that it did with a call (`kikitori-told` in extensions.conf.j2). Pure.

`route/closed/A-11/other/gate/0664581132`: a word, and values in the order below; none of them holds a slash.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    "route": ("route", "rule", "why", "by", "number"),
    "ring": ("number", "rings", "ms"),
    "key": ("menu", "key"),
    "line": ("destination", "status"),
    "pass": ("section", "phone", "how", "why", "via", "category"),
    "back": ("section", "status"),
    "intake": ("kind", "number", "source", "language"),
}


@dataclass(frozen=True, slots=True)
class Said:
    """One step of a call, and its values by name; what was left open is not there."""

    what: str
    values: Mapping[str, str]


def said(text: str) -> Said | None:
    """None for what the dialplan does not say."""
    what, *values = text.split("/")
    names = FORMS.get(what)
    if names is None or len(values) > len(names):
        return None
    return Said(what, {name: value for name, value in zip(names, values, strict=False) if value})
