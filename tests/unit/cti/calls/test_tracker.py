"""Events in, facts out: scripts in Asterisk's event shapes, and streams that lost, repeated or disordered events."""

import json
import random
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.ami.message import Message
from cti.calls.board import conversation_id
from cti.calls.model import Direction, Fact, What
from cti.calls.tracker import MissingTimestampError, Tracker, event_time
from policies.load import Policies, shipped
from policies.model import Plan
from tests.story import balanced
from tests.unit.cti.calls.streams import START, Chan, Numbers, Script, inbound, talk

PLAN: Plan = Policies(shipped()).plan
NOW = datetime.fromtimestamp(START, UTC) + timedelta(hours=1)


def tracker(plan: Plan | None = PLAN, *, timed: bool = True) -> Tracker:
    return Tracker(pbx="pbx1", plan=plan, timed=timed)


def feed(to: Tracker, events: Iterable[Message]) -> list[Fact]:
    return [fact for event in events for fact in to.feed(event)]


def whats(facts: Iterable[Fact]) -> list[str]:
    return [fact.what.value for fact in facts]


def test_an_answered_call_from_outside() -> None:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    facts = feed(tracker(), pbx.events)
    assert whats(facts) == [
        "CallArrived", "CallRinging", "CallAnswered", "LegJoined", "LegJoined", "LegLeft", "LegLeft", "CallEnded",
    ]  # fmt: skip
    balanced(facts)
    assert {fact.conversation for fact in facts} == {conversation_id("pbx1", caller.uniqueid)}
    arrived, ringing, *_, ended = facts
    [leg] = arrived.legs
    assert (leg.endpoint, leg.number, leg.caller_name) == ("trunk", "0901234567", "山田太郎")
    assert (leg.designated, leg.direction, leg.dialled) == (False, Direction.IN, "0664581132")
    assert ringing.leg == phone.uniqueid
    assert [(leg.endpoint, leg.designated, leg.direction) for leg in ringing.legs] == [
        ("trunk", False, Direction.IN),
        ("2001", True, Direction.INTERNAL),
    ]
    assert ended.disposition == "completed"
    assert tracker().calls() == []


def test_times_are_the_events_own() -> None:
    pbx = Script()
    caller, _phone = inbound(pbx, Numbers())
    [arrived, *_] = feed(tracker(), pbx.events)
    assert arrived.at == datetime.fromtimestamp(START + 0.001, UTC)
    assert arrived.public()["at"] == "2025-12-01T00:00:00.001000+00:00"
    assert caller.uniqueid == arrived.leg


def test_the_json_of_a_fact() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    ringing = feed(tracker(), pbx.events)[1]
    assert json.loads(json.dumps(ringing.public())) == {
        "fact": "CallRinging",
        "conversation": str(conversation_id("pbx1", caller.uniqueid)),
        "at": "2025-12-01T00:00:00.003000+00:00",
        "legs": [
            {
                "channel": "PJSIP/trunk-00000001", "uniqueid": caller.uniqueid, "number": "0901234567",
                "caller_name": "山田太郎", "endpoint": "trunk", "designated": False, "direction": "in",
            },
            {
                "channel": "PJSIP/2001-00000002", "uniqueid": phone.uniqueid, "number": "2001",
                "caller_name": None, "endpoint": "2001", "designated": True, "direction": "internal",
            },
        ],
        "leg": phone.uniqueid,
    }  # fmt: skip


def test_without_policies_nothing_is_designated_or_directed() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    for fact in feed(tracker(None), pbx.events):
        for leg in fact.public()["legs"]:
            assert leg["designated"] is None
            assert leg["direction"] is None


def test_an_endpoint_that_the_plan_does_not_know() -> None:
    pbx = Script()
    pbx.channel("PJSIP/9999-00000001", number="9999", exten="2001")
    [fact] = feed(tracker(), pbx.events)
    assert (fact.legs[0].designated, fact.legs[0].direction) == (False, None)


