"""The access log: an append-only SQLite file in which each entry names the one before (B-07).

```
entries   seq, the exact bytes (see `entry`), leaf = SHA-256(0x00 || entry) (see `merkle`); three columns to search by
head      size, SHA-256 of the last entry, frontier over all leaves; written in the entry's own transaction
```

SQLite by itself, so that a lost database server does not stop a recorder. WAL with synchronous=FULL: an entry that
`append` has returned survives a power cut. Triggers keep honest code honest; whoever can write the file can drop
them, which is why `verify` recomputes everything and checkpoints go to another medium.
"""

import hashlib
import os
import sqlite3
import tempfile
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from recorder.access.audit import Report, audit, made_of
from recorder.access.entry import Draft, Entry, parse_entry
from recorder.access.errors import LogBusyError, LogDamagedError, LogFileError, LogWriteError
from recorder.access.merkle import Frontier, leaf_hash
from recorder.vault.manifest import stamp

_BATCH = 1000
_APPLICATION = 0x4B4B544C
_VERSION = 1

# The insert triggers are there because INSERT OR REPLACE removes a row without firing a delete trigger.
_SCHEMA = """
CREATE TABLE entries
(seq INTEGER PRIMARY KEY, entry BLOB NOT NULL, leaf BLOB NOT NULL, object TEXT, action TEXT, at TEXT);
CREATE INDEX entries_object ON entries (object, action);
CREATE TABLE head
(id INTEGER PRIMARY KEY CHECK (id = 0), size INTEGER NOT NULL, last BLOB NOT NULL, frontier BLOB NOT NULL);
INSERT INTO head VALUES (0, 0, zeroblob(32), zeroblob(8));
CREATE TRIGGER entries_no_update BEFORE UPDATE ON entries
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER entries_no_delete BEFORE DELETE ON entries
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER entries_in_order BEFORE INSERT ON entries WHEN NEW.seq IS NOT (SELECT size FROM head)
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER head_no_insert BEFORE INSERT ON head
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER head_no_delete BEFORE DELETE ON head
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
CREATE TRIGGER head_grows BEFORE UPDATE ON head WHEN NEW.size IS NOT OLD.size + 1
BEGIN SELECT RAISE(ABORT, 'the access log is append-only'); END;
"""


