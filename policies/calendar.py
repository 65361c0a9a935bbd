"""What `hours.toml` and `holidays.toml` may say (A-07 to A-13, A-46, L-12, L-14)."""

import re
from datetime import date, datetime, time, timedelta, timezone
from enum import StrEnum
from typing import Annotated, Final, Literal

from pydantic import BeforeValidator, Field, StringConstraints, model_validator

from policies.model import Name, Part, Policy

JST: Final = timezone(timedelta(hours=9), "JST")
"""Japan's legal time, without summer time since 1951: a fixed offset."""

DAY: Final = 24 * 3600
WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
Weekday = Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]
Month = Annotated[int, Field(ge=1, le=12)]

_CLOCK = re.compile(r"(\d\d?):(\d\d)(?::(\d\d))?", re.ASCII)


class HolidayKind(StrEnum):
    """What kind of holiday the law makes a day (国民の祝日に関する法律 2条, 3条2項, 3条3項)."""

    NATIONAL = "国民の祝日"
    SUBSTITUTE = "振替休日"
    BETWEEN = "国民の休日"


def clock(text: str) -> int:
    """`17:30` or `24:00` as seconds since midnight. Raises ValueError."""
    match = _CLOCK.fullmatch(text.strip())
    if match:
        hours, minutes, seconds = int(match[1]), int(match[2]), int(match[3] or 0)
        total = hours * 3600 + minutes * 60 + seconds
        if minutes < 60 and seconds < 60 and total <= DAY:
            return total
    raise ValueError(f"{text!r} is no time of day: write 09:00, at most 24:00")


def clock_text(seconds: int) -> str:
    """Seconds since midnight as `17:30`, with the seconds where there are any."""
    text = f"{seconds // 3600:02}:{seconds // 60 % 60:02}"
    return f"{text}:{seconds % 60:02}" if seconds % 60 else text


def interval_text(interval: tuple[int, int]) -> str:
    """`09:00-17:00`"""
    return f"{clock_text(interval[0])}-{clock_text(interval[1])}"


def _interval(value: object) -> object:
    if not isinstance(value, str):
        return value
    begins, dash, ends = value.partition("-")
    if not dash:
        raise ValueError(f"{value!r} is no interval: write 09:00-17:00")
    start, end = clock(begins), clock(ends)
    if start >= end:
        raise ValueError(f"{value!r} ends before it begins: an interval lies within one day")
    return start, end


Interval = Annotated[tuple[int, int], BeforeValidator(_interval, json_schema_input_type=str)]
"""Seconds since midnight, the second without: written `09:00-17:00`."""


def _month_day(value: object) -> object:
    if not isinstance(value, str):
        return value
    try:
        day = datetime.strptime(f"2000-{value}", "%Y-%m-%d").replace(tzinfo=JST)
    except ValueError as error:
        raise ValueError(f"{value!r} is no day of the year: write 12-29") from error
    return day.month, day.day


MonthDay = Annotated[tuple[int, int], BeforeValidator(_month_day, json_schema_input_type=str)]
"""Month and day: written `12-29`."""


class DayClass(Part):
    """Days that are treated alike. A day is of this class if all that is stated here fits it; the first class decides.

    `hours` empty: closed. `basis` is the rule's id, `article` its place in the calendar's `source`.
    """

    name: Name
    title: str
    weekdays: tuple[Weekday, ...] = ()
    months: tuple[Month, ...] = ()
    dates: tuple[MonthDay, ...] = ()
    holidays: tuple[HolidayKind, ...] = ()
    hours: tuple[Interval, ...]
    basis: Annotated[str, StringConstraints(pattern=r"^[A-Z]-\d\d$")]
    article: str

    @model_validator(mode="after")
    def _in_order(self) -> "DayClass":
        for before, after in zip(self.hours, self.hours[1:], strict=False):
            if before[1] > after[0]:
                raise ValueError(f"hours of {self.name!r}: the intervals overlap, or are not in order")
        return self

    @property
    def whatever(self) -> bool:
        """Whether every day is of this class that is of none before it."""
        return not (self.weekdays or self.months or self.dates or self.holidays)

    def fits(self, day: date, holiday: HolidayKind | None) -> bool:
        """Whether `day`, which is such a `holiday`, is of this class."""
        return (
            (not self.weekdays or WEEKDAYS[day.weekday()] in self.weekdays)
            and (not self.months or day.month in self.months)
            and (not self.dates or (day.month, day.day) in self.dates)
            and (not self.holidays or holiday in self.holidays)
        )


class Calendar(Part):
    """Whose hours they are. `source`: the text that the articles are of."""

    name: Name
    title: str
    source: str
    overridden_by: str = ""
    next_business_day: Literal["after-day", "same-day"] = "after-day"
    day: tuple[DayClass, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _decides_every_day(self) -> "Calendar":
        names = [kind.name for kind in self.day]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"class of day named twice in {self.name!r}: {', '.join(twice)}")
        if not self.day[-1].whatever:
            raise ValueError(f"the last class of day of {self.name!r} must take every day that is left: state no days")
        if early := next((kind.name for kind in self.day[:-1] if kind.whatever), None):
            raise ValueError(f"class of day {early!r} takes every day, so those behind it decide nothing")
        return self

    def class_of(self, day: date, holiday: HolidayKind | None) -> DayClass:
        """The class of day that decides."""
        return next(kind for kind in self.day if kind.fits(day, holiday))


class Hours(Policy):
    """`hours.toml`: when the centre and the sections answer (3条)."""

    calendar: tuple[Calendar, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Hours":
        names = [calendar.name for calendar in self.calendar]
        if twice := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"calendar named twice: {', '.join(twice)}")
        if "centre" not in names:
            raise ValueError("no [[calendar]] is named 'centre'")
        return self

    def of(self, name: str) -> Calendar:
        """The calendar of that name. Raises KeyError."""
        for calendar in self.calendar:
            if calendar.name == name:
                return calendar
        raise KeyError(name)


class HolidayFiles(Policy):
    """`holidays.toml`: which files say what day is a holiday (祝日法)."""

    table: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]
    sha256: Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
    forecast: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")]


def midnight(day: date) -> datetime:
    """The beginning of `day` in Japan."""
    return datetime.combine(day, time(), JST)
