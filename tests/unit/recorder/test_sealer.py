"""Growing files in RAM into the vault and out again, with the process killed and the disk full wherever they can be."""

import errno
import os
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder import sealer as sealer_module
from recorder import segment as segment_module
from recorder.about import About
from recorder.sealer import PUNCH_BYTES, Sealer, Work
from recorder.spool import SAMPLE, Spool
from recorder.take import History, Take
from recorder.vault import folder as folder_module
from recorder.vault.age import Identity
from recorder.vault.errors import SlotErasedError
from recorder.vault.folder import Writer, manifests
from recorder.vault.note import Signer
from recorder.vault.stream import Reader
from recorder.vault.writer import BodyWriter
from recorder.verify import Verifying
from tests.unit.recorder.rig import (
    POLICY,
    RATE,
    START,
    STEP,
    Life,
    MixMonitor,
    Rig,
    interleave,
    noise,
    ram_folder,
    record,
    run,
    take,
)

LENGTH = 6 * RATE
LEFT, RIGHT = noise("left", LENGTH), noise("right", LENGTH)
BOTH = interleave(LEFT, RIGHT)
IDENTITY, SIGNER = Identity.generate(), Signer.generate("kikitori/pbx1/recorder")
CUTS = [(8000, 12000), (20000, 30000)]


class Killed(BaseException):
    """kill -9 at this line."""


@dataclass
class Fuse:
    """Counts the steps that change something, and stops the process, or refuses the disk, at number `at`.

    Odd steps lie before the call, even ones behind it. With `error`, the call that is chosen raises it instead.
    """

    at: int | None = None
    error: OSError | None = None
    count: int = 0
    names: list[str] = field(default_factory=list)

    def tick(self, name: str) -> None:
        self.count += 1
        self.names.append(name)
        if self.count == self.at:
            raise self.error or Killed(name)


STEPS: tuple[tuple[Any, str], ...] = (
    (Writer, "new_key"),
    (Writer, "finish"),
    (Spool, "save"),
    (Spool, "punch"),
    (Spool, "remove"),
    (Spool, "forget"),
    (BodyWriter, "create"),
    (BodyWriter, "flush"),
    (BodyWriter, "close"),
    (sealer_module, "discard_tails"),
    (segment_module, "discard_tails"),
    (segment_module, "adopt"),
    (folder_module, "write_new"),
)
# What writes to the vault's disk, and so can be refused by it.
DISK = tuple(step for step in STEPS if step[0] is not Spool)


@contextmanager
def fused(fuse: Fuse, steps: tuple[tuple[Any, str], ...] = STEPS, *, behind: bool = True) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for owner, name in steps:
            patch.setattr(owner, name, wrapped(owner.__dict__[name], name, fuse, behind))
        yield


def wrapped(original: Any, name: str, fuse: Fuse, behind: bool) -> Any:
    call = original.__func__ if isinstance(original, classmethod) else original

    def step(*args: Any, **kwargs: Any) -> Any:
        fuse.tick(f"before {name}")
        result = call(*args, **kwargs)
        if behind:
            try:
                fuse.tick(f"after {name}")
            except Killed:
                if isinstance(result, BodyWriter):
                    result.abandon()  # a killed process holds no lock
                raise
        return result

    return classmethod(step) if isinstance(original, classmethod) else step


@pytest.fixture
def rig() -> Iterator[Rig]:
    with ram_folder() as folder:
        yield Rig(folder / "vault", folder / "spool")


def kept(cuts: list[tuple[int, int]], length: int = LENGTH) -> bytes:
    """The interleaved samples that no cut takes away."""
    at, parts = 0, []
    for begin, end in sorted(cuts):
        parts.append(BOTH[4 * at : 4 * begin])
        at = min(end, length)
    return b"".join([*parts, BOTH[4 * at :]])


