"""What people do with cases: for which unit they act, what they may see, and a line in the access log for each look."""

import asyncio
import re
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from cti.cases import form
from cti.cases.acts import (
    CENTRE,
    EMERGENCY,
    UNITS,
    WRITTEN,
    Act,
    Assign,
    Channel,
    Check,
    Consent,
    Draft,
    HandOver,
    Reach,
    Register,
    Reply,
    Share,
    TicketKind,
    Transferred,
    Why,
)
from cti.cases.book import CaseBook, Tell
from cti.cases.case import Case, said_why
from cti.cases.contact import Contact, ContactError, Missing, contact, folded
from cti.cases.drafting import check, draft, reply
from cti.cases.lists import Kept, Line, TicketLine, TicketsWanted, Wanted
from cti.cases.phrasing import evasive
from cti.cases.progress import Progress
from cti.cases.seeing import sees, unit_of
from cti.cases.words import words
from cti.errors import FieldError, NotEntitledError, NotFoundError
from cti.explain import localise
from cti.i18n import _
from policies.calendar import JST, midnight
from policies.sections import Section, Sections
from recorder.access.people import Account

_REACHING = ("name", "read_back", "email", "address", "between", "any_hour", "discreet")
"""What is said of how a customer is reached, beside the number."""
Stated = Mapping[str, Any]
"""What was asked for, field by field; None: not said."""


Done = Callable[[Kept], Awaitable[object]]
"""Is told of each case with which something was done."""
NextDay = Callable[[datetime, str], date | None]
"""The first day after that of an instant on which a calendar of `hours.toml` is open."""


