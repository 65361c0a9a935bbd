"""The vault's disk is full, slow, read-only, broken, or stands still, or the second medium is gone: calls go on into
RAM, somebody is told, and nothing is missing later.
"""

import asyncio
import contextlib
import errno
import os
import subprocess
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests import figures
from tests.figures import SEED, times
from tests.real import SIDES, House, a_house
from tests.traffic import traffic

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-04")]

SIZE = "96M"
SECONDS = times(short=4, long=60)  # for which a disk is not as it should be
HANGS = Path(__file__).parents[1] / "faults" / "hangs"
LEFT = 64 * 1024  # bytes that are left of a full disk: less than a chunk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """One whose vault lies on a disk of its own, as does the second medium: Asterisk's files do not."""
    async with a_house() as house:
        paths = house.lab.settings.paths
        await house.lab.stop_service()
        await asyncio.to_thread(_move, paths.vault, _image(house, paths.vault), SIZE)
        await asyncio.to_thread(_move, paths.mirror, _image(house, paths.mirror), "8M")
        await house.lab.serve()
        try:
            yield house
        finally:
            await house.lab.stop_service()
            await asyncio.to_thread(_run, "umount", "-l", str(paths.vault), str(paths.mirror))


def _image(house: House, folder: Path) -> Path:
    return house.lab.folder / f"{folder.name}.img"


def _move(folder: Path, image: Path, size: str) -> None:
    aside = folder.with_name(f"{folder.name}-before")
    _run("truncate", "-s", size, str(image))
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    folder.rename(aside)
    folder.mkdir()
    _mount(image, folder)
    _run("cp", "-a", f"{aside}/.", str(folder))


def _mount(image: Path, folder: Path) -> None:
    _run("mount", "-o", "loop", str(image), str(folder))


def _run(*command: str) -> None:
    subprocess.run(command, check=True, capture_output=True)


def _fill(vault: Path) -> Path:
    """A file that takes what is left."""
    path = vault / "filler"
    free = os.statvfs(vault)
    with path.open("wb") as file:
        os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_bsize - LEFT))
        written = 0
        try:
            while written < 4 * LEFT:
                written += os.write(file.fileno(), b"\0" * 4096)
        except OSError:
            pass
    return path


@contextlib.asynccontextmanager
async def stands_still(folder: Path) -> AsyncIterator[None]:
    """What lies there neither reads nor writes in the block."""
    await asyncio.to_thread(_run, "fsfreeze", "-f", str(folder))
    try:
        yield
    finally:
        await asyncio.to_thread(_run, "fsfreeze", "-u", str(folder))


async def told(house: House) -> None:
    """Somebody is told at once."""
    await house.lab.until(lambda: bool(house.lab.status().get("trouble")), 10, "nobody is told")


async def well(house: House, seconds: float = 20) -> None:
    """What waited in RAM is in the vault, and nobody complains any more."""
    await house.lab.idle(90)
    await house.lab.until(lambda: not house.lab.status().get("trouble"), seconds, "it is said to be in trouble still")


async def test_full_while_calls_stand_come_and_go(house: House) -> None:
    async with traffic(house, SECONDS + 4, seed=SEED) as calls:
        filler = await asyncio.to_thread(_fill, house.lab.settings.paths.vault)
        await told(house)
        await asyncio.sleep(SECONDS)  # as long as it is full
        assert any((house.lab.settings.paths.spool / "audio").iterdir()), "what cannot be kept yet waits in RAM"
        assert house.lab.status()["trouble"], "it is still full"
        filler.unlink()
    await well(house)
    house.survived("vault-full", *calls.calls, slowest=calls.slowest)


async def test_a_disk_that_stands_still_holds_no_caller(house: House) -> None:
    async with traffic(house, SECONDS + 4, seed=SEED) as calls, stands_still(house.lab.settings.paths.vault):
        await told(house)
        await asyncio.sleep(SECONDS)  # as long as it does
    await well(house)
    house.survived("vault-frozen", *calls.calls, slowest=calls.slowest)


