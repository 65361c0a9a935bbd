"""The second medium: bodies that leave the first, each proven there before it does (6条1項; B-16).

    <mirror>/segments/3f/<recording>.001.agebody    byte for byte as it lay in the vault
    <mirror>/segments/3f/<recording>.001.manifest   a copy; the vault keeps its own

A file is there under its name whole and durable, or not at all.
"""

import hashlib
import os
import stat
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import Final, Protocol

from recorder.vault.disk import DISK, sync_all
from recorder.vault.errors import VaultError

BLOCK: Final = 1 << 20
RESERVE: Final = 64 << 20
"""Bytes of a folder that stay free: the keys of calls that are recorded now go there too."""
Moved = Callable[[int], None]
"""Is told of bytes that were written or read back; it may take its time."""


@dataclass(frozen=True, slots=True)
class Copy:
    """A file to be copied: its name, where it is, and the SHA-256 (hex) that it is to have."""

    name: str
    source: Path
    sha256: str


class SecondMediumError(VaultError):
    """The second medium takes nothing now."""

    code = "second-medium"


class Second(Protocol):
    """What a medium can do. Each raises OSError where it is away, full or broken."""

    def room(self) -> int:
        """Bytes that it can take. Raises SecondMediumError where it is not there."""

    def take(self, copies: Sequence[Copy], moved: Moved) -> list[str]:
        """Copy these; when it returns they are durable. The names of those whose source is not what it is to be."""

    def digest(self, name: str, source: Path, moved: Moved) -> str | None:
        """SHA-256 (hex) of what the medium itself gives, no cache of it; None: there is no such file.

        Raises SecondMediumError where what has that name is not on the medium, or is `source` itself.
        """

    def open(self, name: str) -> BufferedReader:
        """The file. Raises FileNotFoundError."""

    def has(self, name: str) -> bool:
        """Whether the file is there, by its name alone."""

    def where(self, name: str) -> str:
        """Where it lies, for people."""

    def names(self) -> Iterator[str]:
        """Every file on it, also those that are none of ours."""


class Folder:
    """A folder on another disk. Files are the vault's group's to read, like those in the vault."""

    def __init__(self, root: Path, sign: Path) -> None:
        """`root` is made with its first file. `sign`: a file that is there where the medium is."""
        self.root, self.sign = root, sign

    def path(self, name: str) -> Path:
        """Where the file of that name lies."""
        return self.root / name[:2] / name

    def room(self) -> int:
        """As `Second.room`."""
        self._check()
        found = os.statvfs(self.root.parent)
        return max(0, found.f_bavail * found.f_frsize - RESERVE)

    def take(self, copies: Sequence[Copy], moved: Moved) -> list[str]:
        """As `Second.take`. All are written before the first is synced: the disk then waits once for all of them."""
        wrong, names = [], list[tuple[Path, Path]]()
        for folder in {self.path(copy.name).parent for copy in copies}:
            self._prepare(folder)
        try:
            for copy in copies:
                path = self.path(copy.name)
                temporary = path.with_name(f".{path.name}.new")
                temporary.unlink(missing_ok=True)
                names.append((temporary, path))
                if _write(copy.source, temporary, moved) != copy.sha256:
                    names.pop()
                    temporary.unlink()
                    wrong.append(copy.name)
            sync_all(self.root)
            for temporary, path in names:
                temporary.rename(path)
        except BaseException:
            for temporary, _path in names:
                temporary.unlink(missing_ok=True)
            raise
        sync_all(self.root)
        return wrong

    def digest(self, name: str, source: Path, moved: Moved) -> str | None:
        """As `Second.digest`: what Linux keeps of the file in RAM is dropped first."""
        path = self.path(name)
        try:
            handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        with os.fdopen(handle, "rb", buffering=0) as file:
            here = os.fstat(file.fileno())
            # Links and mounts can make two names of one file: then there is no copy.
            if here.st_dev != self._check() or (source.exists() and os.path.samestat(here, source.stat())):
                raise SecondMediumError(f"{path} is no file of the second medium")
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
            found = hashlib.sha256()
            while block := file.read(BLOCK):
                found.update(block)
                moved(len(block))
            # Nobody reads it again soon, and calls that are recorded need the RAM.
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
        return found.hexdigest()

    def open(self, name: str) -> BufferedReader:
        """As `Second.open`."""
        return self.path(name).open("rb")

    def has(self, name: str) -> bool:
        """As `Second.has`."""
        return self.path(name).exists()

    def where(self, name: str) -> str:
        """As `Second.where`."""
        return str(self.path(name))

    def names(self) -> Iterator[str]:
        """As `Second.names`."""
        if self.root.exists():
            for folder in sorted(self.root.iterdir()):
                yield from sorted(path.name for path in folder.iterdir())

    def _check(self) -> int:
        """The device of the medium, where that is there and its folder is nobody else's. Raises SecondMediumError."""
        try:
            device = self.sign.stat().st_dev
        except FileNotFoundError:  # an empty mount point: what is written there lies on the disk below it
            raise SecondMediumError(f"{self.root.parent} is empty: mount it") from None
        try:
            root = self.root.lstat()
        except FileNotFoundError:
            return device
        if not stat.S_ISDIR(root.st_mode) or root.st_uid not in (os.geteuid(), 0):
            raise SecondMediumError(f"{self.root} is no folder of its own: whoever has it can take recordings away")
        return device

    def _prepare(self, folder: Path) -> None:
        """Made if need be."""
        self._check()  # it may have gone since the last look
        for each in (self.root, folder):
            if not each.exists():
                each.mkdir(mode=0o750)  # setgid comes from the folder above
                DISK.sync_folder(each.parent)


def _write(source: Path, path: Path, moved: Moved) -> str:
    """Copy, and the SHA-256 of what was copied."""
    found = hashlib.sha256()
    handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o640)
    with source.open("rb", buffering=0) as file, os.fdopen(handle, "wb") as out:
        while block := file.read(BLOCK):
            found.update(block)
            out.write(block)
            moved(len(block))
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return found.hexdigest()
