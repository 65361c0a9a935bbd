"""The access log: appended to by several processes, killed in the middle, and every change of it named."""

import hashlib
import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recorder.access.entry import LONGEST_ENTRY
from recorder.access.errors import EntryError, LogBusyError, LogDamagedError, LogFileError, LogWriteError
from recorder.access.log import AccessLog, _create
from recorder.access.merkle import EMPTY_ROOT, leaf_hash, root_of

ROOT = Path(__file__).parents[4]
NOW = datetime(2026, 4, 1, tzinfo=UTC)
APPENDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from recorder.access.log import AccessLog
name, times = sys.argv[2], int(sys.argv[3])
with AccessLog(Path(sys.argv[1]), busy_timeout=60) as log:
    for number in range(times):
        ts = datetime(2026, 4, 1, tzinfo=UTC)
        entry = log.append(ts=ts, actor=name, action="play", object=f"r{number}", detail={"n": number})
        print(entry.seq, flush=True)
"""


@pytest.fixture
def log(tmp_path: Path) -> Iterator[AccessLog]:
    with AccessLog(tmp_path / "access.db") as made:
        yield made


def put(log: AccessLog, count: int = 1, **changes: Any) -> None:
    for _ in range(count):
        number = log.head().size
        values = {
            "actor": f"staff-{number}",
            "action": "play",
            "object": f"recording-{number % 3}",
            "detail": {"n": number},
        }
        log.append(**{"ts": NOW + timedelta(seconds=number)} | values | changes)


def start(path: Path, name: str, times: int) -> subprocess.Popen[str]:
    command = [sys.executable, "-c", APPENDER, str(path), name, str(times)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def attack(path: Path, *statements: str) -> None:
    """Change the file as someone would who can write it: the triggers are no obstacle."""
    with closing(sqlite3.connect(path, isolation_level=None)) as connection:
        triggers = list(connection.execute("SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"))
        for statement in (*(f"DROP TRIGGER {name}" for name, _ in triggers), *statements):
            connection.execute(statement)
        for _, sql in triggers:
            with suppress(sqlite3.OperationalError):  # its table may be gone
                connection.execute(sql)


def test_the_bytes_are_as_documented(log: AccessLog) -> None:
    first = log.append(
        ts=datetime(2026, 4, 1, 9, tzinfo=timezone(timedelta(hours=9))),
        actor="staff-7",
        action="play.intent",
        object="0f9d1c3e",
        detail={"purpose": "応対品質の管理", "at": 1.5},
    )
    second = log.append(ts=NOW, actor="staff-7", action="play.result", object="0f9d1c3e", detail={})
    assert first.raw.decode() == (
        '{"action":"play.intent","actor":"staff-7","detail":{"at":1.5,"purpose":"応対品質の管理"},"object":"0f9d1c3e",'
        f'"prev":"{"0" * 64}","seq":0,"ts":"2026-04-01T00:00:00.000000Z"}}'
    )
    assert json.loads(second.raw)["prev"] == hashlib.sha256(first.raw).hexdigest() == first.digest
    assert list(log.entries()) == [first, second]
    head = log.head()
    assert (head.size, head.last) == (2, second.digest)
    assert head.root == root_of([leaf_hash(first.raw), leaf_hash(second.raw)])


@pytest.mark.rule("B-07")
def test_reading_searching_and_verifying(log: AccessLog) -> None:
    assert log.verify().problems == ()
    assert (log.verify().size, log.verify().root) == (0, EMPTY_ROOT)
    put(log, 2500)  # more than two batches of reading
    assert [entry.seq for entry in log.entries()] == list(range(2500))
    assert [entry.seq for entry in log.entries(2498)] == [2498, 2499]
    assert [entry.seq for entry in log.find(object="recording-1")] == list(range(1, 2500, 3))
    assert list(log.find(object="recording-1", action="erase")) == []
    put(log, action="erase", object="recording-1")
    assert [entry.seq for entry in log.find(object="recording-1", action="erase")] == [2500]
    assert [entry.seq for entry in log.find(action="erase")] == [2500]
    report = log.verify()
    assert (report.size, report.root, report.problems) == (2501, log.head().root, ())
    assert [leaf for _, leaf in log.leaves()] == [leaf_hash(entry.raw) for entry in log.entries()]


def test_a_clock_set_back_is_recorded_as_it_is(log: AccessLog) -> None:
    put(log, ts=NOW)
    put(log, ts=NOW - timedelta(hours=1))
    assert [entry.ts for entry in log.entries()] == [NOW, NOW - timedelta(hours=1)]
    assert log.verify().problems == ()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40, deadline=None)
@given(
    detail=st.dictionaries(
        st.text(st.characters(exclude_categories=["Cs"])),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.text(st.characters(exclude_categories=["Cs"])),
            lambda inner: st.lists(inner) | st.dictionaries(st.text("abc"), inner),
        ),
    )
)
def test_any_detail_comes_back(log: AccessLog, detail: dict[str, Any]) -> None:
    entry = log.append(ts=NOW, actor="a", action="b", object="c", detail=detail)
    assert entry.detail == detail
    assert list(log.entries(entry.seq)) == [entry]
    assert log.verify().problems == ()


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"actor": ""}, "actor"),
        ({"action": "a\nb"}, "action"),
        ({"object": "x" * 257}, "object"),
        ({"object": None}, "object"),
        ({"ts": datetime(2026, 4, 1)}, "time zone"),  # noqa: DTZ001  # what is refused
        ({"detail": {"x": float("nan")}}, "detail"),
        ({"detail": {"x": (1, 2)}}, "detail"),
        ({"detail": {1: 2}}, "detail"),
        ({"detail": {"x": b""}}, "detail"),
        ({"detail": {"x": "\ud800"}}, "detail"),
        ({"detail": {"x": "y" * LONGEST_ENTRY}}, "at most 65535"),
    ],
)
def test_what_is_refused_leaves_nothing(log: AccessLog, changes: dict[str, Any], named: str) -> None:
    put(log)
    with pytest.raises(EntryError, match=named):
        put(log, **changes)
    put(log)
    assert (log.verify().size, log.verify().problems) == (2, ())


def test_two_processes_append_at_once(tmp_path: Path) -> None:
    """Both also find no file at first: one makes it, the other takes it."""
    path = tmp_path / "access.db"
    both = [start(path, name, 150) for name in ("recorder", "desk")]
    said = [[int(line) for line in process.communicate(timeout=120)[0].split()] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sorted(said[0] + said[1]) == list(range(300))
    with AccessLog(path) as log:
        assert (log.verify().size, log.verify().problems) == (300, ())
        written = {name: [entry.seq for entry in log.entries() if entry.actor == name] for name in ("recorder", "desk")}
    assert written == {"recorder": said[0], "desk": said[1]}
    assert [each.name for each in tmp_path.iterdir() if each.name.startswith(".")] == []


def test_a_killed_process_leaves_a_log_that_verifies(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    acknowledged = -1
    for round_number in range(6):
        with start(path, "recorder", 1_000_000) as process:
            assert process.stdout
            for _ in range(1 + 7 * round_number):
                acknowledged = int(process.stdout.readline())
            process.send_signal(signal.SIGKILL)
            rest = process.stdout.read().split("\n")[:-1]
            acknowledged = int(rest[-1]) if rest else acknowledged
        with AccessLog(path) as log:
            report = log.verify()
            assert report.problems == ()
            # One more than was said is allowed: killed between the commit and the word.
            assert acknowledged + 1 <= report.size <= acknowledged + 2
            put(log)
            assert log.verify().problems == ()


def test_who_comes_second_takes_the_log_that_is_there(log: AccessLog) -> None:
    """Both processes saw no file; the first has already written when the second one's is ready."""
    put(log)
    _create(log.path, 0o600)
    assert (log.verify().size, stat.S_IMODE(log.path.stat().st_mode)) == (1, 0o660)
    assert {path.name for path in log.path.parent.iterdir()} == {"access.db", "access.db-wal", "access.db-shm"}


