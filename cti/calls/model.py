"""Legs and facts: the frozen values that leave the tracker."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID


class Direction(StrEnum):
    """Which way a leg crosses the edge of the PBX."""

    IN = "in"
    OUT = "out"
    INTERNAL = "internal"


class What(StrEnum):
    """The kinds of fact."""

    ARRIVED = "CallArrived"
    RINGING = "CallRinging"
    ANSWERED = "CallAnswered"
    JOINED = "LegJoined"
    LEFT = "LegLeft"
    HELD = "CallHeld"
    RESUMED = "CallResumed"
    ENDED = "CallEnded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One channel of a conversation.

    `number` is the party's own, as the PBX says; `dialled` what it dialled, where it began the call. `designated` and
    `direction` are None where no policy knows the PBX. `bridge` names the bridge it is in; `bridged` says that it has
    been in one. `late`: it began the call before anybody listened, and what it dialled is not known.
    """

    channel: str
    uniqueid: str
    number: str | None
    caller_name: str | None
    endpoint: str | None
    designated: bool | None
    direction: Direction | None
    dialled: str | None
    originator: bool
    bridge: str | None
    bridged: bool
    late: bool

    def public(self) -> dict[str, Any]:
        """The leg as the command line and other systems see it."""
        names = ("channel", "uniqueid", "number", "caller_name", "endpoint", "designated", "direction")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to a conversation.

    `legs` are those alive at that moment (for a leg that left or a call that ended, with it); `leg` is the uniqueid
    of the one that the fact is about. `at` is Asterisk's own time, None in a stream without timestamps.
    """

    what: What
    conversation: UUID
    linkedid: str
    at: datetime | None
    legs: tuple[Leg, ...]
    leg: str | None = None
    disposition: str | None = None

    def public(self) -> dict[str, Any]:
        """The fact as one JSON line."""
        row: dict[str, Any] = {
            "fact": self.what.value,
            "conversation": str(self.conversation),
            "at": self.at.isoformat() if self.at else None,
            "legs": [leg.public() for leg in self.legs],
        }
        if self.leg is not None:
            row["leg"] = self.leg
        if self.disposition is not None:
            row["disposition"] = self.disposition
        return row
