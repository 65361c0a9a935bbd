"""Files that take the place of others."""

import os
from collections.abc import Callable
from pathlib import Path


def put(path: Path, data: bytes, own: Callable[[Path], object] = lambda _: None) -> None:
    """`data` at `path`, whole or not at all, and never anybody else's to read: 0600 until `own` says otherwise."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600), "wb") as file:
        try:
            own(new)
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
            new.replace(path)
        except BaseException:
            new.unlink(missing_ok=True)
            raise
