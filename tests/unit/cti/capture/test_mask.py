"""What leaves a capture: no secret, and where it is asked for no number and no name; what a replay needs stays."""

import re
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.ami.message import Message
from cti.calls.tracker import Tracker
from cti.capture.mask import Mask
from cti.capture.names import MOST, Names
from cti.capture.pseudonym import Pseudonyms
from cti.capture.secret import STARS
from cti.cli.capture import ours
from cti.replay import facts_of
from cti.visit import Pieces
from policies.load import Policies, shipped

pytestmark = pytest.mark.thorough

PLAN = Policies(shipped()).plan
OURS = ours(PLAN)
REPLAYS = sorted((Path(__file__).parents[3] / "replays").glob("*.ami"))
KEY = b"k" * 32
SIGNS = ("_", "/", ",", "%2d", "%2D", "%20", "\u2010", "\u2212", "\u00a0", "ー", "－", "・")
LETTERS = str.maketrans("0123456789", "abcdefghij")


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
        (b"Event: CoreShowChannel\r\nApplication: Authenticate\r\nApplicationData: 4711", b"4711"),
        (b"Event: CoreShowChannel\r\nApplication: SendDTMF\r\nApplicationData: 4711", b"4711"),
        (b"Event: CoreShowChannel\r\nApplication: VMAuthenticate\r\nApplicationData: 4711@x", b"4711"),
        (b"Event: CoreShowChannel\r\nApplication: DISA\r\nApplicationData: 4711,in", b"4711"),
        (b"Event: InvalidPassword\r\nReceivedHash: 1f3870be274f", b"1f3870be274f"),
        *(
            (b"Event: VarSet\r\nVariable: " + name + b"\r\nValue: 4711", b"4711")
            for name in (b"PASS", b"DB_PASS", b"PASSPHRASE", b"PASSCODE", b"PINCODE", b"USERPIN", b"PWD", b"__pinCode")
        ),
        *(
            (b"Event: Newexten\r\nApplication: Set\r\nAppData: " + told, b"ter")
            for told in (
                b"API_KEY=ter",
                b"AUTH=ter",
                b"CREDENTIAL=ter",
                b"SECRET=hun,ter",
                b"SECRET = ter",
                b"PASS=a|ter",
                b"HASH(cfg,password)=hun&ter",
                b'BODY={"user": "x", "password": "hun", "pin": "ter"}',
                b"X=1,DB_PASS=ter",
                b"X=https://me:hunter@host/",
                b"X=postgresql://me:hun@ter@host/db",
                b"X=https://a.b/c sips:me:ter@host",
                b"X=<ldap://me:ter@host>",
            )
        ),
        (b"Event: Newexten\r\nApplication: Dial\r\nAppData: PJSIP/x,20,gD(4711#:12)t", b"4711"),
        (b"Event: Newexten\r\nApplication: ExecIf\r\nAppData: 1?Dial(PJSIP/x,20,D(4711#))", b"4711"),
        (b"Event: Newexten\r\nApplication: ExecIf\r\nAppData: 1?Authenticate(4711)", b"4711"),
        (b"Event: AGIExecEnd\r\nCommand: GET DATA beep\r\nResultCode: 200\r\nResult: 4711", b"4711"),
        (b"Event: AsyncAGIExec\r\nResult: 200%20result%3D4711%0A", b"4711"),
        (b"Event: AGIExecStart\r\nCommand: EXEC SendDTMF 4711", b"4711"),
        (b"Event: AGIExecStart\r\nCommand: SET VARIABLE PIN 4711", b"4711"),
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


@pytest.mark.parametrize("application", ["Read", "ReadExten"])
def test_what_is_typed_into_a_variable_is_starred_where_it_is_told(application: str) -> None:
    mask = secrets_only()
    before = b"Event: VarSet\r\nVariable: kundennummer\r\nValue: 4711"
    assert mask.block(before) == before, "nobody has typed it yet"
    mask.block(f"Event: Newexten\r\nApplication: {application}\r\nAppData: Kundennummer,beep,8".encode())
    assert mask.block(before) == before.replace(b"4711", STARS)
    other = b"Event: VarSet\r\nVariable: OTHER\r\nValue: 4711"
    assert mask.block(other) == other
    told = b"Event: Newexten\r\nChanVariable(PJSIP/2001-00000001): KUNDENNUMMER="
    assert mask.block(told + b"4711") == told + STARS


