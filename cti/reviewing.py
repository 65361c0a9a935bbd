"""The access log, looked through month by month by 課長, who signs for it (9条2, B-30).

A review begins behind the last entry of the one before it and reaches to the last entry of its month, whatever times
the entries between say: what was written while a clock was wrong is in one of them, and none is left out. A month whose
predecessors nobody has signed for has theirs in it.
"""

import asyncio
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from cti.desk import Desk
from cti.errors import LogUnavailableError, UsageError
from cti.explain import explain
from cti.i18n import _
from cti.review import HEARD, Month, Report, examine, missing
from policies.calendar import JST
from policies.hours import OpeningHours
from policies.review import Review
from recorder.access.entry import Entry
from recorder.access.errors import AccessError


class Reviewing:
    """Of one desk's log."""

    def __init__(self, desk: Desk, policy: Callable[[], Review], hours: Callable[[], OpeningHours]) -> None:
        """`policy` and `hours` read those in force."""
        self._desk, self._policy, self._hours = desk, policy, hours

    async def next(self) -> Month:
        """The oldest that nobody has looked through. Raises LogUnavailableError."""
        return await asyncio.to_thread(self._next)

    async def report(self, month: Month) -> Report:
        """What there is to look through. Raises UsageError, LogUnavailableError, PolicyError."""
        if month.start > self._desk.now():
            raise UsageError(_("{month} has not begun").format(month=month))
        span, entries, results = await asyncio.to_thread(self._read, month)
        heard = {entry.object for entry in entries if entry.action.partition(".")[0] in HEARD}
        policy = self._policy()
        phones = await self._desk.catalogue.agents(heard) if policy.own else {}
        return examine(
            month, entries, span=span, results=results, policy=policy, usual_at=self._usual(policy), phones=phones
        )

    async def sign_off(self, month: Month, digest: str, by: str) -> Report:
        """`by` has looked at the report with this digest. Raises UsageError, LogUnavailableError."""
        if self._desk.now() < month.end:
            raise UsageError(_("{month} is not over yet").format(month=month))
        reviewed = await asyncio.to_thread(self.reviewed)
        if (before := reviewed.get(str(month))) is not None:
            raise UsageError(
                _("{month} was looked through by {account} on {day}").format(
                    month=month, account=before.actor, day=before.ts.astimezone(JST).date().isoformat()
                )
            )
        if month.end <= (begun := await asyncio.to_thread(self._begun)):
            raise UsageError(
                _("{month} is before the log: it begins in {first}").format(month=month, first=Month.of(begun))
            )
        if month != (first := await self.next()):
            raise UsageError(_("{first} comes before {month}").format(first=first, month=month))
        report = await self.report(month)
        if report.digest != digest:
            raise UsageError(_("the report of {month} is another one by now: look at it again").format(month=month))
        said = {"first": report.first, "next": report.next, "unusual": len(report.unusual), "sha256": report.digest}
        await asyncio.to_thread(self._desk.log, "log.reviewed", str(month), said, actor=by)
        return report

    def reviewed(self) -> Mapping[str, Entry]:
        """Month -> the line of whoever has looked it through. Raises LogUnavailableError."""
        found, month = {}, Month.of(self._begun())
        while month.start <= self._desk.now():
            for entry in self._desk.logged_of(str(month), ["log.reviewed"]):
                found[str(month)] = entry
            month = month.next
        return found

    def missing(self) -> list[Month]:
        """Those that nobody has looked through in time. Raises LogUnavailableError, PolicyError."""
        return missing(self._begun(), self.reviewed(), self._desk.now(), self._policy().due_day)

    def _begun(self) -> datetime:
        return self._desk.installed(timedelta(0)) or self._desk.now()

    def _next(self) -> Month:
        reviewed = [Month.parse(text) for text in self.reviewed()]
        if reviewed:
            return max(reviewed).next
        return Month.of(self._begun())

    def _usual(self, policy: Review) -> Callable[[datetime], bool]:
        hours, margin = self._hours(), timedelta(minutes=policy.margin_minutes)
        return lambda at: any(hours.at(when).open for when in (at, at - margin, at + margin))

    def _read(self, month: Month) -> tuple[tuple[int, int], list[Entry], set[str]]:
        """(numbers of a month's entries, these, acts that have ended since its first)"""
        reviewed = self.reviewed()
        own = reviewed.get(str(month))
        before = [(Month.parse(text), int(entry.detail["next"])) for text, entry in reviewed.items()]
        start = max((number for other, number in before if other < month), default=0)
        if own is not None:
            start = int(own.detail["first"])
        try:
            every = list(self._desk.audit(start))
        except AccessError as error:
            raise LogUnavailableError(explain(error)) from error
        stop = max((entry.seq + 1 for entry in every if entry.ts < month.end), default=start)
        if own is not None:
            stop = int(own.detail["next"])
        results = {str(entry.detail.get("act")) for entry in every if entry.action.endswith(".result")}
        return (start, stop), [entry for entry in every if entry.seq < stop], results
