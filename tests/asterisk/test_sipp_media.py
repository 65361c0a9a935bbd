"""The judge is judged: with real telephones and a real Asterisk, an untouched recording is exact to the sample.

MixMonitor is started here by the dialplan's own fallback (no gate runs): what differs from what was said is the doing
of SIPp or Asterisk, and later tests may hold against the recorder whatever goes beyond it.
To be run by root inside `unshare -n -m -p --fork --mount-proc` with the loopback interface up.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

import numpy as np
import pytest

from cti.demo.compare import Comparison, compare
from cti.demo.pbx import Pbx, absent_modules, ensure_users, find_root, mount_spool
from cti.demo.scenarios import Answer, Dial, Hold, Role, Talk
from cti.demo.sipp import Line, Phone, PhoneError, PhoneTimeoutError, talk_together, write_speech
from cti.demo.tones import PREAMBLE, Side, reference
from cti.pbxconfig import Site
from policies.load import Policies, shipped
from tests.real import at_any_hour

TRUNK, PHONES = "127.0.0.2", "127.0.0.1"
SECONDS = 6.0  # of audio on either side, the preamble included
END = SECONDS + 1  # the stream must outlive what is said: Asterisk's hook is up to half a second behind
NUMBERS = {"0664581132": "2001", "0664587160": "2101", "0664587211": "2201"}


@dataclass
class House:
    """The PBX, and telephones to plug in: every call has a number of its own, and so has its audio."""

    pbx: Pbx
    spool: Path
    folder: Path
    _numbers: Iterator[int] = field(default_factory=lambda: count(1))

    def number(self) -> int:
        return next(self._numbers)

    def speech(self, call: int, side: Side) -> Path:
        return write_speech(self.folder / f"{call}-{side}.ul", call, side, SECONDS)

    def phone(self, extension: str, role: Role) -> Phone:
        line = Line(name=f"phone{extension}", port=20000 + int(extension), media_port=23000 + 4 * int(extension))
        return Phone(line, role, self.folder)

    def trunk(self, call: int, role: Role) -> Phone:
        port = 5070 if isinstance(role, Answer) else 6000 + call
        line = Line(name=f"trunk{call}", host=TRUNK, port=port, media_port=40000 + 4 * call)
        return Phone(line, role, self.folder)

    async def recordings(self) -> list[tuple[Path, Path]]:
        """The `r` and `t` files, once all channels are gone and so all files are closed."""
        await asyncio.to_thread(self._all_hung_up)
        return [(path, path.with_name(path.name.replace("-r.", "-t."))) for path in sorted(self.spool.glob("*-r.sln"))]

    def _all_hung_up(self) -> None:
        end = time.monotonic() + 10
        while "0 active channels" not in self.pbx.rx("core show channels count"):
            assert time.monotonic() < end, self.pbx.rx("core show channels")
            time.sleep(0.02)


@pytest.fixture(scope="module")
def building() -> Iterator[House]:
    policies, users = Policies(shipped()), ensure_users()
    work = Path(tempfile.mkdtemp(prefix="kikitori-media-"))
    mount_spool(work / "spool", users)
    site = Site(
        name="pbx1",
        gate_host="127.0.0.1",
        gate_port=4573,
        ami_bind="127.0.0.1",
        ami_port=5038,
        ami_user="kikitori",
        ami_secret="a-secret-of-the-test",
        sip_bind="127.0.0.1",
        sip_port=5060,
        rtp_start=10000,
        rtp_end=10999,
        spool=str(work / "spool"),
        log_dir=str(work / "log"),
        run_dir=str(work / "run"),
        var_dir=str(work / "var"),
        trunk_match=(TRUNK,),
        trunk_contact=f"sip:{TRUNK}:5070",
        phone_contacts={
            phone: f"sip:{phone}@{PHONES}:{20000 + int(phone)}"
            for group in policies.plan.group
            for phone in group.phones
        },
        codecs=("ulaw",),
        absent=absent_modules(find_root()),
    )
    pbx = Pbx(work, site, decided=at_any_hour(policies), users=users)
    pbx.start()
    try:
        yield House(pbx, work / "spool", work / "phones")
    finally:
        pbx.stop()


@pytest.fixture
def house(building: House) -> House:
    building.folder.mkdir(exist_ok=True)
    for path in building.spool.iterdir():
        path.unlink()
    return building


def against(path: Path, call: int, side: Side) -> Comparison:
    return compare(np.fromfile(path, dtype="<i2"), reference(call, side, SECONDS))


def assert_whole(path: Path, call: int, side: Side) -> None:
    """Every sample, once, in order. A busy machine may add a frame of silence (3 of 320 sides at load 4 to 9)."""
    comparison = against(path, call, side)
    assert comparison.waited is not None, f"{path.name}: {comparison}"
    assert comparison.waited <= 1, f"{path.name}: {comparison}"


def dial(house: House, call: int, number: str, *, end: float | None = END) -> Phone:
    talk = Talk(audio=house.speech(call, "caller"), hang_up_after=end)
    return house.trunk(call, Dial(to=number, number=f"03{call:08d}", name="山田 花子", talk=talk))


def answer(house: House, call: int, extension: str, *, end: float | None = None, hold: Hold | None = None) -> Phone:
    talk = Talk(audio=house.speech(call, "callee"), hang_up_after=end, holds=(hold,) if hold else ())
    return house.phone(extension, Answer(talk=talk))


@pytest.mark.rule("B-03")
async def test_calls_at_once_are_whole_on_both_sides_and_not_mixed_up(house: House) -> None:
    calls = {number: house.number() for number in NUMBERS}
    await asyncio.gather(
        *(
            talk_together(answer(house, call, NUMBERS[number]), dial(house, call, number), seconds=25)
            for number, call in calls.items()
        )
    )
    recordings = await house.recordings()
    assert len(recordings) == len(calls)
    found = {}
    for call in calls.values():
        for r, t in recordings:
            if against(r, call, "caller").stretches:
                found[call] = r
                assert_whole(r, call, "caller")
                assert_whole(t, call, "callee")
    assert len(set(found.values())) == len(calls)


async def test_out_and_the_phone_hangs_up(house: House) -> None:
    call = house.number()
    away = house.trunk(call, Answer(talk=Talk(audio=house.speech(call, "callee"))))
    talk = Talk(audio=house.speech(call, "caller"), hang_up_after=END)
    await talk_together(away, house.phone("2201", Dial(to="0901234567", number="2201", talk=talk)), seconds=25)
    ((r, t),) = await house.recordings()
    assert_whole(r, call, "callee")
    assert_whole(t, call, "caller")


async def test_in_and_the_phone_hangs_up(house: House) -> None:
    call = house.number()
    await talk_together(answer(house, call, "2201", end=END), dial(house, call, "0664587211", end=None), seconds=25)
    ((r, t),) = await house.recordings()
    assert_whole(r, call, "caller")
    assert_whole(t, call, "callee")


async def test_a_hold_takes_nothing_from_either_side(house: House) -> None:
    call, hold = house.number(), Hold(at=2, seconds=1.5)
    phone = answer(house, call, "2101", end=END + hold.seconds, hold=hold)
    async with phone, dial(house, call, "0664587160", end=None) as caller:
        await phone.reached("held", 10)
        await phone.reached("resumed", 10)
        await asyncio.gather(phone.finished(25), caller.finished(25))
    ((r, t),) = await house.recordings()
    assert_whole(r, call, "caller")
    held = against(t, call, "callee")
    assert held.lost == 0, str(held)
    longest = max(splice.extra for splice in held.splices if splice.kind in {"silence", "foreign"})
    assert longest / 8000 == pytest.approx(hold.seconds, abs=0.2)
    assert held.stretches[0].length / 8000 == pytest.approx(hold.at - PREAMBLE, abs=0.2)


async def test_nobody_answers_and_the_caller_gives_up(house: House) -> None:
    caller = house.trunk(house.number(), Dial(to="0664587211", number="0312345678", talk=None, cancel_after=0.5))
    await talk_together(house.phone("2201", Answer(talk=None)), caller, seconds=10)
    assert all(r.stat().st_size == t.stat().st_size == 0 for r, t in await house.recordings())


async def test_busy_is_told_to_who_did_not_expect_it(house: House) -> None:
    away = house.trunk(house.number(), Answer(talk=None, refuse=486))
    expecting = house.phone("2201", Dial(to="0901234567", number="2201", talk=None, refused=486))
    await talk_together(away, expecting, seconds=10)

    talk = Talk(audio=None, hang_up_after=1)
    hoping = house.phone("2201", Dial(to="0901234567", number="2201", talk=talk))
    away = house.trunk(house.number(), Answer(talk=None, refuse=486))
    with pytest.raises(PhoneError, match="486 Busy Here"):
        await talk_together(away, hoping, seconds=10)


async def test_a_telephone_says_what_it_waits_for(house: House) -> None:
    async with house.phone("2001", Answer(talk=Talk(audio=None))) as phone:
        with pytest.raises(
            PhoneTimeoutError, match=r"phone2001 \(Answer on .*:22001\): after 0.2 s it was not ringing"
        ):
            await phone.reached("ringing", 0.2)
        second = Phone(Line(name="second", port=phone.line.port, media_port=45000), phone.role, house.folder)
        with pytest.raises(PhoneError, match="Address already in use"):
            await talk_together(second, seconds=5)