@pytest.mark.parametrize("seq", range(1, 5))
def test_a_changed_prev_is_not_laid_to_the_entry_before(log: AccessLog, seq: int) -> None:
    put(log, 5)
    raw = next(log.entries(seq)).raw
    at = raw.index(b'"prev":"') + 8
    changed = raw[:at] + bytes([raw[at] ^ 1]) + raw[at + 1 :]
    attack(log.path, f"UPDATE entries SET entry = x'{changed.hex()}' WHERE seq = {seq}")  # noqa: S608  # as above
    assert log.verify().problems == (f"entry {seq}: its bytes were changed",)


def test_threads_share_a_log(log: AccessLog) -> None:
    threads = [threading.Thread(target=put, args=(log, 25), kwargs={"actor": name}) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (log.verify().size, log.verify().problems) == (100, ())


def test_the_group_can_write_and_others_cannot_read(tmp_path: Path) -> None:
    before = os.umask(0o077)
    try:
        with AccessLog(tmp_path / "access.db") as log:
            put(log)
            modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()}
    finally:
        os.umask(before)
    assert modes == dict.fromkeys(("access.db", "access.db-wal", "access.db-shm"), 0o660)


def test_each_entry_is_synced_and_no_other_database_is_needed(log: AccessLog) -> None:
    assert log._connection.execute("PRAGMA synchronous").fetchone() == (2,)
    check = "import sys, recorder.access.checkpoint; sys.exit('sqlalchemy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", check], cwd=ROOT, check=False).returncode == 0


