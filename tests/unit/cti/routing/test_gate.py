"""The gate over real sockets: it answers, or it closes in time. A caller is never held."""

import asyncio
import re
import select
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.routing import agi as agi_module
from cti.routing.agi import COMMAND_SECONDS, ENVIRONMENT_LIMIT, Agi, AgiError
from cti.routing.gate import LOOK, Ask, Gate
from tests.unit.cti.routing.directs import direct, noted

ENVIRONMENT = (
    b"agi_network: yes\nagi_request: agi://127.0.0.1:4573/in/0664581132\nagi_channel: PJSIP/trunk-00000001\n"
    b"agi_uniqueid: pbx1-1764547200.0\nagi_callerid: 0901234567\nagi_calleridname: %s\n\n"
)
PLAIN = ENVIRONMENT % b"unknown"
YES = b'SET VARIABLE KIKITORI_GATE "yes,centre,A-08,weekday,emergency,,"\n'
NO = b'SET VARIABLE KIKITORI_GATE "no,centre,A-08,weekday,emergency,,"\n'


async def yes(_uniqueid: str, _dialled: str | None) -> str:
    return "yes"


@asynccontextmanager
async def gate(ask: Ask = yes) -> AsyncIterator[tuple[Gate, int]]:
    made = Gate(ask, direct, noted)
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


