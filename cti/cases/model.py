"""A case and what can be done with it, in the order that the rules ask for (4条, 5条, 7条; A-14 to A-32). Pure.

`taken(case, act)` is the whole state machine: the case after the act, or RuleError, which names the rule. A case is the
fold of its acts, and its acts are its history: nothing is changed, something is added.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from enum import StrEnum
from functools import reduce
from typing import Final

from cti.cases.contact import Contact, Missing

SYSTEM: Final = "kikitori:desk"
"""Who enters what a call left without anybody typing it; no account can be called so."""
CENTRE: Final = "cc"
"""お客さまサービス課's own staff (CC)."""
CONTRACTOR: Final = "contractor"
"""運営会社, who answers in the centre's name."""
EMERGENCY: Final = "emergency"
"""緊急受付窓口."""
UNITS: Final = frozenset({CENTRE, CONTRACTOR, EMERGENCY})
"""Units that are no 所管課; any other unit is one, by its name in `sections.toml`."""


class Channel(StrEnum):
    """How a question came in, and how it is answered."""

    PHONE = "phone"
    FAX = "fax"
    WEB = "web"
    LETTER = "letter"
    VISIT = "visit"
    EMERGENCY = "emergency"


WRITTEN: Final = frozenset({Channel.FAX, Channel.WEB, Channel.LETTER})
"""CC receives these, and 運営会社 enters them (4条(2), A-20)."""


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"  # whoever took it works on it
    HANDED_OVER = "handed-over"  # the 所管課 has not taken it yet
    ACCEPTED = "accepted"  # the 所管課 works on it
    CLOSED = "closed"


class Way(StrEnum):
    """How a case is handed over."""

    CALLBACK = "callback"  # the 所管課 calls back (4条(1))
    TRANSFER = "transfer"  # the caller is put through (4条(1)ただし書)
    TELEPHONE = "telephone"  # by telephone, for what is urgent (4条(3))
    SYSTEM = "system"  # what came in writing (4条(2))


class Why(StrEnum):
    """Why a caller is put through at once (4条(1)ただし書, A-19)."""

    WISH = "wish"
    URGENT = "urgent"
    OTHER = "other"


class Outcome(StrEnum):
    """What came of a case."""

    ANSWERED = "answered"
    DECLINED = "declined"  # 断り: with its reason (C-19, E-15)
    WITHDRAWN = "withdrawn"  # the customer wants no answer any more


class RuleError(ValueError):
    """The rules do not allow it. `rule`: which; `problem`: what has to come first."""

    def __init__(self, rule: str, problem: str) -> None:
        """Both are shown."""
        super().__init__(f"{problem} ({rule})")
        self.rule, self.problem = rule, problem


