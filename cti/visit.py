"""A visit to the manager interface: log in once, look, leave. For tools; what must stay connected is `cti.ami.client`.

Every byte of what Asterisk says is kept, so that a stream can be put by as it came.
"""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from cti.ami.actions import Value, encode
from cti.ami.client import AmiConfig, ends_answer
from cti.ami.errors import AmiError, DeadlineError, LoginRefusedError
from cti.ami.message import Message
from cti.ami.tls import refusal
from cti.explain import explain
from cti.i18n import _

READ = 1 << 16
LIMIT = 16 << 20  # bytes of one block, as the framer's
GREETING = b"Asterisk Call Manager/"
# What the framer takes for the end of a block, stray line ends with it.
_END = re.compile(rb"\r\n(?:\r\n|\n)+")


class UnreachableError(AmiError):
    """Asterisk's manager interface cannot be reached, or has gone."""

    code = "ami-unreachable"
    status = 69


class Pieces:
    """Bytes in, whole blocks out, each with the line ends around it: joined, they are the stream as it came."""

    def __init__(self) -> None:
        """Nothing is held."""
        self._held = bytearray()

    @property
    def held(self) -> int:
        """Bytes of a block that has not ended."""
        return len(self._held)

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces that `data` completes."""
        # the last three bytes may be the beginning of an end
        begin = max(0, len(self._held) - 3)
        self._held += data
        pieces: list[bytes] = []
        start = 0
        for end in _END.finditer(self._held, begin):
            piece = bytes(self._held[start : end.end()])
            # line ends alone go before the block that follows
            if piece.strip(b"\r\n"):
                pieces.append(piece)
                start = end.end()
        del self._held[:start]
        return pieces


def message_of(piece: bytes) -> Message:
    """The message in a piece."""
    return Message(piece.strip(b"\r\n"))


class Visit:
    """One connection, logged in. `ask` for an answer; `pieces` for everything that has come and comes."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, config: AmiConfig, greeting: str
    ) -> None:
        """Made by `visiting`. `greeting`: the line that Asterisk says first."""
        self.config, self.greeting = config, greeting
        self._reader, self._writer = reader, writer
        self._pieces = Pieces()
        self._unread: list[bytes] = []
        self._serial = 0

    def send(self, action: Mapping[str, Value]) -> str:
        """Send; the ActionID that the answer will bear. Raises UnsafeActionError."""
        self._serial += 1
        action_id = f"kikitori-visit-{self._serial}"
        self._writer.write(encode(action, action_id))
        return action_id

    async def ask(self, action: Mapping[str, Value], deadline: float | None = None) -> list[Message]:
        """Send `action`; its response and the events of its list. What else comes meanwhile stays for `pieces`.

        Raises UnsafeActionError, DeadlineError, UnreachableError.
        """
        action_id = self.send(action)
        replies: list[Message] = []
        whole = False
        unread = self._unread
        self._unread = []
        try:
            async with asyncio.timeout(deadline or self.config.action_deadline):
                while True:
                    for piece in await self._read():
                        message = message_of(piece)
                        if b"ActionID:" in piece and message.get("ActionID") == action_id and not whole:
                            replies.append(message)
                            whole = ends_answer(message)
                        else:
                            unread.append(piece)
                    if whole:
                        return replies
        except TimeoutError as error:
            raise DeadlineError(f"no answer to {action.get('Action')}") from error
        finally:
            self._unread = unread + self._unread

    async def pieces(self) -> AsyncIterator[bytes]:
        """Every piece that no question took, in order, until Asterisk closes. Raises UnreachableError then."""
        while True:
            unread, self._unread = self._unread, []
            for piece in unread:
                yield piece
            if not self._unread:
                self._unread = await self._read()

    async def hear(self, seconds: float) -> list[Message]:
        """What is said within `seconds`, and what was said before and nobody took."""
        heard: list[Message] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                async for piece in self.pieces():
                    heard.append(message_of(piece))  # noqa: PERF401  # what came before the time is up counts
        return heard

    async def _read(self) -> list[bytes]:
        try:
            data = await self._reader.read(READ)
        except OSError as error:
            raise UnreachableError(_said(self.config, explain(error))) from error
        if not data:
            raise UnreachableError(_said(self.config, _("closed by Asterisk")))
        pieces = self._pieces.feed(data)
        if self._pieces.held > LIMIT:
            raise UnreachableError(_said(self.config, _("a message without an end")))
        return pieces


def _said(config: AmiConfig, problem: str) -> str:
    return f"{config.address}: {problem}"


def _away(config: AmiConfig, problem: str, remedy: str) -> UnreachableError:
    text = _("{where}: {problem}. {remedy}").format(where=config.address, problem=problem, remedy=remedy)
    return UnreachableError(text)


@asynccontextmanager
async def visiting(config: AmiConfig) -> AsyncIterator[Visit]:
    """A visit, logged in with events on. Raises UnreachableError, TlsError, DeadlineError, LoginRefusedError."""
    remedy = _("Is Asterisk running, and does its manager.conf listen there ([pbx] host and port)?")
    try:
        async with asyncio.timeout(config.action_deadline):
            reader, writer = await asyncio.open_connection(
                config.host,
                config.port,
                ssl=config.tls,
                # asyncio's own is 30 s: for so long a PBX that stands still would keep who wants to leave
                ssl_shutdown_timeout=config.action_deadline if config.tls else None,
            )
    except ssl.SSLError as error:
        raise refusal(config.address, error) from error
    except (OSError, TimeoutError) as error:
        problem = _("no answer in time") if isinstance(error, TimeoutError) else explain(_bare(error))
        raise _away(config, problem, remedy) from error
    try:
        visit = Visit(reader, writer, config, await _greeted(reader, config, remedy))
        login = {"Action": "Login", "Username": config.username, "Secret": config.secret, "Events": "on"}
        # Asterisk lets a second pass before it refuses.
        reply = (await visit.ask(login))[0]
        if reply.get("Response") != "Success":
            raise LoginRefusedError(
                _(
                    "{address} refused user {user!r}: {reason}. Compare [pbx] user and the secret file with "
                    "manager.conf; then: asterisk -rx 'manager reload'"
                ).format(address=config.address, user=config.username, reason=reply.get("Message") or "?")
            )
        yield visit
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def _greeted(reader: asyncio.StreamReader, config: AmiConfig, remedy: str) -> str:
    line = b""
    with contextlib.suppress(OSError, ValueError, TimeoutError):
        async with asyncio.timeout(config.action_deadline):
            line = await reader.readline()
    if not line.startswith(GREETING):
        problem = _("what listens there is not the manager interface")
        raise _away(config, problem, remedy)
    return line.strip().decode("ascii", "replace")


def _bare(error: OSError) -> OSError:
    """asyncio words a refused connection in English, with the address in it; the number says the same."""
    return OSError(error.errno, os.strerror(error.errno)) if error.errno and error.errno > 0 else error