def check(rig: Rig, recording: str, expected: bytes, *, gaps: bool = False) -> None:
    """Sample-identical, without overlap or gap, every file as its manifest says, nothing left in the spool."""
    parts = rig.parts(recording)
    assert rig.sound(recording) == expected
    assert [part.start for part in parts] == [sum(p.manifest.frames for p in parts[:n]) for n in range(len(parts))]
    if not gaps:
        assert all(part.gap == 0 for part in parts)
    findings = Verifying(rig.vault, [rig.signer.verifier], lambda _epoch: (rig.identity,))
    for path in rig.vault.manifests():
        assert not list(findings.segment(path))
    assert not list(findings.strays(rig.vault.unfinished()))
    assert not list((rig.vault.root / "segments").rglob("*.tail?"))
    assert not [path for path in rig.spool_root.rglob("*") if path.is_file()]
    names = {path.name.removesuffix(".manifest") for path in rig.vault.manifests()}
    assert set(rig.told.names) <= names <= set(rig.vault.waiting("log"))


# --- a life without accidents -----------------------------------------------------------------------------------------


@pytest.mark.rule("B-03", "B-13")
def test_sides_that_grow_at_different_times_come_out_sample_identical(rig: Rig) -> None:
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life()
    work = life.begin(made)
    for side in (0, 1, 1, 0, 0, 1, 1, 0):
        monitor.write(*((STEP, 0), (0, STEP))[side])
        life.sealer.step(work)
        shorter = min(path.stat().st_size if path.exists() else 0 for path in monitor.paths) // SAMPLE
        assert (work.segment.fed if work.segment else 0) == shorter
        assert not rig.told.names
    run(life, work)
    assert rig.told.names == [f"{made.order.recording}.001"]
    manifest = rig.parts(made.order.recording)[0].manifest
    assert (manifest.state, manifest.frames, manifest.take_offset) == ("sealed", LENGTH, 0)
    check(rig, made.order.recording, BOTH)


@pytest.mark.rule("B-02")
def test_nothing_is_kept_before_a_designated_phone_is_there_and_all_of_it_afterwards(rig: Rig) -> None:
    made = take(joined=False)
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life()
    work = life.begin(made)
    while monitor.write():
        assert not life.sealer.step(work)
    assert not list((rig.vault.root / "segments").iterdir())
    assert rig.vault.slots.count() == 0
    made.joined = True
    run(life, work)
    check(rig, made.order.recording, BOTH)


@pytest.mark.rule("B-02")
def test_a_take_that_no_designated_phone_joined_leaves_nothing_but_a_line(rig: Rig) -> None:
    made = take(joined=False)
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT).write(LENGTH * 2, LENGTH * 2)
    life = rig.life()
    work = life.begin(made)
    run(life, work)
    assert work.done
    assert rig.told.dropped == [(made.id, "no designated phone", LENGTH)]
    assert not [path for path in rig.spool_root.rglob("*") if path.is_file()]
    assert not list((rig.vault.root / "segments").iterdir())


@pytest.mark.thorough
@pytest.mark.rule("B-03")
def test_three_hours(rig: Rig) -> None:
    """A minute of it is a second of speech, each another, and silence: it compresses well and goes fast."""
    minute = 60 * RATE * SAMPLE
    said = [noise(f"minute {number}", RATE).ljust(minute, b"\0") for number in range(180)]
    made, life, held = take(), rig.life(), []
    work = life.begin(made)
    for number, left in enumerate(said):
        MixMonitor(rig.spool_root, made.stem, left, said[number - 1]).write(minute, minute)
        run(life, work, closed=False)
        held.append(sum(path.stat().st_blocks * 512 for path in (rig.spool_root / "audio").iterdir()))
    made.leave(START + timedelta(hours=3))
    run(life, work)
    assert max(held) < 4 * minute, "what is sealed leaves the RAM"
    (part,) = rig.parts(made.order.recording)
    assert (part.manifest.frames, part.manifest.end) == (3 * 3600 * RATE, START + timedelta(hours=3))
    for number, left in enumerate(said):
        heard = rig.player().joined([part], number * 60 * RATE, (number + 1) * 60 * RATE)
        assert b"".join(heard) == interleave(left, said[number - 1]), f"minute {number}"


