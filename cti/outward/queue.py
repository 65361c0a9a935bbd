"""What is still to be told, and to whom: written with the acts, emptied when every destination has everything.

Of one case the acts are told in their order: what fails holds up what follows in that case, and no other.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, or_, select, update
from sqlalchemy.ext.asyncio import AsyncEngine

from cti.cases.tables import outbox
from cti.outward.tables import deliveries
from recorder.catalogue import plain

FIRST: Final = 5.0
"""Seconds until what failed is tried again; twice as many each time."""
LONGEST: Final = 3600.0
WORDS: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How far a destination is with a case of `acts` acts. Times in UTC."""

    destination: str
    case: int
    acts: int
    act: int = 0
    tries: int = 0
    failed_at: datetime | None = None
    next_at: datetime | None = None
    dead_at: datetime | None = None
    error: str | None = None
    theirs: str | None = None

    @property
    def dead(self) -> bool:
        """Whether nobody tries it any more."""
        return self.dead_at is not None


class Outbox:
    """Of one site's cases: it tells what its own desk wrote last."""

    def __init__(self, engine: AsyncEngine, site: str) -> None:
        """`engine` is migrated."""
        self._engine, self._site = engine, site

    async def due(self, destination: str, now: datetime, *, limit: int) -> list[Delivery]:
        """What is to be told now, the longest waiting first."""
        may = deliveries.c.dead_at.is_(None) & or_(deliveries.c.next_at.is_(None), deliveries.c.next_at <= plain(now))
        return await self._find(destination, or_(deliveries.c.case.is_(None), may), limit)

    async def waiting(self, destination: str, *, dead: bool = False, limit: int = 1000) -> list[Delivery]:
        """What is not told yet; `dead`: of that, what nobody tries any more."""
        return await self._find(destination, deliveries.c.dead_at.is_not(None) if dead else None, limit)

    async def _find(self, destination: str, wanted: ColumnElement[bool] | None, limit: int) -> list[Delivery]:
        on = and_(deliveries.c.case == outbox.c.case, deliveries.c.destination == destination)
        query = select(outbox.c.case.label("of"), outbox.c.acts, deliveries).outerjoin(deliveries, on)
        query = query.where(outbox.c.site == self._site, func.coalesce(deliveries.c.act, 0) < outbox.c.acts)
        if wanted is not None:
            query = query.where(wanted)
        async with self._engine.connect() as connection:
            rows = await connection.execute(query.order_by(deliveries.c.next_at, outbox.c.case).limit(limit))
            return [_delivery(destination, row) for row in rows.mappings()]

    async def told(self, delivery: Delivery, act: int, theirs: str | None = None) -> Delivery:
        """The destination has everything up to `act`."""
        return await self._put(delivery, {
            "act": act, "tries": 0, "failed_at": None, "next_at": None, "dead_at": None, "error": None,
            "theirs": theirs or delivery.theirs,
        })  # fmt: skip

    async def failed(self, delivery: Delivery, why: str, now: datetime, give_up_after: int) -> Delivery:
        """It is tried again later; after `give_up_after` hours nobody tries it any more."""
        since = delivery.failed_at or now
        wait = min(LONGEST, FIRST * 2 ** min(delivery.tries, 20))
        return await self._put(delivery, {
            "tries": delivery.tries + 1, "failed_at": plain(since), "next_at": plain(now + timedelta(seconds=wait)),
            "dead_at": plain(now) if now - since >= timedelta(hours=give_up_after) else None, "error": why[:WORDS],
        })  # fmt: skip

    async def again(self, destination: str, case: int | None = None) -> int:
        """Try once more what nobody tried any more, from now on; how many."""
        wanted = (deliveries.c.destination == destination) & deliveries.c.dead_at.is_not(None)
        if case is not None:
            wanted &= deliveries.c.case == case
        row = update(deliveries).where(wanted).values(dead_at=None, failed_at=None, next_at=None, tries=0)
        async with self._engine.begin() as connection:
            return int((await connection.execute(row)).rowcount)

    async def skip(self, destination: str, case: int) -> Delivery | None:
        """Leave out the next act of a case that fails: it is not told. None where nothing fails."""
        (*found,) = await self._find(destination, (deliveries.c.case == case) & deliveries.c.failed_at.is_not(None), 1)
        return await self.told(found[0], found[0].act + 1) if found else None

    async def tidy(self, destinations: Collection[str]) -> None:
        """Forget of what everybody has everything."""
        async with self._engine.connect() as connection:
            if await connection.scalar(select(outbox.c.case).where(outbox.c.site == self._site).limit(1)) is None:
                return  # a database that is asked to write each second is one
        async with self._engine.begin() as connection:
            query = delete(outbox).where(outbox.c.site == self._site)
            for name in destinations:
                has = select(deliveries.c.case).where(
                    deliveries.c.destination == name, deliveries.c.case == outbox.c.case,
                    deliveries.c.act >= outbox.c.acts,
                )  # fmt: skip
                query = query.where(has.exists())
            await connection.execute(query)

    async def _put(self, delivery: Delivery, values: Mapping[str, Any]) -> Delivery:
        key = (deliveries.c.destination == delivery.destination) & (deliveries.c.case == delivery.case)
        async with self._engine.begin() as connection:
            if (await connection.execute(update(deliveries).where(key).values(**values))).rowcount == 0:
                row = {"act": delivery.act, "tries": 0, **values}
                await connection.execute(
                    insert(deliveries).values(destination=delivery.destination, case=delivery.case, **row)
                )
            found = (await connection.execute(select(deliveries).where(key))).mappings().one()
        return _delivery(delivery.destination, {"of": delivery.case, "acts": delivery.acts, **found})


async def dead(engine: AsyncEngine, destinations: Collection[str]) -> int:
    """How many cases nobody tells any more, of these destinations."""
    wanted = deliveries.c.dead_at.is_not(None) & deliveries.c.destination.in_(sorted(destinations))
    async with engine.connect() as connection:
        return int(await connection.scalar(select(func.count()).select_from(deliveries).where(wanted)) or 0)


def _delivery(destination: str, row: Mapping[Any, Any]) -> Delivery:
    def at(name: str) -> datetime | None:
        found: datetime | None = row[name]
        return found.replace(tzinfo=UTC) if found else None

    return Delivery(
        destination=destination, case=row["of"], acts=row["acts"], act=row["act"] or 0, tries=row["tries"] or 0,
        failed_at=at("failed_at"), next_at=at("next_at"), dead_at=at("dead_at"), error=row["error"],
        theirs=row["theirs"],
    )  # fmt: skip