def arrived(port: int) -> None:
    """Until the kernel has handed over all that was sent to `port`."""
    waiting = re.compile(rf"^ *\d+: \S+:{port:04X} \S+ 01 \d+:(?!00000000)", re.MULTILINE)
    while waiting.search(Path("/proc/net/tcp").read_text()):
        time.sleep(0.001)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same time-outs, shorter: it is their effect that is tested."""
    monkeypatch.setattr(agi_module, "ENVIRONMENT_SECONDS", 0.05)
    monkeypatch.setattr(agi_module, "COMMAND_SECONDS", 0.05)
    monkeypatch.setattr(agi_module, "TOTAL_SECONDS", 0.1)


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


async def test_a_query_string_changes_nothing() -> None:
    asked: list[str | None] = []

    async def ask(_uniqueid: str, dialled: str | None) -> str:
        asked.append(dialled)
        return "yes"

    async with gate(ask) as (_, port):
        assert await converse(port, PLAIN.replace(b"/in/0664581132", b"/in/0664581132?x=1")) == YES
    assert asked == ["0664581132"]


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
        assert await converse(port, environment) == b'SET VARIABLE KIKITORI_ARMED "yes"\n'
    assert asked == [None]


async def test_a_number_is_spelt_without_asking_the_recorder() -> None:
    async def nobody(_uniqueid: str, _dialled: str | None) -> str:
        raise AssertionError

    async with gate(nobody) as (_, port):
        said = await converse(port, PLAIN.replace(b"/in/0664581132", b"/say/0664581132"))
    spelt = [f"digit-{digit}" for digit in "0664581132"]
    groups = "&group&".join("&".join(spelt[start:end]) for start, end in ((0, 2), (2, 6), (6, 10)))
    assert said == f'SET VARIABLE KIKITORI_SAY "{groups}"\n'.encode()


@pytest.mark.parametrize("wanted", [b"/say/", b"/say/1x", b"/say/" + b"1" * 21, "/say/\uff11".encode()])
async def test_what_is_no_number_is_not_spelt(wanted: bytes) -> None:
    async with gate() as (_, port):
        assert b"digit" not in await converse(port, PLAIN.replace(b"/in/0664581132", wanted))


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
    async def never(_uniqueid: str, _dialled: str | None) -> str:
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


USAGE = b"520-Invalid command syntax.  Proper usage follows:\n Usage: SET VARIABLE <name> <value>\n"


@pytest.mark.parametrize(
    "answer",
    [b"510 Invalid or unknown command\n", b"511 Command Not Permitted on a dead channel or intercept routine\n",
     b"HANGUP\n511 Command Not Permitted on a dead channel or intercept routine\n", b"520 Invalid\n", b"200\n",
     USAGE + b"520 End of proper usage.\n", USAGE + b"200 result=1\n520 End of proper usage.\n", b"x" * 100_000],
)  # fmt: skip
async def test_a_refused_command_ends_the_conversation(answer: bytes) -> None:
    async with gate() as (made, port):
        begun = time.monotonic()
        assert await converse(port, PLAIN, answer) == YES
        assert time.monotonic() - begun < COMMAND_SECONDS, "it was waited for more than the answer"
        assert (made.served, made.failed) == (0, 1)


@pytest.mark.usefixtures("hasty")
@pytest.mark.parametrize(
    "answer", [b"\n", b"\x81\xff\n", b"HANGUP\n", b"100 result=0 Trying...\n", USAGE, b"200 result=1"]
)
async def test_what_is_no_answer_is_not_taken_for_one(answer: bytes) -> None:
    async with gate() as (made, port):
        assert await converse(port, PLAIN, answer) == YES
        assert (made.served, made.failed) == (0, 1)


async def test_the_answer_comes_after_a_provisional_one() -> None:
    async with gate() as (made, port):
        assert await converse(port, PLAIN, b"100 result=0 Trying...\n200 result=1\n") == YES
        assert (made.served, made.failed) == (1, 0)


async def test_a_command_has_a_deadline_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_module, "COMMAND_SECONDS", 0.05)
    monkeypatch.setattr(agi_module, "TOTAL_SECONDS", 60.0)
    async with gate() as (made, port):
        assert await converse(port, PLAIN, b"") == YES
        assert made.failed == 1


async def test_no_deadline_is_later_than_that_of_the_whole(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_module, "COMMAND_SECONDS", 60.0)
    monkeypatch.setattr(agi_module, "TOTAL_SECONDS", 0.1)
    async with gate() as (made, port):
        assert await converse(port, PLAIN, b"") == YES
        assert made.failed == 1


async def two_commands(agi: Agi) -> None:
    """What no dialplan of ours asks for yet."""
    await agi.set_variable("FIRST", "1")
    await agi.set_variable("SECOND", "2")


@pytest.mark.parametrize(
    ("answer", "heard", "ended"),
    [(b"200 result=1\n", b'SET VARIABLE FIRST "1"\nSET VARIABLE SECOND "2"\n', None),
     (b"HANGUP\n200 result=1\n", b'SET VARIABLE FIRST "1"\nSET VARIABLE SECOND "2"\n', None),
     (b"200 result=1\n200 result=1\n200 result=1\n", b'SET VARIABLE FIRST "1"\nSET VARIABLE SECOND "2"\n', None),
     (USAGE + b"520 End of proper usage.\n", b'SET VARIABLE FIRST "1"\n', "SET VARIABLE FIRST: 520 End"),
     (b"511 Command Not Permitted\n", b'SET VARIABLE FIRST "1"\n', "SET VARIABLE FIRST: 511")],
)  # fmt: skip
async def test_no_command_gets_the_answer_of_another(answer: bytes, heard: bytes, ended: str | None) -> None:
    made = Gate(yes, direct, noted)
    made._talk = two_commands  # type: ignore[method-assign]
    why: list[BaseException | None] = []
    made._ended = lambda agi, error: why.append(error)  # type: ignore[method-assign]
    server = await made.start("127.0.0.1", 0)
    assert await converse(server.sockets[0].getsockname()[1], PLAIN, answer) == heard
    server.close()
    assert [str(error).startswith(ended) if ended else error for error in why] == [True if ended else None]


async def test_what_came_before_a_command_is_not_its_answer() -> None:
    """A caller's name with line breaks ends the environment early; its rest looks like anything."""
    forged = ENVIRONMENT % b"x\n\n200 result=1\n511 Command Not Permitted\n520-Invalid"
    asked = asyncio.Event()

    async def ask(_uniqueid: str, _dialled: str | None) -> str:
        await asked.wait()
        return "no"

    async with gate(ask) as (made, port):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(forged + b"520 End\n")
        await asyncio.to_thread(arrived, port)
        asked.set()
        assert await reader.readline() == NO
        assert (made.served, made.failed) == (0, 0)
        writer.write(b"200 result=1\n")
        assert await reader.read() == b""
        assert (made.served, made.failed) == (1, 0)
        writer.close()


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


async def test_the_backlog_holds_a_rush_of_callers() -> None:
    """With asyncio's usual 100, the kernel drops the 102nd, who tries again after a second."""
    async with gate() as (_, port):
        rush = [socket.socket() for _ in range(600)]
        try:
            for caller in rush:
                caller.setblocking(False)
                caller.connect_ex(("127.0.0.1", port))
            # The loop has not turned since: nobody has been accepted.
            _, connected, _ = select.select([], rush[:600], [], 0)
            assert len(connected) == 600
        finally:
            for caller in rush:
                caller.close()


