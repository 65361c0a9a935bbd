"""One installation for all tests of a module that asks for it."""

from collections.abc import AsyncIterator

import pytest_asyncio

from tests.real import House, a_house


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house_with_service() -> AsyncIterator[House]:
    """Disk, Asterisk, recorder, gate, desk and telephones."""
    async with a_house() as house:
        yield house
