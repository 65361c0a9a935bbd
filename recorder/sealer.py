"""From the spool into the vault: what one take needs done now. Synchronous; called from worker threads.

The order of every step is what makes a crash harmless: key beside the sound (RAM) -> sound in the vault, synced ->
hole punched behind it -> at the end manifest -> key and sound forgotten.
"""

import errno
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

import structlog

from policies.model import Recording
from recorder.fax import FaxEar
from recorder.segment import Segment, cut, manifest_of, sweep
from recorder.spool import SAMPLE, Spool
from recorder.take import History, OpenSegment, Take
from recorder.vault.body import discard_tails
from recorder.vault.errors import BodyBusyError, VaultError
from recorder.vault.folder import Writer, segment_name
from recorder.vault.manifest import Manifest

log = structlog.get_logger()

# Samples read at once: 30 s. A recorder that comes back to hours of sound must not read them into memory.
STRIDE_SECONDS = 30
# Recordings whose next segment number is remembered: more than there are calls at once.
MANY = 10_000
BROKEN = "Asterisk stopped writing before the call had ended"
# Punching is a system call a side: not for less than this.
PUNCH_BYTES = 65536


def take_slack(take: Take) -> int:
    """Samples by which two recordings of one channel may differ: they were not begun in the same instant (0.5 s)."""
    return take.rate // 2


# Seconds between the last writes of two recordings of one channel that were ended by one stop, or by its hangup.
TOGETHER = 1.0


class Told(Protocol):
    """Who wants to know what became of a take."""

    def sealed(self, name: str, manifest: Manifest) -> None:
        """A segment is finished: `name` is its file name."""

    def discarded(self, take: Take, reason: str, samples: int) -> None:
        """Sound that the rules do not keep was dropped."""


@dataclass(slots=True)
class Work:
    """A take and what this process holds open for it.

    `twin`: another take of the same channel that was begun first; `seconds`: those whose twin this is. Both starters
    may have run; one recording is kept. `written`: when Asterisk wrote to it last, and how much was `seen` then: what
    is punched has a newer time.
    `inherited`: a predecessor left it, and its open segment is still to be ended.
    """

    take: Take
    segment: Segment | None = None
    punched: int = 0
    closed: bool = False
    done: bool = False
    twin: "Work | None" = None
    seconds: "list[Work]" = field(default_factory=list)
    written: float = 0.0
    seen: int = 0
    inherited: bool = False
    fax: FaxEar | None = None

    def follows(self, twin: "Work | None") -> None:
        """`twin`, if any, was begun first."""
        self.twin = twin
        if twin is not None:
            twin.seconds.append(self)


