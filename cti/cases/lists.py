"""What lists of cases and tickets are asked for, and what stands in them."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from cti.cases.acts import Channel, Outcome, State, TicketEnd, TicketKind, Way
from cti.cases.case import Case
from cti.cases.contact import Contact, Missing


class Held(StrEnum):
    """How it stands with what an unjust demand was made in."""

    NOT_YET = "not-yet"
    HELD = "held"
    RELEASED = "released"


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A case, under the number that people call it by. `known`: it was there when it was to be entered."""

    number: int
    case: Case
    known: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a case is: how many acts, and where it stands."""

    number: int
    acts: int
    state: State


@dataclass(frozen=True, slots=True, kw_only=True)
class Line:
    """A case in a list. Times in UTC."""

    number: int
    id: str
    state: State
    channel: Channel
    received_by: str
    received_at: datetime
    entered_by: str
    entered_at: datetime
    owner: str
    main: str | None
    category: str | None
    conversation: str | None
    way: Way | None
    promised: datetime | None
    next_at: datetime | None
    accepted_at: datetime | None
    replied_at: datetime | None
    outcome: Outcome | None
    closed_at: datetime | None
    reopened: int
    last_at: datetime
    acts: int
    inquiry: str
    name: str
    contact: Contact | Missing | None
    damaged: bool = False

    def late(self, now: datetime) -> bool:
        """Whether what was to be done by now is not."""
        return self.next_at is not None and self.next_at < now


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketLine:
    """A ticket in a list, with what its case shows. `place`: which of the case's it is. Times in UTC.

    `others`: further open cases of the customer's number.
    """

    id: str
    case: int
    place: int
    kind: TicketKind
    unit: str
    conversation: str | None
    leg: str
    at: datetime
    due: datetime | None
    done_at: datetime | None
    outcome: TicketEnd | None
    tries: int
    tried_at: datetime | None
    again: datetime | None
    inquiry: str
    name: str
    contact: Contact | Missing | None
    damaged: bool = False
    others: tuple[int, ...] = ()

    def late(self, now: datetime) -> bool:
        """Whether nobody tried it by when it was due, or by when it was to be tried again."""
        if self.outcome is None:
            early = self.tried_at is None and self.due is not None and self.due < now
            next_at = self.again or self.due
            return early or (next_at is not None and next_at < now)
        acted = self.tried_at or self.done_at
        return self.due is not None and acted is not None and acted > self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class TicketsWanted:
    """Which tickets. `since`, `until`: due, or where no time was set, made then. `open`: those that nobody kept yet."""

    open: bool = True
    kind: TicketKind | None = None
    unit: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    late: datetime | None = None

    @property
    def by(self) -> list[str]:
        """What was looked for."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) not in (None, False)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """Which cases: those that fit everything named. `number`: E.164, of whom they are. `since`, `until`: received.

    `late`: those that are late at that time.
    """

    states: tuple[State, ...] = ()
    owner: str | None = None
    main: str | None = None
    category: str | None = None
    channel: Channel | None = None
    conversation: str | None = None
    number: str | None = None
    since: datetime | None = None
    until: datetime | None = None
    late: datetime | None = None

    @property
    def by(self) -> list[str]:
        """What was looked for, without by what: for the log."""
        return [name for name in self.__dataclass_fields__ if getattr(self, name) not in (None, ())]
