"""What travels as sound, recorded: short and silent calls, other codecs, early media, keys, fax, a stream that changes.

A lossless path is judged by the sample, a lossy one by the groups that are spelled in it (`cti.demo.tones`).
"""

import asyncio
import contextlib
import subprocess
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from io import BytesIO
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio
import soundfile

from cti.demo.ear import Ear
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import Phone
from cti.demo.tones import Samples, Side, decode, spell, ulaw_encode
from tests.asterisk.voices import KEYS, PICKS_UP, Voice, runs, side_of, talk, voiced
from tests.real import RATE, House, Kept

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("B-02", "B-03")]

CREDIT, KOZA, FAX = "0664587160", "0664587211", "0664587225"
NAMES = {"ulaw": (0, "PCMU/8000"), "alaw": (8, "PCMA/8000"), "g722": (9, "G722/8000"), "opus": (107, "opus/48000/2")}
PACKET = 160
STEP = {"ulaw": 160, "opus": 960}  # of a packet's time stamp


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(house_with_service: House) -> House:
    """With every codec that this Asterisk has: opus is a module that not every distribution builds."""
    pbx = house_with_service.lab.pbx
    conf = pbx.etc / "pjsip.conf"
    conf.write_text(conf.read_text().replace("allow = ulaw,alaw", "allow = ulaw,alaw,g722,opus"))
    for name in ("res_format_attr_opus.so", "codec_opus_open_source.so"):
        with contextlib.suppress(Exception):
            pbx.rx(f"module load {name}")
    pbx.rx("module reload res_pjsip.so")
    return house_with_service


def coded(name: str) -> type[Phone]:
    """A telephone that knows one codec."""
    payload, mapped = NAMES[name]

    class Coded(Phone):
        def script(self) -> bytes:
            text = super().script().decode()
            for port in ("[rtpstream_audio_port]", *([str(self.role.talk.media_port)] if _own(self.role) else ())):
                text = text.replace(f"m=audio {port} RTP/AVP 0", f"m=audio {port} RTP/AVP {payload}")
            text = text.replace("a=rtpmap:0 PCMU/8000", f"a=rtpmap:{payload} {mapped}")
            return text.replace(',1,0"', f',1,{payload},{mapped}"').encode()

    return Coded


def _own(role: Any) -> bool:
    return getattr(role, "talk", None) is not None and role.talk.media_port is not None


def encoded(path: Path, name: str, sound: Samples) -> Path:
    """`sound` in a file that SIPp plays."""
    form = {"alaw": ("-c:a", "pcm_alaw", "-f", "alaw"), "g722": ("-ar", "16000", "-c:a", "g722", "-f", "g722")}[name]
    raw = ("-f", "s16le", "-ar", "8000", "-ac", "1", "-i", "-")
    said = np.concatenate([sound, np.zeros(10 * RATE, dtype=np.int16)]).astype("<i2").tobytes()
    subprocess.run(["ffmpeg", "-v", "error", "-y", *raw, *form, str(path)], input=said, check=True)
    return path


def opus(sound: Samples) -> list[bytes]:
    """Opus packets of 20 ms, taken out of an Ogg file."""
    file = BytesIO()
    wide = np.repeat(sound.astype(np.float32) / 32768, 6)
    soundfile.write(file, np.stack([wide, wide], axis=1), 48000, format="OGG", subtype="OPUS")
    data, packets, rest, at = file.getvalue(), [], b"", 0
    while at < len(data):
        lacing = data[at + 27 : at + 27 + data[at + 26]]
        at += 27 + len(lacing)
        for length in lacing:
            rest += data[at : at + length]
            at += length
            if length < 255:
                packets.append(rest)
                rest = b""
    return packets[2:]  # two are headers


