"""Streams of real PBXs, made with real telephones -> what happened, by hand.

chan_sip    Asterisk 16.28, another dialplan, no Timestamp headers; `trunk` is the outside, 201 to 203 are phones
pjsip       Asterisk 22.10, ours, as tests/asterisk/test_facts.py makes them; 2001 to 2301 are phones, 3101 is a section

A story is what the telephones did, in the words of the facts (`A`, `B` are conversations; legs that join and leave
bridges are left out). VarSet, Newexten, RTCP and TestEvent are not in the files.
"""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.ami.framing import Framer
from cti.ami.message import Message
from cti.calls.model import Fact, What
from cti.calls.tracker import Tracker
from cti.replay import facts_of
from tests.story import balanced, story

HERE = Path(__file__).parent
TALK = "A Arrived trunk; A Ringing 201; A Answered 201"
CONSULT = f"{TALK}; A Held 201; B Arrived 201; B Ringing 202"
CHAN_SIP = {
    # one phone is called
    "simple": f"{TALK}; A Ended completed",
    "callee-hangs": f"{TALK}; A Ended completed",
    "out": "A Arrived 201; A Ringing trunk; A Answered trunk; A Ended completed",
    "internal": "A Arrived 201; A Ringing 202; A Answered 202; A Ended completed",
    "busy": "A Arrived trunk; A Ended busy",
    "reject": "A Arrived trunk; A Ended rejected",
    "absent": "A Arrived trunk; A Ended no-answer",
    "noanswer": "A Arrived trunk; A Ringing 201; A Ended no-answer",
    "cancelled": "A Arrived trunk; A Ringing 201; A Ended cancelled",
    "hold": f"{TALK}; A Held 201; A Resumed 201; A Ended completed",
    # several
    "group": "A Arrived trunk; A Ringing 201; A Ringing 202; A Ringing 203; A Answered 202; A Ended completed",
    "overflow": "A Arrived trunk; A Ringing 203; A Ringing 202; A Answered 202; A Ended completed",
    "local-group": "A Arrived trunk; A Ringing 201; A Ringing 202; A Answered 202; A Ended completed",
    "queue": (
        "A Arrived trunk; A QueueEntered trunk; A Ringing 201; A Ringing 202; A Ringing 203; A Answered 202; "
        "A QueueLeft trunk; A Ended completed"
    ),
    "local-queue": (
        "A Arrived trunk; A QueueEntered trunk; A Ringing 202; A Ringing 201; A Answered 201; A QueueLeft trunk; "
        "A Ended completed"
    ),
    "queue-abandon": (
        "A Arrived trunk; A QueueEntered trunk; A Ringing 201; A Ringing 202; A Ringing 203; A Abandoned trunk; "
        "A QueueLeft trunk; A Ended cancelled"
    ),
    "pickup": (
        "A Arrived trunk; A Ringing 201; B Arrived 202; A Merged 202 B; A Transferred 202 pickup; A Answered 202; "
        "A Ended completed"
    ),
    "forward302": "A Arrived trunk; A Transferred 201 forward; A Ringing 202; A Ended cancelled",
    # transfers
    "blind": f"{TALK}; A Transferred 201 blind; A Ringing 202; A Answered 202; A Ended completed",
    "ami-blind": f"{TALK}; A Transferred 201 blind; A Ringing 202; A Answered 202; A Ended completed",
    "blind-busy": f"{TALK}; A Transferred 201 blind; A Ended completed",
    "blind-noanswer": f"{TALK}; A Transferred 201 blind; A Ringing 202; A Ended completed",
    "attended": (
        f"{CONSULT}; B Answered 202; A Resumed 201; A Merged 201 B; A Transferred 201 attended; A Ended completed"
    ),
    "attended-caller-hangs": (
        f"{CONSULT}; B Answered 202; A Resumed 201; A Merged 201 B; A Transferred 201 attended; A Ended completed"
    ),
    "blonde": f"{CONSULT}; A Resumed 201; A Merged 201 B; A Transferred 201 blonde; A Answered 202; A Ended completed",
    "blonde-noanswer": f"{CONSULT}; A Resumed 201; A Merged 201 B; A Transferred 201 blonde; A Ended completed",
    "consult-busy": f"{TALK}; A Held 201; B Arrived 201; B Ended busy; A Resumed 201; A Ended completed",
    "consult-returned": f"{CONSULT}; B Answered 202; B Ended completed; A Resumed 201; A Ended completed",
    "atxfer-attended": (
        f"{TALK}; A Held 201; A Ringing 202; A Answered 202; A Transferred 201 attended; A Ended completed"
    ),
    "atxfer-blonde": f"{TALK}; A Held 201; A Ringing 202; A Transferred 201 blonde; A Answered 202; A Ended completed",
    "atxfer-refused": f"{TALK}; A Held 201; A Ended completed",
    # the PBX acts
    "redirect": f"{TALK}; A Ringing 202; A Answered 202; A Ended completed",
    "park": f"{TALK}; A Parked trunk; B Arrived 202; A Merged 202 B; A Unparked trunk; A Ended completed",
    "park-blind-giveup": f"{TALK}; A Transferred 201 blind; A Parked trunk; A Unparked trunk; A Ended completed",
    "originate": "A Arrived 201; A Ringing 201; A Ringing trunk; A Answered trunk; A Ended completed",
    "originate-local": "A Arrived 201; A Ringing 201; A Ringing trunk; A Answered trunk; A Ended completed",
    "conference": (
        "A Arrived 201; B Arrived 202; C Arrived 203; B ConferenceJoined 202; B Merged 203 C; B ConferenceJoined 203; "
        "A Merged 202 B; A ConferenceJoined 201; A ConferenceLeft 201; A ConferenceLeft 202; A ConferenceLeft 203; "
        "A Ended completed"
    ),
}


