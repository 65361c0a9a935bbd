"""The plug is pulled in the middle of calls: RAM is gone, the disk is what it was, and somebody gives the keys back."""

import asyncio
import os
import random
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from cti.demo.lab import Lab
from tests import figures
from tests.figures import SEED, times
from tests.real import RATE, SIDES, House, Live, but_for_a_packet

pytestmark = pytest.mark.asyncio(loop_scope="session")

LOST = 3.5  # s at the end: 2 in Asterisk's own buffer, a FLAC frame, a tick, and what one of 20 ms frames may lag


def processes(house: House) -> list[int]:
    """All that writes to the disk: those who start others first."""
    assert house.lab.service is not None
    service = house.lab.service.pid
    children = Path(f"/proc/{service}/task/{service}/children").read_text().split()
    return [service, *map(int, children), house.lab.pbx.pid]


def pull_the_plug(house: House) -> None:
    """Nobody writes another byte; the disk is put aside as it is; everybody is gone, and so is what lay in RAM.

    What no sync had asked for may be on it or not, as after any power failure.
    """
    lab = house.lab
    everybody = processes(house)
    for pid in everybody:
        os.kill(pid, signal.SIGSTOP)
    aside = lab.image.with_suffix(".aside")
    subprocess.run(["cp", "--sparse=always", lab.image, aside], check=True)
    for pid in reversed(everybody):
        os.kill(pid, signal.SIGKILL)
    lab.pbx.kill()
    lab.pbx.close()
    for path in (lab.home / "spool", lab.disk):
        subprocess.run(["umount", "--lazy", path], check=True)
    shutil.move(aside, lab.image)


def mount(lab: Lab) -> None:
    """The disk as it was found, and empty RAM."""
    subprocess.run(["mount", "-o", "loop", lab.image, lab.disk], check=True)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=512m,mode=0755", "spool", lab.home / "spool"], check=True)


async def boot(lab: Lab) -> None:
    """The service first: it makes the spool's folders, which Asterisk's jail wants to have."""
    await asyncio.to_thread(mount, lab)
    await lab.serve_alone()
    await asyncio.to_thread(lab.pbx.start)
    await lab.in_step()


@pytest.mark.rule("B-03", "B-07")
@pytest.mark.parametrize("time", range(times(short=1, long=10)))
async def test_what_was_synced_when_the_power_failed_is_heard_again(house: House, time: int) -> None:
    lab, chance = house.lab, random.Random(SEED + time)  # noqa: S311  # a moment, no secret
    async with house.call_in(4.0, "0664587225") as before:
        pass
    await lab.idle()
    placed = house.call_in(30.0, "0664587211", ends=False), house.call_out(30.0, "2102", ends=False)
    async with placed[0] as caller, placed[1] as callee:
        await asyncio.gather(caller.talking(), callee.talking())
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(chance.uniform(9, 14))
        talked = asyncio.get_running_loop().time() - began
        await asyncio.to_thread(pull_the_plug, house)
        assert lab.service is not None
        await lab.service.wait()
    await boot(lab)
    house.whole(before.call)
    assert [house.ids_of(live.call) for live in (caller, callee)] == [[], []]
    unfinished = lab.rows("recover", "--dry-run")
    assert len(unfinished) == 2, unfinished
    found = lab.rows("recover")
    assert [row["outcome"] for row in found] == ["recovered"] * 2, found
    with figures.tried("power", calls=2, named=2):
        for live in (caller, callee):
            judge(house, live, talked)
    assert lab.rows("recover", "--dry-run") == []
    house.verified()
    booked = {call["recording"] for call in lab.rows("calls", "list")}
    assert {house.of(live.call).recording for live in (caller, callee)} <= booked
    # And the next call is recorded as if nothing had been.
    async with house.call_in(3.0, "0664587225") as after:
        pass
    await lab.idle()
    house.whole(after.call)


def judge(house: House, live: Live, talked: float) -> None:
    """From the first sample on, without a splice, up to what had been synced; under the names it had."""
    kept = house.of(live.call)
    assert [state for state, _ in kept.states] == ["torn"]
    manifest = kept.parts[0].manifest
    assert (manifest.direction, manifest.take_offset) == (live.call.way, 0)
    assert live.call.party in (manifest.caller, manifest.callee)
    for channel, side in enumerate(SIDES):
        found = kept.against(live.call, channel, side)
        assert (found.missing_front, found.mismatches, found.heard) == (0, 0, ()), str(found)
        assert but_for_a_packet(found), str(found)
    assert talked - LOST < len(kept.sound) / RATE < talked + 1.0
