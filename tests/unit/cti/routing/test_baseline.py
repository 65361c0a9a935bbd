"""The dialplan's own hours: lines of GotoIfTime, read as Asterisk reads them, say what the policy says."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.routing.baseline import lines
from policies.calendar import DAY, midnight
from policies.hours import OpeningHours
from policies.load import Policies, shipped
from policies.overrides import Kind, Override, Overrides

pytestmark = pytest.mark.thorough

POLICIES = Policies(shipped())
FIRST_DAYS = (
    date(2026, 11, 26), date(2026, 12, 31), date(2027, 1, 1), date(2027, 2, 28), date(2027, 3, 31), date(2027, 10, 30),
    date(2028, 1, 31), date(2028, 2, 28), date(2028, 2, 29), date(2028, 3, 1), date(2028, 12, 29),
)  # fmt: skip
CALENDARS = ("centre", "office")
MINUTES = DAY // 60
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_TIME = r"(?:[01]?\d|2[0-3]):[0-5]\d"
_WEEKDAY, _MONTH, _NUMBER = (f"(?:{'|'.join(names)})" for names in (WEEKDAYS, MONTHS, map(str, range(31, 0, -1))))
LINE = re.compile(
    rf"(?P<times>\*|{_TIME}-{_TIME}),(?P<weekdays>{_WEEKDAY}(?:-{_WEEKDAY})?),(?P<days>\*|{_NUMBER}),"
    rf"(?P<months>\*|{_MONTH}(?:-{_MONTH})?),JST-9\?(?P<label>open|closed)",
    re.ASCII,
)


def _span(text: str, names: list[str]) -> frozenset[int]:
    """Places of the range `text`; both ends count, and one that ends before it begins goes round (pbx_timing.c)."""
    if text == "*":
        return frozenset(range(len(names)))
    first, _, last = text.partition("-")
    begin, end = names.index(first), names.index(last or first)
    return frozenset((begin + step) % len(names) for step in range((end - begin) % len(names) + 1))


@dataclass(frozen=True)
class GotoIfTime:
    """One line as Asterisk reads it, to the minute."""

    times: range
    weekdays: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    label: str

    @classmethod
    def read(cls, line: str) -> "GotoIfTime":
        found = LINE.fullmatch(line)
        assert found, line
        begin, end = 0, MINUTES - 1
        if found["times"] != "*":
            begin, end = (int(hour) * 60 + int(minute) for hour, minute in re.findall(r"(\d+):(\d+)", found["times"]))
        assert begin <= end, line
        return cls(
            range(begin, end + 1),
            _span(found["weekdays"], list(WEEKDAYS)),
            _span(found["days"], [str(day) for day in range(1, 32)]),
            _span(found["months"], list(MONTHS)),
            found["label"],
        )

    def of(self, day: date) -> bool:
        return day.weekday() in self.weekdays and day.day - 1 in self.days and day.month - 1 in self.months


class Dialplan:
    """All lines; the first that fits decides, none fits: closed."""

    def __init__(self, text: list[str]) -> None:
        self._lines = [GotoIfTime.read(line) for line in text]

    def wrong(self, day: date, hours: OpeningHours, calendar: str) -> Iterator[str]:
        """Minutes at the boundaries of `day` that policy and dialplan do not agree on."""
        mine = [line for line in self._lines if line.of(day)]
        edges = {second // 60 for interval in hours.day(day, calendar).intervals for second in interval}
        for minute in sorted(
            {0, MINUTES - 1, *(edge + by for edge in edges for by in (-1, 0, 1))} & set(range(MINUTES))
        ):
            said = next((line.label for line in mine if minute in line.times), "closed")
            at = midnight(day) + timedelta(minutes=minute)
            if (said == "open") is not hours.at(at, calendar).open:
                yield f"{at:%F %a %R} is {said}"


def two_years(first: date) -> Iterator[date]:
    """24 months from `first` on."""
    last = first.replace(year=first.year + 2, day=28) + timedelta(days=first.day - 28)
    return (first + timedelta(days=number) for number in range((last - first).days))


def disagreements(hours: OpeningHours, calendar: str, first: date) -> list[str]:
    dialplan = Dialplan(lines(hours, calendar, first))
    return [text for day in two_years(first) for text in dialplan.wrong(day, hours, calendar)]


@pytest.mark.rule("A-08", "A-09", "A-10", "A-11")
@pytest.mark.parametrize("calendar", CALENDARS)
@pytest.mark.parametrize("first", FIRST_DAYS)
def test_each_day_of_two_years_is_as_the_policy_says(first: date, calendar: str) -> None:
    assert disagreements(POLICIES.opening_hours(), calendar, first) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("months = [3, 4]", "months = [1, 3, 4, 10, 12]"),
        ('weekdays = ["sat"]', 'weekdays = ["mon", "wed", "thu", "sat"]'),
        ('hours = ["08:00-20:00"]', 'hours = ["08:00-12:00", "12:45-20:00"]'),
        ('hours = ["08:00-20:00"]', 'hours = ["00:00-24:00"]'),
        ('hours = ["08:00-20:00"]', "hours = []"),
    ],
)
def test_other_hours_than_those_that_come_with_it_are_said_as_well(tmp_path: Path, old: str, new: str) -> None:
    copytree(shipped(), tmp_path, dirs_exist_ok=True)
    text = (tmp_path / "hours.toml").read_text("utf-8")
    assert old in text
    (tmp_path / "hours.toml").write_text(text.replace(old, new), "utf-8")
    assert disagreements(Policies(tmp_path).opening_hours(), "centre", date(2027, 2, 28)) == []


@st.composite
def whole_days(draw: st.DrawFn, first: date) -> Override:
    begin = first + timedelta(days=draw(st.integers(-5, 735)))
    end = begin + timedelta(days=draw(st.integers(1, 20)))
    kind = draw(st.sampled_from(Kind))
    opens = draw(st.integers(0, MINUTES - 1))
    closes = draw(st.integers(opens + 1, MINUTES))
    stated = kind is Kind.HOURS or (kind is Kind.OPEN and draw(st.booleans()))
    return Override(
        id="x", start=midnight(begin), end=midnight(end), kind=kind, by="水道局長",
        hours=(opens * 60, closes * 60) if stated else None,
    )  # fmt: skip


@pytest.mark.rule("A-13")
@settings(max_examples=25, deadline=None)
@given(st.data())
def test_decisions_on_whole_days_are_in_the_dialplan_too(data: st.DataObject) -> None:
    first = data.draw(st.sampled_from(FIRST_DAYS) | st.dates(date(2026, 1, 1), date(2030, 12, 31)))
    given_ = data.draw(st.lists(whole_days(first), max_size=4))
    hours = POLICIES.opening_hours(Overrides(tuple(given_)))
    assert disagreements(hours, "centre", first) == []


@settings(max_examples=25, deadline=None)
@given(st.dates(date(2026, 1, 1), date(2030, 12, 31)), st.sampled_from(CALENDARS))
def test_a_line_is_a_time_without_a_year(first: date, calendar: str) -> None:
    found = lines(POLICIES.opening_hours(), calendar, first)
    assert [line for line in found if not LINE.fullmatch(line)] == []
    assert [line for line in found if re.search(r"20\d\d(?!:)", line.replace("20:00", ""))] == []
    assert len(set(found)) == len(found), "no line stands twice"


def test_what_ends_within_a_minute_is_open_until_that_minute_is_over() -> None:
    day = date(2027, 6, 9)
    half = Override(
        id="x", start=midnight(day), end=midnight(day + timedelta(days=1)), kind=Kind.HOURS, by="水道局長",
        hours=(9 * 3600 + 30, 10 * 3600 + 30),
    )  # fmt: skip
    hours = POLICIES.opening_hours(Overrides((half,)))
    assert "9:00-10:00,wed,9,jun,JST-9?open" in lines(hours, "centre", day)


def test_a_day_that_is_closed_shadows_what_is_usual() -> None:
    day = date(2027, 12, 31)
    found = lines(POLICIES.opening_hours(), "centre", date(2027, 1, 1))
    special = found.index("*,fri,31,dec,JST-9?closed")
    usual = [place for place, line in enumerate(found) if GotoIfTime.read(line).of(day) and line.endswith("open")]
    assert usual
    assert special < min(usual)
