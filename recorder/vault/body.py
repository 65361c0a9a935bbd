"""Bodies of segments: written while the call goes on, readable after a crash at any moment.

Files, in one folder, each 0600 and created exclusively:

```
NAME.agebody   nonce, then chunks, append-only (stream.py). A full chunk is held back until more data comes.
NAME.tail0/1   records (tail.py) of the open chunk in one; the other starts afresh with the chunk after it.
```
Two tails, because a FLAC frame straddles the end of a chunk: one file, begun anew when its chunk is sealed, would lose
the frame's rest. Chunk i has its records in tail i % 2; after a flush of more than a chunk it may be the other one.
Both begin as zeros and are written over from the start, never cut. Behind the records of its last chunk a tail holds
zeros or the rest of an older record, where readers stop, or whole ones of chunks that the body has, which they skip.

What a flush writes, each line synced before the next:

```
within the open chunk c   the current tail: one record of c
crossing into c+1..c+k    the other tail, from its start: records of c+k, then c+k-1, down to c+1
                          the current tail: the record that completes c, with the sample count from before this flush
                          the body: chunks c..c+k-1
```
So the newest bytes go first, and one record connects them all to what was there: the one that completes c, or, where c
was complete already, that of c+1, which lies last in a file that is read up to the first record that is not whole.
Before it a reader ends where the flush before ended; after it, where this one ends. Both are ends of FLAC frames. The
body gets only what the tails already hold.

What a crash leaves, told by `adopt` from the body alone; A = adoption, all of it repeatable:

```
BORN     less than a nonce             A: a new nonce (nothing is encrypted under a torn one), then as OPEN
OPEN     whole chunks, marked 0        A: tails made durable, chunks that they complete, the last chunk
TORN     the same + a piece of a chunk A: the same; it overwrites the piece, which came from the same tails
CLOSED   the last chunk, marked 1      A: nothing; reports what is there
other    a chunk that does not authenticate and that no tail explains: an error, nothing is written
```

Never two plaintexts under one nonce: a record is built once and, after a failed write, written again as the same bytes;
its number is not used for another. A chunk's bytes come from durable records alone, so the writer, an adopter and an
adopter after it encrypt the same bytes. Adopters write no records. While a writer lives, the lock of its body (flock)
keeps adopters off, and a writer that has begun to close takes no more flushes.
"""

import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from recorder.vault import stream, tail
from recorder.vault.disk import DISK, Disk, read_at
from recorder.vault.errors import PayloadError, TailError
from recorder.vault.writer import BodyWriter, Ended, body_paths, close_all, discard_tails, lock_body

if TYPE_CHECKING:
    from _hashlib import HASH

__all__ = ["BodyWriter", "Ended", "adopt", "discard_tails", "read_live", "read_start", "remove_untouched"]


def adopt(folder: Path, name: str, file_key: bytes, *, disk: Disk = DISK) -> Ended:
    """End the segment of a writer that died, at its last whole flush; may itself be stopped and repeated at any point.

    Raises FileNotFoundError (no body), BodyBusyError (the writer lives), PayloadError (damage in what was sealed),
    TailError (the tails do not fit; or the body is closed and they are gone, since its manifest was written). Nothing
    was changed then. OSError from the disk: repeat it later.
    """
    body_path, *tail_paths = body_paths(folder, name)
    body = disk.open(body_path)
    fds = [body]
    try:
        lock_body(body, body_path)
        nonce = _adopted_nonce(body, tail_paths, folder, fds, disk)
        records: list[tail.Record] = []
        kept: list[tuple[int, bytes]] = []
        for path in tail_paths:
            try:
                fds.append(disk.open(path))
            except FileNotFoundError:
                continue
            data = read_at(fds[-1], os.fstat(fds[-1]).st_size, 0)
            found, length = tail.parse(tail.tail_key(file_key, nonce), data)
            records += found
            kept.append((fds[-1], data[:length]))
        return _finish(body, name, file_key, nonce, records, kept, disk)
    finally:
        close_all(fds)


