"""The recorder at work: starts and stops MixMonitor, watches the spool, and hands takes to the sealer.

Everything here runs on one event loop; sealing runs in threads, one take in one thread at a time.
"""

import asyncio
import contextlib
import errno
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import Future, InvalidStateError
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from time import monotonic
from typing import Any, Protocol, TypeVar
from uuid import uuid4

import structlog

from policies.model import Recording
from recorder.rounds import Rounds
from recorder.sealer import Sealer, Told, Work
from recorder.spool import Name, Spool, Watch
from recorder.take import History, Order, Take
from recorder.vault.errors import VaultError
from recorder.vault.folder import Writer, segment_name
from recorder.vault.manifest import Manifest

log = structlog.get_logger()
Result = TypeVar("Result")
Answer = Future[list[Path]]

TICK = 0.5  # seconds; Asterisk writes in steps of 32 KiB, two seconds at 8 kHz
SWEEP = 10  # ticks after which every take is looked at, whatever inotify told
LOW = 0.25  # of the spool: below that somebody should look; an hour's spool lasts a quarter of an hour then
FULL = 128 * 1024  # bytes: Asterisk writes the two sides of one call in steps of half of that
AGAIN = 2.0  # seconds before a channel whose start was not answered is armed once more
UNSAID = 10.0  # seconds that the PBX is given to say why it closed the files of a call
# Seconds between a stop and the next start on one channel. Asterisk keeps what it translates a channel's sound with
# until a frame has passed without any hook. A hook that comes before gets it with the packet numbers of the phone that
# was there first, and drops the next phone's packets as late until its numbers have come as far: 4 of 6 transfers
# were recorded with one voice (Asterisk 22.10.1). Two packets are enough where a packet has 20 ms.
CLEARED = 0.1
STUCK = 5.0  # seconds that a thread may be at one piece of work before somebody should look: a disk that stands still
HOUR = 3600.0  # seconds
GONE = 3.0  # seconds without growth after which the files of a dead channel are complete


class SwitchRefusedError(Exception):
    """The PBX said no: nothing was started."""

    code = "switch-refused"


