"""An entry of the access log: its exact bytes, and their reading.

```
entry = compact JSON, keys sorted, UTF-8:
        {"action","actor","detail","object","prev","seq","ts"}     at most 65,535 bytes
prev  = hex SHA-256 of the bytes of entry seq - 1; sixty-four zeros in entry 0
ts    = RFC 3339, UTC, microseconds: 2026-04-01T00:00:00.000000Z
```
"""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from recorder.access.errors import EntryError, LogDamagedError
from recorder.vault.manifest import parse_stamp, stamp

NO_ENTRY = bytes(32)
# The bundles of C2SP tlog-tiles give an entry a 16-bit length.
LONGEST_ENTRY = 65_535
# Not json.loads: that guesses at encodings, and looks for spaces around, at each entry.
_DECODER = json.JSONDecoder()
_FIELDS = {"action", "actor", "detail", "object", "prev", "seq", "ts"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One entry; `raw` holds its exact bytes, of which the other fields are the reading."""

    seq: int
    prev: str
    ts: datetime
    actor: str
    action: str
    object: str
    detail: Mapping[str, Any]
    raw: bytes = field(repr=False)

    @property
    def digest(self) -> str:
        """Hex SHA-256 of `raw`: the next entry's `prev`."""
        return hashlib.sha256(self.raw).hexdigest()


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft:
    """What an entry says, before it has a place in the log. Raises EntryError."""

    ts: datetime
    actor: str
    action: str
    object: str
    detail: Mapping[str, Any]

    def __post_init__(self) -> None:
        """Refuse what the log could not give back as it was."""
        for name in ("actor", "action", "object"):
            value = getattr(self, name)
            if not isinstance(value, str) or not 1 <= len(value) <= 256 or not value.isprintable():
                raise EntryError(f"{name}: {value!r} is not a printable text of 1 to 256 characters")
        try:
            stamp(self.ts)
        except ValueError as error:
            raise EntryError(f"ts: {error}") from error
        _check_detail(self.detail)

    def at(self, seq: int, prev: bytes) -> Entry:
        """The entry `seq` that follows the one with SHA-256 `prev`. Raises EntryError where it is too long."""
        values = {
            "action": self.action,
            "actor": self.actor,
            "detail": dict(self.detail),
            "object": self.object,
            "prev": prev.hex(),
            "seq": seq,
            "ts": stamp(self.ts),
        }
        raw = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()
        if len(raw) > LONGEST_ENTRY:
            raise EntryError(f"detail: the entry would have {len(raw)} bytes, at most {LONGEST_ENTRY} are allowed")
        return parse_entry(seq, raw)


def parse_entry(seq: int, raw: bytes) -> Entry:
    """Read the stored bytes of entry `seq`. Raises LogDamagedError naming it."""
    values, ts = fields_of(seq, raw)
    return Entry(raw=raw, **values | {"ts": ts})


def fields_of(seq: int, raw: bytes) -> tuple[dict[str, Any], datetime]:
    """As `parse_entry`, with less around it: the fields as they stand there, and the instant that `ts` is."""
    try:
        text = raw.decode()
        values, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise LogDamagedError(f"entry {seq}: cannot be read (more than one value)")
        if problem := _problem(seq, values):
            raise LogDamagedError(f"entry {seq}: {problem}")
        return values, parse_stamp(values["ts"])
    except (ValueError, RecursionError) as error:
        raise LogDamagedError(f"entry {seq}: cannot be read ({error})") from error


def _problem(seq: int, values: Any) -> str:
    if type(values) is not dict or values.keys() != _FIELDS:
        return "has not the fields of an entry"
    if type(values["seq"]) is not int or values["seq"] != seq:
        return f"calls itself entry {values['seq']!r}"
    if not (
        type(values["action"]) is type(values["actor"]) is type(values["object"]) is type(values["prev"])
        is type(values["ts"]) is str and type(values["detail"]) is dict
    ):  # fmt: skip  # JSON makes no kinds of its own
        return "a field is of the wrong kind"
    return ""


def _check_detail(detail: Mapping[str, Any]) -> None:
    try:
        plain = dict(detail)
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
        text.encode()
        same = json.loads(text) == plain
    except (TypeError, ValueError, RecursionError) as error:
        raise EntryError(f"detail: is not JSON ({error})") from error
    if not same:
        raise EntryError("detail: JSON does not give it back as it was (a tuple, or a key that is no text)")
