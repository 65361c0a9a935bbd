"""What happens on the PBX -> which channels are hooked: every row of the table "what is recorded"."""

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from cti.ami.client import Item, LinkDown, LinkUp, Listed
from cti.ami.errors import DeadlineError, LoginRefusedError, NotConnectedError
from cti.ami.message import Message
from cti.callbook import CallRecord
from cti.calls.cel import Moment
from cti.calls.tracker import Tracker
from cti.pipeline import Pipeline
from cti.reading import Reading, recording_of
from cti.switch import AmiSwitch
from policies.load import Policies, shipped
from recorder.decide import Rules
from recorder.take import History, Order
from tests.unit.cti.calls.streams import START, Chan, Numbers, Script, inbound, talk

PLAN = Policies(shipped()).plan
NOW = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)
OK = "Response: Success"


@dataclass
class FakeRecorder:
    """Keeps what it was told."""

    told: list[tuple[Any, ...]] = field(default_factory=list)
    orders: dict[str, Order] = field(default_factory=dict)
    refuses: bool = False
    strangers: dict[str, Order] = field(default_factory=dict)

    @property
    def works(self) -> dict[str, Any]:
        return {key: SimpleNamespace(take=SimpleNamespace(order=order)) for key, order in self.orders.items()}

    def arm(self, order: Order) -> None:
        self.told.append(("arm", order.channel))
        if not self.refuses:
            self.orders[order.uniqueid] = order

    def recording(self, uniqueid: str) -> str | None:
        return self.orders[uniqueid].recording if uniqueid in self.orders else None

    def disarm(self, uniqueid: str, at: datetime) -> None:
        self.told.append(("disarm", self.orders.pop(uniqueid).channel))

    def delay(self, uniqueid: str) -> timedelta:
        return timedelta(0)

    def hooked(self, uniqueids: Iterable[str]) -> set[str]:
        return {uniqueid for uniqueid in uniqueids if uniqueid in self.orders}

    async def armed(self, uniqueid: str) -> bool:
        await asyncio.sleep(0)
        return uniqueid in self.orders

    def talk(self, uniqueid: str, agent: str | None, at: datetime) -> None:
        self.told.append(("talk", self.orders[uniqueid].channel, agent))

    def bridge(self, uniqueid: str, at: datetime, *, entered: bool) -> None:
        if uniqueid in self.orders:
            self.told.append(("enter" if entered else "leave", self.orders[uniqueid].channel))

    def found(self, uniqueid: str, at: datetime) -> None:
        self.told.append(("found", self.orders[uniqueid].channel))

    def describe(self, uniqueid: str, **what: str | None) -> None:
        self.orders[uniqueid] = replace(self.orders[uniqueid], **what)  # type: ignore[arg-type]

    def mark(self, uniqueid: str, at: datetime, what: str) -> None:
        self.told.append((what, self.orders[uniqueid].channel))

    def ended(self, uniqueid: str, at: datetime, *, said: bool = True, seen: bool = True) -> None:
        if self.orders.pop(uniqueid, None):
            if not seen:
                self.told.append(("unseen", uniqueid))
            self.told.append(("ended" if said else "broken", uniqueid))

    def adopt_strangers(self) -> None:
        self.orders |= self.strangers

    def revise(self, uniqueid: str, history: object) -> None:
        self.told.append(("revise", uniqueid))


