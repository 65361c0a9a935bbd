"""So many cases, their tickets and their units, on a disk: what a list costs, and how many are entered a second.

`python -m tests.bench.cases [--postgresql] [--rows 1000000]` prints one JSON object: p50 and p95 in ms of what people
look at, over 200 tries each; cases entered a second and tickets made of calls a second, durable, access log and all;
and acts told to another system a second, beside the same requests made by httpx alone, one after the other.
"""

import argparse
import asyncio
import json
import random
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
from sqlalchemy import func, insert, select

from cti import store
from cti.app.clock import wall_clock
from cti.cases import book as module
from cti.cases import form, looking
from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    Accept,
    Act,
    Assign,
    Channel,
    Close,
    Consent,
    HandOver,
    Outcome,
    Reach,
    Register,
    Reply,
    Result,
    State,
    Way,
)
from cti.cases.book import CaseBook
from cti.cases.case import Case
from cti.cases.contact import contact
from cti.cases.lists import TicketsWanted, Wanted
from cti.cases.model import fold
from cti.cases.sealing import FieldKeys
from cti.cases.searching import index
from cti.cases.tables import acts, cases, seers, tickets
from cti.cases.ticketing import Ticketing
from cti.cases.words import grams
from cti.intake import IntakeBook
from cti.outward import signing
from cti.outward.queue import Outbox
from cti.outward.sending import Sending
from policies.load import Policies, shipped
from policies.outward import Destination, Outward
from recorder.access.log import AccessLog
from recorder.catalogue import plain
from tests.databases import Postgres
from tests.unit.cti.outward.receiver import receiving
from tests.unit.recorder.rig import uuid

TRIES = 200
ENTERED = 500
BATCH = 2000
START = datetime(2022, 4, 1, tzinfo=UTC)
SECTIONS = [f"section-{number}" for number in range(40)]
WORDS = ("検針票の金額が先月の倍です", "水が濁っている", "道路で漏水している", "口座を変更したい", "断水はいつまでか")


def story(chance: random.Random, number: int) -> list[Act]:
    """A case as they are: nineteen of twenty are over."""
    at = START + timedelta(minutes=2 * number)
    who: dict[str, Any] = {"by": "gyosha", "unit": CONTRACTOR}
    section = chance.choice(SECTIONS)
    caller = contact(f"06{chance.randrange(62_000_000, 67_999_999)}")
    done: list[Act] = [
        Register(at=at, **who, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=at,
                 conversation=uuid(str(number)), inquiry=chance.choice(WORDS),
                 category=chance.choice(["leak", "bill", "complaint"])),
        Reach(at=at, **who, name="山田 太郎", contact=caller, read_back=True),
        Consent(at=at, **who, given=True),
        Assign(at=at, **who, main=section),
        HandOver(at=at, **who, way=Way.CALLBACK, promised=at + timedelta(hours=2)),
    ]  # fmt: skip
    if chance.random() < 0.95:
        there: dict[str, Any] = {"at": at + timedelta(hours=1), "by": "kyusui1", "unit": section}
        done += [
            Accept(**there), Reply(**there, channel=Channel.PHONE),
            Result(**there, outcome=Outcome.ANSWERED, text="修繕業者を案内した"), Close(**there),
        ]  # fmt: skip
    return done


class Filling(CaseBook):
    """Writes as the book does, a thousand at a time and without the access log."""

    def rows(self, number: int, done: list[Act], case: Case) -> Iterator[tuple[Any, dict[str, Any]]]:
        """Of one case: table and row."""
        yield cases, self._row(case, len(done)) | {"id": case.id, "number": number}
        for place, act in enumerate(done, start=1):
            kind = form.kind(act)
            around = looking.around(case.id, place, kind, act.at, act.by, act.unit, None)
            yield acts, {
                "case": number, "act": place, "kind": kind, "at": plain(act.at), "by": act.by, "unit": act.unit,
                "site": "pbx1", "key": None, "tag": self._tag(act),
                "sealed": self._keys.seal(form.private(act), around),
            }  # fmt: skip
        yield from ((tickets, row) for row in module._tickets(number, case))
        yield from ((seers, row) for row in module._seers(number, case))


