"""The catalogue: an index over manifests and call records. The vault folder is the truth.

Several sites, a PBX and a vault each, may share a database: each writes its own rows, and sees those of all in lists.
"""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    JSON,
    Column,
    ColumnElement,
    DateTime,
    Float,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    delete,
    exists,
    func,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.level import joined
from recorder.medium import Medium
from recorder.vault.manifest import Loudness, Manifest
from recorder.wanted import ANY, Wanted

metadata = MetaData()

segments = Table(
    "segments",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("recording", String(36), nullable=False, index=True),
    Column("segment", Integer, nullable=False),
    Column("conversation", String(36), nullable=False, index=True),
    Column("number", String(32), index=True),
    Column("direction", String(8)),
    Column("caller", String(32), index=True),
    Column("callee", String(32), index=True),
    Column("agent", String(32), index=True),
    Column("start", DateTime, nullable=False, index=True),
    Column("end", DateTime, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("state", String(8), nullable=False),
    Column("slot", Integer, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("manifest_sha256", String(64), nullable=False),
    Column("pbx", String(32), nullable=False, index=True, server_default=""),
    Column("loudness", JSON(none_as_null=True)),
)

recordings = Table(
    "recordings",
    metadata,
    Column("recording", String(36), primary_key=True),
    Column("pbx", String(32), nullable=False, index=True),
    Column("conversation", String(36), nullable=False),
    Column("number", String(32)),
    Column("direction", String(8)),
    Column("caller", String(32)),
    Column("callee", String(32)),
    Column("agent", String(32)),
    Column("start", DateTime, nullable=False),
    Column("end", DateTime, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("segments", Integer, nullable=False),
    Column("loudness", JSON(none_as_null=True)),
    Column("medium", String(8), nullable=False, server_default=Medium.FIRST),
    Index("recordings_start", "start", "recording"),
    Index("recordings_medium", "pbx", "medium", "end", "recording"),
    Index("recordings_number", "number", "start", "recording"),
)
"""The segments of each, summed up; a search by the time or by a designated number reads nothing else.

`medium`: where its sound lies.
"""

calls = Table(
    "calls",
    metadata,
    Column("conversation", String(36), primary_key=True),
    Column("arrived", DateTime, index=True),
    Column("answered", DateTime),
    Column("ended", DateTime),
    Column("number", String(32), index=True),
    Column("caller", String(32), index=True),
    Column("disposition", String(16)),
    Column("recording", String(36)),
    Column("pbx", String(32), nullable=False, index=True, server_default=""),
)

call_files = Table(
    "call_files", metadata, Column("name", String(120), primary_key=True), Column("read", Integer, nullable=False)
)


def plain(at: datetime | None) -> datetime | None:
    """UTC without its zone: SQLite keeps none."""
    return at.astimezone(UTC).replace(tzinfo=None) if at else None


def row(name: str, manifest: Manifest, digest: str) -> dict[str, Any]:
    """One segment as the catalogue holds it."""
    same = ("recording", "segment", "conversation", "number", "direction", "caller", "callee", "agent", "state", "slot")
    values: dict[str, Any] = {field: getattr(manifest, field) for field in (*same, "epoch")}
    values |= {"name": name, "start": plain(manifest.start), "end": plain(manifest.end)}
    values |= {"seconds": manifest.frames / manifest.rate, "manifest_sha256": digest}
    return values | {"loudness": _json(manifest.loudness)}


def _json(one: Loudness | None) -> dict[str, Any] | None:
    """As it comes back from the database."""
    return asdict(one) | {"speech": list(one.speech)} if one else None


async def put(connection: AsyncConnection, table: Table, values: Mapping[str, Any]) -> None:
    """Add a row, or replace the one of the same key; whoever adds it at the same time."""
    insert = {"sqlite": sqlite_insert, "postgresql": postgresql_insert}[connection.dialect.name]
    made: Any = insert(table).values(**values)
    (key,) = table.primary_key.columns
    others = {name: made.excluded[name] for name in values if name != key.name}
    await connection.execute(made.on_conflict_do_update(index_elements=[key], set_=others))


def of_site(table: Table, pbx: str) -> ColumnElement[bool]:
    """The files of one site in a table of positions."""
    return table.c.name.startswith(f"{pbx}/", autoescape=True)


async def positions(engine: AsyncEngine, table: Table, pbx: str) -> dict[str, int]:
    """How many bytes of each file of `pbx` have been read, by the name of the file."""
    async with engine.connect() as connection:
        found = await connection.execute(select(table).where(of_site(table, pbx)))
        return {str(name).removeprefix(f"{pbx}/"): int(read) for name, read in found}


FEW = 1000
"""Segments that are looked up as a list."""


class Ended(NamedTuple):
    """A recording by its end (UTC without its zone)."""

    recording: str
    conversation: str
    end: datetime
    seconds: float
    medium: str


Place = tuple[datetime, str]
"""Where a recording stands in the order of lists: its beginning, and its id."""


class Catalogue:
    """Looks up and keeps; one transaction a call."""

    def __init__(self, engine: AsyncEngine, pbx: str) -> None:
        """`engine` is migrated already. `pbx`: the one whose vault is read here."""
        self.engine, self.pbx = engine, pbx

    async def adopt(self) -> None:
        """Rows of before a database could hold several sites are this one's."""
        async with self.engine.begin() as connection:
            for table in (segments, recordings, calls):
                await connection.execute(update(table).where(table.c.pbx == "").values(pbx=self.pbx))

    async def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add segments; those known already are replaced."""
        async with self.engine.begin() as connection:
            for values in rows:
                await put(connection, segments, {**values, "pbx": self.pbx})
            names = {values["recording"] for values in rows}
            sums = (await connection.execute(_sums().where(segments.c.recording.in_(names)))).mappings().all()
            heard = await self._loudness(connection, names)
            for found in sums:
                # What is new was recorded: it lies on the first medium. Whoever makes all anew looks (`moved`).
                more = {"loudness": heard.get(found["recording"]), "medium": Medium.FIRST}
                await put(connection, recordings, {**found, **more})

    async def late(self, before: datetime) -> int:
        """How many of this PBX's recordings ended before that and lie on the first medium."""
        here = (recordings.c.pbx == self.pbx) & (recordings.c.medium == Medium.FIRST)
        wanted = select(func.count()).select_from(recordings).where(here, recordings.c.end < plain(before))
        async with self.engine.connect() as connection:
            return int((await connection.execute(wanted)).scalar_one())

    async def moved(self, segments_of: Mapping[str, int]) -> None:
        """These recordings lie on the second medium now, with so many segments: where there are more, not all do."""
        async with self.engine.begin() as connection:
            for name, count in segments_of.items():
                one = (recordings.c.recording == name) & (recordings.c.segments == count)
                await connection.execute(update(recordings).where(one).values(medium=Medium.SECOND))

    async def ended_of(self, conversations: Collection[str], before: datetime) -> list["Ended"]:
        """The recordings of these conversations that ended before that, wherever they lie."""
        found, every = list[Ended](), sorted(conversations)
        async with self.engine.connect() as connection:
            for first in range(0, len(every), 500):
                some = recordings.c.conversation.in_(every[first : first + 500])
                wanted = select(*(recordings.c[name] for name in Ended._fields)).where(
                    recordings.c.pbx == self.pbx, recordings.c.end < plain(before), some
                )
                found += [Ended(*row) for row in await connection.execute(wanted)]
        return found

    async def ended_before(self, first: datetime, either: datetime) -> AsyncIterator[Sequence["Ended"]]:
        """This PBX's recordings that lie on the first medium and ended before `first`, or on either before `either`.

        A thousand at a time, those of each medium in the order of their ends.
        """
        columns = [recordings.c[name] for name in Ended._fields]
        async with self.engine.connect() as connection:
            for medium, before in ((Medium.FIRST, max(first, either)), (Medium.SECOND, either)):
                wanted = select(*columns).where(
                    recordings.c.pbx == self.pbx, recordings.c.medium == medium, recordings.c.end < plain(before)
                )
                ordered = wanted.order_by(recordings.c.end, recordings.c.recording).execution_options(yield_per=FEW)
                found = await connection.stream(ordered)
                async for rows in found.partitions():
                    yield [Ended(*row) for row in rows]

    async def _loudness(self, connection: AsyncConnection, names: Collection[str]) -> dict[str, Any]:
        """Of each of these recordings, its segments' joined."""
        columns = (segments.c.recording, segments.c.seconds, segments.c.loudness)
        wanted = select(*columns).where(segments.c.recording.in_(names)).order_by(segments.c.segment)
        parts: dict[str, list[tuple[float, Loudness | None]]] = {}
        for recording, seconds, given in await connection.execute(wanted):
            one = Loudness(**given | {"speech": tuple(given["speech"])}) if given else None
            parts.setdefault(recording, []).append((seconds, one))
        return {recording: _json(joined(of_it)) for recording, of_it in parts.items()}

    async def put_calls(self, rows: Sequence[dict[str, Any]], file: str, read: int) -> None:
        """Add call records, and remember that `file` was read up to byte `read`."""
        rows = [call | {field: plain(call[field]) for field in ("arrived", "answered", "ended")} for call in rows]
        async with self.engine.begin() as connection:
            for values in rows:
                await put(connection, calls, {**values, "pbx": self.pbx})
            await put(connection, call_files, {"name": f"{self.pbx}/{file}", "read": read})

    async def read_until(self) -> dict[str, int]:
        """How many bytes of each call file are in the catalogue, by its name."""
        return await positions(self.engine, call_files, self.pbx)

    async def clear(self) -> None:
        """Forget everything of this PBX; the vault has it all."""
        async with self.engine.begin() as connection:
            for table in (segments, recordings, calls):
                await connection.execute(delete(table).where(table.c.pbx == self.pbx))
            await connection.execute(delete(call_files).where(of_site(call_files, self.pbx)))

    async def recordings(
        self,
        wanted: Wanted = ANY,
        *,
        limit: int | None = None,
        after: Place | None = None,
    ) -> list[dict[str, Any]]:
        """Recordings that are as `wanted`, whole and newest first: the first `limit` behind the place `after`."""
        query = select(recordings).where(*_fits(wanted))
        if of_segments := _of_segments(wanted):
            query = query.where(await self._one_of(of_segments))
        if after is not None:
            query = query.where(tuple_(recordings.c.start, recordings.c.recording) < (plain(after[0]), after[1]))
        return await self._rows(query.order_by(recordings.c.start.desc(), recordings.c.recording.desc()).limit(limit))

    async def _one_of(self, fits: list[ColumnElement[bool]]) -> ColumnElement[bool]:
        """That one of a recording's segments is so: by a list of them where they are few, else one recording after the
        other. Of a million, each way alone took a second for some telephones or callers.
        """
        few = select(func.count()).select_from(select(segments.c.name).where(*fits).limit(FEW + 1).subquery())
        async with self.engine.connect() as connection:
            count = int((await connection.execute(few)).scalar_one())
        if count <= FEW:
            return recordings.c.recording.in_(select(segments.c.recording).where(*fits))
        return exists().where(segments.c.recording == recordings.c.recording, *fits)

    async def segments(self) -> dict[str, dict[str, Any]]:
        """Segment name -> what `row` made of its manifest, for all of this PBX."""
        wanted = select(*(column for column in segments.c if column.name != "pbx")).where(segments.c.pbx == self.pbx)
        async with self.engine.connect() as connection:
            found = (await connection.execute(wanted)).mappings().all()
        return {record["name"]: dict(record) for record in found}

    async def begun_between(self, first: datetime, last: datetime) -> list[str]:
        """The names of this PBX's segments that begin then, in their order."""
        begun = (segments.c.pbx == self.pbx) & (segments.c.start >= plain(first)) & (segments.c.start < plain(last))
        wanted = select(segments.c.name).where(begun).order_by(segments.c.start)
        async with self.engine.connect() as connection:
            return [str(name) for name in await connection.scalars(wanted)]

    async def first_begin(self) -> datetime | None:
        """When the first of this PBX's segments begins."""
        (found,) = await self._rows(select(func.min(segments.c.start).label("at")).where(segments.c.pbx == self.pbx))
        at: datetime | None = found["at"]
        return at

    async def conversations_of(self, recording: str) -> list[str]:
        """The conversations whose recording begins with `recording`."""
        wanted = select(calls.c.conversation).where(calls.c.recording.startswith(recording, autoescape=True))
        async with self.engine.connect() as connection:
            return [str(name) for name in await connection.scalars(wanted)]

    async def has_call(self, recording: str) -> bool:
        """Whether there is a call record that names `recording`."""
        return bool(await self._rows(select(calls.c.conversation).where(calls.c.recording == recording)))

    async def agents(self, names: Collection[str]) -> dict[str, str | None]:
        """Who took the call of each of these recordings: the telephone."""
        found: dict[str, str | None] = {}
        every = sorted(names)
        for first in range(0, len(every), 500):
            some = recordings.c.recording.in_(every[first : first + 500])
            for row in await self._rows(select(recordings.c.recording, recordings.c.agent).where(some)):
                found[row["recording"]] = row["agent"]
        return found

    async def recordings_of(self, conversations: Collection[str]) -> dict[str, list[str]]:
        """The recordings of each of these conversations, in their order."""
        found: dict[str, list[str]] = {}
        every = sorted(conversations)
        for first in range(0, len(every), 500):
            some = select(segments.c.conversation, segments.c.recording, func.min(segments.c.start).label("begun"))
            some = some.where(segments.c.conversation.in_(every[first : first + 500]))
            some = some.group_by(segments.c.conversation, segments.c.recording)
            for row in sorted(await self._rows(some), key=lambda row: (row["begun"], row["recording"])):
                found.setdefault(row["conversation"], []).append(row["recording"])
        return found

    async def beginning(self, text: str) -> list[str]:
        """The ids of this PBX's recordings that begin with `text`, in order."""
        same = (segments.c.pbx == self.pbx) & segments.c.recording.startswith(text, autoescape=True)
        rows = await self._rows(select(segments.c.recording).where(same).distinct().order_by(segments.c.recording))
        return [str(found["recording"]) for found in rows]

    async def call_list(self) -> list[dict[str, Any]]:
        """Call records, newest first."""
        return await self._rows(select(calls).order_by(calls.c.arrived.desc()))

    async def _rows(self, query: Any) -> list[dict[str, Any]]:
        async with self.engine.connect() as connection:
            found = (await connection.execute(query)).mappings().all()
        return [
            {key: value.replace(tzinfo=UTC) if isinstance(value, datetime) else value for key, value in record.items()}
            for record in found
        ]


def _sums() -> Any:
    """What `recordings` has, made of `segments`."""
    kept = ("pbx", "conversation", "number", "direction", "caller", "callee", "agent", "start")
    least = [func.min(segments.c[name]).label(name) for name in kept]
    most = (func.max(segments.c.end).label("end"), func.sum(segments.c.seconds).label("seconds"))
    count = func.count().label("segments")
    return select(segments.c.recording, *least, *most, count).group_by(segments.c.recording)


def _fits(wanted: Wanted) -> list[ColumnElement[bool]]:
    one = recordings.c
    fits = [one[name] == value for name in ("recording", "number", "direction") if (value := getattr(wanted, name))]
    if wanted.since is not None:
        fits.append(one.start >= plain(wanted.since))
    if wanted.until is not None:
        fits.append(one.start < plain(wanted.until))
    if wanted.shortest is not None:
        fits.append(one.seconds >= wanted.shortest)
    if wanted.longest is not None:
        fits.append(one.seconds <= wanted.longest)
    return fits


def _of_segments(wanted: Wanted) -> list[ColumnElement[bool]]:
    return [segments.c[name] == value for name in ("caller", "callee", "agent") if (value := getattr(wanted, name))]
