"""Pickup, transfer, consultation, parking and conferences, for what is recorded: who is heard, sample by sample.

What is kept while a designated phone is joined is whole; what is said while none is, is nowhere. Parking and a
conference are what other PBXs have: they are added to ours while it runs. Each test names the thread in which users of
another recorder lost such a call (field.md), where there is one.
"""

import contextlib
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from cti.demo.scenarios import Answer
from tests.asterisk.voices import (
    KEYS,
    PICKS_UP,
    Voice,
    Watch,
    anywhere,
    begins,
    holds,
    nobodys,
    runs,
    side_of,
    talk,
    told,
    transfers,
    voiced,
)
from tests.real import RATE, STOPS_WITHIN, House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-02", "B-03")]

DAIHYO, CREDIT, KOZA, SHOMU = "0664581132", "0664587160", "0664587211", "0664587000"
RINGS_ON = Answer(talk=None)
MISSED = 0.2  # s: 0.12 measured
BUSY = Answer(talk=None, refuse=486)


def to(extension: str) -> str:
    """What a phone's transfer names."""
    return f"sip:{extension}@127.0.0.1:5060"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(house_with_service: House) -> House:
    """A parking lot at 700, a conference at 800, and at 860 a queue that rings two phones at once."""
    pbx = house_with_service.lab.pbx
    queues = pbx.etc / "queues.conf"
    queues.write_text(queues.read_text() + "\n[both]\nstrategy = ringall\nmember => PJSIP/2101\nmember => PJSIP/2102\n")
    pbx.rx("queue reload all")
    (pbx.etc / "res_parking.conf").write_text("[general]\n[default]\nparkext = 700\nparkpos = 701-720\n")
    (pbx.etc / "confbridge.conf").write_text("[general]\n")
    for name in ("res_parking.so", "app_confbridge.so"):
        pbx.rx(f"module load {name}")
    for extension in (
        "700,1,Park", "701,1,ParkedCall,default,701", "800,1,ConfBridge,1", "860,1,Queue,both",
    ):  # fmt: skip
        pbx.rx(f"dialplan add extension {extension} into phones")
    return house_with_service


@pytest_asyncio.fixture(loop_scope="module")
async def watch(house: House) -> AsyncIterator[Watch]:
    async with house.manager() as manager:
        yield Watch.on(house, manager)


@contextlib.asynccontextmanager
async def in_a_call(watch: Watch, number: str = KOZA, phone: str = "2201") -> AsyncIterator[tuple[Voice, Voice]]:
    """A caller and a phone talk to each other."""
    house = watch.house
    agent, caller = voiced(house, house.rings(phone, PICKS_UP)), voiced(house, house.outside(number))
    async with agent.phone, caller.phone:
        await agent.phone.reached("talking", 10)
        await caller.phone.reached("talking", 10)
        await watch.joins(phone)
        yield caller, agent


@contextlib.asynccontextmanager
async def consulting(watch: Watch, role: Answer) -> AsyncIterator[tuple[Voice, Voice, Voice, Voice]]:
    """The caller is on hold, and the phone calls 3101 on another line: (caller, agent, the agent there, section)."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(1)
        await agent.phone.press("hold")
        await agent.phone.reached("held", 5)
        section, other = voiced(house, house.rings("3101", role)), voiced(house, house.dials("2201", "3101"))
        async with section.phone, other.phone:
            await section.phone.reached("ringing", 10)
            yield caller, agent, other, section


async def test_picked_up_by_a_designated_phone_on_a_number_that_is_not(watch: Watch) -> None:
    """FreePBX/issue-tracker#992: where two rules meet, none records."""
    house = watch.house
    caller = voiced(house, house.outside(SHOMU))
    async with house.rings("3001", RINGS_ON) as phone, caller.phone:
        await phone.reached("ringing", 10)
        picker = voiced(house, house.dials("2301", "*8"))
        async with picker.phone:
            await picker.phone.reached("talking", 10)
            await caller.phone.reached("talking", 10)
            await talk(1.5)
            await picker.phone.press("hang up")
            await watch.over(picker.phone, caller.phone, phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    (part,) = kept.parts
    (left,), (right,) = holds(kept, part, [caller], [picker])
    assert begins(left, caller)
    assert begins(right, picker)
    assert (part.manifest.agent, part.manifest.caller) == ("2301", caller.phone.role.number)


async def test_picked_up_and_transferred_it_is_one_call_and_says_so(watch: Watch) -> None:
    """mikopbx/Core#1105: 98 of 101 recordings belonged to no call after pickup and transfer; #1100: NO ANSWER."""
    house = watch.house
    caller = voiced(house, house.outside(KOZA))
    async with house.rings("2201", RINGS_ON) as phone, caller.phone:
        await phone.reached("ringing", 10)
        picker = voiced(house, house.dials("2301", "*8"))
        third = voiced(house, house.rings("2101", PICKS_UP))
        async with picker.phone, third.phone:
            await picker.phone.reached("talking", 10)
            await watch.joins("2301")
            await talk(1.2)
            await transfers(picker.phone, to("2101"), third.phone)
            await talk(1.2)
            await caller.phone.press("hang up")
            await watch.over(third.phone, caller.phone, phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    voices = [voice for part in kept.parts for voice in runs(side_of(kept, part, 1), picker, third)]
    assert [run.call for run in voices] == [picker.call, third.call]
    row = watch.called(caller.phone.role.number)
    assert (row["recording"], row["disposition"], row["number"]) == (recording, "completed", KOZA)
    assert row["answered"]


async def test_transferred_in_from_a_number_that_is_not_designated(watch: Watch) -> None:
    house = watch.house
    async with in_a_call(watch, SHOMU, "3001") as (caller, section):
        await talk(1)
        agent = voiced(house, house.rings("2201", PICKS_UP))
        async with agent.phone:
            await transfers(section.phone, to("2201"), agent.phone)
            await talk(1.5)
            await caller.phone.press("hang up")
            await watch.over(agent.phone, caller.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    (part,) = kept.parts
    (left,), (right,) = holds(kept, part, [caller], [agent])
    assert begins(right, agent)
    assert left.frm > 1 * RATE
    assert anywhere(house, [section], [recording]) == set()


async def test_to_a_section_it_ends_and_back_again_it_goes_on_in_the_same_recording(watch: Watch) -> None:
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(1.2)
        section = voiced(house, house.rings("3101", PICKS_UP))
        async with section.phone:
            await transfers(agent.phone, to("3101"), section.phone)
            await talk(1.2)
            again = voiced(house, house.rings("2201", PICKS_UP))
            await agent.phone.stop()  # two cannot be at one port
            async with again.phone:
                await transfers(section.phone, to("2201"), again.phone)
                await talk(1.2)
                await again.phone.press("hang up")
                await watch.over(again.phone, caller.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    first, second = kept.parts
    (left,), (right,) = holds(kept, first, [caller], [agent])
    assert begins(left, caller)
    assert begins(right, agent)
    (later,), (right,) = holds(kept, second, [caller], [again])
    assert begins(right, again)
    assert later.frm - left.to > 1.2 * RATE, "what was said to the section is not there"
    assert [part.manifest.segment for part in kept.parts] == [1, 2]
    assert anywhere(house, [section], [recording]) == set()


async def test_to_another_designated_phone_it_goes_on_with_both_voices(watch: Watch) -> None:
    """asterisk/asterisk#507: a blind transfer left one voice. FreePBX/issue-tracker#1078: it was ended mid-transfer."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(1.2)
        other = voiced(house, house.rings("2301", PICKS_UP))
        async with other.phone:
            await transfers(agent.phone, to("2301"), other.phone)
            await talk(1.2)
            await other.phone.press("hang up")
            await watch.over(other.phone, caller.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    first, second = kept.parts
    holds(kept, first, [caller], [agent])
    _, (right,) = holds(kept, second, [caller], [other])
    assert begins(right, other)
    assert (first.manifest.agent, second.manifest.agent) == ("2201", "2301")


async def test_attended_transfer_keeps_the_talk_and_the_consultation_and_nothing_after(watch: Watch) -> None:
    house = watch.house
    async with consulting(watch, PICKS_UP) as (caller, agent, other, section):
        await other.phone.reached("talking", 10)
        await talk(1.2)
        await transfers(agent.phone, other.phone)
        await watch.heard("AttendedTransfer")
        await other.phone.finished(10)
        await talk(1.2)
        await section.phone.press("hang up")
        await watch.over(section.phone, caller.phone)
    voices = caller, agent, other, section
    found = {recording: told(house.open(recording), *voices) for recording in watch.new()}
    (((left, right),),) = [kept for kept in found.values() if kept[0][0][0].call == caller.call]
    assert [run.call for run in left] == [caller.call]
    assert begins(left[0], caller)
    assert right[0].call == agent.call
    assert begins(right[0], agent)
    assert sum(run.end - run.start for run in right[1:]) <= STOPS_WITHIN * RATE
    ((((asked,), (asking, *after)),),) = [kept for kept in found.values() if kept[0][0][0].call == section.call]
    assert asking.call == other.call
    # Until the hook is stopped the section may hear the caller already.
    assert sum(run.end - run.start for run in after) <= STOPS_WITHIN * RATE
    assert begins(asked, section)
    assert begins(asking, other)
    assert asked.to < 2.2 * RATE, "the section is heard as long as it was asked, not when it talked to the caller"
    assert len(found) == 2


def goes_on(watch: Watch, caller: Voice, agent: Voice, other: Voice, third: Voice) -> None:
    """The caller's recording goes on with the third, whom the agent had asked on another line: his own recording.

    Asterisk's hook must be made anew for another phone (recorder.session, CLEARED): both miss a tenth of a second.
    Until the old one is ended it may hear the third already, where his packets have the higher numbers.
    """
    found = {recording: told(watch.house.open(recording), caller, agent, other, third) for recording in watch.new()}
    (((asking, asked),),) = [kept for kept in found.values() if kept[0][0][0].call == other.call]
    assert [run.call for run in asked] == [third.call]
    assert begins(asking[0], other)
    assert begins(asked[0], third)
    (first, second) = next(kept for kept in found.values() if kept[0][0][0].call == caller.call)
    assert [run.call for run in first[0]] == [caller.call]
    assert [run.call for run in first[1]] in ([agent.call], [agent.call, third.call])
    assert [[run.call for run in side] for side in second] == [[caller.call], [third.call]]
    assert sum(run.end - run.start for run in first[1][1:]) <= MISSED * RATE
    (before,), (after,) = first[0], second[0]
    assert after.frm - before.to <= MISSED * RATE
    assert second[1][0].frm - asked[0].to <= MISSED * RATE
    assert second[1][0].to - second[1][0].frm > RATE


async def test_attended_to_another_designated_phone_it_goes_on(watch: Watch) -> None:
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(3)
        await agent.phone.press("hold")
        await agent.phone.reached("held", 5)
        third, other = voiced(house, house.rings("2301", PICKS_UP)), voiced(house, house.dials("2201", "2301"))
        async with third.phone, other.phone:
            await third.phone.reached("talking", 10)
            await talk(0.7)
            await transfers(agent.phone, other.phone)
            await watch.heard("AttendedTransfer")
            await other.phone.finished(10)
            await talk(1.5)
            await third.phone.press("hang up")
            await watch.over(third.phone, caller.phone)
    goes_on(watch, caller, agent, other, third)


async def test_attended_to_a_queue_that_rings_two(watch: Watch) -> None:
    """mikopbx/Core#1084: an attended transfer to a queue that rings in parallel lost the recording."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent), house.rings("2102", RINGS_ON) as idle:
        await talk(1)
        await agent.phone.press("hold")
        await agent.phone.reached("held", 5)
        third, other = voiced(house, house.rings("2101", PICKS_UP)), voiced(house, house.dials("2201", "860"))
        async with third.phone, other.phone:
            await third.phone.reached("talking", 10)
            await talk(1)
            await transfers(agent.phone, other.phone)
            await watch.heard("AttendedTransfer")
            await other.phone.finished(10)
            await talk(1.5)
            await third.phone.press("hang up")
            await watch.over(third.phone, caller.phone, idle)
    goes_on(watch, caller, agent, other, third)


async def test_blonde(watch: Watch) -> None:
    house = watch.house
    async with consulting(watch, Answer(talk=KEYS, ring=1.5)) as (caller, agent, other, section):
        await other.phone.reached("ringing", 10)
        await transfers(agent.phone, other.phone)
        await watch.heard("AttendedTransfer")
        await section.phone.reached("talking", 10)
        await talk(1)
        await section.phone.press("hang up")
        await watch.over(section.phone, caller.phone)
    (recording,) = watch.new()
    (((left,), (right, *rest)),) = told(house.open(recording), caller, agent, other, section)
    assert (left.call, right.call) == (caller.call, agent.call)
    assert begins(left, caller)
    assert begins(right, agent)
    assert sum(run.end - run.start for run in rest) <= STOPS_WITHIN * RATE
    assert anywhere(house, [section, other], [recording]) == set()


async def test_a_consultation_that_failed_and_the_caller_is_taken_back(watch: Watch) -> None:
    """mikopbx/Core#1125: not resumed after an attended transfer that failed."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(1)
        await agent.phone.press("hold")
        await agent.phone.reached("held", 5)
        async with house.rings("3101", BUSY) as section, house.dials("2201", "3101", refused=486) as other:
            await section.finished(10)
            await other.finished(10)
        await agent.phone.press("resume")
        await agent.phone.reached("resumed", 5)
        await talk(1.2)
        await agent.phone.press("hang up")
        await watch.over(agent.phone, caller.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    (((left,), right),) = told(kept, caller, agent)
    assert begins(left, caller)
    assert kept.marks[:3] == ["joined", "hold", "resume"]
    assert [run.call for run in right] == [agent.call, agent.call]
    assert begins(right[0], agent)
    assert right[1].frm == right[0].to, "the music takes nothing from the agent"
    assert right[1].end - right[1].start > 0.8 * RATE


async def test_parked_and_taken_back(watch: Watch) -> None:
    """Parked, the caller talks to nobody: neither he nor the music is kept."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent):
        await talk(1)
        await transfers(agent.phone, to("700"))
        await watch.heard("ParkedCall")
        await talk(1)
        other = voiced(house, house.dials("2301", "701"))
        async with other.phone:
            await watch.joins("2301")
            await talk(1.5)
            await other.phone.press("hang up")
            await watch.over(other.phone, caller.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    first, second = kept.parts
    (before,), (right,) = holds(kept, first, [caller], [agent])
    assert begins(before, caller)
    assert begins(right, agent)
    (after,), (right,) = holds(kept, second, [caller], [other])
    assert begins(right, other)
    assert after.frm - before.to > RATE, "what he said to the music is not there"


async def test_three_in_a_conference(watch: Watch) -> None:
    """Left is who called from outside, right is everyone else, as long as a designated phone is in it."""
    house = watch.house
    caller = voiced(house, house.outside(KOZA))
    agent = voiced(house, house.rings("2201", PICKS_UP), 3.0)
    async with agent.phone, caller.phone:
        await agent.phone.reached("talking", 10)
        channels = [await watch.joins(name) for name in ("trunk", "2201")]
        reply = await watch.manager.act(
            Action="Redirect", Channel=channels[0], Context="phones", Exten="800", Priority="1",
            ExtraChannel=channels[1], ExtraContext="phones", ExtraExten="800", ExtraPriority="1",
        )  # fmt: skip
        assert reply.get("Response") == "Success", reply.get("Message")
        await watch.heard("ConfbridgeJoin", Channel="PJSIP/trunk-")
        await watch.heard("ConfbridgeJoin", Channel="PJSIP/2201-")
        await talk(2.5)
        section = voiced(house, house.dials("3101", "800"))
        async with section.phone:
            await watch.heard("ConfbridgeJoin", Channel="PJSIP/3101-")
            await talk(2)
            await agent.phone.press("hang up")
            await watch.heard("ConfbridgeLeave", Channel="PJSIP/2201-")
            await talk(1)
            await section.phone.press("hang up")
            await caller.phone.press("hang up")
            await watch.over(section.phone, caller.phone, agent.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    *_, (left, right) = told(kept, caller, agent, section)
    assert [run.call for run in left] == [caller.call]
    assert begins(left[0], caller)
    assert [run.call for run in right] == [agent.call, section.call]
    assert all(begins(run, voice) for run, voice in zip(right, (agent, section), strict=True))
    assert nobodys(side_of(kept, kept.parts[-1], 0), left) == nobodys(side_of(kept, kept.parts[-1], 1), right) == 0
    assert right[-1].to < 2.6 * RATE, "when the last designated phone had gone it was over"


async def test_click_to_dial_is_one_conversation(watch: Watch) -> None:
    house, number = watch.house, "0602999001"
    phone, away = voiced(house, house.rings("2201", PICKS_UP)), voiced(house, await house.away(number, PICKS_UP))
    async with phone.phone, away.phone:
        reply = await watch.manager.act(
            Action="Originate", Channel="PJSIP/2201", Context="phones", Exten=number, Priority="1", CallerID="2201",
            Async="true",
        )  # fmt: skip
        assert reply.get("Response") == "Success", reply.get("Message")
        await away.phone.reached("talking", 10)
        await watch.joins("trunk")
        await talk(1.5)
        await phone.phone.press("hang up")
        await watch.over(phone.phone, away.phone)
    (recording,) = watch.new()
    kept = house.open(recording)
    (part,) = kept.parts
    (left,), _ = holds(kept, part, [away], [phone])
    assert begins(left, away)
    assert (part.manifest.direction, part.manifest.agent, part.manifest.callee) == ("out", "2201", number)


async def test_the_house_is_in_order(house: House) -> None:
    house.verified()
    house.complete()