OURS = "A Arrived trunk; A Ringing 2201; A Answered 2201"
OTHER_LINE = f"{OURS}; A Held 2201; B Arrived 2201; B Ringing 3101"
PJSIP = {
    "attended": (
        f"{OTHER_LINE}; B Answered 3101; A Resumed 2201; A Merged 2201 B; A Transferred 2201 attended; "
        "A Ended completed"
    ),
    "blonde": (
        f"{OTHER_LINE}; A Resumed 2201; A Merged 2201 B; A Transferred 2201 blonde; A Answered 3101; A Ended completed"
    ),
    "click-to-dial": "A Arrived 2201; A Ringing 2201; A Ringing trunk; A Answered trunk; A Ended completed",
    "conference": (
        f"{OURS}; A ConferenceJoined 2201; A ConferenceJoined trunk; B Arrived 3101; A Merged 3101 B; "
        "A ConferenceJoined 3101; A ConferenceLeft 3101; A ConferenceLeft trunk; A ConferenceLeft 2201; "
        "A Ended completed"
    ),
    "declined": "A Arrived trunk; A Ended rejected",
    "forward": "A Arrived trunk; A Transferred 2201 forward; A Ringing 3101; A Answered 3101; A Ended completed",
    "parked": (
        f"{OURS}; A Transferred 2201 blind; A Parked trunk; B Arrived 2301; A Merged 2301 B; A Unparked trunk; "
        "A Ended completed"
    ),
    "pickup": (
        "A Arrived trunk; A Ringing 2201; B Arrived 2301; A Merged 2301 B; A Transferred 2301 pickup; A Answered 2301; "
        "A Ended completed"
    ),
    "queue-abandon": (
        "A Arrived trunk; A QueueEntered trunk; A Ringing 2003; A Ringing 2002; A Ringing 2001; A Abandoned trunk; "
        "A QueueLeft trunk; A Ended cancelled"
    ),
    "two-parked": (
        f"{OURS}; A Transferred 2201 blind; A Parked trunk; B Arrived trunk; B Ringing 2101; B Answered 2101; "
        "B Transferred 2101 blind; B Parked trunk; A Unparked trunk; B Unparked trunk; A Ended completed; "
        "B Ended completed"
    ),
}
STORIES = {f"chan_sip/{name}": told for name, told in CHAN_SIP.items()}
STORIES |= {f"pjsip/{name}": told for name, told in PJSIP.items()}
# A phone's refusal alone tells that it was more than busy: without it, another word is right.
TOLD_BY_ONE_EVENT = {"chan_sip/reject", "pjsip/declined"}


def blocks(name: str) -> list[Message]:
    return [Message(block) for block in Framer().feed((HERE / f"{name}.ami").read_bytes())]


def understood(messages: list[Message]) -> list[Fact]:
    tracker = Tracker(pbx="hosted", plan=None, timed=bool(messages) and "Timestamp" in messages[0])
    return [fact for message in messages for fact in tracker.feed(message)]