def witnessed(made: Take, frm: float, to: float) -> History:
    """Asterisk wrote down that a designated phone was with the channel from `frm` to `to`, seconds from its start."""
    span = START + timedelta(seconds=frm), START + timedelta(seconds=to)
    return History(order=made.order, spans=(span,), talks=(span,), ended=span[1])


@pytest.mark.rule("B-03")
def test_a_talk_that_nobody_told_of_is_kept_because_asterisk_wrote_it_down(rig: Rig) -> None:
    made = take(joined=False, entered=None)
    rig.known[made.order.uniqueid] = witnessed(made, 0, LENGTH / RATE)
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT).write(LENGTH * 2, LENGTH * 2)
    life = rig.life()
    run(life, life.begin(made))
    check(rig, made.order.recording, BOTH)
    assert rig.told.dropped == []
    assert not [path for path in rig.spool_root.rglob("*") if path.is_file()]


@pytest.mark.rule("B-02")
def test_a_talk_before_this_recording_began_is_not_its_own(rig: Rig) -> None:
    made = take(joined=False, entered=None)
    made.began = (START + timedelta(seconds=9)).isoformat()
    rig.known[made.order.uniqueid] = witnessed(made, 0, 8)
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT).write(LENGTH * 2, LENGTH * 2)
    life = rig.life()
    run(life, life.begin(made))
    assert [reason for _, reason, _ in rig.told.dropped] == ["no designated phone"]


@pytest.mark.parametrize("missing", [0, 1])
@pytest.mark.parametrize("short", [LENGTH - 1, LENGTH // 2, 1, 0])
def test_a_side_that_ended_early_goes_on_as_silence_once_both_are_closed(rig: Rig, missing: int, short: int) -> None:
    sides = [LEFT, RIGHT]
    sides[missing] = sides[missing][: 2 * short]
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, sides[0], sides[1]), rig.life()
    work = life.begin(made)
    monitor.write(2 * LENGTH, 2 * LENGTH)
    run(life, work, closed=False)
    assert (work.segment.fed if work.segment else 0) == short
    run(life, work)
    sides[missing] = sides[missing].ljust(2 * LENGTH, b"\0")
    check(rig, made.order.recording, interleave(*sides))


def test_memory_behind_what_is_synced_is_given_back(rig: Rig) -> None:
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life()
    work = life.begin(made)
    more = True
    while more:
        more = monitor.write()
        run(life, work, closed=False)
        assert work.segment is not None
        held = sum(path.stat().st_blocks * 512 for path in monitor.paths)
        size = sum(path.stat().st_size for path in monitor.paths)
        assert held <= size - 2 * work.punched + 2 * 4096
        assert work.segment.synced * SAMPLE - work.punched < PUNCH_BYTES
        assert work.punched <= work.segment.synced * SAMPLE
    assert work.punched > 0
    run(life, work)
    check(rig, made.order.recording, BOTH)


def test_a_manifest_says_where_its_sound_comes_from(rig: Rig) -> None:
    record(rig, "three", LEFT, RIGHT, breaks=2)
    parts = rig.parts(take("three").order.recording)
    assert [part.manifest.take_offset for part in parts] == [0, LENGTH // 3, 2 * LENGTH // 3]
    assert [part.manifest.reason for part in parts] == ["recorder stopped in good order"] * 2 + [None]
    assert all(earlier.manifest.end == later.manifest.start for earlier, later in pairwise(parts))
    assert parts[0].manifest.start.isoformat() == "2026-04-01T00:00:00+00:00"
    assert (parts[-1].manifest.end - parts[0].manifest.start).total_seconds() == LENGTH / RATE
    assert {part.manifest.take for part in parts} == {take("three").stem}
    assert len({part.manifest.slot for part in parts}) == len({part.manifest.nonce for part in parts}) == 3
    check(rig, take("three").order.recording, BOTH)


def test_the_decrypted_body_is_a_flac_that_the_reference_decoder_accepts(rig: Rig, tmp_path: Path) -> None:
    made = record(rig, "flac", LEFT, RIGHT)
    manifest = rig.parts(made.order.recording)[0].manifest
    with rig.player().body(manifest) as body:
        plain = bytearray(Reader(body, rig.player().file_key(manifest)).readall())
    plain[8:42] = bytes.fromhex(manifest.streaminfo)
    (tmp_path / "a.flac").write_bytes(plain)
    subprocess.run(["flac", "--test", "--silent", "--warnings-as-errors", tmp_path / "a.flac"], check=True)


def test_what_the_rules_cut_is_not_kept_and_shows_as_a_gap(rig: Rig) -> None:
    made = take()
    made.cuts = [(8000, 12000), (20000, 30000), (46000, 1 << 62)]
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT).write(2 * LENGTH, 2 * LENGTH)
    life = rig.life()
    run(life, life.begin(made))
    parts = rig.parts(made.order.recording)
    assert [part.gap for part in parts] == [0, 0.5, 1.25]
    assert [part.manifest.frames for part in parts] == [8000, 8000, 16000]
    check(rig, made.order.recording, kept(made.cuts), gaps=True)


def test_a_cut_from_the_first_sample_makes_no_empty_segment(rig: Rig) -> None:
    made = take()
    made.cuts = [(0, 40000)]
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT).write(2 * LENGTH, 2 * LENGTH)
    life = rig.life()
    run(life, life.begin(made))
    assert len(rig.parts(made.order.recording)) == 1
    check(rig, made.order.recording, kept(made.cuts))


