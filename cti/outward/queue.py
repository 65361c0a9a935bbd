"""What is still to be told, and to whom: written with the acts, emptied when every destination has everything.

Of one case the acts are told in their order, by one desk at a time: what fails holds up what follows in that case, and
no other.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from sqlalchemy import ColumnElement, and_, delete, func, insert, nulls_first, or_, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncEngine

from cti.cases.tables import outbox
from cti.outward.tables import deliveries
from cti.store import to_its_end
from policies.outward import Destination
from recorder.catalogue import plain

FIRST: Final = 5.0
"""Seconds until what failed is tried again; twice as many each time."""
LONGEST: Final = 3600.0
LEASE: Final = timedelta(minutes=2)
"""For so long a desk has a case to itself; it says so again before each act."""
LONG: Final = timedelta(hours=1)
"""What fails for so long is worth a warning."""
WORDS: Final = 200
_CLEAN: Final = {"tries": 0, "failed_at": None, "next_at": None, "dead_at": None, "error": None}


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """How far a destination is with a case of `acts` acts. Times in UTC."""

    destination: str
    target: str
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

    async def due(self, destination: Destination, now: datetime, *, limit: int) -> list[Delivery]:
        """What is to be told now, the longest waiting first."""
        ahead = now + timedelta(seconds=2 * LONGEST)  # by a clock that was wrong
        soon = or_(deliveries.c.next_at.is_(None), deliveries.c.next_at <= plain(now))
        may = deliveries.c.dead_at.is_(None) & or_(soon, deliveries.c.next_at > plain(ahead))
        new = deliveries.c.case.is_(None) | (deliveries.c.target != destination.target)
        return await self._find(destination, or_(new, may), limit)

    async def waiting(self, destination: Destination, *, dead: bool = False, limit: int = 1000) -> list[Delivery]:
        """What is not told yet; `dead`: of that, what nobody tries any more."""
        return await self._find(destination, deliveries.c.dead_at.is_not(None) if dead else None, limit)

    async def _find(
        self, destination: Destination, wanted: ColumnElement[bool] | None, limit: int
    ) -> list[Delivery]:  # fmt: skip
        query = select(outbox.c.case.label("of"), outbox.c.acts, deliveries).outerjoin(
            deliveries, _of(destination.name)
        )
        query = query.where(outbox.c.site == self._site, _behind())
        if wanted is not None:
            query = query.where(wanted)
        query = query.order_by(nulls_first(deliveries.c.next_at), outbox.c.case).limit(limit)
        async with self._engine.connect() as connection:
            rows = (await connection.execute(query)).mappings().all()
        return [_delivery(destination, row) for row in rows]

    async def take(self, delivery: Delivery, now: datetime) -> Delivery | None:
        """For this desk alone, for a while; how far it is now. None where another has it, or nothing is to be told."""
        return await to_its_end(self._take(delivery, now))

    async def _take(self, delivery: Delivery, now: datetime) -> Delivery | None:
        until = plain(now + LEASE)
        free = or_(
            deliveries.c.taken_until.is_(None), deliveries.c.taken_until <= plain(now),
            deliveries.c.taken_until > plain(now + 2 * LEASE),
        )  # fmt: skip
        async with self._engine.begin() as connection:
            row = update(deliveries).where(_key(delivery), free).values(taken_until=until)
            if (await connection.execute(row)).rowcount == 0:
                if await connection.scalar(select(deliveries.c.case).where(_key(delivery))) is not None:
                    return None
                try:
                    await connection.execute(insert(deliveries).values(
                        destination=delivery.destination, case=delivery.case, act=0, tries=0, target=delivery.target,
                        taken_until=until,
                    ))  # fmt: skip
                except IntegrityError:
                    return None
            query = select(deliveries, outbox.c.acts).join(outbox, outbox.c.case == deliveries.c.case)
            found = (await connection.execute(query.where(_key(delivery)))).mappings().first()
            if found is None:
                return None
            if found["target"] != delivery.target:
                fresh = {"act": 0, "theirs": None, "target": delivery.target, **_CLEAN}
                await connection.execute(update(deliveries).where(_key(delivery)).values(**fresh))
                return replace(delivery, acts=found["acts"], act=0, tries=0, failed_at=None, theirs=None)
        return _kept(delivery, found)

    async def keep(self, delivery: Delivery, now: datetime) -> None:
        """It is still this desk's."""
        await self._put(delivery, {"taken_until": plain(now + LEASE)})

    async def release(self, delivery: Delivery) -> None:
        """It is nobody's."""
        await self._put(delivery, {"taken_until": None})

    async def asked(self, delivery: Delivery, theirs: str) -> None:
        """The other system is asked to make something of its own for the case."""
        await self._put(delivery, {"theirs": theirs})

    async def told(self, delivery: Delivery, act: int, theirs: str | None = None) -> Delivery:
        """The destination has everything up to `act`."""
        names = theirs or delivery.theirs
        await self._put(delivery, {"act": act, "theirs": names, **_CLEAN})
        return replace(delivery, act=act, theirs=names, tries=0, failed_at=None, next_at=None, error=None)

    async def failed(self, delivery: Delivery, why: str, now: datetime, give_up_after: int) -> Delivery:
        """It is tried again later; after `give_up_after` hours nobody tries it any more."""
        since = delivery.failed_at or now
        wait = min(LONGEST, FIRST * 2 ** min(delivery.tries, 20))
        dead_at = now if now - since >= timedelta(hours=give_up_after) else None
        after = replace(
            delivery, tries=delivery.tries + 1, failed_at=since, next_at=now + timedelta(seconds=wait), dead_at=dead_at,
            error=why[:WORDS],
        )  # fmt: skip
        await self._put(delivery, {
            "tries": after.tries, "failed_at": plain(since), "next_at": plain(after.next_at),
            "dead_at": plain(dead_at), "error": after.error, "taken_until": None,
        })  # fmt: skip
        return after

    async def again(self, destination: Destination, case: int | None = None) -> int:
        """Try at once what fails, and what nobody tried any more; how many."""
        wanted = self._failing(destination)
        if case is not None:
            wanted &= deliveries.c.case == case
        row = update(deliveries).where(wanted).values(dead_at=None, failed_at=None, next_at=None, tries=0)
        async with self._engine.begin() as connection:
            return int((await connection.execute(row)).rowcount)

    async def soon(self, destination: Destination) -> None:
        """The destination is back: nobody waits to try once more."""
        wanted = self._failing(destination) & deliveries.c.dead_at.is_(None)
        async with self._engine.begin() as connection:
            await connection.execute(update(deliveries).where(wanted).values(next_at=None))

    def _failing(self, destination: Destination) -> ColumnElement[bool]:
        """What the destination did not take of this site's cases."""
        mine = select(outbox.c.case).where(outbox.c.site == self._site)
        of = (deliveries.c.destination == destination.name) & deliveries.c.case.in_(mine)
        return of & deliveries.c.failed_at.is_not(None)

    async def in_the_way(self, destination: Destination, case: int) -> Delivery | None:
        """What of a case a destination does not take; None where it takes it, or it is told everything."""
        wanted = (deliveries.c.case == case) & (deliveries.c.failed_at.is_not(None) | deliveries.c.error.is_not(None))
        return next(iter(await self._find(destination, wanted, 1)), None)

    async def tidy(self, destinations: Collection[Destination]) -> None:
        """Forget of what everybody has everything: those that are named now, and those that ever were."""
        async with self._engine.connect() as connection:
            if await connection.scalar(select(outbox.c.case).where(outbox.c.site == self._site).limit(1)) is None:
                return  # a database that is asked to write each second is one
            if not destinations and await connection.scalar(select(deliveries.c.case).limit(1)) is not None:
                return  # somebody was told, and will be again, or the policy is away for a moment
        behind = select(deliveries.c.case).where(deliveries.c.case == outbox.c.case, deliveries.c.act < outbox.c.acts)
        async with self._engine.begin() as connection:
            query = delete(outbox).where(outbox.c.site == self._site, ~behind.exists())
            for one in destinations:
                has = select(deliveries.c.case).where(
                    deliveries.c.destination == one.name, deliveries.c.case == outbox.c.case,
                    deliveries.c.target == one.target,
                )  # fmt: skip
                query = query.where(has.exists())
            await connection.execute(query)

    async def _put(self, delivery: Delivery, values: Mapping[str, Any]) -> None:
        async def put() -> None:
            async with self._engine.begin() as connection:
                await connection.execute(update(deliveries).where(_key(delivery)).values(**values))

        await to_its_end(put())