# --- what is done -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something done with a case. `by`: the account, `unit`: whose it is."""

    at: datetime
    by: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Act):
    """Enter a question. `received_by`: the unit that took it, `received_at` when. `due`: until when somebody acts.

    `inquiry` may be empty where SYSTEM enters what a call left: somebody asks the customer, and amends it.
    """

    channel: Channel
    received_by: str
    received_at: datetime
    inquiry: str
    category: str | None = None
    conversation: str | None = None
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(Act):
    """What is asked, put right; what it said before stays in the history. None: as it was."""

    inquiry: str | None = None
    category: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach(Act):
    """How the customer is reached. `read_back`: the number was read to them, and they said yes (A-16)."""

    name: str = ""
    contact: Contact | Missing
    read_back: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Act):
    """The customer agrees that the 所管課 calls back, or does not (A-17)."""

    given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Act):
    """Whose it is: the one main 所管課 (主たる所管課), and others that it concerns (A-15)."""

    main: str
    related: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(Act):
    """To the main 所管課. `promised`: when it calls back (E-16). `why`, `words`: of a transfer.

    `reached`: the number on which the 所管課 was told by telephone (A-21).
    """

    way: Way
    promised: datetime | None = None
    why: Why | None = None
    words: str = ""
    reached: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Act):
    """The 所管課 has seen it and takes it (A-23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Act):
    """The customer was answered. `wish`: why by another channel than they used (A-25)."""

    channel: Channel
    wish: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Act):
    """What was done and what came of it (A-24)."""

    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Act):
    """Nothing is left to be done (A-14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen(Act):
    """It was not over."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(Act):
    """Until when somebody acts next, and why; None: nothing is waited for."""

    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Act):
    """Something to be known."""

    text: str


# --- what became of it ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question and how it stands. `owner`: the unit that sees to it that it goes on (7条; A-31, A-32).

    `promised`: when the customer will be called, as they were told (E-16), until they are.
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
    main: str | None = None
    related: tuple[str, ...] = ()
    hand_over: HandOver | None = None
    accepted_at: datetime | None = None
    reply: Reply | None = None
    result: Result | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    last_at: datetime
    history: tuple[Act, ...] = field(default=(), repr=False)

    @property
    def direct(self) -> bool:
        """Whether a 所管課 took it itself (5条, A-26, A-32)."""
        return self.received_by not in UNITS

    @property
    def next_at(self) -> datetime | None:
        """Until when somebody acts: as the customer was told, or as it was to be done; None: no time is set (7条)."""
        if self.state is State.CLOSED:
            return None
        return min((at for at in (self.promised, self.due) if at is not None), default=None)


def taken(case: Case | None, act: Act, *, identity: str = "") -> Case:
    """The case after `act`; `identity`: the id of one that begins. Raises RuleError."""
    if case is None:
        if not isinstance(act, Register):
            raise RuleError("A-18", "a case is entered before anything else is done with it")
        return _registered(act, identity)
    if isinstance(act, Register):
        raise RuleError("A-03", "this case is entered already")
    if act.at < case.last_at:
        raise RuleError("A-18", "it lies before what was done last")
    if case.state is State.CLOSED and not isinstance(act, Reopen | Note):
        raise RuleError("A-14", "the case is closed: reopen it first, with a reason")
    after = _AFTER[type(act)](case, act)
    return replace(after, last_at=act.at, history=(*case.history, act))


def fold(acts: Iterable[Act], identity: str = "") -> Case:
    """What became of a case by its acts. Raises RuleError."""
    made: Case | None = reduce(lambda case, act: taken(case, act, identity=identity), acts, None)
    if made is None:
        raise RuleError("A-18", "nothing was entered")
    return made


def _registered(act: Register, identity: str) -> Case:
    if act.by != SYSTEM:
        _needed(act.inquiry, "A-16", "what the customer asks is missing")
    if act.received_at > act.at:
        raise RuleError("A-18", "it was received after it is entered")
    direct = act.received_by not in UNITS
    if act.channel in WRITTEN and not direct:
        if act.received_by != CENTRE:
            raise RuleError("A-20", "fax, web and letters are received by CC")
        if act.unit != CONTRACTOR:
            raise RuleError("A-20", "what CC received in writing is entered by 運営会社")
    if (act.channel is Channel.EMERGENCY) != (act.received_by == EMERGENCY):
        raise RuleError("A-21", "what is urgent outside the hours is received by 緊急受付窓口, and nothing else is")
    if direct and act.unit != act.received_by:
        raise RuleError("A-26", "what a 所管課 took itself it enters itself")
    return Case(
        id=identity, channel=act.channel, received_by=act.received_by, received_at=act.received_at,
        entered_at=act.at, entered_by=act.unit, inquiry=act.inquiry, category=act.category,
        conversation=act.conversation, due=act.due, owner=act.received_by if direct else CONTRACTOR,
        main=act.received_by if direct else None, last_at=act.at, history=(act,),
    )  # fmt: skip


def _amended(case: Case, act: Amend) -> Case:
    if act.inquiry is None and act.category is None and act.conversation is None:
        raise RuleError("A-03", "nothing is put right")
    if act.inquiry is not None:
        _needed(act.inquiry, "A-16", "what the customer asks is missing")
    return replace(
        case, inquiry=act.inquiry or case.inquiry, category=act.category or case.category,
        conversation=act.conversation or case.conversation,
    )  # fmt: skip


def _reached(case: Case, act: Reach) -> Case:
    return replace(case, reach=act)


def _consented(case: Case, act: Consent) -> Case:
    return replace(case, consent=act)


def _assigned(case: Case, act: Assign) -> Case:
    _sees_to(case, act)
    if act.main in UNITS or UNITS & set(act.related):
        raise RuleError("A-15", "those whom it concerns are 所管課")
    if case.state is State.HANDED_OVER and act.main != case.main:
        raise RuleError("A-23", "it is handed over: the 所管課 takes it first")
    if act.main in act.related or len(set(act.related)) != len(act.related):
        raise RuleError("A-15", "one 所管課 is the main one, and each other stands once beside it")
    return replace(case, main=act.main, related=act.related, category=act.category or case.category)


def _handed_over(case: Case, act: HandOver) -> Case:
    to = case.main
    if to is None or to == case.owner:
        raise RuleError("A-14", "a hand-over has a main 所管課 that it goes to")
    _sees_to(case, act)
    _asked(case)
    if act.way is Way.SYSTEM:
        if case.channel not in WRITTEN:
            raise RuleError("A-18", "only what came in writing is handed over without a word to the customer")
    elif act.way is Way.TRANSFER:
        if act.why is None:
            raise RuleError("A-19", "why the caller is put through: their wish, urgent, or other")
        if act.why is Why.OTHER:
            _needed(act.words, "A-19", "the other reason is missing")
    else:
        _called_back(case, act)
    return replace(
        case, state=State.HANDED_OVER, owner=to, hand_over=act, accepted_at=None, reply=None, result=None, due=None,
        promised=act.promised,
    )  # fmt: skip


def _called_back(case: Case, act: HandOver) -> None:
    """A hand-over after which the 所管課 calls the customer."""
    if case.reach is None or isinstance(case.reach.contact, Missing):
        raise RuleError("A-16", "how the customer is reached comes first")
    if not case.reach.read_back:
        raise RuleError("A-16", "the number is read back to the customer first")
    if case.consent is None or not case.consent.given:
        raise RuleError("A-17", "the customer agrees first that the 所管課 calls back")
    if case.hand_over is not None and case.consent.at <= case.hand_over.at:
        raise RuleError("A-29", "the customer agrees anew: another 所管課 will call")
    if act.promised is None:
        raise RuleError("E-16", "when the customer will be called is promised")
    if act.promised <= act.at:
        raise RuleError("E-16", "what is promised lies ahead")
    if act.way is Way.TELEPHONE:
        _needed(act.reached, "A-21", "the number on which the 所管課 was told is missing")


def _accepted(case: Case, act: Accept) -> Case:
    if case.state is not State.HANDED_OVER:
        raise RuleError("A-23", "nothing was handed over that could be taken")
    if act.unit != case.main:
        raise RuleError("A-23", "the main 所管課 takes it")
    return replace(case, state=State.ACCEPTED, accepted_at=act.at)


def _replied(case: Case, act: Reply) -> Case:
    _working(case, act)
    if act.channel is not _same(case.channel):
        _needed(act.wish, "A-25", "the customer's wish to be answered otherwise than they asked is missing")
    return replace(case, reply=act, result=None, due=None, promised=None)


def _resulted(case: Case, act: Result) -> Case:
    _working(case, act)
    _asked(case)
    _needed(act.text, "C-19" if act.outcome is Outcome.DECLINED else "A-24", "what was done, and why, is missing")
    if case.reply is None and act.outcome is not Outcome.WITHDRAWN:
        raise RuleError("A-24", "the customer is answered first, then the result is entered")
    return replace(case, result=act)


def _closed(case: Case, act: Close) -> Case:
    _working(case, act)
    if case.result is None:
        raise RuleError("A-14", "a case ends with a result, or is handed over")
    return replace(case, state=State.CLOSED, closed_at=act.at, promised=None)


def _reopened(case: Case, act: Reopen) -> Case:
    if case.state is not State.CLOSED:
        raise RuleError("A-14", "the case is not closed")
    _needed(act.reason, "A-14", "why it is opened again is missing")
    state = State.ACCEPTED if case.hand_over else State.OPEN
    return replace(case, state=state, closed_at=None, reply=None, result=None, reopened=case.reopened + 1)


def _expected(case: Case, act: Expect) -> Case:
    return replace(case, due=act.until)


def _noted(case: Case, act: Note) -> Case:
    _needed(act.text, "A-03", "the note is empty")
    return case


def _working(case: Case, act: Act) -> None:
    if case.state is State.HANDED_OVER:
        raise RuleError("A-23", "the 所管課 takes it first")
    _sees_to(case, act)


def _sees_to(case: Case, act: Act) -> None:
    if act.unit not in (case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")


def _same(channel: Channel) -> Channel:
    """The channel by which what came in so is answered: the night's calls by telephone."""
    return Channel.PHONE if channel is Channel.EMERGENCY else channel


def _asked(case: Case) -> None:
    _needed(case.inquiry, "A-16", "what the customer asks is missing")


def _needed(text: str, rule: str, problem: str) -> None:
    if not text.strip():
        raise RuleError(rule, problem)


_AFTER: Final[dict[type[Act], Callable[..., Case]]] = {
    Amend: _amended,
    Reach: _reached,
    Consent: _consented,
    Assign: _assigned,
    HandOver: _handed_over,
    Accept: _accepted,
    Reply: _replied,
    Result: _resulted,
    Close: _closed,
    Reopen: _reopened,
    Expect: _expected,
    Note: _noted,
}
