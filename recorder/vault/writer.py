"""The writer of a segment's body. The format, and why a crash at any moment leaves whole flushes, are in body.py."""

import fcntl
import hashlib
import os
import secrets
from collections import deque
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from recorder.vault import stream, tail
from recorder.vault.disk import DISK, Disk, read_at
from recorder.vault.errors import BodyBusyError, BodyStateError

# Zeros that a tail begins with: records written over them change no size, and so cost the file system no transaction.
# On ext4 a synced append of 20 kB takes 226 us of CPU, the same over what is there 50. A chunk and 400 records fit.
TAIL_ROOM: Final = 80 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Ended:
    """A finished body: samples in it, size in bytes and SHA-256 of the file, its nonce."""

    samples: int
    size: int
    sha256: bytes
    nonce: bytes


@dataclass(frozen=True, slots=True)
class _Step:
    """A write and its sync. Repeated as a whole after an error: a failed sync may have dropped what was written."""

    fd: int
    offset: int
    data: bytes

    def run(self, disk: Disk) -> None:
        disk.write_all(self.fd, self.data, self.offset)
        disk.sync(self.fd)


class BodyWriter:
    """The one writer of a segment's body. Not thread-safe; every call returns when its bytes are durable.

    After an OSError the unwritten rest stays queued: repeat the same flush, or close, once the disk takes bytes again;
    no other flush is accepted before. Nothing but `abandon` gives the queue up.
    """

    def __init__(self, folder: Path, name: str, file_key: bytes, nonce: bytes, fds: list[int], disk: Disk) -> None:
        """Use `create`."""
        self.nonce = nonce
        self._folder, self._name, self._disk = folder, name, disk
        self._fds = fds
        self._body, *self._tails = fds
        self._payload_key = stream.payload_key(file_key, nonce)
        self._tail_key = tail.tail_key(file_key, nonce)
        self._hash = hashlib.sha256(nonce)
        self._size = len(nonce)
        self._chunk = self._sequence = 0
        self._open = bytearray()
        self._current = self._tail_end = 0
        self._samples = self._planned_samples = 0
        self._steps: deque[_Step] = deque()
        self._unfinished: tuple[bytes, int] | None = None
        self._closing = False
        self._ended: Ended | None = None

    @classmethod
    def create(cls, folder: Path, name: str, file_key: bytes, *, disk: Disk = DISK) -> Self:
        """A new body with a random nonce, durable with its folder entry. FileExistsError if the name is taken.

        If it fails, the files that it made are gone again.
        """
        nonce = secrets.token_bytes(stream.NONCE_SIZE)
        made: list[Path] = []
        fds: list[int] = []
        try:
            for path in body_paths(folder, name):
                fds.append(disk.open(path, create=True))
                made.append(path)
                if len(fds) == 1:
                    lock_body(fds[0], path)
            for fd in fds[1:]:
                disk.fill(fd, TAIL_ROOM)
            disk.write_all(fds[0], nonce, 0)
            disk.sync(fds[0])
            disk.sync_folder(folder)
            return cls(folder, name, file_key, nonce, fds, disk)
        except BaseException:
            try:
                for path in made:
                    with suppress(OSError):
                        disk.remove(path)
            finally:
                close_all(fds)
            raise

    @property
    def samples(self) -> int:
        """Samples that are durable."""
        return self._samples

    @property
    def failed(self) -> bool:
        """Whether a flush or the closing waits to be repeated."""
        return bool(self._steps)

    def flush(self, data: bytes, samples: int) -> None:
        """Make `data` durable: all bytes since the flush before, ending with a FLAC frame (or the FLAC head).

        `samples` counts from the start of the segment to the end of `data`. Raises OSError, see the class, and
        BodyStateError for a flush after the end, out of order, or other than the one that failed.
        """
        if self._closing or not self._fds:
            raise BodyStateError(f"{self._name} is closed or given up")
        if self._unfinished is not None:
            if self._unfinished != (data, samples):
                raise BodyStateError(
                    f"the flush of {self._name} that failed comes first: repeat it with the same bytes"
                )
        else:
            if samples < self._samples or (not data and samples != self._samples):
                raise BodyStateError(f"{samples} samples with {len(data)} bytes follow {self._samples} in {self._name}")
            if not data:
                return
            self._plan(bytes(data), samples)
        self._run()

    def close(self) -> Ended:
        """Write the last chunk and give up the files; a failed flush is finished first. May be repeated at any time."""
        if self._ended is not None:
            return self._ended
        if not self._fds:
            raise BodyStateError(f"{self._name} was abandoned")
        self._run()
        if not self._closing:
            last = stream.seal_chunk(self._payload_key, self._chunk, bytes(self._open), last=True)
            self._steps.append(_Step(self._body, self._size, last))
            self._hash.update(last)
            self._size += len(last)
            self._closing = True
        self._run()
        self._ended = Ended(samples=self._samples, size=self._size, sha256=self._hash.digest(), nonce=self.nonce)
        self.abandon()
        return self._ended

    def damaged(self) -> list[Path]:
        """Its files that are not as it wrote them, or cannot be read. What will be written over does not count.

        Reads all of the body. Between flushes alone, and of no use while one waits to be repeated.
        """
        if self.failed or not self._fds:
            return []
        body, *tails = body_paths(self._folder, self._name)
        found = [] if self._body_is_whole() else [body]
        records = [record for fd in self._tails for record in tail.parse(self._tail_key, _all(fd))[0]]
        ending = tail.assemble([record for record in records if record.chunk >= self._chunk], self._chunk)
        written = (bytes(self._open), self._samples) if self._open else None
        if (None if ending is None else (ending.last, ending.samples)) != written:
            found.append(tails[self._current])
        return found

    def _body_is_whole(self) -> bool:
        digest, at = hashlib.sha256(), 0
        with suppress(OSError):
            while block := os.pread(self._body, 1 << 20, at):
                digest.update(block)
                at += len(block)
        return (at, digest.digest()) == (self._size, self._hash.digest())

    def abandon(self) -> None:
        """Give up the files as they are, writing nothing: someone may `adopt` them."""
        close_all(self._fds)
        self._fds.clear()

    def _plan(self, data: bytes, samples: int) -> None:
        room = stream.CHUNK - len(self._open)
        steps: list[_Step] = []
        if len(data) <= room:
            record = self._record(self._chunk, self._sequence, samples, data)
            steps.append(_Step(self._tails[self._current], self._tail_end, record))
            self._open += data
            self._sequence += 1
            self._tail_end += len(record)
        else:
            joined = bytes(self._open) + data
            crossed = (len(joined) - 1) // stream.CHUNK
            pieces = [joined[at : at + stream.CHUNK] for at in range(0, len(joined), stream.CHUNK)]
            newer = b"".join(
                self._record(self._chunk + number, 0, samples if number == crossed else self._samples, pieces[number])
                for number in range(crossed, 0, -1)
            )
            steps.append(_Step(self._tails[1 - self._current], 0, newer))
            if room:
                rest = self._record(self._chunk, self._sequence, self._samples, data[:room])
                steps.append(_Step(self._tails[self._current], self._tail_end, rest))
            sealed = b"".join(
                stream.seal_chunk(self._payload_key, self._chunk + number, pieces[number], last=False)
                for number in range(crossed)
            )
            steps.append(_Step(self._body, self._size, sealed))
            self._open = bytearray(pieces[crossed])
            self._hash.update(sealed)
            self._size += len(sealed)
            self._chunk += crossed
            self._sequence = 1
            self._current = 1 - self._current
            self._tail_end = len(newer)
        self._planned_samples = samples
        self._unfinished = (data, samples)
        self._steps.extend(steps)

    def _record(self, chunk: int, sequence: int, samples: int, data: bytes) -> bytes:
        record = tail.Record(chunk=chunk, sequence=sequence, samples=samples, data=data)
        return tail.seal_record(self._tail_key, record)

    def _run(self) -> None:
        while self._steps:
            self._steps[0].run(self._disk)
            self._steps.popleft()
        self._samples = self._planned_samples
        self._unfinished = None


def _all(fd: int) -> bytes:
    try:
        return read_at(fd, os.fstat(fd).st_size, 0)
    except OSError:
        return b""


def discard_tails(folder: Path, name: str, *, disk: Disk = DISK) -> None:
    """Remove the tails of an ended body, after its manifest is durable: they alone hold the samples. Repeatable."""
    for path in body_paths(folder, name)[1:]:
        disk.remove(path)
    disk.sync_folder(folder)


def body_paths(folder: Path, name: str) -> list[Path]:
    """The body and its two tails."""
    if not name or "/" in name or name.startswith("."):
        raise BodyStateError(f"{name!r} is no name for a body")
    return [folder / f"{name}.agebody", folder / f"{name}.tail0", folder / f"{name}.tail1"]


def lock_body(fd: int, path: Path) -> None:
    """Take the body until the descriptor is closed or its process ends. BodyBusyError if someone else has it."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise BodyBusyError(str(path)) from None


def close_all(fds: list[int]) -> None:
    """Close the descriptors."""
    for fd in fds:
        os.close(fd)
