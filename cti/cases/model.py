"""A case and what can be done with it, in the order that the rules ask for (4条, 5条, 7条; A-14 to A-32). Pure.

`taken(case, act)` is the whole state machine: the case after the act, or RuleError, which names the rule. A case is the
fold of its acts, and its acts are its history: nothing is changed, something is added.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import reduce
from typing import Final

from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    UNITS,
    WRITTEN,
    Accept,
    Act,
    Amend,
    Assign,
    Channel,
    Close,
    Consent,
    DialEnded,
    Dialled,
    Expect,
    HandOver,
    Met,
    Missed,
    Note,
    Outcome,
    Reach,
    Register,
    Reopen,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    TransferEnded,
    Transferred,
    Tried,
    Way,
    Why,
)
from cti.cases.contact import Contact
from policies.calendar import JST

LONGEST_CALL: Final = timedelta(hours=1)
"""A call of whose end nothing is known hinders no other any more."""


UNREACHED: Final = frozenset({"busy", "no-answer", "rejected", "failed"})
"""What came of a call that was a try to reach the customer; where nobody here picked up or waited, it was none."""


class RuleError(ValueError):
    """The rules do not allow it. `rule`: which; `problem`: what has to come first."""

    def __init__(self, rule: str, problem: str) -> None:
        """Both are shown."""
        super().__init__(f"{problem} ({rule})")
        self.rule, self.problem = rule, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Ticket:
    """One promise: of `kind`, caused by `leg` (a channel, or an act of the case) in a conversation; `unit` keeps it.

    `tries`: how often the customer was called, `tried_at` when first, `again` when next.
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

    @property
    def next_at(self) -> datetime | None:
        """Until when somebody acts: it was tried, and is to be tried again then, or it is due."""
        return self.again or self.due


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """A call to the customer of which nobody has said yet whom it met. `outcome`: the PBX's; None: it goes on."""

    dialled: Dialled
    outcome: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """A question and how it stands. `owner`: the unit that sees to it that it goes on (7条; A-31, A-32).

    `promised`: when the customer will be called, as they were told (E-16), until they are. `asked`: whether the consent
    is for whoever is to call next; the 所管課 that takes a case uses it up (6条).
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
    hand_over: HandOver | None = None
    accepted_at: datetime | None = None
    reply: Reply | None = None
    result: Result | None = None
    closed_at: datetime | None = None
    reopened: int = 0
    tickets: tuple[Ticket, ...] = ()
    call: Call | None = None
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
        owed = [ticket.next_at for ticket in self.tickets if ticket.outcome is None]
        return min((at for at in (self.promised, self.due, *owed) if at is not None), default=None)


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
    if case.state is State.CLOSED and not isinstance(act, Reopen | Note | TransferEnded | DialEnded):
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
    if act.unit not in UNITS | {act.received_by} or (direct and act.unit != act.received_by):
        raise RuleError("A-26", "what a 所管課 took itself it enters itself, and nothing else")
    case = Case(
        id=identity, channel=act.channel, received_by=act.received_by, received_at=act.received_at,
        entered_at=act.at, entered_by=act.unit, inquiry=act.inquiry, category=act.category,
        conversation=act.conversation, due=act.due, owner=act.received_by if direct else CONTRACTOR,
        main=act.received_by if direct else None, last_at=act.at, history=(act,),
    )  # fmt: skip
    if act.ticket is None:
        return case
    return _owed(replace(case, due=None), act, act.ticket, leg="1", due=act.due)


def _amended(case: Case, act: Amend) -> Case:
    if act.inquiry is None and act.category is None and act.conversation is None:
        raise RuleError("A-03", "nothing is put right")
    if act.inquiry is not None:
        _needed(act.inquiry, "A-16", "what the customer asks is missing")
    _has_to_do(case, act)
    return replace(
        case, inquiry=act.inquiry or case.inquiry, category=act.category or case.category,
        conversation=act.conversation or case.conversation,
    )  # fmt: skip


def _reached(case: Case, act: Reach) -> Case:
    _has_to_do(case, act)
    if act.read_back and not isinstance(act.contact, Contact):
        raise RuleError("A-16", "there is no number that could be read back")
    before = case.reach
    if act.between is not None and act.between[0] >= act.between[1]:
        raise RuleError("E-16", "the hours in which the customer wants to be called end before they begin")
    if before is None:
        return replace(case, reach=act)
    if act.contact is None:
        act = replace(act, contact=before.contact, read_back=before.read_back)
    return replace(case, reach=replace(
        act, name=act.name or before.name, email=act.email or before.email, address=act.address or before.address,
        between=act.between or before.between, discreet=before.discreet if act.discreet is None else act.discreet,
    ))  # fmt: skip


def _consented(case: Case, act: Consent) -> Case:
    _has_to_do(case, act)
    return replace(case, consent=act, asked=True)


def _assigned(case: Case, act: Assign) -> Case:
    if not _takes_back(case, act):
        _sees_to(case, act)
    if act.main in UNITS or UNITS & set(act.related):
        raise RuleError("A-15", "those whom it concerns are 所管課")
    if case.state is State.HANDED_OVER and act.main != case.main and not _takes_back(case, act):
        raise RuleError("A-23", "it is handed over: the 所管課 takes it first")
    if act.main in act.related or len(set(act.related)) != len(act.related):
        raise RuleError("A-15", "one 所管課 is the main one, and each other stands once beside it")
    return replace(case, main=act.main, related=act.related, category=act.category or case.category)


def _handed_over(case: Case, act: HandOver) -> Case:
    over, to = case.hand_over, case.main
    if over is not None and (over.by, over.why, act.way) == (SYSTEM, None, Way.TRANSFER) and act.unit == over.unit:
        return replace(case, hand_over=replace(over, why=_reason(act), words=act.words))
    if to is None or to == case.owner:
        raise RuleError("A-14", "a hand-over has a main 所管課 that it goes to")
    if not _takes_back(case, act):
        _sees_to(case, act)
    if act.way is Way.TRANSFER:
        if act.by != SYSTEM:  # what the PBX saw is so, whoever says why
            _reason(act)
    elif act.way is Way.SYSTEM:
        _asked(case)
        if case.channel not in WRITTEN:
            raise RuleError("A-18", "only what came in writing is handed over without a word to the customer")
    else:
        _asked(case)
        _called_back(case, act)
    called = act.way in (Way.CALLBACK, Way.TELEPHONE)
    if act.promised is not None and not called:
        raise RuleError("E-16", "a time is promised of a call alone")
    # Who is put through, or hears nothing, is still owed what was promised before.
    after = replace(
        case, state=State.HANDED_OVER, owner=to, hand_over=act, accepted_at=None, reply=None,
        result=None, due=None if called else case.due, promised=act.promised or case.promised,
        tickets=_settled(case, act.at, TicketEnd.PASSED_ON),
    )  # fmt: skip
    leg = str(len(case.history) + 1)
    if called:
        return _owed(after, act, TicketKind.CALLBACK, leg=leg, due=act.promised)
    for kind in TicketKind:
        owed = [one.due for one in case.tickets if one.kind is kind and one.outcome is None]
        if owed and kind is not TicketKind.TRANSFER:
            after = _owed(after, act, kind, leg=leg, due=min((due for due in owed if due), default=None))
    return after


def _reason(act: HandOver) -> Why:
    """Why a caller is put through at once."""
    if act.why is None:
        raise RuleError("A-19", "why the caller is put through: their wish, urgent, or other")
    if act.why is Why.OTHER:
        _needed(act.words, "A-19", "the other reason is missing")
    return act.why


def _called_back(case: Case, act: HandOver) -> None:
    """A hand-over after which the 所管課 calls the customer."""
    if case.reach is None or not isinstance(case.reach.contact, Contact):
        raise RuleError("A-16", "how the customer is reached comes first")
    if not case.reach.read_back:
        raise RuleError("A-16", "the number is read back to the customer first")
    if not case.asked:
        raise RuleError("A-29", "the customer agrees anew: another 所管課 will call")
    if case.consent is None or not case.consent.given:
        raise RuleError("A-17", "the customer agrees first that the 所管課 calls back")
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
    return replace(case, state=State.ACCEPTED, accepted_at=act.at, asked=False)


def _replied(case: Case, act: Reply) -> Case:
    _working(case, act)
    if act.channel is Channel.EMERGENCY:
        raise RuleError("A-24", "緊急受付窓口 takes calls, and answers none")
    if act.answered_at is not None and not case.received_at <= act.answered_at <= act.at:
        raise RuleError("A-24", "the answer lies before the question, or ahead")
    if act.channel is not as_asked(case.channel):
        _needed(act.wish, "A-25", "the customer's wish to be answered otherwise than they asked is missing")
    return replace(
        case,
        reply=act,
        result=None,
        due=None,
        promised=None,
        call=None,
        tickets=_settled(case, act.answered_at or act.at, TicketEnd.KEPT),
    )


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
    if case.due is not None:
        raise RuleError("A-14", "something is still to be done by a time: say first that nothing is waited for")
    return replace(
        case, state=State.CLOSED, closed_at=act.at, promised=None, call=None,
        tickets=_settled(case, act.at, TicketEnd.VOID),
    )  # fmt: skip


def _reopened(case: Case, act: Reopen) -> Case:
    if case.state is not State.CLOSED:
        raise RuleError("A-14", "the case is not closed")
    _needed(act.reason, "A-14", "why it is opened again is missing")
    _has_to_do(case, act)
    state = State.ACCEPTED if case.hand_over else State.OPEN
    return replace(case, state=state, closed_at=None, reply=None, result=None, reopened=case.reopened + 1)


def _expected(case: Case, act: Expect) -> Case:
    _has_to_do(case, act)
    if act.by != SYSTEM:
        return replace(case, due=act.until)
    # What has become of a call since: the ticket itself is due then.
    due = tuple(replace(one, due=act.until) if one.outcome is None else one for one in case.tickets)
    return replace(case, tickets=due)


def _transferred(case: Case, act: Transferred) -> Case:
    unit = act.section or case.owner
    return _owed(case, act, TicketKind.TRANSFER, leg=act.leg, due=None, unit=unit, conversation=act.conversation)


def _transfer_ended(case: Case, act: TransferEnded) -> Case:
    found = next((one for one in case.tickets if (one.kind, one.leg) == (TicketKind.TRANSFER, act.leg)), None)
    if found is None or found.outcome is not None:
        raise RuleError("A-19", "no transfer of that leg is open")
    answered = act.outcome == "answered"
    done = replace(found, done_at=act.at, outcome=TicketEnd.KEPT if answered else TicketEnd.FAILED)
    after = replace(case, tickets=tuple(done if one is found else one for one in case.tickets))
    if answered:
        return after
    conversation = found.conversation
    return _owed(after, act, TicketKind.CALLBACK, leg=act.leg, due=act.due, conversation=conversation)


def _missed(case: Case, act: Missed) -> Case:
    if any(one.kind is TicketKind.ABANDONED and one.outcome is None for one in case.tickets):
        return case  # they called again: called back once
    return _owed(case, act, TicketKind.ABANDONED, leg=act.leg, due=act.due, conversation=act.conversation)


def _dialled(case: Case, act: Dialled) -> Case:
    ticket = _to_call(case, act.place)
    if act.unit not in (ticket.unit, case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")
    if case.reach is None or not isinstance(case.reach.contact, Contact):
        raise RuleError("A-16", "how the customer is reached comes first")
    if case.consent is not None and not case.consent.given:
        raise RuleError("A-17", "the customer does not want to be called back")
    if case.reach.between is not None:
        first, last = case.reach.between
        if not first <= act.at.astimezone(JST).time() < last:
            raise RuleError("E-16", "the customer does not want to be called at this hour")
    call = case.call
    if call is not None and call.outcome is not None:
        raise RuleError("C-06", "whom the last call met is said first")
    if call is not None and act.at - call.dialled.at < LONGEST_CALL:
        raise RuleError("C-06", "somebody calls the customer just now")
    return replace(case, call=Call(dialled=act))


def _dial_ended(case: Case, act: DialEnded) -> Case:
    call = case.call
    if call is None or call.dialled.leg != act.leg:
        if any(isinstance(one, Dialled) and one.leg == act.leg for one in case.history):
            return case  # somebody has said already whom it met
        raise RuleError("C-06", "no call of that leg was made")
    if act.outcome == "answered":
        return replace(case, call=replace(call, outcome=act.outcome))
    after = replace(case, call=None)
    if act.outcome not in UNREACHED:
        return after
    return _tried_once(after, call.dialled.place, call.dialled.at, act.again)


def _tried(case: Case, act: Tried) -> Case:
    ticket = _to_call(case, act.place)
    if act.unit not in (ticket.unit, case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")
    if act.again is not None and act.again <= act.at:
        raise RuleError("E-16", "what is promised lies ahead")
    if act.left.strip():
        if act.met not in (Met.OTHER, Met.VOICEMAIL):
            raise RuleError("C-06", "nobody was there to whom a message was left")
        if case.reach is not None and case.reach.discreet:
            raise RuleError("C-06", "the customer wants nothing of it said to others, or to a voicemail")
    at = case.call.dialled.at if case.call is not None else act.at
    case = replace(case, call=None)
    if act.met is not Met.CUSTOMER:
        after = _tried_once(case, act.place, at, act.again)
        if act.met is Met.WRONG and after.reach is not None:
            return replace(after, reach=replace(after.reach, contact=None, read_back=False))
        return after
    # Whoever is on the telephone is told everything that they wait for.
    kept = _tried_once(replace(case, promised=act.again), act.place, at, None)
    done = tuple(
        replace(one, done_at=at, outcome=TicketEnd.KEPT)
        if one.outcome is None and one.kind is not TicketKind.TRANSFER else one
        for one in kept.tickets
    )  # fmt: skip
    kept = replace(kept, tickets=done)
    if act.again is None:
        return kept
    return _owed(kept, act, TicketKind.CALLBACK, leg=str(len(case.history) + 1), due=act.again, unit=ticket.unit)


def _to_call(case: Case, place: int) -> Ticket:
    """The ticket of that place in the case. Raises RuleError where nobody is to be called for it."""
    if not 1 <= place <= len(case.tickets):
        raise RuleError("C-06", "the case has no such ticket")
    ticket = case.tickets[place - 1]
    if ticket.outcome is not None:
        raise RuleError("C-06", "that ticket is done with")
    if ticket.kind is TicketKind.TRANSFER:
        raise RuleError("C-06", "who is put through is not called")
    return ticket


def _tried_once(case: Case, place: int, at: datetime, again: datetime | None) -> Case:
    one = case.tickets[place - 1]
    tried = replace(one, tries=one.tries + 1, tried_at=one.tried_at or at, again=again)
    tickets = (*case.tickets[: place - 1], tried, *case.tickets[place:])
    # What they were told stays with the ticket; from now on the next try counts.
    return replace(case, tickets=tickets, promised=case.promised if again is None else None)


def _owed(
    case: Case, act: Act, kind: TicketKind, *, leg: str, due: datetime | None, unit: str | None = None,
    conversation: str | None = None,
) -> Case:  # fmt: skip
    made = Ticket(
        kind=kind, leg=leg, conversation=conversation or case.conversation, unit=unit or case.owner, at=act.at, due=due
    )  # fmt: skip
    return replace(case, tickets=(*case.tickets, made))


def _settled(case: Case, at: datetime, outcome: TicketEnd) -> tuple[Ticket, ...]:
    """The tickets, of which none is open any more."""
    return tuple(
        replace(one, done_at=at, outcome=outcome) if one.outcome is None else one for one in case.tickets
    )  # fmt: skip


def _noted(case: Case, act: Note) -> Case:
    _needed(act.text, "A-03", "the note is empty")
    return case


def _working(case: Case, act: Act) -> None:
    if case.state is State.HANDED_OVER and act.unit != CENTRE:  # who is not there any more must not hold it for ever
        raise RuleError("A-23", "the 所管課 takes it first")
    _sees_to(case, act)


def _takes_back(case: Case, act: Act) -> bool:
    """Whoever handed it to the wrong 所管課, or CC, hands it to another, as long as it is not taken."""
    over = case.hand_over
    return case.state is State.HANDED_OVER and over is not None and act.unit in (over.unit, CENTRE)


def _sees_to(case: Case, act: Act) -> None:
    if act.unit not in (case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")


def _has_to_do(case: Case, act: Act) -> None:
    """Whom the customer may turn to again: whoever sees to it, who took and entered it, the main 所管課, and CC."""
    if act.unit not in (case.owner, case.main, case.received_by, case.entered_by, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")


def as_asked(channel: Channel) -> Channel:
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
    Transferred: _transferred,
    TransferEnded: _transfer_ended,
    Missed: _missed,
    Dialled: _dialled,
    DialEnded: _dial_ended,
    Tried: _tried,
    Note: _noted,
}
