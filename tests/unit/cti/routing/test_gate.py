"""The gate over real sockets: it answers, or it closes in time. A caller is never held."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.routing import gate as gate_module
from cti.routing.agi import ENVIRONMENT_LIMIT, Agi, AgiError
from cti.routing.gate import BACKLOG, Ask, Gate

ENVIRONMENT = (
    b"agi_network: yes\nagi_request: agi://127.0.0.1:4573/in/0664581132\nagi_channel: PJSIP/trunk-00000001\n"
    b"agi_uniqueid: pbx1-1764547200.0\nagi_callerid: 0901234567\nagi_calleridname: %s\n\n"
)
PLAIN = ENVIRONMENT % b"unknown"
YES = b'SET VARIABLE KIKITORI_ARMED "yes"\n'
NO = b'SET VARIABLE KIKITORI_ARMED "no"\n'


async def yes(_uniqueid: str, _dialled: str | None) -> str:
    return "yes"


@asynccontextmanager
async def gate(ask: Ask = yes) -> AsyncIterator[tuple[Gate, int]]:
    made = Gate(ask)
    server = await made.start("127.0.0.1", 0)
    try:
        yield made, server.sockets[0].getsockname()[1]
    finally:
        server.close()
        await server.wait_closed()


async def converse(port: int, sent: bytes, answer: bytes = b"200 result=1\n", *, eof: bool = False) -> bytes:
    """What the gate said until it closed: every conversation ends by itself, within the time-out."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard = b""
    try:
        writer.write(sent)
        if eof:
            writer.write_eof()
        async with asyncio.timeout(3):
            while line := await reader.readline():
                heard += line
                writer.write(answer)
            return heard
    except ConnectionResetError:
        return heard
    finally:
        writer.close()


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time-outs, shorter: it is their effect that is tested."""
    monkeypatch.setattr(gate_module, "ENVIRONMENT_SECONDS", 0.05)
    monkeypatch.setattr(gate_module, "TOTAL_SECONDS", 0.1)


@pytest.mark.parametrize(("answer", "said"), [("yes", YES), ("skip", YES), ("no", NO)])
async def test_what_the_dialplan_is_told(answer: str, said: bytes) -> None:
    asked: list[tuple[str, str | None]] = []

    async def ask(uniqueid: str, dialled: str | None) -> str:
        asked.append((uniqueid, dialled))
        return answer

    async with gate(ask) as (made, port):
        assert await converse(port, PLAIN) == said
        assert asked == [("pbx1-1764547200.0", "0664581132")]
        assert (made.served, made.failed) == (1, 0)


@pytest.mark.parametrize(
    "request_line", [b"/out", b"/internal", b"/in", b"/in/", b"/in/0664581132x", b"/in/" + b"1" * 16]
)
async def test_only_a_call_from_outside_says_what_was_dialled_and_no_caller_can(request_line: bytes) -> None:
    asked: list[str | None] = []

    async def ask(_uniqueid: str, dialled: str | None) -> str:
        asked.append(dialled)
        return "yes"

    environment = PLAIN.replace(b"/in/0664581132", request_line).replace(
        b"unknown", b"x\nagi_request: agi://127.0.0.1:4573/in/0664581132"
    )
    async with gate(ask) as (_, port):
        assert await converse(port, environment) == YES
    assert asked == [None]


@pytest.mark.parametrize(
    "name", ["山田太郎".encode(), "山田ソ表".encode("cp932"), b"\xff\x80\0\x1b[2J", b"a: b: c", b""]
)
async def test_whatever_the_caller_is_called(name: bytes) -> None:
    async with gate() as (made, port):
        assert await converse(port, ENVIRONMENT % name) == YES
        assert made.failed == 0


async def test_an_environment_in_single_bytes_and_with_cr_lf() -> None:
    async with gate() as (_, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        for byte in PLAIN.replace(b"\n", b"\r\n"):
            writer.write(bytes([byte]))
            await writer.drain()
        assert await reader.readline() == YES
        writer.write(b"200 result=1\n")
        assert await reader.read() == b""
        writer.close()


HOSTILE = {
    "no uniqueid": b"agi_network: yes\n\n",
    "nothing": b"\n",
    "no colon": b"GET / HTTP/1.0\n\n",
    "binary": bytes(range(256)) * 4 + b"\n\n",
    "a line without end": b"agi_x: " + b"x" * 200_000,
    "too long": PLAIN[:-1]
    + b"".join(b"agi_arg_%d: %s\n" % (n, b"x" * 1000) for n in range(ENVIRONMENT_LIMIT // 1000 + 1))
    + b"\n",
    "a uniqueid that is a path": b"agi_uniqueid: ../../etc/passwd\n\n",
    "a uniqueid with a space": b"agi_uniqueid: 1.0 2.0\n\n",
    "an empty uniqueid": b"agi_uniqueid:\n\n",
    "a uniqueid too long": b"agi_uniqueid: " + b"1" * 81 + b"\n\n",
    "a uniqueid with a quote": b'agi_uniqueid: 1"0\n\n',
}


@pytest.mark.parametrize("sent", HOSTILE.values(), ids=HOSTILE.keys())
async def test_what_is_no_environment_is_closed_without_asking_anybody(sent: bytes) -> None:
    async def never(_uniqueid: str) -> str:
        raise AssertionError("asked")

    async with gate(never) as (made, port):
        assert await converse(port, sent) == b""
        assert (made.served, made.failed) == (0, 1)
        assert await converse(port, HOSTILE["nothing"]) == b""


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize("sent", [b"", b"agi_network: yes\n", PLAIN[:-1], PLAIN[:-20], b"agi_uniqueid"])
async def test_silence_is_closed_in_time(sent: bytes) -> None:
    async with gate() as (made, port):
        begun = time.monotonic()
        assert await converse(port, sent) == b""
        assert time.monotonic() - begun < 1
        assert made.failed == 1


@pytest.mark.usefixtures("hasty")
async def test_a_trickle_that_never_ends_is_closed_in_time() -> None:
    async with gate() as (made, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)

        async def trickle() -> None:
            while True:
                writer.write(b"agi_arg_1: x\n")
                await asyncio.sleep(0.005)

        trickling = asyncio.create_task(trickle())
        async with asyncio.timeout(2):
            with suppress(ConnectionResetError):
                assert await reader.read() == b""
        trickling.cancel()
        await asyncio.wait([trickling])
        assert made.failed == 1
        writer.close()


async def test_connect_and_close_harms_nobody() -> None:
    """One such caller froze the whole event loop of a peer at 100 % CPU."""
    async with gate() as (made, port):
        for sent in (b"", b"agi_network: yes\n", PLAIN[:-1]):
            for _ in range(20):
                assert await converse(port, sent, eof=True) == b""
        assert made.failed == 60
        before = time.process_time()
        assert await converse(port, PLAIN) == YES
        await asyncio.sleep(0.05)
        assert time.process_time() - before < 0.04


async def test_hung_up_after_the_environment() -> None:
    async with gate() as (_, port):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN)
        writer.transport.abort()
        assert await converse(port, PLAIN) == YES


@pytest.mark.parametrize("answer", [b"HANGUP\n200 result=1\n", b"HANGUP\nHANGUP\n200 result=0\n"])
async def test_a_hangup_before_the_result_is_not_the_result(answer: bytes) -> None:
    async with gate() as (made, port):
        assert await converse(port, PLAIN, answer) == YES
        assert (made.served, made.failed) == (1, 0)


@pytest.mark.parametrize(
    "answer",
    [b"510 Invalid or unknown command\n", b"511 Command Not Permitted on a dead channel\n",
     b"520-Invalid command syntax. Proper usage follows:\n520 End of proper usage.\n", b"\n", b"\x81\xff\n", b"200\n",
     b"x" * 100_000],
)  # fmt: skip
async def test_a_refused_command_ends_the_conversation(answer: bytes) -> None:
    async with gate() as (made, port):
        assert await converse(port, PLAIN, answer) == YES
        assert (made.served, made.failed) == (0, 1)


@pytest.mark.usefixtures("hasty")
async def test_an_answer_that_never_comes_is_not_waited_for() -> None:
    async with gate() as (made, port):
        assert await converse(port, PLAIN, b"") == YES
        assert made.failed == 1


@pytest.mark.usefixtures("hasty")
async def test_a_recorder_that_never_answers_does_not_hold_the_caller() -> None:
    async def hang(_uniqueid: str, _dialled: str | None) -> str:
        await asyncio.Event().wait()
        return "yes"

    async with gate(hang) as (made, port):
        assert await converse(port, PLAIN) == b""
        assert made.failed == 1


async def test_two_hundred_at_once() -> None:
    """None waits for another: each is asked for while all the others are open."""
    inside = 0
    all_in = asyncio.Event()

    async def ask(uniqueid: str, _dialled: str | None) -> str:
        nonlocal inside
        inside += 1
        if inside == 200:
            all_in.set()
        await all_in.wait()
        return "no" if int(uniqueid.rpartition(".")[2]) % 2 else "yes"

    async with gate(ask) as (made, port):
        sent = [PLAIN.replace(b"1764547200.0", b"1764547200.%d" % number) for number in range(200)]
        said = await asyncio.gather(*(converse(port, environment) for environment in sent))
        assert said == [YES, NO] * 100
        assert (made.served, made.failed) == (200, 0)


def test_the_backlog_holds_a_rush_of_callers() -> None:
    assert BACKLOG >= 1024


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None)
def test_no_environment_raises_anything_but_its_own_error(raw: bytes) -> None:
    async def read() -> dict[str, str]:
        reader = asyncio.StreamReader()
        reader.feed_data(raw)
        reader.feed_eof()
        return await Agi(reader, None).environment()  # type: ignore[arg-type]

    with suppress(AgiError):
        assert "agi_uniqueid" in asyncio.run(read())


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
async def test_a_variable_cannot_become_a_second_command(value: str) -> None:
    with pytest.raises(AgiError, match="line break"):
        await Agi(asyncio.StreamReader(), None).set_variable("X", value)  # type: ignore[arg-type]


async def test_quotes_and_backslashes_are_escaped() -> None:
    class Writer:
        sent = b""

        def write(self, data: bytes) -> None:
            self.sent += data

        async def drain(self) -> None:
            pass

    reader, writer = asyncio.StreamReader(), Writer()
    reader.feed_data(b"200 result=1\n")
    await Agi(reader, writer).set_variable("X", 'a"b\\c 山')  # type: ignore[arg-type]
    assert writer.sent == 'SET VARIABLE X "a\\"b\\\\c 山"\n'.encode()
