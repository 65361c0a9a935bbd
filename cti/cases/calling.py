"""Calling customers back: somebody's telephone rings, then theirs, and what came of it is said (C-06, E-16).

The act is kept before the PBX is asked: a call that nobody knows of is not made. What the PBX saw of it comes back by
`ticketing`; whom it met, whoever called says.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final

from cti.calls.board import conversation_id
from cti.calls.callback import leg_of
from cti.cases.acts import CALLED, DialEnded, Dialled, Met, Tried
from cti.cases.book import OrderError
from cti.cases.callbacks import LONGEST_CALL, agreed, calls_now
from cti.cases.case import Case, RuleError
from cti.cases.contact import Contact
from cti.cases.desk import CaseDesk
from cti.cases.lists import Kept
from cti.cases.seeing import sees
from cti.cases.ticketing import next_try
from cti.errors import FieldError, NotFoundError, NotRunningError
from cti.i18n import _
from policies.load import Policies
from policies.model import Kind
from policies.rights import Role
from recorder.access.people import Account

UNKNOWN: Final = "unknown"
RING_SECONDS: Final = 10.0
"""For which the recorder is waited for, who asks the PBX."""
_TICKET: Final = re.compile(r"([1-9][0-9]{0,9})-([1-9][0-9]{0,5})")

Ring = Callable[[Mapping[str, Any], float], Awaitable[Mapping[str, Any]]]
"""Asks the recorder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ringing:
    """A call that was begun. `others`: tickets of the same number, for which the customer need not be called again."""

    kept: Kept
    place: int
    call: Dialled
    others: tuple[str, ...]


class Calling:
    """The callbacks, for whoever has an account."""

    def __init__(
        self, cases: CaseDesk, ring: Ring, policies: Callable[[], Policies], site: str,
        now: Callable[[], datetime], next_day: Callable[[datetime], date | None],
    ) -> None:  # fmt: skip
        """`site`: the PBX that rings. `next_day`: 翌営業日."""
        self._cases, self._ring, self._policies, self._site = cases, ring, policies, site
        self._now, self._next_day = now, next_day

    async def dial(self, who: Account, ticket: str, phone: str) -> Ringing:
        """Ring `phone`, and then the customer of a ticket.

        Raises NotFoundError, FieldError, OrderError, ChangedError, LogUnavailableError, NotRunningError.
        """
        number, place = _parts(ticket)
        self._may_ring(who, phone)
        kept = await self._cases.look(who, number)
        case = kept.case
        act = len(case.history) + 1
        at = max(self._now(), case.last_at)
        self._at_that_hour(case, place, at)
        others = await self._others(case, at)
        leg = leg_of(kept.number, act, at)
        dialled = Dialled(
            at=at, by=who.id, unit=self._cases.unit(who), place=place, phone=phone, leg=leg,
            conversation=str(conversation_id(self._site, leg)),
        )  # fmt: skip
        after = await self._cases.book.add(kept.number, [dialled], seen=len(case.history))
        contact = after.case.reach.contact if after.case.reach else None
        if not isinstance(contact, Contact):
            raise TypeError("a number is there: the rules have asked for it")
        question = {"ask": "dial", "phone": phone, "number": contact.dialled, "leg": leg}
        problem = await asked(self._ring, question)
        if problem is not None:
            if problem != UNKNOWN:  # else the act stands, and the PBX's own record says what came of it
                ended = DialEnded(at=self._now(), by=who.id, unit=dialled.unit, leg=leg, outcome="not-placed")
                await self._cases.book.add(kept.number, [ended])
            raise not_done(problem, _own(phone, ticket))
        return Ringing(kept=after, place=place, call=dialled, others=tuple(self._named(others, dialled.unit)))

    async def _others(self, case: Case, at: datetime) -> list[Kept]:
        """Other cases in which the same number is to be called. Raises OrderError where one of them calls it now."""
        contact = case.reach.contact if case.reach else None
        if not isinstance(contact, Contact):
            return []  # the rules see to that
        found = [other for other in await self._cases.book.owed_to(contact.e164) if other.case.id != case.id]
        if any(calls_now(other.case, at) for other in found):
            raise OrderError(RuleError("C-06", "somebody calls the customer just now"))
        return found

    @staticmethod
    def _named(others: Sequence[Kept], unit: str) -> Iterator[str]:
        """Their tickets, of those that the unit may see."""
        for other in others:
            for place, one in enumerate(other.case.tickets, start=1):
                if one.outcome is None and one.kind in CALLED and sees(other.case, unit):
                    yield f"{other.number}-{place}"

    async def last(self, who: Account, ticket: str) -> DialEnded:
        """What the PBX saw of the last call for a ticket; no outcome yet: "". Raises NotFoundError."""
        number, place = _parts(ticket)
        history = (await self._cases.find(who, number)).case.history
        dialled = next((act for act in reversed(history) if isinstance(act, Dialled) and act.place == place), None)
        if dialled is None:
            raise NotFoundError(_("nobody has called for ticket {ticket}").format(ticket=ticket))
        ends = (act for act in reversed(history) if isinstance(act, DialEnded) and act.leg == dialled.leg)
        over = self._now() - dialled.at >= LONGEST_CALL
        going_on = DialEnded(
            at=dialled.at, by=dialled.by, unit=dialled.unit, leg=dialled.leg, outcome="unknown" if over else ""
        )  # fmt: skip
        return next(ends, going_on)

    async def tried(
        self, who: Account, ticket: str, met: Met, *, left: str = "", again: datetime | None = None
    ) -> Kept:
        """Say whom a call for a ticket met; where nobody who matters, when it is tried next.

        Raises NotFoundError, OrderError, ChangedError, LogUnavailableError.
        """
        number, place = _parts(ticket)
        kept = await self._cases.look(who, number)
        now = max(self._now(), kept.case.last_at)
        if again is None and met not in (Met.CUSTOMER, Met.WRONG) and 1 <= place <= len(kept.case.tickets):
            policies = await asyncio.to_thread(self._policies)
            again = next_try(kept.case, place, now, policies, self._next_day(now))
        act = Tried(at=now, by=who.id, unit=self._cases.unit(who), place=place, met=met, left=left, again=again)
        return await self._cases.book.add(kept.number, [act], seen=len(kept.case.history))

    def _may_ring(self, who: Account, phone: str) -> None:
        policies = self._policies()
        kind = policies.plan.kind(phone)
        if kind in (None, Kind.TRUNK):
            raise FieldError("phone", _("no telephone {phone!r}: numbers.toml has them").format(phone=phone))
        if kind is Kind.EMERGENCY or (who.role is Role.CONTRACTOR and kind is not Kind.DESIGNATED):
            raise FieldError("phone", _("nobody of your unit calls back from {phone}").format(phone=phone))
        if who.role is Role.SECTION:
            own = policies.sections.called(who.section or "")
            if own is None or own.phone != phone:
                raise FieldError("phone", _("{phone} is not the telephone of your 所管課").format(phone=phone))

    def _at_that_hour(self, case: Case, place: int, at: datetime) -> None:
        """Not before or after the hours of the policy, unless they agreed to others, or it is urgent."""
        if case.reach is not None and case.reach.between is not None:
            return  # the rules see to that
        if 1 <= place <= len(case.tickets) and agreed(case.tickets[place - 1], at):
            return
        if not self._policies().sections.callbacks.open_at(at):
            raise OrderError(RuleError("E-16", "customers are not called at this hour, unless they agreed to it"))


