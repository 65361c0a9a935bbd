"""How the cases stand as a whole, and what was left out (7条なお書, A-34); a month of them in numbers (C-22).

Counts, units and ids alone: no key is needed, and nobody is named.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, case, exists, func, literal_column, null, select
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from cti.calls.board import conversation_id
from cti.calls.callback import leg_of
from cti.cases.acts import SYSTEM, Outcome, State, TicketEnd
from cti.cases.letters import TICKETS
from cti.cases.tables import acts, cases, tickets
from recorder.catalogue import plain, recordings

MOST: Final = 200
"""Of what was left out, so many are named."""
SETTLING: Final = timedelta(hours=1)
"""Whoever talks just now enters it afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Owner:
    """What a unit sees to. `untaken`: handed over to it and not taken. `oldest`: when the longest waiting came in."""

    unit: str
    open: int
    untaken: int
    late: int
    oldest: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Recorded:
    """A conversation that was recorded, and of which there is no case."""

    conversation: str
    recording: str
    at: datetime
    number: str | None
    agent: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Ownerless:
    """A case that is open, or a ticket of it of that `kind`, and a unit that sees to it no more."""

    case: int
    kind: str | None
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """At `at`. `unasked`: cases that a call left, and of which nobody has entered what was asked.

    `unentered`: conversations recorded since `since`, an hour old at least, without a case. `unsent`: cases of which a
    draft should have been checked by now, or sent (C-04). `unresolved`: answered an hour ago at least, and nobody has
    entered what came of it. `ownerless`: whose unit `sections.toml` has no more, or that has ended. The first MOST of
    each.
    """

    at: datetime
    since: datetime
    owners: tuple[Owner, ...]
    unasked: tuple[int, ...]
    unentered: tuple[Recorded, ...]
    unsent: tuple[int, ...]
    unresolved: tuple[int, ...]
    ownerless: tuple[Ownerless, ...]

    @property
    def counts(self) -> dict[str, int]:
        """What somebody signs for."""
        return {
            "open": sum(owner.open for owner in self.owners),
            "late": sum(owner.late for owner in self.owners),
            "unasked": len(self.unasked),
            "unentered": len(self.unentered),
            "unsent": len(self.unsent),
            "unresolved": len(self.unresolved),
            "ownerless": len(self.ownerless),
        }


async def progress(engine: AsyncEngine, since: datetime, now: datetime, units: Collection[str]) -> Progress:
    """How it stands; `units`: those that there are now."""
    async with engine.connect() as connection:
        return Progress(
            at=now, since=since, owners=tuple(await _owners(connection, now)),
            unasked=tuple(await _unasked(connection)), unentered=tuple(await _unentered(connection, since, now)),
            unsent=tuple(await _unsent(connection, now)), unresolved=tuple(await _unresolved(connection, now)),
            ownerless=tuple(await _ownerless(connection, units)),
        )  # fmt: skip


async def _owners(connection: AsyncConnection, now: datetime) -> list[Owner]:
    untaken = func.sum(case((cases.c.state == State.HANDED_OVER, 1), else_=0))
    late = func.sum(case((cases.c.next_at < plain(now), 1), else_=0))
    query = select(cases.c.owner, func.count(), untaken, late, func.min(cases.c.received_at))
    query = query.where(cases.c.state != State.CLOSED).group_by(cases.c.owner).order_by(cases.c.owner)
    return [
        Owner(unit=unit, open=count, untaken=int(waiting), late=int(over), oldest=oldest.replace(tzinfo=UTC))
        for unit, count, waiting, over, oldest in await connection.execute(query)
    ]


async def _unasked(connection: AsyncConnection) -> list[int]:
    first = select(acts.c.case).where(acts.c.act == 1, acts.c.by == SYSTEM, acts.c.case == cases.c.number)
    amended = select(acts.c.case).where(acts.c.kind == "amend", acts.c.case == cases.c.number)
    query = select(cases.c.number).where(cases.c.state != State.CLOSED, exists(first), ~exists(amended))
    return list(await connection.scalars(query.order_by(cases.c.number).limit(MOST)))


