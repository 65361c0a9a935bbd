"""One FastAGI conversation: the environment in, a few variables out, deadlines on everything.

Asterisk's `AGI()` waits for ever for a server that accepts and stays silent (38 s measured, caller ringing), so every
wait here ends, and ends by closing the connection: the dialplan goes on with its fallback then.
"""

import asyncio
import re

from cti.ami.message import text

ENVIRONMENT_LIMIT = 64 * 1024  # bytes; Asterisk sends under 2 KiB
UNIQUEID = re.compile(r"^[A-Za-z0-9._-]{1,80}$")
_ANSWER = re.compile(rb"^\d{3}[ -]")
_RESULT = re.compile(rb"^200 result=(-?\d+)")


class AgiError(Exception):
    """Asterisk said something that is not FastAGI, or too little, or hung up."""

    code = "agi"


class Agi:
    """A conversation over a pair of asyncio streams."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """`environment` comes first."""
        self.reader, self.writer = reader, writer

    async def environment(self) -> dict[str, str]:
        """The `agi_...` lines. Raises AgiError."""
        values: dict[str, str] = {}
        size = 0
        while line := (await self._line()).rstrip(b"\r\n"):
            size += len(line)
            if size > ENVIRONMENT_LIMIT:
                raise AgiError("environment too long")
            name, colon, value = line.partition(b":")
            if not colon:
                raise AgiError("not an AGI environment")
            # The first one counts: what comes after the caller's number may be the caller's.
            values.setdefault(text(name.strip()), text(value.strip()))
        if "agi_uniqueid" not in values:
            raise AgiError("environment without agi_uniqueid")
        return values

    async def set_variable(self, name: str, value: str) -> None:
        """SET VARIABLE on the channel. Raises AgiError where the channel is dead or the command refused."""
        quoted = value.replace("\\", "\\\\").replace('"', '\\"')
        if any(char in name + value for char in "\r\n\0"):
            raise AgiError("a value with a line break")
        self.writer.write(f'SET VARIABLE {name} "{quoted}"\n'.encode())
        await self.writer.drain()
        # A number with line breaks ends the environment early; the rest of it comes before the answer.
        answer = await self._line()
        while not _ANSWER.match(answer):
            answer = await self._line()
        if not _RESULT.match(answer):
            raise AgiError(f"SET VARIABLE {name}: {text(answer.strip())}")

    async def _line(self) -> bytes:
        try:
            line = await self.reader.readline()
        except ValueError as error:  # longer than the stream's limit
            raise AgiError("line too long") from error
        if not line.endswith(b"\n"):
            raise AgiError("connection closed")
        return line
