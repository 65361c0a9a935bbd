"""Asterisk's CEL file, read from its end: the recorder asks it about channels that it slept through."""

import os
import threading
from collections import deque
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import structlog

from cti.aside import OTHER_PACKERS, UNPACKED, UNREADABLE, put_aside
from cti.calls.cel import CelEvent, Moment, moments, read
from cti.calls.tracker import Tracker

log = structlog.get_logger()

TAIL = 16 << 20  # bytes: some 60,000 rows, a busy day
PIECE = 1 << 20
REMEMBERED = 20_000  # conversations


class CelFile:
    """`path` None: Asterisk writes no such file, and nothing is known."""

    def __init__(self, path: Path | None) -> None:
        """Reads nothing before it is asked."""
        self.path = path
        self._file: int | None = None  # the one that was read last, to its end once it has another name
        self._rest = b""
        self._rows = 0
        self._of: dict[str, list[tuple[int, CelEvent]]] = {}  # with their places: a clock may be set, a file grows
        self._linked: dict[str, dict[str, None]] = {}
        self._reading = threading.Lock()

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterator[Moment]:
        """How the conversation of channel `uniqueid` went; waits while another thread reads."""
        with self._reading:
            self._refresh()
            rows = [row for linked in self._linked.get(uniqueid, {}) for row in self._of.get(linked, [])]
        return moments([event for _, event in sorted(rows, key=lambda row: row[0])], uniqueid, tracker)

    def refresh(self) -> None:
        """Read what was written since the last time."""
        with self._reading:
            self._refresh()

    def __del__(self) -> None:
        if self._file is not None:
            os.close(self._file)

    def _refresh(self) -> None:
        if self.path is None:
            return
        try:
            if self._file is not None:
                self._read(self._file)
            if self._file is None or not _still(self._file, self.path):
                first, file = self._file is None, os.open(self.path, os.O_RDONLY | os.O_CLOEXEC)
                if self._file is not None:
                    os.close(self._file)
                self._file, self._rest = file, b""
                if first:
                    self._look_back(TAIL - os.fstat(file).st_size)
                os.lseek(file, max(0, os.fstat(file).st_size - TAIL), os.SEEK_SET)
                self._read(file)
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("Asterisk's record of events cannot be read", file=str(self.path), error=error.strerror)

    def _look_back(self, size: int) -> None:
        """The last `size` bytes of what was put aside before we came: calls go on over a rotation."""
        assert self.path is not None  # noqa: S101  # whoever reads has one
        found: list[bytes] = []
        for path in reversed(put_aside(self.path)):
            if size <= 0:
                break
            if path.suffix in OTHER_PACKERS:
                log.warning("what Asterisk wrote down before is packed in a way that is not read", file=str(path))
                continue
            unpacked = UNPACKED.get(path.suffix)
            try:
                with path.open("rb") as file:
                    if unpacked is None:
                        file.seek(max(0, os.fstat(file.fileno()).st_size - size))
                    found.append(_last(unpacked(file) if unpacked else file, size))
            except UNREADABLE as error:  # one that is being packed lies beside what it is made of
                log.warning("what Asterisk wrote down before cannot be read", file=str(path), error=str(error))
            else:
                size -= len(found[-1])
        for rows in reversed(found):
            self._take(rows.decode("utf-8", "replace"))

    def _read(self, file: int) -> None:
        """What is new in it. In pieces: of a busy day there are many megabytes."""
        while data := os.read(file, PIECE):
            whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
            self._take((whole + newline).decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        for event in read(text):
            linked = event.row["linkedid"]
            self._of.setdefault(linked, []).append((self._rows, event))
            self._rows += 1
            self._linked.setdefault(event.row["uniqueid"], {})[linked] = None
        while len(self._of) > REMEMBERED:
            oldest = next(iter(self._of))
            for _, event in self._of.pop(oldest):
                self._linked.pop(event.row["uniqueid"], None)


def _last(file: BinaryIO, size: int) -> bytes:
    """The last `size` bytes or somewhat more."""
    pieces: deque[bytes] = deque()
    while data := file.read(PIECE):
        pieces.append(data)
        if len(pieces) * PIECE > size + PIECE:
            pieces.popleft()
    return b"".join(pieces)


def _still(file: int, path: Path) -> bool:
    """Whether that is the file still that Asterisk writes, and not one that was rotated away or emptied."""
    here = os.fstat(file)
    return os.path.samestat(here, path.stat()) and os.lseek(file, 0, os.SEEK_CUR) <= here.st_size
