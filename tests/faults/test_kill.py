"""kill -9 to the recorder, again and again, while calls come and go: every call is kept whole, once.

One storm, many questions. Two long calls (one in, one out) are hit after a megabyte of them was punched out of RAM, and
then over and over; short calls come and go meanwhile, so that each kill finds each of them at another moment: arming,
ringing, just answered, in the middle, being sealed. KIKITORI_SEED repeats the offsets that a failure names.
"""

import asyncio
import contextlib
import os
import random
import signal
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import partial

import pytest
import pytest_asyncio

from cti.ami.message import Message
from cti.demo.tones import decode
from tests.figures import SEED, times
from tests.real import CHUNK, Call, House, Live

pytestmark = pytest.mark.asyncio(loop_scope="session")

LONG = 185.0  # s; the last kill comes after some 150, later where the machine is slow
LAST = 8.0  # s of the long calls that no kill comes into: speech follows the last one
MEGABYTE = 1 << 20
# Seconds after the first kill (more or less), and what is waited for then. The supervisor waits the longer the sooner a
# process dies again, and forgets that after 10 s.
KILLS = (
    *((0.0, "deep"), (3.0, "any"), (6.0, "arming")),
    *((17.0, "sealing"), (20.0, "any"), (22.5, "arming")),
    *((34.0, "any"), (36.5, "sealing"), (39.0, "arming")),
    *((50.0, "deep"), (52.5, "arming"), (55.0, "sealing")),
    *((66.0, "sealing"), (68.5, "any"), (71.0, "arming")),
    *((82.0, "any"), (84.5, "arming"), (87.0, "sealing")),
    *((98.0, "any"), (100.5, "sealing")),
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hit:
    """One kill: how many calls were on, and what lay behind the long ones (`deep` kills only).

    `bodies`: bytes of the bodies being written. `punched`: bytes given back from the RAM of both files of each.
    """

    kind: str
    calls: int
    bodies: tuple[int, ...] = ()
    punched: tuple[int, ...] = ()


@dataclass
class Storm:
    """What was done to the house, by whose seed."""

    house: House
    before: set[str]
    chance: random.Random
    long: list[Call] = field(default_factory=list)
    short: list[Call] = field(default_factory=list)
    hits: list[Hit] = field(default_factory=list)
    on: int = 0
    until: float = float("inf")  # on the loop's clock

    @property
    def calls(self) -> list[Call]:
        return self.long + self.short

    async def run(self) -> None:
        """Calls and kills, until all are over."""
        await asyncio.to_thread(self.house.pause_the_others)
        begun, over = asyncio.Event(), asyncio.Event()
        async with self.house.manager() as manager, asyncio.TaskGroup() as group:
            for placed in (self.house.call_in(LONG), self.house.call_out(LONG, "2002")):
                group.create_task(self._long(placed))
            for number in ("0664587160", "0664587211", "0664587225"):
                group.create_task(self._short(begun, over, partial(self.house.call_in, to=number)))
            for phone in ("2003", "2102"):
                group.create_task(self._short(begun, over, partial(self.house.call_out, phone=phone)))
            await self._deep()
            began = asyncio.get_running_loop().time()
            begun.set()
            for after, kind in KILLS:
                until = began + after + self.chance.uniform(0, 1.2)
                await asyncio.sleep(max(0.0, until - asyncio.get_running_loop().time()))
                bodies, punched = await self._deep() if kind == "deep" else ((), ())
                if kind == "arming":
                    await asyncio.wait_for(manager.heard(_of_trunk("Newchannel")), 20)
                    await asyncio.sleep(self.chance.uniform(0, 0.008))
                elif kind == "sealing":
                    await asyncio.wait_for(manager.heard(_of_trunk("Hangup")), 20)
                    await asyncio.sleep(self.chance.uniform(0, 0.03))
                if asyncio.get_running_loop().time() > self.until:
                    break
                pid = await self.house.process("recorder")
                os.kill(pid, signal.SIGKILL)
                self.hits.append(Hit(kind=kind, calls=self.on, bodies=bodies, punched=punched))
                await self.house.lab.until(partial(self._another, pid), 20, "no recorder was started again")
            over.set()

    def _another(self, pid: int) -> bool:
        return self.house.pid_of("recorder") not in (None, pid)

    async def _deep(self) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Wait until three chunks of what each long call is written to are sealed, and a megabyte of it is punched."""
        found: list[tuple[int, int]] = []

        def deep() -> bool:
            found[:] = [self._behind(call) for call in self.long]
            return len(found) == 2 and all(body > 3 * CHUNK and punched >= MEGABYTE for body, punched in found)

        await self.house.lab.until(deep, 60, "the long calls did not get deep enough")
        bodies, punched = zip(*found, strict=True)
        return bodies, punched

    def _behind(self, call: Call) -> tuple[int, int]:
        paths = self.house.lab.settings.paths
        for path in (paths.spool / "open").glob("*.json"):
            with contextlib.suppress(FileNotFoundError):
                known = path.read_text()
                if f'"{call.party}"' in known:
                    files = [(paths.spool / "audio" / f"am-{path.stem}-{side}.sln").stat() for side in "rt"]
                    bodies = [
                        body.stat().st_size
                        for body in paths.vault.glob("segments/*/*.agebody")
                        if body.name.split(".")[0] in known and not body.with_suffix(".manifest").exists()
                    ]
                    return sum(bodies), sum(max(0, file.st_size - file.st_blocks * 512) for file in files)
        return 0, 0

    async def _long(self, placed: contextlib.AbstractAsyncContextManager[Live]) -> None:
        async with placed as live:
            await live.talking()
            self.long.append(live.call)
            self.until = min(self.until, asyncio.get_running_loop().time() + LONG - LAST)
            self.on += 1
        self.on -= 1

    async def _short(
        self,
        begun: asyncio.Event,
        over: asyncio.Event,
        place: Callable[[float], contextlib.AbstractAsyncContextManager[Live]],
    ) -> None:
        """One call after the other."""
        await begun.wait()
        while not over.is_set():
            await asyncio.sleep(self.chance.uniform(0, 2))
            self.on += 1
            async with place(round(self.chance.uniform(1.5, 8), 2)) as live:
                self.short.append(live.call)
            self.on -= 1


def _of_trunk(event: str) -> Callable[[Message], bool]:
    return lambda message: message.event == event and message.get("Channel").startswith("PJSIP/trunk")


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=range(times(short=1, long=12)))
async def storm(house: House, request: pytest.FixtureRequest) -> AsyncIterator[Storm]:
    """The storm, over."""
    storm = Storm(house, set(house.recordings()), random.Random(SEED + request.param))  # noqa: S311  # no secret
    print(f"KIKITORI_SEED={SEED} storm {request.param}")
    await storm.run()
    await house.lab.idle(60)
    yield storm


@pytest.mark.rule("B-03")
async def test_every_call_is_whole_from_the_first_sample_to_the_last(storm: Storm) -> None:
    storm.house.survived("recorder-killed", *storm.calls, tries=len(storm.hits))


async def test_the_kills_came_when_they_were_to(storm: Storm) -> None:
    assert len(storm.hits) >= 12, f"seed {SEED}: {storm.hits}"
    assert sum(hit.calls for hit in storm.hits) >= 20, f"seed {SEED}: {storm.hits}"
    assert {hit.kind for hit in storm.hits} == {"any", "arming", "sealing", "deep"}
    deep = [hit for hit in storm.hits if hit.kind == "deep"]
    assert len(deep) == 2
    assert all(body > 3 * CHUNK for hit in deep for body in hit.bodies)
    assert all(punched >= MEGABYTE for hit in deep for punched in hit.punched)


async def test_a_cut_segment_is_followed_by_speech(storm: Storm) -> None:
    for call in storm.long:
        parts = storm.house.of(call).parts
        states = [part.manifest.state for part in parts]
        assert states.count("cut") >= 6, f"seed {SEED}: {states}"
        assert states[-1] == "sealed"
        assert parts[-1].manifest.frames > 8000
        assert {part.manifest.reason for part in parts[:-1]} == {"recorder stopped"}
        # A body of three chunks and more is cut where its last sync was, not at its last whole chunk.
        assert sum(part.manifest.body_size > 3 * CHUNK for part in parts if part.manifest.state == "cut") >= 2


async def test_nothing_is_kept_twice(storm: Storm) -> None:
    new = [recording for recording in storm.house.recordings() if recording not in storm.before]
    assert len(new) == len(storm.calls), f"seed {SEED}"
    heard = []
    for recording in new:
        sound = storm.house.open(recording).sound
        heard += [{(symbol.call, symbol.side) for symbol in decode(sound[:, side])} for side in (0, 1)]
    spoken = [who for group in heard for who in group]
    assert all(len(group) <= 1 for group in heard), f"seed {SEED}"
    assert len(spoken) == len(set(spoken)), f"seed {SEED}"


async def test_nothing_is_left_and_the_vault_is_in_order(storm: Storm) -> None:
    spool = storm.house.lab.settings.paths.spool
    assert [path.name for path in spool.rglob("[!.]*") if path.is_file()] == []
    assert not list(storm.house.lab.settings.paths.vault.glob("segments/*/*.tail*"))
    storm.house.verified()
    storm.house.complete()
