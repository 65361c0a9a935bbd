"""One customer who waits for one call has one case: a duplicate ends, and what it owed goes along (C-06, A-14). Pure.

Each call that was promised stays what it was, with its time and its tries; calls of which the customer was told no time
of their own become one, at the earlier of the two times. One call that meets the customer keeps all of them.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

from cti.cases.acts import CALLED, Join, Joined, Promise, State, TicketEnd, TicketKind
from cti.cases.callbacks import none_goes_on
from cti.cases.case import Case, RuleError, Ticket, settled
from cti.cases.contact import Contact
from cti.cases.letters import dropped

_FIRST: Final = {
    TicketKind.TRANSFER: (
        "A-19",
        "the caller is put through just now: join the cases when it is known what came of it",
    ),
    TicketKind.REPORT: ("B-14", "an unjust demand is still to be reported: report it first"),
    TicketKind.VOICE: ("A-28", "the procedure of 市民の声 goes on: end it first"),
    TicketKind.CHECK: ("C-04", "a draft waits: send it, or give it back with a reason"),
    TicketKind.SEND: ("C-04", "a draft waits: send it, or give it back with a reason"),
    TicketKind.HELP: ("E-05", "another unit was asked for something: wait for their note, or take that back first"),
}
"""What is another's to see to, and does not go along."""


def promises(case: Case) -> tuple[Promise, ...]:
    """The calls that it owes."""
    return tuple(
        Promise(
            kind=one.kind, at=one.at, due=one.due, conversation=one.conversation, tries=one.tries,
            tried_at=one.tried_at, again=one.again, asked=one.asked,
        )
        for one in case.tickets if one.outcome is None and one.kind in CALLED
    )  # fmt: skip


def acts(duplicate: Case, number: int, case: Case, into: int, by: Mapping[str, Any]) -> tuple[Join, Joined]:
    """What is done with both, by whom and when `by` has. Raises RuleError where no case is, or takes, a duplicate."""
    if number == into:
        raise RuleError("A-03", "a case is no duplicate of itself")
    if case.state is State.CLOSED:
        raise RuleError("A-14", "the case into which it would be joined is closed: reopen that first, with a reason")
    if promises(duplicate):
        _agree(duplicate, case)
    return Join(**by, into=into), Joined(
        **by, duplicate=number, promises=promises(duplicate), promised=duplicate.promised,
        conversation=duplicate.conversation,
    )  # fmt: skip


def _agree(duplicate: Case, case: Case) -> None:
    """Raises RuleError where the customer said something of how they are called that the other case does not know."""
    if duplicate.refused:
        raise RuleError("A-17", "the customer does not want to be called back")
    said, known = duplicate.reach, case.reach
    if said is None:
        return
    if said.discreet and not (known and known.discreet):
        raise RuleError("C-06", "the customer wants nothing said to others: enter that in the case that goes on first")
    if said.between is not None and (known is None or known.between != said.between):
        raise RuleError("E-16", "the customer wants to be called at certain hours: enter them in the case that goes on")


def gone(case: Case, act: Join) -> Case:
    """The duplicate, which ends. Raises RuleError."""
    for one in case.tickets:
        if one.outcome is None and one.kind in _FIRST:
            raise RuleError(*_FIRST[one.kind])
    if case.due is not None:
        raise RuleError("A-14", "something is still to be done by a time: say first that nothing is waited for")
    none_goes_on(case, act.at)
    return replace(
        dropped(case, act.at), state=State.CLOSED, closed_at=act.at, promised=None, call=None, joined=act.into,
        tickets=settled(case, act.at, TicketEnd.PASSED_ON, lambda one: one.kind in CALLED),
    )  # fmt: skip


def come(case: Case, act: Joined) -> Case:
    """The case to which it comes. Raises RuleError."""
    if not act.promises:
        return case
    if case.reach is None or not isinstance(case.reach.contact, Contact):
        raise RuleError("A-16", "how the customer is reached comes first")
    if case.refused:
        raise RuleError("A-17", "the customer does not want to be called back")
    tickets = list(case.tickets)
    for nth, promise in enumerate(act.promises, start=1):
        made = _ticket(promise, leg=f"{len(case.history) + 1}-{nth}", unit=case.owner)
        same = next((place for place, one in enumerate(tickets) if _same(one, made)), None)
        if same is None:
            tickets.append(made)
        else:
            tickets[same] = _sooner(tickets[same], made)
    # Whoever was answered here is to be called all the same.
    promised = _first(case.promised, act.promised)
    return replace(case, tickets=tuple(tickets), promised=promised, reply=None, result=None)


def _ticket(promise: Promise, *, leg: str, unit: str) -> Ticket:
    return Ticket(
        kind=promise.kind, leg=leg, conversation=promise.conversation, unit=unit, at=promise.at, due=promise.due,
        tries=promise.tries, tried_at=promise.tried_at, again=promise.again, asked=promise.asked,
    )  # fmt: skip


def _same(one: Ticket, made: Ticket) -> bool:
    """Whether it is the same call: the customer was told no time that the other does not have."""
    if one.outcome is not None or one.kind is not made.kind:
        return False
    return one.kind is not TicketKind.CALLBACK or (one.due, one.asked) == (made.due, made.asked)


def _sooner(one: Ticket, other: Ticket) -> Ticket:
    """Both in one, at the earlier of their times, as tried as the one that was tried less; owed since the later."""
    untried = [ticket for ticket in (one, other) if ticket.tried_at is None]
    tried_at = None if untried else _first(one.tried_at, other.tried_at)
    due = _first(*(ticket.due for ticket in untried)) if len(untried) == 1 else _first(one.due, other.due)
    after = replace(
        one, at=max(one.at, other.at), due=due, tries=one.tries + other.tries, tried_at=tried_at, again=None
    )  # fmt: skip
    wanted = _first(one.next_at, other.next_at)
    return after if after.next_at == wanted else replace(after, again=wanted)


def _first(one: datetime | None, other: datetime | None = None) -> datetime | None:
    return min(one, other) if one is not None and other is not None else one or other
