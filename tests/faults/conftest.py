"""One installation for all tests here: what one of them breaks, the next finds mended."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.real import House, a_house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house() -> AsyncIterator[House]:
    """Disk, Asterisk, recorder, gate, desk and telephones."""
    async with a_house() as house:
        yield house
