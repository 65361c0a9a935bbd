"""Days and times as people write them into a sheet -> what they are. What can be read in two ways is refused. Pure."""

import re
from datetime import date, datetime, time, timedelta
from typing import Final

from cti.cases.contact import folded
from cti.i18n import _
from cti.sheets.table import Cell

_ERAS: Final = {
    "R": ("令和", date(2019, 5, 1), date.max), "H": ("平成", date(1989, 1, 8), date(2019, 4, 30)),
    "S": ("昭和", date(1926, 12, 25), date(1989, 1, 7)),
}  # fmt: skip
_NAMES: Final = {"令和": "R", "令": "R", "平成": "H", "平": "H", "昭和": "S", "昭": "S"}
_WEEKDAYS: Final = "月火水木金土日"
_DAY: Final = re.compile(
    r"(?:(?P<era>令和|平成|昭和|令|平|昭|[RHS])\s*(?P<of>元|[0-9]{1,2})|(?P<year>[0-9]{4}))\s*"
    r"(?:年\s*(?P<m1>[0-9]{1,2})\s*月\s*(?P<d1>[0-9]{1,2})\s*日"
    r"|(?P<sep>[/.\-])\s*(?P<m2>[0-9]{1,2})\s*(?P=sep)\s*(?P<d2>[0-9]{1,2})(?![0-9]))"
    r"\s*(?:\((?P<weekday>[月火水木金土日])(?:曜日?)?\))?",
    re.IGNORECASE,
)
_PLAIN: Final = re.compile(r"(?P<year>(?:19|20)[0-9]{2})(?P<m1>[0-9]{2})(?P<d1>[0-9]{2})")
_CLOCK: Final = re.compile(
    r"(?P<half>午前|午後)?\s*(?P<hour>[0-9]{1,2})"
    r"(?::(?P<minute>[0-9]{2})(?::(?P<second>[0-9]{2}))?\s*(?P<m>[ap]m)?|時(?:(?P<min>[0-9]{1,2})分|(?P<at>半))?)",
    re.IGNORECASE,
)
_NUMBER: Final = re.compile(r"[0-9]{5}(?:\.[0-9]+)?")
_EPOCH: Final = datetime(1899, 12, 30)  # noqa: DTZ001  # a day of Excel has no zone
_SERIALS: Final = (32_874, 73_051)
"""Numbers that are days of 1990 to 2099, counted as Excel does."""


class UnclearError(ValueError):
    """What stands there is no day or time, or might be two. The text is the reader's."""


def day(cell: Cell, *, old: bool = False) -> tuple[date, time | None]:
    """The day, and the time where one is written with it. `old`: numbers count from 1904. Raises UnclearError."""
    if isinstance(cell, datetime):
        return cell.date(), cell.time().replace(microsecond=0) if cell.time() != time.min else None
    if isinstance(cell, date):
        return cell, None
    if isinstance(cell, int | float) and not isinstance(cell, bool):
        cell = f"{cell:.10f}".rstrip("0").rstrip(".")
    text = folded(cell).strip() if isinstance(cell, str) else ""
    if _NUMBER.fullmatch(text):
        return _counted(float(text), old=old)
    if found := _PLAIN.fullmatch(text):
        return _written(found, found["m1"], found["d1"]), None
    if (found := _DAY.match(text)) is None:
        raise UnclearError(_unclear(text))
    rest = text[found.end() :]
    if rest and not (rest[0] in " T" or text[found.end() - 1] in "日) "):
        raise UnclearError(_("no day that can be read: write 2026/4/1 or 令和8年4月1日"))
    made = _written(found, found["m1"] or found["m2"], found["d1"] or found["d2"])
    if found["weekday"] and _WEEKDAYS[made.weekday()] != found["weekday"]:
        raise UnclearError(_("that day is no {weekday}曜: one of the two is wrong").format(weekday=found["weekday"]))
    return made, clock(rest.removeprefix("T")) if rest.strip() else None


def clock(cell: Cell) -> time:
    """A time of day. Raises UnclearError."""
    if isinstance(cell, time):
        return cell.replace(microsecond=0, tzinfo=None)
    if isinstance(cell, float) and 0 <= cell < 1:
        return _of_a_day(cell)
    if isinstance(cell, timedelta) and timedelta() <= cell < timedelta(days=1):
        return _of_a_day(cell / timedelta(days=1))
    found = _CLOCK.fullmatch(folded(cell).strip()) if isinstance(cell, str) else None
    if found is None:
        raise UnclearError(_("no time that can be read: write 13:05"))
    hour, half = int(found["hour"]), found["half"] or (found["m"] or "").lower()
    if found["half"] and (found["m"] or hour == 12):
        raise UnclearError(_("午前 or 午後 with 12 may be noon or midnight: write 0:30 or 12:30"))
    if half and hour > 12:
        raise UnclearError(_("no such time: hours are 0 to 23, minutes 0 to 59"))
    if half:
        hour = hour % 12 + (12 if half in ("午後", "pm") else 0)
    minute = 30 if found["at"] else int(found["minute"] or found["min"] or 0)
    try:
        return time(hour, minute, int(found["second"] or 0))
    except ValueError as error:
        raise UnclearError(_("no such time: hours are 0 to 23, minutes 0 to 59")) from error


def _counted(number: float, *, old: bool) -> tuple[date, time | None]:
    """A day as Excel counts them."""
    if old:
        raise UnclearError(_("a number in a workbook whose days count from 1904: give the column the form of a date"))
    whole = int(number)
    if not _SERIALS[0] <= whole < _SERIALS[1]:
        raise UnclearError(_("no day that can be read: write 2026/4/1 or 令和8年4月1日"))
    made = _EPOCH + timedelta(days=whole)
    return made.date(), _of_a_day(number - whole) if number != whole else None


def _of_a_day(part: float) -> time:
    seconds = min(round(part * 86_400), 86_399)
    return time(seconds // 3600, seconds // 60 % 60, seconds % 60)


def _written(found: re.Match[str], month: str, of_month: str) -> date:
    era = found.groupdict().get("era")
    try:
        if era is None:
            return date(int(found["year"]), int(month), int(of_month))
        name, first, last = _ERAS[_NAMES.get(era, era.upper())]
        number = 1 if found["of"] == "元" else int(found["of"])
        made = date(first.year + number - 1, int(month), int(of_month))
    except ValueError as error:
        raise UnclearError(_("there is no such day")) from error
    if number == 0 or not first <= made <= last:
        raise UnclearError(_("there is no such day of {era}").format(era=name))
    return made


def _unclear(text: str) -> str:
    if re.fullmatch(r"[0-9]{1,2}(?:[/.\-年][0-9]{1,2})(?:[/.\-月][0-9]{1,4})?日?.*", text) or re.match(
        r"[0-9]{1,2}月", text
    ):
        return _("a day without a whole year can be several: write 2026/4/1 or 令和8年4月1日")
    return _("no day that can be read: write 2026/4/1 or 令和8年4月1日")
