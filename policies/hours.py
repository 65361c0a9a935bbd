"""Open or closed, and why (3条, A-07 to A-13). Pure: the instant is an argument, the policies are values.

A day is cut into spans, first by its class, then by each override in the order of their entry; an instant lies in one.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Final, NamedTuple

from policies.calendar import DAY, JST, Calendar, DayClass, Hours, interval_text, midnight
from policies.holidays import Holiday, Holidays
from policies.overrides import Kind, Override, Overrides, days

OVERRIDE_RULE: Final = "A-13"
OVERRIDE_ARTICLE: Final = "3条2項"
HORIZON: Final = 400
"""Days that the next change is looked for: a policy that never changes has none."""

_REMEMBERED = 4096  # days
_SECOND, _MICROSECOND = timedelta(seconds=1), timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Reason:
    """Which rule decided. `name` is a class of day, or the id of an override; `basis` the text and its article."""

    rule: str
    basis: str
    name: str
    title: str
    override: Override | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Span:
    """A stretch of one day, seconds since midnight, `end` not in it."""

    start: int
    end: int
    open: bool
    reason: Reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """A day of one calendar: its spans cover it without a gap.

    `in_force` False: it lies before any version of the rules, and the first one was taken.
    `holidays`: what is known of the year's holidays, `table`, `forecast` or `unknown`.
    """

    date: date
    calendar: Calendar
    kind: DayClass
    holiday: Holiday | None
    holidays: str
    in_force: bool
    spans: tuple[Span, ...]

    @property
    def intervals(self) -> tuple[tuple[int, int], ...]:
        """When it is open, seconds since midnight: what touches is one."""
        found: list[tuple[int, int]] = []
        for span in self.spans:
            if span.open and found and found[-1][1] == span.start:
                found[-1] = (found[-1][0], span.end)
            elif span.open:
                found.append((span.start, span.end))
        return tuple(found)

    @property
    def text(self) -> str:
        """`09:00-17:00`; empty where it is closed."""
        return ", ".join(map(interval_text, self.intervals))


class State(NamedTuple):
    """The answer for one instant. `until`: when that changes; None: not within `HORIZON` days.

    A tuple: made once a call, and a third of what a frozen dataclass costs.
    """

    at: datetime
    open: bool
    reason: Reason
    until: datetime | None
    day: Day

    def public(self) -> dict[str, object]:
        """As one JSON line."""
        override = self.reason.override
        return {
            "at": self.at.isoformat(),
            "state": "open" if self.open else "closed",
            "rule": self.reason.rule,
            "basis": self.reason.basis,
            "until": self.until.isoformat() if self.until else None,
            "class": self.day.kind.name,
            "hours": self.day.text,
            "holiday": self.day.holiday.name if self.day.holiday else None,
            "holidays": self.day.holidays,
            "override": override.id if override else None,
            "in_force": self.day.in_force,
        }


class OpeningHours:
    """Answers for any instant from the rules in force then (A-46), the holidays, and the overrides."""

    def __init__(self, versions: Sequence[Hours], holidays: Holidays, overrides: Overrides = Overrides()) -> None:  # noqa: B008  # frozen
        """`versions`: one at least. Raises ValueError where two are in force from one day, or one lacks a calendar."""
        self.versions = tuple(sorted(versions, key=lambda version: version.effective_from))
        self.holidays, self.overrides = holidays, overrides
        for before, after in pairwise(self.versions):
            if before.effective_from == after.effective_from:
                raise ValueError(f"two versions of the hours hold from {after.effective_from}")
            lost = {calendar.name for calendar in before.calendar} - {calendar.name for calendar in after.calendar}
            if lost:
                raise ValueError(f"the version from {after.effective_from} has no calendar {min(lost)!r}")
        # The newest first, with the days that each touches: some hundreds are looked at for each day of a year ahead.
        self._decisions = [
            (*days(span), override) for override in reversed(overrides.all) if (span := override.span) is not None
        ]
        self._cuts: dict[tuple[str, date, str, tuple[int, ...]], tuple[Span, ...]] = {}
        self._days: dict[tuple[str, date], Day] = {}
        self._answers: dict[tuple[str, date], list[tuple[int, bool, Reason, datetime | None, Day]]] = {}

    def version(self, day: date) -> tuple[Hours, bool]:
        """(the rules for `day`, whether they are in force on it)."""
        found = [version for version in self.versions if version.effective_from <= day]
        return (found[-1], True) if found else (self.versions[0], False)

    def at(self, instant: datetime, calendar: str = "centre") -> State:
        """Open or closed at `instant` (aware). Raises KeyError, OverflowError (after year 9998)."""
        local = instant if instant.tzinfo is JST else instant.astimezone(JST)
        key = (calendar, local.date())
        answers = self._answers.get(key) or self._answer(key)
        second = _second(local)
        for end, opened, reason, until, day in answers:
            if second < end:
                return State(local, opened, reason, until, day)
        raise AssertionError  # the spans of a day reach to its end

    def _answer(self, key: tuple[str, date]) -> list[tuple[int, bool, Reason, datetime | None, Day]]:
        """The answers of a day, by the second at which each ends."""
        calendar, on = key
        day = self.day(on, calendar)
        made: list[tuple[int, bool, Reason, datetime | None, Day]] = []
        after: Span | None = None
        until: datetime | None = None
        for span in reversed(day.spans):
            if after is None:
                until = self._beyond(calendar, day, now=span.open)
            elif after.open is not span.open:
                until = midnight(on) + timedelta(seconds=after.start)
            made.append((span.end, span.open, span.reason, until, day))
            after = span
        made.reverse()
        self._answers[key] = made
        return made

    def day(self, day: date, calendar: str = "centre") -> Day:
        """A day, cut into its spans."""
        found = self._days.get((calendar, day))
        if found is None:
            if len(self._days) >= _REMEMBERED:
                self._days.clear()
                self._answers.clear()
                self._cuts.clear()
            found = self._days[calendar, day] = self._cut(day, calendar)
        return found

    def next_opening(self, instant: datetime, calendar: str = "centre") -> datetime | None:
        """When it opens next after `instant`; None where it does not within `HORIZON` days."""
        local = instant.astimezone(JST)
        second = _second(local)
        for day in self._from(local.date(), calendar):
            for start, _ in day.intervals:
                if day.date > local.date() or start > second:
                    opens = midnight(day.date) + timedelta(seconds=start)
                    # An interval that goes on from the day before does not open here.
                    if start > 0 or not self.at(opens - _MICROSECOND, calendar).open:
                        return opens
        return None

    def next_business_day(self, instant: datetime, calendar: str = "centre") -> date | None:
        """翌営業日 (A-22): the first day after that of `instant` on which it opens; that day too by `same-day`."""
        local = instant.astimezone(JST)
        same = self.version(local.date())[0].of(calendar).next_business_day == "same-day"
        for day in self._from(local.date(), calendar):
            if day.date > local.date():
                if day.intervals:
                    return day.date
            elif same and any(end > _second(local) for _, end in day.intervals):
                return day.date
        return None

    # --- how it is found --------------------------------------------------------------------------------------------

    def _from(self, first: date, calendar: str) -> Iterator[Day]:
        for number in range(min(HORIZON, (date.max - first).days) + 1):
            yield self.day(first + timedelta(days=number), calendar)

    def _cut(self, day: date, calendar: str) -> Day:
        rules, in_force = self.version(day)
        of = rules.of(calendar)
        holiday = self.holidays.on(day)
        kind = of.class_of(day, holiday.kind if holiday else None)
        reason = Reason(rule=kind.basis, basis=f"{of.source} {kind.article}", name=kind.name, title=kind.title)
        decisions = [
            (first < day < last, override)
            for first, last, override in self._decisions
            if first <= day <= last and override.by == of.overridden_by
        ]
        # The same all day long, on many days: cut once.
        same = (calendar, rules.effective_from, kind.name, tuple(id(override) for _, override in decisions))
        spans = self._cuts.get(same) if all(whole for whole, _ in decisions) else None
        if spans is None:
            hours = [Span(start=start, end=end, open=True, reason=reason) for start, end in kind.hours]
            by_class = _laid([Span(start=0, end=DAY, open=False, reason=reason)], hours)
            spans = tuple(_laid(by_class, _decided([override for _, override in decisions], day, of)))
            if all(whole for whole, _ in decisions):
                self._cuts[same] = spans
        return Day(
            date=day,
            calendar=of,
            kind=kind,
            holiday=holiday,
            holidays=self.holidays.certainty(day.year),
            in_force=in_force,
            spans=spans,
        )

    def _beyond(self, calendar: str, day: Day, *, now: bool) -> datetime | None:
        """When, after `day`, it is not `now` any more."""
        for later in self._from(day.date, calendar):
            if later.date == day.date:
                continue
            for span in later.spans:
                if span.open is not now:
                    return midnight(later.date) + timedelta(seconds=span.start)
        return None


def _decided(newest_first: Sequence[Override], day: date, calendar: Calendar) -> list[Span]:
    """What decisions say of a day; no two of them lie over each other: of any moment the newest says it."""
    found: list[Span] = []
    free = [(0, DAY)]
    for override in newest_first:
        for span in reversed(list(_of_override(override, day, calendar))):
            found += _clipped(span, free)
            free = [
                piece
                for start, end in free
                for piece in ((start, min(end, span.start)), (max(start, span.end), end))
                if piece[0] < piece[1]
            ]
        if not free:
            break
    return found


def _clipped(span: Span, places: Sequence[tuple[int, int]]) -> list[Span]:
    """What of `span` lies in `places`."""
    return [
        replace(span, start=max(start, span.start), end=min(end, span.end))
        for start, end in places
        if max(start, span.start) < min(end, span.end)
    ]


def _laid(under: Sequence[Span], over: Sequence[Span]) -> list[Span]:
    """`under` with `over`, no two of which lie over each other, in place of what lay there."""
    found: list[Span] = []
    at = 0
    for span in sorted(over, key=lambda span: span.start):
        found += [piece for below in under for piece in _clipped(below, [(at, span.start)])]
        found.append(span)
        at = span.end
    return found + [piece for below in under for piece in _clipped(below, [(at, DAY)])]


def _of_override(override: Override, day: date, calendar: Calendar) -> Iterator[Span]:
    """What an override says of a day. It counts for the whole second in which it was entered, and in which it ends for
    none of it: a call is known by the second of its arrival, and the next one goes by what was said.
    """
    counts = override.span
    if counts is None:
        return
    begin = midnight(day)
    start = max(0, (counts[0] - begin) // _SECOND)
    end = min(DAY, (counts[1] - begin) // _SECOND)
    if start >= end:
        return
    title = override.reason or override.kind.value
    reason = Reason(
        rule=OVERRIDE_RULE,
        basis=f"{calendar.source} {OVERRIDE_ARTICLE}",
        name=override.id,
        title=title,
        override=override,
    )
    if override.kind is not Kind.OPEN or override.hours is None:
        yield Span(start=start, end=end, open=override.kind is Kind.OPEN, reason=reason)
    if override.hours is not None:
        opens, closes = max(start, override.hours[0]), min(end, override.hours[1])
        if opens < closes:
            yield Span(start=opens, end=closes, open=True, reason=reason)


def _second(local: datetime) -> int:
    """Of the day."""
    return local.hour * 3600 + local.minute * 60 + local.second