@pytest.mark.parametrize(
    ("status", "cause", "disposition"),
    [
        ("CANCEL", 16, "cancelled"), ("CANCEL", 127, "cancelled"), ("NOANSWER", 16, "no-answer"),
        ("NOANSWER", 0, "no-answer"), ("BUSY", 17, "busy"), ("BUSY", 21, "rejected"), ("CONGESTION", 34, "failed"),
        ("CHANUNAVAIL", 20, "failed"), ("", 17, "busy"), ("", 18, "no-answer"), ("", 19, "no-answer"),
        ("", 21, "rejected"), ("", 38, "failed"),
    ],
)  # fmt: skip
def test_a_call_that_nobody_answered(status: str, cause: int, disposition: str) -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    if status:
        pbx.dial_end(phone, caller, status)
    pbx.hangup(phone, caller, cause=cause)
    facts = feed(tracker(), pbx.events)
    assert whats(facts) == ["CallArrived", "CallRinging", "CallEnded"]
    assert facts[-1].disposition == disposition


def test_a_busy_phone() -> None:
    pbx, names = Script(), Numbers()
    caller = pbx.channel(names.name("trunk"), number="0901112222", exten="0664587211")
    phone = pbx.channel(names.name("2201"), number="2201", of=caller)
    pbx.dial_end(phone, caller, "BUSY")
    pbx.hangup(phone, caller, cause=17)
    facts = feed(tracker(), pbx.events)
    assert whats(facts) == ["CallArrived", "CallEnded"]
    assert facts[-1].disposition == "busy"


def test_three_phones_ring_and_one_answers() -> None:
    pbx = Script()
    caller, first, second, third = inbound(pbx, Numbers(), ("2001", "2002", "2003"))
    talk(pbx, caller, second, (first, third))
    pbx.hangup(second, caller)
    facts = feed(tracker(), pbx.events)
    assert whats(facts) == [
        "CallArrived", "CallRinging", "CallRinging", "CallRinging", "CallAnswered", "LegJoined", "LegJoined",
        "LegLeft", "LegLeft", "CallEnded",
    ]  # fmt: skip
    answered = facts[4]
    assert answered.leg == second.uniqueid
    joined = [fact.leg for fact in facts if fact.what is What.JOINED]
    assert joined == [second.uniqueid, caller.uniqueid]
    balanced(facts)


def test_a_phone_that_rings_twice_is_said_once() -> None:
    pbx = Script()
    _caller, phone = inbound(pbx, Numbers())
    pbx.ring(phone)
    assert whats(feed(tracker(), pbx.events)) == ["CallArrived", "CallRinging"]


def test_a_call_to_the_outside() -> None:
    pbx, names = Script(), Numbers()
    phone = pbx.channel(names.name("2002"), number="2002", exten="0666123456")
    outside = pbx.channel(names.name("trunk"), number="0666123456", of=phone)
    pbx.ring(outside)
    talk(pbx, phone, outside)
    pbx.hangup(outside, phone)
    facts = feed(tracker(), pbx.events)
    assert whats(facts)[:3] == ["CallArrived", "CallRinging", "CallAnswered"]
    legs = {leg.endpoint: leg for leg in facts[2].legs}
    assert legs["trunk"].direction is Direction.OUT
    assert legs["2002"].direction is Direction.INTERNAL
    assert legs["2002"].dialled == "0666123456"
    assert legs["trunk"].dialled is None
    balanced(facts)


def test_a_caller_whom_the_pbx_answers_while_phones_ring_is_not_answered_yet() -> None:
    """Answer() before Queue() puts the caller's channel Up: nobody has picked up."""
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    pbx.answer(caller)
    assert "CallAnswered" not in whats(feed(tracker(), pbx.events))
    talk(pbx, caller, phone)
    [answered] = [fact for fact in feed(tracker(), pbx.events) if fact.what is What.ANSWERED]
    assert answered.leg == phone.uniqueid


def test_hold_and_resume() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    pbx.hold(phone)
    pbx.resume(phone)
    facts = feed(tracker(), pbx.events)[-2:]
    assert whats(facts) == ["CallHeld", "CallResumed"]
    assert {fact.leg for fact in facts} == {phone.uniqueid}


