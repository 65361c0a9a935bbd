"""Other hours: what a decision would change, the decision entered, taken back. 水道局長 decides alone (3条2項, A-13).

Who enters it is named beside: 課長, once people have accounts (B-29). First into the access log, then into the file.
"""

import json
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

from cti.errors import FieldError, NotEntitledError, NotFoundError, UsageError
from cti.explain import localise
from cti.hours import RESERVE, check_room, enter, known, line_of
from cti.i18n import _
from policies.calendar import JST, interval_text, midnight
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.load import Policies
from policies.overrides import Override, Overrides, days, parse, person

AHEAD: Final = timedelta(days=3660)
BEHIND: Final = timedelta(days=366)
"""How far ahead a decision may reach, and how far back begin: what is typed wrong is often a year or ten off."""

_CLOCK = re.compile(r"\d{1,2}:\d\d", re.ASCII)
Tell = Callable[[str, str, Mapping[str, Any]], object]
"""Puts action, object and detail into the access log, durable when it returns."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposal:
    """A decision as it would stand in the file, and the days that it would change: date, before, after, class."""

    entry: Mapping[str, Any]
    changes: list[dict[str, Any]]


class Deciding:
    """The decisions of an installation."""

    def __init__(self, policies: Path, hours: Path) -> None:
        """Both are read each time."""
        self._policies, self._hours = policies, hours

    def all(self) -> list[Override]:
        """The newest first. Raises PolicyError."""
        found = known(self._policies, self._hours)[1].all
        return sorted(found, key=lambda override: override.entered_at or override.start, reverse=True)

    def propose(self, stated: Mapping[str, Any], entered_by: str, now: datetime) -> Proposal:
        """What `stated` would change: kind, from, to, open, close, reason and by. Nothing is written.

        Without `from`: from `now` on; without `to`: to the end of the day; 15:00 there: today. Raises FieldError,
        NotEntitledError, UsageError, PolicyError.
        """
        at = now.astimezone(JST)
        given = {name: value for name, value in stated.items() if value is not None}
        end = str(given.get("to", midnight(at.date() + timedelta(days=1)).isoformat()))
        if _CLOCK.fullmatch(end):
            end = f"{at.date().isoformat()}T{end.zfill(5)}:00+09:00"
        entry = {"id": f"{at:%Y%m%d}-{secrets.token_hex(4)}", "from": at.isoformat(), **given, "to": end}
        entry |= {"reason": _reason(given.get("reason")), "by": person(str(given.get("by") or ""))}
        entry |= {"entered_by": entered_by, "entered_at": at.isoformat()}
        policies, before_it = known(self._policies, self._hours)
        made = _read(entry, policies)
        if made.span is None:
            raise FieldError("to", _("it would be over before it counts"))
        if made.end - at > AHEAD:
            raise FieldError("to", _("lies more than ten years ahead"))
        if at - made.start > BEHIND:
            raise FieldError("from", _("lies more than a year back"))
        check_room(self._hours, len(line_of(entry)), RESERVE)
        before, after = policies.opening_hours(before_it), policies.opening_hours(Overrides((*before_it.all, made)))
        return Proposal(entry=entry, changes=list(_changed(before, after, made.span)))

    def enter(self, proposal: Proposal, tell: Tell) -> None:
        """It counts for the next call. Raises LogUnavailableError, OSError."""
        self._enter("hours.override", proposal.entry, tell)

    def take_back(
        self, identity: str, *, by: str, reason: str, entered_by: str, now: datetime, tell: Tell
    ) -> dict[str, Any]:
        """From now on the decision of that id counts no more; its line stays.

        Raises NotFoundError, NotEntitledError, UsageError and as `enter`.
        """
        policies, decisions = known(self._policies, self._hours)
        found, decided_by = decisions.find(identity), person(by)
        if found is None:
            raise NotFoundError(
                _("no decision {text!r}; `kikitori hours override list` shows what there is").format(text=identity)
            )
        if decided_by not in policies.authorities:
            raise _not_entitled(policies, by)
        if found.revoked:
            raise UsageError(_("decision {id} was revoked before").format(id=found.id))
        entry = {"revoke": found.id, "by": decided_by, "reason": _reason(reason), "entered_by": entered_by}
        entry["entered_at"] = now.astimezone(JST).isoformat()
        check_room(self._hours, len(line_of(entry)), 0)
        self._enter("hours.revoke", entry, tell)
        return entry

    def _enter(self, action: str, entry: Mapping[str, Any], tell: Tell) -> None:
        """What is not in the log does not count; what the disk refuses then has a line that says so."""
        about = entry.get("id") or entry["revoke"]
        tell(action, about, {name: value for name, value in entry.items() if name not in ("id", "revoke")})
        try:
            enter(self._hours, entry)
        except OSError as error:
            tell("hours.failed", about, {"of": action, "why": str(error.strerror or type(error).__name__)})
            raise


def state(override: Override, now: datetime) -> str:
    """What has become of it."""
    if override.revoked:
        return "revoked"
    if now >= override.end:
        return "over"
    return "in force" if now >= override.start else "to come"


def public(override: Override, now: datetime) -> dict[str, Any]:
    """For programs."""
    return {
        "id": override.id,
        "kind": override.kind.value,
        "from": override.start,
        "to": override.end,
        "hours": interval_text(override.hours) if override.hours else None,
        "state": state(override, now),
        "by": override.by,
        "entered_by": override.entered_by,
        "entered_at": override.entered_at,
        "reason": override.reason,
        "revoked_at": override.revoked_at,
    }


def _read(entry: Mapping[str, Any], policies: Policies) -> Override:
    try:
        found = parse(json.dumps(dict(entry)), "", *policies.authorities)
    except PolicyError as error:
        raise FieldError(error.where.rpartition(": ")[2], localise(error.problem)) from error
    if not found.all:
        raise _not_entitled(policies, entry["by"])
    return found.all[0]


def _not_entitled(policies: Policies, by: str) -> NotEntitledError:
    return NotEntitledError(
        _("other hours are decided by {authority} alone (A-13), not by {by!r}").format(
            authority=", ".join(policies.authorities), by=by
        )
    )


def _reason(text: object) -> str:
    if not isinstance(text, str) or not text.strip():
        raise FieldError("reason", _("is missing: it is shown to whoever asks (A-13)"))
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise FieldError("reason", _("holds something that is no text")) from error
    return text


def _changed(before: OpeningHours, after: OpeningHours, span: tuple[datetime, datetime]) -> Iterator[dict[str, Any]]:
    first, last = days(span)
    for number in range((last - first).days + 1):
        day = first + timedelta(days=number)
        was, now = before.day(day), after.day(day)
        if was.intervals != now.intervals:
            yield {"date": day, "before": was.text, "after": now.text, "class": was.kind.title}
