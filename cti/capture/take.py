"""Taking a capture: from a visit to a file, whole blocks only."""

import asyncio
import contextlib
import errno
import os
import stat
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from cti.ami.message import Message
from cti.capture.mask import Mask
from cti.errors import UsageError
from cti.i18n import _
from cti.visit import UnreachableError, Visit, message_of

# Answers to our own questions that help nobody who reads the capture: the login, the version (told beside it).
_OURS = b"ActionID: kikitori-visit-"


class Out(Protocol):
    """Where a capture goes."""

    async def write(self, data: bytes, /) -> None:
        """Take `data` whole, or raise OSError. Only while it waits can it be cancelled."""


@dataclass(slots=True, kw_only=True)
class Taken:
    """What was taken so far. `lost`: why Asterisk's end came before ours."""

    asterisk: str = ""
    events: int = 0
    calls: int = 0
    bytes: int = 0
    seconds: float = 0.0
    lost: str | None = None


async def take(
    visit: Visit,
    out: Out,
    mask: Mask,
    *,
    ended: asyncio.Event,
    duration: float | None,
    seconds: Callable[[], float],
    told: Callable[[Taken], None],
) -> Taken:
    """Write what `visit` hears until `ended` is set, `duration` seconds are over or Asterisk closes.

    The calls that stand already come first: the answer to CoreShowChannels, and to a ping, which tells the time of it.
    `seconds` is a clock that only goes
    forward, `told` hears what was taken after each batch. Raises OSError where `out` takes no more.
    """
    begun = seconds()
    taken = Taken()
    settings = (await visit.ask({"Action": "CoreSettings"}))[0]
    taken.asterisk = settings.get("AsteriskVersion")
    kept = [visit.send({"Action": action}).encode() for action in ("Ping", "CoreShowChannels")]

    async def writing() -> None:
        async for piece in _wanted(visit.pieces(), kept):
            data = mask.piece(piece)
            await out.write(data)
            message = message_of(piece)
            taken.events += bool(message.event)
            taken.calls += _begins(message)
            taken.bytes += len(data)
            taken.seconds = seconds() - begun
            told(taken)

    writer = asyncio.create_task(writing())
    stop = asyncio.create_task(ended.wait())
    try:
        await asyncio.wait({writer, stop}, timeout=duration, return_when=asyncio.FIRST_COMPLETED)
        if writer.done():
            writer.result()
    except UnreachableError as error:
        taken.lost = str(error)
    finally:
        for task in (writer, stop):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError, UnreachableError, OSError):
                await task
    taken.seconds = seconds() - begun
    return taken


def _begins(message: Message) -> bool:
    """Whether a call is seen for the first time: the channel that its linked id is named after."""
    named = message.get("Uniqueid") == message.get("Linkedid")
    return message.event in ("Newchannel", "CoreShowChannel") and named


async def _wanted(pieces: AsyncIterator[bytes], kept: Sequence[bytes]) -> AsyncIterator[bytes]:
    async for piece in pieces:
        head = piece.lstrip(b"\r\n")
        ours = head.startswith(b"Response: ") and _OURS in head
        if not ours or any(b"ActionID: " + action_id + b"\r\n" in head for action_id in kept):
            yield piece


class _File:
    """A file that holds whole writes only: what a full disk cuts is taken back."""

    def __init__(self, handle: int) -> None:
        self._handle = handle
        self._whole = 0

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        try:
            while rest:
                rest = rest[os.write(self._handle, rest) :]
        except OSError:
            os.ftruncate(self._handle, self._whole)
            os.lseek(self._handle, self._whole, os.SEEK_SET)
            raise
        self._whole += len(data)


def refuse_existing(path: Path, *, force: bool) -> None:
    """Raises FileExistsError where there is something at `path`, UsageError where that may not be replaced either."""
    try:
        kind = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not force:
        raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path))
    if not (stat.S_ISREG(kind) or stat.S_ISLNK(kind)):
        raise UsageError(
            _("{file} is neither a file nor a symbolic link: --force takes the place of nothing else").format(file=path)
        )


@contextmanager
def new_file(path: Path, *, force: bool) -> Iterator[Out]:
    """A new file (0600) at `path`. With `force` it takes the place of another one, never writes into it.

    Raises as `refuse_existing` does.

    What was taken stays, whatever ends the block: a PBX that dies is what a capture is for. An empty one goes.
    """
    refuse_existing(path, force=force)
    if force:
        path.unlink(missing_ok=True)
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        os.fchmod(handle, 0o600)
        yield _File(handle)
        os.fsync(handle)
    finally:
        if not os.fstat(handle).st_size:
            path.unlink()
        os.close(handle)
