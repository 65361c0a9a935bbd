"""FastAGI: how many callers a second a server lets go on, and how long each is held, at 1, 50 and 500 at once.

`python -m tests.bench.agi` prints one JSON object. Every server is a process of its own, and so is the recorder's
stand-in that our gate asks over the real control socket; the callers are this process.
"""

import argparse
import asyncio
import contextlib
import json
import select
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from panoramisk.fast_agi import Application

from cti import control, pbxconfig
from cti.app.clock import wall_clock
from cti.app.gate import run_gate
from cti.notify import Notifier
from cti.places import GATE_SOCKET, SOCKET
from cti.settings import Settings
from policies.load import shipped
from tests.bench.machine import cpu_of, cpu_of_children

CALLERS = (1, 50, 500)
SCRIPT_CALLERS = (1, 10, 50)  # 500 starts of Python at once are no figure of ours
SCRIPT = Path(__file__).parents[2] / "asterisk-config" / pbxconfig.SCRIPT
WARM = 0.5  # s
# What Asterisk 22 sends for a call from a trunk.
ENVIRONMENT = "".join(
    f"{line}\n"
    for line in (
        *("agi_network: yes", "agi_network_script: in/0664581132", "agi_request: agi://127.0.0.1:4573/in/0664581132"),
        *("agi_channel: PJSIP/trunk-00000001", "agi_language: en", "agi_type: PJSIP"),
        # A channel of now: of an older one the gate does not believe the time.
        *("agi_uniqueid: pbx1-@second@.0", "agi_version: 22.10.1", "agi_callerid: 0901234567"),
        *("agi_calleridname: unknown", "agi_callingpres: 0", "agi_callingani2: 0", "agi_callington: 0"),
        *("agi_callingtns: 0", "agi_dnid: 0664581132", "agi_rdnis: unknown", "agi_context: kikitori-in"),
        *("agi_extension: s", "agi_priority: 4", "agi_enhanced: 0.0", "agi_accountcode: ", "agi_threadid: 140245", ""),
    )
).encode()


def environment() -> bytes:
    """As Asterisk sends it of a call that comes now."""
    return ENVIRONMENT.replace(b"@second@", b"%d" % wall_clock().timestamp())


RESULT = b"200 result=1\n"
COMMANDS = (b'SET VARIABLE KIKITORI_GATE "yes"\n', b'SET VARIABLE KIKITORI_ROUTE "centre"\n')


class Plain(asyncio.Protocol):
    """The least that answers: no deadline, no check, nobody asked."""

    def __init__(self, commands: int) -> None:
        """`commands`: how many it gives."""
        self._commands = [*COMMANDS[:commands]]
        self._heard = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        self._transport: Any = transport

    def data_received(self, data: bytes) -> None:
        """asyncio's."""
        self._heard += data
        if self._heard.endswith((b"\n\n", RESULT)):
            self._heard = b""
            if self._commands:
                self._transport.write(self._commands.pop(0))
            else:
                self._transport.close()


async def _plain(port: int, commands: int) -> None:
    server = await asyncio.get_running_loop().create_server(lambda: Plain(commands), "127.0.0.1", port, backlog=1024)
    await server.serve_forever()


async def _panoramisk(port: int) -> None:
    async def route(request: Any) -> None:
        for command in COMMANDS:
            await request.send_command(command.decode().rstrip())

    application = Application()
    application.add_route("in/0664581132", route)
    # As its documentation says.
    server = await asyncio.start_server(application.handler, "127.0.0.1", port)
    await server.serve_forever()


async def _ours(port: int, folder: Path, how: str) -> None:
    settings = Settings()
    parts = {
        "asterisk": settings.asterisk.model_copy(update={"gate": how}),
        "gate": settings.gate.model_copy(update={"port": port}),
        "paths": settings.paths.model_copy(
            update={"run": folder, "gate": folder, "policies": shipped(), "hours": folder}
        ),
    }
    await run_gate(settings.model_copy(update=parts), wall_clock, Notifier({}))


async def _recorder(folder: Path) -> None:
    async def armed(_: dict[str, Any]) -> dict[str, Any]:
        return {"armed": "yes"}

    server = await control.serve(folder / SOCKET, {"armed": armed})
    await server.serve_forever()


