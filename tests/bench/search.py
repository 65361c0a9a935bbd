"""Search in a catalogue of a million recordings, as the desk asks it: a page of 100, newest first.

`python -m tests.bench.search [--postgresql] [--rows 1000000]` prints one JSON object: p50 and p95 in ms by what is
looked for.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import text

from cti import store
from recorder.catalogue import Catalogue, plain, segments
from recorder.wanted import Wanted
from tests.databases import Postgres

START = datetime(2026, 1, 1, tzinfo=UTC)
NUMBERS = ("0664581132", "0664587160", "0664587211", "0664587225")
PHONES = [str(2001 + place) for place in range(20)]
ASKED = 200
BATCH = 20_000


def row(number: int, chance: random.Random) -> dict[str, Any]:
    """One of a year and a half: 1,800 calls a day, 20 telephones, 60,000 callers."""
    start = START + timedelta(seconds=47 * number)
    recording = str(UUID(int=chance.getrandbits(128), version=4))
    return {
        "name": f"{recording}.001", "recording": recording, "segment": 1, "conversation": recording,
        "number": chance.choice(NUMBERS), "direction": "in", "caller": f"06{chance.randrange(60_000):08d}",
        "callee": "0664581132", "agent": chance.choice(PHONES), "start": plain(start),
        "end": plain(start + timedelta(seconds=180)), "seconds": float(chance.randrange(20, 600)), "state": "sealed",
        "slot": number, "epoch": 1, "manifest_sha256": "0" * 64, "pbx": "pbx1",
    }  # fmt: skip


async def filled(url: str, rows: int) -> Catalogue:
    """A catalogue of so many recordings, of one segment each."""
    engine, chance = store.engine(url), random.Random(1)  # noqa: S311  # callers
    await store.migrate(engine)
    catalogue = Catalogue(engine, "pbx1")
    for first in range(0, rows, BATCH):
        values = [row(number, chance) for number in range(first, min(first + BATCH, rows))]
        async with engine.begin() as connection:
            await connection.execute(segments.insert(), values)
    async with engine.begin() as connection:
        await connection.execute(
            text(
                "INSERT INTO recordings (recording, pbx, conversation, number, direction, caller, callee, agent, start,"
                ' "end", seconds, segments) SELECT recording, pbx, conversation, number, direction, caller, callee,'
                ' agent, start, "end", seconds, 1 FROM segments'
            )
        )
        await connection.execute(text("ANALYZE"))
    return catalogue


async def asked(catalogue: Catalogue, rows: int) -> dict[str, Any]:
    """Each kind of question `ASKED` times."""
    chance = random.Random(2)  # noqa: S311  # questions

    def day() -> datetime:
        return START + timedelta(seconds=47 * chance.randrange(rows))

    kinds: dict[str, Callable[[], Wanted]] = {
        "newest": Wanted,
        "number": lambda: Wanted(number=chance.choice(NUMBERS)),
        "caller": lambda: Wanted(caller=f"06{chance.randrange(60_000):08d}"),
        "agent": lambda: Wanted(agent=chance.choice(PHONES)),
        "day": lambda: Wanted(since=(at := day()), until=at + timedelta(days=1)),
        "agent_day": lambda: Wanted(agent=chance.choice(PHONES), since=(at := day()), until=at + timedelta(days=1)),
        "long": lambda: Wanted(shortest=590, number=chance.choice(NUMBERS)),
    }
    found: dict[str, Any] = {}
    for name, wanted in kinds.items():
        took = []
        for _ in range(ASKED):
            question = wanted()
            began = time.perf_counter()
            await catalogue.recordings(question, limit=101)
            took.append((time.perf_counter() - began) * 1e3)
        took.sort()
        found[name] = {"p50_ms": statistics.median(took), "p95_ms": took[int(len(took) * 0.95)]}
    return found


async def measured(url: str, rows: int) -> dict[str, Any]:
    """Fill it and ask."""
    catalogue = await filled(url, rows)
    try:
        return await asked(catalogue, rows)
    finally:
        await catalogue.engine.dispose()


def main() -> None:
    """See the module."""
    given = argparse.ArgumentParser()
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--postgresql", action="store_true", help="a server of its own, instead of SQLite")
    given.add_argument("--disk", type=Path, default=Path("/var/tmp"))
    options = given.parse_args()
    with tempfile.TemporaryDirectory(dir=options.disk) as folder:
        Path(folder).chmod(0o755)  # PostgreSQL has a user of its own
        server = Postgres(Path(folder) / "postgresql").start() if options.postgresql else None
        try:
            url = server.url("bench") if server else f"sqlite+aiosqlite:///{folder}/catalogue.db"
            print(json.dumps(asyncio.run(measured(url, options.rows))))
        finally:
            if server:
                server.stop()


if __name__ == "__main__":
    main()
