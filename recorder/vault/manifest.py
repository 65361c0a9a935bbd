"""The manifest of a segment: what it is, where its key lies, and the hash of its body, as a signed note.

```
kikitori/manifest/v1
{
 "agent": ...,          JSON: keys sorted, indent 1, UTF-8; the fields of `Manifest`, no other, and all of them
                        (the first ones had no `loudness`)
 ...
}

— <origin>/recorder <signature>
```

An age header binds its audio to no recording, and whoever has the public key can make one: the signature over body
hash, nonce and ids is what ties them (B-13). Read strictly, so that a manifest has one meaning.
"""

import dataclasses
import hashlib
import json
import re
import uuid
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from recorder.vault.errors import VaultError
from recorder.vault.note import NoteError, Signer, Verifier, open_note, sign

LONGEST: Final = 1e12
"""Seconds; no gap is longer."""
FIRST_LINE: Final = "kikitori/manifest/v1"
_NEW = "(new manifest)"
_STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z", re.ASCII)


class ManifestError(VaultError):
    """This manifest cannot be used."""

    code = "manifest"

    def __init__(self, where: str, field: str, problem: str) -> None:
        """`where` is the file, `field` the field or empty, `problem` what the value is and what it should be."""
        super().__init__(f"{where}: {field}: {problem}" if field else f"{where}: {problem}")
        self.where, self.field, self.problem = where, field, problem


@dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """Something that happened inside a segment: `what`, at an instant (UTC), at a sample of the segment."""

    at: datetime
    sample: int
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Loudness:
    """How loud a segment is, for lists: the highest |sample| of each of up to 24 equal stretches of a side.

    A hex digit each, the number of its bits (0 to 15): one more is 6 dB. `speech`: each side's share of the time.
    """

    left: str
    right: str
    speech: tuple[float, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """One segment. Raises ManifestError where a field is out of form.

    `end` may lie before `start`: a clock that is set back must not cost a recording.
    """

    recording: str
    """UUID, in lower case, as `conversation`."""
    segment: int
    """From 1."""
    conversation: str
    pbx: str
    linkedid: str
    channel: str
    """The hooked channel's name; `uniqueid` is its id."""
    uniqueid: str
    take: str
    """The id of the MixMonitor run; `take_offset` is its sample with which this segment begins."""
    take_offset: int
    number: str | None
    """Digits of the designated number; None where there is none (an internal call)."""
    direction: str | None
    """in, out, internal; None where it could not be known."""
    caller: str | None
    """Digits, +, * and #, up to 32; None where withheld. As `callee`."""
    callee: str | None
    agent: str | None
    """The designated phone's endpoint."""
    start: datetime
    end: datetime
    rate: int
    """Samples a second."""
    frames: int
    """Samples on each side."""
    streaminfo: str
    """The final 34 bytes of FLAC STREAMINFO, hex: they overlay those at the head of the body."""
    slot: int
    epoch: int
    """From 1."""
    key_id: str
    """`Recipient.key_id`: 16 hex digits."""
    nonce: str
    """The body's first 16 bytes, hex."""
    body_size: int
    """Bytes."""
    body_sha256: str
    state: str
    """sealed: ended in order; cut: ended by us before its end; torn: found after a crash."""
    reason: str | None
    gap_before: float | None
    """Seconds missing before this segment."""
    marks: tuple[Mark, ...]
    loudness: Loudness | None = None
    """None where nobody measured it: a successor ended the segment."""
    writer: str
    """Program and version: `kikitori 0.1.0`."""

    def __post_init__(self) -> None:
        """Check every field."""
        for name, check in _CHECKS.items():
            if problem := check(getattr(self, name)):
                raise ManifestError(_NEW, name, problem)


def dump(manifest: Manifest, signer: Signer) -> str:
    """The signed note."""
    values = {field.name: getattr(manifest, field.name) for field in dataclasses.fields(manifest)}
    values["start"], values["end"] = stamp(manifest.start), stamp(manifest.end)
    values["marks"] = [{"at": stamp(mark.at), "sample": mark.sample, "what": mark.what} for mark in manifest.marks]
    values["loudness"] = dataclasses.asdict(manifest.loudness) if manifest.loudness else None
    text = json.dumps(values, ensure_ascii=False, allow_nan=False, indent=1, sort_keys=True)
    return sign(f"{FIRST_LINE}\n{text}\n", [signer])


def load(text: str, verifiers: Iterable[Verifier], where: str) -> Manifest:
    """The manifest in a note that one of `verifiers` signed; `where` names the file in errors.

    Raises ManifestError: signature, first line, JSON, missing, unknown and ill-formed fields.
    """
    try:
        opened = open_note(text, verifiers)
    except NoteError as error:
        raise ManifestError(where, "", str(error)) from error
    first, _, body = opened.partition("\n")
    if first != FIRST_LINE:
        raise ManifestError(where, "", f"the first line is {first!r}, not {FIRST_LINE!r}")
    values = {"loudness": None} | load_json(body, where)  # the first manifests had none
    _exactly(values, _CHECKS, where, "")
    try:
        for name in ("start", "end"):
            values[name] = _instant(values[name], where, name)
        values["marks"] = _marks(values["marks"], where)
        values["loudness"] = _loudness(values["loudness"], where)
        if type(values["gap_before"]) is int:
            values["gap_before"] = float(values["gap_before"])
        return Manifest(**values)
    except ManifestError as error:
        raise ManifestError(where, error.field, error.problem) from error
    except OverflowError as error:
        raise ManifestError(where, "", "a number is larger than any of ours") from error


def digest(note_text: str) -> str:
    """Hex SHA-256 of the whole note, signatures included: what the access log names."""
    return hashlib.sha256(note_text.encode()).hexdigest()


def stamp(instant: datetime) -> str:
    """RFC 3339 in UTC with microseconds and Z. Raises ValueError for an instant without a zone."""
    if instant.utcoffset() is None:
        raise ValueError(f"{instant.isoformat()} has no time zone")
    return f"{instant.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='microseconds')}Z"


def parse_stamp(text: str) -> datetime:
    """Read exactly the form of `stamp`. Raises ValueError."""
    if not _STAMP.fullmatch(text):
        raise ValueError(f"{text!r} is not like 2026-04-01T00:00:00.000000Z")
    return datetime.fromisoformat(text)


def load_json(text: str, where: str) -> dict[str, Any]:
    """A JSON object without doubled keys, NaN and infinities. Raises ManifestError."""

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) != len(pairs):
            raise ValueError("a key stands twice")
        return values

    def refuse(word: str) -> float:
        raise ValueError(f"{word} is no JSON")

    try:
        values = json.loads(text, object_pairs_hook=unique, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise ManifestError(where, "", f"not JSON: {error}") from error
    if not isinstance(values, dict):
        raise ManifestError(where, "", "not a JSON object")
    return values


def _exactly(values: dict[str, Any], names: Iterable[str], where: str, path: str) -> None:
    wanted = set(names)
    if missing := sorted(wanted - values.keys()):
        raise ManifestError(where, path + missing[0], "missing")
    if unknown := sorted(values.keys() - wanted):
        raise ManifestError(where, path + unknown[0], "not a field of this version")


def _instant(value: object, where: str, name: str) -> datetime:
    try:
        return parse_stamp(value if isinstance(value, str) else repr(value))
    except ValueError as error:
        raise ManifestError(where, name, str(error)) from error


def _marks(values: object, where: str) -> tuple[Mark, ...]:
    if not isinstance(values, list):
        raise ManifestError(where, "marks", f"{values!r} is not a list")
    marks = []
    for number, value in enumerate(values):
        path = f"marks[{number}]"
        if not isinstance(value, dict):
            raise ManifestError(where, path, f"{value!r} is not an object")
        _exactly(value, ("at", "sample", "what"), where, f"{path}.")
        marks.append(Mark(**value | {"at": _instant(value["at"], where, f"{path}.at")}))
    return tuple(marks)


def _loudness(value: object, where: str) -> Loudness | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        raise ManifestError(where, "loudness", f"{value!r} is not an object")
    _exactly(value, ("left", "right", "speech"), where, "loudness.")
    shares = value["speech"]
    if not isinstance(shares, list):
        raise ManifestError(where, "loudness.speech", f"{shares!r} is not a list")
    return Loudness(**value | {"speech": tuple(float(one) if type(one) is int else one for one in shares)})


_Check = Callable[[object], str | None]


def _matching(pattern: str, form: str) -> _Check:
    compiled = re.compile(pattern, re.ASCII)

    def check(value: object) -> str | None:
        return None if isinstance(value, str) and compiled.fullmatch(value) else f"{value!r} is not {form}"

    return check


def _whole(least: int) -> _Check:
    def check(value: object) -> str | None:
        # type() and not isinstance: true is no number. A database takes 64 bits.
        good = type(value) is int and least <= value < 2**63
        return None if good else f"{value!r} is not a whole number from {least}"

    return check


def _or_none(check: _Check) -> _Check:
    return lambda value: None if value is None else check(value)


def _uuid(value: object) -> str | None:
    try:
        good = isinstance(value, str) and str(uuid.UUID(value)) == value
    except ValueError:
        good = False
    return None if good else f"{value!r} is not a UUID in lower case"


def _word(value: object) -> str | None:
    good = isinstance(value, str) and 1 <= len(value) <= 256 and value.isprintable()
    return None if good else f"{value!r} is not a printable text of 1 to 256 characters"


def _aware(value: object) -> str | None:
    good = isinstance(value, datetime) and value.utcoffset() is not None
    return None if good else f"{value!r} is not an instant with a time zone"


def _seconds(value: object) -> str | None:
    good = isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST
    return None if good else f"{value!r} is not a number of seconds from 0"


def _check_marks(value: object) -> str | None:
    if not isinstance(value, tuple):
        return f"{value!r} is not a tuple"
    for number, mark in enumerate(value):
        if not isinstance(mark, Mark):
            return f"[{number}]: {mark!r} is not a Mark"
        for name, check in (("at", _aware), ("sample", _whole(0)), ("what", _word)):
            if problem := check(getattr(mark, name)):
                return f"[{number}].{name}: {problem}"
    return None


def _check_loudness(value: object) -> str | None:
    if not isinstance(value, Loudness):
        return f"{value!r} is not a Loudness"
    for name in ("left", "right"):
        if problem := _PICTURE(getattr(value, name)):
            return f"{name}: {problem}"
    if len(value.left) != len(value.right):
        return f"left has {len(value.left)} stretches, right {len(value.right)}"
    good = len(value.speech) == 2 and all(type(one) is float and 0 <= one <= 1 for one in value.speech)
    return None if good else f"speech: {value.speech!r} are not two shares of 0 to 1"


def _hex(size: int) -> _Check:
    return _matching(f"[0-9a-f]{{{2 * size}}}", f"{size} bytes in lower-case hex")


_PARTY = _matching(r"[0-9+*#]{1,32}", "a telephone number (digits, +, *, #, at most 32)")
_PICTURE = _matching(r"[0-9a-f]{1,24}", "up to 24 hex digits")
_CHECKS: Final[dict[str, _Check]] = {
    "recording": _uuid,
    "segment": _whole(1),
    "conversation": _uuid,
    "pbx": _word,
    "linkedid": _word,
    "channel": _word,
    "uniqueid": _word,
    "take": _word,
    "take_offset": _whole(0),
    "number": _or_none(_matching(r"[0-9]{1,32}", "the digits of a number")),
    "direction": _or_none(_matching("in|out|internal", "in, out or internal")),
    "caller": _or_none(_PARTY),
    "callee": _or_none(_PARTY),
    "agent": _or_none(_word),
    "start": _aware,
    "end": _aware,
    "rate": _whole(1),
    "frames": _whole(0),
    "streaminfo": _hex(34),
    "slot": _whole(0),
    "epoch": _whole(1),
    "key_id": _matching(r"[0-9a-f]{16}", "16 digits of lower-case hex"),
    "nonce": _hex(16),
    "body_size": _whole(0),
    "body_sha256": _hex(32),
    "state": _matching("sealed|cut|torn", "sealed, cut or torn"),
    "reason": _or_none(_word),
    "gap_before": _or_none(_seconds),
    "marks": _check_marks,
    "loudness": _or_none(_check_loudness),
    "writer": _word,
}
