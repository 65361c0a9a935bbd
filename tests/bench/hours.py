"""Opening hours: look-ups a second, ours against PyPI's `holidays` with the rule written down naively.

`python -m tests.bench.hours` prints one JSON object. Both answer open or closed for the same instants: *calls* of one
day in their order, as a gate asks; *years* at random over 24 months. Ours says the rule, its article and the next
change as well.
"""

import json
import random
import time
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta

import holidays

from policies.calendar import JST, midnight
from policies.load import Policies, shipped

LOOKUPS = 100_000


class Naive:
    """What somebody writes who has `holidays` and an afternoon: no overrides, no reasons, no versions."""

    def __init__(self) -> None:
        """As its documentation says: years are filled in when they are first asked for."""
        self._days = holidays.country_holidays("JP", language="ja")

    def open(self, at: datetime) -> bool:
        """By 3条1項 and the decided readings."""
        local = at.astimezone(JST)
        day, hour = local.date(), local.hour
        holiday = day in self._days
        weekday = day.weekday()
        if (day.month, day.day) in ((12, 29), (12, 30)) or holiday or weekday == 5:
            return 9 <= hour < 17
        if weekday == 6:
            return day.month in (3, 4) and 9 <= hour < 17
        if (day.month, day.day) in ((12, 31), (1, 2), (1, 3)):
            return False
        return 8 <= hour < 20


def rate(ask: Callable[[datetime], object], instants: Sequence[datetime]) -> float:
    """Look-ups a second, the best of three."""
    best = 0.0
    for _ in range(3):
        began = time.perf_counter()
        for at in instants:
            ask(at)
        best = max(best, len(instants) / (time.perf_counter() - began))
    return best


def main() -> None:
    """See the module."""
    chance = random.Random(1)  # noqa: S311  # instants
    first = midnight(datetime(2026, 11, 1, tzinfo=JST).date())
    sets = {
        "calls": [first + timedelta(seconds=number * 86_400 // LOOKUPS) for number in range(LOOKUPS)],
        "years": [first + timedelta(seconds=chance.randrange(728 * 86_400)) for _ in range(LOOKUPS)],
    }
    found: dict[str, object] = {}
    for name, instants in sets.items():
        hours, naive = Policies(shipped()).opening_hours(), Naive()
        differ = sum(hours.at(at).open is not naive.open(at) for at in instants)
        ours, theirs = rate(hours.at, instants), rate(naive.open, instants)
        found[name] = {"ours": ours, "naive": theirs, "ratio": ours / theirs, "differ": differ}
    print(json.dumps(found))


if __name__ == "__main__":
    main()
