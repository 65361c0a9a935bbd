"""Nobody is alone with a case: another unit sees it, or is asked for something (E-05), as long as it needs to. Pure.

Whoever sees to the case decides who else sees it, and CC does; they do not share it further (9条, A-44).
"""

from dataclasses import replace
from datetime import datetime

from cti.cases.acts import EMERGENCY, Note, Share, State, TicketEnd, TicketKind
from cti.cases.case import Case, RuleError, Ticket, owed, settled
from cti.cases.seeing import sees


def shared(case: Case, act: Share) -> Case:
    """Another unit sees it, or no longer does. Raises RuleError."""
    asked = any(_asks(one, act.to) for one in case.tickets)
    if act.ended:
        if act.to not in case.shared and not asked:
            raise RuleError("E-05", "it was not shared with them, and they were asked for nothing")
        return _unshared(case, act.to, act.at)
    if not act.reason.strip():
        raise RuleError("E-05", "why others see it, or are asked, is missing")
    if act.to == EMERGENCY:
        raise RuleError("E-05", "緊急受付窓口 takes calls, and sees no cases")
    if act.to == act.unit:
        raise RuleError("E-05", "that is your own unit")
    if act.help and case.state is State.CLOSED:
        raise RuleError("A-14", "the case is closed: reopen it first, with a reason")
    known = sees(case, act.to)
    if known and not act.help:
        raise RuleError("E-05", "they see it already")
    if asked:
        raise RuleError("E-05", "they were asked already, and have not answered")
    after = case if known else replace(case, shared=(*case.shared, act.to))
    if not act.help:
        return after
    return owed(after, act, TicketKind.HELP, leg=str(len(case.history) + 1), due=None, unit=act.to)


def answered(case: Case, act: Note) -> Case:
    """A note of a unit that was asked for something."""
    return replace(case, tickets=settled(case, act.at, TicketEnd.KEPT, lambda one: _asks(one, act.unit)))


def left(case: Case, at: datetime) -> Case:
    """The case goes to another unit: with whom it is shared, they decide."""
    return replace(ended(case, at), shared=())


def ended(case: Case, at: datetime) -> Case:
    """The case is done with: nobody is asked for anything any more."""
    return replace(case, tickets=settled(case, at, TicketEnd.VOID, lambda one: one.kind is TicketKind.HELP))


def _unshared(case: Case, unit: str, at: datetime) -> Case:
    tickets = settled(case, at, TicketEnd.VOID, lambda one: _asks(one, unit))
    return replace(case, tickets=tickets, shared=tuple(one for one in case.shared if one != unit))


def _asks(ticket: Ticket, unit: str) -> bool:
    """Whether that unit is still asked for something by it."""
    return ticket.kind is TicketKind.HELP and ticket.unit == unit and ticket.outcome is None
