"""Somebody sets the clock of the host, an hour either way, in the middle of calls; and a host in another time zone.

The service's clock is libfaketime's; Asterisk keeps the machine's own. Under libfaketime it answers no more calls once
the clock was set (Debian's 0.9.10: its waits have no other clock), which says nothing of an Asterisk on a real host.
What its events say when they themselves step is in tests/unit/recorder/test_take.py.
"""

import asyncio
from collections.abc import AsyncIterator
from datetime import datetime, timedelta

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from policies.calendar import JST
from tests.figures import SEED, times
from tests.houses.clock import Clock, served_by
from tests.real import RATE, House, a_house
from tests.traffic import traffic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-04")]

HOUR = 3600
SETTLED = 5  # s that calls go on for before and after
ZONE = "Elsewhere+9:30"  # a zone with no rules of its own needs no table of zones


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clock(house: House) -> AsyncIterator[Clock]:
    async with served_by(house, TZ=ZONE) as clock:
        yield clock


@pytest.mark.parametrize("time", range(times(short=1, long=5)))
@pytest.mark.parametrize(("fault", "step"), [("clock-ahead", HOUR), ("clock-back", -HOUR)])
async def test_set_while_calls_stand_come_and_go(house: House, clock: Clock, fault: str, step: int, time: int) -> None:
    before = wall_clock()
    async with traffic(house, 2 * SETTLED + 2, seed=SEED + time) as calls:
        await asyncio.sleep(SETTLED)  # of calls by the old time
        clock.set(step)
        await asyncio.sleep(SETTLED)  # of calls by the new one
        clock.set(0)
    after = wall_clock()
    await house.lab.idle(60)
    house.survived(fault, *calls.calls, slowest=calls.slowest)
    for call in calls.calls:
        parts = house.of(call).parts
        assert [part.manifest.segment for part in parts] == sorted(part.manifest.segment for part in parts)
        assert all(before <= part.manifest.start <= after for part in parts)
    steps = [entry["detail"]["seconds"] for entry in house.lab.rows("audit", "list") if entry["action"] == "clock.set"]
    assert steps[-2:] == [pytest.approx(step, abs=0.2), pytest.approx(-step, abs=0.2)]


async def test_a_host_in_another_time_zone_counts_the_days_of_japan(
    house: House, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TZ", ZONE)  # of the commands: the service has it from the start
    before = wall_clock()
    async with house.call_in(3.0) as live:
        pass
    await house.lab.idle()
    house.survived("time-zone", live.call)
    (row,) = [row for row in house.lab.rows("recordings", "list") if row["recording"] == house.of(live.call).recording]
    begun = datetime.fromisoformat(row["start"])
    assert begun.utcoffset() is not None
    assert abs(begun - before) < timedelta(seconds=10)
    today = before.astimezone(JST).date().isoformat()
    found = house.completeness()
    assert found["day"] == today
    assert abs(found["seconds"]) >= 3 - 1 / RATE
    assert begun.astimezone(JST).strftime("%H:%M:%S") in house.lab.kikitori("recordings", "list")


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    house.verified()
    house.complete()
