"""Asterisk's CEL file, read from its end: the recorder asks it about channels that it slept through."""

from collections.abc import Iterator
from pathlib import Path

import structlog

from cti.calls.cel import CelEvent, Moment, moments, read
from cti.calls.tracker import Tracker

log = structlog.get_logger()

TAIL = 16 << 20  # bytes: some 60,000 rows, a busy day


class CelFile:
    """`path` None: Asterisk writes no such file, and nothing is known."""

    def __init__(self, path: Path | None) -> None:
        """Reads nothing before it is asked."""
        self.path = path
        self._stamp: tuple[int, int] | None = None
        self._events: list[CelEvent] = []

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterator[Moment]:
        """How the conversation of channel `uniqueid` went."""
        events = self._read()
        linked = {event.row["linkedid"] for event in events if event.row["uniqueid"] == uniqueid}
        return moments((event for event in events if event.row["linkedid"] in linked), uniqueid, tracker)

    def _read(self) -> list[CelEvent]:
        if self.path is None:
            return []
        try:
            with self.path.open("rb") as file:
                size = file.seek(0, 2)
                stamp = (size, self.path.stat().st_ino)
                if stamp != self._stamp:
                    file.seek(max(0, size - TAIL))
                    text = file.read().decode("utf-8", "replace")
                    self._events, self._stamp = list(read(text.splitlines())), stamp
        except FileNotFoundError:
            return []
        except OSError as error:
            log.error("Asterisk's record of events cannot be read", file=str(self.path), error=error.strerror)
            return []
        return self._events
