"""Headers of a block: text whatever the phone sent, nothing lost, nothing parsed that nobody asks for."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.framing import Framer
from cti.ami.message import Message, text


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
@pytest.mark.parametrize("name", ["山田太郎", "山田ソ表", "ﾔﾏﾀﾞ", "髙橋", "plain"])
def test_a_japanese_name_in_either_encoding(encoding: str, name: str) -> None:
    raw = b"Event: Newchannel\r\nCallerIDName: " + name.encode(encoding) + b"\r\nUniqueid: 1.0"
    message = Message(raw)
    assert message.get("CallerIDName") == name
    # The second byte of ソ and 表 in CP932 is a backslash: it must not be taken for one.
    assert message.get("Uniqueid") == "1.0"


@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_a_name_cut_in_two_by_the_network_stays_whole(encoding: str) -> None:
    stream = b"Event: X\r\nCallerIDName: " + "山田ソ表".encode(encoding) + b"\r\n\r\n"
    for place in range(len(stream)):
        framer = Framer()
        [block] = framer.feed(stream[:place]) + framer.feed(stream[place:])
        assert Message(block).get("CallerIDName") == "山田ソ表"


@given(st.binary(max_size=200))
def test_no_bytes_raise(raw: bytes) -> None:
    message = Message(raw)
    assert isinstance(message.event, str)
    assert isinstance(repr(message), str)
    assert all(isinstance(name, str) and isinstance(value, str) for name, value in message.items())
    assert isinstance(text(raw), str)


def test_what_is_neither_encoding_is_marked() -> None:
    assert "\ufffd" in text(b"abc\x81")


def test_repeated_headers_keep_all_values_in_order() -> None:
    message = Message(b"Event: Status\r\nVariable: a=1\r\nVARIABLE: b=2\r\nChanVariable(PJSIP/1): c=3\r\nvariable: d:4")
    assert message.all("Variable") == ["a=1", "b=2", "d:4"]
    assert message.get("variable") == "a=1"
    assert message.get("ChanVariable(PJSIP/1)") == "c=3"
    assert list(message.items()) == [
        ("event", "Status"), ("variable", "a=1"), ("variable", "b=2"), ("variable", "d:4"),
        ("chanvariable(pjsip/1)", "c=3"),
    ]  # fmt: skip


def test_an_empty_last_header_is_a_header() -> None:
    [block] = Framer().feed(b"Event: VarSet\r\nVariable: X\r\nValue: \r\n\r\n")
    message = Message(block)
    assert "Value" in message
    assert message.get("Value", "default") == ""
    assert "Missing" not in message
    assert message.get("Missing", "default") == "default"
    assert message.all("Missing") == []


def test_the_banner_before_the_first_response_is_no_header() -> None:
    message = Message(b"Asterisk Call Manager/9.0.0\r\nResponse: Success\r\nActionID: 1")
    assert message.get("Response") == "Success"
    assert message.event == ""


def test_an_event_that_nobody_wants_is_not_parsed() -> None:
    message = Message(b"Event: RTCPSent\r\n" + b"Header: value\r\n" * 100)
    assert message.event == "RTCPSent"
    assert message._headers is None


def test_an_event_whose_name_comes_late() -> None:
    assert Message(b"Privilege: call,all\r\nEvent: Hangup").event == "Hangup"
    assert Message(b"Event: Hangup").event == "Hangup"


HEADER = st.sampled_from([b"Uniqueid", b"UNIQUEID", b"Linkedid", b"Event", b"", b" Uniqueid", b"DestUniqueid"])
VALUE = st.binary(max_size=12) | st.sampled_from([b"Uniqueid: 7", b" x ", b"\r", b"\n"])


@given(st.lists(st.tuples(HEADER, st.sampled_from([b":", b": ", b""]), VALUE), max_size=6))
def test_a_header_that_is_searched_for_is_the_first_that_parsing_finds(lines: list[tuple[bytes, bytes, bytes]]) -> None:
    message = Message(b"\r\n".join(b"".join(line) for line in lines))
    for name in ("uniqueid", "Linkedid", "Event", "DestUniqueid"):
        assert message.get(name, "none") == (message.all(name) or ["none"])[0]
        assert (name in message) == bool(message.all(name))
