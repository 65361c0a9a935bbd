"""The Cabinet Office's table of holidays, split into the three kinds of the law, and the forecast behind it. Pure."""

import csv
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import date, timedelta

from policies.calendar import HolidayKind
from policies.errors import PolicyError

UNNAMED = "休日"
"""What the table calls days of 3条2項 and 3条3項 alike."""

_ONE_DAY = timedelta(days=1)
_DAY = re.compile(r"([0-9]{4})/([0-9]{1,2})/([0-9]{1,2})")


@dataclass(frozen=True, slots=True)
class Holiday:
    """One day. `forecast`: no table names it yet, the law as it stands does."""

    day: date
    name: str
    kind: HolidayKind
    forecast: bool = False


class Holidays:
    """What is known of holidays: a table, and a forecast for the years behind its last one."""

    def __init__(self, table: Iterable[Holiday], forecast: Iterable[Holiday] = ()) -> None:
        """Of the forecast only what lies behind the last year of the table counts."""
        days = {holiday.day: holiday for holiday in table}
        self.first_year = min((day.year for day in days), default=0)
        self.table_until = max((day.year for day in days), default=0)
        days |= {holiday.day: holiday for holiday in forecast if holiday.day.year > self.table_until}
        self._forecast = {day.year for day, holiday in days.items() if holiday.forecast}
        self.days: Mapping[date, Holiday] = days

    def on(self, day: date) -> Holiday | None:
        """The holiday that `day` is."""
        return self.days.get(day)

    def certainty(self, year: int) -> str:
        """`table`, `forecast` or `unknown`: what is known of a year's holidays."""
        if self.first_year <= year <= self.table_until:
            return "table"
        return "forecast" if year in self._forecast else "unknown"


def parse_table(data: bytes, source: str) -> list[Holiday]:
    """The Cabinet Office's file (cp932: a heading, then `1955/1/1,元日`). Raises PolicyError naming file and line."""
    try:
        text = data.decode("cp932")
    except UnicodeDecodeError as error:
        raise PolicyError(source, "not the Cabinet Office's table: not in its encoding (cp932)", _AS_IT_IS) from error
    names: dict[date, str] = {}
    last = date.min
    for number, row in _rows(text, source):
        if number == 1 or not any(row):
            continue
        where = f"{source}:{number}"
        if len(row) != 2 or not row[1].strip():
            raise PolicyError(where, "a day and its name are needed", _AS_IT_IS)
        day = _day(row[0].strip(), where)
        if day <= last:
            raise PolicyError(where, f"{row[0]} does not come after the day before it", _AS_IT_IS)
        names[day], last = row[1].strip(), day
    if not names:
        raise PolicyError(source, "no day in it", _AS_IT_IS)
    return [Holiday(day, name, kind) for day, (name, kind) in _split(names, source).items()]


def _day(text: str, where: str) -> date:
    """`1955/1/1`. Without strptime, which took two thirds of the time that a policy folder needs to be read."""
    if not (match := _DAY.fullmatch(text)):
        raise PolicyError(where, f"{text!r} is no day", _AS_IT_IS)
    year, month, day = map(int, match.groups())
    try:
        return date(year, month, day)
    except ValueError as error:
        raise PolicyError(where, f"{text!r} is no day", _AS_IT_IS) from error


def _rows(text: str, source: str) -> Iterator[tuple[int, list[str]]]:
    try:
        yield from enumerate(csv.reader(text.splitlines()), start=1)
    except csv.Error as error:
        raise PolicyError(source, f"not a table ({error})", "Take the file as it was") from error


_AS_IT_IS = "Take the Cabinet Office's file as it is"


def _split(names: Mapping[date, str], source: str) -> dict[date, tuple[str, HolidayKind]]:
    """The kind of each day: the table calls 振替休日 and 国民の休日 both 休日.

    Days that a law of their own made holidays (結婚の儀, 即位の日) count as 国民の祝日: so those laws say.
    """
    kinds: dict[date, tuple[str, HolidayKind]] = {}
    for day, name in names.items():
        if name != UNNAMED:
            kinds[day] = (name, HolidayKind.NATIONAL)
        elif _instead_of_a_sunday(day, names):
            kinds[day] = (HolidayKind.SUBSTITUTE.value, HolidayKind.SUBSTITUTE)
        elif _national(day - _ONE_DAY, names) and _national(day + _ONE_DAY, names):
            kinds[day] = (HolidayKind.BETWEEN.value, HolidayKind.BETWEEN)
        else:
            raise PolicyError(f"{source}: {day:%Y/%-m/%-d}", "neither 振替休日 nor 国民の休日 by the law", _AS_IT_IS)
    return kinds


def _national(day: date, names: Mapping[date, str]) -> bool:
    return names.get(day, UNNAMED) != UNNAMED


def _instead_of_a_sunday(day: date, names: Mapping[date, str]) -> bool:
    before = day - _ONE_DAY
    while _national(before, names):
        if before.weekday() == 6:
            return True
        before -= _ONE_DAY
    return False


def parse_forecast(text: str, source: str) -> list[Holiday]:
    """`2026-01-01,国民の祝日,元日` a line, after a heading. Raises PolicyError naming file and line."""
    found = []
    for number, row in _rows(text, source):
        if number == 1 or not any(row):
            continue
        try:
            day, kind, name = row
            found.append(Holiday(date.fromisoformat(day), name, HolidayKind(kind), forecast=True))
        except ValueError as error:
            remedy = "Write 2026-01-01,国民の祝日,元日"
            raise PolicyError(f"{source}:{number}", "a day, its kind and its name are needed", remedy) from error
    return found


@dataclass(frozen=True, slots=True)
class Change:
    """A day that is something else than before; None: no holiday."""

    day: date
    before: Holiday | None
    after: Holiday | None


def changes(before: Holidays, after: Holidays) -> list[Change]:
    """What is not the same: days that came, went, or changed their name or kind. A forecast that came true is none."""
    found = []
    for day in sorted(before.days.keys() | after.days.keys()):
        old, new = before.on(day), after.on(day)
        if (old and (old.name, old.kind)) != (new and (new.name, new.kind)):
            found.append(Change(day, old, new))
    return found