async def _unentered(connection: AsyncConnection, since: datetime, now: datetime) -> list[Recorded]:
    entered = select(cases.c.number).where(cases.c.conversation == recordings.c.conversation)
    told = select(tickets.c.id).where(tickets.c.conversation == recordings.c.conversation)
    # Of a call for a ticket, the acts say by which name Asterisk knows it.
    dialled = select(acts.c.site, acts.c.case, acts.c.act, acts.c.at).where(
        acts.c.kind == "dialled", acts.c.at >= plain(since - timedelta(days=1))
    )
    called = {
        str(conversation_id(row.site, leg_of(row.case, row.act, row.at.replace(tzinfo=UTC))))
        for row in await connection.execute(dialled)
    }
    until = now - SETTLING
    query = select(recordings).where(
        recordings.c.start >= plain(since), recordings.c.start < plain(until), recordings.c.direction != "internal",
        ~exists(entered), ~exists(told),
    )  # fmt: skip
    return [
        Recorded(
            conversation=row.conversation, recording=row.recording, at=row.start.replace(tzinfo=UTC), number=row.number,
            agent=row.agent,
        )
        for row in await connection.execute(query.order_by(recordings.c.start).limit(MOST + len(called)))
        if row.conversation not in called
    ][:MOST]  # fmt: skip


async def _unsent(connection: AsyncConnection, now: datetime) -> list[int]:
    late = tickets.c.outcome.is_(None) & (tickets.c.due < plain(now)) & tickets.c.kind.in_(TICKETS)
    query = select(tickets.c.case).where(late).distinct()
    return list(await connection.scalars(query.order_by(tickets.c.case).limit(MOST)))


async def _unresolved(connection: AsyncConnection, now: datetime) -> list[int]:
    answered = (cases.c.replied_at < plain(now - SETTLING)) & cases.c.outcome.is_(None)
    query = select(cases.c.number).where(cases.c.state != State.CLOSED, answered)
    return list(await connection.scalars(query.order_by(cases.c.number).limit(MOST)))


async def _ownerless(connection: AsyncConnection, units: Collection[str]) -> list[Ownerless]:
    own = select(cases.c.number, null(), cases.c.owner)
    own = own.where(cases.c.state != State.CLOSED, cases.c.owner.not_in(units))
    owed = select(tickets.c.case, tickets.c.kind, tickets.c.unit)
    owed = owed.where(tickets.c.outcome.is_(None), tickets.c.unit.not_in(units))
    found = await connection.execute(own.union_all(owed).order_by(cases.c.number).limit(MOST))
    return [Ownerless(case=case, kind=kind, unit=unit) for case, kind, unit in found]


async def month(engine: AsyncEngine, since: datetime, until: datetime) -> dict[str, Any]:
    """The cases received from `since` on and before `until`, counted; and the tickets that were due then."""
    within = (cases.c.received_at >= plain(since)) & (cases.c.received_at < plain(until))

    # A duplicate alone ends without an outcome.
    outcome = func.coalesce(cases.c.outcome, case((cases.c.closed_at.is_not(None), literal_column("'join'"))))
    columns: dict[str, ColumnElement[Any]] = {**cases.c, "outcome": outcome}

    async def by(connection: AsyncConnection, name: str) -> dict[str, int]:
        query = select(columns[name], func.count()).where(within).group_by(columns[name])
        return {str(name or "-"): int(count) for name, count in await connection.execute(query)}

    async with engine.connect() as connection:
        found: dict[str, Any] = {
            name: await by(connection, name) for name in ("channel", "category", "main", "outcome")
        }
        found["cases"] = int(
            await connection.scalar(select(func.count()).select_from(cases).where(within)) or 0
        )  # fmt: skip
        found["open"] = int(
            await connection.scalar(
                select(func.count()).select_from(cases).where(within, cases.c.state != State.CLOSED)
            ) or 0
        )  # fmt: skip
        found["reopened"] = int(
            await connection.scalar(select(func.count()).select_from(cases).where(within, cases.c.reopened > 0)) or 0
        )
        found["tickets"] = await _tickets(connection, since, until)
    found["declined"] = found["outcome"].get(Outcome.DECLINED, 0)
    return found


async def _tickets(connection: AsyncConnection, since: datetime, until: datetime) -> dict[str, Mapping[str, int]]:
    """By kind: how many were due, kept in time, kept late, and are open. What was passed on or void is not counted."""
    kept = tickets.c.outcome == TicketEnd.KEPT
    in_time = kept & (func.coalesce(tickets.c.tried_at, tickets.c.done_at) <= tickets.c.due)
    sums = [func.sum(case((what, 1), else_=0)) for what in (in_time, kept & ~in_time, tickets.c.outcome.is_(None))]
    counted = tickets.c.outcome.is_(None) | tickets.c.outcome.in_((TicketEnd.KEPT, TicketEnd.FAILED))
    query = select(tickets.c.kind, func.count(), *sums).where(
        tickets.c.due >= plain(since), tickets.c.due < plain(until), counted
    )
    return {
        str(kind): {"due": int(count), "in_time": int(good), "late": int(late), "open": int(waits)}
        for kind, count, good, late, waits in await connection.execute(query.group_by(tickets.c.kind))
    }
