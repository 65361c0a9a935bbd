"""Streams of a real Asterisk 22.10.1 (`eventfilter` as shipped; numbers are made up) -> the facts in the file beside.

in              a caller on 代表, the queue rings 2001, it answers, the caller hangs up
out             2002 calls 06-6612-3456
hold            a caller on クレジット; 2101 answers, holds, resumes; 2102 does not answer
transfer        2101 transfers its caller blind to the section phone 3101
unanswered      a caller on 口座 gives up while 2201 rings
busy            a caller on 口座 finds 2201 busy
internal        2002 calls the section phone 3101
not-designated  a caller on 庶務
midcall         a caller on クレジット; in the middle, the answer to CoreShowChannels
"""

import json
from collections import Counter
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cti.ami.framing import Framer
from cti.ami.message import Message
from cti.calls.tracker import Tracker
from cti.replay import facts_of
from policies.load import Policies, shipped

HERE = Path(__file__).parent
NAMES = sorted(path.stem for path in HERE.glob("*.ami"))
PLAN = Policies(shipped()).plan
HEARD = datetime(2026, 11, 21, tzinfo=UTC)


def tracker() -> Tracker:
    return Tracker(pbx="pbx1", plan=PLAN)


def blocks(name: str) -> list[Message]:
    return [Message(block) for block in Framer().feed((HERE / f"{name}.ami").read_bytes())]


def expected(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (HERE / f"{name}.jsonl").read_text("utf-8").splitlines()]


def test_all_of_them_are_here() -> None:
    assert len(NAMES) == 9
    assert sorted(path.stem for path in HERE.glob("*.jsonl")) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_stream_gives_its_facts(name: str) -> None:
    assert [fact.public() for fact in facts_of(HERE / f"{name}.ami", tracker())] == expected(name)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("size", [1, 7, 1460])
def test_however_the_network_cut_it(name: str, size: int) -> None:
    data = (HERE / f"{name}.ami").read_bytes()
    framer = Framer()
    cut = [block for start in range(0, len(data), size) for block in framer.feed(data[start : start + size])]
    assert cut == [message.raw for message in blocks(name)]


@pytest.mark.parametrize("name", NAMES)
def test_the_facts_are_no_more_and_no_less_than_the_events(name: str) -> None:
    events = Counter(message.event for message in blocks(name))
    facts = Counter(str(row["fact"]) for row in expected(name))
    assert facts["LegJoined"] == events["BridgeEnter"]
    assert facts["LegLeft"] == events["BridgeLeave"]
    assert facts["CallHeld"] == events["Hold"]
    assert facts["CallArrived"] == facts["CallEnded"] == 1
    times = [str(row["at"]) for row in expected(name)]
    assert all(before <= after for before, after in pairwise(times))


def test_what_was_done_is_what_was_understood() -> None:
    """Written by hand, beside the files that a change might rewrite."""
    story = {name: [str(row["fact"]).removeprefix("Call") for row in expected(name)] for name in NAMES}
    talk = ["Arrived", "Ringing", "Answered", "LegJoined", "LegJoined"]
    end = ["LegLeft", "LegLeft", "Ended"]
    assert story == {
        "in": ["Arrived", "QueueEntered", "Ringing", "Answered", "QueueLeft", "LegJoined", "LegJoined", *end],
        "out": talk + end,
        "hold": [*talk, "Held", "Resumed", *end],
        "transfer": [
            *(*talk, "Transferred", "LegLeft", "LegLeft"),
            *("Ringing", "Answered", "LegJoined", "LegJoined", *end),
        ],
        "unanswered": ["Arrived", "Ringing", "Ended"],
        "busy": ["Arrived", "Ended"],
        "internal": talk + end,
        "not-designated": talk + end,
        "midcall": talk + end,
    }
    assert {name: expected(name)[-1]["disposition"] for name in NAMES} == {
        "in": "completed", "out": "completed", "hold": "completed", "transfer": "completed", "internal": "completed",
        "not-designated": "completed", "midcall": "completed", "unanswered": "cancelled", "busy": "busy",
    }  # fmt: skip


def test_the_caller_has_a_name() -> None:
    [leg] = expected("in")[0]["legs"]
    assert leg["caller_name"] == "山田太郎"


def test_one_who_comes_in_the_middle_sees_the_call_as_one_who_was_there() -> None:
    messages = blocks("midcall")
    listed = [message for message in messages if message.event == "CoreShowChannel"]
    there, late = tracker(), tracker()
    for message in messages[: messages.index(listed[0])]:
        there.feed(message)
    late.resync(listed, HEARD)
    assert late.calls() == there.calls()
    assert there.resync(listed, HEARD) == []
    rest = messages[messages.index(listed[-1]) :]
    assert [f for m in rest for f in late.feed(m)] == [f for m in rest for f in there.feed(m)]


def test_a_capture_that_begins_in_the_middle_of_a_call_has_the_call(tmp_path: Path) -> None:
    """As `calls capture` begins one: a ping's answer, which has the time, and the list of channels."""
    messages = blocks("midcall")
    first = next(number for number, message in enumerate(messages) if message.event == "CoreShowChannel")
    at = datetime.fromtimestamp(float(messages[first - 2].get("Timestamp")), UTC)
    ping = f"Response: Success\r\nPing: Pong\r\nTimestamp: {at.timestamp():.6f}".encode()
    rest = b"".join(raw + b"\r\n\r\n" for raw in [ping, *(message.raw for message in messages[first:])])
    (tmp_path / "late.ami").write_bytes(rest)
    facts = [fact.public() for fact in facts_of(tmp_path / "late.ami", tracker())]
    begun = sorted(str(fact["fact"]) for fact in facts if fact["at"] == at.isoformat())
    assert len(facts) == 7, [fact["fact"] for fact in facts]
    assert begun == ["CallAnswered", "CallArrived", "LegJoined", "LegJoined"]
    assert (facts[-1]["fact"], facts[-1]["disposition"]) == ("CallEnded", "completed")
    assert {fact["conversation"] for fact in facts} == {expected("midcall")[0]["conversation"]}