async def test_read_only_from_the_start(house: House) -> None:
    """A disk with errors is mounted so, after a restart; while files are open for writing, no system mounts it so."""
    lab, vault = house.lab, str(house.lab.settings.paths.vault)
    await lab.stop_service()
    await asyncio.to_thread(_run, "mount", "-o", "remount,ro", vault)
    await lab.serve()
    async with traffic(house, SECONDS + 4, seed=SEED) as calls:
        await told(house)
        await asyncio.sleep(SECONDS)  # as long as nothing can be written
        await asyncio.to_thread(_run, "mount", "-o", "remount,rw", vault)
    await well(house)
    house.survived("vault-read-only", *calls.calls, slowest=calls.slowest)


async def test_a_tenth_of_a_second_for_each_sync(house: House) -> None:
    lab = house.lab
    await lab.stop_service()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(HANGS), prepend=os.pathsep)
        patch.setenv("KIKITORI_SYNC_SECONDS", "0.1")
        await lab.serve()
    async with traffic(house, SECONDS + 4, seed=SEED) as calls:
        await asyncio.sleep(SECONDS)  # of work with such a disk
    await well(house)
    house.survived("vault-slow", *calls.calls, slowest=calls.slowest)
    await lab.stop_service()
    await lab.serve()


async def test_a_disk_that_fails_and_is_mended(house: House) -> None:
    """Its blocks have no room where they lie: the kernel meets input/output errors, and gives the file system up.

    Of an image whose journal was written through once all blocks are there, and it does not: not after more calls.
    """
    lab, vault = house.lab, house.lab.settings.paths.vault
    await lab.stop_service()
    with tempfile.TemporaryDirectory(prefix="kikitori-blocks-", dir="/var/tmp") as folder:
        image = await asyncio.to_thread(_onto_blocks, house, Path(folder))
        await lab.serve()
        async with traffic(house, 2 * SECONDS + 20, seed=SEED) as calls:
            filler = Path(folder) / "filler"
            await asyncio.to_thread(_take_the_rest, filler)
            await told(house)
            await asyncio.sleep(SECONDS)  # as long as it fails
            trouble = lab.status()["trouble"]
            assert "Input/output error" in trouble or "Read-only file system" in trouble, trouble
            # What is done then: end the service, mend the file system, mount it, start again. Calls go on.
            await lab.stop_service()
            filler.unlink()
            await asyncio.to_thread(_mend, image, vault)
            await lab.serve()
        await well(house)
        # As after a power failure: what was begun and never synced has no end, and nobody has its key.
        lab.rows("recover")
        house.survived("vault-io-errors", *calls.calls, slowest=calls.slowest)
        await lab.stop_service()
        await asyncio.to_thread(_back, house)
        await lab.serve()


def _onto_blocks(house: House, folder: Path) -> Path:
    """The vault's disk, sparse, in a RAM that has little room beside it."""
    vault = house.lab.settings.paths.vault
    _run("umount", str(vault))
    _run("mount", "-t", "tmpfs", "-o", "size=160m", "blocks", str(folder))
    image = folder / "vault.img"
    _run("cp", "--sparse=always", str(_image(house, vault)), str(image))
    _mount(image, vault)
    # Of a request of several pages a loop device says that it was written where only the first of them were (Linux
    # 6.18, a short write): such a disk lies, and nobody can keep what it was given.
    (_loop(vault) / "queue/max_sectors_kb").write_text("4")
    return image


def _loop(vault: Path) -> Path:
    """What the kernel says of the loop device that is mounted there."""
    found = subprocess.run(["findmnt", "-no", "SOURCE", vault], capture_output=True, text=True, check=True)
    return Path("/sys/block") / Path(found.stdout.strip()).name


def _take_the_rest(path: Path) -> None:
    with path.open("wb") as file, contextlib.suppress(OSError):
        while True:
            file.write(bytes(1 << 20))


def _mend(image: Path, vault: Path) -> None:
    _run("umount", str(vault))
    # 1: what was wrong is mended
    assert subprocess.run(["e2fsck", "-fy", image], capture_output=True, check=False).returncode in (0, 1)
    _mount(image, vault)


