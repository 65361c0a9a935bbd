"""Recompute an access log and say which entry is wrong.

A changed byte breaks several hashes at once. To name one place, each entry is judged by two witnesses: its leaf hash,
and the `prev` of the entry after it (for the last one, the head).

| leaf fits | successor fits | verdict |
|---|---|---|
| yes | yes | good |
| no | no | the bytes were changed |
| no | yes | the leaf hash was changed |
| yes | no | rewritten together with its leaf, unless the successor's own bytes were changed |

Who rewrites all that follows, head included, is found by the checkpoints on the other medium alone.
"""

import hashlib
import sqlite3
from dataclasses import dataclass, field
from typing import Any

from recorder.access.entry import NO_ENTRY, fields_of
from recorder.access.errors import LogDamagedError
from recorder.access.merkle import Frontier, leaf_hash

# Texts as bytes: SQLite hands over each text by a call of ours, as dear as a hash. What is no text is NULL: whoever
# searches for the text would not find it.
_EVERY = """
SELECT seq, entry, leaf,
  CASE typeof(object) WHEN 'text' THEN CAST(object AS BLOB) END,
  CASE typeof(action) WHEN 'text' THEN CAST(action AS BLOB) END,
  CASE typeof(at) WHEN 'text' THEN CAST(at AS BLOB) END
FROM entries ORDER BY seq
"""
# A rotten file of millions of entries must not become millions of lines.
MOST_PROBLEMS = 100


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What a verification found: entries read, the root over their bytes, one sentence for each problem."""

    size: int
    root: bytes
    problems: tuple[str, ...]


class Problems:
    """A list of sentences that stops growing at MOST_PROBLEMS and counts the rest."""

    def __init__(self) -> None:
        """Nothing found yet."""
        self._said: list[str] = []
        self._more = 0

    def say(self, problem: str) -> None:
        """Add one."""
        if len(self._said) < MOST_PROBLEMS:
            self._said.append(problem)
        else:
            self._more += 1

    def all(self) -> tuple[str, ...]:
        """Those said, and how many more there are."""
        return (*self._said, f"and {self._more} more") if self._more else tuple(self._said)

    def __bool__(self) -> bool:
        """Whether there is any."""
        return bool(self._said)


def audit(connection: sqlite3.Connection, schema: frozenset[tuple[str, ...]]) -> Report:
    """Check the log behind `connection`, which holds one read transaction. `schema`: what it is made of (`made_of`)."""
    check = _Audit()
    try:
        for row in connection.execute(_EVERY):
            check.feed(*row)
        head = connection.execute("SELECT size, last, frontier FROM head").fetchone()
    except sqlite3.DatabaseError as error:
        check.problems.say(f"database: cannot be read after entry {check.expected - 1} ({error})")
        return check.report()
    check.close(head)
    _check_database(connection, schema, check.problems)
    return check.report()


def made_of(connection: sqlite3.Connection) -> frozenset[tuple[str, ...]]:
    """Tables, indexes and triggers, each with its text."""
    return frozenset(connection.execute("SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_master"))


def _check_database(connection: sqlite3.Connection, schema: frozenset[tuple[str, ...]], problems: Problems) -> None:
    """What is searched goes by an index: one that lacks a line would hide it from all who ask, and from nobody else."""
    try:
        for kind, name in sorted({(kind, name) for kind, name, *_ in made_of(connection) ^ schema}):
            problems.say(f"database: {kind} {name} is not as this program makes it")
        for (said,) in connection.execute(f"PRAGMA integrity_check({MOST_PROBLEMS})"):
            for line in said.splitlines():
                if line != "ok" and not line.startswith("***"):
                    problems.say(f"database: {line}")
    except sqlite3.DatabaseError as error:
        problems.say(f"database: cannot be checked ({error})")


@dataclass(slots=True)
class _Seen:
    """An entry whose successor has not been read yet."""

    seq: int
    digest: bytes
    leaf_fits: bool


@dataclass(slots=True)
class _Audit:
    problems: Problems = field(default_factory=Problems)
    expected: int = 0
    _read: int = 0
    _frontier: Frontier = field(default_factory=Frontier)
    _last: _Seen | None = None

    def report(self) -> Report:
        return Report(size=self._read, root=self._frontier.root(), problems=self.problems.all())

    def feed(self, seq: int, raw: object, leaf: object, *columns: object) -> None:
        if seq < 0:
            self.problems.say(f"entry {seq}: a number that the log does not give")
            return
        if seq != self.expected:
            self._settle(fits=None, successor_fits=True)
            self._last = None
            self.problems.say(f"{_span(self.expected, seq - 1)}: missing")
        content = raw if type(raw) is bytes else b""
        computed = leaf_hash(content)
        leaf_fits = computed == leaf and type(raw) is bytes
        prev, problem = _read(seq, content, columns)
        if self._last is not None or seq == 0:
            before = self._last.digest if self._last else NO_ENTRY
            fits = prev == before.hex() if prev is not None else None
            if seq == 0 and fits is False and leaf_fits:
                problem = "its prev is not sixty-four zeros"
            self._settle(fits=fits, successor_fits=leaf_fits)
        if problem and leaf_fits:
            self.problems.say(f"entry {seq}: {problem}")
        self._frontier.append(computed)
        self._last = _Seen(seq, hashlib.sha256(content).digest(), leaf_fits)
        self.expected = seq + 1
        self._read += 1

    def close(self, head: Any) -> None:
        try:
            size, last, stored = head
            frontier = Frontier.from_bytes(stored)
        except (TypeError, ValueError):
            size, last, frontier = None, None, Frontier()
        if not isinstance(size, int):
            self._settle(fits=None, successor_fits=True)
            self.problems.say("head: missing or cannot be read")
            return
        same = frontier == self._frontier
        if size != self.expected and (same or frontier.size == self.expected):
            self.problems.say(f"head: its size was changed: it says {size}, there are {self._read} entries")
        elif size > self.expected:
            self._settle(fits=None, successor_fits=True)
            self.problems.say(f"{_span(self.expected, size - 1)}: missing at the end, the head counts {size}")
            return
        elif size != self.expected:
            self._settle(fits=None, successor_fits=True)
            self.problems.say(f"{_span(size, self.expected - 1)}: not in the head, which counts {size}")
            return
        fits = last == (self._last.digest if self._last else NO_ENTRY)
        if not fits and same:
            self.problems.say("head: its hash of the last entry was changed")
            fits = True
        self._settle(fits=fits, successor_fits=True)
        if not same and not self.problems:
            self.problems.say("head: its frontier was changed")

    def _settle(self, *, fits: bool | None, successor_fits: bool) -> None:
        """Judge the last entry: `fits` says whether its successor names it, None that there is none to ask."""
        last = self._last
        if last is None or (last.leaf_fits and fits is not False):
            return
        if not last.leaf_fits:
            what = {True: "its leaf hash was changed", False: "its bytes were changed", None: "bytes and leaf differ"}[
                fits
            ]
            self.problems.say(f"entry {last.seq}: {what}")
        elif successor_fits:
            self.problems.say(f"entry {last.seq}: was rewritten: what follows was chained to other bytes")


def _read(seq: int, raw: bytes, columns: tuple[object, ...]) -> tuple[str | None, str]:
    """What the entry says of the one before it, None where it cannot be read; and what is wrong with it."""
    try:
        values, _ts = fields_of(seq, raw)
    except LogDamagedError as error:
        return None, error.detail.partition(": ")[2]
    wrong = columns != (_bytes(values["object"]), _bytes(values["action"]), _bytes(values["ts"]))
    return values["prev"], "the columns to search by were changed" if wrong else ""


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # JSON can escape what no text of ours has


def _span(first: int, last: int) -> str:
    return f"entry {first}" if first == last else f"entries {first} to {last}"
