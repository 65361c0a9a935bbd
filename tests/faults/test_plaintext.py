"""No disk ever holds a second of sound in the clear: not while it is spoken, not after, not when a process dies badly.

Everything that the installation and Asterisk write lies on one disk image; it is searched byte by byte, free blocks
included, for the known tones and for FLAC of any kind. Swap and core files are searched too. Each search is shown to be
able to find: the same search turns red for one planted file.
"""

import asyncio
import contextlib
import os
import resource
import signal
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
import soundfile

from cti.demo.plaintext import Find, Hunter, needles_for
from cti.demo.tones import Samples, reference, ulaw_encode
from tests.real import SIDES, Call, House

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECONDS = 12.0
PLANTED = 7777  # a call that was never made


def hunter(*calls: Call) -> Hunter:
    """Looks for both sides of the calls, and of the one that was never made."""
    known = [(call.call, side, call.seconds) for call in calls for side in SIDES]
    return Hunter(needles_for([*known, (PLANTED, "caller", 5.0)]))


def look(house: House, who: Hunter) -> list[Find]:
    """What the disk holds in the clear at this moment."""
    subprocess.run(["sync", "-f", house.lab.disk], check=True)
    found = who.scan(house.lab.image)
    for line in Path("/proc/swaps").read_text().splitlines()[1:]:
        found += who.scan(Path(line.split()[0]))
    return found


@pytest.mark.rule("B-04", "B-12")
async def test_the_disk_holds_no_sound_while_it_is_spoken_nor_after(house: House) -> None:
    looks: list[list[Find]] = []
    async with house.call_in(SECONDS, "0664587160") as caller, house.call_out(SECONDS, "2102") as callee:
        who = await asyncio.to_thread(hunter, caller.call, callee.call)
        await asyncio.gather(caller.talking(), callee.talking())
        vault, during = house.lab.settings.paths.vault, 0
        while caller.caller.running:
            looks.append(await asyncio.to_thread(look, house, who))
            during += any(vault.glob("segments/*/*.tail*"))
            await asyncio.sleep(1)
    assert during >= 2, "the calls were over before the disk was looked at"
    await house.lab.idle()
    looks.append(await asyncio.to_thread(look, house, who))
    assert [str(find) for found in looks for find in found] == []
    house.whole(caller.call, callee.call)


Writes = Callable[[Path, Samples], None]


def _flac(path: Path, sound: Samples) -> None:
    soundfile.write(path, sound, 8000, subtype="PCM_16", format="FLAC")


def _wav(path: Path, sound: Samples) -> None:
    soundfile.write(path, sound, 8000, subtype="PCM_16", format="WAV")


def _ulaw(path: Path, sound: Samples) -> None:
    path.write_bytes(ulaw_encode(sound))


@pytest.mark.parametrize("write", [_wav, _flac, _ulaw])
async def test_the_search_finds_one_planted_file_even_when_it_is_deleted(house: House, write: Writes) -> None:
    who = hunter()
    assert await asyncio.to_thread(look, house, who) == []
    await asyncio.to_thread(write, house.lab.disk / "planted", reference(PLANTED, "caller", 5.0))
    try:
        assert PLANTED in {find.call for find in await asyncio.to_thread(look, house, who)}
        with _deleted(house.lab.disk / "planted"):
            assert PLANTED in {find.call for find in await asyncio.to_thread(look, house, who)}
    finally:
        (house.lab.disk / "planted").unlink(missing_ok=True)
    assert await asyncio.to_thread(look, house, who) == []


@contextlib.contextmanager
def _deleted(path: Path) -> Iterator[None]:
    """The file has no name any more; afterwards its blocks hold nothing."""
    with path.open("r+b") as file:
        path.unlink()
        yield
        file.write(bytes(os.fstat(file.fileno()).st_size))
        os.fsync(file.fileno())


@pytest_asyncio.fixture(loop_scope="session")
async def dying_place(house: House) -> AsyncIterator[Path]:
    """A folder on the disk in which the service runs, and every one of its users may leave a core file."""
    place, before = house.lab.disk / "cores", Path.cwd()
    place.mkdir(exist_ok=True)
    place.chmod(0o777)
    await house.lab.stop_service()
    os.chdir(place)
    try:
        with _cores_wanted():
            await house.lab.serve()
    finally:
        os.chdir(before)
    yield place
    await house.lab.stop_service()
    await house.lab.serve()


@contextlib.contextmanager
def _cores_wanted() -> Iterator[None]:
    """What is started here may leave a core of any size, unless it says no itself."""
    soft, hard = resource.getrlimit(resource.RLIMIT_CORE)
    resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
    yield
    resource.setrlimit(resource.RLIMIT_CORE, (soft, hard))


@pytest.mark.rule("B-04", "B-12")
@pytest.mark.parametrize("number", [signal.SIGABRT, signal.SIGSEGV])
async def test_a_recorder_that_dies_badly_leaves_no_core(house: House, dying_place: Path, number: int) -> None:
    pattern = await asyncio.to_thread(Path("/proc/sys/kernel/core_pattern").read_text)
    assert "/" not in pattern, "cores do not come to where this test looks for them"
    assert _left_by_another(dying_place, number), "not even a process that may leave a core leaves one here"
    async with house.call_in(8.0, "0664587211") as live:
        await live.talking()
        who = await asyncio.to_thread(hunter, live.call)
        await asyncio.sleep(3)  # until it holds sound
        pid = await house.process("recorder")
        os.kill(pid, number)
        await house.lab.back(pid)
    await house.lab.idle()
    house.whole(live.call)
    assert _cores(dying_place) == []
    assert await asyncio.to_thread(look, house, who) == []


def _cores(place: Path) -> list[Path]:
    return list(place.iterdir())


def _left_by_another(place: Path, number: int) -> bool:
    """Whether some other program that dies by the same signal leaves a core; it is removed."""
    with _cores_wanted(), subprocess.Popen(["sleep", "60"], cwd=place) as victim:
        victim.send_signal(number)
    cores = _cores(place)
    for path in cores:
        path.unlink()
    return bool(cores)


@pytest.mark.rule("B-12")
async def test_every_process_that_may_hold_sound_forbids_cores(house: House) -> None:
    for role in ("recorder", "desk"):
        limits = (await asyncio.to_thread(Path(f"/proc/{await house.process(role)}/limits").read_text)).splitlines()
        (core,) = [line for line in limits if line.startswith("Max core file size")]
        assert core.split()[4:6] == ["0", "0"], role
