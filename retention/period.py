"""Periods of months and years as the Civil Code reckons them (民法138-143条; L-13). Pure."""

from calendar import monthrange
from datetime import date, datetime, time, timedelta
from typing import Final

from policies.calendar import JST

_DAY: Final = timedelta(days=1)


def day_of(at: datetime) -> date:
    """The date in Japan."""
    return at.astimezone(JST).date()


def last_day(begins: date, months: int) -> date:
    """The last day of a period of `months` whose first day is counted, `begins` (143条).

    That is the day before the one that corresponds to `begins`; where the last month has no such day, its end.
    """
    year, month = divmod(begins.year * 12 + begins.month - 1 + months, 12)
    end = monthrange(year, month + 1)[1]
    return date(year, month + 1, begins.day) - _DAY if begins.day <= end else date(year, month + 1, end)


def after(day: date, months: int) -> date:
    """The last day of a period of `months` from an event of that day, which is not counted itself (140条)."""
    return last_day(day + _DAY, months)


def fiscal_year_after(day: date) -> date:
    """The first 1 April after it."""
    return date(day.year + (day.month > 3), 4, 1)


def over(last: date) -> datetime:
    """The first moment after a period: midnight in Japan (141条)."""
    return datetime.combine(last + _DAY, time(), JST)
