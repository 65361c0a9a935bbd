"""Checkpoints: what was cut off or rewritten behind the log's own hashes, damage by one byte, and power loss."""

import base64
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.access import checkpoint
from recorder.access.checkpoint import Checkpoint, DamagedCheckpoint, read_checkpoints, verify, write_checkpoint
from recorder.access.errors import CheckpointError, RewoundLogError
from recorder.access.log import AccessLog
from recorder.access.merkle import leaf_hash, root_of
from recorder.vault.note import Signer, open_note, sign

NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)
SIGNER = Signer.generate("recorder.example/pbx1/log")
NAME = "2026-04-01.notes"


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AccessLog]:
    with AccessLog(tmp_path / "access.db") as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "second"
    made.mkdir()
    return made


def put(log: AccessLog, count: int = 1, actor: str = "staff-1") -> None:
    for _ in range(count):
        log.append(ts=NOW, actor=actor, action="play", object="r", detail={})


def write(log: AccessLog, folder: Path, now: datetime = NOW) -> str | None:
    return write_checkpoint(log, folder, SIGNER, SIGNER.name, now)


def write_some(log: AccessLog, folder: Path, count: int = 3) -> None:
    for _ in range(count):
        put(log, 10)
        assert write(log, folder)


def sizes(folder: Path) -> list[int]:
    return [each.size if isinstance(each, Checkpoint) else -1 for each in read_checkpoints(folder, SIGNER.verifier)]


def test_the_form_is_as_documented(log: AccessLog, folder: Path) -> None:
    put(log, 5)
    note = write(log, folder)
    assert note is not None
    root = root_of(leaf_hash(entry.raw) for entry in log.entries())
    text = f"recorder.example/pbx1/log\n5\n{base64.b64encode(root).decode()}\n"
    assert open_note(note, [SIGNER.verifier]) == text
    lines = (folder / NAME).read_text().split("\n")
    assert lines[:4] == [*text.split("\n")[:3], ""]
    assert lines[4].startswith("— recorder.example/pbx1/log ")
    assert lines[5:] == ["", ""]
    found = list(read_checkpoints(folder, SIGNER.verifier))
    assert found == [Checkpoint(origin=SIGNER.name, size=5, root=root, where=f"{NAME}:1", note=note)]


@pytest.mark.rule("B-07")
def test_nothing_is_written_twice_and_all_agrees(log: AccessLog, folder: Path) -> None:
    assert write(log, folder) is None
    assert list(folder.iterdir()) == []
    write_some(log, folder)
    assert write(log, folder) is None
    assert write(log, folder, NOW + timedelta(days=1)) is None
    put(log)
    assert write(log, folder, NOW + timedelta(days=1))
    put(log)
    assert write(log, folder, NOW)  # the clock was set back
    assert write(log, folder, NOW) is None
    assert [path.name for path in sorted(folder.iterdir())] == [NAME, "2026-04-02.notes"]
    assert sizes(folder) == [10, 20, 30, 32, 31]
    assert verify(log, folder, SIGNER.verifier) == ()


def test_the_day_is_that_of_utc(log: AccessLog, folder: Path) -> None:
    put(log)
    write(log, folder, datetime(2026, 4, 2, 8, 59, tzinfo=timezone(timedelta(hours=9))))
    assert [path.name for path in folder.iterdir()] == [NAME]