def test_segments_of_one_take_join_in_its_own_order_though_the_clock_was_set_back(rig: Rig) -> None:
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life()
    work = life.begin(made)
    monitor.write(LENGTH, LENGTH)
    run(life, work, closed=False)
    life.sealer.seal(work, "recorder stopped in good order")
    made.spans = [("2026-04-01T00:00:00+00:00", "2026-04-01T00:00:02+00:00"), ("2026-03-31T23:00:00+00:00", None)]
    monitor.write(LENGTH, LENGTH)
    run(life, work)
    starts = [manifest.start for manifest in manifests(rig.vault, [rig.signer.verifier], made.order.recording)]
    assert starts[1] < starts[0]
    check(rig, made.order.recording, BOTH)


# --- two recordings of one channel ------------------------------------------------------------------------------------


def test_of_two_recordings_of_one_channel_the_first_is_kept_and_the_other_named(rig: Rig) -> None:
    life = rig.life()
    first, second = take(), take()
    second.id, second.starter = "1775001600.9", "fb"
    MixMonitor(rig.spool_root, first.stem, LEFT, RIGHT).write(2 * LENGTH, 2 * LENGTH)
    MixMonitor(rig.spool_root, second.stem, LEFT[8000:], RIGHT[8000:]).write(2 * LENGTH, 2 * LENGTH)
    one, two = life.begin(first), life.begin(second)
    two.follows(one)
    two.closed = True
    assert not life.sealer.step(two)
    assert not two.done, "the first is not over yet"
    run(life, one)
    run(life, two)
    assert rig.told.dropped == [(second.id, "second recording of the same channel", LENGTH - 4000)]
    check(rig, first.order.recording, BOTH)


def two_of_one_channel(rig: Rig, life: Life, shorter: tuple[bytes, bytes]) -> tuple[Work, Work]:
    """A first recording that holds `shorter`, and a second one that holds everything."""
    first, second = take(), take()
    second.id, second.starter = "1775001600.9", "fb"
    MixMonitor(rig.spool_root, first.stem, *shorter).write(2 * LENGTH, 2 * LENGTH)
    MixMonitor(rig.spool_root, second.stem, LEFT, RIGHT).write(2 * LENGTH, 2 * LENGTH)
    one, two = life.begin(first), life.begin(second)
    two.follows(one)
    return one, two


