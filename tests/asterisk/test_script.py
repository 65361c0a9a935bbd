"""A PBX that asks the gate by a script, over a Unix socket: `[asterisk] gate = "script"`."""

import asyncio
import re
import signal
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.real import House, Live, a_house

pytestmark = pytest.mark.asyncio(loop_scope="module")

CONNECTED_WITHIN = 3.0  # s
SCRIPT_WITHIN = 1.5  # s: its half second, the start of Python, 0.2 s of ringing, and what Asterisk takes


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """An installation whose Asterisk knows no address of the gate."""
    async with a_house("script") as house:
        yield house


def told(house: House) -> list[str]:
    """What the channels of the trunk were told of being recorded."""
    channels = re.findall(r"^PJSIP/trunk-\w+", house.lab.pbx.rx("core show channels concise"), re.MULTILINE)
    shown = [house.lab.pbx.rx(f"core show channel {channel}") for channel in channels]
    return [answer for text in shown for answer in re.findall(r"^KIKITORI_ARMED=(.*)$", text, re.MULTILINE)]


async def in_and_out(house: House, armed: str) -> tuple[Live, Live, float]:
    """A call in and one out at once; the longer of the times until both sides spoke. `armed`: what both were told."""
    began = asyncio.get_running_loop().time()
    async with house.call_in(5.0, "0664587211") as caller, house.call_out(5.0, "2102") as callee:
        await asyncio.gather(caller.talking(15), callee.talking(15))
        took = asyncio.get_running_loop().time() - began
        assert await asyncio.to_thread(told, house) == [armed, armed]
    return caller, callee, took


@pytest.mark.rule("B-03")
async def test_a_call_goes_on_once_the_script_has_heard_that_it_is_recorded(house: House) -> None:
    assert "agi://" not in (house.lab.pbx.etc / "extensions.conf").read_text()
    caller, callee, took = await in_and_out(house, "yes")
    assert took < SCRIPT_WITHIN
    await house.lab.idle()
    house.whole(caller.call, callee.call)
    assert house.of(caller.call).takes == house.of(callee.call).takes == ["am"]
    assert not [line for line in house.lab.pbx.log_problems() if "AGI" in line or "kikitori-route" in line]


async def test_the_gates_socket_is_for_asterisk_and_nobody_else(house: House) -> None:
    path = Path(house.lab.pbx.site.gate_socket)
    for place, mode in ((path.parent, 0o2750), (path, 0o660)):
        found = place.stat()
        assert stat.S_IMODE(found.st_mode) == mode
        assert found.st_gid == house.lab.pbx.users.group


@pytest.mark.rule("B-03")
async def test_a_gate_that_stays_silent_holds_nobody_longer_than_half_a_second(house: House) -> None:
    await house.process("gate")
    house.signal("gate", signal.SIGSTOP)
    caller, callee, took = await in_and_out(house, "")
    assert took < SCRIPT_WITHIN
    await house.lab.until(lambda: house.lab.status().get("in_step", False), 30, "the recorder is not there")
    await house.lab.idle()
    house.whole(caller.call, callee.call)


@pytest.mark.rule("B-03")
async def test_without_a_gate_the_dialplan_records_by_itself(house: House) -> None:
    """The recorder is stopped too: nobody but the dialplan can have begun."""
    house.signal("recorder", signal.SIGSTOP)
    socket = Path(house.lab.pbx.site.gate_socket)
    aside = socket.with_suffix(".aside")
    socket.rename(aside)  # noqa: ASYNC240  # one system call
    try:
        caller, callee, took = await in_and_out(house, "")
    finally:
        aside.rename(socket)
        house.signal("recorder", signal.SIGCONT)
    assert took < CONNECTED_WITHIN
    await house.lab.until(lambda: house.recorded(caller.call, callee.call), 30, "the calls were not adopted")
    await house.lab.idle()
    house.whole(caller.call, callee.call)
    assert house.of(caller.call).takes == house.of(callee.call).takes == ["fb"]
