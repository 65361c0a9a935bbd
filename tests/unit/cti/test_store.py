"""The database: migrations make what the code believes, and can be run again."""

import asyncio
import sys
from pathlib import Path

import pytest
from sqlalchemy import inspect, text

from cti import intake, store
from cti.cases import tables as cases
from recorder import catalogue
from recorder.access import tables
from tests import databases


def _spelled(kind: object) -> str:
    """PostgreSQL has names of its own."""
    return {"TIMESTAMP": "DATETIME", "DOUBLE PRECISION": "FLOAT", "BYTEA": "BLOB"}.get(str(kind), str(kind))


async def test_the_migrations_make_exactly_the_tables_of_the_code(tmp_path: Path) -> None:
    engine = store.engine(databases.url(tmp_path))
    for _ in range(2):
        await store.migrate(engine)
    async with engine.connect() as connection:

        def shape(sync: object) -> dict[str, dict[str, tuple[str, bool]]]:
            inspector = inspect(sync)
            return {
                name: {c["name"]: (_spelled(c["type"]), c["nullable"]) for c in inspector.get_columns(name)}
                for name in inspector.get_table_names()
                if name != "alembic_version" and not name.startswith("act_words")  # of each database's own kind
            }

        found = await connection.run_sync(shape)
        expected = {
            table.name: {column.name: (str(column.type), bool(column.nullable)) for column in table.columns}
            for metadata in (tables.metadata, catalogue.metadata, intake.metadata, cases.metadata)
            for table in metadata.tables.values()
        }
        assert found == expected
        if not databases.POSTGRESQL:
            pragmas = {"journal_mode": "wal", "foreign_keys": 1, "busy_timeout": 5000}
            for name, value in pragmas.items():
                assert (await connection.execute(text(f"PRAGMA {name}"))).scalar() == value
    await engine.dispose()


CALL = """INSERT INTO calls (conversation, arrived, number, recording)
    VALUES ('c', '2027-04-01 00:00:00', '0664581132', 'r')"""
SEGMENT = """INSERT INTO segments (name, recording, segment, conversation, number, start, "end", seconds, state, slot,
    epoch, manifest_sha256) VALUES ('r.001', 'r', 1, 'c', '0664581132', '2027-04-01 00:00:00', '2027-04-01 00:01:00',
    60.5, 'sealed', 3, 1, 'ab')"""
INTAKE = """INSERT INTO intakes (id, conversation, kind, at, unanswered)
    VALUES ('i', 'c', 'callback', '2027-04-01 00:00:00', false)"""
DONE = "UPDATE intakes SET done_at = '2027-04-01 00:00:00', done_by = '係員', note = '折り返し済み'"
KEPT = """INSERT INTO kept (id, at, "by", note) VALUES ('i', '2027-04-01 00:00:00', '係員', '折り返し済み')"""
FILES = "INSERT INTO call_files (name, read) VALUES ('2027-04-01.jsonl', 300)"
OF_BEFORE = {
    "0001": (CALL, SEGMENT, FILES),
    "0002": (CALL, SEGMENT, FILES, INTAKE, DONE),
    "0003": (CALL, SEGMENT, FILES, INTAKE, KEPT),
}


@pytest.mark.parametrize("version", OF_BEFORE)
async def test_what_an_older_version_of_ours_left_is_taken_over(tmp_path: Path, version: str) -> None:
    engine = store.engine(databases.url(tmp_path, f"{version}.db"))
    await store.migrate(engine, version)
    async with engine.begin() as connection:
        for statement in OF_BEFORE[version]:
            await connection.execute(text(statement))
    await store.migrate(engine)
    ours = catalogue.Catalogue(engine, "pbx1")
    await ours.adopt()
    (call,) = await ours.call_list()
    assert (call["conversation"], call["number"], call["recording"], call["pbx"]) == ("c", "0664581132", "r", "pbx1")
    assert await ours.beginning("r") == ["r"]
    assert await ours.read_until() == {}, "files are read once more, for what the new tables hold beside"
    if version != "0001":
        async with engine.connect() as connection:
            (kept,) = (await connection.execute(text('SELECT id, "by", note, pbx FROM kept'))).all()
            (intake_id,) = (await connection.execute(text("SELECT id FROM intakes"))).scalars()
        assert tuple(kept)[:3] == (intake_id, "係員", "折り返し済み")
    await engine.dispose()


MIGRATES = """
import asyncio, sys
from cti import store

async def main():
    engine = store.engine(sys.argv[1])
    await store.migrate(engine)
    await engine.dispose()

asyncio.run(main())
"""


async def test_processes_that_migrate_at_once_do_not_disturb_each_other(tmp_path: Path) -> None:
    where = databases.url(tmp_path, "two.db")
    if not databases.POSTGRESQL:  # there the service makes the tables, alone
        engine = store.engine(where)
        await store.migrate(engine)
        await engine.dispose()
    begun = [await asyncio.create_subprocess_exec(sys.executable, "-c", MIGRATES, where) for _ in range(4)]
    assert [await process.wait() for process in begun] == [0] * 4


async def test_rows_of_before_the_sites_are_adopted_by_who_opens_the_database(tmp_path: Path) -> None:
    engine = store.engine(databases.url(tmp_path, "old.db"))
    await store.migrate(engine)
    async with engine.begin() as connection:
        await connection.execute(text("INSERT INTO calls (conversation, pbx) VALUES ('a', ''), ('b', 'pbx2')"))
    ours = catalogue.Catalogue(engine, "pbx1")
    await ours.adopt()
    async with engine.connect() as connection:
        rows = (await connection.execute(text("SELECT conversation, pbx FROM calls ORDER BY 1"))).all()
    assert [tuple(row) for row in rows] == [("a", "pbx1"), ("b", "pbx2")]
    await engine.dispose()


async def test_what_two_add_at_once_is_there_once(tmp_path: Path) -> None:
    where = databases.url(tmp_path, "race.db")
    engines = [store.engine(where) for _ in range(4)]
    await store.migrate(engines[0])
    call = {"conversation": "a", "arrived": None, "answered": None, "ended": None, "number": "1", "caller": None}
    rows = [call | {"conversation": str(number), "disposition": None, "recording": None} for number in range(50)]
    ours = [catalogue.Catalogue(engine, "pbx1") for engine in engines]
    await asyncio.gather(*(one.put_calls(rows, "2027-01-01.jsonl", 7) for one in ours))
    assert len(await ours[0].call_list()) == 50
    assert await ours[0].read_until() == {"2027-01-01.jsonl": 7}
    for engine in engines:
        await engine.dispose()


async def test_sites_share_a_database_and_clear_only_what_is_theirs(tmp_path: Path) -> None:
    engine = store.engine(databases.url(tmp_path, "sites.db"))
    await store.migrate(engine)
    one, other = (catalogue.Catalogue(engine, name) for name in ("pbx1", "pbx10"))
    call = {"arrived": None, "answered": None, "ended": None, "number": None, "caller": None, "disposition": None}
    for site, name in ((one, "a"), (other, "b")):
        await site.put_calls([call | {"conversation": name, "recording": None}], "2027-01-01.jsonl", len(name))
    assert {row["conversation"]: row["pbx"] for row in await one.call_list()} == {"a": "pbx1", "b": "pbx10"}
    await one.clear()
    assert [row["conversation"] for row in await other.call_list()] == ["b"]
    assert (await one.read_until(), await other.read_until()) == ({}, {"2027-01-01.jsonl": 1})
    await engine.dispose()