@pytest.mark.rule("B-07")
@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(data=st.data(), victim=st.integers(0, 2))
def test_one_changed_bit_is_named_and_the_others_still_count(
    log: AccessLog, folder: Path, data: st.DataObject, victim: int
) -> None:
    path = folder / NAME
    if not path.exists():
        write_some(log, folder)
    good = path.read_bytes()
    raw, size = bytearray(good), len(good) // 3
    # All of it but the two newlines that end it, which no signature covers.
    bit = data.draw(st.integers(0, (size - 2) * 8 - 1))
    raw[victim * size + bit // 8] ^= 1 << bit % 8
    path.write_bytes(raw)
    problems, left = verify(log, folder, SIGNER.verifier), [each for each in sizes(folder) if each > 0]
    path.write_bytes(good)
    # A byte that becomes a line break makes two records of one, and both are named.
    assert len(problems) == 1 or raw[victim * size + bit // 8] == ord("\n"), problems
    assert problems[0].startswith(f"{NAME}:{victim * 6 + 1}: "), problems
    assert left == [each for each in (10, 20, 30) if each != victim * 10 + 10]


@pytest.mark.parametrize("bit", range(16))
@pytest.mark.parametrize("victim", range(3))
def test_a_changed_separator_costs_no_checkpoint_but_its_neighbour(
    log: AccessLog, folder: Path, victim: int, bit: int
) -> None:
    write_some(log, folder)
    raw = bytearray((folder / NAME).read_bytes())
    raw[(victim + 1) * (len(raw) // 3) - 2 + bit // 8] ^= 1 << bit % 8
    (folder / NAME).write_bytes(raw)
    problems = verify(log, folder, SIGNER.verifier)
    assert len(problems) == 1, problems
    assert len([each for each in sizes(folder) if each > 0]) >= 2
    put(log)
    assert write(log, folder)
    assert sizes(folder)[-1] == 31


def cut(log: AccessLog, keep: int, refill: int) -> None:
    """What someone with the file and time does: a shorter log that is right in itself."""
    path = log.path.with_name("other.db")
    with AccessLog(path) as other:
        put(other, keep)
        put(other, refill, actor="nobody")
        assert other.verify().problems == ()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    shutil.move(path, log.path)


@pytest.mark.rule("B-07")
def test_entries_cut_off_are_found_though_the_log_agrees_with_itself(log: AccessLog, folder: Path) -> None:
    write_some(log, folder)
    log.close()
    cut(log, 25, 0)
    with AccessLog(log.path) as short:
        assert short.verify().problems == ()
        said = f"{NAME}:13: the log had 30 entries and has 25: entries 25 to 29 were cut off"
        assert verify(short, folder, SIGNER.verifier) == (said,)
        with pytest.raises(RewoundLogError, match=r"25 entries, 2026-04-01\.notes:13 has 30"):
            write(short, folder)
    assert sizes(folder) == [10, 20, 30]


@pytest.mark.rule("B-07")
def test_entries_rewritten_are_found_and_bracketed(log: AccessLog, folder: Path) -> None:
    write_some(log, folder)
    log.close()
    cut(log, 15, 15)
    with AccessLog(log.path) as rewritten:
        assert rewritten.verify().problems == ()
        found = verify(rewritten, folder, SIGNER.verifier)
        assert [problem.partition(",")[0] for problem in found] == [
            f"{NAME}:7: the root of the first 20 entries differs: one of entries 10 to 19 was changed",
            f"{NAME}:13: the root of the first 30 entries differs: one of entries 10 to 29 was changed",
        ]
        with pytest.raises(RewoundLogError, match=r"30 entries are not those of 2026-04-01\.notes:13"):
            write(rewritten, folder)


def test_an_emptied_log_is_found(log: AccessLog, folder: Path) -> None:
    write_some(log, folder, 1)
    log.close()
    log.path.unlink()
    with AccessLog(log.path) as empty:
        assert verify(empty, folder, SIGNER.verifier) == (
            f"{NAME}:1: the log had 10 entries and has 0: entries 0 to 9 were cut off",
        )
        with pytest.raises(RewoundLogError):
            write(empty, folder)


def test_a_checkpoint_by_another_key_is_named(log: AccessLog, folder: Path) -> None:
    write_some(log, folder, 1)
    other = Signer.generate(SIGNER.name)
    put(log)
    write_checkpoint(log, folder, other, other.name, NOW)
    (problem,) = verify(log, folder, SIGNER.verifier)
    assert problem.startswith(f"{NAME}:7: ")
    assert "known key" in problem


@pytest.mark.parametrize(
    "text",
    [
        "another/origin\n5\n{root}\n",
        "{origin}\n05\n{root}\n",
        "{origin}\n-5\n{root}\n",
        "{origin}\n５\n{root}\n",
        "{origin}\n5\nAAAA\n",
        "{origin}\n5\n",
        "{origin}\n5\n{root}\n\nmore\n",
    ],
)
def test_a_signed_note_that_is_no_checkpoint(folder: Path, text: str) -> None:
    root = base64.b64encode(bytes(32)).decode()
    note = sign(text.format(origin=SIGNER.name, root=root), [SIGNER])
    (folder / NAME).write_text(f"{note}\n")
    found = list(read_checkpoints(folder, SIGNER.verifier))
    assert found
    assert all(isinstance(each, DamagedCheckpoint) for each in found)


def test_power_loss_at_every_byte(log: AccessLog, folder: Path) -> None:
    """Cut the last note anywhere: what is before it counts, readers say so, the next writer leaves a whole file."""
    put(log, 10)
    write(log, folder)
    put(log, 10)
    write(log, folder)
    path = folder / NAME
    whole = path.read_bytes()
    size = len(whole) // 2
    for length in range(size, len(whole)):
        path.write_bytes(whole[:length])
        reported = verify(log, folder, SIGNER.verifier)
        complete = length in (size, len(whole) - 1)
        assert bool(reported) is not complete, length
        assert complete or reported[0].startswith(f"{NAME}:7: cut off"), reported
        put(log)
        assert write(log, folder)
        assert verify(log, folder, SIGNER.verifier) == ()
        assert sizes(folder) == [10, *([20] if length == len(whole) - 1 else []), log.head().size]


def test_zeros_after_power_loss_are_trimmed(log: AccessLog, folder: Path) -> None:
    write_some(log, folder)
    with (folder / NAME).open("ab") as file:
        file.write(bytes(200))
    assert "cut off" in verify(log, folder, SIGNER.verifier)[0]
    put(log)
    write(log, folder)
    assert verify(log, folder, SIGNER.verifier) == ()
    assert sizes(folder) == [10, 20, 30, 31]


@pytest.mark.rule("B-07")
def test_a_damaged_but_whole_last_checkpoint_is_kept_as_evidence(log: AccessLog, folder: Path) -> None:
    write_some(log, folder)
    path = folder / NAME
    for old, new in (("— ", "x "), ("30\n", "31\n")):
        before = path.read_bytes()
        last = before.rindex(SIGNER.name.encode() + b"\n30\n")
        path.write_bytes(before[:last] + before[last:].replace(old.encode(), new.encode()))
        damaged = path.read_bytes()
        put(log)
        assert write(log, folder)
        assert path.read_bytes().startswith(damaged)
        assert sizes(folder) == [10, 20, -1, log.head().size]
        path.write_bytes(before)


def test_a_lost_medium_is_said(log: AccessLog, folder: Path) -> None:
    put(log)
    folder.rmdir()
    for call in (lambda: write(log, folder), lambda: verify(log, folder, SIGNER.verifier), lambda: sizes(folder)):
        with pytest.raises(CheckpointError, match="is the medium mounted"):
            call()


def test_a_log_without_any_checkpoint_is_a_problem(log: AccessLog, folder: Path) -> None:
    assert verify(log, folder, SIGNER.verifier) == ()
    put(log)
    assert verify(log, folder, SIGNER.verifier) == (f"{folder}: has no checkpoint of this log",)


def test_bad_arguments(log: AccessLog, folder: Path) -> None:
    with pytest.raises(CheckpointError, match="must be the same"):
        write_checkpoint(log, folder, SIGNER, "another", NOW)
    with pytest.raises(CheckpointError, match="time zone"):
        write(log, folder, NOW.replace(tzinfo=None))


@pytest.mark.rule("B-07")
def test_the_end_of_a_long_day_is_read_and_more_of_it_where_the_end_is_damaged(
    log: AccessLog, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    monkeypatch.setattr("recorder.access.checkpoint._TAIL", 512)
    records = checkpoint._records
    monkeypatch.setattr(
        checkpoint, "_records", lambda content, origin: (read.append(len(content)), records(content, origin))[1]
    )
    write_some(log, folder, 30)
    path, size = folder / NAME, (folder / NAME).stat().st_size
    assert size > 4096
    read.clear()
    put(log)
    assert write(log, folder)
    assert max(read) == 512, "whatever the day has"
    before = path.read_bytes()
    for spoilt in (bytes(2000), b"x" * 2000, b"\xff\n" * 1000, b"\n" * 2000, before[-2000:].replace(b"=", b"+")):
        path.write_bytes(before + spoilt)
        put(log)
        assert write(log, folder), "the last one is found behind the damage, or before it"
        assert sizes(folder)[-1] == log.head().size
        assert path.read_bytes().startswith(before)
    path.write_bytes(before)
    with AccessLog(folder / "other.db") as other:
        put(other, 5)
        with pytest.raises(RewoundLogError, match=NAME):
            write(other, folder)
