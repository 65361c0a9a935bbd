"""The recorder's socket: one JSON line in, one out, whatever comes in."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from cti import control


async def double(question: dict[str, Any]) -> dict[str, Any]:
    return {"twice": question["number"] * 2}


async def broken(_question: dict[str, Any]) -> dict[str, Any]:
    raise RuntimeError("a fault of ours")


async def hang(_question: dict[str, Any]) -> dict[str, Any]:
    await asyncio.Event().wait()
    return {}


@asynccontextmanager
async def listening(path: Path) -> AsyncIterator[Path]:
    server = await control.serve(path, {"double": double, "hang": hang, "broken": broken})
    try:
        yield path
    finally:
        server.close()


async def raw(path: Path, sent: bytes) -> list[Any]:
    reader, writer = await asyncio.open_unix_connection(path)
    writer.write(sent)
    writer.write_eof()
    async with asyncio.timeout(5):
        heard = await reader.read()
    writer.close()
    return [json.loads(line) for line in heard.splitlines()]


async def test_a_question_and_its_answer(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        assert await control.ask(path, {"ask": "double", "number": 21}, 5) == {"twice": 42}
        assert path.stat().st_mode & 0o777 == 0o660


async def test_many_at_once(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        asked = [control.ask(path, {"ask": "double", "number": number}, 5) for number in range(100)]
        assert [answer["twice"] for answer in await asyncio.gather(*asked)] == list(range(0, 200, 2))


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b"3", b"null", b"{}", b'{"ask": "unknown"}', b'{"ask": {}}', b'{"ask": "double"}', b"\xff"]
)
async def test_what_is_not_understood_is_said_and_the_next_question_answered(tmp_path: Path, line: bytes) -> None:
    async with listening(tmp_path / "s") as path:
        first, second = await raw(path, line + b'\n{"ask": "double", "number": 1}\n')
    assert first["error"].startswith("not understood")
    assert second == {"twice": 2}


async def test_a_line_without_end_is_closed(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(b"x" * 100_000)
        async with asyncio.timeout(5):
            try:
                assert await reader.read() == b""
            except ConnectionResetError:
                await asyncio.sleep(0)
        writer.close()
        assert await control.ask(path, {"ask": "double", "number": 1}, 5) == {"twice": 2}


async def test_no_answer_in_time(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        with pytest.raises(TimeoutError):
            await control.ask(path, {"ask": "hang"}, 0.02)


async def test_nobody_listens(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await control.ask(tmp_path / "s", {"ask": "double"}, 1)
    async with listening(tmp_path / "s") as path:
        assert path.exists()
    with pytest.raises(ConnectionRefusedError):
        await control.ask(path, {"ask": "double"}, 1)


async def test_the_socket_of_a_predecessor_is_taken_over(tmp_path: Path) -> None:
    async with listening(tmp_path / "s"):
        pass
    async with listening(tmp_path / "s") as path:
        assert await control.ask(path, {"ask": "double", "number": 1}, 5) == {"twice": 2}


async def test_a_server_that_closes_without_a_word(tmp_path: Path) -> None:
    server = await asyncio.start_unix_server(lambda _reader, writer: writer.close(), tmp_path / "s")
    with pytest.raises(ConnectionError):
        await control.ask(tmp_path / "s", {"ask": "double"}, 5)
    server.close()


async def test_a_fault_of_ours_closes_the_connection_and_no_other(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        with pytest.raises(ConnectionError):
            await control.ask(path, {"ask": "broken"}, 5)
        assert await control.ask(path, {"ask": "double", "number": 1}, 5) == {"twice": 2}


async def test_on_a_wire_no_question_waits_for_another(tmp_path: Path) -> None:
    async with listening(tmp_path / "s") as path:
        wire = control.Wire(path)
        hanging = [asyncio.create_task(wire.ask({"ask": "hang"}, 60)) for _ in range(10)]
        asked = [wire.ask({"ask": "double", "number": number}, 5) for number in range(100)]
        assert await asyncio.gather(*asked) == [{"twice": 2 * number} for number in range(100)]
        for task in hanging:
            task.cancel()
        await asyncio.wait(hanging)
        wire.transport.close()


async def test_on_a_wire_an_answer_that_comes_too_late_is_nobodys(tmp_path: Path) -> None:
    late = asyncio.Event()

    async def slow(_question: dict[str, Any]) -> dict[str, Any]:
        await late.wait()
        return {"answer": "of the first"}

    server = await control.serve(tmp_path / "s", {"slow": slow, "double": double})
    wire = control.Wire(tmp_path / "s")
    with pytest.raises(TimeoutError):
        await wire.ask({"ask": "slow"}, 0.02)
    late.set()
    assert await wire.ask({"ask": "double", "number": 4}, 5) == {"twice": 8}
    wire.transport.close()
    server.close()


async def test_a_wire_finds_the_next_server_and_leaves_nobody_waiting_for_the_last(tmp_path: Path) -> None:
    wire = control.Wire(tmp_path / "s")
    with pytest.raises(FileNotFoundError):
        await wire.ask({"ask": "double", "number": 1}, 5)
    for answer in (b"", b"no line of ours\n"):

        async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, said: bytes = answer) -> None:
            await reader.readline()
            writer.write(said)
            writer.close()

        server = await asyncio.start_unix_server(once, tmp_path / "s")
        with pytest.raises(ConnectionError):
            await wire.ask({"ask": "double", "number": 1}, 5)
        server.close()
        (tmp_path / "s").unlink()
    async with listening(tmp_path / "s"):
        assert await wire.ask({"ask": "double", "number": 1}, 5) == {"twice": 2}
        wire.transport.close()


async def test_however_many_are_asked_one_looks_at_the_deadlines(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times: list[float] = []
    enough = asyncio.Event()
    look = control.Wire._look

    def counted(self: control.Wire) -> None:
        times.append(asyncio.get_running_loop().time())
        look(self)
        if len(times) == 5:
            enough.set()

    monkeypatch.setattr(control.Wire, "_look", counted)
    async with listening(tmp_path / "s") as path:
        wire = control.Wire(path)
        for number in range(300):
            await wire.ask({"ask": "double", "number": number}, 5)
        hanging = asyncio.create_task(wire.ask({"ask": "hang"}, 60))
        times.clear()
        enough.clear()
        await enough.wait()
        assert times[-1] - times[0] > control.LOOK * (5 - 2)
        hanging.cancel()
        await asyncio.wait([hanging])
        wire.transport.close()


async def test_a_wire_does_not_fill_up_for_a_server_that_does_not_read(tmp_path: Path) -> None:
    deaf = socket.socket(socket.AF_UNIX)
    deaf.bind(str(tmp_path / "s"))
    deaf.listen()
    wire = control.Wire(tmp_path / "s")
    first = asyncio.create_task(wire.ask({"ask": "double", "number": 1}, 60))
    for _ in range(200):
        with pytest.raises((TimeoutError, ConnectionResetError)):
            await wire.ask({"ask": "double", "number": "1" * 20_000}, 0.001)
        if first.done():
            break
    with pytest.raises(ConnectionResetError):
        first.result()
    wire.transport.abort()
    deaf.close()
