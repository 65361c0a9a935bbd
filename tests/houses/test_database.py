"""PostgreSQL stops, starts again, and is slow: no call is touched by it, and the catalogue catches up."""

import asyncio
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from cti.demo.scenarios import Answer
from tests.asterisk.voices import PICKS_UP, Watch
from tests.databases import Postgres
from tests.figures import times
from tests.office.test_tickets import LONG, blind, unanswered
from tests.real import Call, House, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "kikitori"
AWAY = times(short=0, long=60)  # s for which there is no database, beside the calls that come and go


@pytest.fixture(scope="module")
def postgres() -> Iterator[Postgres]:
    with tempfile.TemporaryDirectory(prefix="kikitori-pg-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        server = Postgres(Path(folder) / "pg").start()
        yield server
        server.stop()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(postgres: Postgres) -> AsyncIterator[House]:
    """One whose catalogue lies in PostgreSQL, by the settings alone."""
    async with a_house(database=await asyncio.to_thread(postgres.url, NAME)) as house:
        yield house


async def catalogued(house: House, *calls: Call) -> None:
    """Until the list of recordings has each of `calls` once, whole."""

    def there() -> bool:
        listed = [row["recording"] for row in house.lab.rows("recordings", "list")]
        return all(len(ids := house.ids_of(call)) == 1 and listed.count(ids[0]) == 1 for call in calls)

    await house.lab.until(there, 60, "not in the catalogue")


async def test_the_catalogue_lies_in_postgresql(house: House, postgres: Postgres) -> None:
    async with house.call_in(2.0) as live:
        pass
    await house.lab.idle()
    await catalogued(house, live.call)
    assert postgres.ask("SELECT DISTINCT pbx FROM segments", NAME) == house.lab.settings.site.pbx
    assert not (house.lab.settings.paths.desk / "catalogue.db").exists()
    house.whole(live.call)


@pytest.mark.rule("B-04")
async def test_stopped_while_calls_stand_come_and_go(house: House, postgres: Postgres) -> None:
    async with house.call_in(12.0 + AWAY) as first:
        await first.talking()
        await asyncio.to_thread(postgres.stop)
        async with house.call_out(4.0, "2102") as second:
            await second.talking()
        await asyncio.sleep(AWAY)
        said = house.lab.kikitori("recordings", "list", check=False)
        assert said == "", "nothing, and not an old list"
    async with house.call_in(2.0, "0664587211") as third:
        pass
    await house.lab.idle()
    await asyncio.to_thread(postgres.start)
    calls = [live.call for live in (first, second, third)]
    await catalogued(house, *calls)
    house.survived("database-stopped", *calls)
    house.complete()


@pytest.mark.rule("C-06", "A-19")
async def test_each_promise_that_is_made_meanwhile_is_one_ticket(house: House, postgres: Postgres) -> None:
    async with house.manager() as manager:
        watch = Watch.on(house, manager)
        await asyncio.to_thread(postgres.stop)
        await unanswered(watch, LONG)
        await blind(watch, Answer(talk=None, refuse=486))
        await house.killed("desk")
        await blind(watch, PICKS_UP)
        await asyncio.sleep(AWAY)
        await asyncio.to_thread(postgres.start)

    def counted() -> list[str]:
        return sorted(postgres.ask("SELECT concat(kind, ':', coalesce(outcome, 'open')) FROM tickets", NAME).split())

    wanted = ["abandoned:open", "callback:open", "transfer:failed", "transfer:kept"]
    await house.lab.until(lambda: counted() == wanted, 60, "the tickets are not there")
    await house.killed("desk")
    await house.lab.in_step()
    await house.lab.idle()
    assert counted() == wanted


@pytest.mark.rule("B-04")
async def test_two_seconds_a_commit_hold_no_call(house: House, postgres: Postgres) -> None:
    await asyncio.to_thread(postgres.ask, SLOW, NAME)
    try:
        async with house.call_in(4.0) as first, house.call_in(4.0, "0664587211") as second:
            await first.talking(3)
            await second.talking(3)
        await house.lab.idle()
        calls = [first.call, second.call]
        await catalogued(house, *calls)
        house.survived("database-slow", *calls)
    finally:
        await asyncio.to_thread(postgres.ask, "DROP FUNCTION slow CASCADE", NAME)
    house.verified()
    house.complete()


SLOW = """
CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN PERFORM pg_sleep(2); RETURN NULL; END';
CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON segments DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION slow();
CREATE CONSTRAINT TRIGGER slow AFTER INSERT OR UPDATE ON calls DEFERRABLE INITIALLY DEFERRED
  FOR EACH ROW EXECUTE FUNCTION slow();
"""
