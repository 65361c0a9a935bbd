"""One FastAGI conversation: the environment in, a few variables out, deadlines on everything.

Asterisk's `AGI()` waits for ever for a server that accepts and stays silent (38 s measured, caller ringing), so every
wait here ends, and ends by closing the connection: the dialplan goes on with its fallback then.
"""

import asyncio
import re
from collections.abc import Callable, Coroutine
from typing import Any

from cti.ami.message import text
from cti.lines import Lines

ENVIRONMENT_LIMIT = 64 * 1024  # bytes; Asterisk sends under 2 KiB
ENVIRONMENT_SECONDS = 1.0
COMMAND_SECONDS = 0.5
TOTAL_SECONDS = 2.0
UNIQUEID = re.compile(r"[A-Za-z0-9._-]{1,80}")
_BREAK = re.compile(r"[\r\n\0]")
_END = re.compile(rb"\n\r?\n")
_RESULT = re.compile(rb"200 result=(-?\d+)")
# `HANGUP`, `100 Trying` and what else may come before an answer is none.
_ANSWER = re.compile(rb"[2-9]\d\d(?: |\r?$)")
_USAGE, _USAGE_END = b"520-", re.compile(rb"520 ")


class AgiError(Exception):
    """Asterisk said something that is not FastAGI, or too little, or hung up."""

    code = "agi"


class Agi(Lines):
    """A conversation: `talk` runs once the environment is complete; `ended` is told how it ended, None for well.

    Until then there is no task: a connection that stays silent costs a socket. Whoever made it calls `end` once the
    time is `due`: with timers of its own, a conversation cost a sixth more (tests/bench/agi.py).
    """

    def __init__(
        self, talk: Callable[["Agi"], Coroutine[Any, Any, None]], ended: Callable[["Agi", BaseException | None], None]
    ) -> None:
        """For `create_server`."""
        super().__init__()
        self._talk, self._told = talk, ended
        self._loop = asyncio.get_running_loop()
        self._over = self._loop.time() + TOTAL_SECONDS
        self.due = self._over - TOTAL_SECONDS + ENVIRONMENT_SECONDS
        self._environment = bytearray(b"\n")  # as before any other line
        self._task: asyncio.Task[None] | None = None
        self._ended = False
        self._answer: asyncio.Future[bytes] | None = None
        self._answers = _ANSWER

    def __getitem__(self, name: str) -> str:
        """A value of the environment, whatever it is encoded in; empty where there is none.

        The first one counts: what comes after the caller's number may be the caller's.
        """
        start = f"\n{name}:".encode()
        at = self._environment.find(start) + len(start)
        if at < len(start):
            return ""
        return text(bytes(self._environment[at : self._environment.index(b"\n", at)]).strip())

    async def set_variable(self, name: str, value: str) -> None:
        """SET VARIABLE on the channel. Raises AgiError where the channel is dead or the command refused."""
        if _BREAK.search(name + value):
            raise AgiError("a value with a line break")
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        answer = await self._command(f'SET VARIABLE {name} "{quoted}"\n'.encode())
        if not _RESULT.match(answer):
            raise AgiError(f"SET VARIABLE {name}: {text(answer.strip())}")

    def end(self, error: BaseException | None) -> None:
        """Close. Only the first reason counts."""
        if self._ended:
            return
        self._ended = True
        if self._task is not None:
            self._task.cancel()
        self.transport.close()
        self._told(self, error)

    async def _command(self, command: bytes) -> bytes:
        """Its answer. Only what comes after a command can be that: anything before it was dropped."""
        self._answer = self._loop.create_future()
        self.due = min(self._loop.time() + COMMAND_SECONDS, self._over)
        self.transport.write(command)
        answer = await self._answer
        self.due = self._over
        return answer

    # --- what comes in ------------------------------------------------------------------------------------------------

    def connection_lost(self, exc: Exception | None) -> None:
        """asyncio's."""
        self.end(AgiError("connection closed"))

    def data_received(self, data: bytes) -> None:
        """This came. The environment is taken as a whole: taken line by line, it was a fifth of what a caller cost."""
        if self._task is None:
            self._of_environment(data)
        else:
            super().data_received(data)

    def lines(self, lines: list[bytes]) -> None:
        """Of answers."""
        for line in lines:
            if line.startswith(_USAGE):
                self._answers = _USAGE_END
            elif self._answer is not None and not self._answer.done() and self._answers.match(line):
                self._answers = _ANSWER
                self._answer.set_result(line)

    def too_long(self) -> None:
        """A line has no end."""
        self.end(AgiError("line too long"))

    def _of_environment(self, data: bytes) -> None:
        self._environment += data
        if len(self._environment) > ENVIRONMENT_LIMIT:
            self.end(AgiError("environment too long"))
        elif end := _END.search(self._environment, max(0, len(self._environment) - len(data) - 2)):
            # Where a number has line breaks, the rest of it is behind the end, or still to come: it is nothing.
            del self._environment[end.end() :]
            if not self["agi_uniqueid"]:
                self.end(AgiError("environment without agi_uniqueid"))
                return
            self.due = self._over
            self._task = self._loop.create_task(self._talk(self))
            self._task.add_done_callback(self._talked)

    def _talked(self, task: asyncio.Task[None]) -> None:
        self.end(AgiError("given up") if task.cancelled() else task.exception())
