"""`kikitori retention`: lines in, lines out, and lines that are none."""

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest

from policies.load import shipped
from tests.unit.cti.cli.conftest import Kikitori, Said

PLAIN = {"id": "1", "recorded_at": "2026-01-15T10:00:00+09:00", "events": []}


def simulated(kikitori: Kikitori, tmp_path: Path, *lines: object) -> Said:
    """`lines`: each as JSON, or text as it is."""
    file = tmp_path / "in.jsonl"
    file.write_text("".join(f"{one if isinstance(one, str) else json.dumps(one)}\n" for one in lines), "utf-8")
    return kikitori("retention", "simulate", str(file), "--json", "--policies", str(shipped()))


def rows(said: Said) -> list[dict[str, Any]]:
    return [json.loads(line) for line in said.out.splitlines()]


def test_each_line_is_answered_in_its_order(kikitori: Kikitori, tmp_path: Path) -> None:
    save = {"type": "external_save", "at": "2026-02-01T09:00:00+09:00"}
    early = {"type": "destroy_medium", "at": "2026-03-01T09:00:00+09:00"}
    said = simulated(kikitori, tmp_path, PLAIN, PLAIN | {"id": 2, "events": [save, early]})
    assert said.status == 0, said.err
    first, second = rows(said)
    assert len(first.pop("why")) == 3
    assert first == {
        "id": "1", "primary_until": "2026-07-15", "secondary_until": "2027-01-15",
        "erased_at": "2027-01-16T00:00:00+09:00", "external_until": None, "refused": [],
    }  # fmt: skip
    assert (second["id"], second["external_until"], second["refused"]) == (2, "2031-02-01", [1])
    assert "events[1]: not allowed: the medium is kept until 2031-02-01 (B-21)" in second["why"]


def test_standard_input_is_read_and_people_get_sentences(
    kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(json.dumps(PLAIN).encode())))
    said = kikitori("retention", "simulate", "-", "--policies", str(shipped()))
    assert said.status == 0, said.err
    assert "erased 2027-01-16 00:00:00, when its period is over (B-17)" in said.out


@pytest.mark.parametrize(
    ("line", "field", "problem"),
    [
        ("{", "-", "is no JSON object"), ("[]", "-", "is no JSON object"), ("\x00", "-", "is no JSON object"),
        ({"id": "1"}, "recorded_at", "is missing"), (PLAIN | {"events": {}}, "events", "is no list"),
        (PLAIN | {"events": [{"type": "disclosed", "at": "2026-01-15T00:59:59Z"}]}, "-", "events.0 lies before"),
        ({"id": True, "recorded_at": PLAIN["recorded_at"]}, "id", "is neither text nor"),
        (PLAIN | {"recorded_at": 5}, "recorded_at", "is no instant"),
        (PLAIN | {"recorded_at": "15.1.2026"}, "recorded_at", "is no instant"),
        (PLAIN | {"recorded_at": "9999-12-31T23:59:59-09:00"}, "recorded_at", "outside the years"),
        (PLAIN | {"events": [{"type": "hoard", "at": "2026-02-01T09:00:00Z"}]}, "events.0", "none of these: hold"),
        (PLAIN | {"events": [{"type": "hold"}]}, "events.0.at", "is missing"),
        (PLAIN | {"events": [{"type": "extension", "at": "2026-02-01T09:00:00Z", "until": "2031-02-30", "basis": "x"}]},
         "events.0.until", "is no day"),
        (PLAIN | {"events": [{"type": "erase_request", "at": "2026-02-01T09:00:00Z", "decision": "yes"}]},
         "events.0.decision", "none of these: 'approved', 'refused', 'not_applicable'"),
        (PLAIN | {"events": [{"type": "erase_request", "at": "2026-02-01T09:00:00Z", "decision": "approved"}]},
         "events.0", "stand together"),
        (f'{{"id": "{"9" * (5 << 19)}"}}', "-", "longer than any line"),
    ],
)  # fmt: skip
def test_a_line_that_is_none_is_named_and_the_others_are_answered(
    kikitori: Kikitori, tmp_path: Path, line: object, field: str, problem: str
) -> None:
    said = simulated(kikitori, tmp_path, PLAIN, line, PLAIN | {"id": "3"})
    assert said.status == 64
    assert [row["id"] for row in rows(said)] == ["1", "3"]
    assert f"in.jsonl:2: {field}: " in said.err
    assert problem in said.err
    assert "lines that cannot be read: 1;" in said.err
    assert "Traceback" not in said.err


def test_what_nobody_knows_is_named_and_not_looked_at(kikitori: Kikitori, tmp_path: Path) -> None:
    request = {"type": "erase_request", "at": "2026-02-01T09:00:00Z", "decison": "approved"}
    said = simulated(kikitori, tmp_path, PLAIN | {"event": [], "events": [request]})
    assert said.status == 0
    assert "in.jsonl:1: not known, and not looked at: event, events.0.decison" in said.err
    assert rows(said)[0]["erased_at"] == "2027-01-16T00:00:00+09:00"


def test_a_file_that_is_not_there_is_named(kikitori: Kikitori, tmp_path: Path) -> None:
    said = kikitori("retention", "simulate", str(tmp_path / "none.jsonl"), "--policies", str(shipped()))
    assert (said.status, "none.jsonl" in said.err) == (74, True)