ARRIVING: Final = timedelta(minutes=10)
"""For which somebody who is put through may still come."""
EARLIER: Final = 10
"""Cases of a caller that come with them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Arrival:
    """A caller who is put through, by `phone`, and why; `earlier`: what else there is of their number, newest first.

    `others`: which of their cases are open.
    """

    ticket: str
    kept: Kept
    others: tuple[int, ...]
    earlier: tuple[Line, ...]
    phone: str
    why: Why | None
    words: str


class CaseDesk:
    """The cases, for whoever has an account."""

    def __init__(
        self, book: CaseBook, sections: Callable[[], Sections], site: str, tell: Tell, now: Callable[[], datetime],
        next_day: NextDay = lambda _at, _calendar: None, done: Done | None = None,
    ) -> None:  # fmt: skip
        """`sections` reads the policy in force; `site`: whose access log `tell` writes; `next_day`: 翌営業日.

        `done` is told after each act, and undoes none.
        """
        self.book, self.sections, self._site, self._tell, self._now = book, sections, site, tell, now
        self._next_day, self._done = next_day, done

    def unit(self, who: Account) -> str:
        """For which unit somebody acts. Raises NotEntitledError."""
        found = unit_of(who.role, who.section, self.sections())
        if found is None:
            raise NotEntitledError(
                _("{account} acts for no unit: sections.toml has no 所管課 {section!r}").format(
                    account=who.id, section=who.section or ""
                )
            )
        return found

    # --- looking ------------------------------------------------------------------------------------------------------

    async def look(self, who: Account, text: str) -> Kept:
        """The case that `text` names. The log has who looked. Raises NotFoundError, LogUnavailableError."""
        kept = await self.find(who, text)
        await self._shown(who, kept)
        return kept

    async def lines(
        self, who: Account, wanted: Wanted, *, limit: int, after: int | None = None, soonest: bool = False
    ) -> list[Line]:
        """As `CaseBook.lines`, of what somebody may see. The log has by what was looked, and which cases were shown."""
        unit = self.unit(who)
        found = await self.book.lines(wanted, unit, limit=limit, after=after, soonest=soonest)
        shown = [line.number for line in found]
        await self._say(who, "cases.searched", self._site, {"by": wanted.by, "unit": unit, "cases": shown})
        return found

    async def search(self, who: Account, wanted: Wanted, query: str, *, limit: int) -> list[Line]:
        """As `CaseBook.search`, of what somebody may see; a telephone number finds whose it is. Raises FieldError."""
        unit, by = self.unit(who), [*wanted.by, "words"]
        found: list[Line] = []
        number = _number_in(query)
        if number is not None:
            found = await self.book.lines(replace(wanted, number=number), unit, limit=limit)
        try:
            looked_for = words(query)
        except ValueError as error:
            if number is None:
                raise FieldError("words", localise(str(error))) from error
            looked_for = []
        if looked_for:
            hits = await self.book.search(wanted, looked_for, unit, limit=limit)
            found += [line for line in hits if line.number not in {one.number for one in found}]
        shown = [line.number for line in found[:limit]]
        await self._say(who, "cases.searched", self._site, {"by": by, "unit": unit, "cases": shown})
        return found[:limit]

    async def progress(self, who: Account, since: datetime, *, sign: bool = False) -> Progress:
        """How all cases stand; `sign`: somebody has looked it through, and the log has what there was (A-34)."""
        now = self._now()
        there = UNITS | {one.name for one in self.sections().taking(now.astimezone(JST).date())}
        found = await self.book.progress(since, now, there)
        action = "progress.checked" if sign else "progress.read"
        await self._say(who, action, self._site, found.counts | {"since": since.isoformat()})
        return found

    async def tickets(self, who: Account, wanted: TicketsWanted, *, limit: int) -> list[TicketLine]:
        """As `CaseBook.tickets`, of what somebody may see."""
        unit = self.unit(who)
        found = await self.book.tickets(wanted, unit, limit=limit)
        shown = sorted({line.case for line in found})
        await self._say(who, "tickets.searched", self._site, {"by": wanted.by, "unit": unit, "cases": shown})
        return found

    async def arriving(self, who: Account, known: Collection[str]) -> list["Arrival"]:
        """Callers who are put through to somebody's own unit just now, but for the tickets in `known` (E-13).

        Each is a look, which the log has. Raises LogUnavailableError.
        """
        unit = self.unit(who)
        wanted = TicketsWanted(kind=TicketKind.TRANSFER, unit=unit, since=self._now() - ARRIVING)
        found = await self.book.tickets(wanted, unit, limit=50)
        new = [line for line in found if line.id not in known and not line.damaged]
        return [one for line in new if (one := await self._arrival(who, line)) is not None]

    async def _arrival(self, who: Account, line: TicketLine) -> "Arrival | None":
        """None where somebody else has the caller meanwhile: nobody has asked for a case that is not theirs."""
        kept, earlier = await self.book.get(line.case), list[Line]()
        if not sees(kept.case, self.unit(who)):
            return None
        await self._shown(who, kept)
        if isinstance(line.contact, Contact):
            known = await self.lines(who, Wanted(number=line.contact.e164), limit=EARLIER + 1)
            earlier = [one for one in known if one.number != line.case][:EARLIER]
        acts = [act for act in kept.case.history if isinstance(act, Transferred)]
        came = next((act for act in acts if act.leg == line.leg), None)
        why, words = said_why(kept.case, came) if came else (None, "")
        return Arrival(
            ticket=line.id, kept=kept, others=await self.others(who, kept), earlier=tuple(earlier),
            phone=came.phone if came else "", why=why or (came.why if came else None), words=words,
        )  # fmt: skip

    async def find(self, who: Account, text: str) -> Kept:
        """As `look`, for whoever has looked already: no line in the log, but where it is refused."""
        unit = self.unit(who)
        found = await self.book.beginning(text, unit)
        if len(found) > 1:
            raise NotFoundError(_("{text!r} begins the ids of several cases: give more of it").format(text=text))
        if not found:
            for _number, identity in await self.book.beginning(text, CENTRE):
                await self._say(who, "act.denied", identity, {"act": "cases.work", "unit": unit})
            raise _none(text)  # whether there is one is not theirs to know
        return await self.book.get(found[0][0])

    async def others(self, who: Account, kept: Kept) -> tuple[int, ...]:
        """As `CaseBook.others`, of what somebody may see: numbers of cases, and nothing that stands in them."""
        return await self.book.others(kept, self.unit(who))

    async def _shown(self, who: Account, kept: Kept) -> None:
        await self._say(who, "case.shown", kept.case.id, {"number": kept.number, "unit": self.unit(who)})

    async def imported(self, who: Account, counts: Mapping[str, Any]) -> None:
        """Rows of a sheet were looked at, or entered: the log has how many, beside the line of each case."""
        await self._say(who, "cases.imported", self._site, counts)

    async def _say(self, who: Account, action: str, about: str, detail: Mapping[str, Any]) -> None:
        await asyncio.to_thread(self._tell, who.id, action, about, detail)

    def evasive(self, done: Iterable[Act]) -> list[str]:
        """Phrases of the policy that stand in what was done, and say nothing (E-15)."""
        return evasive(done, self.sections().phrases.evasive)

    async def month(self, since: datetime, until: datetime) -> dict[str, Any]:
        """As `CaseBook.month`, by the policy."""
        policy = self.sections()
        return await self.book.month(since, until, phrases=policy.phrases.evasive, fewest=policy.digest.fewest)

    # --- doing --------------------------------------------------------------------------------------------------------

    async def enter(self, who: Account, stated: Stated) -> Kept:
        """A question, with what is known of whoever asks. Raises FieldError, OrderError, LogUnavailableError."""
        return await self.book.enter(self.opening(who, stated))

    def opening(self, who: Account, stated: Stated) -> list[Act]:
        """The acts by which a case begins. Raises FieldError."""
        by = self._by(who)
        given = {name: value for name, value in stated.items() if value is not None}
        channel = Channel(given["channel"])
        received_by = self._unit(given["received_by"]) if "received_by" in given else _taken_by(channel, by["unit"])
        acts: list[Act] = [Register(
            **by, channel=channel, received_by=received_by, received_at=given.get("received_at", by["at"]),
            inquiry=given["inquiry"], category=self._category(given.get("category")),
            conversation=given.get("conversation"),
        )]  # fmt: skip
        if "related" in given and given["related"] and "main" not in given:
            raise FieldError("related", _("the main 所管課 is missing"))
        reaching = _reaching(given)
        if any(reaching.values()) or any(name in given for name in ("contact", "missing")):
            acts.append(Reach(**by, contact=_contact(given), **reaching))
        if "consent" in given:
            acts.append(Consent(**by, given=given["consent"]))
        if "main" in given:
            acts.append(self._assign(by, given))
        return acts

    async def act(self, who: Account, text: str, stated: Sequence[Stated], seen: int | None) -> Kept:
        """Do something with a case that somebody may see: all of `stated`, each with its kind, or nothing.

        Raises FieldError, OrderError, ChangedError, NotFoundError, LogUnavailableError.
        """
        kept = await self.find(who, text)
        by = self._by(who)
        new = [self._act(by, one, kept.case) for one in stated]
        if any(isinstance(act, HandOver) for act in new):
            to = next((act.main for act in reversed(new) if isinstance(act, Assign)), kept.case.main)
            self._still_takes(to, by["at"])
            until = accept_by(to, by["at"], self.sections(), self._next_day)
            new = [replace(act, accept_by=until) if isinstance(act, HandOver) else act for act in new]

        def may(case: Case) -> None:
            if not sees(case, by["unit"]):  # somebody handed it on meanwhile
                raise _none(text)

        after = await self.book.add(kept.number, new, seen=seen, may=may)
        if self._done is not None:
            await self._done(after)
        return after

    async def join(
        self, who: Account, text: str, into: str, *, seen: int | None = None, seen_into: int | None = None,
        dry_run: bool = False,
    ) -> tuple[Kept, Kept]:  # fmt: skip
        """End a case as a duplicate of another; both, as they are then. `dry_run`: as they would be.

        Raises OrderError, ChangedError, NotFoundError, LogUnavailableError.
        """
        find = self.look if dry_run else self.find
        gone, come, by = await find(who, text), await find(who, into), self._by(who)

        def may(case: Case) -> None:
            if not sees(case, by["unit"]):
                raise _none(text if case.id == gone.case.id else into)

        return await self.book.join(
            gone.number, come.number, by, seen=(seen, seen_into), may=may, dry_run=dry_run
        )  # fmt: skip

    def _still_takes(self, main: str | None, at: datetime) -> None:
        if main is not None:  # it may have been retired since it was assigned
            self._taking("main", main, at)

    def _by(self, who: Account) -> dict[str, Any]:
        """Who does something, when, and for which unit."""
        return {"at": self._now(), "by": who.id, "unit": self.unit(who)}

    def _act(self, by: Mapping[str, Any], stated: Stated, case: Case) -> Act:
        given = {name: value for name, value in stated.items() if value is not None and name != "kind"}
        made = form.KINDS[stated["kind"]]
        if made is Assign:
            return self._assign(by, given)
        if made is Reach:
            return Reach(**by, contact=_contact(given), **_reaching(given))
        if made is Draft:
            return draft(case, by, given, self.sections())
        if made is Reply:
            return reply(case, by, given, self.sections())
        if made is Check:
            return check(by, given, self.sections())
        if "category" in given:
            given["category"] = self._category(given["category"])
        if made is Share:
            given["to"] = self._other(given["to"], by["at"], ended=given.get("ended", False))
        if made is HandOver and "reached" in given:
            given["reached"] = _told(given["reached"])
        return made(**by, **given)

    def _assign(self, by: Mapping[str, Any], given: Stated) -> Assign:
        main = self._taking("main", given["main"], by["at"])
        related = tuple(self._taking("related", text, by["at"]) for text in given.get("related", ()))
        return Assign(**by, main=main, related=related, category=self._category(given.get("category")))

    def _taking(self, field: str, text: str, at: datetime) -> str:
        """The name of a 所管課 that takes something today (A-05). Raises FieldError."""
        found = self._section(field, text)
        if not found.takes(at.astimezone(JST).date()):
            other = self.sections().find(found.instead or "")
            said = _("{section} takes nothing today").format(section=found.title)
            raise FieldError(
                field, said + (_("; instead of it: {section}").format(section=other.title) if other else "")
            )
        return found.name

    def _section(self, field: str, text: str) -> Section:
        sections = self.sections()
        found = sections.called(text)
        if found is None:
            names = ", ".join(one.name for one in sections.section)
            raise FieldError(field, _("no 所管課 {text!r}: there are {names}").format(text=text, names=names))
        return found

    def _unit(self, text: str) -> str:
        return text if text in UNITS else self._section("received_by", text).name

    def _other(self, text: str, at: datetime, *, ended: bool) -> str:
        """A unit that a case is shared with. Raises FieldError."""
        if text in UNITS:
            return text
        return self._section("to", text).name if ended else self._taking("to", text, at)

    def _category(self, text: str | None) -> str | None:
        if text is None:
            return None
        known = self.sections().category
        found = next((one for one in known if text in (one.name, one.title)), None)
        if found is None:
            names = ", ".join(one.name for one in known)
            raise FieldError(
                "category", _("no kind of question {text!r}: there are {names}").format(text=text, names=names)
            )
        return found.name


def accept_by(main: str | None, at: datetime, sections: Sections, next_day: NextDay) -> datetime | None:
    """Until when a 所管課 takes what is handed over to it: to the end of its own 翌営業日 (A-23)."""
    found = sections.find(main or "")
    day = next_day(at, found.hours) if found else None
    return midnight(day + timedelta(days=1)) if day else None


def _none(text: str) -> NotFoundError:
    return NotFoundError(_("no case {text!r} that you may see; `kikitori case list` shows them").format(text=text))


def _taken_by(channel: Channel, unit: str) -> str:
    """Who took what came in so, where nobody says otherwise."""
    if channel is Channel.EMERGENCY:
        return EMERGENCY
    return CENTRE if channel in WRITTEN and unit in UNITS else unit


def _reaching(given: Stated) -> dict[str, Any]:
    found = {name: given[name] for name in _REACHING if name in given}
    if "between" in found:
        found["between"] = tuple(time.max if one == "24:00" else time.fromisoformat(one) for one in found["between"])
    return found


def _contact(given: Stated) -> Contact | Missing | None:
    if "contact" in given and "missing" in given:
        raise FieldError("missing", _("there is a number: leave out why there would be none"))
    if "contact" in given:
        return _number("contact", given["contact"])
    return Missing(given["missing"]) if "missing" in given else None


def _number_in(query: str) -> str | None:
    """The telephone number that a search is for, E.164; None where it is none."""
    try:
        return contact(query).e164
    except ContactError:
        return None


def _told(text: str) -> str:
    """A number on which a 所管課 was told: an extension of ours, or one outside, as people write it."""
    plain = folded(text).strip()
    return plain if re.fullmatch(r"[0-9]{2,6}", plain) else _number("reached", text).written


def _number(field: str, text: str) -> Contact:
    try:
        return contact(text)
    except ContactError as error:
        raise FieldError(field, localise(str(error))) from error