def test_both_are_kept_where_the_first_broke_off(rig: Rig) -> None:
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[:16000], RIGHT[:16000]))
    for side in "rt":
        os.utime(life.spool.path(one.take.stem, side, RATE), (0, rig.spool_root.stat().st_mtime - 2))
    two.closed = True
    run(life, one)
    run(life, two)
    assert not rig.told.dropped
    sounds = {part.manifest.take: part.manifest.frames for part in rig.parts(one.take.order.recording)}
    assert sounds == {one.take.stem: 8000, two.take.stem: LENGTH}


def test_when_the_one_that_was_begun_earlier_began_asterisk_wrote_down(rig: Rig) -> None:
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[-16000:], RIGHT[-16000:]))
    rig.known[one.take.order.uniqueid] = witnessed(one.take, -4, -4 + LENGTH / RATE)
    two.closed = True
    run(life, one)
    run(life, two)
    (part,) = rig.parts(two.take.order.recording)
    assert part.manifest.start == START - timedelta(seconds=4)


@pytest.mark.rule("B-03")
def test_the_one_that_was_begun_earlier_is_kept_whole_and_alone(rig: Rig) -> None:
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[-16000:], RIGHT[-16000:]))
    run(life, one, closed=False)  # it is being written into the vault
    assert one.segment is not None
    slot = one.segment.meta.slot
    run(life, one)
    assert not one.done, "how long the other one is, is not known before it is closed"
    two.closed = True
    run(life, one)
    assert one.done
    run(life, two)
    assert rig.told.dropped == [(one.take.id, "shorter recording of the same channel", 8000)]
    (part,) = rig.parts(two.take.order.recording)
    assert (part.manifest.take, part.manifest.frames) == (two.take.stem, LENGTH)
    earlier = timedelta(seconds=(LENGTH - 8000) / RATE)
    assert abs(part.manifest.start - (START - earlier)) < timedelta(milliseconds=1), "it began so much earlier"
    check(rig, two.take.order.recording, BOTH)
    with pytest.raises(SlotErasedError):
        rig.vault.slots.read(slot)
    kinds = [path.suffix for path in rig.vault.root.glob("segments/*/*")]
    assert sorted(kinds) == [".agebody", ".manifest"]


@pytest.mark.rule("B-03")
def test_what_is_finished_of_the_shorter_one_is_not_taken_back(rig: Rig) -> None:
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[-16000:], RIGHT[-16000:]))
    run(life, one, closed=False)
    life.sealer.seal(one, "recorder stopped in good order")
    two.closed = True
    run(life, one)
    run(life, two)
    assert {part.manifest.take for part in rig.parts(one.take.order.recording)} == {one.take.stem, two.take.stem}


@pytest.mark.rule("B-03")
def test_the_end_that_only_the_second_has_is_kept(rig: Rig) -> None:
    """The first is the longer one, and broke off."""
    life = rig.life()
    first, second = take(), take()
    second.id, second.starter = "1775001600.9", "fb"
    MixMonitor(rig.spool_root, first.stem, LEFT[:80000], RIGHT[:80000]).write(2 * LENGTH, 2 * LENGTH)
    MixMonitor(rig.spool_root, second.stem, LEFT[48000:], RIGHT[48000:]).write(2 * LENGTH, 2 * LENGTH)
    one, two = life.begin(first), life.begin(second)
    two.follows(one)
    for side in "rt":
        os.utime(life.spool.path(first.stem, side, RATE), (0, rig.spool_root.stat().st_mtime - 2))
    two.closed = True
    run(life, one)
    run(life, two)
    assert not rig.told.dropped
    assert {part.manifest.take for part in rig.parts(first.order.recording)} == {first.stem, second.stem}


