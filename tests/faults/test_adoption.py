"""What happened while the recorder was down, or while Asterisk was: kept, by the rules, once (D1, D5)."""

import asyncio
from collections.abc import AsyncIterator, Callable

import pytest
import pytest_asyncio

from cti.ami.message import Message
from recorder.sealer import BROKEN
from tests import figures
from tests.figures import times
from tests.real import RATE, SIDES, House, Kept, but_for_a_packet

pytestmark = pytest.mark.asyncio(loop_scope="session")

GAP = "what happens on the PBX is not known until the next resync"
ADOPTED = "recording begun by the dialplan adopted"
# An Asterisk that is restarted hangs up every call first, says so, and writes what it holds.
ENDS = {"killed": ("cut", BROKEN), "restarted": ("sealed", None)}
HELD_BACK = 2.1  # s: what Asterisk holds of a file before it writes 32 KiB of it


@pytest_asyncio.fixture(loop_scope="session")
async def down(house: House) -> AsyncIterator[House]:
    """The house, its service stopped in good order; started again afterwards."""
    await house.lab.stop_service()
    yield house
    if house.lab.service is None or house.lab.service.returncode is not None:
        await house.lab.serve()
    await house.lab.idle()


@pytest.mark.rule("B-03")
async def test_calls_that_the_recorder_slept_through_in_part_or_as_a_whole(down: House) -> None:
    house = down
    # Two that go on when it comes back, and meanwhile two that are over by then.
    async with house.call_in(14.0, "0664587211") as long_in, house.call_out(14.0, "2102") as long_out:
        await asyncio.gather(long_in.talking(), long_out.talking())
        async with house.call_in(4.0, "0664587225") as in_, house.call_out(4.0, "2003") as out:
            pass
        async with house.call_in(2.0, "0664587000", phone="3001") as other:
            pass
        await house.lab.serve()
        assert house.lab.status()["recording"] >= 2
    await house.lab.idle()
    house.whole(long_in.call, long_out.call, in_.call, out.call)
    for live in (long_in, long_out, in_, out):
        kept = house.of(live.call)
        assert (kept.takes, kept.states) == (["fb"], [("sealed", None)])
        assert {part.manifest.direction for part in kept.parts} == {live.call.way}
    assert {part.manifest.number for part in house.of(in_.call).parts} == {"0664587225"}
    assert house.ids_of(other.call) == []
    calls = {call["caller"]: call for call in house.lab.rows("calls", "list")}
    assert calls[in_.call.party]["recording"] == house.of(in_.call).recording
    assert calls[long_in.call.party]["recording"] == house.of(long_in.call).recording
    house.verified()
    house.complete()


