"""Real calls, half a year later: they move to the second medium, whoever is killed meanwhile and whatever is away.

The service's clock is libfaketime's, as in test_clock.py; the recordings are of the calls that were made just before.
"""

import asyncio
import os
import random
import signal
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from cti import control
from cti.places import KEEPER_SOCKET
from tests.figures import SEED, times
from tests.houses.clock import Clock, served_by
from tests.real import Call, House, a_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-15", "B-16")]

DAY = 86_400
CALLS = times(short=4, long=40)
LATER = 190 * DAY  # six months have 181 to 184 days
RATE = "1"  # MiB a second: it takes its time, and can be killed in the middle

PLACED: list[Call] = []


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        for number in range(CALLS):
            if number % 2:
                async with house.call_out(3.0, "2102") as live:
                    pass
            else:
                async with house.call_in(3.0) as live:
                    pass
            PLACED.append(live.call)
        await house.lab.idle()
        yield house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def clock(house: House) -> AsyncIterator[Clock]:
    async with served_by(house, KIKITORI_KEEPER_RATE=RATE) as clock:
        yield clock


def bodies(root: Path) -> set[str]:
    return {path.name for path in (root / "segments").glob("*/*.agebody")}


def first(house: House) -> set[str]:
    return bodies(house.lab.settings.paths.vault)


def second(house: House) -> set[str]:
    return bodies(house.lab.settings.paths.mirror)


async def look_again(house: House) -> None:
    """The desk looks for what is due when it starts."""
    await house.killed("desk")


@contextmanager
def away(mirror: Path) -> Iterator[None]:
    """An empty folder where the second medium was."""
    subprocess.run(["mount", "-t", "tmpfs", "none", mirror], check=True)
    try:
        yield
    finally:
        subprocess.run(["umount", mirror], check=True)


async def test_nothing_moves_a_day_early(house: House, clock: Clock) -> None:
    clock.set(180 * DAY)
    before = first(house)
    assert len(before) >= CALLS
    await look_again(house)
    await house.lab.until(lambda: bool(house.logged("API")), 30, "the desk is not there")
    await asyncio.to_thread(house.lab.kikitori, "recordings", "list")
    assert (first(house), second(house)) == (before, set())


async def test_a_medium_that_is_not_there_costs_nothing(house: House, clock: Clock) -> None:
    before = first(house)
    with away(house.lab.settings.paths.mirror):
        clock.set(LATER)
        await look_again(house)
        await house.lab.until(lambda: bool(house.logged("moved")), 30, "nobody looked for what is due")
        assert "mount it" in house.logged("moved")[-1]["problem"]
        assert first(house) == before
        house.whole(*PLACED)
    assert second(house) == set()


async def move(house: House) -> list[str]:
    """What the desk asks the keeper; the fate of each, nothing where it dies meanwhile."""
    question = {"ask": "move", "recordings": house.recordings(), "act": "test"}
    try:
        answer = await control.ask(house.lab.settings.paths.run / KEEPER_SOCKET, question, 60)
    except (OSError, ValueError):
        return []
    return [one["fate"] for one in answer["outcomes"]]


async def test_the_keeper_killed_at_any_moment_loses_nothing(house: House, clock: Clock) -> None:
    clock.set(LATER)
    everything, chance = first(house), random.Random(SEED)  # noqa: S311  # moments, no secret
    for _ in range(times(short=5, long=60)):
        keeper = await house.process("keeper")
        moving = asyncio.create_task(move(house))
        await asyncio.sleep(chance.uniform(0, 0.4))  # the moment at which it is killed
        os.kill(keeper, signal.SIGKILL)
        await moving
        assert first(house) | second(house) == everything
        house.whole(*PLACED)
        await house.process("keeper", but=keeper)
    # What is left the desk has moved when it comes back, and then its catalogue knows where each lies.
    await house.killed("desk")
    await house.lab.until(lambda: not first(house), 60, "not moved")
    assert second(house) == everything
    house.whole(*PLACED)


async def test_the_house_is_in_order_after_all_this(house: House, clock: Clock) -> None:
    house.verified()
    actions = [entry["action"] for entry in house.lab.rows("audit", "list")]
    moved = {entry["object"] for entry in house.lab.rows("audit", "list") if entry["action"] == "move.result"}
    assert moved == set(house.recordings())
    assert "move.intent" in actions
    house.complete()
