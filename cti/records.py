"""What Asterisk wrote of one day, condensed into the vault: `<vault>/witness/2026-11-25.jsonl`.

Its files are rotated away within weeks, and the desk may not read them: numbers of callers are in there. The recorder
may, and leaves of them who was in a room with whom, by channel, and no number. The same files give the same bytes.

    {"day":"2026-11-25","pbx":"pbx1","first":"...","cdr":true,"sources":[{"file":"cel.csv","from":0,"bytes":123}]}
    {"talk":{"start":"...","end":"...","phones":["2001"],"channels":["pbx1-1.2"],"linkedids":["pbx1-1.2"],"least":false}}
    {"billed":{"start":"...","seconds":12.3,"endpoints":["2001"],"channels":["pbx1-1.2"],"linkedid":"pbx1-1.2"}}
"""

import csv
import json
import os
import re
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from datetime import date, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

from cti.aside import OTHER_PACKERS, UNPACKED, UNREADABLE, generations
from cti.calls.cel import CDR_COLUMNS, CelEvent, read
from cti.calls.tracker import event_time
from cti.completeness import LONGEST, Billed, Talk, billed, talks
from cti.errors import KikitoriError
from policies.calendar import midnight
from policies.model import Kind
from recorder.vault.folder import WITNESS, replace_whole

CDR: Final = "cdr.csv"
"""Lies beside the file of CEL (asterisk-config/cdr_custom.conf.j2)."""
TOLD: Final = frozenset({"CHAN_START", "BRIDGE_ENTER", "BRIDGE_EXIT", "CHAN_END"})
_CEL_ROW: Final = re.compile(rb'\n(?="[A-Z_]+","(\d+\.\d+)",)')
_CDR_ROW: Final = re.compile(rb'\n(?="[\d.]*","[\d.]*","(\d+\.\d+)",)')  # by its end: so they lie in the file
_WINDOW: Final = 64 * 1024
_CHUNK: Final = 1 << 20
_MOST: Final = 16 << 20  # bytes without the beginning of a row: that is no such file


class WitnessError(KikitoriError):
    """What Asterisk wrote of a day cannot be used."""

    code = "witness"
    status = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class Day:
    """What Asterisk says of one day, and out of which files.

    `first`: the time of the first row that is there; `cdr`: whether there was a CDR.
    """

    day: date
    first: datetime
    cdr: bool
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
    *,
    kind: Callable[[str | None], Kind | None],
    internal_too: bool,
) -> Path:
    """Write the witness of `day`; where. One that was made while more was there stays. Raises WitnessError, OSError."""
    first, last = midnight(day), midnight(day + timedelta(days=1))
    window = first - LONGEST, last + LONGEST
    sources: list[dict[str, Any]] = []
    begins: list[datetime] = []

    def events() -> Iterator[CelEvent]:
        for text in _rows_of(cel, window, _CEL_ROW, sources):
            for event in read(text):
                at = event_time(event)
                if at is not None and at < window[1]:
                    begins[:] = begins or [at]
                    if event.row["eventtype"] in TOLD and at >= window[0]:
                        yield event

    spoken = [
        talk
        for talk in talks(events(), kind, internal_too=internal_too)
        if talk.start < last and (talk.end is None or talk.end > window[0])
    ]
    if not begins or begins[0] >= last:
        raise WitnessError(f"{cel}: Asterisk's records do not reach back to {day.isoformat()}")
    path = witness_file(vault, day)
    if (before := _before(path)) is not None and before < first < begins[0]:
        return path
    count = len(sources)
    rows = (row for text in _rows_of(cel.with_name(CDR), window, _CDR_ROW, sources) for row in _cdr(text))
    paid = [row for row in billed(rows, kind, internal_too=internal_too) if first <= row.start < last]
    head = {"day": day.isoformat(), "pbx": pbx, "first": begins[0].isoformat(), "cdr": len(sources) > count}
    lines: list[dict[str, Any]] = [head | {"sources": sources}]
    lines += [{"talk": _plain(talk)} for talk in spoken]
    lines += [{"billed": _plain(row)} for row in paid]
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
            first=datetime.fromisoformat(head["first"]),
            cdr=bool(head["cdr"]),
            sources=tuple(head["sources"]),
            talks=tuple(spoken),
            billed=tuple(paid),
            sha256=sha256(data).hexdigest(),
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise WitnessError(f"{path}: not as it was written ({error}); it can be made anew") from error


