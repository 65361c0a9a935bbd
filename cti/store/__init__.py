"""The database: one engine, and the migrations of every package's tables."""

import asyncio
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from alembic import command
from alembic.config import Config
from asyncpg import PostgresError
from sqlalchemy import Connection, event, make_url, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from cti.errors import DatabaseError
from cti.i18n import _

Result = TypeVar("Result")

MIGRATIONS = Path(__file__).with_name("migrations")
TROUBLE = (SQLAlchemyError, PostgresError)
"""What a database that stops, or is in trouble, raises; one that is not there, OSError."""
_LOCK = 0x6B696B69  # "kiki": two that migrate at once wait for each other


def engine(url: str, password: str | None = None) -> AsyncEngine:
    """An engine for SQLite (write-ahead log: readers and a writer do not wait for each other) or PostgreSQL."""
    where = make_url(url)
    if where.get_backend_name() == "postgresql":
        where = where.set(drivername="postgresql+asyncpg", password=password or where.password)
        # A connection of before a restart of the server is found out before it is used.
        return create_async_engine(
            where, pool_pre_ping=True, hide_parameters=True, connect_args={"timeout": 5, "command_timeout": 60}
        )
    made = create_async_engine(where, hide_parameters=True)  # an error tells no number

    @event.listens_for(made.sync_engine, "connect")
    def _pragmas(connection: object, _record: object) -> None:
        for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON"):
            connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return made


@contextmanager
def database_answers(*, connecting: bool = False) -> Iterator[None]:
    """Raises DatabaseError where the database is in trouble; `connecting`: also where it is not there."""
    trouble: tuple[type[Exception], ...] = (*TROUBLE, OSError) if connecting else TROUBLE
    try:
        yield
    except trouble as error:
        raise DatabaseError(
            _("the database does not answer ({error}). Calls are recorded all the same; start it and try again").format(
                error=str(error).partition("\n")[0] or type(error).__name__
            )
        ) from error


async def migrate(made: AsyncEngine, to: str = "head") -> None:
    """Bring the tables up to date, or to an older version of ours."""
    async with made.begin() as connection:
        await connection.run_sync(_upgrade, to)


def _upgrade(connection: Connection, to: str) -> None:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, to)


async def to_its_end(work: Coroutine[Any, Any, Result]) -> Result:
    """Whoever breaks off waits for what has begun: SQLite stays locked by a transaction that is left."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise
