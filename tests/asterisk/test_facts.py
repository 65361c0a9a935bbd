"""What telephones really do on a real PBX -> the facts that are heard of it. Told by hand, beside each.

Parking and a conference are what other PBXs have: they are added to ours while it runs. KIKITORI_KEEP_STREAMS=folder
keeps what Asterisk said, for `kikitori calls replay`.
"""

import asyncio
import contextlib
import os
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from cti.ami.message import Message
from cti.calls.model import Fact
from cti.calls.tracker import Call, Tracker
from cti.demo.scenarios import Answer, Talk
from cti.demo.sipp import Phone
from policies.load import Policies
from tests.real import House, Manager
from tests.story import story

pytestmark = pytest.mark.asyncio(loop_scope="module")

KEYS = Talk(audio=None, keys=True)
PICKS_UP = Answer(talk=KEYS, ring=0.5)
RINGS_ON = Answer(talk=None)
BUSY = Answer(talk=None, refuse=486)
DAIHYO, CREDIT, KOZA = "0664581132", "0664587160", "0664587211"
SECTION, PARKING = "sip:3101@127.0.0.1:5060", "sip:700@127.0.0.1:5060"
QUEUE = ("2001", "2002", "2003")
TALK = "A Arrived trunk; A Ringing 2201; A Answered 2201"


class Ear:
    """Hears one test's calls."""

    def __init__(self, house: House, manager: Manager) -> None:
        self.house, self.manager = house, manager
        self.plan = Policies(house.lab.settings.paths.policies).plan

    async def heard(self, event: str, **headers: str) -> Message:
        """Wait until Asterisk has said `event`, in this test's time."""

        def found() -> Message | None:
            for message in self.manager.said:
                if message.event == event and all(message.get(name).startswith(headers[name]) for name in headers):
                    return message
            return None

        await self.house.lab.until(lambda: found() is not None, 10, f"no {event}")
        message = found()
        assert message is not None
        return message

    async def channel(self, phone: str) -> str:
        """The channel of a phone that is in a bridge."""
        return (await self.heard("BridgeEnter", Channel=f"PJSIP/{phone}-")).get("Channel")

    def story(self) -> str:
        facts, calls = self._understood()
        assert calls == []
        return story(facts)

    def all_over(self) -> bool:
        """Whether what was heard by now says so: an event may come later than the channel goes."""
        return not self._understood()[1]

    def _understood(self) -> tuple[list[Fact], list[Call]]:
        tracker = Tracker(pbx="pbx1", plan=self.plan)
        facts = [fact for message in list(self.manager.said) for fact in tracker.feed(message)]
        return facts, tracker.calls()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def other_features(house_with_service: House) -> House:
    """A parking lot at 700, a conference at 800, and a queue that rings all three of its phones at once."""
    pbx = house_with_service.lab.pbx
    queues = pbx.etc / "queues.conf"
    queues.write_text(queues.read_text().replace("rrmemory", "ringall"))
    pbx.rx("queue reload all")
    (pbx.etc / "res_parking.conf").write_text("[general]\n[default]\nparkext = 700\nparkpos = 701-720\n")
    (pbx.etc / "confbridge.conf").write_text("[general]\n")
    for name in ("res_parking.so", "app_confbridge.so"):
        pbx.rx(f"module load {name}")
    pbx.rx("dialplan add extension 700,1,Park into phones")
    pbx.rx("dialplan add extension 701,1,ParkedCall,default,701 into phones")
    pbx.rx("dialplan add extension 800,1,ConfBridge,1 into phones")
    for phone in QUEUE:
        pbx.rx(f"queue unpause member PJSIP/{phone} queue daihyo")
    return house_with_service


@pytest_asyncio.fixture(loop_scope="module")
async def ear(other_features: House, request: pytest.FixtureRequest) -> AsyncIterator[Ear]:
    async with other_features.manager() as manager:
        yield Ear(other_features, manager)
        if folder := os.environ.get("KIKITORI_KEEP_STREAMS"):
            raw = b"".join(message.raw + b"\r\n\r\n" for message in manager.said)
            await asyncio.to_thread(Path(folder, f"{request.node.name}.ami").write_bytes, raw)


async def over(ear: Ear, *phones: Phone) -> None:
    """All of them have hung up, and Asterisk has said so."""
    for phone in phones:
        await phone.finished(15)
    await ear.house.lab.idle()
    await asyncio.to_thread(_silent, ear)
    await ear.house.lab.until(ear.all_over, 10, "the end of every call was not heard")