async def stuck(engine: AsyncEngine, site: str, destinations: Collection[Destination], now: datetime) -> int:
    """How many cases of a site a destination is told of no more, or has not taken for long."""
    names = [one.name for one in destinations]
    long = deliveries.c.failed_at < plain(now - LONG)
    query = select(func.count()).select_from(outbox).join(deliveries, deliveries.c.case == outbox.c.case)
    query = query.where(
        outbox.c.site == site, deliveries.c.destination.in_(names), _behind(), deliveries.c.dead_at.is_not(None) | long
    )
    async with engine.connect() as connection:
        return int(await connection.scalar(query) or 0)


def _of(name: str) -> ColumnElement[bool]:
    return and_(deliveries.c.case == outbox.c.case, deliveries.c.destination == name)


def _behind() -> ColumnElement[bool]:
    return func.coalesce(deliveries.c.act, 0) < outbox.c.acts


def _key(delivery: Delivery) -> ColumnElement[bool]:
    return (deliveries.c.destination == delivery.destination) & (deliveries.c.case == delivery.case)


def _delivery(destination: Destination, row: Mapping[Any, Any]) -> Delivery:
    made = Delivery(destination=destination.name, target=destination.target, case=row["of"], acts=row["acts"])
    return _kept(made, row) if row["target"] == destination.target else made


def _kept(delivery: Delivery, row: Mapping[Any, Any]) -> Delivery:
    def at(name: str) -> datetime | None:
        found: datetime | None = row[name]
        return found.replace(tzinfo=UTC) if found else None

    return replace(
        delivery, acts=row["acts"], act=row["act"], tries=row["tries"], failed_at=at("failed_at"),
        next_at=at("next_at"), dead_at=at("dead_at"), error=row["error"], theirs=row["theirs"],
    )  # fmt: skip