class FakeAmi:
    """A client whose wire is a list of events and a list of answers."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[Item] = asyncio.Queue()
        self.answers: list[list[Message] | Exception] = []
        self.sent: list[dict[str, str]] = []
        self.connected = True
        self.refused = asyncio.Event()

    def put(self, item: Item) -> None:
        self.queue.put_nowait(item)

    async def events(self) -> AsyncIterator[Item]:
        while True:
            yield await self.queue.get()

    async def run(self) -> None:
        await self.refused.wait()
        raise LoginRefusedError("refused")

    async def list_among_events(
        self, action: Mapping[str, str], asked: datetime, deadline: float | None = None
    ) -> None:
        self.put(Listed(await self.send_action(action, deadline), asked))

    async def send_action(self, action: Mapping[str, str], deadline: float | None = None) -> list[Message]:
        self.sent.append(dict(action))
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


class Book:
    """Call records as they were written."""

    def __init__(self) -> None:
        self.records: list[CallRecord] = []
        self.gaps: list[tuple[str, str]] = []

    def write(self, record: CallRecord) -> None:
        self.records.append(record)

    def unheard(self, pbx: str, since: datetime, until: datetime, reason: str) -> None:
        assert since <= until
        self.gaps.append((pbx, reason))


class Blind:
    """Asterisk keeps no record of its own."""

    def refresh(self) -> None:
        pass

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterable[Moment]:
        return ()


class Stage:
    """A script of calls, and the pipeline that hears it."""

    def __init__(self, *, record_internal: bool = True, follow: bool = False, synced: bool = True) -> None:
        self.pbx, self.names = Script(), Numbers()
        self.recorder, self.ami, self.book = FakeRecorder(), FakeAmi(), Book()
        self.pipeline = Pipeline(
            tracker=Tracker(pbx="pbx1", plan=PLAN),
            reading=Reading(PLAN, Rules(record_internal=record_internal, follow=follow)),
            ami=self.ami,  # type: ignore[arg-type]
            book=self.book,
            witness=Blind(),
            now=lambda: NOW,
        )
        self.pipeline.attach(self.recorder)  # type: ignore[arg-type]
        if synced:
            self.pipeline.synced.set()
        self._heard = 0

    def channel(self, endpoint: str, of: Chan | None = None, to: str = "s") -> Chan:
        number = "0901234567" if endpoint == "trunk" else endpoint
        return self.pbx.channel(self.names.name(endpoint), number=number, of=of, exten=to)

    def hear(self) -> list[str]:
        """Let the pipeline hear what is new; the endpoints that are hooked then."""
        for event in self.pbx.events[self._heard :]:
            self.pipeline._feed(event)
        self._heard = len(self.pbx.events)
        return self.hooked()

    def hooked(self) -> list[str]:
        return sorted(order.channel.partition("/")[2].rpartition("-")[0] for order in self.recorder.orders.values())

    def skip(self) -> None:
        """What happened was not heard."""
        self._heard = len(self.pbx.events)

    def listed(self) -> list[Message]:
        return [
            Message(f"{OK}\r\nEventList: start".encode()),
            *self.pbx.listed(),
            Message(b"Event: CoreShowChannelsComplete\r\nEventList: Complete"),
        ]

    def kept(self) -> list[str]:
        """The channels whose sound is kept: a designated phone was joined."""
        return [told[1] for told in self.recorder.told if told[0] == "talk"]


@pytest.mark.rule("B-02", "B-03")
@pytest.mark.parametrize("to", ["0664581132", "0664587160", "0664587211", "0664587225", "06-6458-1132", "+81664581132"])
def test_in_through_a_designated_number(to: str) -> None:
    stage = Stage()
    caller = stage.channel("trunk", to=to)
    # Armed on the first event of the call: before the phone rings, before the gate asks.
    assert stage.hear() == ["trunk"]
    phone = stage.channel("2001", of=caller)
    stage.pbx.ring(phone)
    assert stage.hear() == ["trunk"]
    assert stage.kept() == []
    talk(stage.pbx, caller, phone)
    assert stage.hear() == ["trunk"]
    assert stage.kept()
    stage.pbx.hangup(caller, phone)
    assert stage.hear() == []
    [record] = stage.book.records
    assert record.recording is not None
    assert (record.number, record.caller, record.disposition) == (
        PLAN.number_of(to).digits, "0901234567", "completed",  # type: ignore[union-attr]
    )  # fmt: skip
    assert [told[0] for told in stage.recorder.told].count("arm") == 1


@pytest.mark.rule("B-02", "B-03")
def test_in_through_another_number_only_from_when_a_designated_phone_joins() -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    section = stage.channel("3001", of=caller)
    stage.pbx.ring(section)
    assert stage.hear() == []
    talk(stage.pbx, caller, section)
    assert stage.hear() == []
    # The section transfers the caller to a designated phone.
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(section)
    phone = stage.channel("2001", of=caller)
    stage.pbx.ring(phone)
    assert stage.hear() == ["trunk"]
    assert stage.kept() == []
    talk(stage.pbx, caller, phone, bridge="bridge-2")
    assert stage.hear() == ["trunk"]
    assert stage.kept()


@pytest.mark.rule("B-02")
def test_a_designated_phone_picks_up_a_call_of_another_number() -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    section = stage.channel("3001", of=caller)
    stage.pbx.ring(section)
    # Pickup: the phone dialled *8, then its channel takes the place of the ringing one.
    phone = stage.channel("2001", to="*8")
    assert stage.hear() == []
    phone.linkedid = caller.linkedid
    stage.pbx.hangup(section, cause=26)
    stage.pbx.answer(phone, caller)
    assert stage.hear() == ["trunk"]
    stage.pbx.bridge("bridge-1", phone, caller)
    assert stage.hear() == ["trunk"]
    assert stage.kept()


@pytest.mark.rule("B-02", "B-03")
@pytest.mark.parametrize("originated", [False, True])
def test_a_designated_phone_calls_out(originated: bool) -> None:
    stage = Stage()
    phone = stage.channel("2002", to="s" if originated else "0666123456")
    if originated:
        stage.pbx.ring(phone)
        stage.pbx.answer(phone)
    assert stage.hear() == []
    outside = stage.pbx.channel(stage.names.name("trunk"), number="0666123456", of=phone)
    assert stage.hear() == ["trunk"]
    stage.pbx.ring(outside)
    talk(stage.pbx, phone, outside)
    assert stage.hear() == ["trunk"]
    [order] = stage.recorder.orders.values()
    assert (order.direction, order.caller, order.callee) == ("out", "2002", "0666123456")
    assert stage.kept() == [outside.name] * len(stage.kept())


@pytest.mark.rule("B-03")
@pytest.mark.parametrize(("first", "second"), [("2001", "3101"), ("3101", "2001")])
@pytest.mark.parametrize("record_internal", [True, False])
def test_a_designated_phone_and_a_sections(first: str, second: str, record_internal: bool) -> None:
    stage = Stage(record_internal=record_internal)
    calling = stage.channel(first, to=second)
    assert stage.hear() == []
    called = stage.channel(second, of=calling)
    stage.pbx.ring(called)
    assert stage.hear() == (["3101"] if record_internal else [])
    talk(stage.pbx, calling, called)
    assert stage.hear() == (["3101"] if record_internal else [])
    assert bool(stage.kept()) is record_internal


@pytest.mark.rule("B-03")
def test_two_designated_phones() -> None:
    stage = Stage()
    calling = stage.channel("2001", to="2101")
    called = stage.channel("2101", of=calling)
    stage.pbx.ring(called)
    assert stage.hear() == ["2001"]
    talk(stage.pbx, calling, called)
    assert stage.hear() == ["2001"]
    assert set(stage.kept()) == {calling.name}


def test_a_conference_is_recorded_while_a_designated_phone_is_in_it() -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    section = stage.channel("3001", of=caller)
    talk(stage.pbx, caller, section)
    assert stage.hear() == []
    phone = stage.channel("2001", of=caller)
    stage.pbx.ring(phone)
    stage.pbx.answer(phone)
    stage.pbx.bridge("bridge-1", phone)
    assert stage.hear() == ["trunk"]
    stage.pbx.hangup(phone)
    assert stage.hear() == []
    assert stage.recorder.told[-1] == ("disarm", caller.name)


def test_what_is_recorded_of_a_call_that_goes_on_in_an_older_one_is_found_there() -> None:
    """3101 was on the line before the caller, and joins his bridge: what is kept is named in both records."""
    stage = Stage()
    section = stage.channel("3101", to="800")
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    recording = stage.recorder.orders[caller.uniqueid].recording
    stage.pbx.bridge("bridge-1", section)
    stage.hear()
    assert stage.recorder.told.count(("arm", caller.name)) == 1
    stage.pbx.hangup(phone, caller, section)
    stage.hear()
    merged, ended = stage.book.records
    assert (merged.disposition, merged.linkedid, merged.recording) == ("merged", caller.linkedid, recording)
    assert (ended.linkedid, ended.recording) == (section.linkedid, recording)
    assert (ended.number, ended.caller) == ("0664581132", "0901234567")


def test_what_the_dialplan_records_on_a_local_channel_is_the_calls() -> None:
    """2201 dials 3101, which forwards to 2001, while nobody answers the gate: the Local channel is recorded."""
    stage = Stage()
    calling = stage.channel("2201", to="3101")
    moved = stage.channel("3101", of=calling)
    one = stage.pbx.channel("Local/2001@phones-00000001;1", of=calling)
    two = stage.pbx.channel("Local/2001@phones-00000001;2", of=calling, exten="2001")
    phone = stage.channel("2001", of=calling)
    stage.hear()
    stage.recorder.orders.clear()
    history = stage.pipeline.resolve(two.uniqueid)
    assert history is not None
    assert (history.order.channel, history.talks) == (two.name, ())
    stage.recorder.orders[two.uniqueid] = history.order
    stage.pbx.hangup(moved)
    stage.pbx.answer(phone)
    stage.pbx.bridge("left", calling, one)
    stage.pbx.bridge("right", two, phone)
    stage.hear()
    assert set(stage.recorder.orders) == {two.uniqueid}, "one recording of it is enough"
    assert ("talk", two.name, "2201") in stage.recorder.told
    stage.pbx.hangup(phone, two, one, calling)
    stage.hear()
    assert stage.book.records[-1].recording == history.order.recording


@pytest.mark.rule("B-02")
@pytest.mark.parametrize("phone", ["3001", "3101", "3901"])
def test_outside_and_section_or_emergency_line(phone: str) -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    called = stage.channel(phone, of=caller)
    stage.pbx.ring(called)
    talk(stage.pbx, caller, called)
    stage.pbx.hold(called)
    stage.pbx.hangup(caller, called)
    assert stage.hear() == []
    assert stage.recorder.told == []
    assert [record.recording for record in stage.book.records] == [None]


@pytest.mark.parametrize("to", ["0664587000", "0612345678", "s"])
def test_a_voice_menu_or_music_alone(to: str) -> None:
    stage = Stage()
    caller = stage.channel("trunk", to=to)
    stage.pbx.answer(caller)
    stage.pbx.bridge("parking", caller)
    assert stage.hear() == []
    assert stage.recorder.told == []


def test_two_sections() -> None:
    stage = Stage()
    calling = stage.channel("3001", to="3101")
    called = stage.channel("3101", of=calling)
    talk(stage.pbx, calling, called)
    assert stage.hear() == []
    assert stage.recorder.told == []


@pytest.mark.rule("B-03")
def test_it_stops_when_the_last_designated_phone_leaves_and_starts_when_one_rings_again() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    assert stage.hear() == ["trunk"]
    first = next(iter(stage.recorder.orders.values()))
    stage.pbx.unbridge(phone)
    # On the very event of the leave, not on a later one.
    assert stage.hear() == []
    stage.pbx.hangup(phone)
    stage.pbx.unbridge(caller)
    section = stage.channel("3101", of=caller)
    stage.pbx.ring(section)
    talk(stage.pbx, caller, section, bridge="bridge-2")
    assert stage.hear() == []
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(section)
    other = stage.channel("2101", of=caller)
    stage.pbx.ring(other)
    assert stage.hear() == ["trunk"]
    talk(stage.pbx, caller, other, bridge="bridge-3")
    assert stage.hear() == ["trunk"]
    second = next(iter(stage.recorder.orders.values()))
    # The same recording goes on: another segment of it.
    assert second.recording == first.recording == recording_of(stage.pipeline.tracker.calls()[0][0])
    assert [told[2] for told in stage.recorder.told if told[0] == "talk"][-1] == "2101"


@pytest.mark.rule("B-03")
def test_one_of_two_designated_phones_leaves() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    other = stage.channel("2002", of=caller)
    stage.pbx.bridge("bridge-1", other)
    stage.pbx.hangup(phone)
    assert stage.hear() == ["trunk"]
    assert "disarm" not in [told[0] for told in stage.recorder.told]
    stage.pbx.hangup(other)
    assert stage.hear() == []


@pytest.mark.rule("B-03")
def test_a_designated_phone_that_rings_after_a_transfer_and_does_not_answer() -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    section = stage.channel("3001", of=caller)
    talk(stage.pbx, caller, section)
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(section)
    phone = stage.channel("2001", of=caller)
    stage.pbx.ring(phone)
    assert stage.hear() == ["trunk"]
    stage.pbx.hangup(phone, cause=19)
    # Nobody else's event is waited for.
    assert stage.hear() == []


def test_the_policy_may_say_to_go_on_after_a_transfer() -> None:
    stage = Stage(follow=True)
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(phone)
    section = stage.channel("3101", of=caller)
    talk(stage.pbx, caller, section, bridge="bridge-2")
    assert stage.hear() == ["trunk"]
    stage.pbx.hangup(section, caller)
    assert stage.hear() == []


@pytest.mark.parametrize("same", [True, False])
def test_another_phone_in_another_bridge_is_heard_by_a_hook_of_its_own(same: bool) -> None:
    """asterisk/asterisk#507: the hook that stays drops the packets of whoever comes next, as too late."""
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    other = stage.channel("2201", of=caller)
    stage.pbx.bridge("bridge-2", *([phone] if same else [other]))
    stage.hear()
    before = len(stage.recorder.told)
    stage.pbx.unbridge(caller)
    stage.pbx.bridge("bridge-2", caller)
    assert stage.hear() == ["trunk"]
    told = [told[0] for told in stage.recorder.told[before:] if told[1] == caller.name]
    assert told[: told.index("talk")] == (["leave", "enter"] if same else ["leave", "enter", "disarm", "arm", "enter"])