def test_a_blind_transfer_changes_the_legs_and_not_the_conversation() -> None:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    talk(pbx, caller, phone)
    pbx.unbridge(caller)
    pbx.hangup(phone)
    section = pbx.channel(names.name("3101"), number="3101", of=caller)
    pbx.ring(section)
    talk(pbx, caller, section, bridge="bridge-2")
    pbx.hangup(caller, section)
    facts = feed(tracker(), pbx.events)
    assert [fact.leg for fact in facts if fact.what is What.ANSWERED] == [phone.uniqueid, section.uniqueid]
    assert [leg.endpoint for leg in facts[-3].legs] == ["trunk", "3101"]
    balanced(facts)


def test_into_another_bridge_without_a_word_of_leaving_the_first() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    pbx.bridge("bridge-2", phone)
    pbx.bridge("bridge-2", phone)
    assert whats(feed(tracker(), pbx.events))[-2:] == ["LegLeft", "LegJoined"]


def consultation(pbx: Script, names: Numbers) -> tuple[Chan, Chan, Chan, Chan]:
    """A caller talks to 2001, who asks 3101 on a second line."""
    caller, phone = inbound(pbx, names)
    talk(pbx, caller, phone)
    pbx.hold(phone)
    second = pbx.channel(names.name("2001"), number="2001", exten="3101")
    section = pbx.channel(names.name("3101"), number="3101", of=second)
    pbx.ring(section)
    talk(pbx, second, section, bridge="bridge-2")
    return caller, phone, second, section


@pytest.mark.parametrize("last_with_new_id", [True, False])
def test_two_conversations_become_one(last_with_new_id: bool) -> None:
    pbx, names = Script(), Numbers()
    caller, phone, second, section = consultation(pbx, names)
    pbx.unbridge(section)
    section.linkedid = caller.linkedid
    pbx.bridge("bridge-1", section)
    if last_with_new_id:
        second.linkedid = caller.linkedid
    pbx.hangup(second, phone)
    to = tracker()
    facts = feed(to, pbx.events)
    [(conversation, linkedid, legs)] = to.calls()
    assert conversation == conversation_id("pbx1", caller.uniqueid)
    assert linkedid == caller.uniqueid
    assert [leg.endpoint for leg in legs] == ["trunk", "3101"]
    # The consultation goes on in the call that took its legs, and is said to have ended neither now nor later.
    [merged] = [fact for fact in facts if fact.what is What.MERGED]
    assert (merged.conversation, merged.merged) == (conversation, conversation_id("pbx1", second.uniqueid))
    before = len(pbx.events)
    pbx.hangup(caller, section)
    balanced(facts + feed(to, pbx.events[before:]))
    assert to.calls() == []


def test_a_merge_into_a_call_that_nobody_has_heard_of() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    for chan in (caller, phone):
        chan.linkedid = "pbx1-1.1"
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    facts = feed(tracker(), pbx.events)
    assert {fact.conversation for fact in facts[-3:]} == {conversation_id("pbx1", "pbx1-1.1")}
    balanced(facts)


def test_rename() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    pbx.rename(phone, "PJSIP/2002-0000abcd")
    talk(pbx, caller, phone)
    facts = feed(tracker(), pbx.events)
    assert [leg.endpoint for leg in facts[-1].legs] == ["trunk", "2002"]
    assert feed(tracker(), [Message(b"Event: Rename\r\nTimestamp: 1\r\nUniqueid: x\r\nNewname: y")]) == []


def test_an_event_without_a_time_is_an_error_that_says_what_to_do() -> None:
    pbx = Script(timed=False)
    inbound(pbx, Numbers())
    with pytest.raises(MissingTimestampError, match=r"Newchannel without a Timestamp: set timestampevents=yes"):
        tracker().feed(pbx.events[0])


def test_untimed_streams_give_facts_without_a_time() -> None:
    pbx = Script(timed=False)
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    facts = feed(tracker(timed=False), pbx.events)
    assert {fact.at for fact in facts} == {None}
    assert facts[0].public()["at"] is None
    balanced(facts)


