"""One long call on a real PBX: `scripts/faults tests/long/test_long_call.py`, 90 minutes. Not in `make test`.

KIKITORI_CALL_SECONDS: another length. It takes as long as it says, and some minutes for the judging.
Its sealing alone, in minutes: tests/unit/recorder/test_sealer.py.
"""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.figures import times
from tests.real import House, a_house

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-03")]

SECONDS = int(os.environ.get("KIKITORI_CALL_SECONDS", times(short=60, long=5400)))
HELD = 8 << 20  # bytes of RAM that sound may take meanwhile


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house() -> AsyncIterator[House]:
    async with a_house() as house:
        yield house


async def test_a_long_call(house: House) -> None:
    held, audio = [], house.lab.settings.paths.spool / "audio"
    async with house.call_in(float(SECONDS)) as live:
        await live.talking(30)
        for _ in range(SECONDS // 30):
            await asyncio.sleep(30)  # of talk
            held.append(_taken(audio))
    await house.lab.idle(60)
    assert max(held) < HELD, "what is sealed leaves the RAM"
    house.survived("long-call", live.call)
    assert house.of(live.call).states == [("sealed", None)]
    await asyncio.to_thread(house.verified)
    await asyncio.to_thread(house.complete)


def _taken(folder: Path) -> int:
    """Bytes that its files take; one that is sealed and gone while we look takes none."""
    taken = 0
    for path in folder.iterdir():
        with contextlib.suppress(FileNotFoundError):
            taken += path.stat().st_blocks * 512
    return taken
