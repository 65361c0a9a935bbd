"""The recorder calls for somebody: what it asks the PBX, what it refuses, and what it puts down where nothing rang."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from cti.ami.client import AmiClient
from cti.ami.message import Message
from cti.calls.board import conversation_id
from cti.calls.callback import called_for, leg_of
from cti.calls.model import Direction, Leg
from cti.dialling import Dialler, Putter
from policies.load import Policies, shipped
from tests.unit.cti.ami.fake import FakeAmi, Peer, config, connected

pytestmark = pytest.mark.rule("C-06")

AT = datetime(2027, 4, 1, 1, tzinfo=UTC)
LEG = leg_of(12, 5, AT)
ASKED = {"phone": "2201", "number": "0666123456", "leg": LEG}


@asynccontextmanager
async def dialler(folder: Path, answer: Any) -> AsyncIterator[Dialler]:
    async with connected(FakeAmi(answer)) as client:
        async with asyncio.timeout(5):
            while not client.connected:  # noqa: ASYNC110  # its task logs in
                await asyncio.sleep(0.01)
        yield Dialler(client, Policies(shipped()).plan, folder, "pbx1", lambda: AT)


def steps(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for path in sorted(folder.rglob("*.jsonl")) for line in path.read_text().splitlines()]


def test_a_channel_says_for_what_it_calls() -> None:
    assert called_for(LEG) == (12, 5)
    for other in ("", "pbx1-1806541200.5", f" {LEG}", f"{LEG}1x", LEG.replace("12", "0")):
        assert called_for(other) is None


async def test_the_telephone_rings_first_and_the_dialplan_does_the_rest(tmp_path: Path) -> None:
    heard: list[Message] = []

    def answer(peer: Peer, action: Message) -> None:
        heard.append(action)
        peer.reply(action, "Message: Originate successfully queued")

    async with dialler(tmp_path, answer) as calls:
        assert await calls.dial(ASKED) == {"placed": True}
    (action,) = heard
    said = {name: action.get(name) for name in ("Action", "Channel", "Context", "Exten", "ChannelId", "Async")}
    assert said == {
        "Action": "Originate", "Channel": "PJSIP/2201", "Context": "phones", "Exten": "0666123456", "ChannelId": LEG,
        "Async": "true",
    }  # fmt: skip
    assert (action.get("Application"), action.get("Variable")) == ("", "")


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"phone": "trunk"}, "no-phone"), ({"phone": "9999"}, "no-phone"), ({"phone": "2201,i"}, "no-phone"),
        ({"phone": ""}, "no-phone"), ({"number": "110"}, "no-number"), ({"number": "119"}, "no-number"),
        ({"number": "06661234&PJSIP/2001"}, "no-number"), ({"number": "0666123456\n"}, "no-number"),
        ({"number": "２2"}, "no-number"), ({"number": "2001"}, "no-number"), ({"number": "+81666123456"}, "no-number"),
        ({"leg": "pbx1-1.1"}, "no-number"), ({"leg": f"{LEG}\r\nVariable: X=1"}, "no-number"),
    ],
)  # fmt: skip
async def test_nothing_else_is_asked_of_the_pbx(tmp_path: Path, changed: dict[str, str], problem: str) -> None:
    heard: list[Message] = []
    async with dialler(tmp_path, lambda _peer, action: heard.append(action)) as calls:
        assert await calls.dial(ASKED | changed) == {"problem": problem}
    assert heard == []


async def test_a_pbx_that_refuses_or_is_not_there(tmp_path: Path) -> None:
    def refuse(peer: Peer, action: Message) -> None:
        peer.reply(action, "Message: Permission denied", response="Error")

    async with dialler(tmp_path, refuse) as calls:
        assert await calls.dial(ASKED) == {"problem": "refused"}
    async with dialler(tmp_path, lambda peer, _action: peer.drop()) as calls:
        assert await calls.dial(ASKED) == {"problem": "unknown"}, "it may have been read before"
    away = Dialler(AmiClient(config(1)), Policies(shipped()).plan, tmp_path, "pbx1", lambda: AT)
    assert await away.dial(ASKED) == {"problem": "no-pbx"}


async def test_where_no_channel_came_to_be_it_is_put_down(tmp_path: Path) -> None:
    (tmp_path / "steps").mkdir()
    calls = Dialler(AmiClient(config(1)), Policies(shipped()).plan, tmp_path, "pbx1", lambda: AT)
    calls.heard(said("Success", LEG))
    calls.heard(said("Failure", "pbx1-1806541200.9"))
    calls.heard(said("Failure", LEG))
    async with asyncio.timeout(5):
        while not steps(tmp_path):  # noqa: ASYNC110  # a thread writes it
            await asyncio.sleep(0.01)
    (step,) = steps(tmp_path)
    assert (step["what"], step["values"], step["uniqueid"]) == ("called-back", {"outcome": "not-picked-up"}, LEG)
    assert step["conversation"] == str(conversation_id("pbx1", LEG))


async def test_a_disk_that_takes_nothing_ends_nobody(tmp_path: Path) -> None:
    calls = Dialler(AmiClient(config(1)), Policies(shipped()).plan, tmp_path, "pbx1", lambda: AT)
    calls.heard(said("Failure", LEG))  # there is no folder of steps
    await asyncio.get_running_loop().run_in_executor(None, lambda: None)
    assert steps(tmp_path) == []


def said(response: str, leg: str) -> Message:
    return Message(f"Event: OriginateResponse\r\nResponse: {response}\r\nUniqueid: {leg}".encode())


CALL = UUID("3f2a1b4c-5d6e-5f70-8192-a3b4c5d6e7f8")


def leg(endpoint: str, uniqueid: str, direction: Direction) -> Leg:
    return Leg(
        channel=f"PJSIP/{endpoint}-0000000{uniqueid[-1]}", uniqueid=uniqueid, bridge="b", direction=direction,
        endpoint=endpoint, number=None, caller_name=None, designated=None, dialled=None, originator=False, bridged=True,
        late=False,
    )  # fmt: skip


CALLER, AGENT = leg("trunk", "1.1", Direction.IN), leg("2201", "1.2", Direction.INTERNAL)


async def put(
    legs: list[Leg], *, dialled: str = "*83101*1", phones: list[str] | None = None
) -> tuple[dict[str, Any], list[Message]]:
    heard: list[Message] = []

    def answers(peer: Peer, action: Message) -> None:
        heard.append(action)
        peer.reply(action)

    async with connected(FakeAmi(answers)) as client:
        async with asyncio.timeout(5):
            while not client.connected:  # noqa: ASYNC110  # its task logs in
                await asyncio.sleep(0.01)
        putter = Putter(client, lambda: [(CALL, "1.1", legs)])
        return await putter.put({"conversation": str(CALL), "dialled": dialled, "phones": phones}), heard


@pytest.mark.rule("A-19")
async def test_who_talks_to_a_telephone_of_ours_goes_where_it_would_send_them() -> None:
    said, (action,) = await put([CALLER, AGENT])
    assert said == {"placed": True}
    assert [action.get(name) for name in ("Action", "Channel", "Context", "Exten")] == [
        "BlindTransfer", AGENT.channel, "phones", "*83101*1"
    ]  # fmt: skip
    away = replace(CALLER, direction=Direction.OUT)
    assert (await put([away, AGENT]))[0] == {"placed": True}, "whom we called, too"


@pytest.mark.parametrize(
    "legs",
    [[], [AGENT], [CALLER], [CALLER, replace(AGENT, bridge=None)], [CALLER, replace(AGENT, bridge="c")],
     [CALLER, AGENT, replace(AGENT, channel="PJSIP/2101-00000003", uniqueid="1.3")],
     [replace(CALLER, direction=Direction.INTERNAL), AGENT]],
    ids=["no call", "no caller", "no telephone", "rings", "on hold elsewhere", "three", "two of ours"],
)  # fmt: skip
async def test_nobody_else_is_moved(legs: list[Leg]) -> None:
    assert await put(legs) == ({"problem": "no-call"}, [])


@pytest.mark.rule("A-44")
async def test_a_section_moves_the_calls_of_its_own_telephones_alone() -> None:
    assert await put([CALLER, AGENT], phones=["3101"]) == ({"problem": "no-call"}, [])
    assert (await put([CALLER, AGENT], phones=["2201"]))[0] == {"placed": True}


@pytest.mark.parametrize("dialled", ["3101", "*8", "*83101*9", "0312345678", "*83101\r\nAction: Hangup", "*83101,1"])
async def test_nowhere_but_to_a_section(dialled: str) -> None:
    assert await put([CALLER, AGENT], dialled=dialled) == ({"problem": "no-number"}, [])
