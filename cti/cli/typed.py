"""Times and days that were typed."""

import re
from datetime import date, datetime

from cti.errors import UsageError
from cti.explain import localise
from cti.i18n import _
from policies.calendar import JST
from policies.overrides import moment

YEARS = (1900, 9998)


def time_of(text: str, where: str = "TIME") -> datetime:
    """An instant that was typed. Raises UsageError."""
    try:
        at = moment(text)
    except ValueError as error:
        raise UsageError(f"{where}: {localise(str(error))}") from error
    if not YEARS[0] <= at.year <= YEARS[1]:
        raise UsageError(
            _("{where}: {text}: a year from {first} to {last} is needed").format(
                where=where, text=text, first=YEARS[0], last=YEARS[1]
            )
        )
    return at


def day_of(text: str, where: str) -> date:
    """A day in Japan that was typed. Raises UsageError."""
    if not re.fullmatch(r"\d{4}-\d\d-\d\d", text):
        raise UsageError(_("{where}: {text!r} is no day: write 2027-04-01").format(where=where, text=text))
    return time_of(text, where).astimezone(JST).date()