@cache
def _schema() -> frozenset[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(_SCHEMA)
        return made_of(connection)


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The log's end: number of entries, RFC 6962 root (32 bytes), hex SHA-256 of the last entry (zeros if none)."""

    size: int
    root: bytes
    last: str


class AccessLog:
    """The log at `path`. Threads may share one; processes open their own and may append at the same time.

    A process that forks opens its own after the fork.
    """

    def __init__(self, path: Path, *, busy_timeout: float = 5.0, mode: int = 0o660) -> None:
        """Open, or create with `mode` whatever the umask. `busy_timeout` in seconds. Raises LogFileError."""
        self.path = path
        self._timeout = busy_timeout
        self._lock = threading.Lock()
        try:
            if not path.exists():
                _create(path, mode)
            self._file = _identity(path)
            self._connection = self._connect()
        except (OSError, sqlite3.Error) as error:
            raise LogFileError(f"{path}: cannot be opened as an access log ({error})") from error

    def __enter__(self) -> Self:
        """The log itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close."""
        self.close()

    def close(self) -> None:
        """Close the appending connection; iterators in use keep their own."""
        with self._lock:
            self._connection.close()

    def append(self, *, ts: datetime, actor: str, action: str, object: str, detail: Mapping[str, Any]) -> Entry:  # noqa: A002  # the field's name
        """Write one entry and return it once it is durable.

        `ts` is recorded as it is, even if the clock was set back. `detail` is JSON with ids, never names or numbers of
        callers. Raises EntryError, LogBusyError, LogWriteError, LogFileError, LogDamagedError; then nothing is written.
        """
        draft = Draft(ts=ts, actor=actor, action=action, object=object, detail=detail)
        return self.append_all([draft])[0]

    def append_all(self, drafts: Sequence[Draft]) -> list[Entry]:
        """As `append`, of several: all are durable, with one wait for the disk, or none is written."""
        with self._lock, _writing(self.path, self._connection) as connection:
            if _identity(self.path) != self._file:
                raise LogFileError(f"{self.path}: was replaced under a running process; restart it and run verify")
            return [_append(connection, draft) for draft in drafts]

    def head(self) -> Head:
        """The end of the log as its head row has it. Raises LogDamagedError."""
        with self._reader() as connection:
            size, last, frontier = read_head(connection)
        return Head(size=size, root=frontier.root(), last=last.hex())

    def entries(self, start: int = 0) -> Iterator[Entry]:
        """The entries from `start` on, with those written meanwhile. Raises LogDamagedError at an unreadable one."""
        for seq, raw in self._rows("", {}, start):
            yield parse_entry(seq, raw)

    def find(
        self,
        *,
        object: str | None = None,  # noqa: A002  # as in append
        action: str | Sequence[str] | None = None,
        start: int = 0,
    ) -> Iterator[Entry]:
        """The entries on `object`, or of `action` (or one of several), or both, from number `start` on.

        Raises LogDamagedError.
        """
        actions = [action] if isinstance(action, str) else list(action or ())
        wanted = {f"action{place}": name for place, name in enumerate(actions)}
        clause = f" AND action IN ({', '.join(f':{name}' for name in wanted)})" if actions else ""
        if object is not None:
            wanted["object"] = object
            clause += " AND object = :object"
        for seq, raw in self._rows(clause, wanted, start):
            yield parse_entry(seq, raw)

    def last(self, *, object: str, action: Sequence[str]) -> Entry | None:  # noqa: A002  # as in append
        """The newest entry of one of these actions on `object`, by the index alone. Raises LogDamagedError."""
        marks = ", ".join("?" * len(action))
        query = f"SELECT max(seq) FROM entries WHERE object = ? AND action IN ({marks})"  # noqa: S608  # nosec  # marks
        with self._reader() as connection:
            seq = connection.execute(query, (object, *action)).fetchone()[0]
        return next(self.entries(seq), None) if seq is not None else None

    def ever(self, action: str) -> bool:
        """Whether it was ever done. Raises LogDamagedError."""
        with self._reader() as connection:
            found = connection.execute("SELECT EXISTS (SELECT 1 FROM entries WHERE action = ?)", (action,)).fetchone()
        return bool(found[0])

    def leaves(self) -> Iterator[tuple[int, bytes]]:
        """Number and leaf hash of each entry, recomputed from its bytes; what is no bytes counts as empty."""
        for seq, raw in self._rows("", {}, 0):
            yield seq, leaf_hash(raw)

    def verify(self) -> Report:
        """Recompute everything over one snapshot; what is wrong is reported by entry, never raised."""
        with self._reader() as connection:
            return audit(connection, _schema())

    def _rows(self, clause: str, values: Mapping[str, str], start: int) -> Iterator[tuple[int, bytes]]:
        # In batches, so that a slow consumer does not hold a snapshot and with it an ever growing WAL.
        query = f"SELECT seq, entry FROM entries WHERE seq >= :start{clause} ORDER BY seq LIMIT {_BATCH}"  # noqa: S608  # nosec  # our words
        while True:
            with self._reader() as connection:
                rows = connection.execute(query, {"start": start, **values}).fetchall()
            yield from ((seq, raw if isinstance(raw, bytes) else b"") for seq, raw in rows)
            if len(rows) < _BATCH:
                return
            start = rows[-1][0] + 1

    def _connect(self) -> sqlite3.Connection:
        uri = f"{self.path.resolve().as_uri()}?mode=rw"
        connection = sqlite3.connect(
            uri, uri=True, timeout=self._timeout, isolation_level=None, check_same_thread=False
        )
        try:
            connection.execute("PRAGMA synchronous = FULL")
            # A changed byte must be reported, not end the reading.
            connection.text_factory = lambda raw: raw.decode("utf-8", "backslashreplace")
            _check_kind(self.path, connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @contextmanager
    def _reader(self) -> Iterator[sqlite3.Connection]:
        try:
            with closing(self._connect()) as connection:
                connection.execute("PRAGMA query_only = ON")
                connection.execute("BEGIN")
                yield connection
        except sqlite3.Error as error:
            raise LogDamagedError(f"{self.path}: cannot be read ({error})") from error


def _append(connection: sqlite3.Connection, draft: Draft) -> Entry:
    size, last, frontier = read_head(connection)
    entry = draft.at(size, last)
    leaf = leaf_hash(entry.raw)
    frontier.append(leaf)
    connection.execute(
        "INSERT INTO entries VALUES (?, ?, ?, ?, ?, ?)",
        (size, entry.raw, leaf, entry.object, entry.action, stamp(entry.ts)),
    )
    connection.execute(
        "UPDATE head SET size = ?, last = ?, frontier = ?",
        (size + 1, hashlib.sha256(entry.raw).digest(), frontier.to_bytes()),
    )
    return entry


def read_head(connection: sqlite3.Connection) -> tuple[int, bytes, Frontier]:
    """Size, SHA-256 of the last entry, frontier. Raises LogDamagedError where the three do not fit."""
    row = connection.execute("SELECT size, last, frontier FROM head").fetchone()
    try:
        size, last, stored = row
        frontier = Frontier.from_bytes(stored)
    except (TypeError, ValueError) as error:
        raise LogDamagedError(f"head: {error}; run verify") from error
    if frontier.size != size or not isinstance(last, bytes) or len(last) != 32:
        raise LogDamagedError("head: size, last hash and frontier do not fit each other; run verify")
    return size, last, frontier


def _check_kind(path: Path, connection: sqlite3.Connection) -> None:
    application, version, journal = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("application_id", "user_version", "journal_mode")
    )
    if application != _APPLICATION or journal != "wal":
        raise LogFileError(f"{path}: was not made by this program, or its journal is not a WAL")
    if version != _VERSION:
        raise LogFileError(f"{path}: is of version {version}, this program writes version {_VERSION}")


@contextmanager
def _writing(path: Path, connection: sqlite3.Connection) -> Iterator[sqlite3.Connection]:
    try:
        connection.execute("BEGIN IMMEDIATE")
        try:
            yield connection
            connection.execute("COMMIT")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
    except sqlite3.Error as error:
        kind = LogBusyError if getattr(error, "sqlite_errorcode", 0) & 0xFF == sqlite3.SQLITE_BUSY else LogWriteError
        raise kind(f"{path}: the entry was not written ({error})") from error
    except OSError as error:
        raise LogWriteError(f"{path}: the entry was not written ({error})") from error


def _create(path: Path, mode: int) -> None:
    # Whole or absent: built under another name and linked, so that two processes that start at once get one log.
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    os.close(descriptor)
    try:
        with closing(sqlite3.connect(name, isolation_level=None)) as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.executescript(
                f"PRAGMA application_id = {_APPLICATION}; PRAGMA user_version = {_VERSION}; BEGIN; {_SCHEMA} COMMIT;"
            )
        Path(name).chmod(mode)
        try:
            os.link(name, path)
        except FileExistsError:
            return
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    finally:
        for suffix in ("", "-wal", "-shm"):
            Path(name + suffix).unlink(missing_ok=True)


def _identity(path: Path) -> tuple[int, int]:
    status = path.stat()
    return status.st_dev, status.st_ino
