"""The opening hours as they are at this moment: policy files and overrides on the disk, read again when they change."""

import errno
import fcntl
import json
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from cti.errors import UsageError
from cti.i18n import _
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.load import Policies
from policies.model import Plan
from policies.overrides import Overrides
from policies.sections import Sections
from recorder.vault.folder import sync_folder

log = structlog.get_logger()

OVERRIDES: Final = "overrides.jsonl"
LOOK: Final = timedelta(seconds=1)
"""How often the policy files are looked at; the overrides at each question."""

MOST: Final = 1 << 20
"""Bytes of decisions that are read: some 4,000. More would hold callers while they are."""

LONGEST: Final = 8192
"""Bytes of a decision."""
RESERVE: Final = 64 * 1024
"""Bytes that are left for taking decisions back."""

TOLD: Final = 5
"""Refused lines that are named."""

Signature = tuple[tuple[int, ...], ...]


def overrides_file(folder: Path) -> Path:
    """Where the decisions of an installation lie."""
    return folder / OVERRIDES


class HoursBook:
    """What is in force now. A file that cannot be used is an alarm, and what was read before stays in force.

    `trouble` says what is wrong; None: nothing. `plan`: the numbering plan that was read with it.
    """

    def __init__(self, policies: Path, hours: Path) -> None:
        """Nothing is read before it is asked."""
        self._folder, self._file = policies, overrides_file(hours)
        self._entered = str(self._file)
        self.plan: Plan | None = None
        self._policies: Policies | None = None
        self._hours: OpeningHours | None = None
        self._broken: tuple[str, ...] = ()
        self._refused: tuple[str, ...] = ()
        self._unread = False
        self._size = 0
        self._seen: tuple[Signature, Signature] = ((), ())
        self._looked: datetime | None = None
        self.trouble: str | None = None

    def now(self, at: datetime) -> OpeningHours:
        """In force at `at`, which is now. Raises PolicyError where nothing that can be used was ever read."""
        policies = self._seen[0]
        if self._looked is None or not timedelta(0) <= at - self._looked < LOOK:
            policies, self._looked = _signature(sorted(self._folder.glob("*.*"))), at
        seen = (policies, _signature([self._entered]))
        if seen != self._seen:
            anew = self._policies is None or policies != self._seen[0]
            self._read(anew=anew, entered=seen[1] != self._seen[1])
            # What failed is tried again: not every cure changes the file.
            self._seen = (() if self._broken else policies, () if self._unread else seen[1])
        if self._hours is None:
            raise PolicyError(str(self._folder), self.trouble or "nothing was read", "Mend that file")
        return self._hours

    @property
    def sections(self) -> Sections:
        """The 所管課, as they were read with the hours. Raises PolicyError."""
        if self._policies is None:
            raise PolicyError(str(self._folder), "nothing was read", "Mend that file")
        return self._policies.sections

    def _read(self, *, anew: bool, entered: bool) -> None:
        if anew:
            self._broken = self._take_policies()
        if self._policies is not None and (entered or not self._broken):
            self._refused = self._take_decisions(self._policies)
        self.trouble = "; ".join((*self._broken, *self._refused)) or None
        if self.trouble:
            log.error("opening hours: something does not count", error=self.trouble)
        elif self._hours is not None:
            log.info("opening hours read", overrides=len(self._hours.overrides.all))

    def _take_policies(self) -> tuple[str, ...]:
        """What is wrong with them; then those of before stay."""
        policies = Policies(self._folder)
        try:
            policies.opening_hours()
        except (PolicyError, OSError) as error:
            return (str(error),)
        self._policies, self.plan = policies, policies.plan
        return ()

    def _take_decisions(self, policies: Policies) -> tuple[str, ...]:
        """What is wrong with them. A line that cannot be read must not hide the others."""
        self._unread = True
        try:
            size = self._measured()
            given = policies.overrides(self._file, strict=False) if size else Overrides()
            self._hours = policies.opening_hours(given)
        except (PolicyError, OSError) as error:
            # Those that were read before stay in force.
            self._hours = policies.opening_hours(self._hours.overrides if self._hours else Overrides())
            return (str(error),)
        self._size, self._unread = size, False
        wrong = [str(refused) for refused in given.refused]
        return (*wrong[:TOLD], *([f"and {len(wrong) - TOLD} more"] if len(wrong) > TOLD else []))

    def _measured(self) -> int:
        """The size of the file of decisions. Raises PolicyError where it cannot be that file."""
        size = self._file.stat().st_size if self._file.exists() else 0
        check_size(self._file, size)
        if size < self._size:
            raise PolicyError(str(self._file), "is shorter than it was, or gone", "Restore it: it only grows")
        return size


def _signature(paths: Iterable[Path | str]) -> Signature:
    found: list[tuple[int, ...]] = []
    for path in paths:
        try:
            status = os.stat(path)  # noqa: PTH116  # looked at for each call; a Path costs as much as the look itself
        except OSError:
            found.append((0,))
        else:
            found.append((status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns))
    return tuple(found)


def known(policies: Path, hours: Path) -> tuple[Policies, Overrides]:
    """The policies of an installation and the decisions that lie there; what cannot be read of these is `refused`.

    Raises PolicyError where there are more of them than the gate reads.
    """
    found, file = Policies(policies), overrides_file(hours)
    if not file.exists():
        return found, Overrides()
    check_size(file, file.stat().st_size)
    return found, found.overrides(file, strict=False)


def check_size(file: Path, size: int) -> None:
    """Raises PolicyError for one that the gate would not read."""
    if size > MOST:
        raise PolicyError(str(file), f"is longer than {MOST} bytes", "Look who writes there")


def check_room(folder: Path, line: int, reserve: int) -> None:
    """Whether a line of so many bytes finds room, and `reserve` behind it. Raises UsageError."""
    file = overrides_file(folder)
    if line > LONGEST:
        raise UsageError(_("a decision has {most} bytes at most: give a shorter reason").format(most=LONGEST))
    if (file.stat().st_size if file.exists() else 0) + line + reserve > MOST:
        raise UsageError(
            _(
                "{file} is full: {most} bytes is what is read of it; move it aside when nothing in it counts any more"
            ).format(file=file, most=MOST)
        )


def line_of(entry: Mapping[str, Any]) -> bytes:
    """As the file has it."""
    return (json.dumps(dict(entry), ensure_ascii=False) + "\n").encode()


def enter(folder: Path, entry: Mapping[str, Any]) -> None:
    """Add a decision, durable when this returns. What stands there stays: the file only grows (A-13, A-45)."""
    path = overrides_file(folder)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        os.fchmod(descriptor, 0o644)  # whatever the umask: the gate reads it
        size = os.fstat(descriptor).st_size
        # Half a line of a writer that died must not take this one with it.
        torn = size > 0 and os.pread(descriptor, 1, size - 1) != b"\n"
        data = (b"\n" if torn else b"") + line_of(entry)
        if os.write(descriptor, data) < len(data):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    sync_folder(folder)
