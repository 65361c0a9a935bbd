"""The database: one engine, and the migrations of every package's tables."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, event
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

MIGRATIONS = Path(__file__).with_name("migrations")


def engine(url: str) -> AsyncEngine:
    """An engine; SQLite with write-ahead log, so that readers and a writer do not wait for each other."""
    made = create_async_engine(url)
    if made.dialect.name == "sqlite":

        @event.listens_for(made.sync_engine, "connect")
        def _pragmas(connection: object, _record: object) -> None:
            for pragma in ("journal_mode=WAL", "busy_timeout=5000", "foreign_keys=ON"):
                connection.execute(f"PRAGMA {pragma}")  # type: ignore[attr-defined]

    return made


async def migrate(made: AsyncEngine) -> None:
    """Bring the tables up to date."""
    async with made.begin() as connection:
        await connection.run_sync(_upgrade)


def _upgrade(connection: Connection) -> None:
    config = Config()
    config.set_main_option("script_location", str(MIGRATIONS))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")