def test_a_hook_that_was_made_for_the_next_phone_stays() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(phone)
    other = stage.channel("2201", of=caller)
    stage.pbx.ring(other)
    assert stage.hear() == ["trunk"]
    before = len(stage.recorder.told)
    talk(stage.pbx, caller, other, bridge="bridge-2")
    assert stage.hear() == ["trunk"]
    assert {told[0] for told in stage.recorder.told[before:]} == {"enter", "talk"}


def test_whoever_joins_the_same_bridge_changes_nothing() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    other = stage.channel("2201", of=caller)
    stage.pbx.bridge("bridge-1", other)
    stage.pbx.unbridge(phone)
    stage.hear()
    assert "disarm" not in [told[0] for told in stage.recorder.told]


def test_the_caller_hangs_up_first() -> None:
    """The caller leaves the bridge a moment before the phone does: no stop, no start, the channel just ends."""
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(caller)
    stage.pbx.hangup(phone)
    stage.hear()
    assert [told[0] for told in stage.recorder.told][-2:] == ["leave", "ended"]


def test_hold_and_resume_are_marked() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.pbx.hold(phone)
    stage.pbx.resume(phone)
    stage.hear()
    marks = [told for told in stage.recorder.told if told[0] in ("hold", "resume")]
    assert marks == [("hold", caller.name), ("resume", caller.name)]


