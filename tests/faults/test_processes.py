"""Recorder, gate and desk are each down, hang or loop for a while, in the middle of calls that stand, come and go.

Callers are connected within three seconds all the time, and every call is kept whole, once (D5, D7).
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from tests.figures import SEED, times
from tests.real import Call, House
from tests.traffic import traffic

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = times(short=4, long=60)
CONNECTED_WITHIN = 3.0  # s
PLACED: list[Call] = []  # by all tests here
SETTLED = 4  # s that calls go on for after the fault
ROLES = ("recorder", "gate", "desk")
# What is done to each process of the role that shows itself meanwhile: the supervisor puts others in its place.
FAULTS = {"down": signal.SIGKILL, "hung": signal.SIGSTOP, "looping": signal.SIGUSR2}


def listens(pid: int) -> bool:
    """Whether a process is there to loop when it is told: until then that signal would end it."""
    with contextlib.suppress(OSError, StopIteration):
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        caught = next(line for line in lines if line.startswith("SigCgt"))
        return bool(int(caught.split()[1], 16) >> (signal.SIGUSR2 - 1) & 1)
    return False


@contextlib.asynccontextmanager
async def broken(house: House, role: str, number: signal.Signals) -> AsyncIterator[Callable[[], int]]:
    """Nobody of `role` does its work in the block. Yields how many processes were hit by now."""
    hit: list[int] = []

    async def again() -> None:
        while True:
            pid = house.pid_of(role)
            if pid is not None and pid not in hit and (number is not signal.SIGUSR2 or listens(pid)):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, number)
                    hit.append(pid)
            await asyncio.sleep(0.02)  # it may be another at any moment

    hitting = asyncio.create_task(again())
    try:
        yield lambda: len(hit)
    finally:
        hitting.cancel()
        await asyncio.wait([hitting])
        for pid in hit:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)


@pytest.mark.rule("B-03")
async def test_without_a_fault(house: House) -> None:
    """What the same traffic costs on this machine, for comparison."""
    async with traffic(house, SECONDS + SETTLED, seed=SEED) as calls:
        await asyncio.sleep(SECONDS)  # as long as the faults last
    await house.lab.idle(60)
    PLACED.extend(calls.calls)
    house.survived("none", *calls.calls, slowest=calls.slowest)


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("how", FAULTS)
@pytest.mark.parametrize("role", ROLES)
async def test_calls_stand_come_and_go(house: House, role: str, how: str) -> None:
    async with traffic(house, SECONDS + SETTLED, seed=SEED) as calls, broken(house, role, FAULTS[how]) as hit:
        await asyncio.sleep(SECONDS)  # as long as the fault lasts
        tries = hit()
    assert tries
    await house.lab.until(lambda: house.lab.status().get("in_step", False), 30, "the recorder did not come back")
    await house.lab.idle(60)
    PLACED.extend(calls.calls)
    house.survived(f"{role}-{how}", *calls.calls, tries=tries, slowest=calls.slowest)
    assert calls.slowest < CONNECTED_WITHIN, sorted(calls.waited)[-3:]


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    await house.process("desk")
    house.verified()
    # Other faults of this house have lost what they could not but lose: those calls are none of these.
    kept = {house.of(call).recording for call in PLACED}
    assert not [lack for lack in house.completeness()["exceptions"] if lack["recording"] in kept]
    listed = {row["recording"] for row in house.lab.rows("recordings", "list")}
    assert listed >= set(house.recordings())