def _back(house: House) -> None:
    """The vault, as it is now, on the disk that it had."""
    vault = house.lab.settings.paths.vault
    backing = (_loop(vault) / "loop/backing_file").read_text().strip()
    _run("umount", str(vault))
    _run("cp", "--sparse=always", backing, str(_image(house, vault)))
    _run("umount", str(Path(backing).parent))
    _mount(_image(house, vault), vault)


async def test_the_second_medium_is_gone_and_comes_back(house: House) -> None:
    mirror = house.lab.settings.paths.mirror
    async with traffic(house, SECONDS + 4, seed=SEED) as calls:
        await asyncio.to_thread(_run, "umount", "-l", str(mirror))
        await told(house)
        await asyncio.sleep(SECONDS)  # as long as it is gone
        await asyncio.to_thread(_mount, _image(house, mirror), mirror)
    await well(house, 80)  # once a minute it is looked whether it is back
    house.survived("second-medium-gone", *calls.calls, slowest=calls.slowest)
    assert house.vault.slots.check() == [], "both media are alike again"


async def test_a_second_medium_that_stands_still_holds_no_caller(house: House) -> None:
    async with traffic(house, SECONDS + 4, seed=SEED) as calls, stands_still(house.lab.settings.paths.mirror):
        await told(house)
        await asyncio.sleep(SECONDS)  # as long as it does
    await well(house)
    house.survived("second-medium-frozen", *calls.calls, slowest=calls.slowest)


async def test_a_spool_without_room_is_told_early_and_what_is_missing_is_named(house: House) -> None:
    """Vault and spool both take nothing any more: what Asterisk cannot write then is lost, and not in silence."""
    lab = house.lab
    spool = lab.settings.paths.spool
    async with house.call_in(36.0) as first, house.call_out(36.0, "2102") as second:
        await asyncio.gather(first.talking(), second.talking())
        async with stands_still(lab.settings.paths.vault):
            fillers = [await asyncio.to_thread(_leave, spool, 1 << 19)]
            await lab.until(lambda: "nearly full" in str(lab.status().get("trouble")), 5, "nobody is told early")
            await lab.until(lambda: bool(house.logged("the spool is full: Asterisk cannot write")), 40, "not full")
            # The recorder's own reserve is room for another minute: that is taken too.
            fillers.append(await asyncio.to_thread(_leave, spool, 0))
            await asyncio.sleep(8)  # of talk that Asterisk cannot write
            for filler in fillers:
                filler.unlink()
    await well(house)
    with figures.tried("spool-full", calls=2, named=2):
        missing = {lack["recording"] for lack in house.completeness()["exceptions"] if lack["lack"] == "short"}
        for live in (first, second):
            kept = house.of(live.call)
            assert "spool full" in kept.marks
            assert kept.recording in missing
            (left,), (right,) = (kept.against(live.call, channel, side).splices for channel, side in enumerate(SIDES))
            assert (left.kind, left.at, left.missing) == (right.kind, right.at, right.missing), "the sides are in step"
            assert left.kind == "dropped"


def _leave(spool: Path, left: int) -> Path:
    """A file that leaves so many bytes of a spool. As root: the reserve for who needs it does not count."""
    path = spool / f"filler-{left}"
    with path.open("wb") as file:
        while True:
            free = os.statvfs(spool)
            try:
                os.posix_fallocate(file.fileno(), 0, max(1, free.f_bavail * free.f_frsize - left))
            except OSError as error:  # Asterisk took of it between the question and the answer
                if error.errno != errno.ENOSPC:
                    raise
                if free.f_bavail:
                    continue
            return path


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    # Of a line that a failing disk cut off the rest stays; what it said was written again.
    house.verified(but="a crash cut it off")
    found = house.completeness()["exceptions"]
    # What had no room anywhere is named; nothing else is missing.
    assert {lack["lack"] for lack in found} == {"short"}
    lacking = {lack["recording"] for lack in found}
    assert len(lacking) == 2
    assert all("spool full" in house.open(recording).marks for recording in lacking)
