"""One installation for all tests here; they run when all others are over: a hundred telephones need the machine."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.real import House, a_house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house() -> AsyncIterator[House]:
    """Disk, Asterisk, recorder, gate, desk and telephones."""
    async with a_house() as house:
        yield house
