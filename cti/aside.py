"""What logrotate put aside of a file of Asterisk's: `cel.csv.1.gz`, `cel.csv-20270401`, `cel-20270401.csv`."""

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

UNPACKED: Final[Mapping[str, Callable[[BinaryIO], Any]]] = {
    ".gz": lambda file: gzip.GzipFile(fileobj=file),
    ".bz2": bz2.BZ2File,
    ".xz": lzma.LZMAFile,
}
OTHER_PACKERS: Final = frozenset({".zst", ".lz4", ".lzo", ".Z", ".zip"})
UNREADABLE: Final = (OSError, EOFError, lzma.LZMAError, zlib.error, ValueError)
"""What reading a packed file may raise that is damaged or still being packed."""


def generations(file: Path, since: float = 0.0) -> list[Path]:
    """`file` and what was put aside of it, as far as written to at or after `since` (POSIX time); the newest last."""
    times: list[tuple[int, Path]] = []
    for path in file.parent.glob(f"{file.stem}[.-]*"):
        try:
            written = path.stat().st_mtime_ns
        except FileNotFoundError:  # moved on meanwhile
            continue
        if written >= since * 1e9 and path.is_file():
            times.append((written, path))
    return [path for _, path in sorted(times)]


def put_aside(file: Path) -> list[Path]:
    """Those without `file` itself."""
    return [path for path in generations(file) if path != file]
