"""Asterisk's file of events, read while it grows: of every channel all that is there, whoever reads beside."""

import gzip
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from cti import witness
from cti.calls.tracker import Tracker
from cti.witness import CelFile
from policies.load import Policies, shipped
from tests.unit.cti.test_steps import SECOND, row

PLAN = Policies(shipped()).plan
Write = Callable[..., None]


def told(number: int, file: CelFile) -> list[str]:
    """What is told of a channel: how many of its legs live, moment by moment."""
    moments = file.moments(f"pbx1-{SECOND}.{number}", Tracker(pbx="pbx1", plan=PLAN))
    return ["".join(leg.channel for leg in moment.legs) for moment in moments]


def starts(number: int) -> str:
    return row("", number, eventtype="CHAN_START", eventextra="")


def ends(number: int, after: float = 5) -> str:
    return row("", number, SECOND + after, uniqueid=f"pbx1-{SECOND}.{number}", linkedid=f"pbx1-{SECOND}.{number}",
               eventtype="CHAN_END", eventextra="")  # fmt: skip


@pytest.fixture
def cel(tmp_path: Path) -> Path:
    return tmp_path / "cel.csv"


def add(cel: Path, *rows: str) -> None:
    with cel.open("a", encoding="utf-8", newline="") as file:
        file.write("".join(rows))


def test_what_is_written_between_two_questions_is_in_the_next_answer(cel: Path) -> None:
    file = CelFile(cel)
    assert told(1, file) == []
    add(cel, starts(1))
    assert told(1, file) == ["PJSIP/trunk-00000001"]
    add(cel, ends(1)[:40])
    assert told(1, file) == ["PJSIP/trunk-00000001"]
    add(cel, ends(1)[40:], starts(2))
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]
    assert told(2, file) == ["PJSIP/trunk-00000002"]


def test_a_file_that_was_rotated_is_remembered_and_the_new_one_read(cel: Path) -> None:
    file = CelFile(cel)
    add(cel, starts(1))
    assert told(1, file) == ["PJSIP/trunk-00000001"]
    cel.rename(cel.with_suffix(".1"))
    add(cel, ends(1))
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]


def test_what_was_written_before_it_was_rotated_is_read_first(cel: Path) -> None:
    file = CelFile(cel)
    file.refresh()
    add(cel, starts(1))
    assert told(1, file) == ["PJSIP/trunk-00000001"]
    add(cel, starts(2))
    cel.rename(cel.with_suffix(".1"))
    add(cel, ends(1))
    assert told(2, file) == ["PJSIP/trunk-00000002"]
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]


@pytest.mark.parametrize("packed", [False, True])
def test_what_was_put_aside_before_we_came_is_read_too(cel: Path, packed: bool) -> None:
    add(cel, ends(3), starts(1), starts(2))
    aside = cel.rename(cel.with_suffix(".csv.1"))
    if packed:
        aside.with_suffix(".1.gz").write_bytes(gzip.compress(aside.read_bytes()))
        aside.unlink()
    else:
        aside.with_suffix(".1.gz").write_bytes(b"half of what is being packed"[:10])
    add(cel, ends(1))
    file = CelFile(cel)
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]
    assert told(2, file) == ["PJSIP/trunk-00000002"]


@pytest.mark.parametrize("damage", ["a page of zeros", "cut off", "another packer"])
def test_what_was_put_aside_and_cannot_be_read_is_passed_over(cel: Path, damage: str) -> None:
    add(cel, *(starts(number) for number in range(100, 3000)))
    packed = bytearray(gzip.compress(cel.read_bytes()))
    if damage == "a page of zeros":
        packed[4096:8192] = bytes(4096)
    name = "cel.csv.1.zst" if damage == "another packer" else "cel.csv.1.gz"
    cel.with_name(name).write_bytes(packed if damage != "cut off" else packed[:-100])
    cel.unlink()
    add(cel.with_suffix(".csv.2"), starts(1))
    os.utime(cel.with_suffix(".csv.2"), (0, 0))
    add(cel, ends(1), starts(2))
    file = CelFile(cel)
    assert told(2, file) == ["PJSIP/trunk-00000002"]
    assert told(1, file) == ["PJSIP/trunk-00000001", ""], "and what lies behind it is read"


def test_of_what_was_put_aside_no_more_is_read_than_of_a_file(cel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "TAIL", len(starts(2)) + len(ends(1)))
    add(cel, starts(1), starts(2))
    cel.rename(cel.with_suffix(".csv.1"))
    add(cel, ends(1))
    file = CelFile(cel)
    assert told(2, file) == ["PJSIP/trunk-00000002"]
    assert told(1, file) == [], "half a history is none"


def test_a_file_that_was_emptied_is_read_anew(cel: Path) -> None:
    file = CelFile(cel)
    add(cel, starts(1), starts(2))
    assert told(1, file) == ["PJSIP/trunk-00000001"]
    cel.write_text("")
    add(cel, ends(1))
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]


def test_rows_count_in_the_order_in_which_they_were_written_whatever_the_clock_says(cel: Path) -> None:
    file = CelFile(cel)
    add(cel, starts(1), ends(1, after=-30))
    assert told(1, file) == ["PJSIP/trunk-00000001", ""]


def test_what_is_too_long_ago_is_forgotten_and_the_rest_is_not(cel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(witness, "REMEMBERED", 2)
    file = CelFile(cel)
    add(cel, *map(starts, range(1, 5)))
    assert [told(number, file) != [] for number in range(1, 5)] == [False, False, True, True]


@pytest.mark.parametrize("path", [None, "missing", "a folder"])
def test_where_nothing_can_be_read_nothing_is_known(tmp_path: Path, path: str | None) -> None:
    (tmp_path / "a folder").mkdir()
    assert told(1, CelFile(tmp_path / path if path else None)) == []


def test_who_asks_while_another_reads_a_day_waits_and_hears_all_of_it(
    cel: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(cel, starts(1), ends(1))
    reading, may_go_on = threading.Event(), threading.Event()

    class Slow(CelFile):
        def _take(self, text: str) -> None:
            reading.set()
            assert may_go_on.wait(10)
            super()._take(text)

    file = Slow(cel)
    with ThreadPoolExecutor(2) as pool:
        refreshing = pool.submit(file.refresh)
        assert reading.wait(10)
        asking = pool.submit(told, 1, file)
        may_go_on.set()
        refreshing.result(10)
        assert asking.result(10) == ["PJSIP/trunk-00000001", ""]
