"""The recorder at work: starts and stops MixMonitor, watches the spool, and hands takes to the sealer.

Everything here runs on one event loop; sealing runs in threads, one take in one thread at a time.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import structlog

from policies.model import Recording
from recorder.sealer import Sealer, Told, Work
from recorder.spool import Name, Spool, Watch
from recorder.take import Order, Take
from recorder.vault.folder import Writer
from recorder.vault.manifest import Manifest

log = structlog.get_logger()
Result = TypeVar("Result")

TICK = 0.5  # seconds; Asterisk writes in steps of 32 KiB, two seconds at 8 kHz
WORKERS = 8  # a sync of 100 ms must not hold up the other calls
GONE = 2.0  # seconds without growth after which the files of a dead channel are complete


class Switch(Protocol):
    """The PBX as the recorder needs it."""

    async def start(self, channel: str, left: Path, right: Path) -> None:
        """Record what `channel` says to `left` and what it hears to `right`. Raises Exception where it cannot."""

    async def stop(self, channel: str) -> None:
        """End that."""


class Recorder:
    """Owns the takes. Whoever understands the calls tells it what to record."""

    def __init__(
        self,
        *,
        spool: Spool,
        writer: Writer,
        policy: Recording,
        switch: Switch,
        told: Told,
        pbx: str,
        now: Callable[[], datetime],
        resolve: Callable[[str], Order | None],
    ) -> None:
        """`resolve`: the order for a channel that the dialplan began to record (by uniqueid), None while unknown."""
        self.spool, self.policy, self.switch, self.told, self.now, self.resolve = (
            spool,
            policy,
            switch,
            told,
            now,
            resolve,
        )
        self._failure: asyncio.Future[None] | None = None
        self.sealer = Sealer(spool, writer, policy, pbx=pbx, now=now, told=self)
        self.works: dict[str, Work] = {}
        self.recent: deque[str] = deque(maxlen=100)
        self.trouble: str | None = None
        self._by_channel: dict[str, str] = {}
        self._arming: dict[str, asyncio.Task[bool]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed: dict[str, set[str]] = {}
        self._quiet: dict[str, tuple[int, float]] = {}
        self._busy: set[str] = set()
        self._pool = ThreadPoolExecutor(WORKERS, thread_name_prefix="seal")
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = False

    # --- what the calls ask for -------------------------------------------------------------------------------------

    def arm(self, order: Order) -> None:
        """Have `order.channel` recorded; asking again changes nothing."""
        if order.uniqueid in self._by_channel:
            return
        take = Take(id=uuid4().hex, starter="am", rate=self.policy.rate, order=order)
        self.spool.save(take.id, take.to_dict())
        self.works[take.id] = Work(take)
        self._by_channel[order.uniqueid] = take.id
        self._arming[order.uniqueid] = self._spawn(self._start(take))

    async def _start(self, take: Take) -> bool:
        left, right = (self.spool.path(take.stem, side, take.rate) for side in "rt")
        try:
            await self.switch.start(take.order.channel, left, right)
        except Exception as error:  # noqa: BLE001  # whatever it was, the dialplan's own MixMonitor takes over
            log.error("not armed", channel=take.order.uniqueid, error=str(error))
            self._by_channel.pop(take.order.uniqueid, None)
            take.stopped = True
            return False
        return True

    async def armed(self, uniqueid: str) -> bool:
        """Whether MixMonitor runs on `uniqueid`; waits for an answer that is under way."""
        task = self._arming.get(uniqueid)
        if task is not None:
            return await asyncio.shield(task)
        return uniqueid in self._by_channel

    def hooked(self, uniqueids: Iterable[str]) -> set[str]:
        """Those of `uniqueids` whose channels are being recorded."""
        return {uniqueid for uniqueid in uniqueids if uniqueid in self._by_channel}

    def disarm(self, uniqueid: str) -> None:
        """Stop recording `uniqueid`: no designated phone talks to it any more (B-03)."""
        take = self._forget_channel(uniqueid)
        if take is not None:
            take.stopped = True
            self._spawn(self._stop(take))

    async def _stop(self, take: Take) -> None:
        # A start that is still on its way must not come after the stop.
        await self.armed(take.order.uniqueid)
        try:
            await self.switch.stop(take.order.channel)
        except Exception as error:  # noqa: BLE001  # a channel that is gone has stopped too
            log.info("not stopped", channel=take.order.uniqueid, error=str(error))

    def _forget_channel(self, uniqueid: str) -> Take | None:
        take_id = self._by_channel.pop(uniqueid, None)
        self._arming.pop(uniqueid, None)
        return self.works[take_id].take if take_id else None

    def talk(self, uniqueid: str, agent: str | None) -> None:
        """A designated phone is joined: from now on the sound of this take is kept."""
        take = self._take(uniqueid)
        if take is not None and (take.describe(agent=agent) | (not take.joined)):
            take.joined = True
            self.spool.save(take.id, take.to_dict())

    def bridge(self, uniqueid: str, at: datetime, *, entered: bool) -> None:
        """The hooked channel entered or left a bridge."""
        take = self._take(uniqueid)
        if take is not None:
            (take.enter if entered else take.leave)(at)
            self.spool.save(take.id, take.to_dict())

    def describe(self, uniqueid: str, **what: str | None) -> None:
        """Numbers that became known."""
        take = self._take(uniqueid)
        if take is not None and take.describe(**what):
            self.spool.save(take.id, take.to_dict())

    def mark(self, uniqueid: str, at: datetime, what: str) -> None:
        """Hold, resume: kept beside the sound."""
        take = self._take(uniqueid)
        if take is not None:
            take.mark(at, what)
            self.spool.save(take.id, take.to_dict())

    def ended(self, uniqueid: str, at: datetime) -> None:
        """The channel is gone; Asterisk writes what it still holds and closes the files."""
        take = self._take(uniqueid)
        if take is not None:
            take.leave(at)
            take.stopped = True
            self.spool.save(take.id, take.to_dict())
            self._forget_channel(uniqueid)

    def _take(self, uniqueid: str) -> Take | None:
        take_id = self._by_channel.get(uniqueid)
        return self.works[take_id].take if take_id else None

    # --- what the files say -----------------------------------------------------------------------------------------

    def recover(self) -> list[Take]:
        """Take over what a predecessor left. Call before `run` and before anything is armed."""
        takes = []
        for values in self.spool.saved():
            take = Take.from_dict(values)
            work = self.sealer.adopt(take)
            self.works[take.id] = work
            if not take.stopped:
                self._by_channel[take.order.uniqueid] = take.id
            takes.append(take)
        return takes

    async def run(self) -> None:
        """Until cancelled; then seals what is open and leaves the sound of calls that go on to a successor."""
        self._loop = asyncio.get_running_loop()
        watch = Watch(self.spool)
        self._loop.add_reader(watch.fileno(), self._on_files, watch)
        self._failure = self._loop.create_future()
        try:
            while not self._failure.done():
                self._adopt_strangers()
                self._settle_quiet()
                self._schedule(self.works)
                await asyncio.wait([self._failure], timeout=TICK)
            self._failure.result()
        finally:
            self._loop.remove_reader(watch.fileno())
            watch.close()
            await asyncio.shield(self._park())

    def _on_files(self, watch: Watch) -> None:
        for name, closed in watch.events():
            # Our own removal of a file closes it too: nobody waits for that one any more.
            if closed and self.spool.path(name.stem, name.side, name.rate).exists():
                sides = self._closed.setdefault(name.stem, set())
                sides.add(name.side)
                if len(sides) == 2:
                    self._close(name.stem)

    def _close(self, stem: str) -> None:
        """Asterisk has closed both sides of `stem`: nothing more comes."""
        self._closed.pop(stem, None)
        for work in self.works.values():
            if work.take.stem == stem:
                work.closed = True
                self._schedule([work.take.id])
                return

    def _adopt_strangers(self) -> None:
        """Runs that the dialplan started: give them an order as soon as the call behind them is known."""
        known = {work.take.stem for work in self.works.values()}
        for stem, name in self.spool.stems().items():
            if stem not in known:
                self._adopt_stranger(stem, name)

    def _adopt_stranger(self, stem: str, name: Name) -> None:
        order = self.resolve(name.uniqueid) if name.starter == "fb" else None
        if order is None:
            return
        take = Take(id=name.run, starter=name.starter, rate=name.rate, order=order)
        self.spool.save(take.id, take.to_dict())
        first = self._by_channel.setdefault(order.uniqueid, take.id)
        self.works[take.id] = Work(take, twin=self.works[first] if first != take.id else None)
        log.warning("recording begun by the dialplan adopted", run=stem, second=first != take.id)

    def _settle_quiet(self) -> None:
        """A take whose channel is gone and whose files were closed while nobody watched: wait until they are still."""
        assert self._loop is not None  # noqa: S101  # run() has set it
        for work in self.works.values():
            take = work.take
            if work.closed or not take.stopped:
                continue
            size = sum(self.spool.size(take.stem, side, take.rate) or 0 for side in "rt")
            before, since = self._quiet.get(take.id, (-1, 0.0))
            if size != before:
                self._quiet[take.id] = (size, self._loop.time())
            elif self._loop.time() - since >= GONE:
                work.closed = True

    def _schedule(self, takes: Iterable[str]) -> None:
        """Hand idle takes to the threads, in as many bundles as there are threads."""
        assert self._loop is not None  # noqa: S101  # run() has set it
        for take_id in [take_id for take_id, work in self.works.items() if work.done and take_id not in self._busy]:
            self._drop(take_id)
        idle = [self.works[take] for take in takes if take in self.works and take not in self._busy]
        if self._stopping or not idle:
            return
        self._busy.update(work.take.id for work in idle)
        for start in range(min(WORKERS, len(idle))):
            self._spawn(self._bundle(idle[start::WORKERS]))

    async def _bundle(self, works: list[Work]) -> None:
        assert self._loop is not None  # noqa: S101  # run() has set it
        try:
            again = await self._loop.run_in_executor(self._pool, self._steps, works)
        finally:
            self._busy.difference_update(work.take.id for work in works)
        if again:
            self._schedule(again)

    def _steps(self, works: list[Work]) -> list[str]:
        again = []
        for work in works:
            was_closed = work.closed
            try:
                if self.sealer.step(work) or work.closed != was_closed:
                    again.append(work.take.id)
                self.trouble = None
            except OSError as error:
                # The sound stays in RAM and is tried again at every tick.
                if self.trouble is None:
                    log.error("vault refuses", error=str(error), recording=work.take.order.recording)
                self.trouble = str(error)
        return again

    def _drop(self, take_id: str) -> None:
        uniqueid = self.works[take_id].take.order.uniqueid
        if self._by_channel.get(uniqueid) == take_id:
            self._forget_channel(uniqueid)
        del self.works[take_id]
        self._quiet.pop(take_id, None)

    async def _park(self) -> None:
        """Seal every open segment; takes of calls that go on stay in the spool."""
        self._stopping = True
        assert self._loop is not None  # noqa: S101  # run() has set it
        bundles = [task for task in self._tasks if not task.done()]
        await asyncio.gather(*bundles, return_exceptions=True)
        for work in list(self.works.values()):
            with contextlib.suppress(OSError):
                await self._loop.run_in_executor(self._pool, self._last, work)
        self._pool.shutdown()

    def _last(self, work: Work) -> None:
        if not work.done:
            while self.sealer.step(work):
                pass
            if not work.done:
                self.sealer.seal(work, "recorder stopped in good order")

    # --- what became of it ------------------------------------------------------------------------------------------

    def sealed(self, name: str, manifest: Manifest) -> None:
        """From a sealing thread: pass it on."""
        self.recent.append(name)
        self.told.sealed(name, manifest)

    def discarded(self, take: Take, reason: str, samples: int) -> None:
        """From a sealing thread: pass it on."""
        self.told.discarded(take, reason, samples)

    def _spawn(self, work: Coroutine[Any, Any, Result]) -> "asyncio.Task[Result]":
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: "asyncio.Task[Any]") -> None:
        """A task that failed ends the recorder loudly: its successor adopts what lies in the spool."""
        self._tasks.discard(task)
        if task.cancelled() or task.exception() is None:
            return
        if self._failure is not None and not self._failure.done():
            self._failure.set_exception(task.exception() or RuntimeError())