class Switch(Protocol):
    """The PBX as the recorder needs it."""

    async def start(self, channel: str, left: Path, right: Path) -> None:
        """Record what `channel` says to `left` and what it hears to `right`. Raises SwitchRefusedError, or anything."""

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
        resolve: Callable[[str], History | None],
        history_of: Callable[[str], History | None],
    ) -> None:
        """`resolve`: what is known of a channel that the dialplan records (by uniqueid), None while nothing is;
        `history_of`: what Asterisk itself wrote down of a channel, whatever a tracker that hears nothing believes;
        asked in threads, where it may wait.
        """
        self.spool, self.policy, self.switch, self.told, self.now, self.resolve = (
            spool,
            policy,
            switch,
            told,
            now,
            resolve,
        )
        self.writer = writer
        self._failure: asyncio.Future[None] | None = None
        self.sealer = Sealer(spool, writer, policy, pbx=pbx, now=now, told=self, history_of=history_of)
        self.works: dict[str, Work] = {}
        self._troubles: dict[str, str] = {}
        self._foreign: set[str] = set()
        self._of: dict[str, list[Work]] = {}
        self._armed: dict[str, Work] = {}
        self._arming: dict[str, asyncio.Task[bool]] = {}
        self._disarming: dict[str, asyncio.Task[None]] = {}
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed: dict[str, set[str]] = {}
        self._unsaid: dict[str, float] = {}
        self._room: str | None = None
        self._full = False
        self._begun_for_us: deque[float] = deque()
        self._quiet: dict[str, tuple[int, float]] = {}
        self._asked: dict[str, Answer] = {}
        self._unkept: set[str] = set()
        self._rounds = Rounds(self._step, self._spawn)
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def trouble(self) -> str | None:
        """Why sound waits in RAM, or what else needs a person; None where all is well."""
        foreign = next((f"{stem} in the spool belongs to no call that is understood" for stem in self._foreign), None)
        stuck = self._rounds.longest()
        slow = f"the vault's disk has not answered for {stuck:.0f} s" if stuck > STUCK else None
        first = next(iter(self._troubles.values()), None)
        return first or slow or self._room or foreign or self.writer.mirror_trouble

    def open_segments(self) -> list[str]:
        """The names of the segments that are being written."""
        # Read once: a sealing thread may end one meanwhile.
        segments = [(work.take.order.recording, work.take.segment) for work in self.works.values()]
        return [segment_name(recording, segment.number) for recording, segment in segments if segment is not None]

    async def damaged(self) -> list[Path]:
        """The files of open segments that are not as they were written. Asked of each take by whoever works on it."""
        asked = {take_id: self._asked.get(take_id) or Answer() for take_id, work in self.works.items() if work.segment}
        self._asked |= asked
        self._rounds.want(asked)
        self._rounds.start()
        found = await asyncio.gather(*map(asyncio.wrap_future, asked.values()), return_exceptions=True)
        return [path for paths in found if not isinstance(paths, BaseException) for path in paths]

    def _answer(self, take_id: str, work: Work) -> None:
        """What `damaged` asked of a take, if it did."""
        if (asked := self._asked.pop(take_id, None)) is None:
            return
        try:
            asked.set_result(work.segment.damaged() if work.segment is not None else [])
        except (VaultError, InvalidStateError) as error:
            # Who asked may be gone; a question must not end the recorder.
            log.error("not checked", error=str(error), recording=work.take.order.recording)
            asked.cancel()

    # --- what the calls ask for -------------------------------------------------------------------------------------

    def arm(self, order: Order) -> None:
        """Have `order.channel` recorded; asking again changes nothing."""
        if order.uniqueid in self._armed:
            return
        begun = self._begun(order.uniqueid)
        if begun is not None:
            # Whoever comes late must not begin a second, shorter recording in the middle of the first.
            take = Take(id=begun.run, starter=begun.starter, rate=begun.rate, order=order, began=begun.began)
            take.guessed = True
            self._keep(take)
            self._armed[order.uniqueid] = self._add(take)
            self._adopted(take, second=False)
            return
        began = (self.now() + self.delay(order.uniqueid)).isoformat()
        take = Take(id=uuid4().hex, starter="am", rate=self.policy.rate, order=order, began=began)
        self._keep(take)
        self._armed[order.uniqueid] = self._add(take)
        self._arming[order.uniqueid] = self._spawn(self._start(take, self._disarming.get(order.uniqueid)))

    async def _start(self, take: Take, ending: "asyncio.Task[None] | None") -> bool:
        uniqueid = take.order.uniqueid
        left, right = (self.spool.path(take.stem, side, take.rate) for side in "rt")
        # A stop ends every MixMonitor of its channel: one that is still under way would end the new one too.
        if ending is not None:
            await asyncio.wait([ending])
        try:
            await self.switch.start(take.order.channel, left, right)
        except Exception as error:  # noqa: BLE001  # whatever it was, the dialplan's own MixMonitor takes over
            log.error("not armed", channel=uniqueid, error=str(error))
            take.stopped = take.stopped or isinstance(error, SwitchRefusedError)
            if take.stopped:
                self._unarm(uniqueid, take)
            else:
                # After silence MixMonitor may run all the same: what it writes is looked for until the channel ends,
                # and another is started only when this one has had its time.
                asyncio.get_running_loop().call_later(AGAIN, self._unarm, uniqueid, take)
            return False
        return True

    def _unarm(self, uniqueid: str, take: Take) -> None:
        work = self._armed.get(uniqueid)
        if work is not None and work.take is take:
            del self._armed[uniqueid]

    async def armed(self, uniqueid: str) -> bool:
        """Whether MixMonitor runs on `uniqueid`; waits for an answer that is under way."""
        task = self._arming.get(uniqueid)
        if task is not None:
            return await asyncio.shield(task)
        return uniqueid in self._armed

    def hooked(self, uniqueids: Iterable[str]) -> set[str]:
        """Those of `uniqueids` whose channels are being recorded."""
        return {uniqueid for uniqueid in uniqueids if uniqueid in self._armed}

    def delay(self, uniqueid: str) -> timedelta:
        """How long a start on `uniqueid` waits for the stop before it."""
        return timedelta(seconds=CLEARED if uniqueid in self._disarming else 0)

    def recording(self, uniqueid: str) -> str | None:
        """The id of what is recorded of `uniqueid`; None where nothing is."""
        work = self._armed.get(uniqueid)
        return work.take.order.recording if work is not None else None

    def disarm(self, uniqueid: str, at: datetime) -> None:
        """Stop recording `uniqueid`: no designated phone talks to it any more (B-03)."""
        takes = self._takes(uniqueid)
        starting = self._arming.pop(uniqueid, None)
        self._armed.pop(uniqueid, None)
        for take in takes:
            take.stop_at(at, self.spool.laid(take.stem, take.rate))
            self._keep(take)
        self._close_said(uniqueid)
        if takes:
            ending = self._spawn(self._stop(takes[-1].order.channel, starting))
            self._disarming[uniqueid] = ending
            ending.add_done_callback(partial(self._disarmed, uniqueid))

    async def _stop(self, channel: str, starting: "asyncio.Task[bool] | None") -> None:
        # A start that is still on its way must not come after the stop.
        if starting is not None:
            await asyncio.wait([starting])
        try:
            await self.switch.stop(channel)
        except Exception as error:  # noqa: BLE001  # a channel that is gone has stopped too
            log.info("not stopped", channel=channel, error=str(error))
        else:
            await asyncio.sleep(CLEARED)

    def _disarmed(self, uniqueid: str, ended: "asyncio.Task[None]") -> None:
        if self._disarming.get(uniqueid) is ended:
            del self._disarming[uniqueid]

    def talk(self, uniqueid: str, agent: str | None, at: datetime) -> None:
        """A designated phone is joined: from now on the sound of this channel is kept."""
        for take in self._takes(uniqueid):
            written = self.spool.laid(take.stem, take.rate)
            if take.back(at, written) | take.describe(agent=agent) | (not take.joined):
                take.join(at, written)
                self._keep(take)
                self._rounds.want([take.id])

    def bridge(self, uniqueid: str, at: datetime, *, entered: bool) -> None:
        """The hooked channel entered or left a bridge."""
        for take in self._takes(uniqueid):
            (take.enter if entered else take.leave)(at)
            self._keep(take)

    def found(self, uniqueid: str, at: datetime) -> None:
        """The hooked channel is in a bridge, and nobody told since when."""
        for take in self._takes(uniqueid):
            take.found(at)
            self._keep(take)

    def describe(self, uniqueid: str, **what: str | None) -> None:
        """Numbers that became known."""
        for take in self._takes(uniqueid):
            if take.describe(**what):
                self._keep(take)

    def mark(self, uniqueid: str, at: datetime, what: str) -> None:
        """Hold, resume: kept beside the sound."""
        for take in self._takes(uniqueid):
            take.mark(at, what)
            self._keep(take)

    def ended(self, uniqueid: str, at: datetime, *, said: bool = True, seen: bool = True) -> None:
        """The channel is gone; Asterisk writes what it still holds and closes the files.

        `said` False: it is gone without having ended, and what Asterisk still held is lost. `seen` False: neither we
        nor Asterisk's own record saw who was with it to the end.
        """
        for take in self._takes(uniqueid):
            take.leave(at)
            if not seen:
                take.presume(at)
            take.stopped = True
            take.broken = not said
            self._keep(take)
        self._close_said(uniqueid)
        self._armed.pop(uniqueid, None)
        self._arming.pop(uniqueid, None)

    def revise(self, uniqueid: str, history: History) -> None:
        """What a witness says of a channel that nobody of us watched for a while."""
        for take in self._takes(uniqueid):
            take.revise(history)
            self._keep(take)

    def _keep(self, take: Take) -> None:
        """Keep what is known of a take beside its sound, now or, in a full spool, as soon as there is room.

        An event of a call must not end the recorder: it alone makes room.
        """
        try:
            self.spool.save(take)
            self._unkept.discard(take.id)
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            self._unkept.add(take.id)
            self._troubles[take.id] = str(error)

    def _takes(self, uniqueid: str) -> list[Take]:
        """The takes of a channel that still run, in the order in which they were begun."""
        return [work.take for work in self._of.get(uniqueid, []) if not work.take.stopped]

    def _add(self, take: Take) -> Work:
        of = self._of.setdefault(take.order.uniqueid, [])
        work = Work(take)
        work.follows(next((work for work in of if not work.take.stopped), None))
        of.append(work)
        self.works[take.id] = work
        return work

    # --- what the files say -----------------------------------------------------------------------------------------

    def recover(self) -> list[Take]:
        """Take over what a predecessor left. Call before `run` and before anything is armed.

        Only looks; ending what was open is the first step of each take: one that cannot be ended holds up no other.
        """
        takes = [Take.from_dict(values) for values in self.spool.saved()]
        # Of two recordings of one channel the one that is in the vault already was the first.
        for take in sorted(takes, key=lambda take: (-take.position, take.segment is None, take.starter != "am")):
            of = self._of.setdefault(take.order.uniqueid, [])
            work = Work(take, inherited=True)
            if take.position == 0 and take.segment is None:
                work.follows(next((first for first in of if first.take.beside(take)), None))
            self.works[take.id] = work
            of.append(work)
            if not take.stopped:
                self._armed.setdefault(take.order.uniqueid, work)
        return [work.take for work in self.works.values()]

    async def run(self) -> None:
        """Until cancelled; then seals what is open and leaves the sound of calls that go on to a successor."""
        self._loop = asyncio.get_running_loop()
        watch = Watch(self.spool)
        self._loop.add_reader(watch.fileno(), self._on_files, watch)
        self._failure = self._loop.create_future()
        ticks = 0
        try:
            while not self._failure.done():
                self.spool.keep_reserve()
                self._look_at_room()
                for take_id in [take_id for take_id in self._unkept if take_id in self.works]:
                    self._keep(self.works[take_id].take)
                self.adopt_strangers()
                self._settle_unsaid()
                self._settle_quiet()
                self._drop_done()
                grown = watch.grown()
                self._rounds.want(self.works if grown is None or ticks % SWEEP == 0 else grown | self._troubles.keys())
                self._rounds.start()
                ticks += 1
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
                if work.take.stopped:
                    self._is_closed(work)
                else:  # what ended it is on its way, by another road
                    self._unsaid.setdefault(work.take.id, asyncio.get_running_loop().time())
                return

    def _close_said(self, uniqueid: str) -> None:
        """Why the files of a channel were closed is known now."""
        for work in self._of.get(uniqueid, []):
            if work.take.stopped and self._unsaid.pop(work.take.id, None) is not None:
                self._is_closed(work)

    def _settle_unsaid(self) -> None:
        """Files that were closed long ago, and still nobody said that the call had ended: Asterisk died, or was told to
        stop writing by somebody else.
        """
        now = asyncio.get_running_loop().time()
        for take_id in [take_id for take_id, since in self._unsaid.items() if now - since >= UNSAID]:
            self._unsaid[take_id] = float("inf")  # being settled
            self._spawn(self._settle(self.works[take_id]))

    async def _settle(self, work: Work) -> None:
        take = work.take
        # In a thread: it may have to wait for one that reads a day of events.
        history = await asyncio.to_thread(self.sealer.asked, take)
        if take.stopped:
            return  # what ended it has come meanwhile
        if history is None or history.ended is None:
            take.presume(self.now())
        if history is not None:
            take.revise(history)
        ended = history.ended if history else None
        # This one alone: another recording of the same channel may go on.
        take.leave(ended or self.now())
        take.stopped, take.broken = True, ended is None
        self._keep(take)
        self._close_said(take.order.uniqueid)

    def _is_closed(self, work: Work) -> None:
        work.closed = True
        # The one that was begun first waits for the length of this one.
        self._rounds.want(each.take.id for each in (work, work.twin) if each is not None)

    def adopt_strangers(self) -> None:
        """Runs that the dialplan started: give them an order as soon as the call behind them is known."""
        foreign: set[str] = set()
        for stem, name in self._strangers():
            try:
                self._adopt_stranger(stem, name)
            except Exception:
                # One file that nobody understands must not end the recording of all the others. It stays in the spool.
                if stem not in self._foreign:
                    log.exception("recording begun by the dialplan not adopted", run=stem)
                foreign.add(stem)
        self._foreign = foreign

    def _strangers(self) -> list[tuple[str, Name]]:
        """The runs of the dialplan that nobody of us knows."""
        begun = self.spool.stems("fb")
        return [(stem, name) for stem, name in begun.items() if name.run not in self.works] if begun else []

    def _begun(self, uniqueid: str) -> Name | None:
        """What the dialplan has begun to record of a channel, and nobody of us knows."""
        return next((name for _, name in self._strangers() if name.uniqueid == uniqueid), None)

    def _adopt_stranger(self, stem: str, name: Name) -> None:
        history = self.resolve(name.uniqueid)
        if history is None:
            return
        take = Take(id=name.run, starter=name.starter, rate=name.rate, order=history.order, began=name.began)
        work = self._add(take)
        if work.twin is None:
            if not history.seen:
                take.presume(self.now())
            take.revise(history)
        take.stopped = history.ended is not None
        take.broken = not history.said
        take.guessed = history.began is None
        self._keep(take)
        if not take.stopped:
            self._armed.setdefault(name.uniqueid, work)
        self._adopted(take, second=work.twin is not None)

    def _adopted(self, take: Take, *, second: bool) -> None:
        log.warning("recording begun by the dialplan adopted", run=take.stem, second=second)
        self._begun_for_us.append(monotonic())

    @property
    def by_dialplan(self) -> int:
        """How many recordings of the last hour the dialplan had to begin: we or the gate did not answer in time."""
        while self._begun_for_us and monotonic() - self._begun_for_us[0] > HOUR:
            self._begun_for_us.popleft()
        return len(self._begun_for_us)

    def _look_at_room(self) -> None:
        """Somebody is told while there is room; what Asterisk may not have been able to write is marked."""
        free, size = self.spool.free()
        low = free < size * LOW
        if low and self._room is None:
            log.error("the spool is nearly full", free=free, size=size)
        self._room = f"the spool is nearly full: {free >> 20} of {size >> 20} MiB are free" if low else None
        full = free < FULL
        if full and not self._full:
            log.error("the spool is full: Asterisk cannot write", size=size)
        for work in self.works.values() if full else ():
            if not work.closed and not work.take.marked("spool full"):
                work.take.mark(self.now(), "spool full")
                self._keep(work.take)
        self._full = full

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
                self._is_closed(work)

    def _step(self, take_id: str) -> bool:
        """In a thread: what one take needs now; True when there is more."""
        work = self.works.get(take_id)
        if work is None or work.done:
            return False  # its files told of their own removal
        self._answer(take_id, work)
        try:
            more = self.sealer.step(work)
            self._troubles.pop(take_id, None)
        except OSError as error:
            # The sound stays in RAM and is tried again at every tick.
            if take_id not in self._troubles:
                log.error("vault refuses", error=str(error), recording=work.take.order.recording)
            self._troubles[take_id] = str(error)
            return False
        return more

    def _drop_done(self) -> None:
        for take_id in [
            take_id for take_id, work in self.works.items() if work.done and not self._rounds.busy(take_id)
        ]:
            self._drop(take_id)

    def _drop(self, take_id: str) -> None:
        work = self.works.pop(take_id)
        self._unkept.discard(take_id)
        self._unsaid.pop(take_id, None)
        self._troubles.pop(take_id, None)
        self._answer(take_id, work)
        # An event may have saved it once more after the sealing thread forgot it; from here on none can.
        self.spool.forget(take_id)
        uniqueid = work.take.order.uniqueid
        others = [other for other in self._of.pop(uniqueid, []) if other is not work]
        if others:
            self._of[uniqueid] = others
            # One of them may have waited for this one, to be compared with it.
            self._rounds.want(other.take.id for other in others)
        if self._armed.get(uniqueid) is work:
            del self._armed[uniqueid]
            self._arming.pop(uniqueid, None)
        self._quiet.pop(take_id, None)

    async def _park(self) -> None:
        """Seal every open segment; takes of calls that go on stay in the spool."""
        self._rounds.stop()
        bundles = [task for task in self._tasks if not task.done()]
        await asyncio.gather(*bundles, return_exceptions=True)
        for work in list(self.works.values()):
            with contextlib.suppress(OSError):
                await self._rounds.last(partial(self._last, work))
        self._rounds.close()

    def _last(self, work: Work) -> None:
        if not work.done:
            while self.sealer.step(work):
                pass
            if not work.done:
                self.sealer.tell_times(work.take)
                self.sealer.seal(work, "recorder stopped in good order")

    # --- what became of it ------------------------------------------------------------------------------------------

    def sealed(self, name: str, manifest: Manifest) -> None:
        """From a sealing thread: pass it on."""
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
