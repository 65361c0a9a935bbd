"""One installation for all tests here: what one of them breaks, the next finds mended."""

import os
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.real import House, a_house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house() -> AsyncIterator[House]:
    """Disk, Asterisk, recorder, gate, desk and telephones; SIGUSR1 blocks a process's event loop (hangs)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(__file__).parent / "hangs"), prepend=os.pathsep)
        async with a_house() as house:
            yield house
