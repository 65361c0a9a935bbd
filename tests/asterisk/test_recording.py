"""What is recorded, on the real PBX: real calls from the first sample to the last, and nothing where nothing is to be.

Each call spells its own number on each side; left is the party outside, or whoever is recorded in its place.
"""

import asyncio
import contextlib
import json
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from cti.ami.message import Message
from cti.demo.lab import TRUNK_HOST
from cti.demo.scenarios import Answer, Dial, Hold
from cti.demo.sipp import Phone, talk_together
from cti.demo.tones import decode
from tests.real import INSIDE, PHONE_PORT, RATE, STOPS_WITHIN, House, Live, judge

pytestmark = pytest.mark.asyncio(loop_scope="module")

NAME = "HOSTILE"  # gives way to bytes that no text can hold


@pytest.mark.rule("B-02", "B-03", "B-09", "B-10")
async def test_all_four_numbers_at_once(house_with_service: House) -> None:
    house = house_with_service
    numbers = {"0664581132": "2001", "0664587160": "2102", "0664587211": "2201", "0664587225": "2301"}
    lives: list[Live] = []
    async with contextlib.AsyncExitStack() as stack:
        for number, phone in numbers.items():
            lives.append(await stack.enter_async_context(house.call_in(5.0, number, phone=phone)))
    await house.lab.idle()
    house.whole(*(live.call for live in lives))
    for live, (number, phone) in zip(lives, numbers.items(), strict=True):
        kept = house.of(live.call)
        assert {(part.manifest.number, part.manifest.direction, part.manifest.agent) for part in kept.parts} == {
            (number, "in", phone)
        }
        assert (kept.states, kept.takes) == ([("sealed", None)], ["am"])


@pytest.mark.rule("B-02", "B-03")
async def test_a_designated_phone_calls_out_and_is_called_from_inside(house_with_service: House) -> None:
    house = house_with_service
    async with house.call_out(5.0, "2301") as out, house.call_inside(5.0, "3101", "2201") as inside:
        pass
    await house.lab.idle()
    house.whole(out.call, inside.call)
    (part,) = house.of(out.call).parts
    assert (part.manifest.direction, part.manifest.agent, part.manifest.callee) == ("out", "2301", out.call.party)
    (part,) = house.of(inside.call).parts
    assert (part.manifest.direction, part.manifest.agent, part.manifest.caller) == ("internal", "2201", "3101")


@pytest.mark.rule("B-02")
async def test_hold_and_resume_are_marked_and_cost_nothing(house_with_service: House) -> None:
    house, hold = house_with_service, Hold(at=2.0, seconds=1.5)
    async with house.call_in(5.0, "0664587160", holds=(hold,)) as live:
        pass
    await house.lab.idle()
    kept = house.of(live.call)
    assert kept.marks == ["joined", "hold", "resume", "left"]
    at = {mark.what: mark.sample for mark in kept.parts[0].manifest.marks}
    assert (at["resume"] - at["hold"]) / RATE == pytest.approx(hold.seconds, abs=0.1)
    assert kept.against(live.call, 0, "caller").waited in (0, 1)
    callee = kept.against(live.call, 1, "callee")
    assert callee.lost == 0, str(callee)
    pause = max((splice for splice in callee.splices), key=lambda splice: splice.extra)
    assert pause.at == pytest.approx(at["hold"], abs=0.2 * RATE)
    assert pause.extra / RATE == pytest.approx(hold.seconds, abs=0.2)


@pytest.mark.rule("B-02")
async def test_what_is_not_designated_leaves_nothing_at_all(house_with_service: House) -> None:
    house = house_with_service
    files, recordings = house.files(), house.recordings()
    seen: set[str] = set()
    async with house.call_in(3.0, "0664587000", phone="3001") as live, house.call_inside(3.0, "3101", "3102"):
        await live.talking()
        seen |= {path.name for path in (house.lab.settings.paths.spool / "audio").iterdir()}
        assert house.lab.status()["armed"] == 0
    await house.lab.idle()
    assert seen == set()
    assert house.recordings() == recordings
    assert {path for path in house.files() - files if "/calls/" not in path} == set()
    calls = house.lab.rows("calls", "list")
    assert [call["recording"] for call in calls if call["caller"] in (live.call.party, "3101")][:2] == [None, None]


