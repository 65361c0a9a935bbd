"""What panoramisk 1.4, as it is installed, does where our gate does something else: each test shows both.

They are the reasons why the gate is a server of our own. One that fails says that a newer panoramisk has mended it.
"""

import asyncio
import select
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import pytest
from panoramisk.fast_agi import Application, Request

from cti.routing import agi as agi_module
from cti.routing.agi import Agi
from cti.routing.gate import Gate
from tests.unit.cti.routing.directs import direct, noted

pytestmark = pytest.mark.thorough

ENVIRONMENT = (
    b"agi_network: yes\nagi_network_script: in/0664581132\nagi_request: agi://127.0.0.1:4573/in/0664581132\n"
    b"agi_uniqueid: pbx1-1764547200.0\nagi_calleridname: unknown\n\n"
)
YES = b'SET VARIABLE KIKITORI_GATE "yes,centre,A-08,weekday,emergency,,"\n'
USAGE = b"520-Invalid command syntax.  Proper usage follows:\n Usage: SET VARIABLE\n520 End of proper usage.\n"
SERVERS = {
    "panoramisk": """
async def route(request):
    await request.send_command('SET VARIABLE KIKITORI_GATE "yes,centre,A-08,weekday,emergency,,"')
application = Application()
application.add_route("in/0664581132", route)
return await asyncio.start_server(application.handler, "127.0.0.1", 0)
""",
    "ours": """
async def ask(uniqueid, dialled):
    return "yes"
return await Gate(ask, lambda *_: "centre,A-08,weekday,emergency,,", None).start("127.0.0.1", 0)
""",
}
PROGRAM = """
import asyncio
from panoramisk.fast_agi import Application
from cti.routing.gate import Gate
async def start():
{start}
async def main():
    server = await start()
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()
asyncio.run(main())
"""

Route = Callable[[Request], Awaitable[None]]


@contextmanager
def process(kind: str) -> Iterator[int]:
    """A server in a process of its own, that may be lost; its port."""
    start = "\n".join(f"    {line}" for line in SERVERS[kind].splitlines())
    with subprocess.Popen([sys.executable, "-c", PROGRAM.format(start=start)], stdout=subprocess.PIPE) as server:
        try:
            assert server.stdout is not None
            yield int(server.stdout.readline())
        finally:
            server.kill()


def told(port: int, seconds: float) -> bytes:
    """What a caller is told within so long; nothing where that is nothing."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as caller:
        caller.sendall(ENVIRONMENT)
        try:
            command = caller.recv(4096)
        except TimeoutError:
            return b""
        caller.sendall(b"200 result=1\n")
        return command


@pytest.mark.parametrize("sent", [b"", b"agi_network: yes\n"])
def test_one_who_connects_and_closes_freezes_it(sent: bytes) -> None:
    """Not at once: a caller who comes in the same turn of its loop is served still."""
    for kind, heard in (("panoramisk", b""), ("ours", YES)):
        with process(kind) as port:
            assert told(port, 5) == YES
            with socket.create_connection(("127.0.0.1", port)) as caller:
                caller.sendall(sent)
            said = [told(port, 0.5 if kind == "panoramisk" else 5) for _ in range(3)]
            assert said[-1] == heard


@asynccontextmanager
async def panoramisk(route: Route) -> AsyncIterator[int]:
    application = Application()
    application.add_route("in/0664581132", route)
    server = await asyncio.start_server(application.handler, "127.0.0.1", 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()


@asynccontextmanager
async def ours(talk: Callable[[Agi], Any] | None = None) -> AsyncIterator[tuple[Gate, int]]:
    async def ask(_uniqueid: str, dialled: str | None) -> str:
        return "yes" if dialled == "0664581132" else "no"

    made = Gate(ask, direct, noted)
    if talk is not None:
        made._talk = talk  # type: ignore[method-assign]
    server = await made.start("127.0.0.1", 0)
    try:
        yield made, server.sockets[0].getsockname()[1]
    finally:
        server.close()


async def heard(port: int, environment: bytes = ENVIRONMENT, *answers: bytes) -> list[bytes]:
    """The commands given to a channel that gives these answers, the last one again and again."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(environment)
    commands = []
    try:
        async with asyncio.timeout(5):
            while line := await reader.readline():
                commands.append(line)
                writer.write(answers[min(len(commands), len(answers)) - 1])
    finally:
        writer.close()
    return commands


async def test_a_name_in_shift_jis_keeps_its_handler_from_running() -> None:
    called = asyncio.Event()
    failed: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().set_exception_handler(lambda _, context: failed.set_result(context["exception"]))

    async def route(_: Request) -> None:
        called.set()

    environment = ENVIRONMENT.replace(b"unknown", "山田ソ表".encode("cp932"))
    async with panoramisk(route) as port:
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(environment)
        async with asyncio.timeout(5):
            assert isinstance(await failed, UnicodeDecodeError)
        assert not called.is_set()
        writer.close()
    async with ours() as (_, port):
        assert await heard(port, environment, b"200 result=1\n") == [YES]