@pytest.mark.rule("B-03")
def test_of_three_recordings_of_one_channel_the_longest_is_kept_alone(rig: Rig) -> None:
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[-16000:], RIGHT[-16000:]))
    third = take()
    third.id, third.starter = "1775001600.10", "fb"
    MixMonitor(rig.spool_root, third.stem, LEFT[-32000:], RIGHT[-32000:]).write(2 * LENGTH, 2 * LENGTH)
    three = life.begin(third)
    three.follows(one)
    run(life, one)
    two.closed = three.closed = True
    for work in (one, three, two, three):
        run(life, work)
    assert [work.done for work in (one, two, three)] == [True] * 3
    check(rig, two.take.order.recording, BOTH)


@pytest.mark.rule("B-03")
@pytest.mark.parametrize("joined", [True, False])
@pytest.mark.parametrize("number", range(1, 38))
def test_killed_anywhere_while_the_shorter_one_gives_way(rig: Rig, number: int, joined: bool) -> None:
    """A successor finds the two of them, or the longer one, and knows that it is the call: nothing is lost.

    Killed before the first has given way, it is ended where it is, and both are kept.
    """
    life = rig.life()
    one, two = two_of_one_channel(rig, life, (LEFT[-16000:], RIGHT[-16000:]))
    two.take.joined = joined  # one that was adopted late is told by no event that a phone had joined
    life.spool.save(two.take)
    run(life, one, closed=False)
    two.closed = True
    with fused(Fuse(number)), suppress(Killed):
        run(life, one)
        run(life, two)
    life.die()
    heir = rig.life()
    works = {work.take.starter: work for work in heir.recover()}
    if len(works) == 2:
        works["fb"].follows(works["am"])
        works["fb"].closed = True
    for starter in sorted(works):
        run(heir, works[starter])
    heir.die()
    parts = [part.manifest for part in rig.parts(two.take.order.recording)]
    assert sum(manifest.frames for manifest in parts if manifest.take == two.take.stem) == LENGTH
    if number > 2:
        check(rig, two.take.order.recording, BOTH)
        assert {manifest.take for manifest in parts} == {two.take.stem}


# --- killed -----------------------------------------------------------------------------------------------------------


def relive(rig: Rig, drive: Callable[[Life], None]) -> bool:
    """One process; whether it was killed."""
    life = rig.life()
    try:
        life.recover()
        drive(life)
    except Killed:
        return True
    finally:
        life.die()
    return False


def finish_all(life: Life) -> None:
    for work in life.works:
        run(life, work)


def speak_on(life: Life, work: Work, monitor: MixMonitor) -> None:
    while monitor.write():
        life.sealer.step(work)


def whole_life(rig: Rig, monitor: MixMonitor, first: Take | None) -> Callable[[Life], None]:
    def drive(life: Life) -> None:
        if first is not None:
            life.begin(first)
        more = True
        while more:
            more = monitor.write()
            for work in life.works:
                run(life, work, closed=False)
        finish_all(life)

    return drive


def steps_of(cuts: list[tuple[int, int]], fuse: Fuse, second: Fuse | None = None) -> None:
    """A recording under `fuse`; its successor under `second`, and one more that meets no accident."""
    with ram_folder() as folder:
        rig = Rig(folder / "vault", folder / "spool", identity=IDENTITY, signer=SIGNER)
        made = take()
        made.cuts = list(cuts)
        monitor = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT)
        with fused(fuse):
            died = relive(rig, whole_life(rig, monitor, made))
        assert died is (fuse.at is not None)
        if died and fuse.count == 1:
            return  # nothing was begun: Asterisk was not told to record either
        if second is not None:
            with fused(second):
                relive(rig, whole_life(rig, monitor, None))
        relive(rig, whole_life(rig, monitor, None))
        check(rig, made.order.recording, kept(cuts), gaps=bool(cuts))
        assert bytes(2 * RATE) not in rig.sound(made.order.recording), "a hole was read as silence"


def every_step(cuts: list[tuple[int, int]]) -> Fuse:
    fuse = Fuse()
    steps_of(cuts, fuse)
    return fuse