async def test_a_call_that_nobody_answers_leaves_a_record_and_no_audio(house_with_service: House) -> None:
    house = house_with_service
    before = house.recordings()
    folder = house.lab.folder / "phones" / "unanswered"
    number = "0901999001"
    caller = Phone(
        house.lab.line("trunk", port=5999, host=TRUNK_HOST),
        Dial(to="0664587211", number=number, talk=None, cancel_after=1.0),
        folder,
    )
    phone = Phone(house.lab.line("p2201", port=PHONE_PORT + 2201, host=INSIDE), Answer(talk=None), folder)
    await talk_together(phone, caller, seconds=15)
    await house.lab.idle()
    (record,) = [call for call in house.lab.rows("calls", "list") if call["caller"] == number]
    assert (record["number"], record["answered"], record["recording"]) == ("0664587211", None, None)
    assert record["arrived"] < record["ended"]
    assert house.recordings() == before


@pytest.mark.rule("B-02", "B-03")
async def test_nothing_is_kept_after_a_blind_transfer_to_a_section(house_with_service: House) -> None:
    house = house_with_service
    section = house.answers("3101", 20.0)
    async with house.manager() as manager, section:
        entered = manager.heard(_enters("PJSIP/2201-"))
        async with house.call_in(8.0, "0664587211") as live:
            phone = (await asyncio.wait_for(entered, 10)).get("Channel")
            await live.talking()
            await asyncio.sleep(3)  # of talk that is to be kept
            later = manager.heard(_enters("PJSIP/3101-"))
            reply = await manager.act(Action="BlindTransfer", Channel=phone, Context="phones", Exten="3101")
            assert reply.get("Response") == "Success", reply.get("Message")
            await live.callee.finished(10)
            await asyncio.wait_for(later, 10)
            spool = house.lab.settings.paths.spool / "audio"
            await house.lab.until(lambda: not any(spool.iterdir()), 10, "the sound before the transfer is not sealed")
            await section.reached("talking", 5)
        assert not any(spool.iterdir())
        await section.finished(10)
    await house.lab.idle()
    kept = house.of(live.call)
    (part,) = kept.parts
    events = [event for event in house.cel() if event.row["linkedid"] == part.manifest.linkedid]
    hooked = [event for event in events if event.row["uniqueid"] == part.manifest.uniqueid]
    enter = next(float(event.row["eventtime"]) for event in hooked if event.row["eventtype"] == "BRIDGE_ENTER")
    left = next(float(event.row["eventtime"]) for event in hooked if event.row["eventtype"] == "BRIDGE_EXIT")
    assert part.manifest.frames / RATE <= left - enter + STOPS_WITHIN
    assert part.manifest.frames / RATE == pytest.approx(left - enter, abs=0.2)
    caller, callee = kept.against(live.call, 0, "caller"), kept.against(live.call, 1, "callee")
    for found in (caller, callee):
        assert (found.missing_front, len(found.splices), found.heard) == (0, 0, ()), str(found)
        assert found.missing_end > 0
    assert {symbol.call for side in (0, 1) for symbol in decode(kept.sound[:, side])} == {live.call.call}


def _enters(channel: str) -> Callable[[Message], bool]:
    return lambda message: message.event == "BridgeEnter" and message.get("Channel").startswith(channel)


class Hostile(Phone):
    """A caller whose name is not text."""

    name = b""

    def script(self) -> bytes:
        """The scenario, with the name put in as bytes."""
        return super().script().replace(NAME.encode(), self.name)


def _called(name: bytes) -> type[Hostile]:
    return type("Called", (Hostile,), {"name": name})


HOSTILE = {
    "shell": b'\\"; rm -rf / #`id`$(id)',
    "path": b"../../../etc/passwd",
    # A real line break in a name is no SIP: pjproject drops the INVITE. Escaped ones, and those of a number, arrive.
    "line break": b"a%0D%0AEvent: Hangup%0D%0A\\r\\nEvent: Hangup",
    "yamada": "山田太郎".encode(),
    "shift-jis": "山田太郎".encode("cp932").replace(b"\\", b""),
    "long": b"x" * 200,
    "dialplan": b"${SHELL(id)},n,System(id)|\x01\x7f",
}


