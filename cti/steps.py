"""What was done with each call, out of Asterisk's own record of events and into the vault.

Most of it the dialplan says (`cti.calls.said`); who was passed on, and whom nobody answered, the events themselves
(`cti.calls.passing`).

Asterisk writes that record whether or not any of us runs. The recorder, which stands beside it, copies what concerns a
call's way into `vault/steps/DAY.jsonl` and remembers how far it has read: what happened while it was down is copied
when it is back. A step may be copied twice (a process that died in between), never not at all; its key tells it again.
"""

import json
import os
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import structlog

from cti.aside import OTHER_PACKERS, UNPACKED, put_aside
from cti.calls.board import conversation_id
from cti.calls.cel import CelEvent, read, said_in
from cti.calls.passing import Passed, Passing
from cti.calls.said import said
from cti.calls.tracker import event_time
from recorder import callfile
from recorder.vault.folder import STEPS, replace_whole

log = structlog.get_logger()

EVENT = "KIKITORI"  # CELGenUserEvent writes the name that it is given in place of a type
POSITION = "position.json"
CHUNK = 4 << 20  # bytes read at a time
LONGEST_KEY = 160

Step = dict[str, Any]


class StepTail:
    """Copies the steps of one CEL file into one vault folder."""

    def __init__(self, cel: Path, vault: Path, pbx: str) -> None:
        """`vault`: its root folder."""
        self._cel, self._folder, self._pbx = cel, vault / STEPS, pbx

    def copy(self) -> int:
        """Copy what is new; how many steps. Raises OSError: then all of it comes next time."""
        count = 0
        inode, position, passing = self._position()
        for path, start in self._unread(inode, position):
            for steps, end, of in self._steps(path, start, passing):
                for step in steps:
                    callfile.append(self._folder / f"{step['at'][:10]}.jsonl", step)
                self._remember(of, end, passing)
                count += len(steps)
        return count

    def _unread(self, inode: int, position: int) -> Iterator[tuple[Path, int]]:
        """(file, from where): first the rest of what was put aside meanwhile (logrotate), in its order."""
        try:
            now = self._cel.stat()
        except FileNotFoundError:
            return
        if inode and now.st_ino != inode:
            aside = put_aside(self._cel)
            inodes = [path.stat().st_ino for path in aside]
            if inode in inodes:
                aside = aside[inodes.index(inode) :]
            else:
                # Read whole, all that is there: what was copied before is told apart by its key.
                log.error("the record of events that was read before is gone", file=str(self._cel))
            for path in aside:
                if path.suffix not in UNPACKED.keys() | OTHER_PACKERS:
                    yield path, position if path.stat().st_ino == inode else 0
        yield self._cel, position if now.st_ino == inode and now.st_size >= position else 0

    def _steps(self, path: Path, start: int, passing: Passing) -> Iterator[tuple[list[Step], int, int]]:
        """Of each piece of the file that ends with a row: the steps in it, where it ends, and the file's inode."""
        with path.open("rb") as file:
            inode = os.fstat(file.fileno()).st_ino
            file.seek(start)
            rest = b""
            while data := file.read(CHUNK):
                whole, newline, rest = (rest + data).rpartition(b"\n")
                start += len(whole + newline)
                if newline:
                    yield [*self._of(whole.decode("utf-8", "replace"), passing)], start, inode

    def _of(self, text: str, passing: Passing) -> Iterator[Step]:
        for event in read(text):
            for found in (*self._told(event), *passing.feed(event)):
                if len(found.key) <= LONGEST_KEY:
                    yield {
                        "key": f"{self._pbx}/{found.key}",
                        "conversation": str(conversation_id(self._pbx, found.linkedid)),
                        "uniqueid": found.uniqueid,
                        "at": found.at.isoformat(),
                        "what": found.what,
                        "values": dict(found.values),
                    }

    @staticmethod
    def _told(event: CelEvent) -> Iterator[Passed]:
        """What the dialplan says in a row of its own."""
        at, text = event_time(event), said_in(event) if event.row["eventtype"] == EVENT else ""
        step = said(text)
        if at is not None and step is not None:
            row = event.row
            yield Passed(
                key=f"{row['uniqueid']}/{row['eventtime']}/{text}", uniqueid=row["uniqueid"], linkedid=row["linkedid"],
                at=at, what=step.what, values=step.values,
            )  # fmt: skip

    def _position(self) -> tuple[int, int, Passing]:
        try:
            known = json.loads((self._folder / POSITION).read_text())
            return int(known["inode"]), max(0, int(known["read"])), Passing.read(known.get("passing"))
        except (FileNotFoundError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError):
            return 0, 0, Passing()

    def _remember(self, inode: int, read_to: int, passing: Passing) -> None:
        text = json.dumps({"inode": inode, "read": read_to, "passing": passing.kept()})
        replace_whole(self._folder / POSITION, text.encode(), 0o640)


def at_of(step: Step) -> datetime:
    """When it was."""
    return datetime.fromisoformat(step["at"])
