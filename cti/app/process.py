"""What the processes of all roles have in common."""

import asyncio
import signal
from collections.abc import Awaitable, Callable

import structlog

log = structlog.get_logger()


async def every(
    seconds: float, what: Callable[[], Awaitable[object]], trouble: tuple[type[Exception], ...] = (OSError,)
) -> None:
    """Do it again and again; an error of `trouble` is logged, any other ends it."""
    while True:
        try:
            await what()
        except trouble as error:
            log.error("not done", what=what.__qualname__, error=str(error))
        await asyncio.sleep(seconds)


async def terminated() -> None:
    """Wait for SIGTERM or SIGINT."""
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    await ended.wait()