@pytest.mark.parametrize("name", STORIES)
def test_the_command_reads_them_alike(name: str) -> None:
    """It looks for lines that somebody wrote into an event besides, and finds none."""
    timed = name.startswith("pjsip")
    facts = list(facts_of(HERE / f"{name}.ami", Tracker(pbx="hosted", plan=None, timed=timed)))
    assert facts == understood(blocks(name))


def test_a_stream_of_an_older_form_is_read_as_it_is(tmp_path: Path) -> None:
    """Headers that stand in another order, or are left out where they are empty."""
    raw = (HERE / "chan_sip/attended.ami").read_bytes()
    older = re.sub(rb"(?m)^(?:Language|Privilege|AccountCode|\w*Priority): [^\r\n]*\r\n", b"", raw)
    (tmp_path / "older.ami").write_bytes(older)
    facts = list(facts_of(tmp_path / "older.ami", Tracker(pbx="hosted", plan=None, timed=False)))
    assert story(facts) == STORIES["chan_sip/attended"]


def test_a_stream_that_lost_its_carriage_returns(tmp_path: Path) -> None:
    raw = (HERE / "chan_sip/attended.ami").read_bytes()
    (tmp_path / "bare.ami").write_bytes(raw.replace(b"\r", b""))
    facts = list(facts_of(tmp_path / "bare.ami", Tracker(pbx="hosted", plan=None, timed=False)))
    assert story(facts) == STORIES["chan_sip/attended"]


def test_all_of_them_are_here() -> None:
    found = {f"{path.parent.name}/{path.stem}" for path in HERE.glob("*/*.ami")}
    assert found == STORIES.keys()


@pytest.mark.parametrize("name", STORIES)
def test_what_the_telephones_did_is_what_was_understood(name: str) -> None:
    assert story(understood(blocks(name))) == STORIES[name]


@pytest.mark.parametrize("name", STORIES)
def test_only_legs_that_somebody_is_behind_are_shown(name: str) -> None:
    shown = {leg.endpoint for fact in understood(blocks(name)) for leg in fact.legs}
    assert all(endpoint == "trunk" or (endpoint or "").isdigit() for endpoint in shown)


@pytest.mark.parametrize("name", STORIES)
def test_a_stream_cut_off_at_its_front_says_less_and_nothing_else(name: str) -> None:
    """From every place on: how a call ended is what it was, or not known; so is how it was transferred."""
    messages = blocks(name)
    whole = understood(messages)
    ends = {fact.linkedid: fact.disposition for fact in whole if fact.what is What.ENDED}
    kinds = {fact.leg: fact.kind for fact in whole if fact.kind}
    for place in range(1, len(messages)):
        for fact in understood(messages[place:]):
            if fact.what is What.TRANSFERRED:
                assert fact.kind in (kinds[fact.leg], None), place
            if fact.what is What.ENDED and fact.linkedid in ends and name not in TOLD_BY_ONE_EVENT:
                assert fact.disposition in (ends[fact.linkedid], None), place


@pytest.mark.parametrize("name", STORIES)
def test_a_stream_cut_off_at_its_end_says_the_same_up_to_there(name: str) -> None:
    messages = blocks(name)
    whole = understood(messages)
    for place in range(len(messages)):
        facts = understood(messages[:place])
        assert facts == whole[: len(facts)]


@pytest.mark.parametrize("name", STORIES)
def test_every_conversation_arrives_and_ends_or_goes_on_in_another(name: str) -> None:
    facts = understood(blocks(name))
    assert facts
    balanced(facts)


@pytest.mark.parametrize("name", STORIES)
@given(data=st.data())
@settings(max_examples=5, deadline=None)
def test_a_stream_that_lost_repeated_or_disordered_some_is_understood_as_far_as_it_can_be(
    name: str, data: st.DataObject
) -> None:
    messages = blocks(name)
    places = st.integers(0, len(messages) - 1)
    for place in sorted(data.draw(st.sets(places, max_size=6)), reverse=True):
        del messages[place]
    for place in data.draw(st.lists(places, max_size=6)):
        messages.insert(place, messages[place % len(messages)])
    for place in data.draw(st.lists(places, max_size=6)):
        here, there = place % len(messages), (place + data.draw(st.integers(1, 3))) % len(messages)
        messages[here], messages[there] = messages[there], messages[here]
    tracker = Tracker(pbx="hosted", plan=None, timed=False)
    facts = [fact for message in messages for fact in tracker.feed(message)]
    facts += tracker.resync([], datetime(2026, 11, 26, tzinfo=UTC))
    assert tracker.calls() == []
    balanced(facts)