def _before(path: Path) -> datetime | None:
    """Since when the witness knows that was made before; None where there is none that can be used."""
    try:
        return load_day(path).first
    except (OSError, WitnessError):
        return None


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


# --- Asterisk's files -----------------------------------------------------------------------------------------------


def _rows_of(
    file: Path, window: tuple[datetime, datetime], row: re.Pattern[bytes], sources: list[dict[str, Any]]
) -> Iterator[str]:
    """Whole rows of `file`, and of what logrotate put aside of it, as far as they can be of `window`; oldest first."""
    with ExitStack() as stack:
        for path, opened in _opened(file, window[0], stack):
            unpacked = UNPACKED.get(path.suffix)
            start = 0 if unpacked else _place(opened, window[0].timestamp(), row)
            opened.seek(start)
            source: dict[str, Any] = {"file": path.name, "from": start, "bytes": 0}
            sources.append(source)
            stream = cast("BinaryIO", unpacked(opened)) if unpacked else opened
            try:
                for data in _pieces(stream, row):
                    source["bytes"] += len(data)
                    yield data.decode("utf-8", "replace")
                    found = row.search(b"\n" + data)
                    if found is not None and float(found[1]) >= window[1].timestamp():
                        break
            except UNREADABLE as error:
                raise WitnessError(f"{path}: cannot be unpacked ({error})") from error


def _opened(file: Path, since: datetime, stack: ExitStack) -> list[tuple[Path, BinaryIO]]:
    """Open all at once, and see whether logrotate has moved one meanwhile. Raises WitnessError."""
    for _again in range(5):
        found = _aside(file, since)
        opened: list[tuple[Path, BinaryIO]] = [
            (path, stack.enter_context(path.open("rb"))) for path in found if path.exists()
        ]
        inodes = {os.fstat(one.fileno()).st_ino for _, one in opened}
        if inodes == {path.stat().st_ino for path in _aside(file, since) if path.exists()}:
            return opened
    raise WitnessError(f"{file}: is being rotated; try again")


def _aside(file: Path, since: datetime) -> list[Path]:
    found = generations(file, since.timestamp())
    for path in found:
        if path.suffix in OTHER_PACKERS:
            raise WitnessError(f"{path}: cannot be unpacked ({path.suffix})")
    return found


def _pieces(stream: BinaryIO, row: re.Pattern[bytes]) -> Iterator[bytes]:
    """About a megabyte each, ending where a row ends: a number may hold line breaks, but no beginning of a row."""
    rest = b"\n"
    while data := stream.read(_CHUNK):
        rest += data
        last = deque(row.finditer(rest, max(1, len(rest) - len(data) - 200)), maxlen=1)
        if last:
            yield rest[1 : last[0].start() + 1]
            rest = rest[last[0].start() :]
        elif len(rest) > _MOST:
            raise ValueError("no rows of Asterisk's")
    whole, newline, _ = rest.rpartition(b"\n")  # a row that is being written has no end yet
    if whole[1:] or newline:
        yield (whole + newline)[1:]


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


def _cdr(text: str) -> Iterator[dict[str, str]]:
    """Of `cdr.csv`; a row that is not whole is passed over."""
    for line in text.splitlines():
        try:
            row = next(csv.reader([line]), [])
        except csv.Error:
            continue
        if len(row) == len(CDR_COLUMNS):
            yield dict(zip(CDR_COLUMNS, row, strict=True))