async def test_silent_connections_hold_nobody_and_cost_no_task(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agi_module, "ENVIRONMENT_SECONDS", 0.5)
    async with gate() as (made, port):
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(300)]
        before = len(asyncio.all_tasks())
        assert await converse(port, PLAIN) == YES
        assert (made.served, made.failed) == (1, 0), "the silent ones were to be open still"
        assert len(asyncio.all_tasks()) == before
        for reader, writer in silent:
            assert await reader.read() == b""
            writer.close()
        assert (made.served, made.failed) == (1, 300)


async def test_however_many_have_called_one_looks_at_the_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    times: list[float] = []
    enough = asyncio.Event()
    look = Gate._look

    def counted(self: Gate) -> None:
        times.append(asyncio.get_running_loop().time())
        look(self)
        if len(times) == 4:
            enough.set()

    monkeypatch.setattr(Gate, "_look", counted)
    async with gate() as (_, port):
        for _call in range(100):
            await converse(port, PLAIN)
        _, silent = await asyncio.open_connection("127.0.0.1", port)
        times.clear()
        enough.clear()
        await enough.wait()
        assert times[-1] - times[0] > LOOK * (4 - 2)
        silent.close()


async def test_a_fault_of_ours_leaves_the_call_to_the_dialplan() -> None:
    async def broken(_uniqueid: str, _dialled: str | None) -> str:
        raise RuntimeError("a fault of ours")

    async with gate(broken) as (made, port):
        assert await converse(port, PLAIN) == b""
        assert (made.served, made.failed) == (0, 1)


async def test_who_hangs_up_is_not_asked_for_any_longer() -> None:
    left = asyncio.Event()

    async def ask(_uniqueid: str, _dialled: str | None) -> str:
        try:
            await asyncio.Event().wait()
        finally:
            left.set()
        return "yes"

    async with gate(ask) as (made, port):
        _reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(PLAIN)
        await writer.drain()
        writer.close()
        async with asyncio.timeout(5):
            await left.wait()
        assert made.failed == 1


@given(st.lists(st.binary(max_size=100), max_size=6))
@settings(max_examples=60, deadline=None)
def test_no_environment_raises_anything_but_its_own_error(parts: list[bytes]) -> None:
    async def said() -> list[BaseException | None]:
        why: list[BaseException | None] = []
        agi = Agi(two_commands, lambda _, error: why.append(error))
        agi.connection_made(Transport())
        for part in parts:
            agi.data_received(part)
        agi.connection_lost(None)
        return why

    (error,) = asyncio.run(said())
    assert isinstance(error, AgiError)


class Transport(asyncio.Transport):
    """Keeps what was written."""

    sent = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]
        self.sent += data

    def close(self) -> None:
        pass


def agi() -> Agi:
    made = Agi(two_commands, lambda _agi, _error: None)
    made.connection_made(Transport())
    return made


@pytest.mark.parametrize("value", ["a\nb", "a\rb", "a\0b"])
async def test_a_variable_cannot_become_a_second_command(value: str) -> None:
    with pytest.raises(AgiError, match="line break"):
        await agi().set_variable("X", value)


async def test_quotes_and_backslashes_are_escaped() -> None:
    made = agi()
    made.data_received(PLAIN)
    setting = asyncio.create_task(made.set_variable("X", 'a"b\\c 山'))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert 'SET VARIABLE X "a\\"b\\\\c 山"\n'.encode() in made.transport.sent  # type: ignore[attr-defined]
    made.end(None)
    setting.cancel()
    await asyncio.wait([setting])


@pytest.mark.rule("A-19", "E-13")
@pytest.mark.parametrize(
    ("request_", "said"),
    [
        (b"/pass/3101", b'SET VARIABLE KIKITORI_PASS "kyusui,3101,open,"\n'),
        (b"/choose/1", b'SET VARIABLE KIKITORI_PASS "kyusui,3101,open,leak"\n'),
        (b"/choose/5", b'SET VARIABLE KIKITORI_PASS ""\n'),
        (b"/note/kyusui", b'SET VARIABLE KIKITORI_NOTE "12"\n'),
        (b"/note/shomu", b'SET VARIABLE KIKITORI_NOTE "wait"\n'),
        # what is none of it is a call of ours, as before
        (b"/note/", b'SET VARIABLE KIKITORI_ARMED "yes"\n'),
        (b"/pass/x", b'SET VARIABLE KIKITORI_ARMED "yes"\n'),
    ],
)
async def test_where_a_caller_goes_who_is_put_through(request_: bytes, said: bytes) -> None:
    async with gate() as (_, port):
        assert await converse(port, PLAIN.replace(b"/in/0664581132", request_)) == said