@pytest.mark.parametrize(
    "line",
    [
        b"AppData: CALLERID(num)=0901234567", b"Contact: 2001/sip:2001@127.0.0.1:12001", b"Ping: Pong",
        b"AppData: PJSIP/2001/sip:2001@192.0.2.1:5060&PJSIP/2002/sip:2002@192.0.2.2:5060,20", b"Result: Success",
        b"AppData: X=https://192.0.2.1:8080/ab", b"AppData: SECRET= ",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays(line: bytes) -> None:
    assert secrets_only().block(b"Event: AGIExecEnd\r\n" + line) == b"Event: AGIExecEnd\r\n" + line


@pytest.mark.parametrize(
    "value",
    [
        b"A" * 40_000 + b"=", b"pin" * 40_000 + b"=", b"a=" * 40_000, b"(" * 40_000 + b"=", b"secret" * 20_000,
        b"sip:" * 40_000 + b"@", b"@" + b"sip:a" * 40_000, b"a://" * 40_000 + b"@", b"D(" * 40_000 + b"dial",
        b"read" * 40_000 + b"(", b'"' * 40_000 + b"<", b" " * 40_000 + b"<", b"1 " * 40_000, b"1,000" * 40_000,
        b"1.1.1." * 40_000, b"a/" * 40_000, b"-0000000" * 40_000, b"+" * 40_000, b"<" * 40_000,
    ],
)  # fmt: skip
@pytest.mark.parametrize("header", ["Value", "AppData", "Command", "Channel", "CallerID", "Contact"])
def test_a_long_value_costs_no_more_than_its_length(value: bytes, header: str) -> None:
    # 0.02 s for the slowest of them; what went with the square of the length took 31 s
    begun = time.process_time()
    numbers().block(b"Event: Newexten\r\nApplication: Dial\r\n" + header.encode() + b": " + value)
    assert time.process_time() - begun < 5


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
    "AppData: 2001&{0}&{1}", "ApplicationData: PJSIP/{0},20", "Value: {3}", "Value: {4}", "Value: tel/{5}",
    "Result: {1}", "Value: {6}", "AppData: PJSIP/2001,20,{7}", "Value: 192.0.2.{0}", "Value: {0}.5", "Value: -{0}-",
)  # fmt: skip


def written(number: str) -> tuple[str, ...]:
    area, exchange, last = number[:-8], number[-8:-4], number[-4:]
    return (
        number, f"{area}-{exchange}-{last}", f"{area} ({exchange}) {last}", f"{area}_{exchange}/{last}",
        f"{area}%2d{exchange}\u2010{last}", f"{area}-{exchange}{last}", f"{area}\u00a0{exchange}ー{last}",
        f"{area},{exchange},{last}",
    )  # fmt: skip


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


@pytest.mark.parametrize(
    "number",
    ["090.123.456.78", "03.123.456.789", "090.12.34.56", "090.123.45.67", "tel/06-06645811", "+81.90.123.45",
     "12.34.56.78-90", "090-123.456.789.012.345", "0901234567,20", "123,456,789", "090 - 1234 - 5678"]
    + [f"090{sign}123{sign}4567" for sign in SIGNS]
    + ["090_123/4567", "090%2d123\u20104567", "06ー1234,5678"],
)  # fmt: skip
@pytest.mark.parametrize("place", ["Value: {}", "AppData: x {} y", "UserEvent: {}", "CallerIDNum: {}"])
def test_a_number_is_changed_however_its_digits_are_parted(number: str, place: str) -> None:
    result = numbers().block(place.format(number).encode()).decode()
    groups = re.findall("[0-9]+", re.sub("%2[0-9dD]", " ", number))
    left = re.findall("[0-9]+", re.sub("%2[0-9dD]", " ", result))
    # three digits may be the same by chance, and 0 and +81 stay
    assert left != groups
    assert sum(was == now for was, now in zip(groups, left, strict=False)) <= 1, result


@pytest.mark.parametrize(
    "value", ["０９０－１２３－４５６", "0９0１2３", "０３ー１２３４ー５６７８", "090－１２３－4567"]
)
@pytest.mark.parametrize("encoding", ["utf-8", "cp932", "euc-jp"])
def test_wide_digits_are_starred_also_where_they_are_few_or_mixed(value: str, encoding: str) -> None:
    if encoding == "euc-jp":
        value = value.replace("－", "−")  # its minus is another one
    line = f"Value: 電話は{value}です".encode(encoding)
    left = numbers().block(line).decode(encoding)
    assert left == re.sub("[0-9０-９]", "*", line.decode(encoding))


def test_ours_stay_in_a_list() -> None:
    for line in (b"AppData: PJSIP/2001,20,tT", b"AppData: 0664581132,20,60", b"AppData: 2001,2002/0664581132"):
        assert numbers().block(line) == line
    assert numbers().block("Value: ０６－６４５８－１１３２".encode()).decode() == "Value: ０６－６４５８－１１３２"


def test_the_running_number_of_a_channel_stays_where_a_channel_has_told_it() -> None:
    mask, line = numbers(), b"Variable: BRIDGEPEER\r\nValue: PJSIP/trunk-00000013"
    assert mask.block(line) != line
    mask.block(b"Event: Newchannel\r\nChannel: PJSIP/trunk-00000013")
    assert mask.block(line) == line


def test_a_run_of_digits_without_end_is_starred() -> None:
    for count in (33, 4_301, 100_000):
        assert numbers().block(b"Value: " + b"7" * count) == b"Value: " + b"*" * count
        assert numbers().block(b"Value: 0" + b"-7" * count) == b"Value: *" + b"-*" * count


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


@pytest.mark.parametrize(
    "line",
    [
        "CallerID: Taro Yamada <0901234567>", "AppData: CALLERID(name)=Taro Yamada",
        "ApplicationData: CALLERID(all)=Taro Yamada <0901234567>", 'AppData: CALLERID(name)="Taro Yamada"',
    ],
)  # fmt: skip
def test_a_name_without_quotes_is_masked_and_told(line: str) -> None:
    mask = numbers()
    result = mask.block(line.encode())
    assert b"Yamada" not in result
    assert b"name-" in result
    assert b"Yamada" not in mask.block(b"Value: Taro Yamada")


@pytest.mark.parametrize(
    "line",
    [
        "Exten: Yamada",
        "DialString: Yamada@trunk",
        "URI: sip:Yamada@192.0.2.1",
        "Channel: Local/Yamada@x-0000000a;1",
        "Channel: PJSIP/Yamada-0000000b",
        "DestExten: Yamada",
        "ApplicationData: Yamada is here",
    ],
)
def test_a_name_is_masked_in_an_address_after_it_was_told(line: str) -> None:
    mask = numbers()
    mask.block(b"CallerIDName: Yamada")
    hidden = Pseudonyms(KEY, OURS).name(b"Yamada").decode()
    assert mask.block(line.encode()).decode() == line.replace("Yamada", hidden)


def test_a_channel_keeps_its_name_when_its_callers_name_is_told_later() -> None:
    mask, first = numbers(), b"Channel: Local/Yamada@x-0000000a;"
    assert mask.block(first + b"1") == first + b"1"
    mask.block(b"CallerIDName: Yamada")
    assert mask.block(first + b"2") == first + b"2"
    assert b"Yamada" not in mask.block(b"Channel: PJSIP/Yamada-0000000b\r\nCallerIDName: Yamada")


@pytest.mark.parametrize("name", ["PJSIP", "Local", "phones", "sip", "trunk", "2001"])
def test_a_name_that_is_a_word_of_a_channel_changes_no_channel(name: str) -> None:
    mask, line = numbers(), b"Channel: Local/2001@phones-0000000a;1\r\nDialString: PJSIP/2001\r\nURI: sip:2001@a"
    mask.block(f"CallerIDName: {name}".encode())
    assert mask.block(line) == line


def test_names_without_end_are_forgotten_from_the_oldest() -> None:
    names = Names()
    for number in range(MOST + 10):
        names.add(b"Yamada %d" % number, b"name-%d" % number)
    assert len(names) == MOST
    assert names.replaced(b"Yamada 9, Yamada %d" % MOST) == b"Yamada 9, name-%d" % MOST
    assert names.replaced(b"Yamada 4100") == b"name-4100", "the longest one"
    for _ in range(3):
        names.add(b"Yamada 20", b"name-20")
    names.add(b"another", b"name-x")
    assert names.replaced(b"Yamada 20 Yamada 10.") == b"name-20 Yamada 10."
    assert names.replaced(b"x" + b"y" * 300) == b"x" + b"y" * 300
    names.add(b"y" * 300, b"name-y")
    assert names.replaced(b"x" + b"y" * 300) == b"xname-y"


def test_thousands_of_names_cost_a_value_no_more_than_one() -> None:
    # 0.3 s; to try each name on each value took minutes
    mask = numbers()
    begun = time.process_time()
    for number in range(20_000):
        mask.block(b"CallerIDName: Yamada %s\r\nValue: from somebody" % str(number).translate(LETTERS).encode())
    assert time.process_time() - begun < 30


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
