"""docs/reliability.md: each fault, how often it was tried, and what it cost. From docs/reliability.json."""

import json
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from scripts.pages.markdown import DocsError

FAULTS, DATA = "docs/faults.toml", "docs/reliability.json"
COUNTED = ("tries", "calls", "lost", "doubled", "named")  # in the order of the columns


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """A row of the table. `test`: the module below tests/ that tries it and notes its figures under `id`."""

    id: str
    what: str
    holds: str
    test: str


def faults(root: Path) -> list[Fault]:
    """The rows, in their order. Raises DocsError."""
    try:
        return [Fault(**row) for row in tomllib.loads((root / FAULTS).read_text("utf-8"))["fault"]]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise DocsError(f"{FAULTS}: {error}") from error


def reliability_page(root: Path) -> str:
    """The page. Raises DocsError for figures of a fault that is not in the table."""
    try:
        data = json.loads((root / DATA).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DocsError(f"{DATA}: {error}; `make faults` writes it") from error
    figures: dict[str, dict[str, Any]] = data["faults"]
    rows = faults(root)
    if strange := figures.keys() - {fault.id for fault in rows}:
        raise DocsError(f"{DATA}: no such fault in {FAULTS}: {', '.join(sorted(strange))}")
    taken = f"The machine: {data['machine']}; the suites ran side by side."
    lines = [*_HEAD.splitlines(), "", taken, "", *_TABLE.splitlines()]
    for fault in rows:
        of = figures.get(fault.id)
        lines.append(f"| {fault.what} | {fault.holds} | {_counted(of)} | [{fault.test}](../tests/{fault.test}) |")
    lines += ["", *_REST.splitlines(), ""]
    return "\n".join(lines)


def _counted(of: dict[str, Any] | None) -> str:
    if of is None:
        return "not taken | | | | | |"
    numbers = [f"{of[key]:,}" for key in COUNTED]
    slowest = "" if of["slowest"] is None else f"{of['slowest']:.1f} s"
    return " | ".join([*numbers, slowest, f"{of['taken']}, seed {of['seed']}"])


_HEAD = """\
# Reliability

Every fault is tried with real calls on a real Asterisk: telephones that spell the number of their call on each side, so
that every recording is compared by sample. `make faults` tries each for long and writes this page; `make test` tries
each in a short form. KIKITORI_SEED repeats the moments of a run.
"""
_TABLE = """\
*lost*: calls of which anything is missing and nothing says so. *named*: calls of which something is missing that only
Asterisk had, and the recording says so. *connected*: the longest that any caller waited until both could speak, 0.2 s
of ringing in it. One frame of 20 ms in 20 s may be silence: a packet that came late. More than that counts as lost,
whoever took it: where a machine carries more than it can (a load of 50 on two cores), SIPp and Asterisk drop some.

| fault | what must hold | tries | calls | lost | kept twice | named | connected | taken | test |
|---|---|--:|--:|--:|--:|--:|--:|---|---|
"""
_REST = """\
A bit flip, a truncation, a deletion and a swap of every kind of file are named by `kikitori verify`, one by one and by
name, in tests of each file format (tests/unit/recorder/test_verify.py, tests/unit/recorder/vault); a header that is
damaged on one medium is repaired from the other.

## What cannot be kept

- What Asterisk holds in its own buffer when it is killed, or the machine loses its power: up to 2 s of each side.
- What lies in RAM when the power fails: what was said since the last sync, some 3 s.
- What else is lost without a fault, by Asterisk's own doing: the table of
  [what can be lost](explanation/recording.md#what-can-be-lost-and-how-much).
- What Asterisk cannot write while the spool is full. Room for an hour of so many calls at once
  as `kikitori init --channels` says (10; 115 MB each) is the default; `kikitori status` says how long it lasts.
"""


def gather(lines: str, before: Mapping[str, Mapping[str, Any]] = {}) -> dict[str, dict[str, Any]]:
    """The sums of what tests noted, by fault, and of what was there `before`. `slowest` is the longest."""
    found: dict[str, dict[str, Any]] = {}
    noted = [json.loads(line) for line in filter(None, lines.splitlines())]
    tried = {of["fault"] for of in noted}
    for of in (*({**sums, "fault": name} for name, sums in before.items() if name in tried), *noted):
        sums = found.setdefault(of["fault"], dict.fromkeys(COUNTED, 0) | {"slowest": None})
        for key in COUNTED:
            sums[key] += of[key]
        slowest = [value for value in (sums["slowest"], of["slowest"]) if value is not None]
        sums["slowest"] = round(max(slowest), 2) if slowest else None
    return found
