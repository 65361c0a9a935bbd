"""The database: migrations make what the code believes, and can be run again."""

from pathlib import Path

from sqlalchemy import inspect, text

from cti import intake, store
from recorder import catalogue


async def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = store.engine(f"sqlite+aiosqlite:///{tmp_path}/a.db")
    for _ in range(2):
        await store.migrate(engine)
    async with engine.connect() as connection:

        def shape(sync: object) -> dict[str, dict[str, tuple[str, bool]]]:
            inspector = inspect(sync)
            return {
                name: {c["name"]: (str(c["type"]), c["nullable"]) for c in inspector.get_columns(name)}
                for name in inspector.get_table_names()
                if name != "alembic_version"
            }

        found = await connection.run_sync(shape)
        expected = {
            table.name: {column.name: (str(column.type), bool(column.nullable)) for column in table.columns}
            for metadata in (catalogue.metadata, intake.metadata)
            for table in metadata.tables.values()
        }
        assert found == expected
        assert (await connection.execute(text("PRAGMA journal_mode"))).scalar() == "wal"
        assert (await connection.execute(text("PRAGMA foreign_keys"))).scalar() == 1
        assert (await connection.execute(text("PRAGMA busy_timeout"))).scalar() == 5000
    await engine.dispose()
