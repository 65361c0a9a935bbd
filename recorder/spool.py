"""The spool: a folder in RAM where Asterisk writes sound and the recorder keeps the keys of what is still open.

    <spool>/audio/am-<take>-r.sln   what the hooked party says   (written by Asterisk; group-writable, setgid)
    <spool>/audio/am-<take>-t.sln   what it hears
    <spool>/audio/fb-<uniqueid>-... the same, begun by the dialplan because nobody answered the gate
    <spool>/open/<take>.json        what the take is, and the key of its open segment (recorder only, 0600)

Headerless 16-bit little-endian mono; `.sln` has 8000 samples a second, `.sln16` has 16000.
"""

import contextlib
import ctypes
import ctypes.util
import errno
import fcntl
import json
import os
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

from inotify_simple import INotify, flags

SAMPLE = 2  # bytes
EXTENSIONS = {8000: "sln", 16000: "sln16"}
_NAME = re.compile(r"^(am|fb)-([A-Za-z0-9._-]{1,80})-([rt])\.(sln|sln16)$")
_PAGE = 4096
RESERVE = 4 << 20  # bytes: the files of a thousand takes
_PUNCH = 0x02 | 0x01  # FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE

_libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)


class SpoolError(Exception):
    """The spool is not a place where sound may lie in the clear."""

    code = "spool"


@dataclass(frozen=True, slots=True, kw_only=True)
class Name:
    """The name of a spool file. `run` is a take's id (am), or the channel's uniqueid and, where the dialplan starts a
    second time, `_` and the time (fb).
    """

    starter: str
    run: str
    side: str
    extension: str

    @classmethod
    def parse(cls, text: str) -> "Name | None":
        """None for a file that is not ours."""
        match = _NAME.match(text)
        return cls(starter=match[1], run=match[2], side=match[3], extension=match[4]) if match else None

    @property
    def stem(self) -> str:
        """What both sides of one run share."""
        return f"{self.starter}-{self.run}"

    @property
    def uniqueid(self) -> str:
        """Of the channel that the dialplan records; an underscore never occurs in one."""
        return self.run.partition("_")[0]

    @property
    def began(self) -> str | None:
        """When the dialplan started a second time, ISO; None for the first."""
        seconds = self.run.partition("_")[2]
        return datetime.fromtimestamp(int(seconds), UTC).isoformat() if seconds.isdecimal() else None

    @property
    def rate(self) -> int:
        """Samples a second."""
        return next(rate for rate, extension in EXTENSIONS.items() if extension == self.extension)


def _mounts(table: str) -> Iterator[tuple[str, str, str]]:
    for line in table.splitlines():
        fields, _, kind = line.partition(" - ")
        # The kernel writes blanks and backslashes in names as three octal digits.
        point = re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), fields.split()[4])
        yield point, kind.split()[0], kind.split()[-1]


def swap_devices(swaps: str) -> list[str]:
    """Where memory may be swapped to, from the text of /proc/swaps; compressed RAM is no disk."""
    return [line.split()[0] for line in swaps.splitlines()[1:] if line and not line.startswith("/dev/zram")]


def mounted(folder: Path, mountinfo: str) -> tuple[str, tuple[str, ...]]:
    """What lies under `folder`, from the text of /proc/self/mountinfo: the file system's kind and its options."""
    inside = [
        (len(point), number, kind, options)
        for number, (point, kind, options) in enumerate(_mounts(mountinfo))
        if folder == Path(point) or Path(point) in folder.parents
    ]
    # Of two mounts on one point the later one hides the other.
    *_, kind, options = max(inside)
    return kind, tuple(options.split(","))


