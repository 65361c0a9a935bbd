"""Manifests come back as they were, and whatever is out of form is named by file and field."""

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.vault.manifest import (
    FIRST_LINE,
    Loudness,
    Manifest,
    ManifestError,
    Mark,
    digest,
    dump,
    load,
    parse_stamp,
    stamp,
)
from recorder.vault.note import Signer, sign

SIGNER = Signer.generate("recorder.example/pbx1/recorder")
START = datetime(2026, 4, 1, 0, 0, 0, 250_000, UTC)
VALUES: dict[str, Any] = {
    "recording": "0f9d1c3e-6f39-4a07-9a52-5f6f3c1d2b10",
    "segment": 1,
    "conversation": "5b1f8e0a-1c57-4a0f-8a3c-0d5f6e7a8b90",
    "pbx": "pbx1",
    "linkedid": "1775001600.1",
    "channel": "PJSIP/trunk-00000001",
    "uniqueid": "1775001600.1",
    "take": "0x7f3a:1",
    "take_offset": 0,
    "number": "0664581132",
    "direction": "in",
    "caller": "+81312345678",
    "callee": None,
    "agent": "PJSIP/1001",
    "start": START,
    "end": START + timedelta(seconds=63),
    "rate": 8000,
    "frames": 504_000,
    "streaminfo": "ab" * 34,
    "slot": 7,
    "epoch": 1,
    "key_id": "0123456789abcdef",
    "nonce": "00" * 16,
    "body_size": 70_000,
    "body_sha256": "cd" * 32,
    "state": "sealed",
    "reason": None,
    "gap_before": None,
    "marks": (Mark(at=START, sample=160, what="保留"),),
    "loudness": Loudness(left="0af", right="12c", speech=(0.25, 1.0)),
    "writer": "kikitori 0.1.0",
}
WHERE = "0f9d1c3e.001.manifest"


def note_of(change: dict[str, Any] | None = None, drop: str = "", first: str = FIRST_LINE) -> str:
    """A well-signed note over changed JSON: what only a holder of the key could make."""
    text = dump(Manifest(**VALUES), SIGNER)
    values = json.loads(text.partition("\n")[2].rpartition("\n\n")[0])
    values.update(change or {})
    values.pop(drop, None)
    return sign(f"{first}\n{json.dumps(values)}\n", [SIGNER])


def test_it_comes_back_and_reads_as_documented() -> None:
    manifest = Manifest(**VALUES)
    note = dump(manifest, SIGNER)
    assert load(note, [SIGNER.verifier], WHERE) == manifest
    lines = note.split("\n")
    assert lines[:3] == ["kikitori/manifest/v1", "{", ' "agent": "PJSIP/1001",']
    assert ' "start": "2026-04-01T00:00:00.250000Z",' in lines
    assert '   "what": "保留"' in lines
    keys = [line.split('"')[1] for line in lines if line.startswith(' "')]
    assert keys == sorted(VALUES)
    assert len(digest(note)) == 64
    assert digest(note) != digest(note.replace("保留", "転送"))


@given(
    data=st.fixed_dictionaries(
        {
            "segment": st.integers(1, 2**60),
            "linkedid": st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200),
            "caller": st.none() | st.from_regex(r"[0-9+*#]{1,32}", fullmatch=True),
            "gap_before": st.none() | st.floats(0, 1e9),
            "start": st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # with a zone
            "state": st.sampled_from(["sealed", "cut", "torn"]),
            "marks": st.lists(
                st.builds(
                    Mark,
                    at=st.datetimes(datetime(1970, 1, 1), datetime(2200, 1, 1), timezones=st.just(UTC)),  # noqa: DTZ001  # with a zone
                    sample=st.integers(0, 2**60),
                    what=st.text("abc保留 ", min_size=1),
                )
            ).map(tuple),
        }
    )
)
def test_any_good_manifest_comes_back(data: dict[str, Any]) -> None:
    manifest = Manifest(**VALUES | data)
    assert load(dump(manifest, SIGNER), [SIGNER.verifier], WHERE) == manifest


