"""The supervisor with real processes: ready, dead, hanging, stubborn."""

import asyncio
import contextlib
import grp
import os
import pwd
import signal
import socket
import stat
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from cti import supervise, users
from cti.notify import Notifier
from cti.supervise import Supervisor, own_command
from tests.unit.recorder.rig import ram_folder

CHILD = """
import os, signal, socket, sys, time
mode, role, log = sys.argv[1:4]
channel = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
def note(what):
    with open(log, "a") as file:
        file.write(f"{what} {role} {os.getpid()}\\n")
def end(*_):
    note("end")
    sys.exit(0)
signal.signal(signal.SIGTERM, signal.SIG_IGN if mode == "stubborn" else end)
note("start")
if mode != "mute":
    channel.sendto(b"READY=1", os.environ["NOTIFY_SOCKET"])
while mode == "hang" or mode == "mute":
    time.sleep(0.05)
while True:
    channel.sendto(b"WATCHDOG=1", os.environ["NOTIFY_SOCKET"])
    time.sleep(0.02)
"""

BECOME = """
import os, signal, socket, sys, time
os.setgroups([{group}])
os.setgid({group})
os.setuid({uid})
"""


class Troupe:
    """A supervisor over `CHILD` processes in the modes given, and what became of them."""

    def __init__(
        self, folder: Path, identities: Mapping[str, users.Identity | None] | None = None, **modes: str
    ) -> None:
        self.log = folder / "log"
        self.log.touch()
        self.ready = 0
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self.socket.bind(str(folder / "above"))
        self.modes, self.prelude = modes, ""
        self.supervisor = Supervisor(
            list(modes),
            self.command,
            identities or {},
            Notifier({"NOTIFY_SOCKET": str(folder / "above")}),
            self.on_ready,
        )

    def command(self, role: str) -> list[str]:
        if self.modes[role] == "absent":
            return ["/nonexistent/program"]
        return [sys.executable, "-I", "-S", "-c", self.prelude + CHILD, self.modes[role], role, str(self.log)]

    def on_ready(self) -> None:
        self.ready += 1

    def noted(self, what: str, role: str = "") -> list[int]:
        rows = [line.split() for line in self.log.read_text().splitlines()]
        return [int(pid) for said, name, pid in rows if said == what and role in ("", name)]

    def said(self) -> list[bytes]:
        heard = []
        try:
            while True:
                heard.append(self.socket.recv(100))
        except BlockingIOError:
            return heard


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not holds():  # noqa: ASYNC110  # other processes make it true
            await asyncio.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "BEAT", 0.05)


@asynccontextmanager
async def running(troupe: Troupe) -> AsyncIterator["asyncio.Task[None]"]:
    task = asyncio.create_task(troupe.supervisor.run())
    try:
        yield task
    finally:
        if not task.done():
            os.kill(os.getpid(), signal.SIGTERM)
        async with asyncio.timeout(20):
            await asyncio.wait([task])
        troupe.socket.close()
        assert not [pid for pid in troupe.noted("start") if alive(pid)]


async def test_ready_when_all_are_and_ended_in_order(tmp_path: Path) -> None:
    troupe = Troupe(tmp_path, desk="good", recorder="good", gate="good")
    async with running(troupe):
        await until(lambda: troupe.ready == 1)
        said = troupe.said()
        assert b"READY=1" in said
        assert b"STOPPING=1" not in said
    ends = [line.split()[1] for line in troupe.log.read_text().splitlines() if line.startswith("end")]
    assert ends == ["gate", "recorder", "desk"]
    assert troupe.ready == 1


async def test_one_that_dies_is_started_again_and_the_others_stay(tmp_path: Path) -> None:
    troupe = Troupe(tmp_path, gate="good", recorder="good")
    async with running(troupe):
        await until(lambda: troupe.ready == 1)
        [old] = troupe.noted("start", "recorder")
        os.kill(old, signal.SIGKILL)
        await until(lambda: len(troupe.noted("start", "recorder")) == 2)
        await until(lambda: troupe.supervisor.children["recorder"].ready)
        assert len(troupe.noted("start", "gate")) == 1
    assert troupe.ready == 1


async def test_one_that_hangs_is_killed_and_started_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # For a gate it does not matter why it is silent: its death lets its callers go on.
    monkeypatch.setattr(supervise.scheduling, "waited", lambda _pid: asyncio.get_running_loop().time())
    monkeypatch.setitem(supervise.WATCHDOG, "gate", 0.2)
    troupe = Troupe(tmp_path, gate="hang", recorder="good")
    async with running(troupe):
        await until(lambda: len(troupe.noted("start", "gate")) == 2)
        assert not alive(troupe.noted("start", "gate")[0])
        assert len(troupe.noted("start", "recorder")) == 1