@contextlib.contextmanager
def serving(kind: str, port: int, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """A process that serves as `kind`, ended afterwards."""
    command = [sys.executable, "-m", "tests.bench.agi", "--serve", kind, "--port", str(port), "--folder", str(folder)]
    with subprocess.Popen(command, stdout=sys.stderr) as process:
        try:
            yield process
        finally:
            process.kill()


def wait_for(address: tuple[str, int] | str) -> None:
    """Until somebody listens there. Not by connecting and closing: that freezes panoramisk."""
    family, said = (socket.AF_UNIX, b"") if isinstance(address, str) else (socket.AF_INET, environment())
    end = time.monotonic() + 20
    while True:
        with socket.socket(family) as probe:
            probe.settimeout(5)
            if probe.connect_ex(address) == 0:
                probe.sendall(said)
                while said and (heard := probe.recv(4096)):
                    probe.sendall(RESULT * heard.count(b"\n"))
                return
        if time.monotonic() > end:
            raise TimeoutError(f"nobody listens at {address}")
        time.sleep(0.05)


class Callers:
    """`count` callers at once: each that has been let go is followed by another. No asyncio: it would be the limit."""

    def __init__(self, port: int, count: int) -> None:
        """Nobody calls before `run`."""
        self._port, self._count = port, count
        self._poll = select.epoll()
        self._calls: dict[int, tuple[socket.socket, float]] = {}
        self.took: list[float] = []
        self.commands = 0

    def run(self, seconds: float) -> float:
        """Let calls come for so long; the seconds it was."""
        began = time.monotonic()
        while len(self._calls) < self._count:
            self._call()
        while (now := time.monotonic()) < began + seconds:
            self._turn(again=True)
        return now - began

    def close(self) -> None:
        """Let those who call be served to the end: who hangs up makes another kind of work."""
        end = time.monotonic() + 10
        while self._calls and time.monotonic() < end:
            self._turn(again=False)
        for call, _ in self._calls.values():
            call.close()
        self._poll.close()

    def _turn(self, *, again: bool) -> None:
        for number, event in self._poll.poll(0.1):
            call, began = self._calls[number]
            if event & select.EPOLLOUT:  # the server's backlog was full
                self._poll.modify(number, select.EPOLLIN)
                call.send(environment())
            elif heard := call.recv(4096):
                self.commands += heard.count(b"\n")
                call.send(RESULT * heard.count(b"\n"))
            else:
                del self._calls[number]
                call.close()
                self.took.append(time.monotonic() - began)
                if again:
                    self._call()

    def _call(self) -> None:
        began = time.monotonic()
        call = socket.socket()
        call.setblocking(False)
        call.connect_ex(("127.0.0.1", self._port))
        try:
            call.send(environment())
            self._poll.register(call, select.EPOLLIN)
        except BlockingIOError:
            self._poll.register(call, select.EPOLLOUT)
        self._calls[call.fileno()] = (call, began)


def load(server: subprocess.Popen[bytes], port: int, count: int, seconds: float) -> dict[str, float]:
    """Requests a second, milliseconds from connect to the server's close, and the server's CPU a request."""
    callers = Callers(port, count)
    try:
        callers.run(WARM)
        callers.took.clear()
        callers.commands = 0
        before = cpu_of(server.pid)
        took = callers.run(seconds)
        used = cpu_of(server.pid) - before
    finally:
        callers.close()
    done = len(callers.took)
    cuts = statistics.quantiles(callers.took, n=100)
    return {
        "rate": done / took,
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "max_ms": max(callers.took) * 1000,
        "us": used / done * 1e6,
        "commands": callers.commands / done,
    }


def once(socket_path: Path) -> tuple[bool, float]:
    """One caller through the script: whether he was told anything, and seconds from the start of its process."""
    began = time.monotonic()
    command = [sys.executable, "-I", str(SCRIPT), str(socket_path), "/in/0664581132", "pbx1-1764547200.0"]
    done = subprocess.run(command, input=environment() + RESULT, stdout=subprocess.PIPE, check=True)
    return b"KIKITORI_GATE" in done.stdout, time.monotonic() - began


def scripts(socket_path: Path, count: int, seconds: float) -> dict[str, float]:
    """As `load`, by scripts. `told`: the share of callers that were not left to the dialplan's own recording."""
    end = time.monotonic() + seconds

    def calls(_: int) -> list[tuple[bool, float]]:
        found = [once(socket_path)]
        while time.monotonic() < end:
            found.append(once(socket_path))
        return found

    before, began = cpu_of_children(), time.monotonic()
    with ThreadPoolExecutor(count) as callers:
        found = [call for some in callers.map(calls, range(count)) for call in some]
    cuts = statistics.quantiles([took for _, took in found], n=100)
    return {
        "rate": len(found) / (time.monotonic() - began),
        "p50_ms": cuts[49] * 1000,
        "p99_ms": cuts[98] * 1000,
        "us": (cpu_of_children() - before) / len(found) * 1e6,
        "told": sum(told for told, _ in found) / len(found),
    }


def free_port() -> int:
    """One that nobody has."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def measure(seconds: float) -> dict[str, Any]:
    """Every server at every number of callers."""
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with serving("recorder", 0, folder):
            wait_for(str(folder / SOCKET))
            for kind in ("ours", "panoramisk", "plain-2", "plain-1"):
                port = free_port()
                with serving(kind, port, folder) as server:
                    wait_for(("127.0.0.1", port))
                    found[kind] = {str(count): load(server, port, count, seconds) for count in CALLERS}
            with serving("script", 0, folder):
                wait_for(str(folder / GATE_SOCKET))
                found["script"] = {
                    str(count): scripts(folder / GATE_SOCKET, count, seconds) for count in SCRIPT_CALLERS
                }
    return found


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--serve")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    serves = {
        "ours": lambda: _ours(given.port, given.folder, "fastagi"),
        "script": lambda: _ours(given.port, given.folder, "script"),
        "recorder": lambda: _recorder(given.folder),
        "panoramisk": lambda: _panoramisk(given.port),
        "plain-1": lambda: _plain(given.port, 1),
        "plain-2": lambda: _plain(given.port, 2),
    }
    if given.serve:
        asyncio.run(serves[given.serve]())
    else:
        print(json.dumps(measure(given.seconds)))


if __name__ == "__main__":
    main()
