"""The vault's disk is full, or stands still: calls go on into RAM, somebody is told, and nothing is missing later."""

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.real import House, a_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-04")]

SIZE = "96M"
LEFT = 64 * 1024  # bytes that are left of a full disk: less than a chunk


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    """One whose vault lies on a disk of its own: Asterisk's files do not."""
    async with a_house() as house:
        await house.lab.stop_service()
        await asyncio.to_thread(_move, house)
        await house.lab.serve()
        try:
            yield house
        finally:
            await house.lab.stop_service()
            await asyncio.to_thread(_run, "umount", "-l", str(house.lab.settings.paths.vault))


def _move(house: House) -> None:
    image, vault = house.lab.folder / "vault.img", house.lab.settings.paths.vault
    aside = vault.with_name("vault-before")
    _run("truncate", "-s", SIZE, str(image))
    _run("mkfs.ext4", "-q", "-F", "-m", "0", str(image))
    vault.rename(aside)
    vault.mkdir()
    _run("mount", "-o", "loop", str(image), str(vault))
    _run("cp", "-a", f"{aside}/.", str(vault))


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


async def test_full_while_calls_stand_come_and_go(house: House) -> None:
    lab = house.lab
    async with house.call_in(16.0) as first:
        await first.talking()
        filler = await asyncio.to_thread(_fill, lab.settings.paths.vault)
        async with house.call_out(4.0, "2102") as second:
            await second.talking(3)
            await lab.until(lambda: bool(lab.status().get("trouble")), 10, "nobody is told")
    async with house.call_in(2.0, "0664587211") as third:
        await third.talking(3)
    assert lab.status()["trouble"], "it is still full"
    assert any((lab.settings.paths.spool / "audio").iterdir()), "what cannot be kept yet waits in RAM"
    filler.unlink()
    await lab.idle(60)
    await lab.until(lambda: not lab.status().get("trouble"), 20, "it is said to be in trouble still")
    house.whole(first.call, second.call, third.call)
    house.verified()
    house.complete()


async def test_a_disk_that_stands_still_holds_no_caller(house: House) -> None:
    lab = house.lab
    vault = str(lab.settings.paths.vault)
    async with house.call_in(14.0) as first:
        await first.talking()
        await asyncio.to_thread(_run, "fsfreeze", "-f", vault)
        try:
            async with house.call_in(4.0, "0664587211") as second:
                await second.talking(3)
        finally:
            await asyncio.to_thread(_run, "fsfreeze", "-u", vault)
    await lab.idle(60)
    house.whole(first.call, second.call)
    house.verified()
    house.complete()