@pytest.mark.rule("B-03")
def test_a_call_that_nobody_answered_leaves_a_call_record_and_no_sound() -> None:
    stage = Stage()
    caller, first, second, third = inbound(stage.pbx, stage.names, ("2001", "2002", "2003"))
    assert stage.hear() == ["trunk"]
    for phone in (first, second, third):
        stage.pbx.dial_end(phone, caller, "CANCEL")
    stage.pbx.hangup(first, second, third, caller, cause=127)
    assert stage.hear() == []
    assert stage.kept() == []
    [record] = stage.book.records
    assert record == CallRecord(
        conversation=record.conversation,
        linkedid=caller.uniqueid,
        arrived=datetime.fromtimestamp(START + 0.001, UTC),
        answered=None,
        ended=datetime.fromtimestamp(round(stage.pbx.clock, 6), UTC),
        number="0664581132",
        caller="0901234567",
        disposition="cancelled",
        recording=None,
    )
    assert stage.pipeline._seen == {}


def test_what_a_caller_sends_as_a_number_is_not_kept_unless_it_is_one() -> None:
    stage = Stage()
    caller = stage.pbx.channel(stage.names.name("trunk"), number="../../x;rm", exten="0664581132")
    stage.hear()
    assert stage.recorder.orders[caller.uniqueid].caller is None
    stage.pbx.hangup(caller)
    stage.hear()
    assert stage.book.records[0].caller is None


