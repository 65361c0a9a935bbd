"""Legs and facts: the frozen values that leave the tracker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    TRANSFERRED = "CallTransferred"
    MERGED = "CallMerged"
    QUEUED = "QueueEntered"
    UNQUEUED = "QueueLeft"
    ABANDONED = "CallAbandoned"
    PARKED = "CallParked"
    UNPARKED = "CallUnparked"
    CONFERRING = "ConferenceJoined"
    CONFERRED = "ConferenceLeft"
    ROUTED = "CallRouted"
    INTAKE = "IntakeTaken"
    ENDED = "CallEnded"


class Transfer(StrEnum):
    """How a conversation came to somebody else."""

    BLIND = "blind"  # sent away without asking
    ATTENDED = "attended"  # the other party had answered the one who transfers
    BLONDE = "blonde"  # the other party's phone was still ringing
    FORWARD = "forward"  # a phone that was called named another
    PICKUP = "pickup"  # somebody took a call that rang elsewhere


class Disposition(StrEnum):
    """How a conversation ended."""

    COMPLETED = "completed"  # somebody answered
    NO_ANSWER = "no-answer"
    BUSY = "busy"
    REJECTED = "rejected"
    CANCELLED = "cancelled"  # whoever called gave up
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leg:
    """One channel of a conversation. `hidden`: Asterisk's own, with no device or line behind it (Local and the like).

    `number` is the party's own, as the PBX says; `dialled` what it dialled, where it began the call. `designated` and
    `direction` are None where no policy knows the PBX. `bridge` names the bridge it is in (bridges that Local channels
    join are one); `bridged` says that it has been in one. `late`: it began the call before anybody listened, and what
    it dialled is not known.
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
    hidden: bool = False

    def public(self) -> dict[str, Any]:
        """The leg as the command line and other systems see it."""
        names = ("channel", "uniqueid", "number", "caller_name", "endpoint", "designated", "direction")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened to a conversation.

    `legs` are those alive at that moment (for a leg that left or a call that ended, with it); `leg` is the uniqueid
    of the one that the fact is about: who transferred, picked up, was forwarded, waits. `at` is Asterisk's own time,
    None in a stream without timestamps. `kind` belongs to a transfer; `merged` is the conversation that went on in this
    one and that nothing more is said of. `more`: what else the PBX said (`target` dialled, `queue`, `space` of a
    parking lot, `conference`; `route`, `rule` and `why` of a call that was routed); nothing in it was guessed.
    """

    what: What
    conversation: UUID
    linkedid: str
    at: datetime | None
    legs: tuple[Leg, ...]
    leg: str | None = None
    disposition: Disposition | None = None
    kind: Transfer | None = None
    merged: UUID | None = None
    more: Mapping[str, str] = field(default_factory=dict)

    def public(self) -> dict[str, Any]:
        """The fact as one JSON line. A call that ended has a `disposition` in any case, null where nothing tells."""
        row: dict[str, Any] = {
            "fact": self.what.value,
            "conversation": str(self.conversation),
            "at": self.at.isoformat() if self.at else None,
            "legs": [leg.public() for leg in self.legs],
        }
        if self.leg is not None:
            row["leg"] = self.leg
        if self.kind is not None:
            row["kind"] = self.kind.value
        if self.merged is not None:
            row["merged"] = str(self.merged)
        if self.disposition is not None or self.what is What.ENDED:
            row["disposition"] = self.disposition
        return row | dict(self.more)