def read_live(folder: Path, name: str, file_key: bytes) -> bytes:
    """The plaintext so far, whether the writer lives, died or closed the body; writes nothing, takes no lock.

    It ends with a flush; only where the tails are lost, with the last full chunk. Raises PayloadError for damage.
    """
    body_path, *tail_paths = body_paths(folder, name)
    fd = os.open(body_path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        nonce = read_at(fd, stream.NONCE_SIZE, 0)
        if len(nonce) < stream.NONCE_SIZE:
            return b""
        key = tail.tail_key(file_key, nonce)
        before: tuple[list[bytes], int] | None = None
        while True:
            # Tails before the body: what the writer seals in between is found in the body. Twice, since the two must
            # show one moment: else a chunk could seem complete without the next, which has its last frame's rest.
            tails = [_read_file(path) for path in tail_paths]
            if tails != [_read_file(path) for path in tail_paths]:
                continue
            plain: list[bytes] = []
            state = _survey(fd, file_key, nonce, plain.append)
            ending = tail.assemble([each for data in tails for each in tail.parse(key, data)[0]], state.chunks)
            if state.closed or (ending is None and state.chunks == 0 and state.rest <= stream.TAG_SIZE):
                return b"".join(plain)
            if ending is not None:
                return b"".join([*plain, *ending.full, ending.last])
            # A body of n chunks has the records of chunk n in its tails, unless the writer went on in the meantime.
            if (tails, state.chunks) == before:
                break
            before = tails, state.chunks
        if state.rest >= stream.SEALED:
            raise PayloadError(state.chunks, f"of {body_path}")
        return b"".join(plain)
    finally:
        os.close(fd)


def read_start(folder: Path, name: str, file_key: bytes) -> bytes | None:
    """The plaintext of the first chunk, as far as it is durable; None where `file_key` opens nothing of the body.

    Writes nothing, takes no lock. Empty where no flush was ever whole.
    """
    body_path, *tail_paths = body_paths(folder, name)
    with body_path.open("rb") as body:
        nonce = body.read(stream.NONCE_SIZE)
        first = body.read(stream.SEALED)
    if len(nonce) < stream.NONCE_SIZE:
        return None
    key = stream.payload_key(file_key, nonce)
    for last in (False, True):
        with suppress(PayloadError):
            return stream.open_chunk(key, 0, first, last)
    key = tail.tail_key(file_key, nonce)
    records = [record for path in tail_paths for record in tail.parse(key, _read_file(path))[0]]
    ending = tail.assemble(records, 0)
    if ending is None:
        return b"" if records else None
    return [*ending.full, ending.last][0]


def remove_untouched(folder: Path, name: str) -> bool:
    """Remove a body to which nothing was ever written that holds sound: to be told without any key. Whether it was one.

    Raises BodyBusyError where its writer lives.
    """
    body_path, *tail_paths = body_paths(folder, name)
    fd = os.open(body_path, os.O_RDWR | os.O_CLOEXEC)
    try:
        lock_body(fd, body_path)
        if os.fstat(fd).st_size > stream.NONCE_SIZE or any(any(_read_file(path)) for path in tail_paths):
            return False
        body_path.unlink()
        discard_tails(folder, name)
        return True
    finally:
        os.close(fd)


@dataclass(frozen=True, slots=True)
class _Survey:
    chunks: int  # full chunks marked 0, from the start
    last: bytes  # plaintext of the last chunk, if closed
    closed: bool
    rest: int  # bytes behind the full chunks, if not closed
    sha256: "HASH"  # of the nonce and the chunks


def _survey(fd: int, file_key: bytes, nonce: bytes, sink: Callable[[bytes], None]) -> _Survey:
    """Verify the chunks from the start as far as they go; each one's plaintext goes to `sink`."""
    key = stream.payload_key(file_key, nonce)
    digest = hashlib.sha256(nonce)
    size, offset, index = os.fstat(fd).st_size, stream.NONCE_SIZE, 0
    while True:
        sealed = read_at(fd, min(stream.SEALED, size - offset), offset)
        for last in (True, False) if offset + len(sealed) == size else (False,):
            try:
                plaintext = stream.open_chunk(key, index, sealed, last)
            except PayloadError:
                continue
            break
        else:
            return _Survey(index, b"", False, size - offset, digest)
        digest.update(sealed)
        sink(plaintext)
        if last:
            return _Survey(index, plaintext, True, 0, digest)
        offset += stream.SEALED
        index += 1


def _finish(
    body: int,
    name: str,
    file_key: bytes,
    nonce: bytes,
    records: list[tail.Record],
    kept: list[tuple[int, bytes]],
    disk: Disk,
) -> Ended:
    state = _survey(body, file_key, nonce, lambda _: None)
    start = stream.NONCE_SIZE + state.chunks * stream.SEALED
    ending = tail.assemble(records, state.chunks)
    # Without a record of chunk 0 no flush was ever whole: records of later ones belong to a first flush that was not.
    if ending is None and state.chunks == 0 and state.rest <= stream.TAG_SIZE and len(kept) == 2:
        ending = tail.Ending(full=(), last=b"", samples=0)
    if state.closed:
        if ending is None:
            raise TailError(f"{name} is closed and its tails are gone: the manifest, written before, has its length")
        if ending.full or ending.last != state.last:
            raise TailError(f"{name} is closed with other bytes than its tails hold")
        sealed = stream.seal_chunk(stream.payload_key(file_key, nonce), state.chunks, state.last, last=True)
        return Ended(samples=ending.samples, size=start + len(sealed), sha256=state.sha256.digest(), nonce=nonce)
    if ending is None and state.rest >= stream.SEALED:
        raise PayloadError(state.chunks, f"of {name}, and no tail has its bytes: keep the files, recover a copy")
    if ending is None or len(kept) < 2:
        raise TailError(f"{name} is open at chunk {state.chunks}, whose records are missing: keep the files")
    # The records are made durable before anything is encrypted from them: what only the page cache holds after a failed
    # sync could be gone for the adopter after us, who would then encrypt other bytes under the same nonce.
    for fd, data in kept:
        disk.write_all(fd, data, 0)
        disk.sync(fd)
    key = stream.payload_key(file_key, nonce)
    chunks = [*ending.full, ending.last]
    last = len(chunks) - 1
    sealed = b"".join(
        stream.seal_chunk(key, state.chunks + number, data, last=number == last) for number, data in enumerate(chunks)
    )
    disk.write_all(body, sealed, start)
    if state.rest > len(sealed):
        disk.cut(body, start + len(sealed))
    disk.sync(body)
    state.sha256.update(sealed)
    return Ended(samples=ending.samples, size=start + len(sealed), sha256=state.sha256.digest(), nonce=nonce)


def _adopted_nonce(body: int, tail_paths: list[Path], folder: Path, fds: list[int], disk: Disk) -> bytes:
    nonce = read_at(body, stream.NONCE_SIZE, 0)
    if len(nonce) < stream.NONCE_SIZE:
        for path in tail_paths:
            with suppress(FileExistsError):
                fds.append(disk.open(path, create=True))
        nonce = secrets.token_bytes(stream.NONCE_SIZE)
        disk.write_all(body, nonce, 0)
        disk.sync(body)
        disk.sync_folder(folder)
    return nonce


def _read_file(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
