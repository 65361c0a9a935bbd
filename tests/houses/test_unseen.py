"""A call that neither the recorder nor Asterisk's own record saw (decision 0021), in a house of its own: there its
completeness cannot be proved.
"""

import asyncio

import pytest

from cti.demo.lab import LabError
from recorder.sealer import BROKEN
from tests.real import RATE, a_house, judge

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.rule("B-03")
async def test_a_call_that_nobody_saw_is_kept_by_its_sound_alone() -> None:
    async with a_house() as house:
        lab = house.lab
        await lab.stop_service()
        await asyncio.to_thread(lab.pbx.rx, "module unload cel_custom.so")
        async with house.call_in(4.0, "0664587225") as live:
            pass
        await asyncio.to_thread(lab.pbx.rx, "module load cel_custom.so")
        await lab.serve()
        await lab.idle()
        (recording,) = house.recordings()
        kept = house.open(recording)
        judge(kept, live.call)
        assert kept.states == [("cut", BROKEN)]
        assert "unseen" in kept.marks
        assert not any((lab.settings.paths.spool / "audio").iterdir())
        (row,) = lab.rows("recordings", "list")
        assert row["seconds"] == pytest.approx(len(kept.sound) / RATE, abs=0.1), "it is found"
        with pytest.raises(LabError, match="do not reach back"):
            lab.kikitori("completeness", "check")
