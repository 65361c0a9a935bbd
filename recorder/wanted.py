"""Which recordings somebody looks for."""

from dataclasses import dataclass, fields
from datetime import datetime
from typing import Final


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which recordings: those of whose segments one has all of `caller`, `callee` and `agent`. None: whichever.

    `since` and `until`: it begins then, the latter not included; `shortest` and `longest`: seconds.
    """

    recording: str | None = None
    number: str | None = None
    direction: str | None = None
    caller: str | None = None
    callee: str | None = None
    agent: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    shortest: float | None = None
    longest: float | None = None

    @property
    def by(self) -> list[str]:
        """What is asked for, without what exactly: the access log names no caller."""
        return [field.name for field in fields(self) if getattr(self, field.name) is not None]


ANY: Final = Wanted()
"""Every one."""