def check_ram(folder: Path, mountinfo: str, swaps: str) -> None:
    """Refuse a spool that a disk could hold: not a tmpfs, or a tmpfs that may be swapped out.

    `mountinfo` and `swaps` are the texts of /proc/self/mountinfo and /proc/swaps. Raises SpoolError.
    """
    kind, options = mounted(folder, mountinfo)
    if kind not in ("tmpfs", "ramfs"):
        raise SpoolError(
            f"{folder} lies on {kind}, so sound would reach a disk in the clear. "
            f"Mount RAM there: mount -t tmpfs -o noswap,size=2g,mode=0755 tmpfs {folder}"
        )
    swapping = swap_devices(swaps)
    if kind == "tmpfs" and "noswap" not in options and swapping:
        raise SpoolError(
            f"{folder} may be swapped out to {', '.join(swapping)}. "
            "Mount it with -o noswap, or end swap with swapoff -a"
        )


class Kept(Protocol):
    """What is kept of a take."""

    id: str

    def to_dict(self) -> dict[str, Any]:
        """As JSON can hold it."""


class Spool:
    """The files of one spool folder."""

    def __init__(self, root: Path) -> None:
        """`root` holds `audio` and `open`, made by `kikitori init`."""
        self.root = root
        self.audio = root / "audio"
        self.open = root / "open"
        # Kept open until the run is over: closing one that can be written would look like Asterisk's own closing.
        self._files: dict[tuple[str, str], int] = {}
        self._saving = threading.Lock()
        self._reserve = self.open / ".reserve"

    def path(self, stem: str, side: str, rate: int) -> Path:
        """The file of one side of one run."""
        return self.audio / f"{stem}-{side}.{EXTENSIONS[rate]}"

    def stems(self, starter: str) -> dict[str, Name]:
        """Every run of `starter` that has a file here."""
        names = (Name.parse(entry.name) for entry in os.scandir(self.audio) if entry.name.startswith(f"{starter}-"))
        return {name.stem: name for name in names if name is not None}

    def _file(self, stem: str, side: str, rate: int) -> int | None:
        handle = self._files.get((stem, side))
        if handle is None:
            try:
                handle = os.open(self.path(stem, side, rate), os.O_RDWR | os.O_CLOEXEC)
            except FileNotFoundError:
                return None
            self._files[stem, side] = handle
        return handle

    def size(self, stem: str, side: str, rate: int) -> int | None:
        """Samples that one side holds (punched ones included); None where there is no file."""
        handle = self._file(stem, side, rate)
        return None if handle is None else os.fstat(handle).st_size // SAMPLE

    def laid(self, stem: str, rate: int) -> int:
        """Samples that the longer side holds; opens nothing, for who is in no sealing thread."""
        sizes = [0]
        for side in "rt":
            with contextlib.suppress(FileNotFoundError):
                sizes.append(self.path(stem, side, rate).stat().st_size // SAMPLE)
        return max(sizes)

    def written(self, stem: str, rate: int) -> float:
        """When either side was written to last, seconds since the epoch; 0 where there is no file."""
        handles = [self._file(stem, side, rate) for side in "rt"]
        return max((os.fstat(handle).st_mtime for handle in handles if handle is not None), default=0.0)

    def read(self, stem: str, side: str, rate: int, start: int, count: int) -> bytes:
        """Up to `count` samples from sample `start`; empty where the file ends before or does not exist."""
        handle = self._file(stem, side, rate)
        return b"" if handle is None else os.pread(handle, count * SAMPLE, start * SAMPLE)

    def punch(self, stem: str, rate: int, samples: int) -> int:
        """Give back the memory of the first `samples` of both sides; returns the bytes that are now behind holes."""
        length = samples * SAMPLE // _PAGE * _PAGE
        if length == 0:
            return 0
        for side in "rt":
            handle = self._file(stem, side, rate)
            if handle is not None and _libc.fallocate(handle, _PUNCH, ctypes.c_long(0), ctypes.c_long(length)) != 0:
                error = ctypes.get_errno()
                raise OSError(error, os.strerror(error), str(self.path(stem, side, rate)))
        return length

    def kept_from(self, stem: str, rate: int) -> int:
        """The first sample that lies behind no hole on either side: everything before it is in the vault."""
        starts = [0]
        for side in "rt":
            handle = self._file(stem, side, rate)
            if handle is not None and os.fstat(handle).st_size:
                with contextlib.suppress(OSError):  # all of it is a hole
                    starts.append(os.lseek(handle, 0, os.SEEK_DATA) // SAMPLE)
        return max(starts)

    def remove(self, stem: str, rate: int) -> None:
        """Forget both sides of a run."""
        for side in "rt":
            self.path(stem, side, rate).unlink(missing_ok=True)
            handle = self._files.pop((stem, side), None)
            if handle is not None:
                os.close(handle)

    def save(self, take: Kept) -> None:
        """Keep what is known of a take beside its sound (0600). No sync: it lives and dies with the sound.

        The state is read under the lock: event loop and sealing threads both save, and an older state written last
        would lose the key of an open segment.
        """
        with self._saving:
            text = json.dumps(take.to_dict())
            try:
                self._save(take.id, text)
            except OSError as error:
                if error.errno != errno.ENOSPC:
                    raise
                # A full spool is emptied into the vault, and that needs this file: give up what was kept for it.
                self._reserve.unlink(missing_ok=True)
                self._save(take.id, text)

    def _save(self, take: str, text: str) -> None:
        temporary = self.open / f".{take}.new"
        file = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(file, "w", encoding="utf-8") as stream:
            stream.write(text)
        temporary.replace(self.open / f"{take}.json")

    def keep_reserve(self) -> None:
        """Room in RAM for the files beside the sound, taken while there is plenty."""
        if not self._reserve.exists() and self.free()[0] > 4 * RESERVE:
            self._reserve.write_bytes(bytes(RESERVE))

    def lock(self) -> bool:
        """Be the only recorder of this spool, until the process ends; False where another one is."""
        self._held = os.open(self.open / ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(self._held)
            return False
        return True

    def saved(self) -> Iterator[dict[str, Any]]:
        """What a predecessor kept."""
        for path in sorted(self.open.glob("*.json")):
            yield json.loads(path.read_text("utf-8"))

    def forget(self, take: str) -> None:
        """The take is over and in the vault, or was nothing."""
        (self.open / f"{take}.json").unlink(missing_ok=True)

    def free(self) -> tuple[int, int]:
        """(bytes free, bytes in all)."""
        stat = os.statvfs(self.root)
        return stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize


class Watch:
    """Tells which spool files Asterisk has begun, which have grown and which it has closed, from inotify."""

    def __init__(self, spool: Spool) -> None:
        """Watches from now on; look at `Spool.stems` afterwards for what was there before."""
        self._inotify = INotify(nonblocking=True)
        self._inotify.add_watch(str(spool.audio), flags.CREATE | flags.CLOSE_WRITE)
        # Apart from the others: growth is asked for, it wakes nobody.
        self._growth = INotify(nonblocking=True)
        self._growth.add_watch(str(spool.audio), flags.MODIFY)

    def fileno(self) -> int:
        """For the event loop: readable when `events` has something."""
        return int(self._inotify.fileno())

    def events(self) -> list[tuple[Name, bool]]:
        """(file, whether it was closed) for everything since the last call."""
        found = []
        for event in self._inotify.read(timeout=0):
            name = Name.parse(event.name)
            if name is not None:
                found.append((name, bool(event.mask & flags.CLOSE_WRITE)))
        return found

    def grown(self) -> set[str] | None:
        """The runs that were written to since the last call; None where the kernel lost count."""
        runs: set[str] = set()
        for event in self._growth.read(timeout=0):
            if event.mask & flags.Q_OVERFLOW:
                return None
            name = Name.parse(event.name)
            if name is not None:
                runs.add(name.run)
        return runs

    def close(self) -> None:
        """Stop watching."""
        self._inotify.close()
        self._growth.close()