@pytest.mark.rule("B-13")
@given(data=st.data())
def test_no_bit_can_change(data: st.DataObject) -> None:
    raw = bytearray(dump(Manifest(**VALUES), SIGNER).encode())
    place = data.draw(st.integers(0, len(raw) * 8 - 1))
    raw[place // 8] ^= 1 << place % 8
    with pytest.raises(ManifestError, match=WHERE):
        load(raw.decode("utf-8", "surrogateescape"), [SIGNER.verifier], WHERE)


def test_the_first_manifests_had_no_loudness() -> None:
    assert load(note_of(drop="loudness"), [SIGNER.verifier], WHERE) == Manifest(**VALUES | {"loudness": None})


@pytest.mark.parametrize("name", sorted(VALUES.keys() - {"loudness"}))
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(ManifestError, match=f"{WHERE}: {name}: missing"):
        load(note_of(drop=name), [SIGNER.verifier], WHERE)


def test_an_unknown_field_is_named() -> None:
    with pytest.raises(ManifestError, match=f"{WHERE}: mood: not a field"):
        load(note_of({"mood": "good"}), [SIGNER.verifier], WHERE)


LOUD: dict[str, Any] = {"left": "0", "right": "f", "speech": [0, 1]}
WRONG: list[tuple[str, object]] = [
    *(
        (name, value)
        for name in ("recording", "conversation")
        for value in ("", "x", None, VALUES["recording"].upper())
    ),
    *((name, value) for name in ("segment", "epoch", "rate") for value in (0, -1, "1", 1.0, True, None)),
    *(
        (name, value)
        for name in ("take_offset", "frames", "slot", "body_size")
        for value in (-1, "0", 0.5, False, None)
    ),
    *(
        (name, value)
        for name in ("pbx", "linkedid", "channel", "uniqueid", "take", "writer")
        for value in ("", 1, None)
    ),
    *((name, "a\nb") for name in ("pbx", "agent", "reason", "channel")),
    *((name, value) for name in ("caller", "callee") for value in ("", "anonymous", "1" * 33, "１２", 5)),
    *(("number", value) for value in ("+81", "", 5)),
    *((name, value) for name in ("start", "end") for value in ("2026-04-01T00:00:00Z", "2026-04-01 00:00:00.000000Z")),
    *((name, value) for name in ("start", "end") for value in ("2026-04-01T00:00:00.000000+09:00", 5, None)),
    ("start", "2026-02-30T00:00:00.000000Z"),
    ("streaminfo", "ab" * 33),
    ("streaminfo", "AB" * 34),
    ("nonce", "00" * 15),
    ("body_sha256", "cd" * 31),
    ("key_id", "0123"),
    ("state", "fine"),
    ("direction", "sideways"),
    *(("gap_before", value) for value in (-1, "1", True, 2e12)),
    *((name, 2**63) for name in ("segment", "epoch", "rate", "take_offset", "frames", "slot", "body_size")),
    *(
        ("loudness", LOUD | change)
        for change in (
            {"left": ""},
            {"left": "0g"},
            {"left": "F"},
            {"left": 25 * "0"},
            {"left": "00"},
            {"left": "0\n"},
            {"right": None},
            {"speech": [0.5]},
            {"speech": [0, 0, 0]},
            {"speech": [-0.1, 0]},
            {"speech": [0, 1.1]},
            {"speech": ["0", 1]},
            {"speech": [True, 0]},
            {"speech": [None, 0]},
        )
    ),
    ("marks", None),
    ("marks", {}),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_a_wrong_value_is_named(name: str, value: object) -> None:
    with pytest.raises(ManifestError, match=f"{WHERE}: {name}: ") as caught:
        load(note_of({name: value}), [SIGNER.verifier], WHERE)
    assert (caught.value.where, caught.value.field) == (WHERE, name)


@pytest.mark.parametrize(
    "change",
    [{"gap_before": 10**400}, {"frames": 10**400}, {"loudness": LOUD | {"speech": [10**400, 0]}}, {"loudness": []},
     {"loudness": LOUD | {"speech": 5}}, {"loudness": LOUD | {"more": 1}}, {"loudness": {"left": "0", "right": "0"}}],
)  # fmt: skip
def test_whatever_stands_there_is_an_error_of_ours(change: dict[str, Any]) -> None:
    with pytest.raises(ManifestError, match=WHERE):
        load(note_of(change), [SIGNER.verifier], WHERE)


@pytest.mark.parametrize(
    ("mark", "field"),
    [
        ({"at": "x", "sample": 0, "what": "a"}, r"marks\[0\]\.at"),
        ({"at": stamp(START), "sample": -1, "what": "a"}, r"marks: \[0\]\.sample"),
        ({"at": stamp(START), "sample": 0, "what": ""}, r"marks: \[0\]\.what"),
        ({"at": stamp(START), "sample": 0}, r"marks\[0\]\.what: missing"),
        ({"at": stamp(START), "sample": 0, "what": "a", "who": "b"}, r"marks\[0\]\.who"),
        (5, r"marks\[0\]"),
    ],
)
def test_a_wrong_mark_is_named(mark: object, field: str) -> None:
    with pytest.raises(ManifestError, match=field):
        load(note_of({"marks": [mark]}), [SIGNER.verifier], WHERE)


def test_a_wrong_manifest_cannot_be_made() -> None:
    naive = START.replace(tzinfo=None)
    for name, value in (("segment", 0), ("start", naive), ("gap_before", float("nan")), ("marks", [])):
        with pytest.raises(ManifestError, match=name):
            Manifest(**VALUES | {name: value})


@pytest.mark.parametrize("body", ['{"a": 1, "a": 1}', '{"gap_before": NaN}', "[]", "{", "[" * 100_000])
def test_json_with_two_meanings_is_refused(body: str) -> None:
    with pytest.raises(ManifestError, match="JSON"):
        load(sign(f"{FIRST_LINE}\n{body}\n", [SIGNER]), [SIGNER.verifier], WHERE)


def test_another_kind_of_note_is_no_manifest() -> None:
    with pytest.raises(ManifestError, match="kikitori/manifest/v2"):
        load(note_of(first="kikitori/manifest/v2"), [SIGNER.verifier], WHERE)
    with pytest.raises(ManifestError, match="known keys"):
        load(dump(Manifest(**VALUES), Signer.generate("someone")), [SIGNER.verifier], WHERE)


def test_instants_are_written_in_utc() -> None:
    assert stamp(datetime(2026, 4, 1, 9, tzinfo=timezone(timedelta(hours=9)))) == "2026-04-01T00:00:00.000000Z"
    assert parse_stamp("2026-04-01T00:00:00.250000Z") == START
    with pytest.raises(ValueError, match="time zone"):
        stamp(START.replace(tzinfo=None))