def _silent(ear: Ear) -> None:
    assert ear.house.lab.pbx.rx("core show channels count").startswith("0 active channels")


async def transfers(phone: Phone, target: "str | Phone") -> None:
    """A telephone hangs up when it is told that the transfer has begun."""
    await phone.press("transfer", target)
    await phone.reached("transferred", 5)
    await phone.press("hang up")
    await phone.finished(10)


@contextlib.asynccontextmanager
async def in_a_call(ear: Ear, to: str = KOZA, phone: str = "2201") -> AsyncIterator[tuple[Phone, Phone]]:
    """A caller talks to a designated phone."""
    async with ear.house.rings(phone, PICKS_UP) as picks_up, ear.house.outside(to) as caller:
        await picks_up.reached("talking", 10)
        await caller.reached("talking", 10)
        await ear.channel("trunk")
        yield caller, picks_up


@contextlib.asynccontextmanager
async def consulting(ear: Ear, role: Answer) -> AsyncIterator[tuple[Phone, Phone, Phone, Phone]]:
    """The caller is on hold, and the phone calls 3101 on another line: (caller, phone, its other line, section)."""
    async with in_a_call(ear) as (caller, phone):
        await phone.press("hold")
        await phone.reached("held", 5)
        async with ear.house.rings("3101", role) as section, ear.house.dials("2201", "3101") as other:
            await section.reached("ringing", 10)
            yield caller, phone, other, section


def rings(*phones: str) -> set[str]:
    return {f"A Ringing {phone}" for phone in phones}


async def test_a_queue_rings_three_phones_and_one_answers(ear: Ear) -> None:
    async with contextlib.AsyncExitStack() as stack:
        others = [await stack.enter_async_context(ear.house.rings(phone, RINGS_ON)) for phone in QUEUE[:2]]
        last = await stack.enter_async_context(ear.house.rings("2003", Answer(talk=KEYS, ring=1.5)))
        caller = await stack.enter_async_context(ear.house.outside(DAIHYO))
        await caller.reached("talking", 15)
        await caller.press("hang up")
        await over(ear, *others, last, caller)
    told = ear.story().split("; ")
    assert told[:2] == ["A Arrived trunk", "A QueueEntered trunk"]
    assert set(told[2:5]) == rings(*QUEUE)
    assert told[5:] == ["A Answered 2003", "A QueueLeft trunk", "A Ended completed"]


async def test_abandoned_in_the_queue(ear: Ear) -> None:
    async with contextlib.AsyncExitStack() as stack:
        phones = [await stack.enter_async_context(ear.house.rings(phone, RINGS_ON)) for phone in QUEUE]
        caller = await stack.enter_async_context(ear.house.outside(DAIHYO, cancel_after=1.0))
        await over(ear, caller, *phones)
    told = ear.story().split("; ")
    assert set(told[2:5]) == rings(*QUEUE)
    assert told[5:] == ["A Abandoned trunk", "A QueueLeft trunk", "A Ended cancelled"]


async def test_busy(ear: Ear) -> None:
    async with ear.house.rings("2201", BUSY) as phone, ear.house.outside(KOZA, refused=486) as caller:
        await over(ear, phone, caller)
    assert ear.story() == "A Arrived trunk; A Ended busy"


async def test_declined(ear: Ear) -> None:
    async with ear.house.rings("2201", Answer(talk=None, refuse=603)) as phone, ear.house.outside(KOZA) as caller:
        await phone.finished(10)
        with contextlib.suppress(Exception):
            await caller.finished(5)
        await over(ear)
    assert ear.story() == "A Arrived trunk; A Ended rejected"


async def test_nobody_answers_in_time(ear: Ear) -> None:
    ear.house.lab.pbx.rx("dialplan add extension 850,1,Dial,PJSIP/3102,1 into phones")
    async with ear.house.rings("3102", RINGS_ON) as phone, ear.house.dials("2201", "850") as caller:
        await phone.finished(10)
        with contextlib.suppress(Exception):
            await caller.finished(5)
        await over(ear)
    assert ear.story() == "A Arrived 2201; A Ringing 3102; A Ended no-answer"


async def test_the_caller_gives_up(ear: Ear) -> None:
    async with ear.house.rings("2201", RINGS_ON) as phone, ear.house.outside(KOZA, cancel_after=0.5) as caller:
        await over(ear, phone, caller)
    assert ear.story() == "A Arrived trunk; A Ringing 2201; A Ended cancelled"


