"""The one wire: what happens on the PBX -> what the recorder does. Nothing is decided here; `recorder.decide` does.

events -> tracker -> facts -> hooks wanted now -> start or stop the difference
"""

import asyncio
import contextlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol
from uuid import UUID, uuid5

import structlog

from cti.ami.client import AmiClient, LinkDown, LinkUp
from cti.ami.errors import AmiError, NotConnectedError, RefusedError
from cti.ami.message import Message
from cti.calls.cel import Moment
from cti.calls.channel import phone_number
from cti.calls.model import Direction, Fact, Leg, What
from cti.calls.tracker import MissingTimestampError, Tracker, event_time
from policies.model import Plan
from recorder.decide import Party, Rules, hooks, joined
from recorder.session import Recorder, SwitchRefusedError
from recorder.take import History, Order, Span

log = structlog.get_logger()

MIXMONITOR_ID = "KIKITORI_MM"
STARTERS = 2
RESYNC_SECONDS = 5.0
REASONS_TO_LOOK = frozenset({"Newchannel", "Newstate", "DialEnd", "BridgeEnter", "BridgeLeave", "Hangup"})


class Now(Protocol):
    """The clock."""

    def __call__(self) -> datetime:
        """An aware time, UTC."""


class AmiSwitch:
    """MixMonitor over the manager interface. File names are ours alone: its third argument would run a shell."""

    def __init__(self, ami: AmiClient) -> None:
        """`ami` may be down: then starting fails and the dialplan records by itself."""
        self.ami = ami

    async def start(self, channel: str, left: Path, right: Path) -> None:
        """`b`: only while bridged; `r` and `t`: each side in a file of its own (decision 0002)."""
        options = f"br({left})t({right})i({MIXMONITOR_ID})"
        try:
            await self._act({"Action": "MixMonitor", "Channel": channel, "Options": options})
        except (RefusedError, NotConnectedError) as error:
            raise SwitchRefusedError(str(error)) from error

    async def stop(self, channel: str) -> None:
        """Ends every MixMonitor of `channel` (both starters may have run), and says so to the dialplan."""
        await self._act({"Action": "StopMixMonitor", "Channel": channel})
        with contextlib.suppress(RefusedError):
            for _ in range(STARTERS):
                await self._act({"Action": "StopMixMonitor", "Channel": channel})
        await self._act({"Action": "Setvar", "Channel": channel, "Variable": MIXMONITOR_ID, "Value": ""})

    async def _act(self, action: dict[str, str]) -> None:
        reply = (await self.ami.send_action(action))[0]
        if reply.get("Response") != "Success":
            raise RefusedError(f"{action['Action']} on {action['Channel']}: {reply.get('Message')}")


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call that ended, for the list of calls: recorded or not."""

    conversation: str
    linkedid: str
    arrived: datetime | None
    answered: datetime | None
    ended: datetime | None
    number: str | None
    caller: str | None
    disposition: str | None
    recording: str | None


class Witness(Protocol):
    """Asterisk's own record of events."""

    def refresh(self) -> None:
        """Read what is new in it."""

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterable[Moment]:
        """How the conversation of a channel went; nothing where the record does not know it."""


class CallBook(Protocol):
    """Where call records go."""

    def write(self, record: CallRecord) -> None:
        """Keep it, durable soon."""


@dataclass(slots=True)
class _Seen:
    """What the pipeline remembers of a conversation until it ends."""

    arrived: datetime | None = None
    answered: datetime | None = None
    number: str | None = None
    caller: str | None = None
    recorded: bool = False


def recording_of(conversation: UUID) -> str:
    """The id of what is kept of `conversation`: derived, so that a restarted recorder goes on with the same one."""
    return str(uuid5(conversation, "recording"))


