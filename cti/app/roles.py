"""The process of one role: each loads what it needs, and no more."""

import asyncio
import os
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from cti.app.clock import wall_clock
from cti.notify import Notifier
from cti.settings import Settings
from cti.supervise import SUPERVISED
from recorder.memory import end_with_parent, seal_memory


def run_role(role: str, settings: Settings) -> None:
    """In the foreground, until it ends."""
    os.umask(0o007)
    if role != "gate":
        seal_memory(Path("/proc/swaps").read_text())
    if SUPERVISED in os.environ:
        end_with_parent()
    asyncio.run(_process(role, settings, Notifier(os.environ)))


def _process(role: str, settings: Settings, notifier: Notifier) -> Coroutine[Any, Any, None]:
    if role == "recorder":
        from cti.app.recorder import run_recorder

        return run_recorder(settings, wall_clock, notifier)
    if role == "gate":
        from cti.app.gate import run_gate

        return run_gate(settings, wall_clock, notifier)
    if role == "keeper":
        from cti.app.keeper import run_keeper

        return run_keeper(settings, wall_clock, notifier)
    from cti.app.desk import run_desk

    return run_desk(settings, wall_clock, notifier)