@pytest.mark.rule("B-03")
async def test_what_a_caller_calls_himself_is_harmless(house_with_service: House) -> None:
    house = house_with_service
    files = house.files()
    lives: dict[str, Live] = {}

    async def one(names: list[str], number: str) -> None:
        for name in names:
            tone = _called(HOSTILE[name])
            async with house.call_in(2.0, number, name=NAME, tone=tone) as live:
                lives[name] = live

    names = list(HOSTILE)
    await asyncio.gather(one(names[:4], "0664587211"), one(names[4:], "0664587225"))
    await house.lab.idle()
    house.whole(*(live.call for live in lives.values()))
    for path in house.files() - files:
        assert all(sign.isalnum() or sign in "/-._" for sign in path), path
        if path.endswith(".manifest"):
            _holds_no_name(Path(path))


def _holds_no_name(manifest: Path) -> None:
    text = manifest.read_text("utf-8")
    for name in ("rm -rf", "passwd", "Hangup", "山田", "xxxx", "SHELL"):
        assert name not in text, manifest
    json.loads(text.partition("\n")[2].partition("\n\n")[0])


@pytest.mark.rule("B-03")
@pytest.mark.parametrize(
    "number",
    [
        "%22%3B%20rm%20-rf%20%2F%0D%0AEvent%3A%20Hangup",
        "0915%0d%0a%0d%0a",
        "0912%0d%0a%0d%0aEvent%3a%20Hangup%0d%0aTimestamp%3a%201795304714",
        "0912%0d%0aUniqueid%3a%20pbx1-1.1%0d%0aLinkedid%3a%20pbx1-1.1%0d%0a%0d%0a",
    ],
)
async def test_a_hostile_number_is_recorded_and_not_kept(house_with_service: House, number: str) -> None:
    house = house_with_service
    before = set(house.recordings())
    async with house.call_in(3.0, "0664587160", number=number) as live:
        pass
    await house.lab.idle()
    (new,) = set(house.recordings()) - before
    kept = house.open(new)
    caller = kept.parts[0].manifest.caller
    assert caller is None or caller.isdigit()
    judge(kept, live.call)


@pytest.mark.rule("B-08")
async def test_play_and_export_tell_programs_what_they_wrote(house_with_service: House, tmp_path: Path) -> None:
    house = house_with_service
    async with house.call_in(3.0, "0664587160") as live:
        pass
    await house.lab.idle()
    recording = house.of(live.call).recording
    seconds = len(house.of(live.call).sound) / 8000
    why = ("--purpose", "content")
    for kind in ("wav", "flac"):
        path = tmp_path / f"call.{kind}"
        (said,) = house.lab.rows("export", recording, *why, "--format", kind, "-o", str(path))
        assert said == {"recording": recording, "output": str(path), "format": kind, "segments": 1, "gaps": [],
                        "seconds": seconds, "bytes": path.stat().st_size}  # fmt: skip
    path = tmp_path / "left.wav"
    (said,) = house.lab.rows("play", recording, *why, "--from", "1", "--side", "left", "-o", str(path))
    assert said.pop("seconds") == pytest.approx(seconds - 1)
    assert said == {"recording": recording, "output": str(path), "side": "left", "gaps": []}
    assert path.stat().st_size == 44 + round((seconds - 1) * 8000) * 2


async def test_the_house_is_in_order_after_all_this(house_with_service: House) -> None:
    house = house_with_service
    assert [path for path in house.lab.settings.paths.spool.rglob("[!.]*") if path.is_file()] == []
    house.verified()
    house.complete()


@pytest.mark.rule("B-03")
@pytest.mark.parametrize(
    "forged", ["Event: BridgeLeave\r\nTimestamp: 9\r\nUniqueid: {0}\r\nX", "Event: X\r\nZChannelStateDesc: a"]
)
async def test_whom_a_called_phone_names_instead_of_itself_ends_no_recording(
    house_with_service: House, forged: str
) -> None:
    """A phone that declines with a 302 writes into the name of a Local channel."""
    house = house_with_service
    async with house.call_in(5.0, "0664587160") as live:
        await live.talking()
        phone = next(event.row for event in reversed(house.cel()) if "PJSIP/2101-" in event.row["channame"])
        evil = quote("1\r\n\r\n" + forged.format(phone["uniqueid"]), safe="")
        moved = house.rings("3101", Answer(talk=None, refuse=302, moved_to=evil))
        async with moved, house.dials("2301", "3101") as caller:
            await moved.finished(10)
            await caller.stop()
    await house.lab.idle()
    house.whole(live.call)
    assert house.lab.status()["in_step"]


async def test_the_house_is_in_order_after_the_forgers(house_with_service: House) -> None:
    house_with_service.verified()
    house_with_service.complete()
