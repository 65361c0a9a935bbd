"""A year's opening hours as an iCalendar file (RFC 5545): one event for each interval in which it is open."""

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from policies.calendar import midnight
from policies.hours import Day, Reason

LINE = 75  # octets (RFC 5545 3.1)


def year_ics(days: Iterable[Day], now: datetime) -> str:
    """The file; times are written in UTC, which every calendar reads alike."""
    return "".join(f"{line}\r\n" for text in _lines(days, now) for line in _folded(text))


def _lines(days: Iterable[Day], now: datetime) -> Iterator[str]:
    yield from ("BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Kikitori//hours//JA", "CALSCALE:GREGORIAN")
    for day in days:
        for start, end in day.intervals:
            begin = midnight(day.date)
            yield "BEGIN:VEVENT"
            yield f"UID:{day.date:%Y%m%d}-{start}-{day.calendar.name}@kikitori"
            yield f"DTSTAMP:{_utc(now)}"
            yield f"DTSTART:{_utc(begin + timedelta(seconds=start))}"
            yield f"DTEND:{_utc(begin + timedelta(seconds=end))}"
            why = _reason(day, start, end)
            yield f"SUMMARY:{_text(f'{day.calendar.title} ({why.title})')}"
            name = f"{day.holiday.name} " if day.holiday else ""
            yield f"DESCRIPTION:{_text(f'{name}{why.basis} ({why.rule})')}"
            yield "END:VEVENT"
    yield "END:VCALENDAR"


def _reason(day: Day, start: int, end: int) -> Reason:
    """Why it is open then: a decision, where one has to do with it."""
    reasons = [span.reason for span in day.spans if span.open and span.start < end and span.end > start]
    return next((reason for reason in reasons if reason.override), reasons[0])


def _utc(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y%m%dT%H%M%SZ")


def _text(value: str) -> str:
    for special in ("\\", ";", ","):
        value = value.replace(special, f"\\{special}")
    return value.replace("\n", "\\n")


def _folded(line: str) -> Iterator[str]:
    """Lines of 75 octets at most, cut between characters; all but the first begin with a space."""
    piece, size = "", 0
    for character in line:
        width = len(character.encode())
        if size + width > LINE:
            yield piece
            piece, size = " ", 1
        piece, size = piece + character, size + width
    yield piece
