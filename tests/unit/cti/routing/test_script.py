"""The one-shot AGI script, run as Asterisk runs it: the gate's answer is set, and whatever fails is over in time."""

import asyncio
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cti import control
from cti.pbxconfig import SCRIPT
from cti.routing.gate import Gate
from tests.unit.cti.routing.directs import Directs, noted

direct = Directs("centre,A-08,weekday,emergency,,tomorrow&am-8")
PROGRAM = Path(__file__).parents[4] / "asterisk-config" / SCRIPT
ENVIRONMENT = b"agi_network: no\nagi_request: kikitori-route\nagi_uniqueid: pbx1-1764547200.0\nagi_calleridname: %s\n\n"
PLAIN = ENVIRONMENT % b"unknown" + b"200 result=1\n"
ARGUMENTS = ("/in/0664581132", "pbx1-1764547200.0")
YES = b'SET VARIABLE "KIKITORI_GATE" "yes,centre,A-08,weekday,emergency,,tomorrow&am-8"\n'
NO = b'SET VARIABLE "KIKITORI_GATE" "no,centre,A-08,weekday,emergency,,tomorrow&am-8"\n'
OVER = 2.0  # s; half a second, and what a busy machine takes to start Python


@asynccontextmanager
async def gate(path: Path, answer: str = "yes") -> AsyncIterator[list[tuple[str, str | None]]]:
    """The real one's socket; what the recorder was asked."""
    asked = []

    async def ask(uniqueid: str, dialled: str | None) -> str:
        asked.append((uniqueid, dialled))
        return answer

    server = await control.serve(path, {"route": Gate(ask, direct, noted).route})
    try:
        yield asked
    finally:
        server.close()


async def run(*arguments: object, sent: bytes | None = PLAIN, options: tuple[str, ...] = ("-I",)) -> bytes:
    """What it says to Asterisk. `sent` None: Asterisk says nothing, and stays. It never fails, and never complains."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        sys.executable, *options, PROGRAM, *map(str, arguments), stdin=pipe, stdout=pipe, stderr=pipe
    )
    assert process.stdin is not None
    assert process.stdout is not None
    assert process.stderr is not None
    begun = time.monotonic()
    if sent is not None:
        process.stdin.write(sent)
        process.stdin.close()
    async with asyncio.timeout(20):
        said, complaints = await asyncio.gather(process.stdout.read(), process.stderr.read())
        assert (await process.wait(), complaints) == (0, b"")
    process.stdin.close()
    assert time.monotonic() - begun < OVER
    return said


@pytest.mark.parametrize(("answer", "said"), [("yes", YES), ("skip", YES), ("no", NO)])
async def test_it_sets_what_the_gate_says(tmp_path: Path, answer: str, said: bytes) -> None:
    async with gate(tmp_path / "s", answer) as asked:
        assert await run(tmp_path / "s", *ARGUMENTS) == said
    assert asked == [("pbx1-1764547200.0", "0664581132")]


@pytest.mark.parametrize("request_name", ["/out", "/internal"])
async def test_a_call_that_did_not_come_in_was_not_dialled(tmp_path: Path, request_name: str) -> None:
    async with gate(tmp_path / "s") as asked:
        assert await run(tmp_path / "s", request_name, ARGUMENTS[1]) == b'SET VARIABLE "KIKITORI_ARMED" "yes"\n'
    assert asked == [("pbx1-1764547200.0", None)]


@pytest.mark.parametrize(
    "name",
    ["山田太郎".encode(), "山田ソ表".encode("cp932"), b"\xff\x80\0", b"x\nagi_uniqueid: of-another.1", b"x\n\nHANGUP"],
)
async def test_no_name_of_a_caller_asks_for_another_call(tmp_path: Path, name: bytes) -> None:
    async with gate(tmp_path / "s") as asked:
        assert await run(tmp_path / "s", *ARGUMENTS, sent=ENVIRONMENT % name + b"200 result=1\n") == YES
    assert asked == [("pbx1-1764547200.0", "0664581132")]


@pytest.mark.parametrize(
    "answer", [b"", b"HANGUP\n", b"510 Invalid\n", b"511 Dead\n", b"520-Usage\n", b"520-Usage\n520 End\n", b"\xff\n"]
)
async def test_whatever_asterisk_says_to_it(tmp_path: Path, answer: bytes) -> None:
    async with gate(tmp_path / "s"):
        assert await run(tmp_path / "s", *ARGUMENTS, sent=ENVIRONMENT % b"unknown" + answer) == YES


async def test_an_asterisk_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async with gate(tmp_path / "s") as asked:
        assert await run(tmp_path / "s", *ARGUMENTS, sent=None) == b""
    assert asked == []


async def test_a_gate_that_says_nothing_is_not_waited_for(tmp_path: Path) -> None:
    async def hang(_uniqueid: str, _dialled: str | None) -> str:
        await asyncio.Event().wait()
        return "yes"

    server = await control.serve(tmp_path / "s", {"route": Gate(hang, direct, noted).route})
    assert await run(tmp_path / "s", *ARGUMENTS) == b""
    server.close()


@pytest.mark.parametrize(
    "arguments", [(), ("/nonexistent/socket",), ("/nonexistent/socket", *ARGUMENTS), ("/", "", "")]
)
async def test_without_a_gate_it_says_nothing(arguments: tuple[str, ...]) -> None:
    assert await run(*arguments) == b""


@pytest.mark.parametrize(
    "reply",
    [{}, {"error": "x"}, {"set": "yes"}, {"set": {"PATH": "x"}}, {"set": {"KIKITORI_ARMED": 'yes"\nEXEC System "x'}},
     {"set": {"KIKITORI_ARMED": 1}}, {"set": {"KIKITORI_ARMED\nX": "yes"}}],
)  # fmt: skip
async def test_an_answer_that_is_none_is_not_set(tmp_path: Path, reply: dict[str, Any]) -> None:
    async def route(_question: dict[str, Any]) -> dict[str, Any]:
        return reply

    server = await control.serve(tmp_path / "s", {"route": route})
    assert await run(tmp_path / "s", *ARGUMENTS) == b""
    server.close()


async def test_a_unique_id_that_is_none_is_refused(tmp_path: Path) -> None:
    async with gate(tmp_path / "s") as asked:
        assert await run(tmp_path / "s", "/out", "../../etc/passwd") == b""
        assert await run(tmp_path / "s", "/out", "1.0\n") == b""
    assert asked == []


async def test_without_pyst2_it_says_nothing(tmp_path: Path) -> None:
    async with gate(tmp_path / "s"):
        assert await run(tmp_path / "s", *ARGUMENTS, options=("-I", "-S")) == b""


async def test_a_caller_who_hangs_up_ends_it_in_order(tmp_path: Path) -> None:
    asked = asyncio.Event()

    async def route(_question: dict[str, Any]) -> dict[str, Any]:
        asked.set()
        await asyncio.sleep(60)
        return {}

    server = await control.serve(tmp_path / "s", {"route": route})
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-I", PROGRAM, tmp_path / "s", *ARGUMENTS, stdin=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(PLAIN)
    async with asyncio.timeout(20):
        await asked.wait()
        process.send_signal(signal.SIGHUP)
        assert await process.wait() == 0
    server.close()
