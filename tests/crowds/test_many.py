"""Many calls at once for long, and thousands of short ones: all of them kept whole, and nothing is left behind.

Each SIPp plays many telephones that say the same: a recording is judged by the number that was dialled and by what was
said there, and there are as many of them as there were calls.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from cti.demo.compare import FRAME
from cti.demo.lab import TRUNK_HOST
from cti.demo.scenarios import Answer, Dial, Talk
from cti.demo.sipp import Phone, write_speech
from tests import figures
from tests.figures import times
from tests.real import IN, INSIDE, PHONE_PORT, SIDES, Call, House, Kept

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.rule("B-03")]

NUMBERS = ("0664587160", "0664587211", "0664587225")  # each rings one telephone, which takes all of its calls
AT_ONCE = times(short=4, long=34)  # calls of each number
LONG = times(short=12, long=600)  # s
SHORT = times(short=20, long=1000)  # calls of each number, one after the other
RATE = 3.4  # calls of each number begun in a second: ten of all
GROWTH = 16 << 20  # bytes by which the recorder's memory may differ


@contextlib.asynccontextmanager
async def crowd(house: House, first: int, calls: int, seconds: float, together: int) -> AsyncIterator[list[Call]]:
    """`calls` calls to each number, `together` at once, until the last. `first`: the first number that is spelled."""
    made = []
    async with contextlib.AsyncExitStack() as stack:
        callers = []
        for call, number in enumerate(NUMBERS, first):
            folder = house.lab.folder / "phones" / f"crowd-{call}"
            folder.mkdir(parents=True)
            said = {side: write_speech(folder / f"{side}.ulaw", call, side, seconds) for side in ("caller", "callee")}
            answering = Phone(
                house.lab.line(f"p{IN[number]}", port=PHONE_PORT + int(IN[number]), host=INSIDE),
                Answer(talk=Talk(audio=said["callee"])), folder, calls=calls, rate=RATE, together=together,
            )  # fmt: skip
            party = f"0907{call:06d}"
            dial = Dial(to=number, number=party, talk=Talk(audio=said["caller"], hang_up_after=seconds + 1.0))
            calling = Phone(
                house.lab.line("trunk", port=5800 + call % 100, host=TRUNK_HOST), dial,
                folder, calls=calls, rate=RATE, together=together,
            )  # fmt: skip
            await stack.enter_async_context(answering)
            callers.append(await stack.enter_async_context(calling))
            made.append(Call(call=call, seconds=seconds, way="in", party=party))
        yield made
        for caller in callers:
            await caller.finished(calls / together * (seconds + 3) + calls / RATE + 60)


def judged(house: House, fault: str, groups: list[Call], calls: int) -> None:
    """Each number has as many recordings as there were calls, and each says what was said there."""
    wrong, lost, doubled = [], 0, 0
    for group in groups:
        found = house.ids_of(group)
        if len(found) != calls:
            wrong.append(f"{group.party} has {len(found)} recordings of {calls} calls")
        doubled += max(0, len(found) - calls)
        lost += max(0, calls - len(found))
        for recording in found:
            try:
                whole(house.open(recording), group)
            except AssertionError as error:
                wrong.append(str(error))
                lost += 1
    figures.note(fault, tries=1, calls=calls * len(groups), lost=lost, doubled=doubled)
    assert not wrong, f"{fault}: " + "\n".join(wrong[:20])


def whole(kept: Kept, call: Call) -> None:
    """As `judge`, but a packet that is not there counts as one that came late: of so many telephones on one machine
    some send or take one too late.
    """
    for channel, side in enumerate(SIDES):
        found = kept.against(call, channel, side)
        where = f"{call.party}, {side}, segments {kept.states}: {found}"
        assert (found.missing_front, found.missing_end, found.mismatches) == (0, 0, 0), where
        frames = [(splice.extra, splice.missing) for splice in found.splices]
        assert all(samples % FRAME == 0 for pair in frames for samples in pair), where
        assert sum(extra + abs(missing) for extra, missing in frames) <= FRAME * late(call.seconds), where


def late(seconds: float) -> int:
    """Packets that may be late: of figures one in 20 s, as everywhere; of the short form more."""
    return times(short=max(2, int(seconds)), long=2 + int(seconds) // 20)


def held(pid: int) -> tuple[int, int, int]:
    """Open files, threads and bytes of memory of a process."""
    status = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines() if ":" in line)
    return (
        len(list(Path(f"/proc/{pid}/fd").iterdir())),
        int(status["Threads"]),
        int(status["VmRSS"].split()[0]) * 1024,
    )


async def test_many_at_once(house: House) -> None:
    async with crowd(house, 7101, AT_ONCE, LONG, AT_ONCE) as groups:
        await house.lab.until(
            lambda: house.lab.status().get("recording") == AT_ONCE * len(groups), 60, "not all of them are recorded"
        )
    await house.lab.idle(120)
    judged(house, "hundred-calls", groups, AT_ONCE)


async def test_thousands_of_short_ones_leave_nothing(house: House) -> None:
    """sipwise/rtpengine#791: 2,948 of 3,000 were recorded, there were too many open files."""
    recorder = await house.process("recorder")
    # What is remembered of calls (numbers of segments, the last hours) has its size after the first of them.
    async with crowd(house, 7201, max(10, SHORT // 4), 1.0, 4):
        pass
    await house.lab.idle(60)
    before = held(recorder)
    async with crowd(house, 7301, SHORT, 0.6, 4) as groups:
        pass
    await house.lab.idle(60)
    after = held(recorder)
    assert await house.process("recorder") == recorder
    judged(house, "short-calls", groups, SHORT)
    assert after[0] <= before[0] + 2, f"open files: {before[0]}, then {after[0]}"
    assert after[1] <= before[1] + 2, f"threads: {before[1]}, then {after[1]}"
    assert after[2] <= before[2] + GROWTH, f"memory: {before[2]}, then {after[2]}"
    spool = house.lab.settings.paths.spool
    assert [path.name for path in spool.rglob("[!.]*") if path.is_file()] == []


async def test_the_house_is_in_order_after_all_this(house: House) -> None:
    await asyncio.to_thread(house.verified)
    await asyncio.to_thread(house.complete)