async def test_hold(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone):
        await phone.press("hold")
        await phone.reached("held", 5)
        await phone.press("resume")
        await phone.reached("resumed", 5)
        await caller.press("hang up")
        await over(ear, caller, phone)
    assert ear.story() == f"{TALK}; A Held 2201; A Resumed 2201; A Ended completed"


async def test_blind_transfer(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone), ear.house.rings("3101", PICKS_UP) as section:
        await transfers(phone, SECTION)
        await section.reached("talking", 10)
        await section.press("hang up")
        await over(ear, section, caller)
    assert ear.story() == f"{TALK}; A Transferred 2201 blind; A Ringing 3101; A Answered 3101; A Ended completed"


async def test_blind_transfer_to_a_busy_section(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone), ear.house.rings("3101", BUSY) as section:
        await transfers(phone, SECTION)
        await over(ear, section, caller)
    assert ear.story() == f"{TALK}; A Transferred 2201 blind; A Ended completed"


async def test_attended_transfer(ear: Ear) -> None:
    async with consulting(ear, PICKS_UP) as (caller, phone, other, section):
        await other.reached("talking", 10)
        await transfers(phone, other)
        await ear.heard("AttendedTransfer")
        await other.finished(10)
        await section.press("hang up")
        await over(ear, section, caller)
    assert ear.story() == (
        f"{TALK}; A Held 2201; B Arrived 2201; B Ringing 3101; B Answered 3101; A Resumed 2201; A Merged 2201 B; "
        "A Transferred 2201 attended; A Ended completed"
    )


async def test_blonde_transfer(ear: Ear) -> None:
    async with consulting(ear, Answer(talk=KEYS, ring=2.0)) as (caller, phone, other, section):
        await other.reached("ringing", 10)
        await transfers(phone, other)
        await ear.heard("AttendedTransfer")
        await section.reached("talking", 10)
        await section.press("hang up")
        await over(ear, section, caller)
    assert ear.story() == (
        f"{TALK}; A Held 2201; B Arrived 2201; B Ringing 3101; A Resumed 2201; A Merged 2201 B; "
        "A Transferred 2201 blonde; A Answered 3101; A Ended completed"
    )


async def test_a_consultation_that_failed_and_the_caller_is_taken_back(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone):
        await phone.press("hold")
        await phone.reached("held", 5)
        async with ear.house.rings("3101", BUSY) as section, ear.house.dials("2201", "3101", refused=486) as other:
            await section.finished(10)
            await other.finished(10)
        await phone.press("resume")
        await phone.reached("resumed", 5)
        await phone.press("hang up")
        await over(ear, phone, caller)
    assert ear.story() == f"{TALK}; A Held 2201; B Arrived 2201; B Ended busy; A Resumed 2201; A Ended completed"


async def test_pickup(ear: Ear) -> None:
    async with ear.house.rings("2201", RINGS_ON) as phone, ear.house.outside(KOZA) as caller:
        await phone.reached("ringing", 10)
        async with ear.house.dials("2301", "*8") as picker:
            await picker.reached("talking", 10)
            await caller.reached("talking", 10)
            await picker.press("hang up")
            await over(ear, picker, caller, phone)
    assert ear.story() == (
        "A Arrived trunk; A Ringing 2201; B Arrived 2301; A Merged 2301 B; A Transferred 2301 pickup; A Answered 2301; "
        "A Ended completed"
    )


async def test_forward(ear: Ear) -> None:
    moved = Answer(talk=None, refuse=302, moved_to="3101")
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(ear.house.rings("2201", moved))
        section = await stack.enter_async_context(ear.house.rings("3101", PICKS_UP))
        caller = await stack.enter_async_context(ear.house.outside(KOZA))
        await section.reached("talking", 10)
        await caller.reached("talking", 10)
        await section.press("hang up")
        await over(ear, section, caller)
    assert ear.story() == (
        "A Arrived trunk; A Transferred 2201 forward; A Ringing 3101; A Answered 3101; A Ended completed"
    )


async def test_parked_and_taken_back(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone):
        await transfers(phone, PARKING)
        await ear.heard("ParkedCall")
        async with ear.house.dials("2301", "701") as other:
            await ear.heard("BridgeEnter", Channel="PJSIP/2301-")
            await other.press("hang up")
            await over(ear, other, caller)
    told = ear.story().removeprefix(f"{TALK}; ").split("; ")
    # Asterisk says these two in either order.
    assert set(told[:2]) == {"A Transferred 2201 blind", "A Parked trunk"}
    assert told[2:] == ["B Arrived 2301", "A Merged 2301 B", "A Unparked trunk", "A Ended completed"]