async def test_one_that_waits_for_a_processor_is_not_killed_before_its_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(supervise.WATCHDOG, "recorder", 0.2)
    troupe = Troupe(tmp_path, recorder="hang")
    clock = asyncio.get_running_loop().time
    monkeypatch.setattr(supervise.scheduling, "waited", lambda _pid: clock())
    async with running(troupe):
        await until(lambda: troupe.ready == 1)
        began = clock()
        await until(lambda: len(troupe.noted("start", "recorder")) == 2)
        assert clock() - began > 0.2 * supervise.PATIENCE["recorder"] * 0.9


async def test_one_that_never_gets_ready_is_killed_and_nobody_is_told_ready(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervise, "READY_SECONDS", 0.2)
    troupe = Troupe(tmp_path, gate="mute", recorder="good")
    async with running(troupe):
        await until(lambda: len(troupe.noted("start", "gate")) == 2)
        assert troupe.ready == 0
        assert b"READY=1" not in troupe.said()


async def test_one_that_does_not_end_is_killed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervise, "STOP_SECONDS", 0.1)
    troupe = Troupe(tmp_path, gate="stubborn")
    async with running(troupe):
        await until(lambda: troupe.ready == 1)
    assert troupe.noted("end") == []


async def test_a_program_that_is_not_there_ends_it_loudly_and_the_others_with_it(tmp_path: Path) -> None:
    troupe = Troupe(tmp_path, gate="absent", recorder="good", desk="good")
    async with running(troupe) as task:
        async with asyncio.timeout(10):
            await asyncio.wait([task])
        with pytest.raises(FileNotFoundError):
            task.result()


def address_of(pid: int) -> Path:
    """Where process `pid` was told to speak to. Raises ProcessLookupError where it has ended."""
    for entry in Path(f"/proc/{pid}/environ").read_bytes().split(b"\0"):
        if entry.startswith(b"NOTIFY_SOCKET="):
            return Path(entry[14:].decode())
    raise ProcessLookupError(pid)  # what has ended, and is not yet collected, has no environment any more


@pytest.mark.parametrize(("mode", "lie"), [("mute", b"READY=1"), ("hang", b"WATCHDOG=1")])
async def test_nobody_else_can_say_that_one_lives(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, mode: str, lie: bytes
) -> None:
    monkeypatch.setattr(supervise, "READY_SECONDS", 2.0)
    monkeypatch.setitem(supervise.WATCHDOG, "gate", 0.5)
    troupe = Troupe(tmp_path, gate=mode)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as stranger:

        def lied_in_vain() -> bool:
            started = troupe.noted("start", "gate")
            if len(started) == 1 and alive(started[0]):
                with contextlib.suppress(
                    BlockingIOError, ConnectionRefusedError, FileNotFoundError, ProcessLookupError
                ):
                    stranger.sendto(lie, str(address_of(started[0])))
            return len(started) == 2

        async with running(troupe):
            await until(lied_in_vain)
            assert troupe.ready == (mode == "hang")


@pytest.mark.rule("B-12")
async def test_only_root_and_the_services_get_at_the_sockets(monkeypatch: pytest.MonkeyPatch) -> None:
    with ram_folder() as folder:
        root, nobody, group = os.geteuid() == 0, pwd.getpwnam("nobody"), grp.getgrnam("daemon")
        monkeypatch.setattr(users, "RUN", group.gr_name)
        # Without root nobody else can be started: then all of it is ours alone.
        troupe = Troupe(folder, {"gate": users.identity("root") if root else None}, gate="good")
        if root:
            # Our interpreter may lie where `nobody` cannot go: the child changes once it has loaded.
            troupe.prelude = BECOME.format(group=group.gr_gid, uid=nobody.pw_uid)
        folder.chmod(0o711)
        troupe.log.chmod(0o666)
        async with running(troupe):
            await until(lambda: troupe.ready == 1)
            [pid] = troupe.noted("start", "gate")
            address = address_of(pid)
            for path, mode in ((address, 0o660 if root else 0o600), (address.parent, 0o710 if root else 0o700)):
                status = path.stat()
                assert (status.st_uid, stat.S_IMODE(status.st_mode)) == (os.geteuid(), mode)
                assert status.st_gid == (group.gr_gid if root else os.getegid())
            said = Path(f"/proc/{pid}/status").read_text()  # noqa: ASYNC240
            assert f"\nUid:\t{nobody.pw_uid if root else os.geteuid()}\t" in said


def test_each_role_is_this_program_again(tmp_path: Path) -> None:
    assert own_command("gate", tmp_path / "kikitori.toml") == [
        sys.executable, "-m", "cti.cli", "--config", str(tmp_path / "kikitori.toml"), "serve", "--role", "gate",
    ]  # fmt: skip
