"""The recorder's own socket: one JSON line in, one out. Gate, desk and command line ask here."""

import asyncio
import json
from collections.abc import Awaitable, Callable, Mapping
from itertools import count
from pathlib import Path
from typing import Any, cast

import structlog

from cti.lines import LIMIT, Lines

log = structlog.get_logger()

READING_SECONDS = 120.0  # for an answer before which bodies of hours are read from end to end
LOOK = 0.02  # seconds between two looks at the deadlines of a `Wire`

Handler = Callable[[dict[str, Any]], Awaitable[dict[str, Any]]]


async def serve(path: Path, handlers: Mapping[str, Handler]) -> asyncio.Server:
    """Listen on `path` (group-writable); `{"ask": NAME, ...}` goes to `handlers[NAME]`.

    No question waits for another of its connection; an answer carries the `id` of its question, where that has one.
    """
    path.unlink(missing_ok=True)  # noqa: ASYNC240  # once, at start
    loop = asyncio.get_running_loop()
    server = await loop.create_unix_server(lambda: _Answers(handlers), path, backlog=1024)
    path.chmod(0o660)  # noqa: ASYNC240  # once, at start
    return server


class _Answers(Lines):
    """One connection of somebody who asks. What was begun is ended, whether or not he waits for it."""

    def __init__(self, handlers: Mapping[str, Handler]) -> None:
        super().__init__()
        self._handlers = handlers
        self._tasks: set[asyncio.Task[None]] = set()
        self._all_asked = False

    def lines(self, lines: list[bytes]) -> None:
        for line in lines:
            task = asyncio.create_task(self._answer(line))
            self._tasks.add(task)
            task.add_done_callback(self._answered)

    async def _answer(self, line: bytes) -> None:
        reply: dict[str, Any] = {}
        try:
            question = json.loads(line)
            reply = {"id": question["id"]} if "id" in question else {}
            reply |= await self._handlers[question["ask"]](question)
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            reply["error"] = f"not understood: {error}"
        self.send(json.dumps(reply).encode() + b"\n")

    def _answered(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()):
            log.error("a question has no answer", exc_info=error)
            self.transport.abort()
        if self._all_asked and not self._tasks:
            self.transport.close()

    def eof_received(self) -> bool:
        self._all_asked = True
        return bool(self._tasks)


class Wire(Lines):
    """A standing connection to such a socket, made when it is needed: any number of questions at once.

    With a connection a question, a caller cost the gate twice as much (tests/bench/agi.py).
    """

    def __init__(self, path: Path) -> None:
        """`path`: where `serve` listens."""
        super().__init__()
        self._path = path
        self._connecting = asyncio.Lock()
        self._connected = False
        self._numbers = count()
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._due: dict[int, float] = {}
        self._looking = False

    async def ask(self, question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        """As `control.ask` does, and raises the same; up to `LOOK` later."""
        loop = asyncio.get_running_loop()
        number, answer = next(self._numbers), cast("asyncio.Future[dict[str, Any]]", loop.create_future())
        if not self._looking:
            self._looking = True
            loop.call_later(LOOK, self._look)
        self._waiting[number], self._due[number] = answer, loop.time() + deadline
        try:
            if not self._connected:
                await self._connect()
            if self.transport.get_write_buffer_size() > LIMIT:
                self.transport.abort()  # nobody has read for long: what waits there is of callers who have gone on
            self.send(json.dumps({**question, "id": number}).encode() + b"\n")
            return await answer
        finally:
            del self._waiting[number], self._due[number]

    def _look(self) -> None:
        """Who has waited too long. One look for all: a timer for each question cost a caller 3 us."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for number, due in self._due.items():
            if due <= now and not self._waiting[number].done():
                self._waiting[number].set_exception(TimeoutError("no answer in time"))
        self._looking = bool(self._waiting)
        if self._looking:
            loop.call_later(LOOK, self._look)

    async def _connect(self) -> None:
        """To a socket of this host: it is there or it is not, and nobody waits."""
        async with self._connecting:
            if not self._connected:
                await asyncio.get_running_loop().create_unix_connection(lambda: self, str(self._path))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        super().connection_made(transport)
        self._connected = True

    def lines(self, lines: list[bytes]) -> None:
        """Answers. One that comes too late is nobody's."""
        for line in lines:
            try:
                reply = json.loads(line)
                answer = self._waiting.get(reply.pop("id", None))
            except (ValueError, AttributeError, TypeError):
                self.transport.abort()  # whatever is there, it is no `serve`
                return
            if answer is not None and not answer.done():
                answer.set_result(reply)

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's. Who waits will wait in vain."""
        self._connected = False
        for answer in self._waiting.values():
            if not answer.done():
                answer.set_exception(exc or ConnectionResetError("closed without an answer"))


async def ask(path: Path, question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
    """Ask once; raises OSError where nobody listens, TimeoutError after `deadline` seconds."""
    async with asyncio.timeout(deadline):
        reader, writer = await asyncio.open_unix_connection(path)
        try:
            writer.write(json.dumps(dict(question)).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        finally:
            writer.close()
    if not line:
        raise ConnectionResetError("closed without an answer")
    reply: dict[str, Any] = json.loads(line)
    return reply
