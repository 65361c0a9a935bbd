"""A caller's number with line breaks: whatever it says, the event is about the channel that Asterisk meant."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cti.ami.framing import Framer
from cti.ami.hostile import STATED, Joiner, _clean, strict, tidy
from cti.ami.message import Message
from cti.calls.tracker import Tracker
from tests.unit.cti.ami.test_framing import cut, frame
from tests.unit.cti.calls.streams import Numbers, Script, inbound, talk

SNAPSHOT = (
    "Event: Newchannel\r\nPrivilege: call,all\r\nTimestamp: 1795304714.1\r\nSystemName: pbx1\r\n"
    "Channel: PJSIP/trunk-00000001\r\nChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: {number}\r\n"
    "CallerIDName: <unknown>\r\nConnectedLineNum: {other}\r\nConnectedLineName: <unknown>\r\nLanguage: en\r\n"
    "AccountCode: \r\nContext: from-trunk\r\nExten: 0664581132\r\nPriority: 1\r\nUniqueid: pbx1-7.1\r\n"
    "Linkedid: pbx1-7.1\r\n\r\n"
)
NEXT = SNAPSHOT.format(number="1", other="2").replace("Newchannel", "Hangup").replace("4714.1", "4715.123456")
NEXT = NEXT.replace("pbx1-7.1", "pbx1-9.9")
HOSTILE = [
    "0915\r\n\r\n",
    "0912\r\n\r\nEvent: Hangup\r\nTimestamp: 1795304714",
    "0912\r\nUniqueid: pbx1-5.5\r\nLinkedid: pbx1-5.5",
    "0912\r\nUniqueid: pbx1-5.5\r\nLinkedid: pbx1-5.5\r\n\r\n",
    "0912\r\n\r\nEvent: Hangup\r\nUniqueid: pbx1-5.5\r\nLinkedid: pbx1-5.5\r\n\r\n",
    "09\r\n\r\nResponse: Success\r\nActionID: kikitori-1\r\n\r\n",
    "09\r\nCallerIDName: x\r\nConnectedLineNum: y\r\nConnectedLineName: z\r\n\r\n",
]


def events(stream: str, places: list[int]) -> tuple[list[Message], int]:
    joiner = Joiner()
    blocks = frame(Framer(), cut(stream.encode("latin-1", "replace"), places))
    return [Message(whole) for block in blocks if (whole := joiner.feed(block)) is not None], joiner.tampered


def about_the_channel(found: list[Message]) -> None:
    first, second = found
    assert (first.event, first.all("Uniqueid"), first.all("Linkedid")) == ("Newchannel", ["pbx1-7.1"], ["pbx1-7.1"])
    assert (first.get("Timestamp"), first.get("Exten")) == ("1795304714.1", "0664581132")
    assert (second.event, second.get("Uniqueid")) == ("Hangup", "pbx1-9.9")


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("field", ["number", "other"])
def test_what_a_number_says_changes_no_event(field: str, text: str) -> None:
    numbers = {"number": "0901234567", "other": "2001"} | {field: text}
    found, tampered = events(SNAPSHOT.format(**numbers) + NEXT, [])
    about_the_channel(found)
    assert tampered >= 1


@given(
    st.text(st.sampled_from("\r\n: 0aE") | st.characters(max_codepoint=255), max_size=79), st.lists(st.integers(0, 800))
)
def test_nor_does_any_other_of_79_characters(text: str, places: list[int]) -> None:
    found, _ = events(SNAPSHOT.format(number=text, other="2001") + NEXT, places)
    about_the_channel(found)


def test_a_stream_that_nobody_wrote_into_passes_as_it_is() -> None:
    pbx = Script()
    caller, phone = inbound(pbx, Numbers())
    talk(pbx, caller, phone)
    pbx.hangup(caller, phone)
    joiner = Joiner()
    assert [joiner.feed(event.raw) for event in pbx.events] == [event.raw for event in pbx.events]
    assert joiner.tampered == 0


def test_an_older_pbx_is_recognised_by_what_it_leaves_out() -> None:
    whole = SNAPSHOT.format(number="1", other="2").removesuffix("\r\n\r\n").encode()
    assert strict(whole) is True
    assert strict(whole.replace(b"Language: en\r\n", b"")) is False
    assert strict(b"Response: Success") is None


LINE = st.sampled_from(SNAPSHOT.removesuffix("\r\n\r\n").split("\r\n")) | st.sampled_from(
    [
        "Channel: x",
        "DestChannel: x",
        "ChannelStateDesc: Up",
        "Uniqueid: 1\r",
        "CallerIDNum: ChannelStateDesc: x",
        "Exten",
    ]
)


@given(st.lists(st.tuples(st.integers(0, 17), LINE), max_size=3), st.booleans(), st.booleans())
@example([(0, "DestChannel: x")], False, False)
def test_the_quick_look_passes_what_the_long_one_leaves_as_it_is(
    extra: list[tuple[int, str]], twice: bool, cut_short: bool
) -> None:
    lines = SNAPSHOT.removesuffix("\r\n\r\n").split("\r\n")
    if twice:
        state = next(place for place, line in enumerate(lines) if line.startswith("Channel:"))
        lines += ["Dest" + line for line in lines[state:]]
    for place, line in extra:
        lines.insert(place, line)
    block = "\r\n".join(lines[: -1 if cut_short else None]).encode()
    if _clean(block):
        assert tidy(block) == (block, True)
    else:
        assert extra or cut_short


def test_every_event_that_is_read_must_describe_its_channel() -> None:
    """Rename alone does not: it has a check of its own."""
    read = {name.encode() for name in Tracker.HANDLERS} - {b"Rename"}
    assert read | {b"CoreShowChannel", b"MixMonitorStart", b"MixMonitorStop"} == STATED


# Where a phone that names another (302) writes: the name of the Local channel, and what is dialled.
VICTIM = "pbx1-1795304714.9"
FORGED = [
    "1\r\n\r\nEvent: X\r\nZChannelStateDesc: a",
    "1\r\n\r\nEvent: X\r\nDestChannelStateDesc: a",
    "1\r\n\r\nEvent: X\r\nDestChannel: a",
    f"1\r\n\r\nEvent: BridgeLeave\r\nTimestamp: 9\r\nUniqueid: {VICTIM}\r\nX",
    f"1\r\n\r\nEvent: Hangup\r\nTimestamp: 9\r\nUniqueid: {VICTIM}\r\n\r\n",
    f"1\r\n\r\nEvent: Rename\r\nTimestamp: 9\r\nUniqueid: {VICTIM}\r\nNewname: x",
    "1\r\n\r\nEvent: Hangup\r\nPrivilege: call,all\r\nChannel: x",
    "1\r\n\r\nEvent: Hold\r\nPrivilege: call,all\r\nTimestamp: 1795304715.1\r\nChannel: x",
]


@pytest.mark.parametrize("text", FORGED)
@pytest.mark.parametrize("place", ["Channel: ", "DialString: "])
def test_whom_a_called_phone_names_instead_of_itself_forges_no_event(place: str, text: str) -> None:
    assert len(text) <= 79
    whole = SNAPSHOT.format(number="0901234567", other="2001").replace("Newchannel", "DialBegin")
    own = "PJSIP/trunk-00000001" if place == "Channel: " else "2001"
    whole = whole.removesuffix("\r\n\r\n") + "\r\nDialString: 2001\r\n\r\n"
    found, tampered = events(whole.replace(place + own, f"{place}Local/{text}@phones-00000001;1") + NEXT, [])
    assert tampered >= 1 or "Event: X" in text, "an event that nobody reads may stand"
    read = [message for message in found if message.event in Tracker.HANDLERS]
    assert {message.get("Uniqueid") for message in read} == {"pbx1-7.1", "pbx1-9.9"}
    assert (read[-1].event, read[-1].get("Uniqueid")) == ("Hangup", "pbx1-9.9")


@given(st.text(st.sampled_from("\r\n: 0aE") | st.characters(max_codepoint=255), max_size=79))
def test_nor_does_any_other_name(text: str) -> None:
    whole = SNAPSHOT.format(number="0901234567", other="2001").replace("PJSIP/trunk", f"Local/{text}@phones")
    found, _ = events(whole + NEXT, [])
    assert {message.get("Uniqueid") for message in found if message.event in Tracker.HANDLERS} <= {
        "pbx1-7.1",
        "pbx1-9.9",
    }
    assert found[-1].get("Uniqueid") == "pbx1-9.9"


def test_an_event_of_the_dialplan_that_is_not_ours_may_be_of_no_channel() -> None:
    joiner = Joiner()
    probe = b"Event: UserEvent\r\nPrivilege: user,all\r\nTimestamp: 1795304714.120000\r\nUserEvent: Probe\r\nNumber: 1"
    assert joiner.feed(probe) == probe
    assert strict(probe) is None
    forged = probe.replace(b"Probe", b"Kikitori") + b"\r\nUniqueid: pbx1-7.1\r\nSaid: route/closed/A-11/other/gate/"
    assert joiner.feed(forged) is None, "what is said of a call describes its channel"
    assert joiner.tampered == 1
