"""A desk in the command itself, for whoever sits at the recorder."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

from cti import users
from cti.app.clock import wall_clock
from cti.app.desk import build_desk
from cti.cli.common import actor, settings
from cti.desk import Desk, closing
from cti.store import database_answers
from recorder.memory import seal_memory

Result = TypeVar("Result")


def at_desk(what: Callable[[Desk], Awaitable[Result]], *, unlocked: bool = False) -> Result:
    """Do something at the desk, as the desk's user, in the name of whoever is at the keyboard.

    `unlocked`: the vault's identity will be in memory, which must then not reach a disk.
    """
    if unlocked:
        seal_memory(Path("/proc/swaps").read_text())
    loaded = settings().settings
    who = actor()
    os.umask(0o007)

    async def do() -> Result:
        async with closing(await build_desk(loaded, wall_clock, who)) as desk:
            with database_answers():
                return await what(desk)

    with users.acting_as(loaded.users.desk):
        return asyncio.run(do())