def test_an_event_without_a_time_is_dropped_and_the_next_one_heard() -> None:
    stage = Stage()
    stage.pipeline._feed(
        Message(b"Event: Newchannel\r\nUniqueid: 1.0\r\nLinkedid: 1.0\r\nChannel: PJSIP/2001-00000001")
    )
    stage.channel("trunk", to="0664581132")
    assert stage.hear() == ["trunk"]


def test_a_refused_start_is_tried_again_with_the_next_event() -> None:
    stage = Stage()
    stage.recorder.refuses = True
    caller = stage.channel("trunk", to="0664581132")
    assert stage.hear() == []
    stage.recorder.refuses = False
    stage.channel("2001", of=caller)
    assert stage.hear() == ["trunk"]


# --- the gate's question ----------------------------------------------------------------------------------------------


async def test_the_gate_hears_yes_skip_or_no() -> None:
    stage = Stage(synced=False)
    recorded = stage.channel("trunk", to="0664581132")
    other = stage.channel("trunk", to="0664587000")
    stage.hear()
    # Out of step, nothing is known of who else is in the call: the dialplan records.
    assert await stage.pipeline.armed(recorded.uniqueid, None, 1) == "no"
    assert await stage.pipeline.armed(other.uniqueid, None, 1) == "no"
    stage.pipeline.synced.set()
    assert await stage.pipeline.armed(recorded.uniqueid, None, 1) == "yes"
    assert await stage.pipeline.armed(other.uniqueid, None, 1) == "skip"


async def test_a_start_that_asterisk_refused_is_no_skip() -> None:
    stage = Stage()
    stage.recorder.refuses = True
    caller = stage.channel("trunk", to="0664581132")
    stage.hear()
    assert await stage.pipeline.armed(caller.uniqueid, None, 1) == "no"


async def test_the_gate_may_ask_before_the_event_has_come() -> None:
    stage = Stage()
    stage.pipeline.synced.set()
    caller = stage.channel("trunk", to="0664581132")
    asking = asyncio.create_task(stage.pipeline.armed(caller.uniqueid, None, 2))
    await asyncio.sleep(0)
    stage.hear()
    assert await asking == "yes"


async def test_a_channel_that_nobody_knows_meets_the_deadline() -> None:
    stage = Stage()
    stage.pipeline.synced.set()
    assert await stage.pipeline.armed("unknown", None, 0.02) == "no"


async def until(holds: Callable[[], bool]) -> None:
    """Let the loop turn until it holds; the test's own time-out ends a wait in vain."""
    for _ in range(1000):
        if holds():
            return
        await asyncio.sleep(0)
    raise AssertionError("it does not become true")


# --- resync -----------------------------------------------------------------------------------------------------------


async def test_a_resync_arms_what_is_not_armed() -> None:
    stage = Stage(synced=False)
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    outside = stage.channel("trunk", to="0664587000")
    talk(stage.pbx, outside, stage.channel("3001", of=outside), bridge="bridge-9")
    stage.skip()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.hooked() == ["trunk"]
    assert list(stage.recorder.orders) == [caller.uniqueid]
    assert ("enter", caller.name) in stage.recorder.told
    assert ("talk", caller.name, "2001") in stage.recorder.told
    assert stage.pipeline.synced.is_set()
    order = stage.recorder.orders[caller.uniqueid]
    assert (order.number, order.caller, order.callee) == ("0664581132", "0901234567", "0664581132")


