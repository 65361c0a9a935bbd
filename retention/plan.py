"""What is due: what moves to the second medium, what is erased, what something stops (6条1項; B-16 to B-18). Pure."""

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from enum import StrEnum
from typing import Final

from policies.calendar import midnight
from policies.retention import Retention
from recorder.medium import Medium
from retention.course import Course, Recorded, course
from retention.holds import Holds, course_of
from retention.period import after, day_of, over

_DAY: Final = timedelta(days=1)


class Deed(StrEnum):
    """What is to be done."""

    MOVE = "move"
    ERASE = "erase"
    STOPPED = "stopped"  # its day is over, and a hold keeps it


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A recording that is there: when its call ended, and where it lies."""

    recording: str
    conversation: str
    ended: datetime
    medium: Medium


@dataclass(frozen=True, slots=True, kw_only=True)
class Due:
    """What is to be done with it, and since when."""

    kept: Kept
    deed: Deed
    since: datetime


class Plan:
    """By one policy and the holds of now. Of recordings that nothing happened to, each day is reckoned once."""

    def __init__(self, policy: Retention, holds: Holds, now: datetime) -> None:
        """`now`: with its zone."""
        self._policy, self._holds, self._now = policy, holds, now
        self._held = {hold.conversation for hold in holds.all}
        self._days: dict[date, Course] = {}

    def of(self, kept: Kept) -> Due | None:
        """What is due of one; None: nothing yet. Raises ValueError for an end that no calendar here reckons with."""
        found = self._course(kept)
        if found.erased_at is not None and found.erased_at <= self._now:
            return Due(kept=kept, deed=Deed.ERASE, since=found.erased_at)
        moves = over(found.primary_until)
        if kept.medium is Medium.FIRST and moves <= self._now:
            return Due(kept=kept, deed=Deed.MOVE, since=moves)
        if found.erased_at is None and found.secondary_until is not None:
            ends = over(found.secondary_until)
            return Due(kept=kept, deed=Deed.STOPPED, since=ends) if ends <= self._now else None
        return None

    def _course(self, kept: Kept) -> Course:
        if kept.conversation in self._held:
            return course_of(kept.recording, kept.ended, kept.conversation, self._holds, self._policy)
        day = day_of(kept.ended)
        found = self._days.get(day)
        if found is None:
            found = self._days[day] = course(Recorded(id=kept.recording, recorded_at=kept.ended), self._policy)
        return found


def moves_before(policy: Retention, now: datetime) -> datetime:
    """Whatever ended before that is to leave the first medium, and nothing later is."""
    months = policy.system.first_months
    day = day_of(now) - timedelta(days=31 * months + 1)
    while over(after(day + _DAY, months)) <= now:
        day += _DAY
    return midnight(day + _DAY)


def ends_before(policy: Retention, now: datetime) -> datetime:
    """The period of whatever ended before that is over, and of nothing later."""
    first, second = policy.system.first_months, policy.system.second_months
    day = day_of(now) - timedelta(days=31 * (first + second) + 1)
    while over(after(after(day + _DAY, first), second)) <= now:
        day += _DAY
    return midnight(day + _DAY)
