"""Asterisk's CEL file, read from its end: the recorder asks it about channels that it slept through."""

import threading
from collections.abc import Iterator
from pathlib import Path

import structlog

from cti.calls.cel import CelEvent, Moment, moments, read
from cti.calls.tracker import Tracker

log = structlog.get_logger()

TAIL = 16 << 20  # bytes: some 60,000 rows, a busy day
REMEMBERED = 20_000  # conversations


class CelFile:
    """`path` None: Asterisk writes no such file, and nothing is known."""

    def __init__(self, path: Path | None) -> None:
        """Reads nothing before it is asked."""
        self.path = path
        self._inode = 0
        self._read_to = 0
        self._rest = b""
        self._of: dict[str, list[CelEvent]] = {}
        self._linked: dict[str, dict[str, None]] = {}
        self._reading = threading.Lock()

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterator[Moment]:
        """How the conversation of channel `uniqueid` went; waits while another thread reads."""
        with self._reading:
            self._refresh()
            events = [event for linked in self._linked.get(uniqueid, {}) for event in self._of.get(linked, [])]
        return moments(sorted(events, key=lambda event: event.row["eventtime"]), uniqueid, tracker)

    def refresh(self) -> None:
        """Read what was written since the last time."""
        with self._reading:
            self._refresh()

    def _refresh(self) -> None:
        if self.path is None:
            return
        try:
            with self.path.open("rb") as file:
                inode, size = self.path.stat().st_ino, file.seek(0, 2)
                if inode != self._inode or size < self._read_to:
                    # Another file now (logrotate): what was read of the old one stays known.
                    self._inode, self._read_to, self._rest = inode, max(0, size - TAIL), b""
                file.seek(self._read_to)
                data = self._rest + file.read(size - self._read_to)
                self._read_to = size
        except FileNotFoundError:
            return
        except OSError as error:
            log.error("Asterisk's record of events cannot be read", file=str(self.path), error=error.strerror)
            return
        whole, newline, self._rest = data.rpartition(b"\n")
        self._take((whole + newline).decode("utf-8", "replace"))

    def _take(self, text: str) -> None:
        for event in read(text):
            linked = event.row["linkedid"]
            self._of.setdefault(linked, []).append(event)
            self._linked.setdefault(event.row["uniqueid"], {})[linked] = None
        while len(self._of) > REMEMBERED:
            oldest = next(iter(self._of))
            for event in self._of.pop(oldest):
                self._linked.pop(event.row["uniqueid"], None)
