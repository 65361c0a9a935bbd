"""Scenarios are XML that SIPp can read, and nothing that is said in them can become more than it is."""

from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from cti.demo.scenarios import Answer, Dial, Hold, Register, Role, ScenarioError, Talk, scenario

TALK = Talk(audio=Path("/a/b.ul"), hang_up_after=9, holds=(Hold(at=2, seconds=2),))


def messages(role: Role) -> list[str]:
    root = ET.fromstring(scenario(role))  # noqa: S314 - our own text
    return [(element.text or "").strip() for element in root.iter("send")]


@pytest.mark.parametrize(
    "role",
    [
        Answer(talk=TALK),
        Answer(talk=Talk(audio=None)),
        Answer(talk=None),
        Answer(talk=None, refuse=486),
        Answer(talk=None, refuse=302, moved_to="3101"),
        Answer(talk=Talk(audio=None, keys=True)),
        Dial(to="0664581132", number="0312345678", talk=Talk(audio=None, keys=True)),
        Dial(to="0664581132", number="0312345678", talk=TALK),
        Dial(to="0664581132", number="2001", user="2001", password="s3cret & more", talk=TALK),
        Dial(to="0664581132", number="2001", user="2001", password="s3cret", talk=None, refused=486),
        Dial(to="0664581132", number="0312345678", name="R&D 山田", talk=None, cancel_after=2),
        Register(user="2001", password="s3cret", contact="127.0.0.1:5080"),
    ],
    ids=lambda role: type(role).__name__,
)
def test_every_role_is_well_formed(role: Role) -> None:
    for message in messages(role):
        assert message.startswith("SIP/2.0") or message.split("\n")[0].endswith(" SIP/2.0")
        assert "Content-Length: " in message


def test_requests_of_one_side_count_upwards_and_ack_repeats_the_number() -> None:
    role = Dial(to="0664581132", number="2001", user="2001", password="s3cret", talk=TALK)
    numbers = [line for message in messages(role) for line in message.split("\n") if line.startswith("CSeq: ")]
    assert [line.removeprefix("CSeq: ") for line in numbers] == [
        *("1 INVITE", "1 ACK", "2 INVITE", "2 ACK", "3 INVITE", "3 ACK", "4 INVITE", "4 ACK", "5 BYE"),
    ]


@pytest.mark.parametrize("name", ["a[b]", 'a"b', "a\r\nX: y", "]]><x/>"])
def test_a_name_that_could_become_more_is_refused(name: str) -> None:
    with pytest.raises(ScenarioError, match="cannot stand in a SIPp scenario"):
        scenario(Dial(to="0664581132", number="0312345678", name=name, talk=TALK))


def test_holds_that_overlap_and_calls_without_a_talk_are_refused() -> None:
    overlapping = Talk(audio=None, hang_up_after=9, holds=(Hold(at=2, seconds=2), Hold(at=3, seconds=1)))
    with pytest.raises(ScenarioError, match=r"the hold at 3 s begins before .* has ended \(4 s\)"):
        scenario(Answer(talk=overlapping))
    with pytest.raises(ScenarioError, match="talk=Talk"):
        scenario(Dial(to="0664581132", number="0312345678", talk=None))


def test_a_transfer_names_the_other_party_and_who_transfers() -> None:
    [refer] = [message for message in messages(Answer(talk=Talk(audio=None, keys=True))) if message.startswith("REFER")]
    assert "Refer-To: <[$target]>" in refer
    assert "Referred-By:[$to]" in refer