@pytest.mark.parametrize("cuts", [[], CUTS], ids=["whole", "cut"])
def test_a_kill_between_any_two_steps_costs_no_sample(cuts: list[tuple[int, int]]) -> None:
    fuse = every_step(cuts)
    assert {name.split()[1] for name in fuse.names} >= {"finish", "save", "punch", "remove", "forget", "discard_tails"}
    for at in range(1, fuse.count + 1):
        steps_of(cuts, Fuse(at))


@pytest.mark.parametrize("late", [False, True], ids=["early", "late"])
def test_nor_does_a_kill_of_the_successor_at_any_step(late: bool) -> None:
    fuse = every_step(CUTS)
    flushes = [number for number, name in enumerate(fuse.names, start=1) if name == "after flush"]
    first = flushes[-1] if late else flushes[len(flushes) // 2]
    at, reached = 1, True
    while reached:
        second = Fuse(at)
        steps_of(CUTS, Fuse(first), second)
        reached = second.count == at
        at += 1
    assert at > 10


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_whatever_the_writes_and_however_many_kills_the_recording_is_whole(data: st.DataObject) -> None:
    with ram_folder() as folder:
        rig = Rig(folder / "vault", folder / "spool", identity=IDENTITY, signer=SIGNER)
        made = take()
        monitor = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT)
        life = rig.life()
        life.begin(made)
        sizes = st.integers(0, 40000).map(lambda size: 2 * size)
        more = True
        while more:
            for _ in range(data.draw(st.integers(0, 6), label="writes")):
                more = monitor.write(data.draw(sizes), data.draw(sizes))
                for work in life.works:
                    life.sealer.step(work)
            end = data.draw(st.sampled_from(["kill", "kill in a step", "good order"]), label="end")
            if end == "good order":
                for work in life.works:
                    life.sealer.seal(work, "recorder stopped in good order")
            elif end == "kill in a step":
                more = monitor.write(STEP, STEP)
                with fused(Fuse(data.draw(st.integers(1, 8)))), suppress(Killed):
                    for work in life.works:
                        run(life, work, closed=False)
            life.die()
            life = rig.life()
            life.recover()
            more = monitor.write(STEP, STEP)
        finish_all(life)
        life.die()
        check(rig, made.order.recording, BOTH)


# --- the disk refuses -------------------------------------------------------------------------------------------------


def patient(rig: Rig, monitor: MixMonitor, life: Life, fuse: Fuse) -> int:
    """A recorder that tries again at every tick, as `Recorder` does; how often it was refused."""
    refused = 0

    def tick(*, closed: bool) -> None:
        nonlocal refused
        for work in life.works:
            work.closed = closed
            try:
                while life.sealer.step(work):
                    pass
            except OSError:
                refused += 1

    life.begin(take())
    more = True
    while more:
        more = monitor.write()
        tick(closed=False)
    for _ in range(4):
        tick(closed=True)
    return refused


@pytest.mark.parametrize("steps", [DISK, ((Spool, "save"),)], ids=["vault", "spool"])
def test_a_full_disk_at_any_step_delays_and_loses_nothing(steps: tuple[tuple[Any, str], ...]) -> None:
    at, count = 2 if steps is not DISK else 1, 1
    while True:
        with ram_folder() as folder:
            rig = Rig(folder / "vault", folder / "spool", identity=IDENTITY, signer=SIGNER)
            monitor = MixMonitor(rig.spool_root, take().stem, LEFT, RIGHT)
            fuse = Fuse(at, OSError(errno.ENOSPC, "No space left on device"))
            life = rig.life()
            with fused(fuse, steps, behind=False):
                refused = patient(rig, monitor, life, fuse)
            assert all(work.done for work in life.works), fuse.names[at - 1]
            life.die()
            check(rig, take().order.recording, BOTH)
            if not refused:
                break
        at, count = at + 1, count + 1
    assert count >= 3


