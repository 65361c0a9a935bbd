"""What Asterisk wrote of a day: rotated, packed, cut off, grown for years; and what is left of it for the desk."""

import bz2
import csv
import gzip
import io
import lzma
import os
from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.calls.cel import CDR_COLUMNS, CEL_COLUMNS, CelEvent
from cti.records import Day, WitnessError, condense, load_day, witness_file
from policies.load import Policies, shipped
from tests.unit.cti.test_completeness import DAY, NOON, NOW, at, call
from tests.unit.recorder.rig import ram_folder

PLAN = Policies(shipped()).plan
NUMBER = '0903\n"CHAN_END","1.0",\'x\''


def text_of(events: Sequence[CelEvent], number: str = "0901234567") -> str:
    """As cel_custom writes them, with the caller's number as the network sent it."""
    text = io.StringIO()
    writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
    writer.writerows([(event.row | {"callernum": number})[name] for name in CEL_COLUMNS] for event in events)
    return text.getvalue()


def billed_text(first: float, seconds: float, serial: int) -> str:
    row = dict.fromkeys(CDR_COLUMNS, "")
    times = {"start": first - 5, "answer": first, "end": first + seconds}
    row |= {name: f"{at(when).timestamp():.6f}" for name, when in times.items()}
    row |= {"billsec": f"{seconds:.6f}", "disposition": "ANSWERED", "channel": f"PJSIP/trunk-{serial:08x}"}
    row |= {"dstchannel": f"PJSIP/2001-{serial + 1:08x}", "uniqueid": f"pbx1-1790000000.{serial}"}
    row["linkedid"] = row["uniqueid"]
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow(row[name] for name in CDR_COLUMNS)
    return text.getvalue()


def written(path: Path, data: bytes, when: datetime = NOW) -> Path:
    path.write_bytes(data)
    os.utime(path, (when.timestamp(), when.timestamp()))
    return path


def made(folder: Path, day: date = DAY) -> Day:
    (folder / "witness").mkdir(exist_ok=True)
    condense(folder / "cel.csv", folder, "pbx1", day, kind=PLAN.kind, internal_too=True)
    return load_day(witness_file(folder, day))


@pytest.mark.parametrize("number", ["0901234567", NUMBER, '09"', "09\r\n1", "山田"])
def test_a_day_is_condensed_and_holds_no_number(tmp_path: Path, number: str) -> None:
    events = [*call(), *call(100, 130, serial=10)]
    written(tmp_path / "cel.csv", text_of(events, number).encode("utf-8", "surrogateescape"))
    written(
        tmp_path / "cdr.csv", (billed_text(0, 60, 0) + billed_text(100, 30, 10) + billed_text(-90000, 5, 90)).encode()
    )
    day = made(tmp_path)
    assert [talk.start for talk in day.talks] == [at(0.01), at(100.01)]
    assert [row.seconds for row in day.billed] == [60, 30]
    text = witness_file(tmp_path, DAY).read_text()
    assert number not in text
    assert "0901234567" not in text
    assert [source["file"] for source in day.sources] == ["cel.csv", "cdr.csv"]


@pytest.mark.parametrize(
    ("suffix", "pack"), [("", bytes), (".gz", gzip.compress), (".bz2", bz2.compress), (".xz", lzma.compress)]
)
def test_what_was_put_aside_is_read_too(tmp_path: Path, suffix: str, pack: Callable[[bytes], bytes]) -> None:
    events = call()
    written(tmp_path / f"cel.csv.1{suffix}", pack(text_of(events[:5]).encode()), NOW - timedelta(hours=2))
    written(tmp_path / "cel.csv", text_of(events[5:]).encode())
    written(tmp_path / "cel.csv.9.gz", b"damaged, and older than anything of this day", NOW - timedelta(days=9))
    (talk,) = made(tmp_path).talks
    assert (talk.start, talk.end) == (at(0.01), at(60))


def test_a_packed_file_that_is_damaged_is_named(tmp_path: Path) -> None:
    written(tmp_path / "cel.csv", text_of(call()).encode())
    written(tmp_path / "cel.csv.1.gz", gzip.compress(bytes(range(250)))[:100])
    with pytest.raises(WitnessError, match=r"cel\.csv\.1\.gz: cannot be unpacked"):
        made(tmp_path)


def test_where_asterisk_wrote_nothing_that_is_said(tmp_path: Path) -> None:
    with pytest.raises(WitnessError, match="do not reach back"):
        made(tmp_path)
    assert not list((tmp_path / "witness").iterdir())