def test_a_busy_log_says_so_and_writes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    with AccessLog(path, busy_timeout=0.05) as log, closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(LogBusyError, match=r"access\.db"):
            put(log)
        other.execute("ROLLBACK")
        put(log)
        assert log.verify().size == 1


def test_a_full_disk_says_so_and_writes_nothing(log: AccessLog) -> None:
    put(log)
    pages = log._connection.execute("PRAGMA page_count").fetchone()[0]
    log._connection.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(LogWriteError, match="full"):
        put(log, 100, detail={"x": "y" * 5000})
    size = log.head().size
    log._connection.execute("PRAGMA max_page_count = 100000")
    put(log)
    assert (log.verify().size, log.verify().problems) == (size + 1, ())


def test_a_replaced_file_is_not_written_into(log: AccessLog) -> None:
    put(log)
    log.path.rename(log.path.with_name("elsewhere.db"))
    with pytest.raises(LogWriteError):
        put_blindly(log)
    with AccessLog(log.path):
        pass
    with pytest.raises(LogFileError, match="replaced"):
        put_blindly(log)


def put_blindly(log: AccessLog) -> None:
    log.append(ts=NOW, actor="a", action="b", object="c", detail={})


def test_other_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "access.db"
    for content in (b"", b"not a database, but longer than a header of one hundred bytes " * 3):
        path.write_bytes(content)
        with pytest.raises(LogFileError, match=r"access\.db"):
            AccessLog(path)
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE entries (seq INTEGER)")
    with pytest.raises(LogFileError, match="not made by this program"):
        AccessLog(path)
    path.unlink()
    AccessLog(path).close()
    attack(path, "PRAGMA user_version = 2")
    with pytest.raises(LogFileError, match="version 2"):
        AccessLog(path)
    with pytest.raises(LogFileError, match="cannot be opened"):
        AccessLog(tmp_path / "missing" / "access.db")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE entries SET entry = x'00'",
        "UPDATE entries SET action = 'x' WHERE seq = 1",
        "DELETE FROM entries WHERE seq = 2",
        "DELETE FROM entries",
        "INSERT INTO entries VALUES (9, x'00', x'00', '', '', '')",
        "INSERT OR REPLACE INTO entries VALUES (1, x'00', x'00', '', '', '')",
        "INSERT INTO entries (entry, leaf) VALUES (x'00', x'00')",
        "DELETE FROM head",
        "UPDATE head SET size = 0",
        "UPDATE head SET last = zeroblob(32)",
        "INSERT INTO head VALUES (1, 0, x'00', x'00')",
        "INSERT OR REPLACE INTO head VALUES (0, 0, x'00', x'00')",
    ],
)
def test_statements_that_change_the_past_are_refused(log: AccessLog, statement: str) -> None:
    put(log, 3)
    with closing(sqlite3.connect(log.path)) as connection, pytest.raises(sqlite3.IntegrityError):
        connection.execute(statement)
    assert (log.verify().size, log.verify().problems) == (3, ())


