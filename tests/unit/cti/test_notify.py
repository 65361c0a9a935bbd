"""What whoever started us hears, and the end of a process whose event loop hangs."""

import asyncio
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from cti import notify
from cti.notify import Notifier


def listener(address: str) -> socket.socket:
    heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    heard.settimeout(5)
    heard.bind(address.replace("@", "\0", 1))
    return heard


@pytest.mark.parametrize("abstract", [False, True])
def test_a_state_is_one_datagram(tmp_path: Path, abstract: bool) -> None:
    address = f"@{tmp_path}/abstract" if abstract else str(tmp_path / "s")
    with listener(address) as heard:
        notifier = Notifier({"NOTIFY_SOCKET": address})
        notifier.send("READY=1")
        notifier.send("STOPPING=1")
        assert [heard.recv(100), heard.recv(100)] == [b"READY=1", b"STOPPING=1"]


@pytest.mark.parametrize("environ", [{}, {"NOTIFY_SOCKET": ""}, {"NOTIFY_SOCKET": "/nonexistent/socket"}])
def test_a_listener_that_is_not_there_is_no_fault(environ: dict[str, str]) -> None:
    Notifier(environ).send("READY=1")


def test_a_listener_that_does_not_read_holds_nobody(tmp_path: Path) -> None:
    with listener(str(tmp_path / "s")):
        notifier = Notifier({"NOTIFY_SOCKET": str(tmp_path / "s")})
        for _ in range(2000):
            notifier.send("WATCHDOG=1")


async def test_the_beat(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notify, "BEAT", 0.01)
    with listener(str(tmp_path / "s")) as heard:
        beating = asyncio.create_task(Notifier({"NOTIFY_SOCKET": str(tmp_path / "s")}).beat())
        for _ in range(3):
            assert await asyncio.to_thread(heard.recv, 100) == b"WATCHDOG=1\nEXTEND_TIMEOUT_USEC=30000000"
        beating.cancel()
        await asyncio.wait([beating])


HANGS = """
import asyncio, time
from cti import notify
notify.BEAT = 0.02
async def main():
    asyncio.create_task(notify.Watchdog(0.3).run())
    await asyncio.sleep(0.6)
    print("turned", flush=True)
    time.sleep(60)
asyncio.run(main())
"""


def test_a_loop_that_turns_lives_and_one_that_hangs_ends_the_process() -> None:
    done = subprocess.run([sys.executable, "-c", HANGS], check=False, capture_output=True, text=True, timeout=20)
    assert (done.stdout, done.returncode) == ("turned\n", 70), done.stderr
