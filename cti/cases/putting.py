"""Putting a caller through to a 所管課 from the case (4条(1)ただし書, A-19, E-13): whoever talks to them asks for it.

The act comes first, with the reason; then the PBX is asked to do what their telephone would. What became of it comes
back by `ticketing`, as of any transfer.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from cti.cases.acts import PutThrough, Why
from cti.cases.book import OrderError
from cti.cases.calling import UNKNOWN, Ring, asked, not_done
from cti.cases.case import Case, RuleError
from cti.cases.desk import CaseDesk
from cti.cases.lists import Kept
from cti.errors import FieldError
from cti.i18n import _
from cti.routing.onward import How, Onward, code_of, onward
from policies.hours import OpeningHours
from policies.rights import Role
from policies.sections import Section, Sections
from recorder.access.people import Account


@dataclass(frozen=True, slots=True, kw_only=True)
class Put:
    """A caller who goes to `to`; the case after that was asked for."""

    kept: Kept
    to: Onward


class Putting:
    """For whoever has an account, and a customer on the telephone."""

    def __init__(
        self, cases: CaseDesk, ring: Ring, hours: Callable[[datetime], OpeningHours], now: Callable[[], datetime]
    ) -> None:
        """`ring` asks the recorder; `hours`: those in force."""
        self._cases, self._ring, self._hours, self._now = cases, ring, hours, now

    async def put(
        self, who: Account, text: str, section: str | None, why: Why, *, words: str = "", seen: int | None = None
    ) -> Put:
        """To `section`, or the one whose kind of question it is, or whoever stands in for it while it is closed.

        Raises NotFoundError, FieldError, OrderError, ChangedError, LogUnavailableError, NotRunningError, PolicyError.
        """
        kept = await self._cases.look(who, text)
        case, now = kept.case, max(self._now(), kept.case.last_at)
        sections = await asyncio.to_thread(self._cases.sections)
        meant = _meant(case, section, sections)
        to = onward(meant, now, sections, self._hours(now))
        if to.how is How.CLOSED:
            raise OrderError(RuleError("A-19", "that 所管課 is closed now: hand the case over, and it calls back"))
        ringing = next(one for one in sections.section if one.name == to.section)
        if sections.dialled(ringing.code or ringing.phone) != ringing:
            raise FieldError(
                "section", _("{section} shares its telephone with another: give it a code in sections.toml").format(
                    section=ringing.title
                )
            )  # fmt: skip
        act = PutThrough(
            at=now, by=who.id, unit=self._cases.unit(who), section=to.section, why=why, words=words
        )  # fmt: skip
        after = await self._cases.book.add(kept.number, [act], seen=len(case.history) if seen is None else seen)
        question = {"ask": "put-through", "conversation": case.conversation, "dialled": code_of(ringing, why),
                    "phones": _own(who, sections)}  # fmt: skip
        problem = await asked(self._ring, question)
        if problem is not None:
            alone = _("nobody of ours talks to the caller just now, the two of them alone: `kikitori calls live`")
            listen = _("nobody knows whether the PBX did it: listen whether the caller is still there")
            raise not_done(problem, {"no-call": alone, UNKNOWN: listen})
        return Put(kept=after, to=to)


def _own(who: Account, sections: Sections) -> list[str] | None:
    """The telephones from which somebody puts through: a 所管課 its own, the centre whoever talks to the customer."""
    if who.role is not Role.SECTION:
        return None
    own = sections.called(who.section or "")
    return [own.phone] if own else []


def _meant(case: Case, section: str | None, sections: Sections) -> Section:
    """Raises FieldError."""
    if section is None:
        own = next((one.section for one in sections.category if one.name == case.category), None)
        section = case.main if case.main not in (None, case.owner) else own
    if section is None:
        raise FieldError("section", _("which 所管課: the case has none, and no kind of question that is one's"))
    if (found := sections.called(section)) is None:
        names = ", ".join(one.name for one in sections.section)
        raise FieldError("section", _("no 所管課 {text!r}: there are {names}").format(text=section, names=names))
    return found
