"""How often each fault was tried and what it cost: the figures of docs/reliability.md.

`make faults` runs the fault tests in their long form and gathers the figures; `make test` runs the short form of the
same tests and gathers none.
"""

import contextlib
import json
import os
import secrets
import sys
from collections.abc import Iterator
from pathlib import Path

from cti.app.clock import wall_clock
from scripts.pages.reliability import DATA, gather
from tests.bench.machine import describe

LONG = os.environ.get("KIKITORI_FAULTS") == "long"
_FILE = os.environ.get("KIKITORI_FIGURES")


SEED = int(os.environ.get("KIKITORI_SEED", secrets.randbelow(1 << 32)))  # of every moment that is drawn


def times(short: int, long: int) -> int:
    """How often, or for how many seconds, in this run."""
    return long if LONG else short


@contextlib.contextmanager
def tried(fault: str, *, calls: int, named: int = 0) -> Iterator[None]:
    """One try of `fault`, judged in the block: what fails there has lost all of its calls. `named`: see `note`."""
    try:
        yield
    except BaseException:
        note(fault, tries=1, calls=calls, lost=calls)
        raise
    note(fault, tries=1, calls=calls, named=named)


def note(
    fault: str, *, tries: int, calls: int, lost: int = 0, named: int = 0, doubled: int = 0, slowest: float | None = None
) -> None:
    """`tries` of `fault` met so many calls; so many of them were not whole, not whole and said to be so, or kept twice.

    `slowest`: the longest time that a caller waited to be connected meanwhile, seconds.
    """
    if _FILE:
        figures = {
            "fault": fault, "tries": tries, "calls": calls, "lost": lost, "named": named, "doubled": doubled,
            "slowest": slowest,
        }  # fmt: skip
        with Path(_FILE).open("a") as file:
            file.write(json.dumps(figures) + "\n")


def main() -> None:
    """Put what a run counted into docs/reliability.json; figures of faults that it did not try stay. With --add, what
    stands there of those that it tried is added.
    """
    path = Path(__file__).parents[1] / DATA
    data = json.loads(path.read_text("utf-8")) if path.exists() else {"faults": {}}
    data |= {"machine": "; ".join(describe())}
    before = data["faults"] if "--add" in sys.argv else {}
    when = {"taken": wall_clock().date().isoformat()}
    for name, sums in gather(Path(sys.argv[1]).read_text("utf-8"), before).items():
        seeds = [*filter(None, [before.get(name, {}).get("seed")]), str(SEED)]
        data["faults"][name] = sums | when | {"seed": ", ".join(seeds)}
    path.write_text(json.dumps(data, indent=1, sort_keys=True) + "\n", "utf-8")


if __name__ == "__main__":
    main()
