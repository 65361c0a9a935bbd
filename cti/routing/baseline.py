"""The dialplan's own opening hours, for when the gate is silent: lines of GotoIfTime, from the same policy. Pure.

GotoIfTime knows no years. But of two days of one date in two years that follow each other the weekdays differ (365 and
366 are 1 and 2 more than whole weeks): month, day and weekday name one day of any 24 months, and each day that is not
as its month and weekday usually are has lines of its own. Behind those 24 months only what is usual is left.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import date, timedelta
from itertools import pairwise
from typing import Final

from policies.calendar import DAY, WEEKDAYS
from policies.hours import OpeningHours

MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
ZONE: Final = "JST-9"
"""As POSIX writes it: a host without time zone files takes a name for UTC, without a word."""

Intervals = tuple[tuple[int, int], ...]


def lines(hours: OpeningHours, calendar: str, first: date) -> list[str]:
    """(times,weekdays,days,months,zone?label) of each GotoIfTime, the first that fits decides; none fits: closed."""
    days = {day: hours.day(day, calendar).intervals for day in _window(first)}
    usual = _usual(days)
    found: list[str] = []
    for day, intervals in days.items():
        if intervals != usual[day.month, day.weekday()]:
            when = f"{WEEKDAYS[day.weekday()]},{day.day},{MONTHS[day.month - 1]},{ZONE}"
            found += [f"{times},{when}?open" for times in _minutes(intervals)]
            found.append(f"*,{when}?closed")
    return found + list(_of_usual(usual))


def _window(first: date) -> Iterator[date]:
    """24 months from `first` on, which may be 29 February."""
    last = date(first.year + 2, first.month, 28) + timedelta(days=first.day - 28)
    for number in range((last - first).days):
        yield first + timedelta(days=number)


def _usual(days: dict[date, Intervals]) -> dict[tuple[int, int], Intervals]:
    counted: dict[tuple[int, int], Counter[Intervals]] = {}
    for day, intervals in days.items():
        counted.setdefault((day.month, day.weekday()), Counter())[intervals] += 1
    return {key: counter.most_common(1)[0][0] for key, counter in counted.items()}


def _of_usual(usual: dict[tuple[int, int], Intervals]) -> Iterator[str]:
    """Weekdays that are alike in the same months, and months that follow each other, share a line."""
    months: dict[tuple[Intervals, int], list[int]] = {}
    for (month, weekday), intervals in sorted(usual.items()):
        months.setdefault((intervals, weekday), []).append(month)
    weekdays: dict[tuple[Intervals, tuple[int, ...]], list[int]] = {}
    for (intervals, weekday), of in sorted(months.items(), key=lambda item: item[0][1]):
        weekdays.setdefault((intervals, tuple(of)), []).append(weekday)
    for (intervals, of_months), of_days in weekdays.items():
        for times in _minutes(intervals):
            for first, last in _runs(list(of_months)):
                for begin, end in _runs(of_days):
                    on = _range(WEEKDAYS[begin], WEEKDAYS[end])
                    in_ = "*" if (first, last) == (1, 12) else _range(MONTHS[first - 1], MONTHS[last - 1])
                    yield f"{times},{on},*,{in_},{ZONE}?open"


def _range(first: str, last: str) -> str:
    return first if first == last else f"{first}-{last}"


def _runs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    """First and last of each run of numbers that follow each other."""
    start = numbers[0]
    for before, after in pairwise([*numbers, -1]):
        if after != before + 1:
            yield start, before
            start = after


def _minutes(intervals: Intervals) -> Iterator[str]:
    """`9:00-16:59`: both minutes count. What begins or ends within a minute is rounded to the longer opening."""
    for start, end in intervals:
        last = -(-end // 60) - 1
        first = start // 60
        yield (
            "*"
            if (first, last) == (0, DAY // 60 - 1)
            else (f"{first // 60}:{first % 60:02}-{last // 60}:{last % 60:02}")
        )
