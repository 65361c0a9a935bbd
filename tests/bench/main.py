"""All figures of docs/benchmarks.md: `scripts/bench`; `--quick` for one short run that only shows that all works.

Every figure is a median of the runs; a ratio is taken within each run, and the median of these is given.
"""

import argparse
import json
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from cti.app.clock import wall_clock
from tests.bench.agi import CALLERS, SCRIPT_CALLERS
from tests.bench.machine import describe, load

PAGE = Path(__file__).parents[2] / "docs/benchmarks.md"
BEGIN, END = "<!-- figures: scripts/bench --write -->\n", "<!-- end of figures -->\n"
Run = dict[str, Any]


def measure(program: str, *arguments: object) -> Run:
    """One program of this folder in a process of its own; what it found."""
    print(f"  {program} {' '.join(map(str, arguments))} (load {load():.2f})", file=sys.stderr, flush=True)
    command = [sys.executable, "-m", f"tests.bench.{program}", *map(str, arguments)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: Run = json.loads(done.stdout.splitlines()[-1])
    return found


def run(given: argparse.Namespace) -> Run:
    """Everything once."""
    disk = ("--disk", given.disk)
    sound = ("--seconds", given.seconds)
    return {
        "path": measure("path", "--calls", given.calls, *sound, *disk),
        "pipe": measure("pipe", *sound, *disk),
        "ami": measure("ami", "--events", given.events, "--seconds", given.window),
        "agi": measure("agi", "--seconds", given.window / 5),
        "hours": measure("hours"),
        "search": measure("search", "--rows", given.rows, *disk),
        "search_postgresql": measure("search", "--postgresql", "--rows", given.rows, *disk),
        "cases": measure("cases", "--rows", given.rows, *disk),
        "cases_postgresql": measure("cases", "--postgresql", "--rows", given.rows, *disk),
        "keeping": measure("keeping", "--rows", given.rows, "--files", given.files, *disk),
        "keeping_postgresql": measure("keeping", "--postgresql", "--rows", given.rows, "--files", 0, *disk),
        "listen": measure("listen", "--seconds", given.listened, *disk),
        "pbx": measure("pbx", "--calls", given.calls, "--window", given.window, *disk),
        "flood": measure("pbx", "--calls", 0, "--flood", given.flood, "--window", given.window, *disk),
    }


def _median(runs: list[Run], what: Callable[[Run], float]) -> str:
    values = sorted(what(run) for run in runs)
    digits = 2 if abs(values[-1]) < 20 else 0
    spread = f" ({values[0]:.{digits}f}-{values[-1]:.{digits}f})" if len(values) > 1 else ""
    return f"{statistics.median(values):.{digits}f}{spread}"


def _mixmonitor(run: Run, phase: str) -> float:
    found: float = run["pbx"][phase]["asterisk_us"] - run["pbx"]["plain"]["asterisk_us"]
    return found


def _agi(server: str, what: str, goals: dict[int, str]) -> Iterator[tuple[str, str, Callable[[Run], float]]]:
    for count, goal in goals.items():

        def figure(run: Run, key: str = str(count)) -> float:
            found: float = run["agi"][server][key][what]
            return found

        yield f"- {AGI[what]}, {count} at once", goal, figure


def _search(database: str, which: str) -> Iterator[tuple[str, str, Callable[[Run], float]]]:
    for key, title in SEARCHES.items():

        def figure(run: Run, key: str = key) -> float:
            found: float = run[which][key]["p95_ms"]
            return found

        yield f"Search among 1,000,000 recordings ({database}), a page of 100, {title}: p95 ms", "50", figure


def _cases(database: str, which: str) -> Iterator[tuple[str, str, Callable[[Run], float]]]:
    for title in CASES:

        def figure(run: Run, title: str = title) -> float:
            found: float = run[which]["ms"][title]["p95"]
            return found

        yield f"Among 1,000,000 cases ({database}), {title}: p95 ms", "", figure
    for key, title in (
        ("entered_alone", "Cases entered a second, one at a time"),
        ("entered_eight", "Cases entered a second, eight at once"),
        ("tickets", "Tickets made of calls a second"),
        ("told", "Acts told to another system a second"),
        ("told_per_posted", "- of what httpx alone posts one after the other"),
    ):  # fmt: skip

        def rate(run: Run, key: str = key) -> float:
            found: float = run[which][key]
            return found

        yield f"{title} ({database})", "", rate


def _plan(database: str, which: str) -> Iterator[tuple[str, str, Callable[[Run], float]]]:
    for key, title in (("day", "a day's are due"), ("all", "all are due")):

        def seconds(run: Run, key: str = key) -> float:
            found: float = run[which][key]["seconds"]
            return found

        def memory(run: Run, key: str = key) -> float:
            found: float = run[which][key]["mib"]
            return found

        yield f"Plan over 1,000,000 recordings ({database}), {title}: s", "10", seconds
        yield "- memory that it holds at most, MiB", "", memory


CASES = (
    "inbox of a section", "newest of a section", "newest of all", "late of all", "of a caller", "one case",
    "open tickets of a section", "late tickets of all", "words that a fifth has", "words of a section's",
    "words that none has",
)  # fmt: skip
SEARCHES = {
    "newest": "the newest", "number": "of a designated number", "caller": "of a caller",
    "agent": "of a telephone", "day": "of a day",
    "agent_day": "of a telephone on a day", "long": "of ten minutes, on a number",
}  # fmt: skip
AGI = {"rate": "callers a second", "p99_ms": "p99 ms", "us": "us of CPU a caller", "told": "share that was told"}
NO_GOAL = dict.fromkeys(CALLERS, "")

ROWS: tuple[tuple[str, str, Callable[[Run], float]], ...] = (
    ("Record path: us of CPU a call-second, spool to sealed segment", "350", lambda run: run["path"]["us"]),
    ("- FLAC alone, on one thread that does nothing else", "", lambda run: run["path"]["flac_us"]),
    ("- record path / FLAC alone", "", lambda run: run["path"]["us"] / run["path"]["flac_us"]),
    ("- of it in the kernel", "", lambda run: run["path"]["us_system"]),
    ("- memory a call, KiB", "", lambda run: run["path"]["ram_kib"]),
    ("- spool a call at its fullest, KiB", "", lambda run: run["path"]["spool_kib"]),
    ("- sealed, kB/s", "", lambda run: run["path"]["kbytes"]),
    ("Pipe, both sides kept (sox, FLAC, age): us a call-second", "", lambda run: run["pipe"]["stereo_us"]),
    ("Pipe, sides mixed (flac, age): us a call-second", "", lambda run: run["pipe"]["mono_us"]),
    ("- record path / pipe, both sides kept", "0.33", lambda run: run["path"]["us"] / run["pipe"]["stereo_us"]),
    ("- record path / pipe, sides mixed", "0.33", lambda run: run["path"]["us"] / run["pipe"]["mono_us"]),
    ("Asterisk without recording: us a call-second", "", lambda run: run["pbx"]["plain"]["asterisk_us"]),
    ("MixMonitor in Asterisk, as we start it: us a call-second", "", lambda run: _mixmonitor(run, "ours")),
    ("MixMonitor in Asterisk, one mixed wav: us a call-second", "", lambda run: _mixmonitor(run, "wav")),
    ("Recorder beside Asterisk: us a call-second", "", lambda run: run["pbx"]["ours"]["recorder_us"]),
    (
        "- recorder / MixMonitor",
        "0.2",
        lambda run: run["pbx"]["ours"]["recorder_us"] / _mixmonitor(run, "ours"),
    ),
    (
        "- whole way, ours / the pipe's with mixed sides (MixMonitor counted in both)",
        "",
        lambda run: (
            (run["pbx"]["ours"]["recorder_us"] + _mixmonitor(run, "ours"))
            / (run["pipe"]["mono_us"] + _mixmonitor(run, "wav"))
        ),
    ),
    ("Arming: calls answered", "", lambda run: run["pbx"]["arming"]["answered"]),
    ("- Newchannel to MixMonitorStart, p50 ms", "", lambda run: run["pbx"]["arming"]["p50_ms"]),
    ("- p99 ms", "10", lambda run: run["pbx"]["arming"]["p99_ms"]),
    ("- longest ms", "", lambda run: run["pbx"]["arming"]["max_ms"]),
    ("- begun after the answer", "0", lambda run: run["pbx"]["arming"]["late"]),
    ("Flooded: calls begun", "", lambda run: run["flood"]["flooded"]["begun"]),
    ("- answered", "", lambda run: run["flood"]["flooded"]["answered"]),
    ("- load average", "", lambda run: run["flood"]["flooded"]["load"]),
    ("- Newchannel to MixMonitorStart, p50 ms", "", lambda run: run["flood"]["flooded"]["p50_ms"]),
    ("- p99 ms", "", lambda run: run["flood"]["flooded"]["p99_ms"]),
    ("- longest ms", "", lambda run: run["flood"]["flooded"]["max_ms"]),
    ("- shortest from MixMonitorStart to the answer, ms", "", lambda run: run["flood"]["flooded"]["least_ms"]),
    ("- begun after the answer", "0", lambda run: run["flood"]["flooded"]["late"]),
    ("- calls without a recording", "0", lambda run: run["flood"]["flooded"]["missing"]),
    ("- calls with two recordings", "", lambda run: run["flood"]["flooded"]["doubled"]),
    ("- processes of ours that ended and were started again", "0", lambda run: run["flood"]["restarts"]),
    ("Manager events as filtered, bytes to facts: events/s", "", lambda run: run["ami"]["filtered"]["ours"]),
    ("- panoramisk with the same tracker", "", lambda run: run["ami"]["filtered"]["panoramisk"]),
    ("- ours / panoramisk", "4", lambda run: run["ami"]["filtered"]["ratio"]),
    ("- ours / panoramisk, without the tracker", "", lambda run: run["ami"]["filtered"]["untracked"]["ratio"]),
    ("Manager events, all of them, bytes to facts: events/s", "", lambda run: run["ami"]["full"]["ours"]),
    ("- panoramisk with the same tracker", "", lambda run: run["ami"]["full"]["panoramisk"]),
    ("- ours / panoramisk", "", lambda run: run["ami"]["full"]["ratio"]),
    ("- ours / panoramisk, without the tracker", "", lambda run: run["ami"]["full"]["untracked"]["ratio"]),
    ("Event to fact at 1,000 events/s: p50 ms", "", lambda run: run["ami"]["paced"]["p50_ms"]),
    ("- p99 ms", "5", lambda run: run["ami"]["paced"]["p99_ms"]),
    ("Burst of 50,000 events: dropped", "0", lambda run: run["ami"]["burst"]["dropped"]),
    ("- seconds until all were facts", "", lambda run: run["ami"]["burst"]["events"] / run["ami"]["burst"]["rate"]),
    ("Load average after the manager events", "", lambda run: run["ami"]["load"]),
    ("FastAGI, our gate: callers a second, 1 at once", "", lambda run: run["agi"]["ours"]["1"]["rate"]),
    *_agi("ours", "rate", {50: "7534", 500: "7583"}),
    *_agi("ours", "p99_ms", {1: "", 50: "8.9", 500: "93"}),
    *_agi("ours", "us", NO_GOAL),
    ("FastAGI, plain Protocol: callers a second, 1 at once", "", lambda run: run["agi"]["plain-2"]["1"]["rate"]),
    *_agi("plain-2", "rate", {50: "", 500: ""}),
    *_agi("plain-2", "p99_ms", NO_GOAL),
    *_agi("plain-2", "us", NO_GOAL),
    ("FastAGI, panoramisk: callers a second, 1 at once", "", lambda run: run["agi"]["panoramisk"]["1"]["rate"]),
    *_agi("panoramisk", "rate", {50: "", 500: ""}),
    *_agi("panoramisk", "p99_ms", NO_GOAL),
    *_agi("panoramisk", "us", NO_GOAL),
    ("One-shot script: callers a second, 1 at once", "", lambda run: run["agi"]["script"]["1"]["rate"]),
    *_agi("script", "p99_ms", dict.fromkeys(SCRIPT_CALLERS, "")),
    *_agi("script", "us", {1: ""}),
    *_agi("script", "told", dict.fromkeys(SCRIPT_CALLERS, "")),
    ("Opening hours: look-ups a second, calls of one day", "", lambda run: run["hours"]["calls"]["ours"]),
    ("- `holidays` and the rule written down naively", "", lambda run: run["hours"]["calls"]["naive"]),
    ("- ours / naive", "", lambda run: run["hours"]["calls"]["ratio"]),
    ("Opening hours: look-ups a second, at random in 24 months", "", lambda run: run["hours"]["years"]["ours"]),
    ("- ours / naive", "", lambda run: run["hours"]["years"]["ratio"]),
    ("- answers in which the two differ", "0", lambda run: run["hours"]["years"]["differ"]),
    ("Load average after the record path", "", lambda run: run["path"]["load"]),
    ("Load average after 100 calls", "", lambda run: run["pbx"]["ours"]["load"]),
    *_search("SQLite", "search"),
    *_search("PostgreSQL", "search_postgresql"),
    *_cases("SQLite", "cases"),
    *_cases("PostgreSQL", "cases_postgresql"),
    *_plan("SQLite", "keeping"),
    *_plan("PostgreSQL", "keeping_postgresql"),
    ("Moved to the second medium, read back and logged: MiB a second", "", lambda run: run["keeping"]["moved"]),
    ("- of what `rsync`, `sha256sum` and `rm` move", "1", lambda run: run["keeping"]["ratio"]),
    ("An hour over the API, first byte at random: p50 ms", "", lambda run: run["listen"]["first_byte_p50_ms"]),
    ("- p99 ms", "20", lambda run: run["listen"]["first_byte_p99_ms"]),
    ("- `age -d` of the whole, ms", "", lambda run: run["listen"]["age_seconds"] * 1e3),
    (
        "- `age -d` of the whole / first byte p50",
        "",
        lambda run: run["listen"]["age_seconds"] * 1e3 / run["listen"]["first_byte_p50_ms"],
    ),
    ("- seconds of sound given in a second of one core", "", lambda run: run["listen"]["listeners"]),
    ("Access log: durable appends a second", "", lambda run: run["listen"]["appends"]),
    ("- entries verified a second", "200000", lambda run: run["listen"]["verified"]),
    ("A sign-in over the API: seconds", "", lambda run: run["listen"]["sign_in_seconds"]),
)


def page(runs: list[Run], given: argparse.Namespace) -> str:
    """The part of docs/benchmarks.md that is measured."""
    lines = [
        f"Taken {wall_clock():%Y-%m-%d}: {len(runs)} runs; {given.calls} calls at once, on the record path of "
        f"{given.seconds:.0f} s; median (least-most).",
        "",
        *(f"- {line}" for line in [*describe(), runs[0]["pbx"]["asterisk"]]),
        "",
        "| figure | goal | measured |",
        "|---|---|---|",
        *(f"| {name} | {goal} | {_median(runs, what)} |" for name, goal, what in ROWS),
    ]
    return "\n".join(lines) + "\n"


def write(text: str) -> None:
    """Put the figures where the page has its old ones."""
    old = PAGE.read_text("utf-8")
    before, _, rest = old.partition(BEGIN)
    _, _, after = rest.partition(END)
    PAGE.write_text(f"{before}{BEGIN}\n{text}\n{END}{after}", "utf-8")


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(prog="scripts/bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one short run: shows that it works, not how fast it is")
    parser.add_argument("--write", action="store_true", help="put the figures into docs/benchmarks.md")
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--flood", type=int, default=300)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of a call on the record path")
    parser.add_argument("--window", type=float, default=20.0, help="seconds in which Asterisk's calls are measured")
    parser.add_argument("--events", type=int, default=200_000, help="manager events of the full stream")
    parser.add_argument("--rows", type=int, default=1_000_000, help="recordings in the catalogue that is searched")
    parser.add_argument("--files", type=int, default=1000, help="recordings that are moved to the second medium")
    parser.add_argument("--listened", type=int, default=3600, help="seconds of the recording that is heard")
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"), help="where vaults lie; no RAM")
    parser.add_argument("--json", type=Path, help="keep what every run found")
    given = parser.parse_args()
    if given.quick:
        given.runs, given.calls, given.flood, given.seconds, given.window = 1, 20, 40, 10.0, 5.0
        given.events, given.rows, given.files, given.listened = 20_000, 20_000, 50, 120
    runs = []
    for number in range(given.runs):
        print(f"run {number + 1} of {given.runs}", file=sys.stderr, flush=True)
        runs.append(run(given))
        if given.json:
            given.json.write_text(json.dumps(runs, indent=1))
    text = page(runs, given)
    print(text)
    if given.write:
        write(text)
    late = sum(run["pbx"]["arming"]["late"] + run["flood"]["flooded"]["late"] for run in runs)
    raise SystemExit(f"{late} recordings were begun after the answer" if late else 0)


if __name__ == "__main__":
    main()