@dataclass(slots=True)
class _Story:
    """Collects the history of one channel, moment by moment."""

    order: Order | None = None
    began: datetime | None = None
    ended: datetime | None = None
    spans: list[Span] = field(default_factory=list)
    talks: list[Span] = field(default_factory=list)

    def go_on(self, at: datetime, *, bridged: bool, talking: bool) -> None:
        self.began = self.began or at
        for spans, now in ((self.spans, bridged), (self.talks, talking)):
            on = bool(spans) and spans[-1][1] is None
            if now and not on:
                spans.append((at, None))
            elif on and not now:
                spans[-1] = (spans[-1][0], at)

    def end(self, at: datetime) -> None:
        self.go_on(at, bridged=False, talking=False)
        self.ended = at

    def history(self) -> History | None:
        if self.order is None:
            return None
        return History(
            order=self.order, began=self.began, spans=tuple(self.spans), talks=tuple(self.talks), ended=self.ended
        )


class Pipeline:
    """Feeds the tracker and keeps the recorder's hooks as the rules want them."""

    def __init__(
        self,
        *,
        tracker: Tracker,
        plan: Plan,
        rules: Rules,
        ami: AmiClient,
        book: CallBook,
        witness: Witness,
        now: Now,
    ) -> None:
        """`attach` a recorder before `run`."""
        self.tracker, self.plan, self.rules, self.ami, self.book, self.now = tracker, plan, rules, ami, book, now
        self.witness = witness
        self.recorder: Recorder | None = None
        self._seen: dict[UUID, _Seen] = {}
        self._changed = asyncio.Event()
        self.synced = asyncio.Event()

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
                    await self._resync()
                elif isinstance(item, LinkDown):
                    self.synced.clear()
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
        if message.event == "Hangup":
            self._recorder().ended(uniqueid, event_time(message) or self.now())
        if message.event in REASONS_TO_LOOK:
            # The leg that left is in no call any more; the others of a call that goes on may need another hook now.
            call = self.tracker.call_of(others[0] if others else uniqueid or message.get("DestUniqueid"))
            if call is not None:
                self._reconcile(*call, at=event_time(message) or self.now())
            self._wake()

    def _take(self, facts: Iterable[Fact]) -> None:
        for fact in facts:
            self._handle(fact)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    async def _resync(self) -> None:
        """Ask Asterisk what exists, and record what should be recorded and is not."""
        # In a thread: a day of events may have to be read.
        await asyncio.to_thread(self.witness.refresh)
        try:
            replies = await self.ami.send_action({"Action": "CoreShowChannels"}, deadline=RESYNC_SECONDS)
            if replies[0].get("Response") != "Success" or replies[-1].event != "CoreShowChannelsComplete":
                raise RefusedError(f"CoreShowChannels: {replies[0].get('Message') or 'the list is not whole'}")
        except AmiError as error:
            # Half a list would end calls that go on. A connection that is lost comes back with a LinkUp of its own.
            log.error("resync failed", error=str(error), retry_in=RESYNC_SECONDS)
            if self.ami.connected:
                asyncio.get_running_loop().call_later(RESYNC_SECONDS, self.ami.put, LinkUp())
            return
        channels = [reply for reply in replies if reply.event == "CoreShowChannel"]
        at = self.now()
        self._take(self.tracker.resync(channels, at))
        alive = {channel.get("Uniqueid") for channel in channels}
        recorder = self._recorder()
        # Before anything is armed: a channel that the dialplan records already must not get a second recording.
        recorder.adopt_strangers()
        for work in list(recorder.works.values()):
            uniqueid = work.take.order.uniqueid
            history = self._history(uniqueid)
            if history is not None:
                recorder.revise(uniqueid, history)
                seen = self._seen.setdefault(UUID(history.order.conversation), _Seen())
                seen.arrived = history.began or seen.arrived
                seen.answered = history.talks[0][0] if history.talks else seen.answered
                seen.recorded = seen.recorded or bool(history.talks)
            if uniqueid not in alive:
                recorder.ended(uniqueid, (history.ended if history else None) or at)
        for conversation, linkedid, legs in self.tracker.calls():
            self._reconcile(conversation, linkedid, legs, at=at)
        self.synced.set()
        self._wake()
        log.info("in step with the PBX", channels=len(channels))

    def _recorder(self) -> Recorder:
        if self.recorder is None:
            raise RuntimeError("attach() comes before run()")
        return self.recorder

    # --- facts ------------------------------------------------------------------------------------------------------

    def _handle(self, fact: Fact) -> None:
        at = fact.at or self.now()
        seen = self._seen.setdefault(fact.conversation, _Seen())
        recorder = self._recorder()
        if fact.what is What.ARRIVED:
            seen.arrived = fact.at
            self._describe_call(seen, fact.legs)
        elif fact.what is What.ANSWERED:
            seen.answered = fact.at
        elif fact.what in (What.JOINED, What.LEFT) and fact.leg is not None:
            recorder.bridge(fact.leg, at, entered=fact.what is What.JOINED)
        elif fact.what in (What.HELD, What.RESUMED):
            for uniqueid in recorder.hooked(leg.uniqueid for leg in fact.legs):
                recorder.mark(uniqueid, at, "hold" if fact.what is What.HELD else "resume")
        elif fact.what is What.ENDED:
            self._end(fact, seen)

    def _describe_call(self, seen: _Seen, legs: Sequence[Leg]) -> None:
        for leg in legs:
            if leg.originator:
                number = self.plan.number_of(leg.dialled)
                seen.number = number.digits if number else None
                seen.caller = phone_number(leg.number)

    def _end(self, fact: Fact, seen: _Seen) -> None:
        self.book.write(
            CallRecord(
                conversation=str(fact.conversation),
                linkedid=fact.linkedid,
                arrived=seen.arrived,
                answered=seen.answered,
                ended=fact.at,
                number=seen.number,
                caller=seen.caller,
                disposition=fact.disposition,
                recording=recording_of(fact.conversation) if seen.recorded else None,
            )
        )
        self._seen.pop(fact.conversation, None)

    def _reconcile(self, conversation: UUID, linkedid: str, legs: Sequence[Leg], *, at: datetime) -> None:
        """Start what should be recorded and is not; stop what is and should not be."""
        recorder = self._recorder()
        seen = self._seen.setdefault(conversation, _Seen())
        parties, wanted = self._wanted(legs, seen)
        hooked = recorder.hooked(leg.uniqueid for leg in legs)
        for leg in legs:
            if leg.uniqueid in wanted - hooked:
                recorder.arm(self._order(conversation, linkedid, leg, legs, seen))
                if leg.bridge:
                    recorder.bridge(leg.uniqueid, at, entered=True)
        for uniqueid in hooked - wanted:
            recorder.disarm(uniqueid, at)
        for uniqueid in wanted:
            if joined(parties, uniqueid):
                seen.recorded = True
                recorder.talk(uniqueid, self._agent(legs, uniqueid))
                recorder.describe(uniqueid, **self._numbers(uniqueid, legs, seen))

    def _wanted(self, legs: Sequence[Leg], seen: _Seen) -> tuple[list[Party], frozenset[str]]:
        parties = [self._party(leg) for leg in legs]
        return parties, hooks(parties, self.rules, recorded=seen.recorded)

    def _party(self, leg: Leg) -> Party:
        return Party(
            uniqueid=leg.uniqueid,
            kind=self.plan.kind(leg.endpoint),
            originator=leg.originator,
            bridge=leg.bridge,
            bridged=leg.bridged,
            designated_number=self._designated_number(leg),
        )

    def _designated_number(self, leg: Leg) -> bool:
        number = self.plan.number_of(leg.dialled) if leg.direction is Direction.IN else None
        return number is not None and number.designated

    def _agent(self, legs: Sequence[Leg], hooked: str) -> str | None:
        bridge = next((leg.bridge for leg in legs if leg.uniqueid == hooked), None)
        return next((leg.endpoint for leg in legs if leg.designated and leg.bridge == bridge), None)

    def _numbers(self, uniqueid: str, legs: Sequence[Leg], seen: _Seen) -> dict[str, str | None]:
        hooked = next(leg for leg in legs if leg.uniqueid == uniqueid)
        number = self._designated(seen, legs)
        if hooked.direction is Direction.IN:
            return {"number": number, "caller": phone_number(hooked.number), "callee": seen.number}
        dialled = next((leg.dialled for leg in legs if leg.originator), None)
        callee = phone_number(dialled) or phone_number(hooked.number)
        return {"number": number, "caller": seen.caller, "callee": callee}

    def _designated(self, seen: _Seen, legs: Sequence[Leg]) -> str | None:
        """The designated number that a conversation belongs to: the dialled one, else that of the phone (B-09)."""
        dialled = self.plan.number_of(seen.number)
        if dialled is not None and dialled.designated:
            return dialled.digits
        phones = (self.plan.number_behind(leg.endpoint) for leg in legs if leg.designated)
        return next((number.digits for number in phones if number is not None), None)

    def _order(self, conversation: UUID, linkedid: str, leg: Leg, legs: Sequence[Leg], seen: _Seen) -> Order:
        return Order(
            channel=leg.channel,
            uniqueid=leg.uniqueid,
            linkedid=linkedid,
            conversation=str(conversation),
            recording=recording_of(conversation),
            direction=leg.direction.value if leg.direction else None,
            **self._numbers(leg.uniqueid, legs, seen),
        )

    # --- what happened while nobody listened ------------------------------------------------------------------------

    def resolve(self, uniqueid: str) -> History | None:
        """Whose call a channel is that the dialplan records: from Asterisk's own record, and from the live call.

        None while neither knows it, or while it is not known whether it goes on.
        """
        history = self._history(uniqueid)
        call = self.tracker.call_of(uniqueid)
        if call is not None:
            return replace(history, ended=None) if history else self._live(uniqueid, *call)
        if history is None or (history.ended is None and not self.synced.is_set()):
            return None
        if history.ended is None:
            history = replace(history, ended=self.now())
        self._book_adopted(history)
        return history

    def _live(self, uniqueid: str, conversation: UUID, linkedid: str, legs: Sequence[Leg]) -> History:
        leg = next(leg for leg in legs if leg.uniqueid == uniqueid)
        seen = self._seen.setdefault(conversation, _Seen())
        now: tuple[Span, ...] = ((self.now(), None),)
        talking = joined([self._party(leg) for leg in legs], uniqueid)
        return History(
            order=self._order(conversation, linkedid, leg, legs, seen),
            spans=now if leg.bridge else (),
            talks=now if talking else (),
            ended=None,
        )

    def _history(self, uniqueid: str) -> History | None:
        """What Asterisk's own record says of a channel; None where it says nothing."""
        story = _Story()
        seen = _Seen()
        for moment in self.witness.moments(uniqueid, Tracker(pbx=self.tracker.pbx, plan=self.plan)):
            if not moment.legs:
                story.end(moment.at)
                break
            leg = next(leg for leg in moment.legs if leg.uniqueid == uniqueid)
            if seen.arrived is None:
                seen.arrived = moment.at
                self._describe_call(seen, moment.legs)
            talking = joined([self._party(leg) for leg in moment.legs], uniqueid)
            story.go_on(moment.at, bridged=leg.bridge is not None, talking=talking)
            order = self._order(UUID(moment.conversation), moment.linkedid, leg, moment.legs, seen)
            story.order = replace(order, agent=story.order.agent if story.order else None)
            if talking:
                story.order = replace(story.order, agent=self._agent(moment.legs, uniqueid))
        return story.history()

    def _book_adopted(self, history: History) -> None:
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

    async def armed(self, uniqueid: str, deadline: float) -> str:
        """For the gate: `yes` recording runs, `skip` the rules want none, `no` otherwise. Within `deadline` seconds."""
        if not self.synced.is_set():
            return "no"
        try:
            async with asyncio.timeout(deadline):
                while (call := self.tracker.call_of(uniqueid)) is None:
                    await self._changed.wait()
                conversation, _, legs = call
                _, wanted = self._wanted(legs, self._seen.get(conversation, _Seen()))
                if not wanted:
                    return "skip"
                # Wanted, not hooked: a start that Asterisk refused leaves no hook, and the dialplan has to know.
                results = [await self._recorder().armed(channel) for channel in wanted]
                return "yes" if all(results) else "no"
        except TimeoutError:
            return "no"