@pytest.mark.rule("B-07")
@settings(max_examples=60, deadline=None)
@given(data=st.data(), column=st.sampled_from(["entry", "leaf"]), seq=st.integers(0, 6))
def test_one_changed_bit_is_named(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject, column: str, seq: int
) -> None:
    path = tmp_path_factory.mktemp("log") / "access.db"
    with AccessLog(path) as log:
        put(log, 7)
        with closing(sqlite3.connect(path)) as connection:
            value = bytearray(connection.execute(f"SELECT {column} FROM entries WHERE seq = {seq}").fetchone()[0])  # noqa: S608  # the test's own words
        bit = data.draw(st.integers(0, len(value) * 8 - 1))
        value[bit // 8] ^= 1 << bit % 8
        attack(path, f"UPDATE entries SET {column} = x'{value.hex()}' WHERE seq = {seq}")  # noqa: S608  # as above
        what = "bytes were changed" if column == "entry" else "leaf hash was changed"
        assert log.verify().problems == (f"entry {seq}: its {what}",)


def rewritten(log: AccessLog, at: int, **changes: Any) -> str:
    """SQL that puts another entry in the place of `at`, with its leaf to match."""
    entry = next(log.entries(at))
    values = json.loads(entry.raw) | changes
    raw = json.dumps(values, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()
    return f"UPDATE entries SET entry = x'{raw.hex()}', leaf = x'{leaf_hash(raw).hex()}' WHERE seq = {at}"  # noqa: S608  # as above


@pytest.mark.parametrize("seq", range(5))
def test_an_entry_rewritten_with_its_leaf_is_named(log: AccessLog, seq: int) -> None:
    put(log, 5)
    attack(log.path, rewritten(log, seq, actor="nobody"))
    assert log.verify().problems == (f"entry {seq}: was rewritten: what follows was chained to other bytes",)


def test_an_entry_that_holds_half_a_character_is_named(log: AccessLog) -> None:
    put(log, 3)
    raw = next(log.entries(1)).raw.replace(b'"object":"recording-1"', b'"object":"\\ud800"')
    attack(log.path, f"UPDATE entries SET entry = x'{raw.hex()}' WHERE seq = 1")  # noqa: S608  # as above
    assert log.verify().problems == ("entry 1: its bytes were changed",)
    attack(log.path, f"UPDATE entries SET leaf = x'{leaf_hash(raw).hex()}' WHERE seq = 1")  # noqa: S608  # as above
    assert "entry 1: the columns to search by were changed" in log.verify().problems


def test_whether_something_was_ever_done(log: AccessLog) -> None:
    put(log, 3)
    action = next(log.entries(0)).action
    assert log.ever(action)
    assert not log.ever("account.enrolled")


@pytest.mark.parametrize(
    ("statements", "problems"),
    [
        (["DELETE FROM entries WHERE seq = 3"], ["entry 3: missing"]),
        (["DELETE FROM entries WHERE seq = 0"], ["entry 0: missing"]),
        (["DELETE FROM entries WHERE seq IN (2, 3)"], ["entries 2 to 3: missing"]),
        (["DELETE FROM entries WHERE seq >= 4"], ["entries 4 to 5: missing at the end, the head counts 6"]),
        (["DELETE FROM entries"], ["entries 0 to 5: missing at the end, the head counts 6"]),
        (
            ["UPDATE entries SET seq = -2 WHERE seq = 5"],
            ["entry -2: a number that the log does not give", "entry 5: missing at the end, the head counts 6"],
        ),
        (["UPDATE entries SET object = 'other' WHERE seq = 2"], ["entry 2: the columns to search by were changed"]),
        (["UPDATE entries SET action = NULL WHERE seq = 5"], ["entry 5: the columns to search by were changed"]),
        (["UPDATE entries SET at = x'ff' WHERE seq = 1"], ["entry 1: the columns to search by were changed"]),
        (
            ["UPDATE entries SET object = CAST(object AS BLOB) WHERE seq = 2"],
            ["entry 2: the columns to search by were changed"],
        ),
        (
            ["UPDATE entries SET action = CAST(action AS BLOB) WHERE seq = 2"],
            ["entry 2: the columns to search by were changed"],
        ),
        (
            ["UPDATE entries SET at = CAST(at AS BLOB) WHERE seq = 2"],
            ["entry 2: the columns to search by were changed"],
        ),
        (["DROP INDEX entries_object"], ["database: index entries_object is not as this program makes it"]),
        (["CREATE TABLE more (x)"], ["database: table more is not as this program makes it"]),
        (
            [
                "CREATE INDEX other ON entries (object, action) WHERE seq <> 2",
                "PRAGMA writable_schema = ON",
                "UPDATE sqlite_master SET rootpage = (SELECT rootpage FROM sqlite_master WHERE name = 'other') "
                "WHERE name = 'entries_object'",
                "DELETE FROM sqlite_master WHERE name = 'other'",
                "PRAGMA writable_schema = RESET",
            ],
            [
                "database: Page 3 is never used",
                "database: row 3 missing from index entries_object",
                "database: wrong # of entries in index entries_object",
            ],
        ),
        (["UPDATE entries SET entry = CAST(entry AS TEXT) WHERE seq = 2"], ["entry 2: its bytes were changed"]),
        (["UPDATE entries SET leaf = 'x' WHERE seq = 2"], ["entry 2: its leaf hash was changed"]),
        (["UPDATE head SET last = zeroblob(32)"], ["head: its hash of the last entry was changed"]),
        (["UPDATE head SET size = 9"], ["head: its size was changed: it says 9, there are 6 entries"]),
        (["UPDATE head SET size = 2"], ["head: its size was changed: it says 2, there are 6 entries"]),
        (["UPDATE head SET size = 'x'"], ["head: missing or cannot be read"]),
        (["UPDATE head SET frontier = x'00'"], ["head: missing or cannot be read"]),
        (["UPDATE head SET frontier = x'" + "0" * 15 + "6" + "0" * 128 + "'"], ["head: its frontier was changed"]),
        (["DELETE FROM head"], ["head: missing or cannot be read"]),
        (["DROP TABLE entries"], ["database: cannot be read after entry -1 (no such table: entries)"]),
    ],
)
def test_other_changes_are_named(log: AccessLog, statements: list[str], problems: list[str]) -> None:
    put(log, 6)
    attack(log.path, *statements)
    assert list(log.verify().problems) == problems


def test_an_entry_that_calls_itself_another_is_named(log: AccessLog) -> None:
    put(log, 6)
    attack(log.path, rewritten(log, 3, seq=4))
    assert "entry 3: calls itself entry 4" in log.verify().problems
    with pytest.raises(LogDamagedError, match="entry 3: calls itself entry 4"):
        list(log.entries())


def test_entries_added_behind_the_head_are_named(log: AccessLog) -> None:
    put(log, 4)
    row = log._connection.execute("SELECT size, last, frontier FROM head").fetchone()
    put(log, 2)
    last, frontier = row[1].hex(), row[2].hex()
    attack(log.path, f"UPDATE head SET size = {row[0]}, last = x'{last}', frontier = x'{frontier}'")  # noqa: S608  # as above
    assert log.verify().problems == ("entries 4 to 5: not in the head, which counts 4",)


def test_a_torn_head_stops_appending(log: AccessLog) -> None:
    put(log, 3)
    attack(log.path, "UPDATE head SET size = 2")
    with pytest.raises(LogDamagedError, match=r"head: .*run verify"):
        put_blindly(log)


def test_a_byte_changed_in_the_file_itself_is_named(log: AccessLog) -> None:
    put(log, 50)
    entry = next(log.entries(20))
    log.close()
    with closing(sqlite3.connect(log.path)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    content = log.path.read_bytes()
    assert content.count(entry.raw) == 1
    log.path.write_bytes(content.replace(entry.raw, entry.raw.replace(b"staff-20", b"staff-21")))
    with AccessLog(log.path) as again:
        assert again.verify().problems == ("entry 20: its bytes were changed",)


def test_a_rotten_file_is_reported_and_not_raised(log: AccessLog) -> None:
    put(log, 400)
    log.close()
    content = bytearray(log.path.read_bytes())
    content[8 * 4096 :: 7] = b"\xff" * len(content[8 * 4096 :: 7])
    log.path.write_bytes(content)
    with AccessLog(log.path) as again:
        problems = again.verify().problems
    assert any(problem.startswith("database: cannot be read after entry ") for problem in problems)


def test_many_problems_are_counted(log: AccessLog) -> None:
    put(log, 150)
    attack(log.path, "UPDATE entries SET object = 'other'")
    problems = log.verify().problems
    assert len(problems) == 101
    assert problems[-1] == "and 50 more"