@pytest.mark.rule("B-03")
async def test_a_section_joined_while_the_recorder_was_down_is_not_kept(down: House) -> None:
    house = down
    async with house.manager() as manager:
        entered = manager.heard(_enters("PJSIP/2201-"))
        async with house.answers("3101", 20.0) as section:
            async with house.call_in(9.0, "0664587211") as live:
                phone = (await asyncio.wait_for(entered, 10)).get("Channel")
                await live.talking()
                await asyncio.sleep(3)  # of talk that is to be kept
                reply = await manager.act(Action="BlindTransfer", Channel=phone, Context="phones", Exten="3101")
                assert reply.get("Response") == "Success"
                await live.callee.finished(10)
                await section.reached("talking", 5)
            await section.finished(10)
    await house.lab.serve()
    await house.lab.idle()
    kept = house.of(live.call)
    assert 2.5 < sum(part.manifest.frames for part in kept.parts) / RATE < 4.5
    for channel, side in enumerate(SIDES):
        found = kept.against(live.call, channel, side)
        assert (found.missing_front, found.splices, found.heard) == (0, (), ()), str(found)


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("time", range(times(short=1, long=5)))
async def test_stopped_in_good_order_and_started_again(house: House, time: int) -> None:
    async with house.call_in(12.0, "0664587211") as caller, house.call_out(12.0, "2102") as callee:
        await asyncio.gather(caller.talking(), callee.talking())
        await asyncio.sleep(4 + time / 4)
        await house.lab.stop_service()
        assert not list(house.lab.settings.paths.vault.glob("segments/*/*.tail*")), "a segment is left open"
        await house.lab.serve()
    await house.lab.idle()
    house.survived("service-stopped", caller.call, callee.call)
    for live in (caller, callee):
        assert house.of(live.call).states == [("sealed", "recorder stopped in good order"), ("sealed", None)]
    assert [entry["action"] for entry in house.lab.rows("audit", "list") if entry["action"] == "recorder.stopped"]


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("killed", [False, True])
async def test_two_starters_one_recording(house: House, killed: bool) -> None:
    known = len(house.logged(ADOPTED))
    async with house.manager() as manager:
        begun = manager.heard(lambda message: message.event == "MixMonitorStart")
        async with house.call_in(7.0, "0664587211") as live:
            first = await asyncio.wait_for(begun, 10)
            stem = house.lab.settings.paths.spool.resolve() / "audio" / f"fb-{first.get('Uniqueid')}"
            options = f"br({stem}-r.sln)t({stem}-t.sln)i(KIKITORI_MM)"
            reply = await manager.act(Action="MixMonitor", Channel=first.get("Channel"), Options=options)
            assert reply.get("Response") == "Success"
            await house.lab.until(lambda: len(house.logged(ADOPTED)) > known, 10, "the second recording was not seen")
            if killed:
                await house.lab.back(house.lab.kill_recorder())
    await house.lab.idle()
    house.whole(live.call)
    kept = house.of(live.call)
    assert kept.takes == ["am"]
    dropped = [entry for entry in house.lab.rows("audit", "list") if entry["action"] == "sound.discarded"]
    (about,) = [entry["detail"] for entry in dropped if entry["detail"]["conversation"] == _conversation(kept)]
    assert about["reason"] == "second recording of the same channel"
    assert about["seconds"] == pytest.approx(len(kept.sound) / RATE, abs=0.5)


def _conversation(kept: Kept) -> str:
    return kept.parts[0].manifest.conversation


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("time", range(times(short=1, long=5)))
@pytest.mark.parametrize("how", ["killed", "restarted"])
async def test_asterisk_dies_in_the_middle_and_comes_back(house: House, how: str, time: int) -> None:
    lab, spool = house.lab, house.lab.settings.paths.spool / "audio"
    placed = house.call_in(30.0, "0664587211", ends=False), house.call_out(30.0, "2102", ends=False)
    async with placed[0] as caller, placed[1] as callee:
        await asyncio.gather(caller.talking(), callee.talking())
        began, known = asyncio.get_running_loop().time(), len(house.logged(GAP))
        await asyncio.sleep(5 + time / 3)
        lasted = asyncio.get_running_loop().time() - began
        if how == "killed":
            await asyncio.to_thread(lab.pbx.kill)
        else:
            await asyncio.to_thread(lab.pbx.rx, "core restart now")
        await lab.until(
            lambda: not lab.status().get("in_step", False) or len(house.logged(GAP)) > known,
            10,
            "the recorder did not notice",
        )
    if how == "killed":
        await asyncio.to_thread(lab.pbx.start)
    await lab.until(lambda: lab.status().get("in_step", False), 30, "the recorder did not find Asterisk again")
    await lab.idle()
    assert not any(spool.iterdir())
    with figures.tried(f"asterisk-{how}", calls=2, named=2 if how == "killed" else 0):
        for live in (caller, callee):
            kept = house.of(live.call)
            assert kept.states[-1] == ENDS[how]
            for channel, side in enumerate(SIDES):
                found = kept.against(live.call, channel, side)
                assert (found.missing_front, found.mismatches) == (0, 0), str(found)
                held_back = HELD_BACK if how == "killed" else 0.2
                assert lasted - held_back < len(kept.sound) / RATE < lasted + 1.0
                assert but_for_a_packet(found), str(found)
    async with house.call_in(3.0, "0664587225") as after:
        pass
    await lab.idle()
    house.whole(after.call)


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    spool = house.lab.settings.paths.spool
    assert [path for path in spool.rglob("[!.]*") if path.is_file()] == []
    house.verified()
    house.complete()


def _enters(channel: str) -> Callable[[Message], bool]:
    return lambda message: message.event == "BridgeEnter" and message.get("Channel").startswith(channel)
