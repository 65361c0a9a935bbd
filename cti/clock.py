"""The host's clock, watched: recordings carry its times, and the rules count days by it."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

# Seconds between two looks that a clock may gain or lose by being slewed (500 ppm) and by what lies between reading two
# clocks. Whoever sets it does so by more.
TOLERANCE: Final = 0.5


@dataclass(slots=True)
class ClockWatch:
    """Compares the wall clock with one that nobody can set. `steps`: (when, by how many seconds) it was set."""

    steps: list[tuple[datetime, float]] = field(default_factory=list)
    _last: tuple[datetime, float] | None = None

    def look(self, wall: datetime, steady: float) -> float:
        """Seconds by which the clock was set since the last look; 0 where it was not. `steady` in seconds."""
        last, self._last = self._last, (wall, steady)
        if last is None:
            return 0.0
        step = (wall - last[0] - timedelta(seconds=steady - last[1])).total_seconds()
        if abs(step) < TOLERANCE:
            return 0.0
        self.steps.append((wall, step))
        return step
