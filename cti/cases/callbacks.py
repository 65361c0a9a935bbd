"""Calls to customers: when one may be made, what came of it, and what is still owed (C-06, E-16). Pure.

A call belongs to a ticket. The PBX says whether somebody answered, whoever called says who; the customer alone keeps
the promise.
"""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from cti.cases.acts import CALLED, CENTRE, CONTRACTOR, SYSTEM, DialEnded, Dialled, Met, TicketEnd, TicketKind, Tried
from cti.cases.case import Call, Case, RuleError, Ticket, owed, settled
from cti.cases.contact import Contact
from policies.calendar import JST

LONGEST_CALL: Final = timedelta(hours=1)
"""A call of whose end nothing is known hinders no other any more."""
UNREACHED: Final = frozenset({"busy", "no-answer", "rejected"})
"""What came of a call that was a try to reach the customer; where nobody here waited, or no line was free, none was."""
NEAR: Final = timedelta(minutes=30)
"""So long before it was promised, or later, a call is what was promised."""
FARTHEST: Final = timedelta(days=31)


def dialled(case: Case, act: Dialled) -> Case:
    """The PBX is asked to call. Raises RuleError."""
    ticket = _to_call(case, act.place)
    if act.unit not in (ticket.unit, case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")
    if case.reach is None or not isinstance(case.reach.contact, Contact):
        raise RuleError("A-16", "how the customer is reached comes first")
    if case.reach.by == SYSTEM and case.reach.contact.costly:
        raise RuleError("A-16", "the network alone says that number, which costs: a person enters it first")
    if case.refused:
        raise RuleError("A-17", "the customer does not want to be called back")
    if not _at_their_hours(case, act.at) and not agreed(ticket, act.at):
        raise RuleError("E-16", "the customer does not want to be called at this hour")
    none_goes_on(case, act.at)
    return replace(case, call=Call(dialled=act))


def none_goes_on(case: Case, at: datetime) -> None:
    """Raises RuleError where the customer is called just now, or nobody has said whom the last call met."""
    if calls_now(case, at):
        raise RuleError("C-06", "somebody calls the customer just now")
    if _unsaid(case):
        raise RuleError("C-06", "whom the last call met is said first")


def takes(case: Case, due: datetime) -> bool:
    """Whether whom the centre missed, and calls by then, is called for this case: it owes them a call already.

    Certain is that of a call which the centre itself owes, and at an hour at which the customer may be called for it.
    """
    if case.refused or not _at_their_hours(case, due):
        return False
    return any(one.outcome is None and one.kind in CALLED and one.unit == CONTRACTOR for one in case.tickets)


def _at_their_hours(case: Case, at: datetime) -> bool:
    """Whether the customer wants to be called then, as far as they said."""
    if case.reach is None or case.reach.between is None:
        return True
    first, last = case.reach.between
    return first <= at.astimezone(JST).time() < last


def agreed(ticket: Ticket, at: datetime) -> bool:
    """Whether a call at that time is what was promised, whatever hours were said else; what is urgent is at any."""
    if ticket.kind is TicketKind.EMERGENCY:
        return True
    return ticket.kind is TicketKind.CALLBACK and ticket.due is not None and abs(at - ticket.due) <= NEAR


def calls_now(case: Case, at: datetime) -> bool:
    """Whether a call to the customer goes on, as far as is known."""
    call = case.call
    return call is not None and call.outcome is None and at - call.dialled.at < LONGEST_CALL


def _unsaid(case: Case) -> bool:
    """Whether somebody answered a call for a ticket that is open, and nobody has said who."""
    call = case.call
    if call is None or call.outcome is None:
        return False
    return case.tickets[call.dialled.place - 1].outcome is None


def dial_ended(case: Case, act: DialEnded) -> Case:
    """What the PBX saw of it. Raises RuleError."""
    call = case.call
    if call is None or call.dialled.leg != act.leg:
        dialled = next((one for one in case.history if isinstance(one, Dialled) and one.leg == act.leg), None)
        if dialled is None:
            raise RuleError("C-06", "no call of that leg was made")
        if call is not None or _is_said(case, dialled):
            return case
        call = Call(dialled=dialled)  # it was taken for not placed
    if act.outcome == "answered":
        return replace(case, call=replace(call, outcome=act.outcome))
    after = replace(case, call=None)
    if act.outcome not in UNREACHED:
        return after
    return _tried_once(after, call.dialled.place, call.dialled.at, act.again)


def _is_said(case: Case, dialled: Dialled) -> bool:
    """Whether somebody has said whom that call met, or the PBX what came of it."""
    after = case.history[case.history.index(dialled) :]
    return any(
        (isinstance(one, Tried) and one.place == dialled.place)
        or (isinstance(one, DialEnded) and one.leg == dialled.leg and one.outcome != "not-placed")
        for one in after
    )


def tried(case: Case, act: Tried) -> Case:
    """What somebody says of a call: theirs from the PBX, or one that they made otherwise. Raises RuleError."""
    call = case.call
    if call is not None and call.dialled.place != act.place and (calls_now(case, act.at) or _unsaid(case)):
        raise RuleError("C-06", "whom the last call met is said first")
    mine = call is not None and call.dialled.place == act.place
    at = call.dialled.at if call is not None and mine and (call.outcome or calls_now(case, act.at)) else act.at
    if call is not None and mine and case.tickets[act.place - 1].outcome is not None:
        return _late_said(case, act, call)
    ticket = _to_call(case, act.place)
    if act.unit not in (ticket.unit, case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")
    if act.again is not None and not act.at < act.again <= act.at + FARTHEST:
        raise RuleError("E-16", "what is promised lies ahead, and within a month")
    _left(case, act)
    after = _tried_once(replace(case, call=None), act.place, at, None if act.met is Met.CUSTOMER else act.again)
    if act.met is Met.WRONG and after.reach is not None:
        return replace(after, reach=replace(after.reach, contact=None, read_back=False))
    return _met(after, act, ticket, at) if act.met is Met.CUSTOMER else after


def _late_said(case: Case, act: Tried, call: Call) -> Case:
    """Whom the call met, of a ticket that was passed on or answered while they talked."""
    if act.unit not in (call.dialled.unit, case.owner, CENTRE):
        raise RuleError("A-31", "whoever sees to the case does that")
    after, ticket = replace(case, call=None), case.tickets[act.place - 1]
    if act.met is not Met.CUSTOMER or ticket.outcome is not TicketEnd.PASSED_ON:
        return after
    promise = (ticket.kind, ticket.due)  # the same, whoever keeps it now
    kept = settled(case, call.dialled.at, TicketEnd.KEPT, lambda one: (one.kind, one.due) == promise)
    return replace(after, tickets=kept)


def _met(case: Case, act: Tried, ticket: Ticket, at: datetime) -> Case:
    """Whoever is on the telephone is told everything that they wait for, and may ask for another call."""
    done = settled(case, at, TicketEnd.KEPT, lambda one: one.kind in CALLED and one.at <= at)
    waits = any(one.outcome is None and one.due == case.promised for one in done)
    kept = replace(case, tickets=done, promised=act.again or (case.promised if waits else None))
    if act.again is None:
        return kept
    leg = str(len(case.history) + 1)
    return owed(kept, act, TicketKind.CALLBACK, leg=leg, due=act.again, unit=ticket.unit, asked=True)


def _left(case: Case, act: Tried) -> None:
    if not act.left.strip():
        return
    if act.met not in (Met.OTHER, Met.VOICEMAIL):
        raise RuleError("C-06", "nobody was there to whom a message was left")
    if case.reach is not None and case.reach.discreet:
        raise RuleError("C-06", "the customer wants nothing of it said to others, or to a voicemail")


def _to_call(case: Case, place: int) -> Ticket:
    """The ticket of that place in the case. Raises RuleError where nobody is to be called for it."""
    if not 1 <= place <= len(case.tickets):
        raise RuleError("C-06", "the case has no such ticket")
    ticket = case.tickets[place - 1]
    if ticket.outcome is not None:
        raise RuleError("C-06", "that ticket is done with")
    if ticket.kind not in CALLED:
        raise RuleError("C-06", "nobody is called for that ticket")
    return ticket


def _tried_once(case: Case, place: int, at: datetime, again: datetime | None) -> Case:
    one = case.tickets[place - 1]
    if one.outcome is not None:
        return case
    tried_at = one.tried_at
    if tried_at is None and (one.due is None or at >= one.due - NEAR):
        tried_at = at
    after = replace(one, tries=one.tries + 1, tried_at=tried_at, again=again)
    tickets = (*case.tickets[: place - 1], after, *case.tickets[place:])
    # What they were told stays with the ticket; once they were called at that time, the next try counts.
    over = again is not None and tried_at is not None and case.promised == one.due
    return replace(case, tickets=tickets, promised=None if over else case.promised)


def asked_again(case: Case, at: datetime) -> tuple[Ticket, ...]:
    """Tickets of customers who asked, in a call, to be called once more, at a time that lies ahead."""
    return tuple(one for one in case.tickets if one.outcome is None and one.asked and one.due and one.due > at)
