"""Telephones that speak and have keys, and what a recording holds of whom: sample by sample, person by person.

A call that is transferred has more voices than two. Each spells a number of its own; where in a recording it is heard
is found by comparing samples, and whatever is nobody's is a fault.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cti.ami.message import Message
from cti.demo.compare import FRAME, compare
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import Phone
from cti.demo.tones import Samples, Side, decode, reference
from recorder.replay import Part
from tests.real import RATE, House, Kept, Manager

SECONDS = 30.0  # that a voice lasts: longer than any call here
KEYS = Talk(audio=None, keys=True)
PICKS_UP = Answer(talk=KEYS, ring=0.3)


@dataclass(frozen=True, slots=True, eq=False)
class Voice:
    """Somebody at a telephone: the number that is spelled, as which side, for how long."""

    phone: Phone
    call: int
    side: Side
    seconds: float

    @property
    def said(self) -> Samples:
        """All of it."""
        return reference(self.call, self.side, self.seconds)


@dataclass(frozen=True, slots=True)
class Run:
    """Samples of a recording that are samples of what a voice said, from first to last."""

    call: int
    start: int
    end: int
    frm: int
    to: int


def voiced(house: House, phone: Phone, seconds: float = SECONDS) -> Voice:
    """Give a telephone a voice, before it is plugged in."""
    side: Side = "caller" if isinstance(phone.role, Dial) else "callee"
    call, audio = house.spelled(side, seconds)
    role = phone.role
    if not isinstance(role, Answer | Dial) or role.talk is None:
        raise TypeError(f"{phone.line.name} does not talk")
    phone.role = replace(role, talk=replace(role.talk, audio=audio))
    return Voice(phone, call, side, seconds)


def runs(sound: Samples, *voices: Voice) -> list[Run]:
    """Who is heard on one side, in order. A late packet's 20 ms of silence breaks no run (`tests.real.judge`)."""
    found: list[Run] = []
    for voice in voices:
        last: Run | None = None
        for stretch in sorted(compare(sound, voice.said).stretches, key=lambda stretch: stretch.rec_start):
            late = sound[last.end : stretch.rec_start] if last is not None and last.to == stretch.ref_start else None
            if last is not None and late is not None and not late.any() and len(late) % FRAME == 0:
                last = replace(last, end=stretch.rec_end, to=stretch.ref_end)
                found[-1] = last
            else:
                last = Run(voice.call, stretch.rec_start, stretch.rec_end, stretch.ref_start, stretch.ref_end)
                found.append(last)
    return sorted(found, key=lambda run: run.start)


def nobodys(sound: Samples, found: Sequence[Run]) -> int:
    """Samples that are not silent and no voice's."""
    rest = sound.copy()
    for run in found:
        rest[run.start : run.end] = 0
    return int(np.count_nonzero(rest))


def side_of(kept: Kept, part: Part, channel: int) -> Samples:
    """One side of a segment."""
    sound: Samples = kept.sound[part.start : part.start + part.manifest.frames, channel]
    return sound


def holds(kept: Kept, part: Part, left: Sequence[Voice], right: Sequence[Voice]) -> tuple[list[Run], list[Run]]:
    """Both sides of a segment: these voices in this order, each in one piece, without a pause, and nothing else.

    The last packet of the ringing tone may have waited in Asterisk's hook for the bridge: nobody's, and 20 ms long.
    """
    sides = []
    for channel, voices in enumerate((left, right)):
        sound = side_of(kept, part, channel)
        found = runs(sound, *{voice.call: voice for voice in voices}.values())
        where = f"channel {channel} of segment {part.manifest.segment}: {found}, {len(sound)} samples"
        assert [run.call for run in found] == [voice.call for voice in voices], where
        assert nobodys(sound, found) <= channel * FRAME, where
        for before, run in zip((0, *(run.end for run in found)), found, strict=False):
            # Before somebody speaks there is half a second in which media paths open (cti.demo.tones).
            assert run.start - before <= 0.9 * RATE, where
        assert len(sound) - found[-1].end <= 0.3 * RATE, where
        sides.append(found)
    return sides[0], sides[1]


def told(kept: Kept, *voices: Voice) -> list[list[list[Run]]]:
    """Who is heard: of each segment, of each side."""
    return [[runs(side_of(kept, part, channel), *voices) for channel in (0, 1)] for part in kept.parts]


def begins(run: Run, voice: Voice) -> bool:
    """Whether the first sample that was said is there."""
    return run.frm <= int(np.flatnonzero(voice.said)[0])


def anywhere(house: House, voices: Sequence[Voice], recordings: Sequence[str]) -> set[int]:
    """Which of these voices is heard in any of the recordings, on either side."""
    wanted = {voice.call for voice in voices}
    kept = [house.open(recording).sound for recording in recordings]
    return wanted & {symbol.call for sound in kept for side in (0, 1) for symbol in decode(sound[:, side])}


@dataclass(frozen=True, slots=True)
class Watch:
    """A house, and what its PBX says while a test runs."""

    house: House
    manager: Manager
    before: frozenset[str]

    @classmethod
    def on(cls, house: House, manager: Manager) -> "Watch":
        """From now on."""
        return cls(house, manager, frozenset(house.recordings()))

    def new(self) -> list[str]:
        """The recordings that were begun since."""
        return sorted(set(self.house.recordings()) - self.before)

    async def heard(self, event: str, times: int = 1, **headers: str) -> Message:
        """Wait until Asterisk has said `event` so often."""

        def found() -> list[Message]:
            said = [message for message in self.manager.said if message.event == event]
            return [message for message in said if all(message.get(key).startswith(headers[key]) for key in headers)]

        await self.house.lab.until(lambda: len(found()) >= times, 10, f"no {event} {headers}")
        return found()[times - 1]

    async def joins(self, phone: str, times: int = 1) -> str:
        """Wait until a telephone has come into a bridge for the `times`-th time; its channel."""
        return (await self.heard("BridgeEnter", times, Channel=f"PJSIP/{phone}-")).get("Channel")

    async def over(self, *phones: Phone) -> None:
        """All have hung up, and what is to be kept is sealed."""
        for phone in phones:
            await phone.finished(15)
        await self.house.lab.idle()

    def called(self, number: str) -> dict[str, Any]:
        """The record of the call of `number`."""
        (row,) = [row for row in self.house.lab.rows("calls", "list") if row["caller"] == number]
        return row


async def transfers(phone: Phone, target: "str | Phone", to: Phone | None = None) -> None:
    """Give the call away, and hang up when `to` has answered."""
    await phone.press("transfer", target)
    await phone.reached("transferred", 5)
    if to is not None:
        await to.reached("talking", 10)
    if phone.running:
        await phone.press("hang up")
    await phone.finished(10)


async def talk(seconds: float) -> None:
    """Let them talk: nothing tells when a second of speech is over but a second."""
    await asyncio.sleep(seconds)
