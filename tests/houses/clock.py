"""A clock of libfaketime's, for those processes that are given its environment."""

import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.real import House

LIBRARY = list(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"))


@dataclass(frozen=True, slots=True)
class Clock:
    """How far the time of some processes is off. `file`: where they read it; the library lies beside it."""

    file: Path

    @classmethod
    def of(cls, folder: Path) -> "Clock":
        """One whose files lie in `folder`, and which is not off."""
        (library,) = LIBRARY
        shutil.copy(library, folder)
        clock = cls(folder / "clock")
        clock.set(0)
        return clock

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs to go by it."""
        (library,) = LIBRARY
        once = ("FAKETIME_NO_CACHE", "FAKETIME_DONT_FAKE_MONOTONIC", "NO_FAKE_STAT")
        return {
            "LD_PRELOAD": str(self.file.with_name(library.name)),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            **dict.fromkeys(once, "1"),
        }

    def set(self, seconds: int) -> None:
        """So far off is it from now on."""
        self.file.write_text(f"{seconds:+d}\n")


@contextlib.asynccontextmanager
async def served_by(house: House, **more: str) -> AsyncIterator[Clock]:
    """The service of `house` goes by a clock of its own, and has `more` in its environment."""
    lab, folder = house.lab, house.lab.folder / "clock"
    folder.mkdir(mode=0o755)
    clock = Clock.of(folder)
    await lab.stop_service()
    with pytest.MonkeyPatch.context() as patch:
        for name, value in (clock.environ | more).items():
            patch.setenv(name, value)
        await lab.serve()
    yield clock
    await lab.stop_service()