def _parts(ticket: str) -> tuple[str, int]:
    found = _TICKET.fullmatch(ticket)
    if found is None:
        raise FieldError("ticket", _("{text!r} is no ticket: `kikitori callback list` has them").format(text=ticket))
    return found[1], int(found[2])


def _own(phone: str, ticket: str) -> dict[str, str]:
    """What is said of a call to a customer alone."""
    return {
        "no-phone": _("the recorder does not know the telephone {phone}: it reads numbers.toml when it starts").format(
            phone=phone
        ),
        "no-number": _("the customer's number cannot be dialled from here"),
        UNKNOWN: _("nobody knows whether the call was placed: if {phone} rings, pick it up; if it does not, "
                   "`kikitori callback result {ticket} nobody`").format(phone=phone, ticket=ticket),
    }  # fmt: skip


async def asked(ring: Ring, question: Mapping[str, Any]) -> str | None:
    """What the recorder says is in the way of what the PBX is to do; UNKNOWN where it may do it all the same."""
    try:
        answer = await ring(question, RING_SECONDS)
    except (ConnectionRefusedError, FileNotFoundError):
        return "no-recorder"
    except (OSError, TimeoutError, ValueError):
        return UNKNOWN
    return None if answer.get("placed") is True else str(answer.get("problem", "refused"))


def not_done(problem: str, own: Mapping[str, str]) -> NotRunningError:
    """What `asked` found; `own`: the words for what is in the way of this question alone."""
    said = {
        "no-recorder": _("the recorder does not answer, which asks the PBX; `kikitori status`"),
        "no-pbx": _("the PBX does not answer; `kikitori status`"),
    }
    return NotRunningError({**said, **own}.get(problem, _("the PBX refused the call; its log says why")))
