"""The few system calls that change the vault's files, in one place, so that a test can stop a writer at each."""

import ctypes
import errno
import os
from pathlib import Path


class Disk:
    """The calls that change files, one method each: where a test can stop the writer."""

    def open(self, path: Path, *, create: bool = False, mode: int = 0o600) -> int:
        """A descriptor for reading and writing; with `create` the file must not exist yet."""
        return os.open(path, os.O_RDWR | os.O_CLOEXEC | (os.O_CREAT | os.O_EXCL if create else 0), mode)

    def write(self, fd: int, data: memoryview, offset: int) -> int:
        """Bytes written, perhaps fewer than given."""
        return os.pwrite(fd, data, offset)

    def fill(self, fd: int, size: int) -> None:
        """Begin the file with `size` zeros, really written."""
        if os.pwrite(fd, bytes(size), 0) != size:
            raise OSError(errno.ENOSPC, "no room for the zeros that a tail begins with")

    def cut(self, fd: int, size: int) -> None:
        """Set the file's size."""
        os.ftruncate(fd, size)

    def sync(self, fd: int) -> None:
        """Return when the file's data and size are durable."""
        os.fdatasync(fd)

    def sync_folder(self, folder: Path) -> None:
        """Return when the folder's entries are durable."""
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(fd)
        finally:
            os.close(fd)

    def remove(self, path: Path) -> None:
        """Remove the file; it may be gone already."""
        path.unlink(missing_ok=True)

    def write_all(self, fd: int, data: bytes, offset: int) -> None:
        """All of `data` at `offset`; OSError if the disk takes no more."""
        view = memoryview(data)
        while view:
            written = self.write(fd, view, offset)
            if written <= 0:
                raise OSError(f"nothing written at offset {offset}, {len(view)} bytes left")
            offset += written
            view = view[written:]


DISK = Disk()


def sync_all(folder: Path) -> None:
    """Return when all that was written to the file system of `folder` is durable: names, sizes and data.

    One wait for many files: beside one for each file, half the time (decision 0035). Raises OSError, also for what
    another process wrote and the disk refused.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if libc.syncfs(handle) != 0:
            code = ctypes.get_errno()
            raise OSError(code, os.strerror(code), str(folder))
    finally:
        os.close(handle)


def read_at(fd: int, size: int, offset: int) -> bytes:
    """`size` bytes at `offset`, fewer only where the file ends."""
    parts = []
    while size > 0 and (part := os.pread(fd, size, offset)):
        parts.append(part)
        offset += len(part)
        size -= len(part)
    return b"".join(parts)
