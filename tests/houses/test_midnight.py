"""Calls that begin on 29 February and end in March: whole, on the right days, and complete by Asterisk's own record.

The whole house lives by a clock of libfaketime's, Asterisk too: it is off by the same from the start.
"""

import asyncio
import os
from collections.abc import AsyncIterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from cti.demo.lab import LabError
from policies.calendar import JST
from tests.houses.clock import Clock
from tests.real import House, a_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-04")]

MIDNIGHT = datetime(2028, 3, 1, tzinfo=JST)
TO_COME_UP = 30  # s that Asterisk and service are given to start by the new clock
BEFORE = 4.0  # s before midnight at which the first call is placed
SECONDS = 8.0


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def off() -> AsyncIterator[tuple[House, timedelta]]:
    """A house that begins anew half a minute before midnight; how far its clock is off."""
    async with a_house() as house:
        lab = house.lab
        off = timedelta(seconds=round((MIDNIGHT - wall_clock()).total_seconds()) - TO_COME_UP)
        folder = Path(lab.pbx.site.var_dir) / "clock"  # that Asterisk sees, too
        folder.mkdir(mode=0o755)
        folder.parent.chmod(0o755)
        clock = Clock.of(folder)
        clock.set(round(off.total_seconds()))
        await lab.stop_service()
        lab.pbx.stop()
        lab.pbx.environ = clock.environ
        await asyncio.to_thread(lab.pbx.start)
        with pytest.MonkeyPatch.context() as patch:
            for name, value in clock.environ.items():
                patch.setenv(name, value)
            await lab.serve()
            house.pause_the_others()
            yield house, off


async def test_calls_across_midnight_and_the_months_end(off: tuple[House, timedelta]) -> None:
    house, by = off
    left = (MIDNIGHT - wall_clock() - by).total_seconds()
    assert left > BEFORE, "it took too long to come up"
    await asyncio.sleep(left - BEFORE)
    async with house.call_in(SECONDS, "0664581132") as first, house.call_out(SECONDS, "2002") as second:
        pass
    async with house.call_in(2.0, "0664587160") as third:
        pass
    await house.lab.idle()
    house.survived("midnight", first.call, second.call, third.call)
    rows = {row["recording"]: row for row in house.lab.rows("recordings", "list")}
    for live, seconds in ((first, SECONDS), (second, SECONDS), (third, 2.0)):
        kept = house.of(live.call)
        (part,) = kept.parts
        begun, ended = part.manifest.start.astimezone(JST), part.manifest.end.astimezone(JST)
        assert timedelta(seconds=seconds) <= ended - begun < timedelta(seconds=seconds + 3)
        assert (begun < MIDNIGHT < ended) == (live is not third)
        assert datetime.fromisoformat(rows[kept.recording]["start"]) == part.manifest.start
    written(Path(house.lab.pbx.site.log_dir), wall_clock() + by)
    days = [house.completeness(day) for day in ("2028-02-29", "2028-03-01")]
    assert [(day["conversations"], day["recorded"], day["exceptions"]) for day in days] == [(2, 2, []), (1, 1, [])]


def written(folder: Path, at: datetime) -> None:
    """Asterisk's records are of that time: libfaketime's is not the time of files."""
    for path in folder.glob("*.csv"):
        os.utime(path, (at.timestamp(), at.timestamp()))


async def test_the_day_that_is_over_has_its_statement(off: tuple[House, timedelta]) -> None:
    house, _ = off
    assert "2028-02-29" in house.lab.kikitori("completeness", "statement", "--day", "2028-02-29")
    with pytest.raises(LabError, match="2028-03-01 is not over yet"):
        house.lab.kikitori("completeness", "statement", "--day", "2028-03-01")
    house.verified()
