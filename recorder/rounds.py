"""Which takes are worked on when: rounds of those that have something new, in threads, one take in one at a time."""

import asyncio
import os
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

WORKERS = 8  # a sync of 100 ms must not hold up the other calls
SLOW = 0.25  # seconds; half of a tick

Spawn = Callable[[Coroutine[Any, Any, None]], object]


def _stand_back() -> None:
    """Sealing is no more urgent than anybody else's work, listening is: Linux counts niceness by thread."""
    if os.getpriority(os.PRIO_PROCESS, 0) < 0:
        os.setpriority(os.PRIO_PROCESS, 0, 0)


class Rounds:
    """`want` says what has something new, `start` hands it to the threads.

    One thread works while it keeps up: eight that wait for one interpreter lock cost twice the CPU of the work itself
    (docs/benchmarks.md). Where a round is slow, as a disk is, the next ones are shared by all.
    """

    def __init__(self, step: Callable[[str], bool], spawn: Spawn) -> None:
        """`step(take)` runs in a thread and is True where there is more to do; `spawn` owns the tasks."""
        self._step, self._spawn = step, spawn
        self._due: set[str] = set()
        self._busy: set[str] = set()
        self._crew = 1
        self._stopped = False
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="seal", initializer=_stand_back)

    def want(self, takes: Iterable[str]) -> None:
        """These have something new, or had trouble before."""
        self._due.update(takes)

    def busy(self, take: str) -> bool:
        """Whether a thread has it at this moment."""
        return take in self._busy

    def start(self) -> None:
        """A round of all that is wanted, except what is still being worked on: that waits for a later one."""
        ready = [] if self._stopped else list(self._due - self._busy)
        self._due.difference_update(ready)
        self._busy.update(ready)
        crew = min(self._crew, len(ready))
        for first in range(crew):
            self._spawn(self._bundle(ready[first::crew]))

    async def _bundle(self, takes: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            again = await loop.run_in_executor(self._pool, lambda: [take for take in takes if self._step(take)])
        finally:
            self._busy.difference_update(takes)
        took = loop.time() - began
        if took > SLOW:
            self._crew = WORKERS
        elif took < SLOW / WORKERS:
            self._crew = 1
        if again:
            self.want(again)
            self.start()

    def stop(self) -> None:
        """Start no more rounds; those that run go on."""
        self._stopped = True

    async def last(self, what: Callable[[], None]) -> None:
        """Something of the end, in a thread, when no round runs any more."""
        await asyncio.get_running_loop().run_in_executor(self._pool, what)

    def close(self) -> None:
        """Nothing is started any more."""
        self._pool.shutdown()
