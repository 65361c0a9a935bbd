"""The catalogue: an index over manifests and call records. The vault folder is the truth."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, DateTime, Float, Integer, MetaData, String, Table, delete, func, insert, select, true
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from recorder.vault.manifest import Manifest

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
)

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
)

call_files = Table(
    "call_files", metadata, Column("name", String(32), primary_key=True), Column("read", Integer, nullable=False)
)


def plain(at: datetime | None) -> datetime | None:
    """UTC without its zone: SQLite keeps none."""
    return at.astimezone(UTC).replace(tzinfo=None) if at else None


def row(name: str, manifest: Manifest, digest: str) -> dict[str, Any]:
    """One segment as the catalogue holds it."""
    same = ("recording", "segment", "conversation", "number", "direction", "caller", "callee", "agent", "state", "slot")
    values: dict[str, Any] = {field: getattr(manifest, field) for field in (*same, "epoch")}
    values |= {"name": name, "start": plain(manifest.start), "end": plain(manifest.end)}
    return values | {"seconds": manifest.frames / manifest.rate, "manifest_sha256": digest}


class Catalogue:
    """Looks up and keeps; one transaction a call."""

    def __init__(self, engine: AsyncEngine) -> None:
        """`engine` is migrated already."""
        self.engine = engine

    async def put(self, rows: Sequence[dict[str, Any]]) -> None:
        """Add segments; those known already are replaced."""
        async with self.engine.begin() as connection:
            await self._replace(connection, segments, "name", rows)

    async def put_calls(self, rows: Sequence[dict[str, Any]], file: str, read: int) -> None:
        """Add call records, and remember that `file` was read up to byte `read`."""
        rows = [call | {field: plain(call[field]) for field in ("arrived", "answered", "ended")} for call in rows]
        async with self.engine.begin() as connection:
            await self._replace(connection, calls, "conversation", rows)
            await self._replace(connection, call_files, "name", [{"name": file, "read": read}])

    @staticmethod
    async def _replace(connection: AsyncConnection, table: Table, key: str, rows: Sequence[dict[str, Any]]) -> None:
        for values in rows:
            await connection.execute(delete(table).where(table.c[key] == values[key]))
            await connection.execute(insert(table).values(**values))

    async def read_until(self) -> dict[str, int]:
        """How many bytes of each call file are in the catalogue, by its name."""
        async with self.engine.connect() as connection:
            return {str(name): int(read) for name, read in await connection.execute(select(call_files))}

    async def clear(self) -> None:
        """Forget everything; the vault has it all."""
        async with self.engine.begin() as connection:
            for table in (segments, calls, call_files):
                await connection.execute(delete(table))

    async def recordings(self, **wanted: str | None) -> list[dict[str, Any]]:
        """Recordings, whole and newest first; `wanted` compares number, caller, callee, agent or recording.

        A recording is found where one of its segments is as wanted.
        """
        fits = [segments.c[field] == value for field, value in wanted.items() if value is not None]
        query = (
            select(
                segments.c.recording,
                segments.c.conversation,
                func.min(segments.c.number).label("number"),
                func.min(segments.c.direction).label("direction"),
                func.min(segments.c.caller).label("caller"),
                func.min(segments.c.callee).label("callee"),
                func.min(segments.c.agent).label("agent"),
                func.min(segments.c.start).label("start"),
                func.max(segments.c.end).label("end"),
                func.sum(segments.c.seconds).label("seconds"),
                func.count().label("segments"),
            )
            .where(segments.c.recording.in_(select(segments.c.recording).where(*fits)) if fits else true())
            .group_by(segments.c.recording, segments.c.conversation)
            .order_by(func.min(segments.c.start).desc())
        )
        return await self._rows(query)

    async def segments(self) -> dict[str, dict[str, Any]]:
        """Segment name -> what `row` made of its manifest, for all."""
        async with self.engine.connect() as connection:
            found = (await connection.execute(select(segments))).mappings().all()
        return {record["name"]: dict(record) for record in found}

    async def begun_between(self, first: datetime, last: datetime) -> list[str]:
        """The names of the segments that begin then, in their order."""
        begun = (segments.c.start >= plain(first)) & (segments.c.start < plain(last))
        wanted = select(segments.c.name).where(begun).order_by(segments.c.start)
        async with self.engine.connect() as connection:
            return [str(name) for name in await connection.scalars(wanted)]

    async def conversations_of(self, recording: str) -> list[str]:
        """The conversations whose recording begins with `recording`."""
        wanted = select(calls.c.conversation).where(calls.c.recording.startswith(recording, autoescape=True))
        async with self.engine.connect() as connection:
            return [str(name) for name in await connection.scalars(wanted)]

    async def has_call(self, recording: str) -> bool:
        """Whether there is a call record that names `recording`."""
        return bool(await self._rows(select(calls.c.conversation).where(calls.c.recording == recording)))

    async def beginning(self, text: str) -> list[str]:
        """The ids of the recordings that begin with `text`, in order."""
        same = segments.c.recording.startswith(text, autoescape=True)
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