async def fill(book: Filling, rows: int) -> None:
    """So many cases."""
    chance, written = random.Random(7), 0  # noqa: S311
    for first in range(1, rows + 1, BATCH):
        new: dict[Any, list[dict[str, Any]]] = {cases: [], acts: [], tickets: [], seers: []}
        words: list[tuple[int, list[int]]] = []
        for number in range(first, min(first + BATCH, rows + 1)):
            done = story(chance, number)
            for table, row in book.rows(number, done, fold(done, uuid(f"case {number}"))):
                new[table].append(row)
            words += enumerate((book._words(grams(form.texts(act))) for act in done), start=written + 1)
            written += len(done)
        # Without asking for what the database would have called them: that is a round for each row.
        for place, row in enumerate(new[acts], start=written - len(new[acts]) + 1):
            row["id"] = place
        async with book._engine.begin() as connection:
            for table, values in new.items():
                await connection.execute(insert(table), values)
            await index(connection, [(one, each) for one, each in words if each])
    if book._engine.dialect.name == "postgresql":
        async with book._engine.begin() as connection:
            for table, column in ((acts, "id"), (cases, "number")):
                last = select(func.setval(func.pg_get_serial_sequence(table.name, column), func.max(table.c[column])))
                await connection.execute(last)


async def timed(what: Callable[[], Awaitable[object]]) -> dict[str, float]:
    """ms, of so many tries."""
    took = []
    for _ in range(TRIES):
        began = time.perf_counter()
        await what()
        took.append((time.perf_counter() - began) * 1e3)
    took.sort()
    return {"p50": statistics.median(took), "p95": took[int(len(took) * 0.95)]}


async def looked_at(book: CaseBook, rows: int) -> dict[str, dict[str, float]]:
    """What people look at."""
    chance = random.Random(8)  # noqa: S311
    now = START + timedelta(minutes=2 * rows)

    def unit() -> str:
        return chance.choice(SECTIONS)

    def number() -> str:
        return contact(f"06{chance.randrange(62_000_000, 67_999_999)}").e164

    waits = Wanted(states=(State.HANDED_OVER, State.ACCEPTED))
    return {
        "inbox of a section": await timed(lambda: book.lines(waits, unit(), limit=100, soonest=True)),
        "newest of a section": await timed(lambda: book.lines(Wanted(), unit(), limit=100)),
        "newest of all": await timed(lambda: book.lines(Wanted(), CENTRE, limit=100)),
        "late of all": await timed(lambda: book.lines(Wanted(late=now), CENTRE, limit=100, soonest=True)),
        "of a caller": await timed(lambda: book.lines(Wanted(number=number()), CONTRACTOR, limit=100)),
        "one case": await timed(lambda: book.get(chance.randrange(1, rows))),
        "open tickets of a section": await timed(lambda: book.tickets(TicketsWanted(), unit(), limit=100)),
        "words that a fifth has": await timed(lambda: book.search(Wanted(), ["漏水"], CENTRE, limit=50)),
        "words of a section's": await timed(lambda: book.search(Wanted(), ["漏水", "山田"], unit(), limit=50)),
        "words that none has": await timed(lambda: book.search(Wanted(), ["下水道"], CENTRE, limit=50)),
        "late tickets of all": await timed(lambda: book.tickets(TicketsWanted(late=now), CENTRE, limit=100)),
    }


async def entered(book: CaseBook, at_once: int) -> float:
    """Cases a second, durable, by so many at once."""
    chance = random.Random(9)  # noqa: S311
    left = iter(range(ENTERED))

    async def one() -> None:
        for number in left:
            await book.enter(story(chance, 10_000_000 + number)[:2])

    began = time.perf_counter()
    await asyncio.gather(*(one() for _ in range(at_once)))
    return ENTERED / (time.perf_counter() - began)


