"""A case and what can be done with it, in the order that the rules ask for (4条, 5条, 7条; A-14 to A-32). Pure.

`taken(case, act)` is the whole state machine: the case after the act, or RuleError, which names the rule. A case is the
fold of its acts, and its acts are its history: nothing is changed, something is added.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Final

from cti.cases import joining, letters, sharing
from cti.cases.acts import (
    CALLED,
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
    CalledAgain,
    Channel,
    Check,
    Close,
    Consent,
    DialEnded,
    Dialled,
    Draft,
    Expect,
    HandOver,
    Join,
    Joined,
    Missed,
    Note,
    Outcome,
    PutThrough,
    Reach,
    Register,
    Reopen,
    Reply,
    Reported,
    Result,
    Share,
    State,
    TicketEnd,
    TicketKind,
    TransferEnded,
    Transferred,
    Tried,
    UnjustDemand,
    Voice,
    VoiceState,
    VoiceStep,
    Way,
    Why,
)
from cti.cases.callbacks import asked_again, dial_ended, dialled, tried
from cti.cases.case import Case, RuleError, Ticket, owed, settled
from cti.cases.contact import Contact

_ANY_TIME: Final = Reopen | Note | Share | TransferEnded | DialEnded | UnjustDemand | Reported | VoiceStep
"""What comes, or is told, though the case is closed."""
_STANDING: Final = (
    frozenset({TicketKind.TRANSFER, TicketKind.REPORT, TicketKind.VOICE, TicketKind.HELP}) | letters.TICKETS
)
"""What an answer, a hand-over or an end of the case does not settle. Of a transfer the PBX alone knows what came."""


def taken(case: Case | None, act: Act, *, identity: str = "", kept: bool = False) -> Case:
    """The case after `act`; `identity`: the id of one that begins; `kept`: it was done before. Raises RuleError."""
    if case is None:
        if not isinstance(act, Register):
            raise RuleError("A-18", "a case is entered before anything else is done with it")
        return _registered(act, identity)
    if isinstance(act, Register):
        raise RuleError("A-03", "this case is entered already")
    if act.at < case.last_at:
        raise RuleError("A-18", "it lies before what was done last")
    if case.state is State.CLOSED and not isinstance(act, _ANY_TIME):
        raise RuleError("A-14", "the case is closed: reopen it first, with a reason")
    how = {"kept": kept} if isinstance(act, Reply | Close) else {}  # some rules are newer than what was done
    after = _AFTER[type(act)](case, act, **how)
    return replace(after, last_at=act.at, history=(*case.history, act))


def stages(acts: Iterable[Act], identity: str = "") -> Iterator[Case]:
    """The case after each of its acts, which were done before. Raises RuleError."""
    case: Case | None = None
    for act in acts:
        case = taken(case, act, identity=identity, kept=True)
        yield case


def fold(acts: Iterable[Act], identity: str = "") -> Case:
    """What became of a case by its acts. Raises RuleError."""
    last = deque(stages(acts, identity), maxlen=1)
    if not last:
        raise RuleError("A-18", "nothing was entered")
    return last[0]


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
    return owed(replace(case, due=None), act, act.ticket, leg="1", due=act.due)


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
        act = replace(act, contact=before.contact, read_back=before.read_back, by=before.by)
    between = None if act.any_hour else act.between or before.between
    return replace(case, reach=replace(
        act, name=act.name or before.name, email=act.email or before.email, address=act.address or before.address,
        between=between, discreet=before.discreet if act.discreet is None else act.discreet,
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
    case = sharing.left(letters.dropped(case, act.at), act.at)
    # Who is put through, or hears nothing, is still owed what was promised before.
    after = replace(
        case, state=State.HANDED_OVER, owner=to, hand_over=act, accepted_at=None, reply=None,
        result=None, due=None if called else case.due, promised=act.promised or case.promised,
        tickets=settled(case, act.at, TicketEnd.PASSED_ON, _of_the_case),
    )  # fmt: skip
    leg = str(len(case.history) + 1)
    if called:
        return owed(after, act, TicketKind.CALLBACK, leg=leg, due=act.promised)
    for kind in TicketKind:
        dues = [one.due for one in case.owes(kind)]
        if dues and kind in CALLED:
            after = owed(after, act, kind, leg=leg, due=min((due for due in dues if due), default=None))
    return after


def _reason(act: HandOver | PutThrough) -> Why:
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


def _replied(case: Case, act: Reply, *, kept: bool) -> Case:
    _working(case, act)
    if act.channel is Channel.EMERGENCY:
        raise RuleError("A-24", "緊急受付窓口 takes calls, and answers none")
    if act.answered_at is not None and not case.received_at <= act.answered_at <= act.at:
        raise RuleError("A-24", "the answer lies before the question, or ahead")
    if act.channel is not as_asked(case.channel):
        _needed(act.wish, "A-25", "the customer's wish to be answered otherwise than they asked is missing")
    if act.channel in WRITTEN:
        case = letters.sent(case, act, kept=kept)
    again, answered_at = asked_again(case, act.at), act.answered_at or act.at
    return replace(
        case,
        reply=act,
        result=None,
        due=None,
        promised=min((one.due for one in again if one.due), default=None),
        call=None,
        tickets=settled(
            case, answered_at, TicketEnd.KEPT,
            lambda one: _of_the_case(one) and one not in again and not _missed_since(one, answered_at),
        ),
    )  # fmt: skip


def _resulted(case: Case, act: Result) -> Case:
    _working(case, act)
    _asked(case)
    _needed(act.text, "C-19" if act.outcome is Outcome.DECLINED else "A-24", "what was done, and why, is missing")
    if case.reply is None and act.outcome is not Outcome.WITHDRAWN:
        raise RuleError("A-24", "the customer is answered first, then the result is entered")
    return replace(case, result=act)


def _drafted(case: Case, act: Draft) -> Case:
    _working(case, act)
    return letters.drafted(case, act)


def _shared(case: Case, act: Share) -> Case:
    _sees_to(case, act)
    return sharing.shared(case, act)


def _closed(case: Case, act: Close, *, kept: bool) -> Case:
    _working(case, act)
    if case.result is None:
        raise RuleError("A-14", "a case ends with a result, or is handed over")
    reply, may_be_called = case.reply, not case.refused and case.result.outcome is not Outcome.WITHDRAWN
    if reply is not None and not kept and may_be_called and waits_since(case, reply.answered_at or reply.at):
        raise RuleError("C-06", "the customer has called since they were answered, and nobody answered: call them")
    if asked_again(case, act.at):
        raise RuleError("A-14", "the customer is still to be called, as they were told")
    if case.due is not None:
        raise RuleError("A-14", "something is still to be done by a time: say first that nothing is waited for")
    case = sharing.ended(letters.ended(case, act), act.at)
    return replace(
        case, state=State.CLOSED, closed_at=act.at, promised=None, call=None,
        tickets=settled(case, act.at, TicketEnd.VOID, _of_the_case),
    )  # fmt: skip


def _reopened(case: Case, act: Reopen) -> Case:
    if case.state is not State.CLOSED:
        raise RuleError("A-14", "the case is not closed")
    _needed(act.reason, "A-14", "why it is opened again is missing")
    _has_to_do(case, act)
    state = State.ACCEPTED if case.hand_over else State.OPEN
    return replace(
        case, state=state, closed_at=None, reply=None, result=None, joined=None, reopened=case.reopened + 1
    )  # fmt: skip


def _joined_into(case: Case, act: Join) -> Case:
    _working(case, act)
    return joining.gone(case, act)


def _joined(case: Case, act: Joined) -> Case:
    _working(case, act)
    return joining.come(case, act)


def _expected(case: Case, act: Expect) -> Case:
    _has_to_do(case, act)
    if act.by != SYSTEM:
        return replace(case, due=act.until)
    # What has become of a call since: the ticket that it left is due then, and none that came after it.
    due = tuple(replace(one, due=act.until) if one.outcome is None and one.leg == "1" else one for one in case.tickets)
    return replace(case, tickets=due)


def _put_through(case: Case, act: PutThrough) -> Case:
    _working(case, act)
    _reason(act)
    if case.conversation is None:
        raise RuleError("A-19", "no call belongs to the case: enter first which one, and then put the caller through")
    if act.section == case.owner:
        raise RuleError("A-14", "the caller is put through to another 所管課 than that which has the case")
    return case


def _transferred(case: Case, act: Transferred) -> Case:
    unit = act.section or case.owner
    return owed(case, act, TicketKind.TRANSFER, leg=act.leg, due=None, unit=unit, conversation=act.conversation)


def _transfer_ended(case: Case, act: TransferEnded) -> Case:
    found = next((one for one in case.tickets if (one.kind, one.leg) == (TicketKind.TRANSFER, act.leg)), None)
    if found is None or found.outcome is not None:
        raise RuleError("A-19", "no transfer of that leg is open")
    answered = act.outcome == "answered"
    became = TicketEnd.KEPT if answered else TicketEnd.FAILED
    after = replace(case, tickets=settled(case, act.at, became, lambda one: one is found))
    if answered or act.outcome == "returned" or act.due is None:  # whoever has the caller again sees to them
        return after
    # What was answered before is not what they were put through for.
    after = replace(after, reply=None, result=None)
    return owed(after, act, TicketKind.CALLBACK, leg=act.leg, due=act.due, conversation=found.conversation)


def _missed(case: Case, act: Missed) -> Case:
    waits = case.owes(TicketKind.ABANDONED)
    if waits:  # they called again: called back once, and not later than if they had not called before
        sooner = tuple(
            replace(
                one, at=act.at, due=min(one.due or act.due, act.due),
                again=min(one.again, act.due) if one.again else None,
            )
            if one in waits else one
            for one in case.tickets
        )  # fmt: skip
        return replace(case, tickets=sooner)
    return owed(case, act, TicketKind.ABANDONED, leg=act.leg, due=act.due, conversation=act.conversation)


def _called_again(case: Case, act: CalledAgain) -> Case:
    if not case.owes(TicketKind.ABANDONED):
        raise RuleError("C-06", "nobody waits to be called whom nobody had answered")
    return replace(
        case, tickets=settled(case, act.at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.ABANDONED)
    )  # fmt: skip


def _of_the_case(ticket: Ticket) -> bool:
    """Whether an answer, a hand-over or an end of the case settles it."""
    return ticket.kind not in _STANDING


def _demanded(case: Case, act: UnjustDemand) -> Case:
    _needed(act.text, "B-14", "what was demanded is missing, in their words")
    _has_to_do(case, act)
    if case.owes(TicketKind.REPORT):
        return case  # it is told of together
    return owed(
        case, act, TicketKind.REPORT, leg=str(len(case.history) + 1), due=act.at, unit=CENTRE,
        conversation=act.conversation,
    )  # fmt: skip


def _reported(case: Case, act: Reported) -> Case:
    if act.unit != CENTRE:
        raise RuleError("B-14", "お客さまサービス課 reports it to 水道局長")
    _needed(act.to, "B-14", "who was told is missing")
    waits = case.owes(TicketKind.REPORT)
    if not waits:
        raise RuleError("B-14", "no unjust demand waits to be reported")
    told_at = act.told_at or act.at
    if not waits[0].at <= told_at <= act.at:
        raise RuleError("B-14", "the report lies before the demand, or ahead")
    kept = settled(case, told_at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.REPORT)
    return replace(case, tickets=kept)


def _voiced(case: Case, act: Voice) -> Case:
    _has_to_do(case, act)
    if not case.direct:
        raise RuleError("A-27", "市民の声 comes of what a 所管課 received itself (5条(2))")
    if any(one.kind is TicketKind.VOICE for one in case.tickets):
        raise RuleError("A-27", "it is 市民の声 already")
    return owed(case, act, TicketKind.VOICE, leg=str(len(case.history) + 1), due=None, unit=CENTRE)


def _voice_step(case: Case, act: VoiceStep) -> Case:
    if act.unit != CENTRE:
        raise RuleError("A-28", "CC's 広聴担当 sees to the procedure")
    if not case.owes(TicketKind.VOICE):
        raise RuleError("A-28", "it is no 市民の声 whose procedure goes on")
    if act.step is not VoiceState.DONE:
        return case
    kept = settled(case, act.at, TicketEnd.KEPT, lambda one: one.kind is TicketKind.VOICE)
    return replace(case, tickets=kept)


def _noted(case: Case, act: Note) -> Case:
    _needed(act.text, "A-03", "the note is empty")
    return sharing.answered(case, act)


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


def waits_since(case: Case, answered_at: datetime) -> bool:
    """Whether the customer is to be called whom nobody answered after that."""
    return any(one.outcome is None and _missed_since(one, answered_at) for one in case.tickets)


def _missed_since(ticket: Ticket, answered_at: datetime) -> bool:
    """Whether nobody answered them after that, at the centre or where they were put through.

    Answers are entered by the minute.
    """
    by_a_call = ticket.kind in (TicketKind.ABANDONED, TicketKind.CALLBACK) and not ticket.leg.isdigit()
    return by_a_call and ticket.at.replace(second=0, microsecond=0) > answered_at


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
    Join: _joined_into,
    Joined: _joined,
    PutThrough: _put_through,
    Transferred: _transferred,
    TransferEnded: _transfer_ended,
    Missed: _missed,
    CalledAgain: _called_again,
    Dialled: dialled,
    DialEnded: dial_ended,
    Tried: tried,
    Draft: _drafted,
    Check: letters.checked,
    Share: _shared,
    UnjustDemand: _demanded,
    Reported: _reported,
    Voice: _voiced,
    VoiceStep: _voice_step,
    Note: _noted,
}
