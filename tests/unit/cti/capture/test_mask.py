"""What leaves a capture: no secret, and where it is asked for no number and no name; what a replay needs stays."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.message import Message
from cti.calls.tracker import Tracker
from cti.capture.mask import STARS, Mask
from cti.capture.pseudonym import Pseudonyms
from cti.cli.capture import ours
from cti.replay import facts_of
from cti.visit import Pieces
from policies.load import Policies, shipped

PLAN = Policies(shipped()).plan
OURS = ours(PLAN)
REPLAYS = sorted((Path(__file__).parents[3] / "replays").glob("*.ami"))
KEY = b"k" * 32


def secrets_only(*known: str) -> Mask:
    return Mask(known=known, pseudonyms=None)


def numbers(key: bytes = KEY) -> Mask:
    return Mask(known=(), pseudonyms=Pseudonyms(key, OURS), stays=OURS)


def masked(stream: bytes, mask: Mask) -> bytes:
    return b"".join(mask.piece(piece) for piece in Pieces().feed(stream))


# --- secrets ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("block", "secret"),
    [
        (b"Event: X\r\nSecret: hunter22", b"hunter22"),
        (b"Event: X\r\nSIPPassword: hunter22", b"hunter22"),
        (b"Event: X\r\nAuthToken: hunter22", b"hunter22"),
        (b"Event: VarSet\r\nVariable: DB_PASSWORD\r\nValue: hunter22", b"hunter22"),
        (b"Event: VarSet\r\nVariable: CALLER_PIN\r\nValue: 4711", b"4711"),
        (b"Event: Newexten\r\nChanVariable: API_TOKEN=hunter22", b"hunter22"),
        (b"Event: Newexten\r\nChanVariable(PJSIP/2001-00000001): SECRET=a=hunter22", b"hunter22"),
        (b"Event: Newexten\r\nApplication: Set\r\nAppData: SECRET=hunter22", b"hunter22"),
        (b"Event: Newexten\r\nApplication: Authenticate\r\nAppData: 4711", b"4711"),
        (b"Event: Newexten\r\nApplication: Dial\r\nAppData: PJSIP/trunk/sip:me:hunter22@192.0.2.1", b"hunter22"),
        (b"Event: DTMFEnd\r\nDigit: 7\r\nDirection: Received", b"7"),
        (b"Event: ChallengeResponseFailed\r\nChallenge: 99\r\nResponse: ab12\r\nExpectedResponse: ab13", b"ab1"),
        (b"Event: UserEvent\r\nNote: the line is hunter22 today", b"hunter22"),
    ],
)
def test_a_secret_is_starred_and_nothing_else(block: bytes, secret: bytes) -> None:
    result = secrets_only("hunter22").block(block)
    assert secret not in result
    assert STARS in result
    names = [line.partition(b":")[0] for line in block.split(b"\r\n")]
    assert [line.partition(b":")[0] for line in result.split(b"\r\n")] == names
    assert result.split(b"\r\n")[0] == block.split(b"\r\n")[0]


def test_a_header_without_a_value_keeps_none() -> None:
    assert secrets_only().block(b"Event: X\r\nAuth: \r\nAppData: ") == b"Event: X\r\nAuth: \r\nAppData: "


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_where_there_is_no_secret_the_bytes_are_as_they_came(path: Path) -> None:
    assert masked(path.read_bytes(), secrets_only("hunter22")) == path.read_bytes()


# --- numbers ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", REPLAYS, ids=lambda path: path.stem)
def test_a_masked_stream_replays_to_the_same_facts(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / path.name
    copy.write_bytes(masked(path.read_bytes(), numbers()))
    plain, hidden = (list(facts_of(each, Tracker(pbx="pbx1", plan=PLAN))) for each in (path, copy))
    assert [(fact.what, fact.at, fact.leg, fact.disposition) for fact in hidden] == [
        (fact.what, fact.at, fact.leg, fact.disposition) for fact in plain
    ]
    for before, after in zip(plain, hidden, strict=True):
        assert [leg.designated for leg in after.legs] == [leg.designated for leg in before.legs]
        assert [leg.channel for leg in after.legs] == [leg.channel for leg in before.legs]
        for was, now in zip(before.legs, after.legs, strict=True):
            own = was.number is None or was.number in OURS
            assert (now.number == was.number) == own, was.number


OUTSIDE = st.from_regex(r"\A(\+81|0)[1-9][0-9]{7,9}\Z").filter(lambda number: number.replace("+81", "0") not in OURS)
# Every place where a number was seen in events of Asterisk 22, and some where a caller could put one.
PLACES = (
    "CallerIDNum: {0}", "ConnectedLineNum: {0}", "DestCallerIDNum: {0}", "Exten: {0}", "DestExten: {0}",
    "DialString: {0}@trunk", "Channel: PJSIP/{0}-00000013", "Channel: Local/{0}@phones-0000000a;1",
    "Newname: AsyncGoto/PJSIP/{0}-00000013", "AppData: PJSIP/{0}@trunk,,b(kikitori-out^s^1)", "Value: {0}",
    "Variable: KIKITORI_DIALLED={0}", "ChanVariable(PJSIP/{0}-00000013): X={0}", "AccountCode: {0}",
    'CallerID: "{0}" <{0}>', "CallerIDName: {0}", "Uniqueid: {0}", "Timestamp: {0}", "SystemName: {0}", "Cause: {0}",
    "URI: sip:{0}@192.0.2.1:5060", "Contact: <sip:{0}@[2001:db8::1]:5060;user=phone>", "Duration: {0}", "{0}",
    "{0}: x", "X{0}Y: x", "Value: tel:{0};ext=1", "Value: /spool/{0}/am-{0}-r.sln", "Value: {1}", "Value: {2}",
    "AppData: 2001&{0}&{1}", "Value: 192.0.2.{0}", "Value: {0}.5", "Value: -{0}-",
)  # fmt: skip


def written(number: str) -> tuple[str, str, str]:
    area, exchange, last = number[:-8], number[-8:-4], number[-4:]
    return number, f"{area}-{exchange}-{last}", f"{area} ({exchange}) {last}"


@given(st.binary(min_size=16, max_size=16), st.lists(st.tuples(OUTSIDE, st.sampled_from(PLACES)), min_size=1))
def test_no_masked_numbers_digits_are_left(key: bytes, told: list[tuple[str, str]]) -> None:
    mask = numbers(key)
    lines = ["Event: Newchannel", "Privilege: call,all", "Timestamp: 1795301119.457270"]
    lines += [place.format(*written(number)) for number, place in told]
    result = mask.block("\r\n".join(lines).encode())
    for number, _place in told:
        assert number.removeprefix("+81").removeprefix("0").encode() not in result, number
        assert not [form for form in written(number) if form.encode() in result]
    assert result.count(b"\r\n") == len(lines) - 1
    assert b"Timestamp: 1795301119.457270" in result


@given(st.binary(min_size=16, max_size=16), OUTSIDE)
def test_the_same_number_is_the_same_pseudonym_wherever_it_stands(key: bytes, number: str) -> None:
    mask = numbers(key)
    one = Message(mask.block(f"Event: A\r\nCallerIDNum: {number}".encode())).get("CallerIDNum")
    assert len(one) == len(number)
    other = mask.block(f"Event: B\r\nChannel: Local/{number}@phones-0000000a;1\r\nValue: sip:{number}@pbx".encode())
    assert other == f"Event: B\r\nChannel: Local/{one}@phones-0000000a;1\r\nValue: sip:{one}@pbx".encode()
    hyphens = mask.block(f"Value: {number[:-8]}-{number[-8:-4]}-{number[-4:]}".encode())
    assert hyphens == f"Value: {one[:-8]}-{one[-8:-4]}-{one[-4:]}".encode()


@pytest.mark.parametrize(
    "line",
    [
        b"Timestamp: 1795301119.457270", b"Uniqueid: pbx1-1795301119.31", b"Channel: PJSIP/trunk-00000013",
        b"BridgeUniqueid: 6f0c2f6e-5d0b-4a8e-9d3c-616263646566", b"Channel: Local/2001@phones-0000000a;2",
        b"Channel: AsyncGoto/PJSIP/2001-00000014<ZOMBIE>", b"Exten: 0664581132", b"Value: +81664581132",
        b"DialString: 2001&2002", b"Contact: 2001/sip:2001@127.0.0.1:12001", b"Exten: 110", b"Exten: s", b"Priority: 1",
        b"Duration: 00:01:05", b"Uptime: 86400", b"ListItems: 1024", b"CallerIDNum: <unknown>", b"CallerIDNum: ",
        b"CallerIDName: <unknown>", b"MemberName: PJSIP/2001", b"AppData: br(/spool/fb-pbx1-1795301119.31-r.sln)",
        b"CallerIDNum: anonymous", b"Queue: daihyo", b'CallerID: "2001" <2001>',
    ],
)  # fmt: skip
def test_what_a_replay_needs_stays(line: bytes) -> None:
    assert numbers().block(b"Event: X\r\n" + line) == b"Event: X\r\n" + line


# --- names ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["山田太郎", "ﾔﾏﾀﾞ", "表示名ソ", "Yamada Tarō", '"quoted"', "０３１２３４５６７８"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_a_name_is_another_one_wherever_it_stands_later(name: str, encoding: str) -> None:
    try:
        told = name.encode(encoding)
    except UnicodeEncodeError:  # ō is not in CP932
        told = name.replace("ō", "o").encode(encoding)
    mask = numbers()
    first = mask.block(b"Event: Newchannel\r\nCallerIDName: " + told + b"\r\nLanguage: ja")
    assert re.fullmatch(rb"Event: Newchannel\r\nCallerIDName: name-[a-p]{8}\r\nLanguage: ja", first)
    hidden = first.split(b"\r\n")[1].removeprefix(b"CallerIDName: ")
    assert mask.block(b"Event: VarSet\r\nVariable: X\r\nValue: from " + told) == (
        b"Event: VarSet\r\nVariable: X\r\nValue: from " + hidden
    )
    assert mask.block(b"DestConnectedLineName: " + told) == b"DestConnectedLineName: " + hidden


def test_a_name_that_is_a_word_of_asterisks_changes_no_event() -> None:
    mask = numbers()
    mask.block(b"Event: Newchannel\r\nCallerIDName: Hangup")
    assert mask.block(b"Event: Hangup\r\nChannel: PJSIP/2001-00000001") == (
        b"Event: Hangup\r\nChannel: PJSIP/2001-00000001"
    )


@pytest.mark.parametrize("value", ["電話は０９０１２３４５６７です", "０３－１２３４－５６７８"])
@pytest.mark.parametrize("encoding", ["utf-8", "cp932"])
def test_digits_of_a_japanese_keyboard_are_starred(value: str, encoding: str) -> None:
    result = numbers().block(b"Event: VarSet\r\nVariable: X\r\nValue: " + value.encode(encoding))
    left = result.rpartition(b"Value: ")[2].decode(encoding)
    assert not re.search("[０-９]{4}", left)
    assert "****" in left


def test_a_callers_number_made_of_letters_is_a_name() -> None:
    assert re.fullmatch(rb"CallerIDNum: name-[a-p]{8}", numbers().block(b"CallerIDNum: yamada"))


def test_the_ends_of_lines_stay_as_they_came() -> None:
    stream = b"\r\nEvent: A\r\nCallerIDNum: 0901234567\r\n\r\n\r\nEvent: B\r\nX: 1\r\n\n"
    assert re.sub(rb"[0-9]{10}", b"0901234567", masked(stream, numbers())) == stream