def test_a_disk_that_stays_full_keeps_the_sound_in_ram_and_does_not_eat_slots(rig: Rig) -> None:
    monitor, life = MixMonitor(rig.spool_root, take().stem, LEFT, RIGHT), rig.life()
    work = life.begin(take())
    monitor.write(2 * LENGTH, 2 * LENGTH)

    def full(*_: Any, **__: Any) -> Any:
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(BodyWriter, "create", full)
        for _ in range(20):
            with pytest.raises(OSError, match="No space"):
                life.sealer.step(work)
    assert work.punched == 0
    assert rig.vault.slots.count() == 1
    run(life, work)
    assert rig.told.names == [f"{take().order.recording}.001"]
    check(rig, take().order.recording, BOTH)


def test_a_kill_while_the_disk_is_full_costs_nothing(rig: Rig) -> None:
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life()
    work = life.begin(made)
    with (
        fused(Fuse(2, OSError(errno.ENOSPC, "full")), ((BodyWriter, "flush"),), behind=False),
        pytest.raises(OSError, match="full"),
    ):
        speak_on(life, work, monitor)
    life.die()
    monitor.write(2 * LENGTH, 2 * LENGTH)
    relive(rig, finish_all)
    check(rig, made.order.recording, BOTH)


def test_the_plaintext_of_a_segment_says_what_it_is(rig: Rig) -> None:
    made = record(rig, "named", LEFT, RIGHT, breaks=1)
    for part in rig.parts(made.order.recording):
        manifest = part.manifest
        with rig.player().body(manifest) as body:
            about = About.read(Reader(body, rig.player().file_key(manifest)).readall(), [rig.signer.verifier])
        same = (
            "recording",
            "segment",
            "conversation",
            "linkedid",
            "channel",
            "uniqueid",
            "take",
            "number",
            "direction",
        )
        assert [getattr(about, name) for name in same] == [getattr(manifest, name) for name in same]
        assert (about.offset, about.rate) == (manifest.take_offset, manifest.rate)
        assert datetime.fromisoformat(about.began) == manifest.start


def test_the_rate_of_the_policy_is_the_rate_of_the_manifest(rig: Rig) -> None:
    made = take(rate=16000)
    MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT, "sln16").write(2 * LENGTH, 2 * LENGTH)
    life = rig.life()
    run(life, life.begin(made))
    manifest = rig.parts(made.order.recording)[0].manifest
    assert (manifest.rate, manifest.frames) == (16000, LENGTH)
    check(rig, made.order.recording, BOTH)


@pytest.mark.parametrize("level", range(9))
def test_a_kill_costs_no_sample_at_any_level_of_compression(rig: Rig, level: int) -> None:
    policy = POLICY.model_copy(update={"flac_level": level})
    made = take()
    monitor, life = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT), rig.life(policy)
    work = life.begin(made)
    monitor.write(3 * STEP, 3 * STEP)
    run(life, work, closed=False)
    life.die()
    monitor.write(2 * LENGTH, 2 * LENGTH)
    relive(rig, finish_all)
    check(rig, made.order.recording, BOTH)


def test_segments_are_numbered_on_from_what_lies_in_the_vault(rig: Rig) -> None:
    record(rig, "again", LEFT, RIGHT)
    record(rig, "again", LEFT, RIGHT)
    assert rig.told.names == [f"{take('again').order.recording}.00{number}" for number in (1, 2)]
    assert isinstance(rig.life().sealer, Sealer)


@pytest.mark.rule("B-03")
def test_a_full_spool_is_emptied_before_anything_is_written_into_it(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    made = take("full")
    monitor = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT)
    life = rig.life()
    work = life.begin(made)
    monitor.write()  # too little to be punched by itself
    while life.sealer.step(work):
        pass
    life.die()
    monitor.write(2 * LENGTH, 2 * LENGTH)
    successor = rig.life()
    (inherited,) = successor.recover()
    path = successor.spool.path(made.stem, "r", RATE)
    before = path.stat().st_blocks

    def full(_take: Take) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(successor.spool, "save", full)
        with pytest.raises(OSError, match="full"):
            successor.sealer.step(inherited)
    assert path.stat().st_blocks < before
    run(successor, inherited)
    assert rig.sound(made.order.recording) == BOTH
