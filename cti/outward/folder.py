"""Telling by a file for each case in a folder that both reach: all that the destination is told of it, replaced as one.

```
case-12.csv    columns (`IDS`, or `FULL`), then a row an act, in order; UTF-8 with a mark, or the same as .xlsx
```

Whoever reads sees the file of before or the new one, whole: it is written beside it under a name that begins with a
point, synced, and renamed. Nothing is worked out by what opens it (`cti.sheets.cells`).
"""

import errno
import os
import secrets
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path
from typing import Final

from cti.cases import form
from cti.cases.acts import Reach
from cti.cases.case import Case
from cti.cases.contact import Contact
from cti.cases.model import stages
from cti.outward.webhook import NotToldError
from cti.sheets.writing import written
from policies.calendar import JST
from policies.outward import Destination

IDS: Final = ("case", "act", "at", "kind", "unit", "main", "next_at")
FULL: Final = (*IDS, "by", "text")
"""`main`, `next_at`: as they are after the act. `text`: what people wrote in it, and a number."""
MODE: Final = 0o640
_NEW: Final = ".kikitori-"
_OLD: Final = 3600.0
"""Seconds after which a file that nobody renamed is one of somebody who was killed."""


def wanted(whole: Case, destination: Destination) -> list[Case]:
    """The case after each act that the destination is told, in order."""
    after = stages(whole.history, whole.id)
    return [case for case in after if destination.wants(form.kind(case.history[-1]), case.main)]


def rows(number: int, cases: Sequence[Case], destination: Destination) -> Iterator[Sequence[object]]:
    """The file's, the headings first."""
    full = destination.content == "full"
    yield FULL if full else IDS
    for case in cases:
        act = case.history[-1]
        row = (number, len(case.history), _time(act.at), form.kind(act), act.unit, case.main, _time(case.next_at))
        if not full:
            yield row
            continue
        texts = form.texts(act)
        if isinstance(act, Reach) and isinstance(act.contact, Contact):
            texts.append(act.contact.written)
        yield (*row, act.by, "\n".join(texts))


def put(destination: Destination, number: int, cases: Sequence[Case]) -> None:
    """The file of a case, as it is after the last of `cases`. Raises NotToldError, OSError."""
    data = written(rows(number, cases, destination), destination.form)
    with _opened(destination.folder) as folder:
        _replace(folder, f"case-{number}.{destination.form}", data)


def tried(destination: Destination) -> None:
    """Whether a file can be put there. Raises NotToldError, OSError."""
    name = f"{_NEW}probe"
    with _opened(destination.folder) as folder:
        _replace(folder, name, b"")
        os.unlink(name, dir_fd=folder)


def tidy(destination: Destination, at: datetime) -> None:
    """Remove what somebody who was killed has left half-written. Raises NotToldError, OSError."""
    with _opened(destination.folder) as folder, os.scandir(folder) as found:
        for one in found:
            if one.name.startswith(_NEW) and at.timestamp() - one.stat(follow_symlinks=False).st_mtime > _OLD:
                with suppress(FileNotFoundError):
                    os.unlink(one.name, dir_fd=folder)


@contextmanager
def _opened(path: str) -> Iterator[int]:
    """That folder and no other: whoever puts a symbolic link anywhere into its path moves no file elsewhere."""
    try:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError as error:
        if error.errno == errno.ELOOP or Path(path).is_symlink():
            raise NotToldError(_LINK) from error
        raise
    try:
        if str(Path(f"/proc/self/fd/{folder}").readlink()) != path:
            raise NotToldError(_LINK)
        yield folder
    finally:
        os.close(folder)


_LINK: Final = "the folder is, or lies behind, a symbolic link: name where it really is"


def _replace(folder: int, name: str, data: bytes) -> None:
    """Raises OSError; what was there before is there then, and nothing beside it."""
    new = f"{_NEW}{secrets.token_hex(8)}"
    file = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, MODE, dir_fd=folder)
    try:
        with os.fdopen(file, "wb") as opened:
            os.fchmod(opened.fileno(), MODE)  # whatever the umask is
            opened.write(data)
            opened.flush()
            os.fsync(opened.fileno())
        os.rename(new, name, src_dir_fd=folder, dst_dir_fd=folder)
    except BaseException:
        with suppress(OSError):
            os.unlink(new, dir_fd=folder)
        raise
    os.fsync(folder)


def _time(at: datetime | None) -> str:
    return at.astimezone(JST).isoformat(timespec="seconds") if at else ""