async def ticketed(book: CaseBook, intakes: IntakeBook) -> float:
    """Calls that nobody answered, into tickets, a second."""
    steps = [
        {
            "key": f"bench/{number}", "conversation": uuid(f"missed {number}"), "uniqueid": f"pbx1-1.{number}",
            "at": (START + timedelta(seconds=number)).isoformat(), "what": "missed",
            "values": {"number": "0664581132", "from": f"06{62_000_000 + number}", "why": "cancelled", "seconds": "25"},
        }
        for number in range(ENTERED)
    ]  # fmt: skip
    await intakes.take(steps, "bench.jsonl", 1)
    policies = Policies(shipped())
    began = time.perf_counter()
    await Ticketing(intakes, book, lambda: policies, wall_clock).look()
    return ENTERED / (time.perf_counter() - began)


async def told(book: CaseBook, folder: Path) -> dict[str, float]:
    """Acts told to somebody on loopback a second, of all that was entered above; and the same, posted and no more."""
    (folder / "secret").write_text(f"{signing.made(bytes(32))}\n")
    with receiving() as receiver:
        to = Destination(name="bench", url=f"{receiver.url}/hook", secret_file=str(folder / "secret"))
        policy = Outward(basis="B-04", decided_by="-", effective_from=START.date(), destination=(to,))
        queue = Outbox(book._engine, "pbx1")
        sending = Sending(queue, book, lambda: policy, lambda *_: None, "pbx1", wall_clock)
        began = time.perf_counter()
        while True:
            before = len(receiver.took)
            await sending.look()
            await sending.settled()
            if len(receiver.took) == before:
                break
        ours = len(receiver.took) / (time.perf_counter() - began)
        bodies = [one.body for one in receiver.took]
        async with httpx.AsyncClient() as plain_client:
            began = time.perf_counter()
            for body in bodies:
                await plain_client.post(to.url, content=body)
        posted = len(bodies) / (time.perf_counter() - began)
    return {"told": ours, "posted": posted, "told_per_posted": ours / posted}


async def measure(folder: Path, rows: int, *, postgresql: bool) -> dict[str, Any]:
    """All of it."""
    server = Postgres(folder / "postgresql").start() if postgresql else None
    engine = store.engine(server.url() if server else f"sqlite+aiosqlite:///{folder / 'cases.db'}")
    await store.migrate(engine)
    log = AccessLog(folder / "access.db")

    def tell(actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        log.append(ts=START, actor=actor, action=action, object=about, detail=detail)

    keys = FieldKeys(bytes(32))
    filling = Filling(engine, lambda: keys, "pbx1", tell)
    began = time.perf_counter()
    await fill(filling, rows)
    filled = time.perf_counter() - began
    book = CaseBook(engine, lambda: keys, "pbx1", tell)
    found: dict[str, Any] = {"rows": rows, "filled_seconds": filled, "ms": await looked_at(book, rows)}
    found["entered_alone"] = await entered(book, 1)
    found["entered_eight"] = await entered(book, 8)
    found["tickets"] = await ticketed(book, IntakeBook(engine, "pbx1", lambda _at: None))
    found |= await told(book, folder)
    await engine.dispose()
    if server:
        server.stop()
    return found


def main() -> None:
    """See the module."""
    given = argparse.ArgumentParser()
    given.add_argument("--rows", type=int, default=1_000_000)
    given.add_argument("--postgresql", action="store_true")
    given.add_argument("--disk", type=Path, default=Path("/var/tmp"))
    options = given.parse_args()
    with tempfile.TemporaryDirectory(dir=options.disk) as name:
        Path(name).chmod(0o755)  # PostgreSQL has a user of its own
        print(json.dumps(asyncio.run(measure(Path(name), options.rows, postgresql=options.postgresql))))


if __name__ == "__main__":
    main()
