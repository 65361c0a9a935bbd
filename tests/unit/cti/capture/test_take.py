"""From a connection to a file: whole blocks, none of our own business, and what was taken stays taken."""

import asyncio
import os
import stat
from pathlib import Path

import pytest

from cti.ami.message import Message
from cti.capture.mask import Mask
from cti.capture.take import Taken, new_file, refuse_existing, take
from cti.errors import UsageError
from cti.visit import visiting
from tests.unit.cti.ami.fake import FakeAmi, Peer, config, served

STARS = Mask(known=("hunter22",), pseudonyms=None)


def pbx(peer: Peer, action: Message) -> None:
    """A PBX with one call, on which something happens while it is asked."""
    peer.send("Event: Newstate", "Uniqueid: 1.1", "Linkedid: 1.1", "ChannelStateDesc: Up", "Secret: hunter22")
    if action.get("Action") == "CoreSettings":
        peer.reply(action, "AsteriskVersion: 22.10.1")
        return
    told = f"ActionID: {action.get('ActionID')}"
    peer.reply(action, "EventList: start")
    peer.send("Event: CoreShowChannel", told, "Uniqueid: 1.1", "Linkedid: 1.1")
    peer.send("Event: CoreShowChannelsComplete", told, "EventList: Complete")
    peer.writer.write(b"Event: Half\r\nof a ")


class Kept:
    """What was written, a write at a time."""

    def __init__(self) -> None:
        self.writes: list[bytes] = []

    async def write(self, data: bytes) -> None:
        self.writes.append(data)


async def taken_from(
    server: FakeAmi, kept: Kept, *, duration: float | None = None, events: int | None = None, mask: Mask = STARS
) -> Taken:
    """Take until `duration` is over or `events` have come."""
    ended = asyncio.Event()
    clock = iter(range(1_000_000))

    def told(so_far: Taken) -> None:
        if so_far.events == events:
            ended.set()

    async with visiting(config(server.port)) as visit:
        return await take(
            visit, kept, mask, ended=ended, duration=duration, seconds=lambda: float(next(clock)), told=told
        )


async def test_whole_blocks_are_written_and_nothing_of_the_login() -> None:
    kept = Kept()
    async with served(FakeAmi(pbx)) as server:
        taken = await taken_from(server, kept, events=4)
    assert [Message(block).event or Message(block).get("Response") for block in kept.writes] == [
        "Newstate", "Success", "Newstate", "Success", "CoreShowChannel", "CoreShowChannelsComplete",
    ]  # fmt: skip
    whole = b"".join(kept.writes)
    assert whole.endswith(b"\r\n\r\n")
    assert all(word not in whole for word in (b"hunter22", b"Login", b"AsteriskVersion", b"Half"))
    assert (taken.asterisk, taken.events, taken.calls, taken.lost) == ("22.10.1", 4, 1, None)
    assert taken.bytes == len(whole)
    assert taken.seconds > 0


async def test_it_ends_when_its_time_is_over() -> None:
    kept = Kept()
    async with served(FakeAmi(pbx)) as server:
        taken = await taken_from(server, kept, duration=0.3)
    assert (taken.events, taken.lost) == (4, None)


async def test_a_pbx_that_goes_leaves_what_it_said() -> None:
    def dies(peer: Peer, action: Message) -> None:
        pbx(peer, action)
        if action.get("Action") == "CoreShowChannels":
            peer.writer.close()

    kept = Kept()
    async with served(FakeAmi(dies)) as server:
        taken = await taken_from(server, kept)
    assert taken.events == 4
    assert "closed by Asterisk" in (taken.lost or "")
    assert kept.writes[-1].endswith(b"\r\n\r\n")


async def test_a_disk_that_is_full_ends_it() -> None:
    class Full(Kept):
        async def write(self, data: bytes) -> None:
            raise OSError(28, os.strerror(28), "report.ami")

    async with served(FakeAmi(pbx)) as server:
        with pytest.raises(OSError, match="No space left"):
            await taken_from(server, Full())


# --- the file ---------------------------------------------------------------------------------------------------------


async def test_the_file_is_its_owners_alone_whatever_the_umask(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        with new_file(tmp_path / "x.ami", force=False) as file:
            await file.write(b"Event: A\r\n\r\n")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "x.ami").stat().st_mode) == 0o600
    assert (tmp_path / "x.ami").read_bytes() == b"Event: A\r\n\r\n"


def test_an_existing_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.ami"
    path.write_bytes(b"old")
    with pytest.raises(FileExistsError):
        refuse_existing(path, force=False)
    with pytest.raises(FileExistsError), new_file(path, force=False):
        pytest.fail("it was opened")
    (tmp_path / "nowhere.ami").symlink_to(tmp_path / "none")
    with pytest.raises(FileExistsError):
        refuse_existing(tmp_path / "nowhere.ami", force=False)
    assert path.read_bytes() == b"old"


async def test_force_takes_the_place_and_does_not_write_into_it(tmp_path: Path) -> None:
    path, elsewhere = tmp_path / "x.ami", tmp_path / "elsewhere"
    elsewhere.write_bytes(b"somebody's")
    path.symlink_to(elsewhere)
    with new_file(path, force=True) as file:
        await file.write(b"new")
    assert (path.read_bytes(), elsewhere.read_bytes()) == (b"new", b"somebody's")


def test_force_leaves_alone_what_is_no_file(tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(UsageError, match=f"{path.name} is neither a file nor a symbolic link"):
            refuse_existing(path, force=True)
        with pytest.raises(UsageError), new_file(path, force=True):
            pytest.fail("it was opened")
    assert stat.S_ISFIFO(pipe.lstat().st_mode)
    assert folder.is_dir()


async def test_nothing_taken_leaves_no_file_and_something_taken_stays(tmp_path: Path) -> None:
    async def fails(name: str, *blocks: bytes) -> None:
        with new_file(tmp_path / name, force=False) as file:
            for block in blocks:
                await file.write(block)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        await fails("x.ami")
    assert not (tmp_path / "x.ami").exists()
    with pytest.raises(RuntimeError):
        await fails("y.ami", b"Event: A\r\n\r\n")
    assert (tmp_path / "y.ami").read_bytes() == b"Event: A\r\n\r\n"


async def test_what_a_full_disk_cuts_is_taken_back(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real, written = os.write, []

    def fills_up(handle: int, data: memoryview) -> int:
        written.append(bytes(data))
        if len(written) == 3:
            raise OSError(28, os.strerror(28))
        return real(handle, data[:5] if len(written) == 2 else data)

    monkeypatch.setattr(os, "write", fills_up)

    async def write_two() -> None:
        with new_file(tmp_path / "x.ami", force=False) as file:
            await file.write(b"Event: A\r\n\r\n")
            await file.write(b"Event: B\r\n\r\n")

    with pytest.raises(OSError, match="No space left"):
        await write_two()
    monkeypatch.undo()
    assert (tmp_path / "x.ami").read_bytes() == b"Event: A\r\n\r\n"
