"""What all unit tests share: a database whose tables are made once, and copied."""

import asyncio
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from cti import store
from cti.app import desk


@pytest.fixture(scope="session", autouse=True)
def migrated(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Every migration from the first on costs 110 ms, the copy of what they made 10; there are some 1,500 databases."""
    really, made = store.migrate, tmp_path_factory.mktemp("migrated") / "made.db"

    async def make() -> None:
        engine = store.engine(f"sqlite+aiosqlite:///{made}")
        await really(engine)
        await engine.dispose()

    def copy(path: Path) -> None:
        if not path.exists():
            shutil.copyfile(made, path)

    async def migrate(engine: AsyncEngine, to: str = "head") -> None:
        if engine.dialect.name == "sqlite" and to == "head":
            await asyncio.to_thread(copy, Path(engine.url.database or ""))
        await really(engine, to)

    asyncio.run(make())
    with pytest.MonkeyPatch.context() as patch:
        for module in (store, desk):
            patch.setattr(module, "migrate", migrate)
        yield
