"""What the recorder tells others: nothing is lost where they cannot listen, nothing waits for them."""

import json
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from cti.callbook import CallRecord
from cti.journal import Journal
from recorder.access.log import AccessLog
from recorder.vault.manifest import digest
from tests.unit.recorder.rig import RATE, START, Rig, noise, ram_folder, record, take


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ram_folder() as folder:
        (folder / "vault/log").mkdir(parents=True)
        yield Rig(folder / "vault", folder / "spool")


def journal(rig: Rig) -> Journal:
    return Journal(lambda: AccessLog(rig.root / "log/access.db"), rig.vault, lambda: START)


def entries(rig: Rig, action: str) -> list[tuple[str, dict[str, object]]]:
    with AccessLog(rig.root / "log/access.db") as access:
        return [(entry.object, dict(entry.detail)) for entry in access.find(action=action)]


@pytest.mark.rule("B-07", "B-13")
def test_each_sealed_segment_is_in_the_log_with_the_hash_of_its_manifest(rig: Rig) -> None:
    rig.told = journal(rig)  # type: ignore[assignment]
    record(rig, "call", noise("l", RATE), noise("r", RATE), breaks=1)
    assert entries(rig, "segment.sealed") == [
        (path.name.removesuffix(".manifest"), {"manifest_sha256": digest(path.read_text())})
        for path in rig.vault.manifests()
    ]
    assert rig.vault.waiting("log") == []
    assert len(rig.vault.waiting("index")) == 2, "the catalogue is the desk's"


def test_a_log_that_cannot_be_written_holds_up_no_recording_and_is_told_later(rig: Rig) -> None:
    (rig.root / "log").rmdir()
    mine = journal(rig)
    rig.told = mine  # type: ignore[assignment]
    made = record(rig, "call", noise("l", RATE), noise("r", RATE), breaks=1)
    assert len(rig.parts(made.order.recording)) == 2
    assert len(rig.vault.waiting("log")) == 2
    mine.catch_up()
    assert len(rig.vault.waiting("log")) == 2
    (rig.root / "log").mkdir()
    for _ in range(2):
        mine.catch_up()
    names = [path.name.removesuffix(".manifest") for path in rig.vault.manifests()]
    assert [name for name, _ in entries(rig, "segment.sealed")] == names
    assert rig.vault.waiting("log") == []


def test_a_mark_without_a_manifest_waits(rig: Rig) -> None:
    (rig.vault.root / "outbox/log" / f"{take().order.recording}.001").touch()
    journal(rig).catch_up()
    assert rig.vault.waiting("log") == [f"{take().order.recording}.001"]


@pytest.mark.rule("B-02")
def test_dropped_sound_leaves_a_line_and_silence_none(rig: Rig) -> None:
    mine, made = journal(rig), take()
    mine.discarded(made, "no designated phone", 0)
    mine.discarded(made, "no designated phone", 12000)
    detail = {"conversation": made.order.conversation, "reason": "no designated phone", "seconds": 1.5}
    assert entries(rig, "sound.discarded") == [(made.id, detail)]


def call(**changes: object) -> CallRecord:
    values: dict[str, object] = {
        "conversation": take().order.conversation,
        "linkedid": "1",
        "arrived": START,
        "answered": None,
        "ended": START + timedelta(seconds=9),
        "number": "0664581132",
        "caller": None,
        "disposition": "lost",
        "recording": None,
    }
    return CallRecord(**values | changes)  # type: ignore[arg-type]


def lines(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_call_is_a_line_in_the_file_of_its_day(rig: Rig) -> None:
    mine = journal(rig)
    for number in range(3):
        mine.write(call(linkedid=str(number)))
    mine.write(call(arrived=START + timedelta(days=1)))
    mine.write(call(arrived=None, ended=START + timedelta(days=2)))
    mine.close()
    folder = rig.vault.root / "calls"
    assert [row["linkedid"] for row in lines(folder / "2026-04-01.jsonl")] == ["0", "1", "2"]
    assert lines(folder / "2026-04-01.jsonl")[0]["arrived"] == "2026-04-01T00:00:00+00:00"
    assert sorted(path.name for path in folder.iterdir()) == [f"2026-04-0{day}.jsonl" for day in (1, 2, 3)]


def test_a_line_that_a_full_disk_cut_off_does_not_spoil_the_next(rig: Rig) -> None:
    path = rig.vault.root / "calls/2026-04-01.jsonl"
    path.write_text('{"conversation": "cut o')
    mine = journal(rig)
    mine.write(call())
    mine.close()
    cut, whole = path.read_text().splitlines()
    assert cut == '{"conversation": "cut o'
    assert json.loads(whole)["linkedid"] == "1"


def test_a_disk_that_refuses_a_call_record_stops_nothing(rig: Rig) -> None:
    (rig.vault.root / "calls").rmdir()
    mine = journal(rig)
    mine.write(call())
    mine.close()


def test_what_is_no_segment_in_the_outbox_is_passed_over(rig: Rig) -> None:
    mine = journal(rig)
    rig.told = mine  # type: ignore[assignment]
    record(rig, "call", noise("l", RATE), noise("r", RATE))
    (rig.vault.root / "outbox/log/README").touch()
    mine.catch_up()
    assert len(entries(rig, "segment.sealed")) == 1
    assert rig.vault.waiting("log") == ["README"]