@pytest.mark.rule("B-03")
async def test_what_ends_before_we_are_in_step_is_ended_by_what_asterisk_wrote_down(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    assert stage.hear() == ["trunk"]
    stage.pipeline.synced.clear()  # the connection is lost while it rings, and comes back when they hang up
    talk(stage.pbx, caller, phone)
    stage.skip()
    stage.pbx.hangup(phone, caller)
    stage.hear()
    order, spans = stage.recorder.orders[caller.uniqueid], ((NOW, NOW),)
    history = History(order=order, spans=spans, talks=spans, ended=NOW)
    monkeypatch.setattr(stage.pipeline, "told_of", lambda uniqueid: history if uniqueid == caller.uniqueid else None)
    assert [told for told in stage.recorder.told if told[0] in ("ended", "broken")] == []
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.recorder.told[-2:] == [("revise", caller.uniqueid), ("ended", caller.uniqueid)]


@pytest.mark.rule("B-03")
async def test_what_ended_while_nobody_saw_it_is_kept() -> None:
    """The connection was lost while it rang, and Asterisk writes down nothing."""
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    stage.hear()
    stage.pipeline.synced.clear()
    stage.pbx.hangup(phone, caller)
    stage.skip()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.recorder.told[-2:] == [("unseen", caller.uniqueid), ("broken", caller.uniqueid)]


@pytest.mark.rule("B-03")
async def test_a_record_that_stops_in_the_middle_of_a_call_says_nothing_of_its_rest(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Asterisk's disk filled, or it died with rows that it held."""
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    stage.hear()
    order = stage.recorder.orders[caller.uniqueid]
    half = History(order=order, spans=(), talks=(), ended=None, began=NOW - timedelta(minutes=5))
    monkeypatch.setattr(stage.pipeline, "told_of", lambda _uniqueid: half)
    stage.pipeline.synced.clear()
    stage.pbx.hangup(phone, caller)
    stage.skip()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert ("unseen", caller.uniqueid) in stage.recorder.told
    history = stage.pipeline.resolve(f"pbx1-{START}.77")
    assert history is not None
    assert (history.ended, history.seen) == (NOW, False)


async def test_a_record_that_is_not_understood_says_nothing() -> None:
    class Broken(Blind):
        def moments(self, uniqueid: str, tracker: Tracker) -> Iterable[Moment]:
            raise OverflowError

    stage = Stage(synced=False)
    stage.pipeline.witness = Broken()
    inbound(stage.pbx, stage.names)
    stage.hear()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.pipeline.synced.is_set()
    assert stage.hooked() == ["trunk"]


@pytest.mark.rule("B-03")
async def test_sound_of_a_call_that_nobody_saw_is_the_calls_whose_channel_it_names() -> None:
    stage = Stage(synced=False)
    uniqueid = f"pbx1-{START + 10}.7"

    def asked(second: float) -> History | None:
        stage.pipeline._resync(Listed(stage.listed(), datetime.fromtimestamp(START + second, UTC)))
        return stage.pipeline.resolve(uniqueid)

    assert stage.pipeline.resolve(uniqueid) is None, "Asterisk was not asked yet"
    assert asked(10.5) is None, "it may have come after the list was made"
    history = asked(60)
    assert history is not None
    assert (history.ended, history.said, history.seen) == (NOW, False, False)
    assert history.talks == history.spans
    assert stage.book.records[-1].conversation == history.order.conversation
    assert stage.pipeline.resolve("whatever") is None


async def test_an_end_that_was_heard_out_of_step_counts_whatever_the_list_says_still() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.hear()
    stage.pipeline.synced.clear()
    listed = stage.listed()  # asterisk#783: channels that are gone may be listed
    stage.pbx.hangup(phone, caller)
    stage.hear()
    stage.pipeline._resync(Listed(listed, NOW))
    assert stage.recorder.told[-1] == ("ended", caller.uniqueid), "and in order: it was heard"
    assert stage.hooked() == []


async def test_who_is_in_a_bridge_is_said_to_be_whatever_asterisk_has_written_down_by_then() -> None:
    stage = Stage(synced=False)
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.skip()
    order = Order(channel=caller.name, uniqueid=caller.uniqueid, linkedid="", conversation="", recording="")
    stage.recorder.strangers = {caller.uniqueid: order}
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert ("found", caller.name) in stage.recorder.told


async def test_a_list_is_not_believed_while_asterisks_own_record_is_being_read_for_another() -> None:
    class Slow(Blind):
        """A record of a busy day."""

        def __init__(self) -> None:
            self.may_end = threading.Event()

        def refresh(self) -> None:
            self.may_end.wait(5)

    stage, slow = Stage(synced=False), Slow()
    stage.pipeline.witness = slow
    stage.ami.answers = [stage.listed()]
    asking = asyncio.create_task(stage.pipeline._ask())
    await asyncio.sleep(0)
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert not stage.pipeline.synced.is_set()
    assert stage.pipeline.resolve("1775001600.1") is None
    slow.may_end.set()
    await asking
    listed = await stage.ami.queue.get()
    assert isinstance(listed, Listed)
    stage.pipeline._resync(listed)
    assert stage.pipeline.synced.is_set()


async def test_a_channel_that_the_dialplan_records_gets_no_second_recording() -> None:
    stage = Stage()
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    stage.skip()
    order = Order(channel=caller.name, uniqueid=caller.uniqueid, linkedid="", conversation="", recording="")
    stage.recorder.strangers = {caller.uniqueid: order}
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert "arm" not in [told[0] for told in stage.recorder.told]


async def test_a_call_that_is_seen_in_part_ends_no_recording_before_asterisk_has_said_what_exists() -> None:
    stage = Stage(synced=False)
    phone = stage.channel("2002", to="0666123456")
    outside = stage.pbx.channel(stage.names.name("trunk"), number="0666123456", of=phone)
    # A predecessor recorded it; we begin to listen when the two are just being bridged.
    stage.skip()
    stage.recorder.orders[outside.uniqueid] = Order(
        channel=outside.name, uniqueid=outside.uniqueid, linkedid="", conversation="", recording=""
    )
    stage.pbx.answer(outside)
    stage.pbx.bridge("bridge-1", outside)
    assert stage.hear() == ["trunk"]
    stage.pbx.bridge("bridge-1", phone)
    assert stage.hear() == ["trunk"]
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.hooked() == ["trunk"]
    assert [told[0] for told in stage.recorder.told if told[0] in ("arm", "disarm")] == []
    stage.pbx.hangup(phone)
    assert stage.hear() == []
    assert ("disarm", outside.name) in stage.recorder.told


class Listing:
    """What Asterisk says of a caller whom the recorder finds on the way: its dialplan is in a subroutine."""

    def __init__(self) -> None:
        self.stage = Stage()
        self.caller = self.stage.channel("trunk", to="0664581132")
        self.stage.skip()
        self.caller.exten = "s"

    def resync(self) -> None:
        self.stage.pipeline._resync(Listed(self.stage.listed(), NOW))


async def test_a_caller_who_is_found_in_a_subroutine_is_recorded_whatever_was_dialled() -> None:
    there = Listing()
    there.resync()
    # The dialplan may have begun by itself: that run must not be ended before anybody has answered.
    assert there.stage.hooked() == ["trunk"]
    assert there.stage.kept() == []


@pytest.mark.parametrize(
    ("dialled", "answer", "hooked"), [("0664581132", "yes", ["trunk"]), ("0664587000", "skip", [])]
)
async def test_the_dialplan_knows_what_a_caller_dialled_who_came_before_us(
    dialled: str, answer: str, hooked: list[str]
) -> None:
    there = Listing()
    there.resync()
    assert await there.stage.pipeline.armed(there.caller.uniqueid, dialled, 1) == answer
    assert there.stage.hooked() == hooked
    there.stage.pbx.hangup(there.caller)
    there.stage.hear()
    assert there.stage.book.records[0].number == dialled


async def test_what_the_list_tells_of_a_call_that_was_seen_in_part_is_booked() -> None:
    stage = Stage(synced=False)
    caller = stage.channel("trunk", to="0664581132")
    phone = stage.channel("2001", of=caller)
    stage.skip()
    stage.pbx.answer(caller)  # the first that is heard of it, and it does not say what was dialled
    stage.hear()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    talk(stage.pbx, caller, phone)
    stage.hear()
    order = stage.recorder.orders[caller.uniqueid]
    assert (order.number, order.callee) == ("0664581132", "0664581132")
    stage.pbx.hangup(phone, caller)
    stage.hear()
    assert stage.book.records[0].number == "0664581132"


async def test_what_the_event_said_counts_more_than_what_the_gate_says() -> None:
    stage = Stage()
    caller = stage.channel("trunk", to="0664587000")
    stage.hear()
    stage.pipeline.synced.set()
    assert await stage.pipeline.armed(caller.uniqueid, "0664581132", 1) == "skip"


async def test_the_list_counts_at_its_place_among_the_events() -> None:
    stage = Stage(synced=False)
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    listed, before = stage.listed(), list(stage.pbx.events)
    stage.pbx.unbridge(caller)
    stage.pbx.hangup(phone, caller)
    for item in (*before, Listed(listed, NOW), *stage.pbx.events[len(before) :]):
        stage.ami.put(item)
    running = asyncio.create_task(stage.pipeline.run())
    await until(lambda: bool(stage.book.records))
    assert stage.pipeline.synced.is_set()
    assert [told[0] for told in stage.recorder.told if told[0] in ("arm", "disarm")] == ["arm", "disarm"]
    assert stage.hooked() == []
    assert stage.pipeline.tracker.calls() == []
    running.cancel()
    await asyncio.wait([running])


@pytest.mark.parametrize(
    "answer",
    [
        [Message(b"Response: Error\r\nMessage: Permission denied")],
        [Message(f"{OK}\r\nEventList: start".encode()), Message(b"Event: StatusComplete\r\nEventList: cancelled")],
        NotConnectedError("lost"),
        DeadlineError("no answer"),
    ],
)
async def test_an_answer_that_is_no_whole_list_ends_no_call(answer: list[Message] | Exception) -> None:
    stage = Stage(synced=False)
    caller, phone = inbound(stage.pbx, stage.names)
    talk(stage.pbx, caller, phone)
    assert stage.hear() == ["trunk"]
    stage.ami.answers = [answer]
    await stage.pipeline._ask()
    if not isinstance(answer, Exception):
        assert await stage.ami.queue.get() == Listed(answer, NOW)
        stage.pipeline._resync(Listed(answer, NOW))
    assert stage.hooked() == ["trunk"]
    assert stage.book.records == []
    assert not stage.pipeline.synced.is_set()


async def test_a_resync_that_failed_is_tried_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.pipeline.RESYNC_SECONDS", 0.01)
    stage = Stage(synced=False)
    stage.ami.answers = [DeadlineError("no answer"), stage.listed()]
    running = asyncio.create_task(stage.pipeline.run())
    stage.ami.put(LinkUp())
    async with asyncio.timeout(2):
        await stage.pipeline.synced.wait()
    running.cancel()
    await asyncio.wait([running])
    assert [action["Action"] for action in stage.ami.sent] == ["CoreShowChannels"] * 2


async def test_over_the_wire_up_events_down() -> None:
    stage = Stage(synced=False)
    stage.ami.answers = [stage.listed(), stage.listed()]
    running = asyncio.create_task(stage.pipeline.run())
    stage.ami.put(LinkUp())
    async with asyncio.timeout(2):
        await stage.pipeline.synced.wait()
        caller, phone = inbound(stage.pbx, stage.names)
        asking = asyncio.create_task(stage.pipeline.armed(caller.uniqueid, None, 2))
        for event in stage.pbx.events:
            stage.ami.put(event)
        assert await asking == "yes"
        stage.ami.put(LinkDown("lost"))
        await until(lambda: not stage.pipeline.synced.is_set())
        # The call goes on in the meantime, and ends unheard.
        stage.pbx.hangup(phone, caller)
        stage.ami.answers = [stage.listed()]
        stage.ami.put(LinkUp())
        await stage.pipeline.synced.wait()
    assert stage.hooked() == []
    assert len(stage.book.records) == 1
    assert stage.book.gaps == [(stage.pipeline.tracker.pbx, "lost")]
    stage.ami.refused.set()
    with pytest.raises(ExceptionGroup) as raised:
        await running
    assert raised.group_contains(LoginRefusedError)


async def test_what_was_asked_before_the_connection_was_lost_says_nothing_of_later() -> None:
    stage = Stage()
    stage.pipeline._resync(Listed(stage.listed(), NOW))
    assert stage.pipeline._asked == NOW
    running = asyncio.create_task(stage.pipeline.run())
    stage.ami.put(LinkDown("lost"))
    await until(lambda: stage.pipeline._asked is None)
    running.cancel()
    await asyncio.wait([running])


# --- MixMonitor -------------------------------------------------------------------------------------------------------


def replies(*texts: str) -> list[list[Message] | Exception]:
    return [[Message(text.encode())] for text in texts]


async def test_mixmonitor_is_started_with_our_names_alone() -> None:
    ami = FakeAmi()
    ami.answers = replies(OK)
    await AmiSwitch(ami).start("PJSIP/trunk-1", Path("/s/am-1-r.sln"), Path("/s/am-1-t.sln"))  # type: ignore[arg-type]
    assert ami.sent == [
        {"Action": "MixMonitor", "Channel": "PJSIP/trunk-1",
         "Options": "br(/s/am-1-r.sln)t(/s/am-1-t.sln)i(KIKITORI_MM)"},
    ]  # fmt: skip


async def test_a_refusal_to_start_says_why() -> None:
    ami = FakeAmi()
    ami.answers = replies("Response: Error\r\nMessage: No such channel")
    with pytest.raises(Exception, match="MixMonitor on PJSIP/x: No such channel"):
        await AmiSwitch(ami).start("PJSIP/x", Path("l"), Path("r"))  # type: ignore[arg-type]


async def test_stopping_ends_the_dialplans_mixmonitor_too_and_tells_it() -> None:
    ami = FakeAmi()
    ami.answers = replies(OK, OK, "Response: Error\r\nMessage: Could not stop", OK)
    await AmiSwitch(ami).stop("PJSIP/x")  # type: ignore[arg-type]
    assert [action["Action"] for action in ami.sent] == ["StopMixMonitor"] * 3 + ["Setvar"]
    assert ami.sent[-1] == {"Action": "Setvar", "Channel": "PJSIP/x", "Variable": "KIKITORI_MM", "Value": ""}