@pytest.mark.parametrize("first", [b"HANGUP\n200 result=1\n", USAGE])
async def test_a_late_answer_is_given_to_the_next_command(first: bytes) -> None:
    results = []

    async def route(request: Request) -> None:
        results.append(await request.send_command("FIRST"))
        results.append(await request.send_command("SECOND"))

    async with panoramisk(route) as port:
        assert len(await heard(port, ENVIRONMENT, first, b"200 result=2\n")) == 2
    assert results[1].get("result", ("", ""))[0] != "2", "the second answer was given to the second command"

    answers = []

    async def talk(agi: Agi) -> None:
        answers.append(await agi._command(b"FIRST\n"))
        if answers[0].startswith(b"200"):
            answers.append(await agi._command(b"SECOND\n"))

    async with ours(talk) as (made, port):
        await heard(port, ENVIRONMENT, first, b"200 result=2\n")
        assert made.failed == 0
    assert answers in ([b"200 result=1", b"200 result=2"], [b"520 End of proper usage."])


async def test_a_dead_channel_is_an_error_that_it_does_not_know() -> None:
    results = []

    async def route(request: Request) -> None:
        results.append(await request.send_command("SET VARIABLE A b"))

    dead = b"511 Command Not Permitted on a dead channel or intercept routine\n"
    async with panoramisk(route) as port:
        await heard(port, ENVIRONMENT, dead)
    assert results[0]["error"] == "AGIUnknownError"
    why: list[str] = []
    async with ours() as (made, port):
        made._ended = lambda _, error: why.append(str(error))  # type: ignore[method-assign]
        assert await heard(port, ENVIRONMENT, dead) == [YES]
    assert why == ["SET VARIABLE KIKITORI_GATE: 511 Command Not Permitted on a dead channel or intercept routine"]


async def test_a_query_string_is_no_route_to_it() -> None:
    async def route(request: Request) -> None:
        await request.send_command("SET VARIABLE A b")

    environment = ENVIRONMENT.replace(b"/in/0664581132", b"/in/0664581132?x=1").replace(
        b"script: in/0664581132", b"script: in/0664581132?x=1"
    )
    async with panoramisk(route) as port:
        assert await heard(port, environment, b"200 result=1\n") == []
    async with ours() as (_, port):
        assert await heard(port, environment, b"200 result=1\n") == [YES]


async def test_it_swallows_a_cancellation() -> None:
    running = asyncio.Event()

    async def forever(*_: object) -> None:
        running.set()
        await asyncio.Event().wait()

    application = Application()
    application.add_route("in/0664581132", forever)
    reader = asyncio.StreamReader()
    reader.feed_data(ENVIRONMENT)
    writer = asyncio.StreamWriter(Nowhere(), asyncio.Protocol(), reader, asyncio.get_running_loop())
    theirs = asyncio.create_task(application.handler(reader, writer))
    await running.wait()
    theirs.cancel()
    await asyncio.wait([theirs])
    assert not theirs.cancelled()

    running.clear()
    agi = Agi(forever, lambda _agi, _error: None)
    agi.connection_made(Nowhere())
    agi.data_received(ENVIRONMENT)
    await running.wait()
    task = agi._task
    assert task is not None
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()


class Nowhere(asyncio.Transport):
    """Takes everything."""

    def is_closing(self) -> bool:
        return True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return default

    def close(self) -> None:
        pass


async def test_it_waits_for_ever_for_an_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_module, "ENVIRONMENT_SECONDS", 0.1)

    async def route(_: Request) -> None:
        raise AssertionError("there was no environment")

    async with panoramisk(route) as theirs, ours() as (_, port):
        silent = [await asyncio.open_connection("127.0.0.1", number) for number in (theirs, port)]
        async with asyncio.timeout(5):
            assert await silent[1][0].read() == b""
        assert not silent[0][0].at_eof()
        silent[0][1].write(b"agi_request: x\n\n")  # or its handler would turn for ever once we close
        async with asyncio.timeout(5):
            assert await silent[0][0].read() == b""
        for _, writer in silent:
            writer.close()


async def test_a_rush_of_callers_is_more_than_its_backlog() -> None:
    async def route(_: Request) -> None:
        """Lets everybody go on."""

    async with panoramisk(route) as theirs, ours() as (_, port):
        connected = [rush(number) for number in (theirs, port)]
    assert connected[0] < 150
    assert connected[1] == 400


def rush(port: int) -> int:
    """How many of 400 the kernel takes in while nobody accepts: the others try again after a second."""
    callers = [socket.socket() for _ in range(400)]
    try:
        for caller in callers:
            caller.setblocking(False)
            caller.connect_ex(("127.0.0.1", port))
        return len(select.select([], callers, [], 0)[1])
    finally:
        # With a reset, or panoramisk's handler would turn for ever.
        for caller in callers:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
            caller.close()
