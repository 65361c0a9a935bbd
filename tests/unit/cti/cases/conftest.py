"""A shelf of cases in a database of its own."""

from collections.abc import AsyncIterator

import pytest

from cti import store
from tests import databases
from tests.unit.cti.cases.test_book import Shelf
from tests.unit.recorder.rig import ram_folder


@pytest.fixture
async def shelf() -> AsyncIterator[Shelf]:
    with ram_folder() as folder:
        engine = store.engine(databases.url(folder))
        await store.migrate(engine)
        yield Shelf(engine)
        await engine.dispose()
