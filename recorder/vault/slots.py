"""The key file `keys.slots` and its mirror: one age header in each slot, erased by overwriting 512 bytes in place.

```
u16be length || header || zeros || u32be crc32 of the first 508 bytes        512 bytes, slot n at 512 * n
length 0 and no header: the slot was erased
```
A change goes to the mirror first and then to the primary (the other way round where the primary is damaged), each
synced, so that a torn slot is whole in one of them. Where both are whole and differ, a medium that was away may be the
older: only who holds the keys can tell which is right. What is erased in one copy is never written again.
"""

import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, Self

from recorder.vault.disk import DISK, Disk, read_at
from recorder.vault.errors import SlotErasedError, SlotError

SLOT: Final = 512
MAX_HEADER: Final = SLOT - 2 - 4

_ERASED = b""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What `check` found: the slot, the copy, and whether it is missing or damaged, or both are whole but differ."""

    slot: int
    copy: Literal["primary", "mirror", "both"]
    what: Literal["missing", "damaged", "differ"]


class Slots:
    """The slot file and its mirror. Any number of processes may use one; changes exclude each other (flock)."""

    def __init__(self, primary: Path, mirror: Path, *, disk: Disk = DISK) -> None:
        """Opens nothing yet; the files must exist where something is written (`create`, or `repair` for a lost one)."""
        self.primary, self.mirror = primary, mirror
        self._disk = disk

    @classmethod
    def create(cls, primary: Path, mirror: Path, mode: int = 0o600, *, disk: Disk = DISK) -> Self:
        """New, empty files with exactly `mode`, whatever the umask. FileExistsError if either is there."""
        made: list[Path] = []
        try:
            for path in (mirror, primary):
                fd = disk.open(path, create=True, mode=mode)
                made.append(path)
                try:
                    os.fchmod(fd, mode)
                finally:
                    os.close(fd)
                disk.sync_folder(path.parent)
        except OSError:
            for path in made:
                disk.remove(path)
            raise
        return cls(primary, mirror, disk=disk)

    def count(self) -> int:
        """Slots that were ever begun, erased and torn ones among them."""
        return max(_slots(path.stat().st_size) for path in (self.primary, self.mirror) if path.exists())

    def append(self, header: bytes) -> int:
        """The number of the new slot that holds `header`, durable in both copies.

        After an error the number that was tried may stay taken, by a slot that nobody knows of; the next one is free.
        """
        with self._changing() as (primary, mirror), self._as_long_as_before(primary, mirror):
            number = max(_slots(os.fstat(fd).st_size) for fd in (primary, mirror))
            self._check(number, header)
            self._lengthen(primary, mirror, number)
            self._write(mirror, number, header)
            self._write(primary, number, header)
            return number

    def _lengthen(self, primary: int, mirror: int, number: int) -> None:
        """Give a primary that ends before slot `number` what the mirror has of the slots between.

        Whoever wrote them died before the primary had them. `append_alone` gives up one number because the mirror may
        be ahead by one: a second death must not make that two, or `repair` would take an orphan for a live key.
        """
        behind = range(_slots(os.fstat(primary).st_size), number)
        if behind:
            self._disk.cut(primary, number * SLOT)
            for one in behind:
                if _read_slot(mirror, one) is not None:
                    self._disk.write_all(primary, read_at(mirror, SLOT, one * SLOT), one * SLOT)
            self._disk.sync(primary)

    def append_alone(self, header: bytes) -> int:
        """As `append`, while the mirror cannot be reached: a call must not wait for a second medium.

        One slot is given up, marked as erased: the mirror may hold one that the primary has not got.
        `repair` brings the mirror up to date later.
        """
        with self._open([self.primary]) as (primary,), self._as_long_as_before(primary):
            number = _slots(os.fstat(primary).st_size) + 1
            self._check(number, header)
            self._write(primary, number - 1, _ERASED)
            self._write(primary, number, header)
            return number

    def read(self, number: int) -> bytes:
        """The header in slot `number`, from the primary, or from the mirror where that is damaged or lost.

        Raises SlotErasedError where it was erased, SlotError where neither copy is whole.
        """
        header = _read_path(self.primary, number)
        if header is None:
            header = _read_path(self.mirror, number)
        if header is None:
            raise SlotError(self.primary, number, f"damaged, missing or unreadable here and in {self.mirror}")
        if header == _ERASED:
            raise SlotErasedError(self.primary, number, "the slot is marked as erased")
        return header

    def rewrite(self, number: int, header: bytes) -> None:
        """Replace the header in slot `number`, in both copies. What is erased stays erased: SlotErasedError."""
        self._check(number, header)
        with self._changing() as (primary, mirror):
            held = [_read_slot(fd, number) for fd in (primary, mirror)]
            if _ERASED in held:
                raise SlotErasedError(self.primary, number, "an erased slot cannot be written again")
            if held == [None, None]:
                raise SlotError(
                    self.primary, number, f"damaged or missing here and in {self.mirror}; nothing to replace"
                )
            # A copy that is not whole is written first: at any moment one of the two is.
            for fd in (primary, mirror) if held[0] is None else (mirror, primary):
                self._write(fd, number, header)

    def copies(self, number: int) -> list[bytes]:
        """The whole headers of slot `number`, the primary's first: two only where they differ.

        Empty where it was erased in either copy, or is whole in neither.
        """
        held = [_read_path(path, number) for path in (self.primary, self.mirror)]
        return _different(held)

    def change(self, numbers: Collection[int], chosen: Callable[[int, Sequence[bytes]], bytes | None]) -> list[int]:
        """Both copies of each slot hold what `chosen(slot, copies)` says (None: they stay), synced once for all.

        `copies` as `copies` gives them. What is erased in either copy stays erased. Returned: slots whole in neither.
        """
        lost: list[int] = []
        first: dict[int, list[tuple[int, bytes]]] = {}
        second: dict[int, list[tuple[int, bytes]]] = {}
        with self._changing() as (primary, mirror):
            for number in numbers:
                held = [_read_slot(fd, number) for fd in (primary, mirror)]
                if held == [None, None]:
                    lost.append(number)
                found = _different(held)
                header = chosen(number, found) if found else None
                if header is None or held == [header, header]:
                    continue
                self._check(number, header)
                # A copy that is not whole is written first: at any moment one of the two is.
                order = (primary, mirror) if held[0] is None else (mirror, primary)
                for written, fd in zip((first, second), order, strict=True):
                    written.setdefault(fd, []).append((number, header))
            for written in (first, second):
                for fd, headers in written.items():
                    for number, header in headers:
                        self._put(fd, number, header)
                    self._disk.sync(fd)
        return lost

    def wipe(self, number: int) -> None:
        """Overwrite slot `number` with an erased one, in both copies, whatever they hold. Repeatable."""
        with self._changing() as (primary, mirror):
            if not 0 <= number < max(_slots(os.fstat(fd).st_size) for fd in (primary, mirror)):
                raise SlotError(self.primary, number, "there is no such slot")
            self._write(mirror, number, _ERASED)
            self._write(primary, number, _ERASED)

    def repair(self, number: int, mode: int = 0o600) -> None:
        """Make both copies of slot `number` alike: erased if either is, else as the one that is whole.

        Raises SlotError where neither is, and where both are and differ.

        A lost file is made anew with `mode`; repairing each slot that `check` names rebuilds it.
        """
        for path in (self.mirror, self.primary):
            if not path.exists():
                os.close(self._disk.open(path, create=True, mode=mode))
                path.chmod(mode)
                self._disk.sync_folder(path.parent)
        with self._changing() as (primary, mirror):
            held = [header for fd in (mirror, primary) if (header := _read_slot(fd, number)) is not None]
            if not held:
                raise SlotError(self.primary, number, f"damaged, missing or unreadable here and in {self.mirror}")
            if len(_different(held)) > 1:
                raise SlotError(self.primary, number, f"differs from {self.mirror}, and both are whole")
            header = _ERASED if _ERASED in held else held[0]
            for fd in (mirror, primary):
                if _read_slot(fd, number) != header:
                    self._write(fd, number, header)

    def check(self) -> list[Finding]:
        """What is wrong, in the order of the slots; empty if both copies are whole and alike."""
        findings: list[Finding] = []
        with ExitStack() as stack:
            sizes = {"primary": 0, "mirror": 0}
            fds: dict[Literal["primary", "mirror"], int | None] = {"primary": None, "mirror": None}
            for copy, path in self._copies():
                if path.exists():
                    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                    stack.callback(os.close, fd)
                    fcntl.flock(fd, fcntl.LOCK_SH)
                    fds[copy], sizes[copy] = fd, os.fstat(fd).st_size
            for number in range(max(_slots(size) for size in sizes.values())):
                held: list[bytes] = []
                for copy, _ in self._copies():
                    fd_or_none = fds[copy]
                    header = None if fd_or_none is None else _read_slot(fd_or_none, number)
                    if header is None:
                        what: Literal["missing", "damaged"] = "missing" if sizes[copy] <= number * SLOT else "damaged"
                        findings.append(Finding(slot=number, copy=copy, what=what))
                    else:
                        held.append(header)
                if len(held) == 2 and held[0] != held[1]:
                    findings.append(Finding(slot=number, copy="both", what="differ"))
        return findings

    def _copies(self) -> tuple[tuple[Literal["primary"], Path], tuple[Literal["mirror"], Path]]:
        return ("primary", self.primary), ("mirror", self.mirror)

    @contextmanager
    def _changing(self) -> Iterator[tuple[int, int]]:
        # Always the primary's lock first, so that two processes cannot wait for each other.
        with self._open([self.primary, self.mirror]) as fds:
            yield fds[0], fds[1]

    @contextmanager
    def _open(self, paths: list[Path]) -> Iterator[list[int]]:
        with ExitStack() as stack:
            fds = []
            for path in paths:
                fd = self._disk.open(path)
                stack.callback(os.close, fd)
                fcntl.flock(fd, fcntl.LOCK_EX)
                fds.append(fd)
            yield fds

    @contextmanager
    def _as_long_as_before(self, *fds: int) -> Iterator[None]:
        """If the block fails, so are the files: a disk with errors takes what is written and then denies it, and each
        try would leave a damaged slot. What a medium may hold all the same, nobody knows of; it is written over.
        """
        sizes = [os.fstat(fd).st_size for fd in fds]
        try:
            yield
        except OSError:
            for fd, size in zip(fds, sizes, strict=True):
                with suppress(OSError):
                    self._disk.cut(fd, size)
            raise

    def _check(self, number: int, header: bytes) -> None:
        if not 0 < len(header) <= MAX_HEADER:
            raise SlotError(self.primary, number, f"a header of {len(header)} bytes does not fit; 1 to {MAX_HEADER} do")

    def _write(self, fd: int, number: int, header: bytes) -> None:
        self._put(fd, number, header)
        self._disk.sync(fd)

    def _put(self, fd: int, number: int, header: bytes) -> None:
        content = (struct.pack(">H", len(header)) + header).ljust(SLOT - 4, b"\0")
        self._disk.write_all(fd, content + struct.pack(">I", zlib.crc32(content)), number * SLOT)


def _different(held: Sequence[bytes | None]) -> list[bytes]:
    """The whole headers among two copies; none where one is erased."""
    if _ERASED in held:
        return []
    return list(dict.fromkeys(one for one in held if one is not None))


def _slots(size: int) -> int:
    return -(-size // SLOT)


def _read_path(path: Path, number: int) -> bytes | None:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except OSError:  # a medium that is gone reads like a damaged one
        return None
    try:
        return _read_slot(fd, number)
    except OSError:
        return None
    finally:
        os.close(fd)


def _read_slot(fd: int, number: int) -> bytes | None:
    """The header, empty if it was erased; None if the slot is not whole."""
    slot = read_at(fd, SLOT, number * SLOT) if number >= 0 else b""
    if len(slot) < SLOT or slot[-4:] != struct.pack(">I", zlib.crc32(slot[:-4])):
        return None
    (length,) = struct.unpack_from(">H", slot)
    if length > MAX_HEADER or any(slot[2 + length : -4]):
        return None
    return slot[2 : 2 + length]
