"""From the telephone to the ticket (D10): who was put through, and whom nobody answered, as Asterisk's own record says.

Each step (`cti.calls.passing`) is one act of a case, which its key tells; it waits in the database until that is done.
Whatever dies in between: nothing is done twice, and nothing is left out.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import date, datetime, timedelta
from typing import Any, Final
from uuid import NAMESPACE_URL, uuid5

import structlog

from cti.calls.callback import called_for
from cti.calls.passing import ANSWERED, CALLED_BACK, LONGEST, MISSED, OUTCOME, REACHED, RETURNED, TRANSFER
from cti.cases.acts import (
    CONTRACTOR,
    SYSTEM,
    Act,
    Amend,
    Assign,
    CalledAgain,
    Channel,
    Close,
    DialEnded,
    HandOver,
    Missed,
    Outcome,
    PutThrough,
    Reach,
    Register,
    Reopen,
    Reply,
    Result,
    State,
    TicketKind,
    TransferEnded,
    Transferred,
    Way,
    Why,
)
from cti.cases.book import CaseBook, ChangedError, OrderError
from cti.cases.callbacks import UNREACHED
from cti.cases.case import Case, Ticket, said_why
from cti.cases.contact import Contact, calling
from cti.cases.desk import NextDay, accept_by
from cti.errors import KikitoriError
from cti.explain import explain
from cti.intake import IntakeBook
from cti.routing import onward
from cti.routing.onward import How
from cti.steps import Step, at_of
from policies.load import Policies
from policies.model import Kind

log = structlog.get_logger()

SWEEP: Final = timedelta(hours=1)
"""So often transfers of which nothing was heard are looked for."""

Noted = Callable[[str, str, int], Awaitable[object]]
"""Told the channel of a caller who is put through, the 所管課, and the case in which it sees them."""


_WAITS: Final = (How.OPEN, How.INSTEAD)
"""With these the dialplan waits. Of a transfer that it did not make itself, a step does not say `how`."""


async def _nobody(_leg: str, _section: str, _case: int) -> None:
    return None


class Ticketing:
    """The steps of one site's calls into its cases."""

    def __init__(
        self, intakes: IntakeBook, book: CaseBook, policies: Callable[[], Policies], now: Callable[[], datetime],
        next_day: NextDay = lambda _at, _calendar: None, noted: Noted = _nobody,
    ) -> None:  # fmt: skip
        """`policies` reads what is in force."""
        self._noted = noted
        self._looking = asyncio.Lock()
        self._intakes, self._book, self._policies, self._now = intakes, book, policies, now
        self._said: dict[str, str] = {}
        self._swept: datetime | None = None
        self._next_day = next_day

    async def look(self) -> None:
        """Once: all that waits. What cannot be done now stays, and hides no other."""
        async with self._looking:  # nobody is made to try again by the other
            await self._look()
            await self._forgotten()

    async def _forgotten(self) -> None:
        """Of a transfer of which nothing was heard in a day, nothing will be: nobody took it."""
        now = self._now()
        if self._swept is not None and now - self._swept < SWEEP:
            return
        self._swept = now
        for number, leg in await self._book.put_through_before(now - LONGEST):
            try:
                case = (await self._book.get(number)).case
                made = next(act for act in case.history if isinstance(act, Transferred) and act.leg == leg)
                await self._came(number, case, leg, "failed", made.at, f"{made.conversation}/{OUTCOME}/{leg}")
            except (KikitoriError, StopIteration):
                log.exception("a transfer of long ago is still open", case=number)

    async def _look(self) -> None:
        held: set[str] = set()
        for step in await self._intakes.to_tickets():
            # One that waits holds up those behind it: what came of a transfer means nothing before the transfer.
            if step["conversation"] in held or not await self._taken(step):
                held.add(step["conversation"])
            else:
                await self._intakes.ticketed(step["key"])

    async def _taken(self, step: Step) -> bool:
        """Whether nothing more is to be done with it."""
        take = {
            TRANSFER: self._transferred, OUTCOME: self._ended, MISSED: self._missed, REACHED: self._reached,
            CALLED_BACK: self._called_back,
        }[step["what"]]  # fmt: skip
        try:
            await take(step)
        except OrderError as error:
            log.error("a step of a call is no act of its case", key=step["key"], error=explain(error))
        except ChangedError:
            return False  # the next look takes it
        except Exception as error:  # whatever it is, it must not hide the others; said once, and tried again
            if self._said.get(step["key"]) != (said := str(error)):
                self._said[step["key"]] = said
                log.exception("a step of a call is no ticket yet", key=step["key"])
            return False
        self._said.pop(step["key"], None)
        return True

    async def _transferred(self, step: Step) -> None:
        values, policies = step["values"], self._policies()
        if policies.plan.kind(values.get("party")) not in (None, Kind.TRUNK):
            return  # one of ours was put through: no customer waits
        section = policies.sections.find(values.get("section", ""))
        keyed = onward.read(values.get("to", ""))  # consulted by it, and then put through
        section = section or (policies.sections.dialled(keyed[0]) if keyed else None)
        section = section or policies.sections.reached_on(values.get("to", ""))
        category = next((one.name for one in policies.sections.category if one.name == values.get("category")), None)
        act = Transferred(
            at=self._now(), by=SYSTEM, unit=CONTRACTOR, leg=values["leg"], conversation=step["conversation"],
            how=values.get("kind", ""), phone=values.get("by", ""), to=values.get("to", ""),
            section=section.name if section else None, why=_why(values.get("why") or (keyed[1] if keyed else "")),
        )  # fmt: skip
        number = await self._enter(step, act, _key(step, values["leg"]), values.get("number"), category)
        if section is not None and values.get("how") in _WAITS:
            await self._noted(step["uniqueid"], section.name, number)

    async def _ended(self, step: Step) -> None:
        leg = step["values"]["leg"]
        number = await self._book.caused(f"{step['conversation']}/{TRANSFER}/{leg}")
        if number is None:
            return
        outcome = step["values"].get("outcome", "failed")
        await self._came(number, (await self._book.get(number)).case, leg, outcome, at_of(step), _key(step, leg))

    async def _came(self, number: int, case: Case, leg: str, outcome: str, at: datetime, key: str) -> None:
        """What came of a transfer."""
        now, reply = self._now(), case.reply
        due = None if reply is not None and (reply.answered_at or reply.at) > at else self._due(at)
        ended = TransferEnded(at=now, by=SYSTEM, unit=CONTRACTOR, leg=leg, outcome=outcome, due=due)
        over = self._over(case, leg, now) if outcome == ANSWERED else []
        if case.state is State.CLOSED and due is not None and outcome not in (ANSWERED, RETURNED):
            opened = Reopen(at=now, by=SYSTEM, unit=case.owner, reason="転送先が応答せず")
            await self._book.add(number, [opened, ended], seen=len(case.history), key=key)
            return
        try:
            await self._book.add(number, [ended, *over], seen=len(case.history), key=key)
        except OrderError:
            if not over:
                raise
            await self._book.add(number, [ended], key=key)  # another 所管課 has it already

    async def _missed(self, step: Step) -> None:
        values = step["values"]
        seconds = int(values.get("seconds", "0"))
        if seconds < self._policies().sections.tickets.abandoned_after:
            return
        act = Missed(
            at=self._now(), by=SYSTEM, unit=CONTRACTOR, leg=step["uniqueid"], conversation=step["conversation"],
            number=values.get("number", ""), why=values.get("why", ""), seconds=seconds, due=self._due(at_of(step)),
        )  # fmt: skip
        key, caller = _key(step, step["uniqueid"]), calling(values.get("from"))
        before = await self._book.owes_call(caller.e164, act.due) if isinstance(caller, Contact) else None
        if before is not None:  # looked at again where somebody has just called them, or handed it over
            await self._book.add(before.number, [act], seen=len(before.case.history), key=key)
        else:
            await self._enter(step, act, key, values.get("from"))

    async def _reached(self, step: Step) -> None:
        """Who was missed before, and has called again, need not be called (C-06)."""
        caller = calling(step["values"].get("from"))
        policies = self._policies()
        dialled = policies.plan.number_of(step["values"].get("number"))
        if not isinstance(caller, Contact) or not policies.sections.tickets.until_answered:
            return
        if dialled is None or not dialled.designated:
            return  # a 所管課 answered
        number = await self._book.missed_before(caller.e164)
        if number is None:
            return
        case, now, talked = (await self._book.get(number)).case, self._now(), min(at_of(step), self._now())
        if any(_missed_at(case, one, policies) > talked for one in case.owes(TicketKind.ABANDONED)):
            return  # they were missed after that: it is read again, or late
        again = CalledAgain(
            at=now, by=SYSTEM, unit=CONTRACTOR, conversation=step["conversation"], answered_at=talked
        )  # fmt: skip
        over = _nothing_else(case, now, talked)
        await self._book.add(number, [again, *over], seen=len(case.history), key=_key(step, step["uniqueid"]))

    async def _called_back(self, step: Step) -> None:
        called = called_for(step["uniqueid"])
        if called is None:
            return
        values, now, number = step["values"], self._now(), called[0]
        case = (await self._book.get(number)).case
        outcome, seconds = values.get("outcome", "failed"), int(values.get("seconds", "0"))
        again = None
        if outcome in UNREACHED and case.call is not None:
            again = next_try(case, case.call.dialled.place, now, self._policies(), self._intakes.due(now))
        act = DialEnded(
            at=now, by=SYSTEM, unit=CONTRACTOR, leg=step["uniqueid"], outcome=outcome, seconds=seconds,
            again=again,
        )  # fmt: skip
        await self._book.add(number, [act], seen=len(case.history), key=_key(step, step["uniqueid"]))

    async def _enter(
        self, step: Step, act: Act, key: str, number: str | None, category: str | None = None
    ) -> int:  # fmt: skip
        """Into the open case of that conversation, or of that call to a customer, or one of its own; its number."""
        called = called_for(str(step["values"].get("leg", "")))
        known = await self._book.open_of(step["conversation"], _asked_for(act))
        if known is None and called and await self._book.is_open(called[0]):
            known = called[0]
        if known is not None:
            try:
                await self._book.add(known, [act], key=key)
            except OrderError as error:  # closed meanwhile: what is owed is a case of its own
                log.warning("a call's case takes it no more", case=known, error=explain(error))
            else:
                return known
        register = Register(
            at=act.at, by=SYSTEM, unit=CONTRACTOR, channel=Channel.PHONE, received_by=CONTRACTOR,
            received_at=min(at_of(step), act.at), inquiry="", conversation=step["conversation"],
            category=category,
        )  # fmt: skip
        reach = Reach(at=act.at, by=SYSTEM, unit=CONTRACTOR, contact=calling(number))
        identity = str(uuid5(NAMESPACE_URL, f"kikitori:case/{key}"))
        return (await self._book.enter([register, reach, act], identity=identity, key=key)).number

    def _over(self, case: Case, leg: str, now: datetime) -> list[Act]:
        """What was put through, and answered by a 所管課, is handed over (4条(1)ただし書).

        Why, whoever did it has said, or says later.
        """
        made = next((act for act in case.history if isinstance(act, Transferred) and act.leg == leg), None)
        if made is None or made.section is None or made.section == case.owner or case.state is State.CLOSED:
            return []
        assign = Assign(at=now, by=SYSTEM, unit=case.owner, main=made.section, related=tuple(
            one for one in case.related if one != made.section
        ))  # fmt: skip
        until = accept_by(made.section, now, self._policies().sections, self._next_day)
        why, words = said_why(case, made)
        over = HandOver(
            at=now, by=SYSTEM, unit=case.owner, way=Way.TRANSFER, why=why, words=words, accept_by=until
        )  # fmt: skip
        return [*([assign] if case.main != made.section else []), over]

    def _due(self, at: datetime) -> datetime:
        return at + timedelta(minutes=self._policies().sections.tickets.call_within)


