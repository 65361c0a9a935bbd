"""Which telephone rings for a caller who is put through to a 所管課: its own, or that of whoever takes its place.

Pure. `*8` and what follows it is what an operator's telephone transfers to: `*83101*2` is the 所管課 of 3101, urgent.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final

from policies.calendar import JST
from policies.hours import OpeningHours
from policies.sections import Section, Sections

_DIALLED: Final = re.compile(r"\*8([0-9]{1,15})(?:\*([123]))?", re.ASCII)
_WHY: Final = {"1": "wish", "2": "urgent", "3": "other"}


class How(StrEnum):
    """Who answers for a 所管課 now."""

    OPEN = "open"  # it does
    INSTEAD = "instead"  # another, which the policy names for when it is closed
    CLOSED = "closed"  # nobody: whoever put the caller through has them back


@dataclass(frozen=True, slots=True, kw_only=True)
class Onward:
    """Where the caller goes. `section`: whose telephone it is; of a closed one, who was meant."""

    section: str
    phone: str
    how: How


def onward(meant: Section, at: datetime, sections: Sections, hours: OpeningHours) -> Onward:
    """By the hours of the 所管課 and those that stand in for it. Raises KeyError, OverflowError."""
    seen: list[Section] = []
    one: Section | None = meant
    while one is not None and one not in seen:
        if one.takes(at.astimezone(JST).date()) and hours.at(at, one.hours).open:
            return Onward(section=one.name, phone=one.phone, how=How.INSTEAD if seen else How.OPEN)
        seen.append(one)
        one = sections.find(one.instead or "")
    return Onward(section=meant.name, phone=meant.phone, how=How.CLOSED)


def code_of(section: Section, why: str) -> str:
    """What is dialled to put somebody through to it: the other way round."""
    key = next(key for key, value in _WHY.items() if value == why)
    return f"*8{section.code or section.phone}*{key}"


def read(dialled: str) -> tuple[str, str] | None:
    """(code or telephone of a 所管課, why or "") of what was dialled; None where it is no such thing."""
    found = _DIALLED.fullmatch(dialled)
    return (found[1], _WHY.get(found[2] or "", "")) if found else None
