"""Whatever fails at the gate, the caller is connected within three seconds, and recorded whole (D1, D7).

The time runs from the INVITE to the moment in which both can speak; 0.2 s of it the telephone rings.
"""

import asyncio
import os
import signal
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cti.demo.scenarios import Answer
from tests.real import House, Live

pytestmark = pytest.mark.asyncio(loop_scope="session")

CONNECTED_WITHIN = 3.0  # s
RINGS = 0.2
HUNG = 10.0  # s after which the supervisor ends a recorder that hangs


@pytest_asyncio.fixture(loop_scope="session")
async def mended(house: House) -> AsyncIterator[House]:
    """The house; a process that a test stopped goes on afterwards, and all is in step again."""
    yield house
    for role in ("gate", "recorder"):
        house.signal(role, signal.SIGCONT)
    await house.lab.until(lambda: house.lab.status().get("in_step", False), 30, "the recorder did not come back")
    await house.lab.idle()


async def connected(live: Live, began: float) -> float:
    """Seconds from the INVITE until both speak."""
    await live.talking(15)
    return asyncio.get_running_loop().time() - began


async def in_and_out(house: House, seconds: float = 5.0) -> tuple[Live, Live, float]:
    """A call in and one out at once; the longer of the times until they were connected."""
    began = asyncio.get_running_loop().time()
    async with house.call_in(seconds, "0664587211") as caller, house.call_out(seconds, "2102") as callee:
        times = await asyncio.gather(connected(caller, began), connected(callee, began))
    return caller, callee, max(times)


async def whole(house: House, *lives: Live) -> None:
    """Judge the calls once all is in the vault."""
    await house.lab.until(lambda: house.lab.status().get("in_step", False), 30, "the recorder did not come back")
    await house.lab.idle()
    house.whole(*(live.call for live in lives))


@pytest.mark.rule("B-03")
async def test_all_is_well(mended: House) -> None:
    caller, callee, took = await in_and_out(mended)
    assert RINGS < took < 1.5
    await whole(mended, caller, callee)
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["am"]


@pytest.mark.rule("B-03")
async def test_the_gate_is_killed(mended: House) -> None:
    pid = await mended.process("gate")
    mended.signal("gate", signal.SIGKILL)
    caller, callee, took = await in_and_out(mended)
    assert took < CONNECTED_WITHIN
    assert await mended.process("gate") != pid
    await whole(mended, caller, callee)


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("how", [signal.SIGSTOP, signal.SIGUSR1], ids=["stopped", "loop blocked for half a minute"])
async def test_the_gate_accepts_and_stays_silent(mended: House, how: signal.Signals) -> None:
    pid = await mended.process("gate")
    mended.signal("gate", how)
    caller, callee, took = await in_and_out(mended)
    assert 1.0 < took < CONNECTED_WITHIN, "the gate was to be asked, and to be ended by its watchdog"
    assert await mended.process("gate") != pid
    await whole(mended, caller, callee)


@pytest.mark.rule("B-03")
async def test_a_gate_that_is_stopped_for_half_a_minute_has_been_replaced(mended: House) -> None:
    """SIGCONT finds nobody: the port has been another process's for long."""
    pid = await mended.process("gate")
    mended.signal("gate", signal.SIGSTOP)
    async with mended.call_in(31.0, "0664587211") as caller:
        began = asyncio.get_running_loop().time()
        assert await connected(caller, began) < CONNECTED_WITHIN
        await asyncio.sleep(began + 30 - asyncio.get_running_loop().time())
        with pytest.raises(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)
    await whole(mended, caller)


@pytest.mark.rule("B-03")
async def test_gate_and_recorder_are_blocked_at_once(mended: House) -> None:
    """Nobody but the dialplan can have begun the recordings."""
    for role in ("gate", "recorder"):
        await mended.process(role)
        mended.signal(role, signal.SIGUSR1)
    caller, callee, took = await in_and_out(mended, 3.0)
    assert 1.0 < took < CONNECTED_WITHIN
    await mended.lab.until(lambda: mended.recorded(caller.call, callee.call), 60, "the calls were not adopted")
    await whole(mended, caller, callee)
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["fb"]


@pytest.mark.rule("B-03")
async def test_a_crowd_of_silent_connections_holds_no_caller(mended: House) -> None:
    """Who opens hundreds and says nothing, and opens another for each that is closed, keeps nobody from the gate."""
    gate = mended.lab.settings.gate
    served = asyncio.Semaphore(0)

    async def silent() -> None:
        while True:
            reader, writer = await asyncio.open_connection(gate.host, gate.port)
            try:
                served.release()
                writer.write(b"agi_network: yes\n")
                await reader.read()
            finally:
                writer.close()

    pid = await mended.process("gate")
    async with asyncio.TaskGroup() as crowd:
        members = [crowd.create_task(silent()) for _ in range(400)]
        for _ in members:
            await served.acquire()
        caller, callee, took = await in_and_out(mended)
        for member in members:
            member.cancel()
    assert took < CONNECTED_WITHIN
    assert mended.pid_of("gate") == pid
    await whole(mended, caller, callee)
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["am"]


@pytest.mark.rule("B-03")
async def test_the_recorder_hangs_and_goes_on(mended: House) -> None:
    pid = await mended.process("recorder")
    mended.signal("recorder", signal.SIGSTOP)
    began = asyncio.get_running_loop().time()
    async with mended.call_in(8.0, "0664587211") as caller, mended.call_out(8.0, "2102") as callee:
        times = await asyncio.gather(connected(caller, began), connected(callee, began))
        await asyncio.sleep(1)
        mended.signal("recorder", signal.SIGCONT)
    assert max(times) < CONNECTED_WITHIN
    assert mended.pid_of("recorder") == pid
    await whole(mended, caller, callee)
    # The dialplan had begun by itself; a recorder that comes late begins nothing of its own.
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["fb"]


@pytest.mark.rule("B-03")
async def test_the_recorder_hangs_for_a_whole_call(mended: House) -> None:
    pid = await mended.process("recorder")
    mended.signal("recorder", signal.SIGSTOP)
    caller, callee, took = await in_and_out(mended, 3.0)
    mended.signal("recorder", signal.SIGCONT)
    assert took < CONNECTED_WITHIN
    assert mended.pid_of("recorder") == pid
    await mended.lab.until(lambda: mended.recorded(caller.call, callee.call), 20, "the calls were not adopted")
    await whole(mended, caller, callee)
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["fb"]


@pytest.mark.rule("B-03")
async def test_the_recorder_hangs_for_good(mended: House) -> None:
    pid = await mended.process("recorder")
    mended.signal("recorder", signal.SIGSTOP)
    caller, callee, took = await in_and_out(mended, HUNG + 3)
    assert took < CONNECTED_WITHIN
    assert await mended.process("recorder") != pid
    await whole(mended, caller, callee)
    assert mended.of(caller.call).takes == mended.of(callee.call).takes == ["fb"]


@pytest.mark.rule("B-02", "B-03")
async def test_a_call_that_is_forwarded_while_the_recorder_hangs(mended: House) -> None:
    """The dialplan records it on a Local channel, which no list of legs shows."""
    house = mended
    recorder = house.pid_of("recorder")
    house.signal("recorder", signal.SIGSTOP)
    moved = house.rings("3101", Answer(talk=None, refuse=302, moved_to="2001"))
    async with moved, house.call_inside(6.0, "2201", "2001", dialled="3101") as live:
        await live.talking(15)
        house.signal("recorder", signal.SIGCONT)
    await whole(house, live)
    assert house.of(live.call).takes == ["fb"]
    assert house.pid_of("recorder") == recorder
