"""A case and the promises in it, as they stand. Pure."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime

from cti.cases.acts import (
    UNITS,
    Act,
    Channel,
    Check,
    Consent,
    Dialled,
    Draft,
    HandOver,
    PutThrough,
    Reach,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    Transferred,
    Why,
)


class RuleError(ValueError):
    """The rules do not allow it. `rule`: which; `problem`: what has to come first."""

    def __init__(self, rule: str, problem: str) -> None:
        """Both are shown."""
        super().__init__(f"{problem} ({rule})")
        self.rule, self.problem = rule, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One promise: of `kind`, caused by `leg` (a channel, or an act of the case) in a conversation; `unit` keeps it.

    `tries`: how often the customer was called, `again`: when next; `tried_at`: when first at the time of which they
    were told, or later. Whoever is not there hours before that is still owed the call. `asked`: the customer asked for
    it in a call.
    """

    kind: TicketKind
    leg: str
    conversation: str | None
    unit: str
    at: datetime
    due: datetime | None
    done_at: datetime | None = None
    outcome: TicketEnd | None = None
    tries: int = 0
    tried_at: datetime | None = None
    again: datetime | None = None
    asked: bool = False

    @property
    def next_at(self) -> datetime | None:
        """Until when somebody acts: when it is due, and after a try at that time, when it is tried again."""
        if self.tried_at is not None or self.due is None:
            return self.again or self.due
        return min(self.due, self.again or self.due)


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to the customer of which nobody has said yet whom it met. `outcome`: the PBX's; None: it goes on."""

    dialled: Dialled
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Letter:
    """What is to be sent: the draft, act `place` of the case, and what came of its check; None: nobody looked yet."""

    draft: Draft
    place: int
    check: Check | None = None

    @property
    def waits(self) -> bool:
        """Whether it is to be checked, or sent."""
        return self.check is None or self.check.ok


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question and how it stands. `owner`: the unit that sees to it that it goes on (7条; A-31, A-32).

    `promised`: when the customer will be called, as they were told (E-16), until they are. `asked`: whether the consent
    is for whoever is to call next; the 所管課 that takes a case uses it up (6条). `joined`: of which case it is a
    duplicate, by number, and has ended as such.
    """

    id: str
    channel: Channel
    received_by: str
    received_at: datetime
    entered_at: datetime
    entered_by: str
    inquiry: str
    owner: str
    state: State = State.OPEN
    category: str | None = None
    conversation: str | None = None
    due: datetime | None = None
    promised: datetime | None = None
    reach: Reach | None = None
    consent: Consent | None = None
    asked: bool = True
    main: str | None = None
    related: tuple[str, ...] = ()
    shared: tuple[str, ...] = ()
    hand_over: HandOver | None = None
    accepted_at: datetime | None = None
    reply: Reply | None = None
    result: Result | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    joined: int | None = None
    tickets: tuple[Ticket, ...] = ()
    call: Call | None = None
    letter: Letter | None = None
    last_at: datetime
    history: tuple[Act, ...] = field(default=(), repr=False)

    @property
    def direct(self) -> bool:
        """Whether a 所管課 took it itself (5条, A-26, A-32)."""
        return self.received_by not in UNITS

    @property
    def refused(self) -> bool:
        """Whether the customer does not want to be called (A-17)."""
        return self.consent is not None and not self.consent.given

    def owes(self, kind: TicketKind) -> list[Ticket]:
        """The tickets of that kind that nobody has settled yet."""
        return [one for one in self.tickets if one.kind is kind and one.outcome is None]

    @property
    def next_at(self) -> datetime | None:
        """Until when somebody acts: as the customer was told, or as it was to be done; None: no time is set (7条)."""
        if self.state is State.CLOSED:
            return None
        owed = [ticket.next_at for ticket in self.tickets if ticket.outcome is None]
        if self.state is State.HANDED_OVER and self.hand_over is not None:
            owed.append(self.hand_over.accept_by)  # nobody has seen it yet
        return min((at for at in (self.promised, self.due, *owed) if at is not None), default=None)


def owed(
    case: Case, act: Act, kind: TicketKind, *, leg: str, due: datetime | None, unit: str | None = None,
    conversation: str | None = None, asked: bool = False,
) -> Case:  # fmt: skip
    """With one more promise, which `unit` keeps, or else whoever sees to it."""
    made = Ticket(
        kind=kind, leg=leg, conversation=conversation or case.conversation, unit=unit or case.owner, at=act.at, due=due,
        asked=asked,
    )  # fmt: skip
    return replace(case, tickets=(*case.tickets, made))


def settled(
    case: Case, at: datetime, outcome: TicketEnd, which: Callable[[Ticket], bool]
) -> tuple[Ticket, ...]:  # fmt: skip
    """The tickets, of which those that are open, and `which` names, have become that."""
    return tuple(
        replace(one, done_at=at, outcome=outcome) if one.outcome is None and which(one) else one for one in case.tickets
    )


def said_why(case: Case, made: Transferred) -> tuple[Why | None, str]:
    """Why somebody was put through, and the words for it: as it was asked for just before, or by keys."""
    before = case.history[: case.history.index(made)]
    asked = next((act for act in reversed(before) if isinstance(act, PutThrough | Transferred)), None)
    if isinstance(asked, PutThrough) and (asked.section, asked.why) == (made.section, made.why):
        return asked.why, asked.words
    return (made.why, "") if made.why is not Why.OTHER else (None, "")  # the other reason wants words
