"""Other hours for given days, which 水道局長 alone may decide (3条2項, A-13), as lines of JSON. Pure.

`{"from": "2026-08-13", "to": "2026-08-15", "kind": "hours", "open": "10:00", "close": "15:00", "by": "水道局長"}`

A `to` that is a day counts with that day, one with a time of day up to but without it. What was entered late counts
from then on, what was revoked counts until then: a call of before went by what was known.
"""

import json
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Any

from policies.calendar import JST, clock, midnight
from policies.errors import PolicyError

_REMEDY = 'Write {"from": ..., "to": ..., "kind": "closed" | "hours" | "open", "by": ...}, one object a line'


class Kind(StrEnum):
    """What an override does with its days."""

    CLOSED = "closed"
    HOURS = "hours"  # open from `open` to `close` each day, and closed else
    OPEN = "open"  # also open: throughout, or each day from `open` to `close`


@dataclass(frozen=True, slots=True, kw_only=True)
class Override:
    """One decision. `hours`: seconds since midnight, of each day. `by` decided, `entered_by` typed it."""

    id: str
    start: datetime
    end: datetime
    kind: Kind
    hours: tuple[int, int] | None = None
    by: str
    entered_by: str = ""
    reason: str = ""
    entered_at: datetime | None = None
    revoked_at: datetime | None = None
    revoked: bool = False

    @property
    def span(self) -> tuple[datetime, datetime] | None:
        """From when until when it counts; None where it never does."""
        start = max(self.start, self.entered_at) if self.entered_at else self.start
        end = min(self.end, self.revoked_at) if self.revoked_at else self.end
        if (self.revoked and self.revoked_at is None) or start >= end:
            return None
        return start, end


@dataclass(frozen=True, slots=True)
class Refused:
    """A line that does not count, and why."""

    where: str
    problem: str
    remedy: str

    def __str__(self) -> str:
        """One sentence."""
        return f"{self.where}: {self.problem}. {self.remedy}"


@dataclass(frozen=True, slots=True)
class Overrides:
    """Those that count, in the order in which they were entered: of two for one moment the later one decides."""

    all: tuple[Override, ...] = ()
    refused: tuple[Refused, ...] = ()

    def find(self, identity: str) -> Override | None:
        """The one of that id."""
        return next((override for override in self.all if override.id == identity), None)


def moment(value: object, *, end: bool = False) -> datetime:
    """An ISO 8601 instant, in Japan where it names no zone; a day is its first moment, as an `end` the next day's.

    Raises ValueError.
    """
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no time")  # noqa: TRY004  # what a file says, not what a program passes
    try:
        at = datetime.fromisoformat(value.strip())
        if len(value.strip()) <= 10:
            return midnight(at.date() + timedelta(days=end))
        return (at if at.tzinfo else at.replace(tzinfo=JST)).astimezone(JST)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{value!r} is no time: write 2026-12-28 or 2026-12-28T10:00") from error


def person(text: str) -> str:
    """Who decided, however it was typed."""
    return unicodedata.normalize("NFKC", text).strip()


def parse(text: str, source: str, *authorities: str, strict: bool = True) -> Overrides:
    """The overrides in `text` that one of `authorities` decided; those of anybody else are refused.

    An entry with `revoke` takes back the one of that id. Raises PolicyError for the first line that cannot be read;
    not `strict`, such a line is refused too, for whoever has to answer whatever stands there.
    """
    made: dict[str, Override] = {}
    refused: list[Refused] = []
    for number, line in enumerate(text.split("\n"), start=1):  # not U+2028 or U+0085: those may stand in a reason
        if not line.strip():
            continue
        where = f"{source}:{number}"
        try:
            refusal = _take(made, _object(line, where), where, authorities)
        except PolicyError as error:
            if strict:
                raise
            refusal = Refused(error.where, error.problem, error.remedy)
        if refusal:
            refused.append(refusal)
    return Overrides(tuple(made.values()), tuple(refused))


def _object(line: str, where: str) -> dict[str, Any]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise PolicyError(where, f"not JSON ({error})", _REMEDY) from error
    if not isinstance(entry, dict):
        raise PolicyError(where, "not an object", _REMEDY)
    return entry


