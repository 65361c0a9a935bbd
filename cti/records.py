"""What Asterisk wrote of one day, condensed into the vault: `<vault>/witness/2026-11-25.jsonl`.

Its files are rotated away within weeks, and the desk may not read them: numbers of callers are in there. The recorder
may, and leaves of them who was in a room with whom, by channel, and no number. A day is written anew as often as asked.

    {"day":"2026-11-25","at":"...","pbx":"pbx1","sources":[{"file":"cel.csv","from":0,"bytes":123,"sha256":"..."}]}
    {"talk":{"start":"...","end":"...","phones":["2001"],"channels":["pbx1-1.2"],"linkedids":["pbx1-1.2"],"least":false}}
    {"billed":{"start":"...","seconds":12.3,"endpoints":["2001"],"channels":["pbx1-1.2"],"linkedid":"pbx1-1.2"}}
"""

import bz2
import csv
import gzip
import io
import json
import lzma
import os
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final

from cti.calls.cel import CelEvent, read
from cti.completeness import Billed, Talk, billed, talks
from cti.errors import KikitoriError
from cti.pbxconfig import CDR_COLUMNS
from policies.calendar import midnight
from policies.model import Kind
from recorder.vault.folder import WITNESS, replace_whole

CDR: Final = "cdr.csv"
"""Lies beside the file of CEL (asterisk-config/cdr_custom.conf.j2)."""
LONGEST: Final = timedelta(days=1)
"""A call that began so long before the day is not followed."""
TOLD: Final = frozenset({"CHAN_START", "BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_END", "ANSWER"})
_CEL_ROW: Final = re.compile(rb'\n"[A-Z_]+","(\d+\.\d+)",')
_CDR_ROW: Final = re.compile(rb'\n"(\d+\.\d+)",')
_WINDOW: Final = 64 * 1024
_UNPACK: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    ".gz": gzip.decompress, ".bz2": bz2.decompress, ".xz": lzma.decompress,
}  # fmt: skip


class WitnessError(KikitoriError):
    """What Asterisk wrote of a day cannot be used."""

    code = "witness"
    status = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What Asterisk says of one day, and out of which files."""

    day: date
    at: datetime
    sources: tuple[Mapping[str, Any], ...]
    talks: tuple[Talk, ...]
    billed: tuple[Billed, ...]
    sha256: str = ""


def witness_file(vault: Path, day: date) -> Path:
    """Where the witness of `day` lies."""
    return vault / WITNESS / f"{day.isoformat()}.jsonl"


def condense(
    cel: Path,
    vault: Path,
    pbx: str,
    day: date,
    now: datetime,
    *,
    kind: Callable[[str | None], Kind | None],
    internal_too: bool,
) -> Path:
    """Write the witness of `day`; where. Raises WitnessError, OSError."""
    first, last = midnight(day), midnight(day + timedelta(days=1))
    sources: list[dict[str, Any]] = []
    events: list[CelEvent] = []
    for text in _texts(cel, first - LONGEST, sources, _CEL_ROW):
        events += (event for event in read(text) if event.row["eventtype"] in TOLD)
    if not sources:
        raise WitnessError(f"{cel}: Asterisk has written nothing since {(first - LONGEST).isoformat()}")
    spoken = [
        talk
        for talk in talks(events, kind, internal_too=internal_too)
        if talk.start < last + LONGEST and (talk.end is None or talk.end > first)
    ]
    rows: list[dict[str, str]] = []
    for text in _texts(cel.with_name(CDR), first, sources, _CDR_ROW):
        rows += _rows(text)
    paid = [row for row in billed(rows, kind, internal_too=internal_too) if first <= row.start < last]
    lines: list[dict[str, Any]] = [{"day": day.isoformat(), "at": now.isoformat(), "pbx": pbx, "sources": sources}]
    lines += [{"talk": _plain(talk)} for talk in spoken]
    lines += [{"billed": _plain(row)} for row in paid]
    path = witness_file(vault, day)
    replace_whole(path, "".join(json.dumps(line, sort_keys=True) + "\n" for line in lines).encode(), 0o640)
    return path


def load_day(path: Path) -> Day:
    """What `condense` wrote. Raises WitnessError, OSError."""
    data = path.read_bytes()
    spoken: list[Talk] = []
    paid: list[Billed] = []
    try:
        head, *lines = [json.loads(line) for line in data.decode().splitlines()]
        for line in lines:
            if "talk" in line:
                spoken.append(Talk(**_read(line["talk"], ("phones", "channels", "linkedids"))))
            else:
                paid.append(Billed(**_read(line["billed"], ("endpoints", "channels"))))
        return Day(
            day=date.fromisoformat(head["day"]),
            at=datetime.fromisoformat(head["at"]),
            sources=tuple(head["sources"]),
            talks=tuple(spoken),
            billed=tuple(paid),
            sha256=sha256(data).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WitnessError(f"{path}: not as it was written ({error}); it can be made anew") from error


def _plain(one: Talk | Billed) -> dict[str, Any]:
    return {
        name: sorted(value)
        if isinstance(value, frozenset)
        else value.isoformat()
        if isinstance(value, datetime)
        else value
        for name, value in asdict(one).items()
    }


def _read(values: Mapping[str, Any], sets: Iterable[str]) -> dict[str, Any]:
    found = dict(values)
    for name in sets:
        found[name] = frozenset(map(str, found[name]))
    for name in ("start", "end"):
        if found.get(name) is not None:
            found[name] = datetime.fromisoformat(found[name])
    return found


def _texts(file: Path, since: datetime, sources: list[dict[str, Any]], row: re.Pattern[bytes]) -> Iterator[str]:
    """`file`, and what logrotate put aside of it, as far as it was written at or after `since`; oldest first."""
    aside = [path for path in file.parent.glob(f"{file.name}*") if path.is_file()]
    for path in sorted(aside, key=lambda path: path.stat().st_mtime_ns):
        if path.stat().st_mtime < since.timestamp():
            continue
        unpack = _UNPACK.get(path.suffix)
        with path.open("rb") as opened:
            start = 0 if unpack else _place(opened, since.timestamp(), row)
            opened.seek(start)
            data = opened.read()
        sources.append({"file": path.name, "from": start, "bytes": len(data), "sha256": sha256(data).hexdigest()})
        try:
            plain = unpack(data) if unpack else data
        except (OSError, EOFError, lzma.LZMAError, ValueError) as error:
            raise WitnessError(f"{path}: cannot be unpacked ({error})") from error
        yield plain.decode("utf-8", "replace")


def _place(opened: BinaryIO, since: float, row: re.Pattern[bytes]) -> int:
    """A place shortly before the first row of `since`: a file that nobody rotates grows for years."""
    low, high = 0, opened.seek(0, os.SEEK_END)
    while high - low > _WINDOW:
        middle = (low + high) // 2
        opened.seek(middle)
        found = row.search(opened.read(_WINDOW))
        if found is None or float(found[1]) >= since:
            high = middle
        else:
            low = middle
    return low


def _rows(text: str) -> Iterator[dict[str, str]]:
    """Of `cdr.csv`; a row that is not whole is passed over."""
    for row in csv.reader(io.StringIO(text)):
        if len(row) == len(CDR_COLUMNS):
            yield dict(zip(CDR_COLUMNS, row, strict=True))
