"""A recorder on a machine of its own: no key that opens anything is there, on the disk or in memory (design: D4)."""

import asyncio
import shutil
import signal
import sys
from base64 import b64decode
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from recorder.vault import bech32
from recorder.vault.age import Identity
from recorder.vault.keys import unlock
from tests.real import PASSPHRASE, House, a_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-12")]

PRIVATE = ("keys/epoch-*.age", "keys/manager.key.age", "keys/api.key", "keys/cases.key", "mirror/escrow/*")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house


@asynccontextmanager
async def role(house: House, name: str) -> AsyncIterator[int]:
    """One role of the service, and no supervisor; its pid."""
    log = (house.lab.folder / f"{name}.log").open("wb")
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.cli", "--config", str(house.lab.config), "serve", "--role", name,
        stdout=log, stderr=asyncio.subprocess.STDOUT, stdin=asyncio.subprocess.DEVNULL,
    )  # fmt: skip
    log.close()
    try:
        yield process.pid
    finally:
        process.send_signal(signal.SIGTERM)
        await process.wait()


def secrets(identity: Identity) -> list[bytes]:
    """What whoever looks for it would look for: the identity's text and its bytes, and the passphrase."""
    text = str(identity)
    return [text.encode(), text.lower().encode(), bech32.decode(text.lower())[1], PASSPHRASE.encode()]


def memory(pid: int) -> bytes:
    """All that a process has written into its memory, and may have read from elsewhere."""
    found = []
    with Path(f"/proc/{pid}/mem").open("rb", buffering=0) as mem:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            bounds, rights, *_ = line.split()
            if not rights.startswith("rw") or "[v" in line:
                continue
            start, end = (int(part, 16) for part in bounds.split("-"))
            try:
                mem.seek(start)
                found.append(mem.read(end - start))
            except OSError:  # a mapping that went meanwhile
                continue
    return b"".join(found)


async def test_what_opens_recordings_never_comes_to_the_recorder(house: House, tmp_path: Path) -> None:
    lab = house.lab
    identity = unlock(lab.settings.paths.keys, 1, PASSPHRASE)
    await lab.stop_service()
    desk = {path: tmp_path / str(number) for number, path in enumerate(
        path for pattern in PRIVATE for path in lab.home.glob(pattern))}  # fmt: skip
    assert len(desk) >= 4
    for path, safe in desk.items():
        shutil.move(path, safe)
    async with role(house, "recorder") as pid, role(house, "gate"):
        await lab.in_step()
        async with house.call_in(4.0) as first:
            await first.talking()
        await lab.until(lambda: lab.status().get("recording") == 0, 30, "the call is sealed")
        async with house.call_in(4.0) as second:
            await second.talking()
            await lab.until(house.vault.unfinished, 10, "a segment is open")
            held = await asyncio.to_thread(memory, pid)
        await lab.until(lambda: not house.vault.unfinished(), 30, "the call is sealed")
    seed = b64decode((lab.settings.paths.keys / "recorder.key").read_text().strip().split("+", 4)[4])[1:]
    assert seed in held, "what is there is found: the key that signs manifests"
    kept = [path for path in lab.home.rglob("*") if path.is_file()]
    for secret in secrets(identity):
        assert secret not in held
        assert not [path for path in kept if secret in path.read_bytes()]
    # What the desk has, elsewhere, opens it all.
    for path, safe in desk.items():
        shutil.move(safe, path)
        shutil.chown(path, lab.settings.users.desk)
    await lab.serve()
    await lab.idle()
    house.whole(first.call, second.call)
    await asyncio.to_thread(house.verified)