def _take(
    made: dict[str, Override], entry: Mapping[str, Any], where: str, authorities: Sequence[str]
) -> Refused | None:
    # Whoever names nobody has no authority either: his line counts for nothing, and the others still do.
    by = person(str(entry.get("by") or ""))
    if not by or by not in authorities:
        remedy = f"Other hours are decided by {', '.join(authorities) or 'nobody'} alone"
        return Refused(f"{where}: by", f"{by!r} does not count", remedy)
    if "revoke" in entry:
        known = made.get(_text(entry, "revoke", where))
        if known is None:
            raise PolicyError(f"{where}: revoke", "no override of that id stands before it", "Name one that does")
        if not known.revoked:  # who takes it back a second time changes nothing
            made[known.id] = replace(known, revoked=True, revoked_at=_time(entry, "entered_at", where))
        return None
    override = _override(entry, where, by)
    if override.id in made:
        raise PolicyError(f"{where}: id", f"{override.id!r} stands here twice", "Give each its own")
    made[override.id] = override
    return None


_KNOWN = frozenset(
    (
        *("id", "from", "to", "kind", "open", "close", "by", "entered_by", "entered_at", "reason"),
        "revoked",
        "revoked_at",
    )
)


def _override(entry: Mapping[str, Any], where: str, by: str) -> Override:
    if unknown := sorted(entry.keys() - _KNOWN):
        raise PolicyError(f"{where}: {unknown[0]}", "unknown", _REMEDY)
    try:
        kind = Kind(_text(entry, "kind", where))
    except ValueError as error:
        raise PolicyError(f"{where}: kind", f"{entry['kind']!r} is none", _REMEDY) from error
    start, end = _time(entry, "from", where), _time(entry, "to", where, end=True)
    if start is None or end is None:
        raise PolicyError(f"{where}: {'to' if start else 'from'}", "is missing", _REMEDY)
    if start >= end:
        raise PolicyError(f"{where}: to", "does not come after `from`", "Name a later day or time")
    revoked = entry.get("revoked")
    if revoked is not None and not isinstance(revoked, bool | str):
        raise PolicyError(f"{where}: revoked", f"{revoked!r} is neither true, false nor a time", _REMEDY)
    return Override(
        id=str(entry.get("id") or where.rpartition(":")[2]),
        start=start,
        end=end,
        kind=kind,
        hours=_hours(entry, kind, where),
        by=by,
        entered_by=str(entry.get("entered_by") or ""),
        reason=str(entry.get("reason") or ""),
        entered_at=_time(entry, "entered_at", where),
        revoked=bool(revoked),
        revoked_at=_time(entry, "revoked" if isinstance(revoked, str) else "revoked_at", where),
    )


def _hours(entry: Mapping[str, Any], kind: Kind, where: str) -> tuple[int, int] | None:
    given = {name: entry[name] for name in ("open", "close") if entry.get(name) is not None}
    if kind is Kind.CLOSED and given:
        raise PolicyError(f"{where}: {next(iter(given))}", "kind closed has no hours", "Leave it out, or write hours")
    if not given and kind is not Kind.HOURS:
        return None
    for name in ("open", "close"):
        if name not in given:
            raise PolicyError(f"{where}: {name}", "is missing", "Write both, as 10:00")
    found = []
    for name in ("open", "close"):
        try:
            found.append(clock(str(given[name])))
        except ValueError as error:
            raise PolicyError(f"{where}: {name}", str(error), "Write it as 10:00") from error
    if found[0] >= found[1]:
        raise PolicyError(f"{where}: close", "does not come after `open`", "Hours lie within one day")
    return found[0], found[1]


def _text(entry: Mapping[str, Any], name: str, where: str) -> str:
    value = entry.get(name)
    if not isinstance(value, str) or not value.strip():
        raise PolicyError(f"{where}: {name}", "is missing" if value is None else f"{value!r} is no text", _REMEDY)
    return value


def _time(entry: Mapping[str, Any], name: str, where: str, *, end: bool = False) -> datetime | None:
    value = entry.get(name)
    if value is None or value == "":
        return None
    try:
        return moment(value, end=end)
    except ValueError as error:
        raise PolicyError(f"{where}: {name}", str(error), _REMEDY) from error


def days(span: tuple[datetime, datetime]) -> tuple[date, date]:
    """The first and the last day that it touches."""
    return span[0].date(), (span[1] - timedelta(microseconds=1)).date()