@pytest.mark.parametrize("stamp", ["", "abc", "nan", "inf", "1e300", "-1e300"])
def test_a_time_that_is_none(stamp: str) -> None:
    assert event_time(Message(f"Event: X\r\nTimestamp: {stamp}".encode())) is None


def test_events_of_no_channel_bring_nothing() -> None:
    to = tracker()
    for text in ("Event: Newchannel", "Event: Hangup\r\nUniqueid: ", "Event: PeerStatus\r\nUniqueid: 1", "Response: x"):
        assert to.feed(Message(text.encode())) == []


def test_a_dial_end_of_an_originated_channel() -> None:
    """Originate: no caller's channel in the event, and Up is not an answer before somebody else is there."""
    pbx, names = Script(), Numbers()
    phone = pbx.channel(names.name("2001"), number="2001")
    pbx.ring(phone)
    pbx.answer(phone)
    dest = b"Event: DialEnd\r\nTimestamp: 1\r\nDialStatus: ANSWER\r\nDestUniqueid: " + phone.uniqueid.encode()
    assert whats(feed(tracker(), [*pbx.events, Message(dest)])) == ["CallArrived", "CallRinging"]


# --- what a restarted process is told ---------------------------------------------------------------------------------


def test_a_call_found_in_progress_reads_like_one_that_was_followed() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    followed, late = tracker(), tracker()
    feed(followed, pbx.events)
    facts = late.resync(pbx.listed(), NOW)
    assert whats(facts) == ["CallArrived", "LegJoined", "CallAnswered", "LegJoined"]
    assert {fact.at for fact in facts} == {NOW}
    assert late.calls() == followed.calls()
    before = len(pbx.events)
    pbx.hangup(phone, caller)
    rest = feed(late, pbx.events[before:])
    assert rest == feed(followed, pbx.events[before:])
    balanced(facts + rest)


def test_the_order_of_the_list_does_not_matter() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    late = tracker()
    late.resync(list(reversed(pbx.listed())), NOW)
    [(_, _, legs)] = late.calls()
    assert next(leg for leg in legs if leg.originator).dialled == "0664581132"
    assert phone.uniqueid in {leg.uniqueid for leg in legs}


def test_a_resync_again_brings_nothing_new() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    to = tracker()
    feed(to, pbx.events)
    assert to.resync(pbx.listed(), NOW) == []


def test_what_is_not_listed_has_ended() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    to = tracker()
    before = feed(to, pbx.events)
    facts = to.resync([], NOW)
    assert whats(facts) == ["LegLeft", "LegLeft", "CallEnded"]
    balanced(before + facts)
    assert to.calls() == []


def test_events_that_waited_during_a_resync_raise_nobody_from_the_dead() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    to = tracker()
    facts = feed(to, pbx.events)
    waiting = len(pbx.events)
    talk(pbx, caller, phone)
    pbx.hangup(phone, caller)
    facts += to.resync(pbx.listed(), NOW)
    assert feed(to, pbx.events[waiting:]) == []
    balanced(facts)


def test_a_dead_channel_in_a_list_stays_dead() -> None:
    """asterisk#783"""
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    listed = pbx.listed()
    pbx.hangup(caller, phone)
    to = tracker()
    feed(to, pbx.events)
    assert to.resync(listed, NOW) == []
    assert to.calls() == []


def test_a_leg_of_a_call_that_has_ended_is_not_ignored() -> None:
    """The ended conversation ended once; the leg that is alive is a conversation that can be recorded."""
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    pbx.hangup(caller, phone)
    late = pbx.channel(names.name("trunk"), number="0901234567", of=caller)
    pbx.hangup(late)
    facts = feed(tracker(), pbx.events)
    balanced(facts)
    assert len({fact.conversation for fact in facts}) == 2


# --- streams that are not whole ---------------------------------------------------------------------------------------