class Mouth(Ear):
    """Sends packets of any codec, in time; may begin another stream in the middle of the call."""

    def __init__(self) -> None:
        super().__init__()
        self.payload, self.step, self.frames = 0, PACKET, [b""]

    def says(self, name: str, frames: Sequence[bytes], sequence: int = 0) -> None:
        """Before the call; its packets are numbered from `sequence`."""
        self.payload, self.step, self.frames = NAMES[name][0], STEP[name], list(frames)
        self._sequence = sequence

    def another_stream(self, sequence: int) -> int:
        """As a network does that moves a call to another gateway; the number that the stream before had come to."""
        reached = self._sequence
        self._source, self._sequence = self._source ^ 0x5A5A5A5A, sequence
        return reached

    async def _speak(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        last = self.frames[-1]
        while True:
            if self._keys:
                await self._key(self._keys.pop(0))
                due = loop.time()
            self._packet(self.payload, self.frames.pop(0) if self.frames else last, self._stamp)
            self._stamp += self.step
            due += 0.02
            await asyncio.sleep(due - loop.time())


def packets(voice: Voice) -> list[bytes]:
    """What a u-law telephone sends."""
    sound = ulaw_encode(np.concatenate([voice.said, np.zeros(10 * RATE, dtype=np.int16)]))
    return [sound[at : at + PACKET] for at in range(0, len(sound) - PACKET, PACKET)]


def groups(kept: Kept, channel: int, call: int, side: Side) -> list[int]:
    """Where in what was said the groups of one voice are that are heard, in order; nobody else may be."""
    found = decode(kept.sound[:, channel])
    assert {(symbol.call, symbol.side) for symbol in found} == {(call, side)}
    return [symbol.position for symbol in found]


def by_number(house: House, number: str) -> list[str]:
    """The recordings of a caller."""
    return [found for found in house.recordings() if house.segments(found)[0].manifest.caller == number]


async def call(house: House, to: str, phone: Phone, caller: Phone) -> str:
    """Until both have ended; the number that called."""
    async with phone, caller:
        await caller.finished(30)
        await phone.finished(10)
    assert isinstance(caller.role, Dial)
    return caller.role.number


def with_talk(phone: Phone, **changes: Any) -> Phone:
    """The same telephone with another talk."""
    assert isinstance(phone.role, Answer | Dial)
    assert phone.role.talk is not None
    phone.role = replace(phone.role, talk=replace(phone.role.talk, **changes))
    return phone


async def test_calls_that_are_over_at_once(house: House) -> None:
    """FreePBX/issue-tracker#125: files of 44 bytes; #947: files without anything in them."""
    ends = {"2101": (CREDIT, "caller", 0.1), "2201": (KOZA, "phone", 0.1), "2301": (FAX, "caller", 0.3)}
    numbers: dict[str, float] = {}

    async def one(phone: str, to: str, who: str, seconds: float) -> None:
        callee, caller = house.rings(phone, Answer(talk=Talk(audio=None))), house.outside(to)
        for telephone in (callee, caller):
            voiced(house, telephone, 5)
            with_talk(telephone, keys=False)
        with_talk(caller if who == "caller" else callee, hang_up_after=seconds)
        numbers[await call(house, to, callee, caller)] = seconds

    async with house.rings("2102", Answer(talk=None)):
        await asyncio.gather(*(one(phone, *how) for phone, how in ends.items()))
    await house.lab.idle()
    for number, seconds in numbers.items():
        (recording,) = by_number(house, number)
        kept = house.open(recording)
        assert 0 < len(kept.sound) / RATE == pytest.approx(seconds, abs=0.15)
        (row,) = [row for row in house.lab.rows("calls", "list") if row["caller"] == number]
        assert (row["recording"], row["disposition"]) == (recording, "completed")
    assert all(part.manifest.frames for recording in house.recordings() for part in house.segments(recording))


async def test_a_side_that_sends_nothing(house: House) -> None:
    """Stated in docs/explanation/recording.md: the other side's last half second may be missing, and no more."""
    caller = voiced(house, with_talk(house.outside(KOZA), keys=False, hang_up_after=5.0), 5)
    mute = house.rings("2201", Answer(talk=Talk(audio=None)))
    number = await call(house, KOZA, mute, caller.phone)
    await house.lab.idle()
    (recording,) = by_number(house, number)
    kept = house.open(recording)
    (run,) = runs(kept.sound[:, 0], caller)
    assert run.frm <= 0.5 * RATE
    assert run.to > 4.2 * RATE
    assert not kept.sound[:, 1].any()


CODECS = {"2101": (CREDIT, "alaw", "ulaw"), "2201": (KOZA, "g722", "alaw"), "2301": (FAX, "ulaw", "g722")}


async def test_codecs(house: House, tmp_path: Path) -> None:
    """asterisk/asterisk#1276: two codecs in one call; #1779: wide-band sound came out at half its pitch."""

    async def one(phone: str, to: str, outside: str, inside: str) -> tuple[str, dict[Side, int]]:
        """The number that called, and what each side spells."""
        sides: dict[Side, tuple[Phone, str]] = {
            "caller": (house.outside(to), outside), "callee": (house.rings(phone, PICKS_UP), inside),
        }  # fmt: skip
        phones: dict[Side, Phone] = {}
        calls: dict[Side, int] = {}
        for side, (plain, name) in sides.items():
            voice = voiced(house, plain, 5)
            calls[side], folder = voice.call, tmp_path / str(voice.call)
            folder.mkdir()
            if name != "ulaw":
                with_talk(plain, audio=encoded(folder / side, name, spell(voice.call, side, 5)))
            with_talk(plain, keys=False, hang_up_after=5.2 if side == "caller" else None)
            phones[side] = coded(name)(plain.line, plain.role, folder)
        return await call(house, to, phones["callee"], phones["caller"]), calls

    async with house.rings("2102", Answer(talk=None)):
        played = await asyncio.gather(*(one(phone, *how) for phone, how in CODECS.items()))
    await house.lab.idle()
    for number, calls in played:
        (recording,) = by_number(house, number)
        kept = house.open(recording)
        assert len(kept.sound) / RATE == pytest.approx(5.2, abs=0.2)
        for channel, side in enumerate(calls):
            assert groups(kept, channel, calls[side], side) == [RATE // 2 * (1 + group) for group in range(9)]
        assert "fax" not in kept.marks


@contextlib.asynccontextmanager
async def with_a_mouth(
    house: House, name: str = "ulaw", sequence: int = 0
) -> AsyncIterator[tuple[Voice, Mouth, Voice]]:
    """Somebody outside who speaks through a socket, and a phone: both talk."""
    caller = house.outside(KOZA)
    port = 50_000 + 2 * (caller.line.port - 6000)
    voice = voiced(house, caller, 30)
    with_talk(caller, audio=None, media_port=port)
    if name != "ulaw":
        caller = coded(name)(caller.line, caller.role, house.lab.folder / "phones")
        voice = Voice(caller, voice.call, voice.side, voice.seconds)
    mouth = await Mouth.open(port)
    assert isinstance(mouth, Mouth)
    mouth.says(name, packets(voice) if name == "ulaw" else opus(spell(voice.call, voice.side, 30)), sequence)
    agent = voiced(house, house.rings("2201", PICKS_UP))
    try:
        async with agent.phone, caller:
            await agent.phone.reached("talking", 10)
            await caller.reached("talking", 10)
            yield voice, mouth, agent
            await agent.phone.press("hang up")
            await agent.phone.finished(10)
            await caller.finished(10)
    finally:
        mouth.close()
    await house.lab.idle()


async def test_keys_in_the_middle_of_a_talk_move_no_call(house: House) -> None:
    """IssabelFoundation/issabelPBX#26: a feature code ended the recording. No key of a caller does anything here."""
    async with with_a_mouth(house) as (caller, mouth, agent):
        await talk(1.5)
        mouth.press("##3101*2*8")
        await talk(4)
    (recording,) = by_number(house, caller.phone.role.number)
    kept = house.open(recording)
    (part,) = kept.parts
    left, right = runs(side_of(kept, part, 0), caller), runs(side_of(kept, part, 1), agent)
    assert left[0].frm <= RATE // 2
    assert left[-1].to > 2 * RATE
    assert all(after.frm - before.to == 0 for before, after in pairwise(left)), left
    # A packet that came late is a frame of silence between two runs.
    assert sum(run.end - run.start for run in right) > 4.5 * RATE
    assert len(right) <= 2
    assert "fax" not in kept.marks


async def test_opus(house: House) -> None:
    if "opus" not in house.lab.pbx.rx("core show translation paths opus"):
        assert "opus" not in house.lab.pbx.rx("core show codecs audio"), "a codec that cannot be translated"
        return
    async with with_a_mouth(house, "opus") as (caller, _, _agent):
        await talk(4)
    (recording,) = by_number(house, caller.phone.role.number)
    found = groups(house.open(recording), 0, caller.call, "caller")
    assert found[0] == RATE // 2
    assert found == list(range(found[0], found[-1] + 1, RATE // 2))
    assert len(found) >= 6


async def test_a_party_whose_stream_begins_anew_is_missed_until_its_numbers_have_come_as_far(house: House) -> None:
    """A stated limit (docs/decisions/0019): Asterisk's hook takes the new stream's packets for late ones."""
    async with with_a_mouth(house) as (caller, mouth, _agent):
        await talk(2)
        reached = mouth.another_stream(30)
        await talk(2.5)
    (recording,) = by_number(house, caller.phone.role.number)
    before, after = runs(house.open(recording).sound[:, 0], caller)
    assert before.frm <= RATE // 2
    assert (after.frm - before.to) / PACKET == pytest.approx(reached - 30, abs=3)
    # A packet that came late is a frame of silence more: this mouth is one process of many.
    in_time = pytest.approx(after.frm - before.to, abs=PACKET)
    assert after.start - before.end == in_time, "silence in its place: what follows keeps its time"


async def test_the_packet_with_the_number_0_is_missed_where_numbers_begin_again(house: House) -> None:
    """A stated limit (docs/decisions/0019): 20 ms of a side in 21 min 51 s, dropped by Asterisk's hook."""
    async with with_a_mouth(house, sequence=65_536 - 200) as (caller, _mouth, _agent):
        await talk(6)
    (recording,) = by_number(house, caller.phone.role.number)
    before, after = runs(house.open(recording).sound[:, 0], caller)
    assert before.frm <= RATE // 2
    assert (before.to, after.frm) == (199 * PACKET, 200 * PACKET)
    assert after.start == before.end, "no silence in its place"


class Early(Phone):
    """Somebody outside who is heard before he answers."""

    def script(self) -> bytes:
        """183 with a session, and the stream from there on."""
        text = super().script().decode()
        start = text[text.index('<exec rtp_stream="') :].partition("/>")[0] + "/>"
        head, _, rest = text.replace(start, "").partition("SIP/2.0 180 Ringing")
        session = rest[rest.index("Content-Type: application/sdp") :].partition("]]>")[0]
        rest = rest.replace("Content-Length: 0", session.strip(), 1)
        rest = rest.replace('<log message="ringing"/>', f'{start}<log message="ringing"/>', 1)
        return (head + "SIP/2.0 183 Session Progress" + rest).encode()


async def test_early_media_is_heard_and_not_kept(house: House) -> None:
    number = "0602999002"
    plain = await house.away(number, Answer(talk=KEYS, ring=1.5))
    away = voiced(house, plain)
    early = Early(plain.line, plain.role, house.lab.folder / "phones")
    phone = voiced(house, house.dials("2301", number))
    async with early, phone.phone:
        await early.reached("talking", 10)
        await phone.phone.reached("talking", 10)
        await talk(2)
        await phone.phone.press("hang up")
        await phone.phone.finished(10)
        await early.finished(10)
    await house.lab.idle()
    (recording,) = [found for found in house.recordings() if house.segments(found)[0].manifest.callee == number]
    kept = house.open(recording)
    (left,), (right,) = runs(kept.sound[:, 0], away), runs(kept.sound[:, 1], phone)
    assert (left.start, left.frm) == (pytest.approx(0, abs=0.1 * RATE), pytest.approx(1.5 * RATE, abs=0.3 * RATE))
    assert left.end >= len(kept.sound) - 0.3 * RATE
    assert right.frm <= RATE // 2


async def test_a_fax_is_recorded_and_marked(house: House, tmp_path: Path) -> None:
    def tone(hertz: float, seconds: float) -> Samples:
        return (4000 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.int16)

    pause = np.zeros(3 * RATE, dtype=np.int16)
    machines = {"caller": [tone(1100, 0.5), pause] * 4, "callee": [pause[:RATE], tone(2100, 3), pause, pause]}
    for side, sound in machines.items():
        (tmp_path / side).write_bytes(ulaw_encode(np.concatenate(sound)))
    caller = with_talk(house.outside(FAX), audio=tmp_path / "caller", keys=False, hang_up_after=4.0)
    machine = with_talk(house.rings("2301", PICKS_UP), audio=tmp_path / "callee", keys=False)
    number = await call(house, FAX, machine, caller)
    await house.lab.idle()
    (recording,) = by_number(house, number)
    assert house.open(recording).marks.count("fax") == 1
    assert "'what': 'fax'" in str(house.lab.rows("recordings", "show", recording))


async def test_the_house_is_in_order(house: House) -> None:
    house.verified()
    house.complete()
