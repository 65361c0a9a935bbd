"""600 calls, 30 a second: nothing of them is missed, by the test's own ear and by the recorder's."""

import asyncio
from collections import Counter

import pytest

from cti.calls.model import What
from cti.calls.tracker import Tracker
from cti.demo.lab import TRUNK_HOST
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import Phone
from policies.load import Policies
from tests.real import INSIDE, PHONE_PORT, House

pytestmark = pytest.mark.asyncio(loop_scope="session")

CALLS = 600
CALLER = "0909990600"


async def test_every_hangup_of_600_calls_is_heard(house: House) -> None:
    folder = house.lab.folder / "phones" / "load"
    # A number that is not designated: the sound of 600 calls is another test's business.
    phone = Phone(
        house.lab.line("p3001", port=PHONE_PORT + 3001, host=INSIDE),
        Answer(talk=Talk(audio=None), ring=0.1),
        folder,
        calls=CALLS,
    )
    caller = Phone(
        house.lab.line("trunk", port=5900, host=TRUNK_HOST),
        Dial(to="0664587000", number=CALLER, talk=Talk(audio=None, hang_up_after=0.5)),
        folder,
        calls=CALLS,
        rate=30,
    )
    async with house.manager() as manager:
        async with phone, caller:
            await caller.finished(90)
            await phone.finished(30)
        await house.lab.idle()
        ended = {event.row["uniqueid"] for event in house.cel() if event.row["eventtype"] == "CHAN_END"}
        await house.lab.until(
            lambda: (
                len({message.get("Uniqueid") for message in manager.said if message.event == "Hangup"}) >= len(ended)
            ),
            10,
            "not every Hangup was heard",
        )
        messages = list(manager.said)
    assert {message.get("Uniqueid") for message in messages if message.event == "Hangup"} == ended
    assert len(ended) == 2 * CALLS
    tracker = Tracker(pbx="pbx1", plan=Policies(house.lab.settings.paths.policies).plan)
    facts = [fact for message in messages for fact in tracker.feed(message)]
    assert Counter(fact.what for fact in facts) == {
        What.ARRIVED: CALLS, What.RINGING: CALLS, What.ANSWERED: CALLS, What.JOINED: 2 * CALLS, What.LEFT: 2 * CALLS,
        What.ROUTED: CALLS, What.ENDED: CALLS,
    }  # fmt: skip
    assert {fact.disposition for fact in facts if fact.what is What.ENDED} == {"completed"}
    records = [row for row in await asyncio.to_thread(house.lab.rows, "calls", "list") if row["caller"] == CALLER]
    assert len({row["conversation"] for row in records}) == len(records) == CALLS
    assert {(row["disposition"], row["number"], row["recording"]) for row in records} == {
        ("completed", "0664587000", None)
    }
    assert house.lab.status()["events_dropped"] == 0