def day(seed: int) -> list[Message]:
    """A few calls of every kind, with a merge, interleaved as they would be."""
    chance = random.Random(seed)  # noqa: S311
    pbx, names = Script(), Numbers()
    for _ in range(2):
        caller, phone, other = inbound(pbx, names, ("2001", "2002"))
        if chance.random() < 0.7:
            talk(pbx, caller, phone, (other,), bridge=f"b{names.serial}")
            pbx.hold(phone)
        else:
            pbx.hangup(other)
    caller, phone, second, section = consultation(pbx, names)
    section.linkedid = second.linkedid = phone.linkedid
    pbx.unbridge(section)
    pbx.bridge("bridge-1", section)
    while pbx.alive:
        pbx.hangup(chance.choice(pbx.alive))
    return pbx.events


@given(seed=st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_whole_streams_are_balanced(seed: int) -> None:
    to = tracker()
    balanced(feed(to, day(seed)))
    assert to.calls() == []


@given(seed=st.integers(0, 50), data=st.data())
@settings(max_examples=100, deadline=None)
def test_whatever_is_lost_repeated_or_disordered_nothing_raises_and_nothing_ends_twice(
    seed: int, data: st.DataObject
) -> None:
    events = day(seed)
    places = st.integers(0, len(events) - 1)
    for place in sorted(data.draw(st.sets(places, max_size=20)), reverse=True):
        del events[place]
    for place in data.draw(st.lists(places, max_size=8)):
        events.insert(place, events[place % len(events)])
    for here, there in data.draw(st.lists(st.tuples(places, places), max_size=8)):
        here, there = here % len(events), there % len(events)
        events[here], events[there] = events[there], events[here]
    start = data.draw(st.integers(0, len(events)))
    to = tracker()
    facts = feed(to, events[start:]) + feed(to, events[: data.draw(st.integers(0, start))])
    facts += to.resync([], NOW)
    balanced(facts)
    assert to.calls() == []
    for fact in facts:
        json.dumps(fact.public())


_HEADERS = sorted(
    {f"{prefix}{header}" for _, prefix in Tracker.HANDLERS.values() for header in ("Uniqueid", "Linkedid", "Channel")}
    | {"SecondTransfererUniqueid", "TransfereeUniqueid", "TargetUniqueid", "RetrieverUniqueid", "BridgeTechnology"}
    | {"BridgeUniqueid", "ChannelStateDesc", "DialStatus", "CallerIDNum", "Exten", "Newname", "Cause", "DestType"}
    | {"Forward", "Conference", "Queue"}
)
_VALUES = ["1", "2", "3", "", "Up", "Ringing", "ANSWER", "CANCEL", "holding_bridge", "PJSIP/2001-00000001"]
_VALUES += ["PJSIP/trunk-00000001", "Local/1@x-00000001;1", "Local/1@x-00000001;2", "Surrogate/1"]


@given(
    st.lists(
        st.tuples(
            st.sampled_from(sorted(Tracker.HANDLERS)),
            st.dictionaries(st.sampled_from(_HEADERS), st.sampled_from(_VALUES), min_size=3),
        ),
        max_size=60,
    )
)
@settings(max_examples=150, deadline=None)
def test_nonsense_in_asterisks_words(events: list[tuple[str, dict[str, str]]]) -> None:
    to = tracker(timed=False)
    lines = ["\r\n".join([f"Event: {name}", *(f"{key}: {value}" for key, value in headers.items())])
             for name, headers in events]  # fmt: skip
    facts = feed(to, (Message(line.encode()) for line in lines))
    facts += to.resync([], NOW)
    balanced(facts)
    assert to.calls() == []
    for fact in facts:
        json.dumps(fact.public())


def test_a_leave_that_speaks_of_a_bridge_left_long_ago_changes_nothing() -> None:
    pbx, names = Script(), Numbers()
    caller, phone = inbound(pbx, names)
    pbx.bridge("one", caller, phone)
    pbx.unbridge(caller, phone)
    late = pbx.events[-2:]
    pbx.bridge("two", caller, phone)
    to = tracker()
    feed(to, pbx.events)
    assert feed(to, late) == []
    [(_, _, legs)] = to.calls()
    assert {leg.bridge for leg in legs} == {"two"}
