"""A day's file of call records: every bit that flips and every line that goes, comes or moves is named."""

import errno
import json
import os
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import callfile
from tests.unit.recorder.rig import RAM

ROOT = Path(__file__).parents[3]
RECORDS = [{"conversation": f"c{number}", "caller": "090" if number % 2 else None, "名": "山田"} for number in range(5)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    made = tmp_path / "2026-04-01.jsonl"
    for record in RECORDS:
        callfile.append(made, record)
    return made


def named(path: Path) -> list[int]:
    return [line for line, _ in callfile.check(path)]


def test_what_was_written_is_as_it_should_be(path: Path) -> None:
    assert named(path) == []
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [{name: line[name] for name in line if name != "check"} for line in lines] == RECORDS
    assert len({line["check"] for line in lines}) == 5


def test_an_empty_file_is_in_order(tmp_path: Path) -> None:
    (tmp_path / "x").touch()
    assert named(tmp_path / "x") == []


def test_every_flipped_bit_is_named_with_its_line(path: Path) -> None:
    whole = path.read_bytes()
    chance = random.Random(1)  # noqa: S311
    for at in range(len(whole)):
        data = bytearray(whole)
        data[at] ^= 1 << chance.randrange(8)
        path.write_bytes(data)
        line = whole[:at].count(b"\n") + 1
        # A newline that is gone joins two lines, one that has come divides one.
        assert named(path)[0] in (line, line + 1), at


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_lines_that_go_come_or_move_are_named(data: st.DataObject) -> None:
    path = RAM / f"kikitori-callfile-{os.getpid()}"
    try:
        for record in RECORDS:
            callfile.append(path, record)
        lines = path.read_bytes().splitlines(keepends=True)
        other = data.draw(st.lists(st.sampled_from(lines), max_size=7))
        path.write_bytes(b"".join(other))
        # What is missing at the end cannot be told from the file alone.
        assert (named(path) == []) == (other == lines[: len(other)])
    finally:
        path.unlink(missing_ok=True)


@pytest.mark.parametrize("debris", [b'{"conv', b"\xff\xfe", b"[[[[", b"3"])
def test_what_a_crash_cut_off_is_named_and_spoils_no_other_line(path: Path, debris: bytes) -> None:
    with path.open("ab") as file:
        file.write(debris)
    assert named(path) == [6]
    callfile.append(path, RECORDS[0])
    callfile.append(path, RECORDS[1])
    assert named(path) == [6]


@pytest.mark.parametrize("part", [0, 1, 40])
def test_a_full_disk_leaves_nothing_of_a_line(path: Path, part: int, monkeypatch: pytest.MonkeyPatch) -> None:
    before = path.read_bytes()

    def full(handle: int, data: bytes) -> None:
        os.write(handle, data[:part])
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(callfile, "_write", full)
        with pytest.raises(OSError, match="full"):
            callfile.append(path, RECORDS[0])
    assert path.read_bytes() == before
    callfile.append(path, RECORDS[0])
    assert named(path) == []


def test_the_line_in_the_documentation_is_one(tmp_path: Path) -> None:
    page = (ROOT / "docs/reference/formats.md").read_text()
    found = re.search(r'^(\{"answered": .*\})$', page, re.MULTILINE)
    assert found
    (tmp_path / "x").write_text(f"{found[1]}\n")
    assert named(tmp_path / "x") == []
