"""Which takes are worked on when: rounds of those that have something new, in threads, one take in one at a time."""

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from recorder.priority import stand_back

WORKERS = 8  # a sync of 100 ms must not hold up the other calls
SLOW = 0.25  # seconds that a thread takes for its part of a round; half of a tick
SHARED = 5.0  # seconds for which all threads work after one was too slow

Spawn = Callable[[Coroutine[Any, Any, None]], object]


class Rounds:
    """`want` says what has something new, `start` hands it to the threads.

    One thread works while it keeps up: eight that wait for one interpreter lock cost twice the CPU of the work itself
    (decision 0009). Where a disk is slow, what that thread has not come to in its time is shared by all, and so are
    the rounds of the next seconds.
    """

    def __init__(self, step: Callable[[str], bool], spawn: Spawn) -> None:
        """`step(take)` runs in a thread and is True where there is more to do; `spawn` owns the tasks."""
        self._step, self._spawn = step, spawn
        self._due: dict[str, None] = {}  # in the order in which they were wanted
        self._busy: set[str] = set()
        self._begun: dict[int, float] = {}
        self._shared_until = 0.0
        self._stopped = False
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="seal", initializer=stand_back)

    def want(self, takes: Iterable[str]) -> None:
        """These have something new, or had trouble before."""
        self._due.update(dict.fromkeys(takes))

    def busy(self, take: str) -> bool:
        """Whether a thread has it at this moment."""
        return take in self._busy

    def longest(self) -> float:
        """Seconds that a thread has been at its part of a round: more than a moment where the disk stands still."""
        return asyncio.get_running_loop().time() - min(self._begun.values()) if self._begun else 0.0

    def start(self) -> None:
        """A round of all that is wanted, except what is still being worked on: that waits for a later one."""
        ready = [] if self._stopped else [take for take in self._due if take not in self._busy]
        for take in ready:
            del self._due[take]
        self._busy.update(ready)
        shared = asyncio.get_running_loop().time() < self._shared_until
        crew = min(WORKERS if shared else 1, len(ready))
        for first in range(crew):
            self._spawn(self._bundle(ready[first::crew]))

    async def _bundle(self, takes: Sequence[str]) -> None:
        loop = asyncio.get_running_loop()
        self._begun[id(takes)] = loop.time()
        try:
            again, slow = await loop.run_in_executor(self._pool, self._work, takes)
        finally:
            del self._begun[id(takes)]
            self._busy.difference_update(takes)
        if slow:
            self._shared_until = loop.time() + SHARED
        if again:
            self.want(again)
            self.start()

    def _work(self, takes: Sequence[str]) -> tuple[list[str], bool]:
        """In a thread: (the takes that are to be worked on again, whether that is because the time was up)."""
        end = time.monotonic() + SLOW
        again = []
        for number, take in enumerate(takes, 1):
            if self._step(take):
                again.append(take)
            if time.monotonic() > end:
                return [*takes[number:], *again], True  # whoever waited goes first
        return again, False

    def stop(self) -> None:
        """Start no more rounds; those that run go on."""
        self._stopped = True

    async def last(self, what: Callable[[], None]) -> None:
        """Something of the end, in a thread, when no round runs any more."""
        await asyncio.get_running_loop().run_in_executor(self._pool, what)

    def close(self) -> None:
        """Nothing is started any more."""
        self._pool.shutdown()
