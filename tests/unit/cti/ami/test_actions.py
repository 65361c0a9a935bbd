"""One action is one action: whatever a value holds, it cannot become a second one."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.actions import HEADER_LIMIT, LINE_LIMIT, encode
from cti.ami.errors import UnsafeActionError
from cti.ami.framing import Framer
from cti.ami.message import Message


def test_an_action_as_bytes() -> None:
    data = encode({"Channel": "PJSIP/1", "Action": "Setvar", "Variable": ["a=1", "b=2"], "Timeout": 5}, "id-1")
    assert data == (
        b"Action: Setvar\r\nActionID: id-1\r\nChannel: PJSIP/1\r\n"
        b"Variable: a=1\r\nVariable: b=2\r\nTimeout: 5\r\n\r\n"
    )  # fmt: skip


@pytest.mark.parametrize("break_", ["\r", "\n", "\0", "\r\n", "\r\n\r\nAction: Originate"])
@pytest.mark.parametrize("where", ["value", "name", "list", "action"])
def test_a_line_break_is_refused_wherever_it_stands(break_: str, where: str) -> None:
    actions: dict[str, dict[str, str | list[str]]] = {
        "value": {"Action": "Setvar", "Value": f"x{break_}y"},
        "name": {"Action": "Setvar", f"Val{break_}ue": "x"},
        "list": {"Action": "Setvar", "Variable": ["fine", f"x{break_}"]},
        "action": {"Action": f"Ping{break_}"},
    }
    with pytest.raises(UnsafeActionError, match="line break or a NUL"):
        encode(actions[where], "1")


def test_an_action_id_cannot_break_out_either() -> None:
    with pytest.raises(UnsafeActionError, match="ActionID"):
        encode({"Action": "Ping"}, "1\r\nAction: Originate")


@given(st.dictionaries(st.text(min_size=1, max_size=10), st.text(max_size=40), max_size=5))
def test_whatever_passes_is_read_as_one_action(headers: dict[str, str]) -> None:
    try:
        data = encode({"Action": "Probe"} | headers, "7")
    except UnsafeActionError:
        return
    [block] = Framer().feed(data)
    assert len(block.split(b"\r\n")) == len({"Action": "Probe"} | headers) + 1
    assert Message(block).get("ActionID") == "7" or any(name.strip().lower() == "actionid" for name in headers)


def test_a_line_as_long_as_asterisk_reads_passes_and_one_byte_more_does_not() -> None:
    room = LINE_LIMIT - len("Value: ")
    encode({"Action": "Setvar", "Value": "x" * room}, "1")
    with pytest.raises(UnsafeActionError, match=r"'Value' has 1001 bytes; at most 1000"):
        encode({"Action": "Setvar", "Value": "x" * (room + 1)}, "1")
    with pytest.raises(UnsafeActionError, match="bytes"):
        encode({"Action": "Setvar", "Value": "山" * 334}, "1")


def test_too_many_headers() -> None:
    encode({"Action": "Setvar", "Variable": ["a=1"] * (HEADER_LIMIT - 2)}, "1")
    with pytest.raises(UnsafeActionError, match="129 headers; Asterisk reads 128"):
        encode({"Action": "Setvar", "Variable": ["a=1"] * (HEADER_LIMIT - 1)}, "1")


def test_what_is_no_text_is_refused_by_name() -> None:
    with pytest.raises(UnsafeActionError, match="not text"):
        encode({"Action": "Setvar", "Value": "\ud800"}, "1")
