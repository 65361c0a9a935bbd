"""A day's file of call records: a line a call, each bound to the one before it, so that a change shows.

```
{"arrived":...,"caller":...,...,"check":"9f2c..."}      keys sorted; `check` last of all in the making
check = SHA-256 of (the line before, as its bytes lie there, without its newline; nothing for the first)
                   (the line itself without the key `check`)
```
Not signed: who can write the file can make it anew. Bits that flip, lines that go or come are named, and which.
"""

import fcntl
import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from recorder.vault.folder import sync_folder

_LONGEST = 64 * 1024  # bytes of a line; a record has some 300


def append(path: Path, values: Mapping[str, Any]) -> None:
    """One line at the end of `path`, durable. Raises OSError."""
    fresh = not path.exists()
    with path.open("ab+", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # let go of with the file: two commands may write at the same time
        before = _last(file.fileno())
        # What a crash cut off stays a line of its own.
        begin = b"\n" if before is not None and not before.endswith(b"\n") else b""
        size = os.fstat(file.fileno()).st_size
        try:
            _write(file.fileno(), begin + _line(values, (before or b"").rstrip(b"\n")) + b"\n")
            os.fdatasync(file.fileno())
        except OSError:
            # It will be tried again as a whole: what a full disk took of it would look like damage.
            os.ftruncate(file.fileno(), size)
            raise
    if fresh:
        sync_folder(path.parent)


def check(path: Path) -> Iterator[tuple[int, str]]:
    """(line number from 1, what is wrong with it) for every line that is not as it was written. Raises OSError."""
    before = b""
    lines = path.read_bytes().split(b"\n")
    if lines[-1]:
        yield len(lines), "has no end: a crash cut it off"
    for number, line in enumerate(lines[:-1], 1):
        try:
            values = json.loads(line)
            whole = isinstance(values, dict) and _line(values, before) == line
        except (ValueError, RecursionError):
            yield number, "is no record: it was changed, or a crash cut it off"
        else:
            if not whole:
                yield number, "was changed, or the line before it was changed, removed or put in"
        before = line


def _line(values: Mapping[str, Any], before: bytes) -> bytes:
    own = json.dumps({name: value for name, value in values.items() if name != "check"}, sort_keys=True).encode()
    digest = hashlib.sha256(before + own).hexdigest()
    return json.dumps({**values, "check": digest}, sort_keys=True).encode()


def _write(handle: int, data: bytes) -> None:
    while data:
        data = data[os.write(handle, data) :]


def _last(handle: int) -> bytes | None:
    """The last line, with its newline where it has one; None in an empty file."""
    size = os.fstat(handle).st_size
    if size == 0:
        return None
    end = os.pread(handle, _LONGEST, max(0, size - _LONGEST))
    return end[end.rfind(b"\n", 0, -1) + 1 :]