def test_a_row_that_is_being_written_is_passed_over(tmp_path: Path) -> None:
    text = text_of(call())
    written(tmp_path / "cel.csv", text[: text.rindex("\n", 0, -1) + 20].encode())
    assert len(made(tmp_path).talks) == 1


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2000), st.integers(0, 3000))
def test_a_file_that_nobody_rotates_is_read_from_the_day_on(before: int, after: int) -> None:
    """Whatever lies before and behind it, the day is whole; and what is long before is not read at all."""
    rows = [call(-200_000 + number, -199_000 + number, serial=10)[0] for number in range(before)]
    later = [call(30_000 + number, 31_000 + number, serial=50)[0] for number in range(after)]
    with ram_folder() as folder:
        written(folder / "cel.csv", text_of([*rows, *call(), *later]).encode())
        day = made(folder)
        assert [(talk.start, talk.end) for talk in day.talks] == [(at(0.01), at(60))]
        (source,) = day.sources
        size = (folder / "cel.csv").stat().st_size
        assert source["bytes"] + source["from"] <= size
        assert source["from"] > 0 or before < 1000


def test_made_again_a_day_is_the_same(tmp_path: Path) -> None:
    written(tmp_path / "cel.csv", text_of(call()).encode())
    assert made(tmp_path) == made(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{}",
        "[]\n",
        '{"day":"x"}\n',
        "{" * 9000,
        '{"day":"2027-04-01","first":"2027-04-01T00:00:00Z","cdr":true,"sources":[]}\n{"talk":{}}',
    ],
)
def test_a_witness_that_is_not_as_it_was_written_is_refused(tmp_path: Path, text: str) -> None:
    path = written(tmp_path / "x.jsonl", text.encode())
    with pytest.raises(WitnessError, match="not as it was written"):
        load_day(path)


def test_a_call_of_the_evening_before_is_in_the_day_that_it_reaches_into(tmp_path: Path) -> None:
    midnight = (datetime(2027, 4, 1, tzinfo=UTC) - timedelta(hours=9) - NOON).total_seconds()
    events = [*call(midnight - 600, midnight + 600), *call(midnight - 200_000, midnight - 190_000, serial=10)]
    written(tmp_path / "cel.csv", text_of(events).encode())
    assert [(talk.start, talk.end) for talk in made(tmp_path).talks] == [(at(midnight - 599.99), at(midnight + 600))]


def test_what_was_made_while_more_was_there_stays(tmp_path: Path) -> None:
    """Logrotate has dropped the day since: a later question must not destroy what is known of it."""
    early = call(-90_000, -89_000, serial=90)
    written(tmp_path / "cel.csv", text_of([*early, *call()]).encode())
    whole = made(tmp_path)
    written(tmp_path / "cel.csv", text_of(call(7200, 7260, serial=20)).encode())
    assert made(tmp_path) == whole
    with pytest.raises(WitnessError, match="do not reach back"):
        made(tmp_path, DAY - timedelta(days=1))


def test_a_file_that_is_packed_otherwise_is_named(tmp_path: Path) -> None:
    written(tmp_path / "cel.csv", text_of(call()).encode())
    written(tmp_path / "cel.csv.1.zst", b"x")
    with pytest.raises(WitnessError, match=r"cel\.csv\.1\.zst"):
        made(tmp_path)


@pytest.mark.parametrize("name", ["cel-20270401.csv", "cel.csv-20270401", "cel.csv.1"])
def test_other_names_of_logrotate_are_known(tmp_path: Path, name: str) -> None:
    written(tmp_path / name, text_of(call()).encode(), NOW - timedelta(hours=1))
    written(tmp_path / "cel.csv", text_of(call(7200, 7260, serial=20)).encode())
    assert len(made(tmp_path).talks) == 2


def test_whether_there_was_a_cdr_is_said(tmp_path: Path) -> None:
    written(tmp_path / "cel.csv", text_of(call()).encode())
    assert not made(tmp_path).cdr
    written(tmp_path / "cdr.csv", b"\0" * 200_000 + b"\n" + billed_text(0, 60, 0).encode())
    assert (made(tmp_path).cdr, len(made(tmp_path).billed)) == (True, 1)


def test_a_long_file_is_read_in_pieces_and_no_row_is_lost_between_them(tmp_path: Path) -> None:
    events = [event for number in range(2000) for event in call(number, number + 5, serial=10 * number)]
    data = text_of(events, NUMBER).encode()
    assert len(data) > 2_500_000
    written(tmp_path / "cel.csv", data)
    assert len(made(tmp_path).talks) == 2000
    written(tmp_path / "cel.csv", b"x" * 20_000_000)
    with pytest.raises(WitnessError, match="no rows of Asterisk's"):
        made(tmp_path)
