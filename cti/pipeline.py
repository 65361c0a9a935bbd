"""The one wire: what happens on the PBX -> what the recorder does. Nothing is decided here; `recorder.decide` does.

events -> tracker -> facts -> hooks wanted now -> start or stop the difference
"""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

import structlog

from cti.ami.client import AmiClient, LinkDown, LinkUp, Listed
from cti.ami.errors import AmiError
from cti.ami.message import Message
from cti.callbook import CallBook, CallRecord
from cti.calls.board import born, conversation_id
from cti.calls.model import Fact, Leg, What
from cti.calls.tracker import MissingTimestampError, Tracker, event_time
from cti.reading import Reading, Seen, recording_of
from cti.story import Witness, told
from recorder.session import Recorder
from recorder.take import History, Order, Span

log = structlog.get_logger()

RESYNC_SECONDS = 5.0


class Now(Protocol):
    """The clock."""

    def __call__(self) -> datetime:
        """An aware time, UTC."""


class Pipeline:
    """Feeds the tracker and keeps the recorder's hooks as the rules want them."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        reading: Reading,
        ami: AmiClient,
        book: CallBook,
        witness: Witness,
        now: Now,
    ) -> None:
        """`attach` a recorder before `run`."""
        self.tracker, self.reading, self.ami, self.book, self.now = tracker, reading, ami, book, now
        self.witness = witness
        self.recorder: Recorder | None = None
        self._seen: dict[UUID, Seen] = {}
        self._company: dict[str, tuple[str, frozenset[str]]] = {}  # of hooked channels: where, and with whom
        self._changed = asyncio.Event()
        self.synced = asyncio.Event()
        self._deaf: tuple[datetime, str] | None = None  # since when nobody hears what happens on the PBX, and why
        self.originated: Callable[[Message], None] = lambda _message: None
        """What came of a call that somebody asked the PBX to place."""
        self._gone: dict[str, datetime] = {}  # channels whose end was heard while out of step
        self._asking = 0  # how often we are about to ask Asterisk what exists
        self._catching_up = 0  # threads that read what Asterisk wrote down since the last time
        self._asked: datetime | None = None  # when Asterisk was last asked what exists, so that it answered

    def attach(self, recorder: Recorder) -> None:
        """The two know each other: the recorder asks `resolve` whose call a stray file is."""
        self.recorder = recorder

    async def run(self) -> None:
        """Until cancelled. Raises LoginRefusedError."""
        async with asyncio.TaskGroup() as group:
            group.create_task(self.ami.run())
            async for item in self.ami.events():
                if isinstance(item, Message):
                    self._feed(item)
                elif isinstance(item, LinkUp):
                    group.create_task(self._ask())
                elif isinstance(item, Listed):
                    self._resync(item)
                elif isinstance(item, LinkDown):
                    self.synced.clear()
                    self._deaf = self._deaf or (self.now(), item.reason)
                    self._asked = None  # a clock that is set back meanwhile must not make it newer than it is
                    log.warning("what happens on the PBX is not known until the next resync", reason=item.reason)

    def _feed(self, message: Message) -> None:
        uniqueid = message.get("Uniqueid")
        before = self.tracker.call_of(uniqueid) if message.event == "Hangup" else None
        others = [leg.uniqueid for leg in before[2] if leg.uniqueid != uniqueid] if before else []
        try:
            facts = self.tracker.feed(message)
        except MissingTimestampError as error:
            log.error("event dropped", error=str(error))
            return
        self._take(facts)
        if message.event == "OriginateResponse":
            self.originated(message)
        if message.event == "Hangup":
            self._company.pop(uniqueid, None)
            # Out of step, its talk may have been missed: the resync asks Asterisk's own record before it ends anything.
            at = event_time(message) or self.now()
            if self.synced.is_set():
                self._recorder().ended(uniqueid, at)
            else:
                self._gone[uniqueid] = at
        if message.event in Tracker.HANDLERS:
            # The leg that left is in no call any more; the others of a call that goes on may need another hook now, and
            # any of them leads to it.
            legs = {uniqueid, message.get("DestUniqueid"), *others[:1], *(fact.leg or "" for fact in facts)}
            calls = {call[0]: call for leg in legs if (call := self.tracker.call_of(leg)) is not None}
            for call in calls.values():
                self._reconcile(*call, at=event_time(message) or self.now())
            self._wake()

    def _take(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._handle(fact)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def catch_up(self) -> None:
        """Read what Asterisk wrote down, in a thread: it may be a day of events. Nobody is told of a call meanwhile."""
        self._catching_up += 1
        try:
            await asyncio.to_thread(self.witness.refresh)
        finally:
            self._catching_up -= 1

    async def _ask(self) -> None:
        """Ask Asterisk what exists; the answer comes among the events, at its place."""
        self._asking += 1
        try:
            await self.catch_up()
        finally:
            self._asking -= 1
        try:
            await self.ami.list_among_events({"Action": "CoreShowChannels"}, self.now(), deadline=RESYNC_SECONDS)
        except AmiError as error:
            self._ask_again(str(error))

    def _ask_again(self, reason: str) -> None:
        # A connection that is lost comes back with a LinkUp of its own.
        log.error("resync failed", error=reason, retry_in=RESYNC_SECONDS)
        if self.ami.connected:
            asyncio.get_running_loop().call_later(RESYNC_SECONDS, self.ami.put, LinkUp())

    def _resync(self, listed: Listed) -> None:
        """Take over what Asterisk says exists, and record what should be recorded and is not."""
        if self._asking:
            return  # another will be asked for, when it has been read what Asterisk wrote down of those that are gone
        replies = listed.replies
        if replies[0].get("Response") != "Success" or replies[-1].event != "CoreShowChannelsComplete":
            # Half a list would end calls that go on.
            self._ask_again(f"CoreShowChannels: {replies[0].get('Message') or 'the list is not whole'}")
            return
        channels = [reply for reply in replies if reply.event == "CoreShowChannel"]
        at = self.now()
        # A call that the tracker knew ends there, and is booked there.
        known = {leg.uniqueid for _, _, legs in self.tracker.calls() for leg in legs}
        self._take(self.tracker.resync(channels, at))
        self._asked = listed.asked
        alive = {channel.get("Uniqueid") for channel in channels} - self._gone.keys()
        recorder = self._recorder()
        # Before anything is armed: a channel that the dialplan records already must not get a second recording.
        recorder.adopt_strangers()
        for work in list(recorder.works.values()):
            uniqueid = work.take.order.uniqueid
            history = self.told_of(uniqueid)
            if history is not None:
                recorder.revise(uniqueid, history)
                seen = self._seen.setdefault(UUID(history.order.conversation), Seen())
                seen.arrived = history.began or seen.arrived
                seen.answered = history.talks[0][0] if history.talks else seen.answered
                seen.recording = seen.recording or (history.order.recording if history.talks else None)
            if uniqueid not in alive:
                ended = (history.ended if history else None) or self._gone.get(uniqueid)
                # Nobody wrote down that it ended, Asterisk neither: it was killed. Without a record of its own that
                # cannot be told from an end that nobody heard, and is not called one in order.
                recorder.ended(uniqueid, ended or at, said=ended is not None, seen=bool(history and history.ended))
                self._company.pop(uniqueid, None)
                if history is not None and uniqueid not in known:
                    self.book_adopted(replace(history, ended=ended or at))
        self._gone.clear()
        self.synced.set()
        if self._deaf is not None:
            since, reason = self._deaf
            self._deaf = None
            self.book.unheard(self.tracker.pbx, since, at, reason)
        for conversation, linkedid, legs in self.tracker.calls():
            # The list may tell what a call dialled of which the events before it did not.
            self.reading.describe(self._seen.setdefault(conversation, Seen()), legs)
            for uniqueid in recorder.hooked(leg.uniqueid for leg in legs if leg.bridge):
                recorder.found(uniqueid, at)
            self._reconcile(conversation, linkedid, legs, at=at)
        self._wake()
        log.info("in step with the PBX", channels=len(channels))

    def _recorder(self) -> Recorder:
        if self.recorder is None:
            raise RuntimeError("attach() comes before run()")
        return self.recorder

    def live(self) -> list[dict[str, Any]]:
        """The conversations of designated numbers and phones that go on, in the order in which they came."""
        works = self._recorder().works.values()
        recorded = {work.take.order.conversation for work in works if work.take.joined and not work.done}
        found = []
        for conversation, _linkedid, legs in self.tracker.calls():
            seen = self._seen.get(conversation, Seen())
            number = self.reading.plan.number_of(seen.number)
            if not (number is not None and number.designated) and not any(leg.designated for leg in legs):
                continue
            found.append({
                "conversation": str(conversation),
                "arrived": seen.arrived.isoformat() if seen.arrived else None,
                "answered": seen.answered.isoformat() if seen.answered else None,
                "number": seen.number,
                "caller": seen.caller,
                "phones": sorted({leg.endpoint for leg in legs if leg.designated and leg.endpoint}),
                "recorded": str(conversation) in recorded,
            })  # fmt: skip
        return sorted(found, key=lambda one: (str(one["arrived"]), one["conversation"]))

    # --- facts ------------------------------------------------------------------------------------------------------

    def _handle(self, fact: Fact) -> None:
        at = fact.at or self.now()
        seen = self._seen.setdefault(fact.conversation, Seen())
        recorder = self._recorder()
        if fact.what is What.ARRIVED:
            seen.arrived = fact.at
            self.reading.describe(seen, fact.legs)
        elif fact.what is What.ANSWERED:
            seen.answered = seen.answered or fact.at
        elif fact.what is What.ROUTED:
            seen.route = fact.more.get("route")
        elif fact.what is What.MERGED and fact.merged is not None:
            seen.take_in(self._seen.get(fact.merged, Seen()))
            self._book(fact.merged, fact, "merged", fact.more.get("merged_linkedid"))
        elif fact.what in (What.JOINED, What.LEFT) and fact.leg is not None:
            recorder.bridge(fact.leg, at, entered=fact.what is What.JOINED)
        elif fact.what in (What.HELD, What.RESUMED):
            for uniqueid in recorder.hooked(leg.uniqueid for leg in fact.legs):
                recorder.mark(uniqueid, at, "hold" if fact.what is What.HELD else "resume")
        elif fact.what is What.ENDED:
            self._book(fact.conversation, fact, fact.disposition)

    def _book(self, conversation: UUID, fact: Fact, disposition: str | None, linkedid: str | None = None) -> None:
        """Nothing more comes of `conversation`: it ended, or goes on in the one that `fact` is of."""
        seen = self._seen.pop(conversation, Seen())
        self.book.write(
            CallRecord(
                conversation=str(conversation),
                linkedid=linkedid or fact.linkedid,
                arrived=seen.arrived,
                answered=seen.answered,
                ended=fact.at,
                number=seen.number,
                caller=seen.caller,
                disposition=disposition,
                recording=seen.recording,
            )
        )

    def _reconcile(self, conversation: UUID, linkedid: str, legs: Sequence[Leg], *, at: datetime) -> None:
        """Start what should be recorded and is not; stop what is and should not be."""
        recorder = self._recorder()
        seen = self._seen.setdefault(conversation, Seen())
        wanted = self.reading.wanted(legs, seen)
        # The dialplan may have begun on a Local channel (a forwarded call, while nobody answered it): both sides are
        # heard there, and a second recording would say the same again.
        hidden = {leg.uniqueid for leg in legs if leg.hidden}
        # Not by what is wanted: between two telephones of a forwarded call that is nothing for a moment.
        designated = any(leg.designated for leg in legs)
        if hidden and designated:
            recorder.adopt_strangers()
        hooked = recorder.hooked(leg.uniqueid for leg in legs)
        through = hooked & hidden if designated else frozenset[str]()
        for uniqueid in hooked & wanted - through:
            if self._others(uniqueid, legs):
                recorder.disarm(uniqueid, at)
                hooked.discard(uniqueid)
        for leg in legs:
            if leg.uniqueid in wanted - hooked and not through:
                recorder.arm(self.reading.order(conversation, linkedid, leg, legs, seen))
                if leg.bridge:
                    recorder.bridge(leg.uniqueid, at + recorder.delay(leg.uniqueid), entered=True)
        # Before Asterisk has said what exists, a call may be seen in part: that ends nothing that somebody has begun.
        for uniqueid in hooked - wanted - through if self.synced.is_set() else ():
            recorder.disarm(uniqueid, at)
            self._company.pop(uniqueid, None)
        for uniqueid in through or wanted:
            if self.reading.talking(legs, uniqueid):
                seen.recording = seen.recording or recorder.recording(uniqueid) or recording_of(conversation)
                recorder.talk(uniqueid, self.reading.agent(legs, uniqueid), at)
                recorder.describe(uniqueid, **self.reading.numbers(uniqueid, legs, seen))

    def _others(self, uniqueid: str, legs: Sequence[Leg]) -> bool:
        """Whether a hooked channel talks to others than before, elsewhere: its hook may not hear them (`CLEARED`)."""
        now = self.reading.company(legs, uniqueid)
        if now is None:
            return False
        before = self._company.get(uniqueid, now)
        self._company[uniqueid] = now
        return before[0] != now[0] and before[1].isdisjoint(now[1])

    # --- what happened while nobody listened ------------------------------------------------------------------------

    def resolve(self, uniqueid: str) -> History | None:
        """Whose call a channel is that the dialplan records: from Asterisk's own record, and from the live call.

        None while neither knows it, or while it is not known whether it goes on.
        """
        if self._catching_up:
            return None
        history = self.told_of(uniqueid)
        call = self.tracker.call_of(uniqueid)
        if call is not None:
            return replace(history, ended=None) if history else self._live(uniqueid, *call)
        history = history or self._unseen(uniqueid)
        if history is None:
            return None
        if history.ended is None:
            # Events may wait unread (a recorder that was held up): only a channel that was there before Asterisk was
            # asked, and that it did not name then, has ended without saying so.
            if self._asked is None or history.began is None or history.began >= self._asked:
                return None
            history = replace(history, ended=self.now(), said=False, seen=False)
        self.book_adopted(history)
        return history

    def told_of(self, uniqueid: str) -> History | None:
        """What Asterisk's own record says of a channel; None where it says nothing, or nothing that can be read."""
        tracker = Tracker(pbx=self.tracker.pbx, plan=self.reading.plan)
        try:
            return told(self.witness, uniqueid, tracker, self.reading)
        except Exception:  # what a witness says of one call must not end the recording of all
            log.exception("what Asterisk wrote down of a call is not understood", uniqueid=uniqueid)
            return None

    def _unseen(self, uniqueid: str) -> History | None:
        """A call of which nothing is left but the sound and the name of its channel, which says when that was born."""
        birth = born(uniqueid)
        if birth is None:
            return None
        conversation = conversation_id(self.tracker.pbx, uniqueid)
        order = Order(
            channel=uniqueid,
            uniqueid=uniqueid,
            linkedid=uniqueid,
            conversation=str(conversation),
            recording=recording_of(conversation),
        )
        began = datetime.fromtimestamp(birth[0] + 1, UTC)  # no earlier: Asterisk may have been asked in that second
        spans: tuple[Span, ...] = ((began, None),)
        return History(order=order, began=began, spans=spans, talks=spans, ended=None, seen=False)

    def _live(self, uniqueid: str, conversation: UUID, linkedid: str, legs: Sequence[Leg]) -> History:
        """A live call that Asterisk's record does not tell of: what is so now."""
        leg = next(leg for leg in legs if leg.uniqueid == uniqueid)
        seen = self._seen.setdefault(conversation, Seen())
        now: tuple[Span, ...] = ((self.now(), None),)
        return History(
            order=self.reading.order(conversation, linkedid, leg, legs, seen),
            spans=now if leg.bridge else (),
            talks=now if self.reading.talking(legs, uniqueid) else (),
            ended=None,
        )

    def book_adopted(self, history: History) -> None:
        """Write the record of a call that nobody of us followed to its end."""
        order = history.order
        self.book.write(
            CallRecord(
                conversation=order.conversation,
                linkedid=order.linkedid,
                arrived=history.began,
                answered=history.talks[0][0] if history.talks else None,
                ended=history.ended,
                number=order.number,
                caller=order.caller,
                disposition="completed" if history.spans else None,
                recording=order.recording if history.talks else None,
            )
        )

    # --- questions --------------------------------------------------------------------------------------------------

    async def armed(self, uniqueid: str, dialled: str | None, deadline: float) -> str:
        """For the gate: `yes` recording runs, `skip` the rules want none, `no` otherwise. Within `deadline` seconds.

        `dialled`: the number that the call came in through, which the dialplan knows even where we came late.
        """
        if not self.synced.is_set():
            return "no"
        try:
            async with asyncio.timeout(deadline):
                while (call := self.tracker.call_of(uniqueid)) is None:
                    await self._changed.wait()
                if dialled and (learnt := self.tracker.learn(uniqueid, dialled)) is not None:
                    call = learnt
                    self.reading.describe(self._seen.setdefault(call[0], Seen()), call[2])
                    self._reconcile(*call, at=self.now())
                conversation, _, legs = call
                wanted = self.reading.wanted(legs, self._seen.get(conversation, Seen()))
                if not wanted:
                    return "skip"
                if self._recorder().hooked(leg.uniqueid for leg in legs if leg.hidden):
                    return "yes"  # the dialplan does, on a Local channel
                # Wanted, not hooked: a start that Asterisk refused leaves no hook, and the dialplan has to know.
                results = [await self._recorder().armed(channel) for channel in wanted]
                return "yes" if all(results) else "no"
        except TimeoutError:
            return "no"
