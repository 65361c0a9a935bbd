"""Checkpoints: the log's size and root, signed, on a second medium (C2SP `tlog-checkpoint`).

```
<folder>/2026-04-01.notes, appended to and synced; one checkpoint:
    <origin>                              the key's name
    <size, decimal>
    <base64(root, 32 bytes)>
    <empty line>
    — <origin> <signature>
    <empty line>                          ends it; all but this line is the signed note
```

Who rewrites the whole log, head included, does not rewrite what lies elsewhere. A checkpoint cut off by a power loss
was never acknowledged and is no note: readers report it, the next writer trims it and goes on. One that is whole but
for its last empty line is kept and completed. Nothing that is a note is ever removed.
"""

import base64
import binascii
import fcntl
import os
import re
from bisect import bisect_left
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import BinaryIO

from recorder.access.audit import Problems
from recorder.access.errors import CheckpointError, RewoundLogError
from recorder.access.log import AccessLog, Head
from recorder.access.merkle import HASH_SIZE, Frontier
from recorder.vault.folder import sync_folder
from recorder.vault.note import NoteError, Signer, Verifier, open_note, sign

_DASH = "— ".encode()
_TAIL = 4096
"""Bytes: some twenty checkpoints."""
_SIZE = re.compile(r"0|[1-9][0-9]{0,18}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Checkpoint:
    """A verified checkpoint and where it stands (file and first line)."""

    origin: str
    size: int
    root: bytes
    where: str
    note: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DamagedCheckpoint:
    """A place in a file that holds no checkpoint of this log's key, and why."""

    where: str
    problem: str


def try_checkpoint(log: AccessLog, folder: Path, signer: Signer, now: datetime) -> CheckpointError | None:
    """As `write_checkpoint`, beside an entry that is durable without: what the second medium refuses is returned.

    Raises RewoundLogError.
    """
    try:
        write_checkpoint(log, folder, signer, signer.name, now)
    except RewoundLogError:
        raise
    except CheckpointError as error:
        return error
    return None


def write_checkpoint(log: AccessLog, folder: Path, signer: Signer, origin: str, now: datetime) -> str | None:
    """Append the log's present state to the file of `now`'s day (UTC) and return the note once it is durable.

    None if the log is empty or has not grown since the last checkpoint. `origin` is the key's name. Raises
    RewoundLogError, and writes nothing, where the log is shorter than the last checkpoint or has another root at the
    same size; CheckpointError where the medium fails.
    """
    if origin != signer.name:
        raise CheckpointError(f"the origin is {origin!r}, the key's name {signer.name!r}; they must be the same")
    if now.utcoffset() is None:
        raise CheckpointError(f"{now.isoformat()} has no time zone")
    path = _file_of(folder, now)
    try:
        # In this order: another writer's checkpoint in between must not look like a log that shrank.
        last = newest(folder, signer.verifier, now)
        head = log.head()
        if not _grown(head, last):
            return None
        note = sign(f"{origin}\n{head.size}\n{base64.b64encode(head.root).decode()}\n", [signer])
        _append(path, note, origin)
    except OSError as error:
        raise CheckpointError(f"{path}: cannot be written ({error.strerror}); is the medium mounted?") from error
    return note


def read_checkpoints(folder: Path, verifier: Verifier) -> Iterator[Checkpoint | DamagedCheckpoint]:
    """Everything in `folder`, by day and line; what is not a checkpoint signed by `verifier` comes as damaged."""
    for path in _files(folder):
        for record in _records(path.read_bytes(), verifier.name):
            yield _parse(record, path.name, verifier)


def read_note(note: str, verifier: Verifier, where: str) -> Checkpoint:
    """A checkpoint that somebody kept elsewhere. Raises CheckpointError."""
    found = _parse(_Record(1, 1, note.encode(), True), where, verifier)
    if isinstance(found, DamagedCheckpoint):
        raise CheckpointError(f"{found.where}: {found.problem}")
    return found


def verify(log: AccessLog, folder: Path, verifier: Verifier) -> tuple[str, ...]:
    """Compare every checkpoint with the root of as many of the log's entries, in one pass over them.

    A sentence for each problem; a log with entries and no checkpoint is one. Raises CheckpointError for a lost folder.
    """
    problems = Problems()
    good: list[Checkpoint] = []
    for found in read_checkpoints(folder, verifier):
        if isinstance(found, Checkpoint):
            good.append(found)
        else:
            problems.say(f"{found.where}: {found.problem}")
    good.sort(key=lambda checkpoint: checkpoint.size)
    frontier, at, agreed = Frontier(), 0, 0
    for _seq, leaf in log.leaves():
        frontier.append(leaf)
        end = bisect_left(good, frontier.size + 1, lo=at, key=lambda checkpoint: checkpoint.size)
        if end == at:
            continue
        root = frontier.root()
        for checkpoint in good[at:end]:
            if checkpoint.root != root:
                problems.say(
                    f"{checkpoint.where}: the root of the first {checkpoint.size} entries differs: "
                    f"one of entries {agreed} to {checkpoint.size - 1} was changed, or one before it removed"
                )
        if any(checkpoint.root == root for checkpoint in good[at:end]):
            agreed = frontier.size
        at = end
    if frontier.size and not good:
        problems.say(f"{folder}: has no checkpoint of this log")
    for checkpoint in good[at:]:
        problems.say(
            f"{checkpoint.where}: the log had {checkpoint.size} entries and has {frontier.size}: "
            f"entries {frontier.size} to {checkpoint.size - 1} were cut off"
        )
    return problems.all()


def _grown(head: Head, last: Checkpoint | None) -> bool:
    if last is None:
        return head.size > 0
    if head.size > last.size:
        return True
    if head.size < last.size:
        raise RewoundLogError(f"it has {head.size} entries, {last.where} has {last.size}; run verify, keep both media")
    if head.root != last.root:
        raise RewoundLogError(f"its {head.size} entries are not those of {last.where}; run verify, keep both media")
    return False


@dataclass(frozen=True, slots=True)
class _Record:
    """Lines that should be one checkpoint; `whole` unless the file ends before they do."""

    start: int
    line: int
    data: bytes
    whole: bool


def _files(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise CheckpointError(f"{folder}: is no folder; is the medium mounted?")
    return sorted(folder.glob("????-??-??.notes"))


def _file_of(folder: Path, now: datetime) -> Path:
    return folder / f"{now.astimezone(UTC):%Y-%m-%d}.notes"


def newest(folder: Path, verifier: Verifier, now: datetime) -> Checkpoint | None:
    """The one of most entries, None where there is none. Raises CheckpointError for a lost folder."""
    # After a clock that was set back, the newest file is not today's.
    recent = sorted({_file_of(folder, now), *_files(folder)[-2:]})
    found = []
    for path in recent:
        if path.exists():
            with path.open("rb") as file:
                found.append(_last(file, path.name, verifier))
    return max((each for each in found if each), key=lambda each: each.size, default=None)


def _last(file: BinaryIO, name: str, verifier: Verifier) -> Checkpoint | None:
    """The last checkpoint of a file: the end of it is read, and more only where that holds none."""
    for start, records in _from_the_end(file, verifier.name):
        where = name if start else None  # lines are counted from the front
        for record in reversed(records):
            found = _parse(record, name, verifier)
            if isinstance(found, Checkpoint):
                return replace(found, where=where or found.where)
    return None


def _from_the_end(file: BinaryIO, origin: str) -> Iterator[tuple[int, list[_Record]]]:
    """(where it begins, the whole records behind that) of more and more of a file, until it is all of it.

    A busy day has 4 MB of them: read from end to end for each line of the log, they took nearly all of its time.
    """
    size, length = file.seek(0, os.SEEK_END), _TAIL
    while True:
        start = max(0, size - length)
        file.seek(start)
        records = _records(file.read(size - start), origin)
        yield start, records[1:] if start else records  # the first is not there from its beginning
        if not start:
            return
        length *= 16


def _append(path: Path, note: str, origin: str) -> None:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o660)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        with open(descriptor, "rb", closefd=False) as file:
            start, records = next((start, found) for start, found in _from_the_end(file, origin) if found or not start)
            size = file.seek(0, os.SEEK_END)
            if records and not records[-1].whole:
                size = start + records[-1].start
                os.ftruncate(descriptor, size)
            file.seek(max(0, size - 2))
            ended = file.read(2) in (b"", b"\n\n")
        data = (b"" if ended else b"\n") + note.encode() + b"\n"
        while data:
            data = data[os.write(descriptor, data) :]
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    if not size:
        sync_folder(path.parent)


def _records(content: bytes, origin: str) -> list[_Record]:
    """Cut a file into records: each ends behind its signatures, or where the next origin stands.

    Two marks, so that one damaged byte does not take the neighbours along.
    """
    head = f"{origin}\n".encode()
    starts: list[tuple[int, int]] = []
    at, fresh, signed = 0, True, False
    for number, line in enumerate(content.split(b"\n"), start=1):
        if at == len(content):
            break
        ends = signed and not line.startswith(_DASH)
        terminator = ends and not line
        if fresh or (ends and not terminator) or content.startswith(head, at):
            starts.append((at, number))
        fresh, signed = terminator, line.startswith(_DASH)
        at += len(line) + 1
    bounds = [*(start for start, _ in starts), len(content)]
    pieces = [content[start:end] for start, end in pairwise(bounds)]
    last = len(pieces) - 1
    return [
        _Record(start, line, data, index < last or _is_whole(data))
        for index, ((start, line), data) in enumerate(zip(starts, pieces, strict=True))
    ]


def _is_whole(data: bytes) -> bool:
    """Whether the last record of a file was written to its end: a signature line, or two empty lines, are there."""
    *_, line = data.removesuffix(b"\n").removesuffix(b"\n").split(b"\n")
    return data.endswith(b"\n") and (line.startswith(_DASH) or data.count(b"\n\n") > 1)


def _parse(record: _Record, name: str, verifier: Verifier) -> Checkpoint | DamagedCheckpoint:
    where = f"{name}:{record.line}"
    if not record.whole:
        return DamagedCheckpoint(where=where, problem="cut off, as by a power loss; the next checkpoint removes it")
    note = record.data.decode("utf-8", "surrogateescape")
    note = note.removesuffix("\n") if note.endswith("\n\n") else note
    try:
        text = open_note(note, [verifier])
    except NoteError as error:
        return DamagedCheckpoint(where=where, problem=str(error))
    origin, size, root, *more = text.split("\n")[:-1] + [""] * 3
    hashed = _unb64(root)
    if origin != verifier.name or not _SIZE.fullmatch(size) or hashed is None or not all(more[:-3]):
        return DamagedCheckpoint(where=where, problem="signed, but not origin, size and root")
    return Checkpoint(origin=origin, size=int(size), root=hashed, where=where, note=note)


def _unb64(text: str) -> bytes | None:
    try:
        raw = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        return None
    return raw if len(raw) == HASH_SIZE and base64.b64encode(raw).decode() == text else None
