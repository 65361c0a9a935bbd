"""`kikitori calls capture` on a real Asterisk: what was captured is replayed, with and without the numbers in it."""

import asyncio
import json
import os
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.real import House

pytestmark = pytest.mark.asyncio(loop_scope="module")

CALLER, NAME = "0901234567", "Yamada"
ONE_CALL = [
    "CallArrived", "CallRinging", "CallAnswered", "LegJoined", "LegJoined", "LegLeft", "LegLeft", "CallEnded",
]  # fmt: skip


@asynccontextmanager
async def capturing(house: House, file: Path, *options: str) -> AsyncIterator[None]:
    """A capture that listens; ended as Ctrl-C ends it."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.cli", "--config", str(house.lab.config), "calls", "capture", str(file), *options,
        stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    # its answer about the calls that stand already is the first thing written
    await house.lab.until(
        lambda: file.exists() and b"CoreShowChannelsComplete" in file.read_bytes(), 10, "the capture does not listen"
    )
    yield
    process.send_signal(signal.SIGINT)
    _, said = await asyncio.wait_for(process.communicate(), 10)
    assert process.returncode == 0, said.decode()


def facts(house: House, file: Path) -> list[dict[str, Any]]:
    policies = str(house.lab.settings.paths.policies)
    return house.lab.rows("calls", "replay", str(file), "--policies", policies)


async def test_a_call_is_captured_and_replayed_with_and_without_its_numbers(house_with_service: House) -> None:
    house = house_with_service
    plain, hidden = house.lab.folder / "plain.ami", house.lab.folder / "hidden.ami"
    async with capturing(house, plain), capturing(house, hidden, "--mask-numbers"):
        async with house.call_in(2.0, number=CALLER, name=NAME) as live:
            await live.talking()
        await house.lab.until(
            lambda: all(file.read_bytes().count(b"Event: Hangup\r\n") >= 2 for file in (plain, hidden)),
            10, "the end of the call was not captured",
        )  # fmt: skip
    before, after = facts(house, plain), facts(house, hidden)
    story = [fact["fact"] for fact in before]
    assert Counter(fact for fact in story if fact in ONE_CALL) == Counter(ONE_CALL)
    assert story[0] == "CallArrived"
    assert story[-1] == "CallEnded"
    assert [(fact["fact"], fact["at"], fact["conversation"]) for fact in after] == [
        (fact["fact"], fact["at"], fact["conversation"]) for fact in before
    ]
    ways = [[(leg["channel"], leg["designated"], leg["direction"]) for leg in fact["legs"]] for fact in before]
    assert [[(leg["channel"], leg["designated"], leg["direction"]) for leg in fact["legs"]] for fact in after] == ways
    numbers = {leg["number"] for fact in after for leg in fact["legs"]}
    assert CALLER in {leg["number"] for fact in before for leg in fact["legs"]}
    assert CALLER not in numbers
    assert "2001" in numbers, "the phones of the policies stay"
    stream = hidden.read_bytes()
    assert all(word not in stream for word in (CALLER.encode(), CALLER[1:].encode(), NAME.encode()))
    assert b"0664581132" in stream
    secret = house.lab.settings.pbx.secret_file.read_bytes().strip()
    assert all(secret not in file.read_bytes() and file.stat().st_mode & 0o777 == 0o600 for file in (plain, hidden))


async def test_a_call_that_stands_already_is_in_the_capture(house_with_service: House) -> None:
    house = house_with_service
    file = house.lab.folder / "midcall.ami"
    async with house.call_in(3.0, number="0907654321") as live:
        await live.talking()
        async with capturing(house, file):
            await house.lab.until(lambda: b"Event: Hangup\r\n" in file.read_bytes(), 20, "the call did not end")
    stream = file.read_bytes()
    assert stream.index(b"Event: CoreShowChannel\r\n") < stream.index(b"Event: Hangup\r\n")
    told = facts(house, file)
    assert sorted(fact["fact"] for fact in told) == sorted(fact for fact in ONE_CALL if fact != "CallRinging")
    assert told[-1]["disposition"] == "completed"
    assert all(fact["at"] for fact in told)


async def test_a_stream_on_standard_output(house_with_service: House) -> None:
    config = str(house_with_service.lab.config)
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "cti.cli", "--config", config, "calls", "capture", "-", "--duration", "1", "--json",
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE, env=os.environ | {"LC_ALL": "C.UTF-8"},
    )  # fmt: skip
    stream, said = await asyncio.wait_for(process.communicate(), 20)
    assert process.returncode == 0
    told = json.loads(said)
    assert told["bytes"] == len(stream)
    assert int(told["asterisk"].partition(".")[0]) >= 18
    assert b"Event: FullyBooted\r\n" in stream