def _asked_for(act: Act) -> Callable[[Case], bool]:
    """Whether a case is that from which somebody asked for a transfer: there may be two of one call."""

    section = act.section if isinstance(act, Transferred) else None

    def asked(case: Case) -> bool:
        last = next((one for one in reversed(case.history) if isinstance(one, PutThrough | Transferred)), None)
        return isinstance(last, PutThrough) and last.section == section

    return asked


def _missed_at(case: Case, ticket: Ticket, policies: Policies) -> datetime:
    """When nobody answered: a ticket's own time is when it was entered."""
    within = timedelta(minutes=policies.sections.tickets.call_within)
    return max(case.received_at, ticket.due - within) if ticket.due else case.received_at


def _nothing_else(case: Case, now: datetime, talked: datetime) -> list[Act]:
    """A case of which nobody has done anything, and which owes nothing else, ends with the call."""
    waits = [one for one in case.tickets if one.outcome is None and one.kind is not TicketKind.ABANDONED]
    if waits or any(act.by != SYSTEM for act in case.history):
        return []
    by: dict[str, Any] = {"at": now, "by": SYSTEM, "unit": case.owner}
    asked: list[Act] = [] if case.inquiry else [Amend(**by, inquiry="応答できなかった電話")]
    return [
        *asked,
        Reply(**by, channel=Channel.PHONE, answered_at=max(talked, case.received_at)),
        Result(**by, outcome=Outcome.ANSWERED, text="お客さまが再度電話をかけ、センターが応答"),
        Close(**by),
    ]


def _why(text: str | None) -> Why | None:
    return Why(text) if text in set(Why) else None


def next_try(case: Case, place: int, now: datetime, policies: Policies, next_day: date | None) -> datetime:
    """When the customer of a ticket is called again, by the policy and the hours that they want."""
    ticket = case.tickets[place - 1]
    return policies.sections.callbacks.again(
        now, ticket.tries, next_day, case.reach.between if case.reach else None,
        urgent=ticket.kind is TicketKind.EMERGENCY,
    )  # fmt: skip


def _key(step: Step, leg: str) -> str:
    """As D10 names a ticket."""
    return f"{step['conversation']}/{step['what']}/{leg}"