async def test_a_telephone_that_has_transferred_and_hung_up_still_answers_the_pbx(ear: Ear) -> None:
    # Asterisk, unanswered, sends again and again; the next telephone at that port took it for its only call.
    async with in_a_call(ear) as (caller, phone):
        await transfers(phone, PARKING)
        notice = ["NOTIFY sip:2201@127.0.0.1 SIP/2.0", "Via: SIP/2.0/UDP 127.0.0.9;branch=z9hG4bK-late",
                  "Call-ID: late", "CSeq: 7 NOTIFY", "From: <sip:pbx@127.0.0.1>;tag=1",
                  "To: <sip:2201@127.0.0.1>;tag=2", "Subscription-State: terminated;reason=noresource",
                  "Content-Length: 0", "", ""]  # fmt: skip
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as pbx:
            pbx.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendto(pbx, "\r\n".join(notice).encode(), (phone.line.host, phone.line.port))
            answer = (await asyncio.wait_for(loop.sock_recv(pbx, 4096), 5)).decode().split("\r\n")
        assert answer == ["SIP/2.0 200 OK", *notice[1:6], "Content-Length: 0", "", ""]
        await caller.press("hang up")
        await over(ear, caller)


async def test_two_who_are_parked_do_not_talk_to_each_other(ear: Ear) -> None:
    async with in_a_call(ear) as (first, phone):
        await transfers(phone, PARKING)
        async with in_a_call(ear, CREDIT, "2101") as (second, other), ear.house.rings("2102", RINGS_ON):
            await transfers(other, PARKING)
            await ear.heard("ParkedCall", ParkingSpace="702")
            await first.press("hang up")
            await second.press("hang up")
            await over(ear, first, second)
    told = ear.story()
    assert "Merged" not in told
    assert told.count("Ended completed") == 2


async def test_three_in_a_conference(ear: Ear) -> None:
    async with in_a_call(ear) as (caller, phone):
        bridged = await ear.channel("trunk")
        reply = await ear.manager.act(
            Action="Redirect", Channel=bridged, Context="phones", Exten="800", Priority="1",
            ExtraChannel=await ear.channel("2201"), ExtraContext="phones", ExtraExten="800", ExtraPriority="1",
        )  # fmt: skip
        assert reply.get("Response") == "Success", reply.get("Message")
        await ear.heard("ConfbridgeJoin", Channel="PJSIP/trunk-")
        await ear.heard("ConfbridgeJoin", Channel="PJSIP/2201-")
        async with ear.house.dials("3101", "800") as section:
            await ear.heard("ConfbridgeJoin", Channel="PJSIP/3101-")
            await section.press("hang up")
            await section.finished(10)
            await caller.press("hang up")
            await ear.heard("ConfbridgeLeave", Channel="PJSIP/trunk-")
            await phone.press("hang up")
            await over(ear, phone, caller)
    told = ear.story().removeprefix(f"{TALK}; ").split("; ")
    assert set(told[:2]) == {"A ConferenceJoined 2201", "A ConferenceJoined trunk"}
    # Asterisk says of one who comes that he is in the conference or in its bridge, whichever is first.
    arrived, *come = told[2:5]
    assert arrived == "B Arrived 3101"
    assert come in (["A Merged 3101 B", "A ConferenceJoined 3101"], ["B ConferenceJoined 3101", "A Merged 3101 B"])
    assert told[5:7] == ["A ConferenceLeft 3101", "A ConferenceLeft trunk"]
    assert told[7:] == ["A ConferenceLeft 2201", "A Ended completed"]


async def test_click_to_dial_is_one_conversation(ear: Ear) -> None:
    number = "0602999001"
    async with ear.house.rings("2201", PICKS_UP) as phone, await ear.house.away(number, PICKS_UP) as away:
        reply = await ear.manager.act(
            Action="Originate", Channel="PJSIP/2201", Context="phones", Exten=number, Priority="1", CallerID="2201",
            Async="true",
        )  # fmt: skip
        assert reply.get("Response") == "Success", reply.get("Message")
        await away.reached("talking", 10)
        await ear.channel("trunk")
        await phone.press("hang up")
        await over(ear, phone, away)
    assert ear.story() == "A Arrived 2201; A Ringing 2201; A Ringing trunk; A Answered trunk; A Ended completed"