class Sealer:
    """Takes sound from the spool and brings it into the vault."""

    def __init__(
        self,
        spool: Spool,
        writer: Writer,
        policy: Recording,
        *,
        pbx: str,
        now: Callable[[], datetime],
        told: Told,
        history_of: Callable[[str], History | None],
    ) -> None:
        """`now` is asked for the time of a take whose bridge nobody reported; `history_of` as in `Recorder`."""
        self.spool, self.writer, self.policy, self.pbx, self.now, self.told = spool, writer, policy, pbx, now, told
        self.history_of = history_of
        self._numbers: dict[str, int] = {}
        self._lock = threading.Lock()

    def step(self, work: Work) -> bool:
        """Do what can be done for one take now; True when there is more. Raises OSError where the vault refuses."""
        take = work.take
        if work.inherited:
            self._inherit(work)
        # Before the sizes: what is written before the closing is in them then.
        closed = work.closed
        known = self._sizes(take)
        if sum(known) != work.seen:
            work.seen, work.written = sum(known), self.spool.written(take.stem, take.rate)
        if work.twin is not None:
            return closed and self._compare(work, work.twin, max(known, default=0))
        if not take.joined:
            # Nothing is kept before a designated phone is in the conversation; the sound waits in RAM.
            if closed and not self._talked_unheard(take):
                self._discard(work, "no designated phone", max(known, default=0))
            return closed and not work.done
        whole = min(known) if len(known) == 2 else 0
        available = max(known, default=0) if closed else whole
        if work.segment is not None:
            work.segment.settle()
        more = self._read(work, available)
        self._punch(work)
        if closed and not more:
            self._finish(work)
        return more

    def asked(self, take: Take) -> History | None:
        """What Asterisk itself wrote down of the channel of a take; None where that says nothing or cannot be had."""
        try:
            return self.history_of(take.order.uniqueid)
        except Exception:  # what a witness says of one call must not end the others
            log.exception("what Asterisk wrote down of a call is not known", recording=take.order.recording)
            return None

    def _talked_unheard(self, take: Take) -> bool:
        """Whether a designated phone was in the conversation and nobody told us: Asterisk's own record is asked before
        sound is dropped.
        """
        history = self.asked(take)
        if history is None or not take.talked(history):
            return False
        log.warning("a talk that nobody heard of is kept", recording=take.order.recording, run=take.stem)
        take.revise(history)
        self.spool.save(take)
        return True

    def tell_times(self, take: Take) -> None:
        """Where it was guessed since when sound was written, Asterisk's own record may know it by now (it lags)."""
        history = self.asked(take) if take.guessed else None
        if history is not None and history.spans:
            take.revise(history)
            take.retime()
            take.guessed = False
            self.spool.save(take)

    def _outlasted(self, work: Work, second: Work) -> bool:
        """Whether `second` holds all that `work` does, and more: it was begun earlier, whatever we believed.

        In a flood our start may reach Asterisk seconds after the dialplan's. Both end together then; one that broke off
        may hold a beginning that the other has not. What is finished already is not taken back.
        """
        longer = self._length(second.take) > self._length(work.take) + take_slack(work.take)
        ended = self.spool.written(second.take.stem, second.take.rate)
        return work.take.sealed_to is None and longer and ended - work.written <= TOGETHER

    def _length(self, take: Take) -> int:
        """Samples that the longer of its files holds."""
        return max(self._sizes(take), default=0)

    def _sizes(self, take: Take) -> list[int]:
        """Samples that the files of a take hold, for each that is there."""
        sizes = (self.spool.size(take.stem, side, take.rate) for side in "rt")
        return [size for size in sizes if size is not None]

    def _compare(self, work: Work, twin: Work, samples: int) -> bool:
        """Drop the second recording of a channel, unless the first turns out to be the shorter one."""
        if not twin.done:
            return False
        together = self.spool.written(work.take.stem, work.take.rate) - twin.written <= TOGETHER
        if samples <= twin.take.position + take_slack(work.take) and (together or not twin.written):
            self._discard(work, "second recording of the same channel", samples)
            return False
        log.warning("the first recording of a channel is the shorter one", run=work.take.stem, kept=twin.take.position)
        # Where they did not end together it is not known how they lie to each other.
        work.take.succeed(twin.take, max(0, samples - twin.take.position) if together else 0)
        work.take.guessed = True
        work.twin = None
        return True

    def _read(self, work: Work, available: int) -> bool:
        take = work.take
        here = take.position if work.segment is None else work.segment.meta.offset + work.segment.fed
        start, until = take.next_stretch(here)
        if start != here and work.segment is not None:
            self.seal(work, "cut by the rules")
            here = take.position
        if start != here:
            take.position = min(start, max(available, here))
            self.spool.save(take)
        end = min(available, until if until is not None else available, start + STRIDE_SECONDS * take.rate)
        if end <= start:
            return False
        if work.segment is None:
            work.segment = self._open(take)
        count = end - start
        left, right = (
            # A side that Asterisk closed earlier than the other goes on as silence.
            self.spool.read(take.stem, side, take.rate, start, count).ljust(count * SAMPLE, b"\0")
            for side in "rt"
        )
        work.segment.feed(left, right)
        self._listen(work, left, right, start)
        return end < available

    def _listen(self, work: Work, left: bytes, right: bytes, start: int) -> None:
        """Mark where a fax machine was heard, once a take: its page is no talk, and a person may want to know."""
        take = work.take
        if work.fax is None:
            if take.marked("fax"):
                return
            work.fax = FaxEar(take.rate)
        heard = work.fax.hear(left, right)
        if heard is not None and not take.marked("fax"):
            take.mark_sample(start + heard, "fax", self.now())
            self.spool.save(take)

    def _open(self, take: Take) -> Segment:
        # What a full disk refused before is tried again under the same number and key: slots are never given back.
        if take.segment is None:
            key = self.writer.new_key()
            take.segment = OpenSegment(
                number=self._number(take.order.recording),
                slot=key.slot,
                epoch=key.epoch,
                key_id=key.key_id,
                file_key=key.file_key.hex(),
                offset=take.position,
            )
        take.segment.offset = take.position
        self.spool.save(take)
        try:
            return Segment(self.writer, take, level=self.policy.flac_level, now=self.now())
        except FileExistsError:
            # Nor must a successor believe that the one that is there is this take's.
            take.segment = None
            self.spool.save(take)
            raise

    def _number(self, recording: str) -> int:
        with self._lock:
            self.writer.prepare(recording)
            number = self.writer.folder.free_number(recording, self._numbers.get(recording, 1))
            self._numbers[recording] = number + 1
            if len(self._numbers) > MANY:
                del self._numbers[next(iter(self._numbers))]  # the files tell where it is asked for again
            return number

    def _punch(self, work: Work) -> None:
        take = work.take
        synced = take.position if work.segment is None else work.segment.meta.offset + work.segment.synced
        if synced * SAMPLE - work.punched >= PUNCH_BYTES:
            work.punched = self.spool.punch(take.stem, take.rate, synced)

    def seal(self, work: Work, reason: str | None, *, state: str = "sealed") -> None:
        """End the open segment in good order; the take may go on with another."""
        segment, take = work.segment, work.take
        if segment is None:
            return
        body, streaminfo = segment.seal()
        self._manifest(
            take,
            manifest_of(
                take,
                segment.meta,
                body,
                streaminfo,
                segment.fed,
                pbx=self.pbx,
                state=state,
                reason=reason,
                now=self.now(),
                loudness=segment.loudness,
            ),
            segment.fed,
        )
        work.segment = None

    def _manifest(self, take: Take, manifest: Manifest, samples: int) -> None:
        try:
            name = self.writer.finish(manifest)
        except FileExistsError:
            # A predecessor died between the manifest and the next line.
            name = segment_name(manifest.recording, manifest.segment)
        take.position = take.sealed_to = manifest.take_offset + samples
        take.segment = None
        # In a full spool the file beside the sound has no room before this has made some. What is behind the hole is in
        # the vault, whatever that file still says.
        self.spool.punch(take.stem, take.rate, take.position)
        self.spool.save(take)
        discard_tails(self.writer.folder.folder(take.order.recording), name)
        self.told.sealed(name, manifest)

    def _finish(self, work: Work) -> None:
        seconds = [second for second in work.seconds if not second.done]
        if not all(second.closed for second in seconds):
            return  # which of them was begun first is told by their lengths, in the end
        for second in sorted(seconds, key=lambda second: -self._length(second.take)):
            if self._outlasted(work, second):
                for other in seconds:
                    if other is not second:
                        other.follows(second)
                # Before the first is gone: a successor must know that the second is the call.
                samples = self._length(work.take)
                second.take.succeed(work.take, self._length(second.take) - samples)
                second.take.guessed = True  # what was before the first began, Asterisk's own record tells
                second.twin = None
                self.spool.save(second.take)
                if work.segment is not None:
                    work.segment.discard(self.writer)
                    work.segment = None
                self._discard(work, "shorter recording of the same channel", samples)
                return
        self.tell_times(work.take)
        if work.take.broken:
            self.seal(work, BROKEN, state="cut")
        else:
            self.seal(work, None)
        self.forget(work)

    def _discard(self, work: Work, reason: str, samples: int) -> None:
        self.told.discarded(work.take, reason, samples)
        self.forget(work)

    def forget(self, work: Work) -> None:
        """Nothing of this take remains in the spool."""
        self.spool.remove(work.take.stem, work.take.rate)
        self.spool.forget(work.take.id)
        work.done = True

    def _inherit(self, work: Work) -> None:
        """Take over from a dead predecessor: end its segment where its last sync was, go on behind it.

        Raises OSError where the vault refuses; the next step tries again. A segment that cannot be ended any more is
        left for `verify` to name: what is still in RAM goes on in a new one.
        """
        take = work.take
        try:
            self._end_inherited(take)
        except BodyBusyError as error:
            raise OSError(errno.EBUSY, str(error)) from error
        except VaultError as error:
            take.position = take.sealed_to = self.spool.kept_from(take.stem, take.rate)
            log.error("segment of a predecessor is damaged", recording=take.order.recording, error=str(error))
        take.segment = None
        self.spool.save(take)
        sweep(self.writer, take.order.recording)
        work.inherited = False

    def _end_inherited(self, take: Take) -> None:
        meta, ended = take.segment, cut(self.writer, take)
        if meta is None or ended is None:
            return
        body, streaminfo, samples = ended
        manifest = manifest_of(
            take, meta, body, streaminfo, samples, pbx=self.pbx, state="cut", reason="recorder stopped", now=self.now()
        )
        self._manifest(take, manifest, samples)
        log.info("segment of a predecessor ended", recording=take.order.recording, samples=samples)
