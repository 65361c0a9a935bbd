"""How long customers wait, by channel and month (1条, A-01): counts and times, and nobody's name.

A time of so few that somebody could tell whose it is, is not given.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import ceil
from statistics import median

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncEngine

from cti.intake import steps
from policies.calendar import JST
from recorder.catalogue import calls, plain


@dataclass(frozen=True, slots=True, kw_only=True)
class Handled:
    """A case as it is measured. `replied_at`: when the customer was answered first. `ended`: it was closed once."""

    channel: str
    received_at: datetime
    replied_at: datetime | None
    ended: bool
    reopened: bool

    @property
    def waited(self) -> float | None:
        """Seconds until the first answer."""
        return (self.replied_at - self.received_at).total_seconds() if self.replied_at else None

    @property
    def same_day(self) -> bool:
        """Whether they were answered on the day on which they asked, in Japan."""
        if self.replied_at is None:
            return False
        return self.replied_at.astimezone(JST).date() == self.received_at.astimezone(JST).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Spread:
    """Seconds: half were no longer, and nine of ten."""

    median: int
    p90: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """Cases of a channel. `same_day`: answered on the day they came in; None, as `reply`, where too few were answered.

    `ended`: closed at least once, of which `reopened` were opened again.
    """

    cases: int
    answered: int
    same_day: int | None
    reply: Spread | None
    ended: int
    reopened: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Calls:
    """Calls that rang at the centre. `answer`: from the first ring until somebody answered; `talk`: from then on."""

    rang: int
    answered: int
    answer: Spread | None
    talk: Spread | None


def spread(seconds: Sequence[float], fewest: int) -> Spread | None:
    """Of at least so many; None of fewer. The ninth tenth is the smallest that nine of ten do not pass."""
    if len(seconds) < max(fewest, 1):
        return None
    ordered = sorted(seconds)
    return Spread(median=round(median(ordered)), p90=round(ordered[ceil(0.9 * len(ordered)) - 1]))


def by_channel(handled: Iterable[Handled], fewest: int) -> dict[str, Times]:
    """Channel by channel."""
    found: dict[str, list[Handled]] = {}
    for one in handled:
        found.setdefault(one.channel, []).append(one)
    return {channel: _times(those, fewest) for channel, those in sorted(found.items())}


def _times(those: Sequence[Handled], fewest: int) -> Times:
    waited = [one.waited for one in those if one.waited is not None]
    reply = spread(waited, fewest)
    return Times(
        cases=len(those), answered=len(waited), same_day=sum(one.same_day for one in those) if reply else None,
        reply=reply, ended=sum(one.ended for one in those), reopened=sum(one.reopened for one in those),
    )  # fmt: skip


async def of_calls(engine: AsyncEngine, since: datetime, until: datetime, fewest: int) -> Calls:
    """The calls that rang in between, as Asterisk's record and the dialplan have them."""
    rang = select(steps.c.conversation, func.min(steps.c.at).label("at")).where(steps.c.what == "ring")
    first = rang.group_by(steps.c.conversation).subquery()
    query = select(first.c.at, calls.c.answered, calls.c.ended).join(
        calls, calls.c.conversation == first.c.conversation
    )
    query = query.where(first.c.at >= plain(since), first.c.at < plain(until))
    async with engine.connect() as connection:
        rows = (await connection.execute(query)).all()
    taken = [row for row in rows if row.answered is not None]
    return Calls(
        rang=len(rows), answered=len(taken),
        answer=spread([(row.answered - row.at).total_seconds() for row in taken], fewest),
        talk=spread([(row.ended - row.answered).total_seconds() for row in taken if row.ended], fewest),
    )  # fmt: skip
