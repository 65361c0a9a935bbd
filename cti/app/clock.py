"""The only wall clock: everything else is handed the time."""

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]


def wall_clock() -> datetime:
    """The time, in UTC. Everything else is handed it."""
    return datetime.now(UTC)  # noqa: TID251  # the one place
