"""A clock that is set, and one that only drifts."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.clock import TOLERANCE, ClockWatch

START = datetime(2028, 2, 29, 14, 59, 59, tzinfo=UTC)


@given(st.floats(-86400, 86400).filter(lambda step: abs(step) > TOLERANCE + 0.01), st.floats(0, 3600))
def test_a_step_is_seen_once_however_long_nobody_looked(step: float, passed: float) -> None:
    watch = ClockWatch()
    assert watch.look(START, 1000.0) == 0
    after = START + timedelta(seconds=passed + step)
    assert watch.look(after, 1000.0 + passed) == pytest.approx(step, abs=0.001)
    assert watch.look(after + timedelta(seconds=1), 1001.0 + passed) == 0
    assert [at for at, _ in watch.steps] == [after]


def test_a_clock_that_is_slewed_is_not_set() -> None:
    watch, wall = ClockWatch(), START
    for second in range(1000):
        assert watch.look(wall, float(second)) == 0
        wall += timedelta(seconds=1.0005)
    assert watch.steps == []
