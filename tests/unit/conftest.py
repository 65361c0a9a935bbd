"""What all unit tests share: a database whose tables are made once, and copied."""

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cti import store
from cti.app import desk


@pytest.fixture(scope="session", autouse=True)
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every migration from the first on costs 110 ms, the copy of what they made 10."""
    really, file = store.migrate, tmp_path_factory.mktemp("migrated") / "made.db"

    async def make() -> bytes:
        engine = store.engine(f"sqlite+aiosqlite:///{file}")
        await really(engine)
        await engine.dispose()
        return await asyncio.to_thread(file.read_bytes)

    made = asyncio.run(make())  # in memory: who acts as another user does not get to the file

    def copy(path: Path) -> None:
        if not path.exists():
            path.write_bytes(made)

    async def migrate(engine: AsyncEngine, to: str = "head") -> None:
        if engine.dialect.name == "sqlite" and to == "head":
            await asyncio.to_thread(copy, Path(engine.url.database or ""))
        await really(engine, to)

    with pytest.MonkeyPatch.context() as patch:
        for module in (store, desk):
            patch.setattr(module, "migrate", migrate)
        yield
