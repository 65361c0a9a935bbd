"""The recorder at work on real files, with a PBX of our own hand."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from recorder import session
from recorder.session import CLEARED, Recorder, SwitchRefusedError
from recorder.spool import Kept, Spool
from recorder.take import History, Order
from recorder.vault.writer import BodyWriter
from tests.unit.recorder.rig import POLICY, RATE, START, Rig, interleave, noise, order, ram_folder

LENGTH = 6 * RATE
LEFT, RIGHT = noise("left", LENGTH), noise("right", LENGTH)
CALL = order("call")


class Pbx:
    """Starts and stops MixMonitor as Asterisk does: a file is open from the start to the stop."""

    def __init__(self) -> None:
        self.files: dict[str, list[int]] = {}
        self.said: list[tuple[str, str]] = []
        self.refuses = False
        self.slow: asyncio.Event | None = None
        self.slow_stop: asyncio.Event | None = None
        self.fails: Exception | None = None

    async def start(self, channel: str, left: Path, right: Path) -> None:
        if self.slow is not None:
            await self.slow.wait()
        if self.refuses:
            raise SwitchRefusedError("No such channel")
        if self.fails is not None:
            raise self.fails
        self.begin(channel, left, right)
        self.said.append(("start", channel))

    def begin(self, channel: str, left: Path, right: Path) -> None:
        opened = [os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o660) for path in (left, right)]
        self.files.setdefault(channel, []).extend(opened)

    async def stop(self, channel: str) -> None:
        if self.slow_stop is not None:
            await self.slow_stop.wait()
        self.said.append(("stop", channel))
        self.hang_up(channel)

    def speak(self, channel: str, start: int, end: int) -> None:
        for number, handle in enumerate(self.files[channel]):
            os.write(handle, (LEFT, RIGHT)[number % 2][2 * start : 2 * end])

    def hang_up(self, channel: str) -> None:
        for handle in self.files.pop(channel, []):
            os.close(handle)


class Site(Rig):
    """One PBX and, one after the other, recorders beside it."""

    def __init__(self, root: Path, spool: Path) -> None:
        super().__init__(root, spool)
        self.pbx = Pbx()

    def recorder(self) -> Recorder:
        return Recorder(
            spool=Spool(self.spool_root),
            writer=self.writer(),
            policy=POLICY,
            switch=self.pbx,
            told=self.told,
            pbx="pbx1",
            now=lambda: START + timedelta(hours=1),
            resolve=self.known.get,
            history_of=self.known.get,
        )

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Recorder]:
        recorder = self.recorder()
        recorder.recover()
        task = asyncio.get_running_loop().create_task(recorder.run())
        await asyncio.sleep(0)
        try:
            yield recorder
        finally:
            for waiting in (self.pbx.slow, self.pbx.slow_stop):
                if waiting is not None:
                    waiting.set()
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
            release(recorder)

    def left(self) -> list[Path]:
        return [path for path in self.spool_root.rglob("[!.]*") if path.is_file()]


def release(recorder: Recorder) -> None:
    """What the end of a process does."""
    for work in recorder.works.values():
        if work.segment is not None:
            work.segment._body.abandon()
    for handle in recorder.spool._files.values():
        os.close(handle)
    recorder.spool._files.clear()


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(session, "TICK", 0.01)
    monkeypatch.setattr(session, "GONE", 0.05)
    monkeypatch.setattr(session, "UNSAID", 0.1)
    with ram_folder() as folder:
        yield Site(folder / "vault", folder / "spool")


async def until(fact: Callable[[], object]) -> None:
    async with asyncio.timeout(5):
        while not fact():  # noqa: ASYNC110  # threads and files change it, and raise no event
            await asyncio.sleep(0.002)


def talk(recorder: Recorder, about: Order = CALL) -> None:
    recorder.bridge(about.uniqueid, START, entered=True)
    recorder.talk(about.uniqueid, "2001", START)


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


@pytest.mark.rule("B-03", "B-13")
async def test_a_call_is_armed_kept_and_sealed_whole(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        assert await recorder.armed(CALL.uniqueid)
        talk(recorder)
        for start in range(0, LENGTH, 16384):
            site.pbx.speak(CALL.channel, start, start + 16384)
            await asyncio.sleep(0)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: site.told.names)
        await until(lambda: not recorder.works)
        assert recorder.hooked([CALL.uniqueid]) == set()
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    manifest = site.parts(CALL.recording)[0].manifest
    assert (manifest.state, manifest.agent, manifest.end) == ("sealed", "2001", at(6))
    assert not site.left()


@pytest.mark.rule("B-13")
async def test_a_file_that_is_touched_while_it_is_written_is_named(site: Site) -> None:
    async with site.running() as recorder:
        assert await recorder.damaged() == []
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, LENGTH // 2)
        await until(lambda: any(work.segment and work.segment.synced for work in recorder.works.values()))
        assert await recorder.damaged() == []
        [path] = (site.vault.root / "segments").rglob("*.agebody")
        with path.open("r+b") as file:
            file.write(b"\0\0")
        assert await asyncio.gather(recorder.damaged(), recorder.damaged()) == [[path], [path]]
        site.pbx.hang_up(CALL.channel)


async def test_a_question_about_a_take_that_is_just_over_is_answered(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        await until(recorder.open_segments)
        asking = asyncio.create_task(recorder.damaged())
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        async with asyncio.timeout(5):
            assert await asking == []
        await until(lambda: not recorder.works)


@pytest.mark.rule("B-03")
async def test_a_full_spool_ends_no_recorder_and_costs_no_sample(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    save = Spool.save
    full = True

    def refusing(self: Spool, take: Kept) -> None:
        if full:
            raise OSError(errno.ENOSPC, "No space left on device")
        save(self, take)

    monkeypatch.setattr(Spool, "save", refusing)
    async with site.running() as recorder:
        recorder.arm(CALL)
        assert await recorder.armed(CALL.uniqueid)
        talk(recorder)
        recorder.mark(CALL.uniqueid, at(1), "hold")
        site.pbx.speak(CALL.channel, 0, LENGTH)
        await until(lambda: recorder.trouble)
        assert "No space left" in str(recorder.trouble)
        full = False
        await until(recorder.open_segments)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
        assert recorder.trouble is None
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


async def test_arming_again_changes_nothing(site: Site) -> None:
    async with site.running() as recorder:
        for _ in range(3):
            recorder.arm(CALL)
            assert await recorder.armed(CALL.uniqueid)
        assert site.pbx.said == [("start", CALL.channel)]
        assert recorder.hooked([CALL.uniqueid, "other"]) == {CALL.uniqueid}
        site.pbx.hang_up(CALL.channel)


async def test_a_question_waits_for_the_answer_that_is_under_way(site: Site) -> None:
    site.pbx.slow = asyncio.Event()
    async with site.running() as recorder:
        recorder.arm(CALL)
        asking = asyncio.create_task(recorder.armed(CALL.uniqueid))
        await asyncio.sleep(0.02)
        assert not asking.done()
        site.pbx.slow.set()
        assert await asking
        assert not await recorder.armed("another")
        site.pbx.hang_up(CALL.channel)


@pytest.mark.rule("B-03")
async def test_what_was_said_after_the_disarming_is_not_there(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, 20000)
        recorder.disarm(CALL.uniqueid, at(3))
        assert recorder.hooked([CALL.uniqueid]) == set()
        await until(lambda: site.told.names)
        assert site.pbx.said == [("start", CALL.channel), ("stop", CALL.channel)]
        recorder.disarm(CALL.uniqueid, at(3))
        await asyncio.sleep(0.02)
        assert len(site.pbx.said) == 2
    assert site.sound(CALL.recording) == interleave(LEFT[:40000], RIGHT[:40000])


async def test_a_stop_waits_for_the_start_that_is_on_its_way(site: Site) -> None:
    site.pbx.slow = asyncio.Event()
    async with site.running() as recorder:
        recorder.arm(CALL)
        recorder.disarm(CALL.uniqueid, at(3))
        await asyncio.sleep(0.02)
        assert not site.pbx.said
        site.pbx.slow.set()
        await until(lambda: len(site.pbx.said) == 2)
    assert site.pbx.said == [("start", CALL.channel), ("stop", CALL.channel)]


@pytest.mark.rule("B-03")
async def test_a_start_waits_for_the_stop_before_it(site: Site) -> None:
    """A phone leaves and the next one joins: the old stop must not end the new recording."""
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        site.pbx.slow_stop = asyncio.Event()
        recorder.disarm(CALL.uniqueid, at(3))
        recorder.arm(CALL)
        await asyncio.sleep(0.02)
        stopped = asyncio.get_running_loop().time()
        site.pbx.slow_stop.set()
        assert recorder.delay(CALL.uniqueid) == timedelta(seconds=CLEARED)
        assert await recorder.armed(CALL.uniqueid)
        assert asyncio.get_running_loop().time() - stopped >= CLEARED, "Asterisk has let go of what it translated with"
        assert recorder.delay(CALL.uniqueid) == timedelta(0)
        assert [what for what, _ in site.pbx.said] == ["start", "stop", "start"]
        assert CALL.channel in site.pbx.files
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


async def test_a_start_that_is_refused_leaves_nothing_and_can_be_asked_again(site: Site) -> None:
    site.pbx.refuses = True
    async with site.running() as recorder:
        recorder.arm(CALL)
        assert not await recorder.armed(CALL.uniqueid)
        assert recorder.hooked([CALL.uniqueid]) == set()
        site.pbx.refuses = False
        recorder.arm(CALL)
        assert await recorder.armed(CALL.uniqueid)
        await until(lambda: len(recorder.works) == 1)
        site.pbx.hang_up(CALL.channel)
    assert not site.told.dropped or site.told.dropped[0][2] == 0


def fallback(site: Site, name: str = CALL.uniqueid) -> None:
    """The dialplan records by itself, under a name of its own."""
    spool = Spool(site.spool_root)
    site.pbx.begin(CALL.channel, spool.path(f"fb-{name}", "r", RATE), spool.path(f"fb-{name}", "t", RATE))


def history(ended: datetime | None = None) -> History:
    return History(order=CALL, spans=((START, ended),), talks=((START, ended),), ended=ended)


@pytest.mark.rule("B-03")
async def test_what_the_dialplan_began_is_adopted_and_whole(site: Site) -> None:
    async with site.running() as recorder:
        fallback(site)
        site.pbx.speak(CALL.channel, 0, 10000)
        await asyncio.sleep(0.03)
        assert not recorder.works, "nobody knows the call yet"
        site.known[CALL.uniqueid] = history()
        await until(lambda: recorder.hooked([CALL.uniqueid]))
        talk(recorder)
        site.pbx.speak(CALL.channel, 10000, LENGTH)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: site.told.names)
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert site.parts(CALL.recording)[0].manifest.take == f"fb-{CALL.uniqueid}"
    assert not site.left()


@pytest.mark.parametrize("known", ["then", "at the end", "never"])
async def test_what_the_dialplan_began_has_asterisks_own_times(site: Site, known: str) -> None:
    """Found in the middle of the call by a recorder that wants to begin: since when, only Asterisk's record tells, and
    that may lag.
    """
    async with site.running() as recorder:
        fallback(site)
        site.pbx.speak(CALL.channel, 0, 10000)
        if known == "then":
            site.known[CALL.uniqueid] = history()
        recorder.arm(CALL)
        recorder.found(CALL.uniqueid, at(1.2))
        recorder.talk(CALL.uniqueid, "2001", at(1.2))
        site.pbx.speak(CALL.channel, 10000, LENGTH)
        if known == "at the end":
            site.known[CALL.uniqueid] = history(ended=at(6))
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert part.manifest.start == (at(1.2) if known == "never" else START)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


# --- Asterisk dies ----------------------------------------------------------------------------------------------------


BROKEN = ("cut", "Asterisk stopped writing before the call had ended")


async def closed_without_a_word(site: Site, recorder: Recorder) -> None:
    """A call of which no end is told; its files are closed."""
    recorder.arm(CALL)
    await recorder.armed(CALL.uniqueid)
    talk(recorder)
    site.pbx.speak(CALL.channel, 0, LENGTH)
    await until(recorder.open_segments)
    site.pbx.hang_up(CALL.channel)


@pytest.mark.rule("B-03")
async def test_a_call_that_asterisk_did_not_live_to_end_is_kept_and_says_so(site: Site) -> None:
    async with site.running() as recorder:
        await closed_without_a_word(site, recorder)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert (part.manifest.state, part.manifest.reason) == BROKEN
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


@pytest.mark.parametrize("said", [True, False])
async def test_what_the_pbx_says_of_it_later_counts(site: Site, monkeypatch: pytest.MonkeyPatch, said: bool) -> None:
    monkeypatch.setattr(session, "UNSAID", 60.0)
    async with site.running() as recorder:
        await closed_without_a_word(site, recorder)
        await until(lambda: recorder._unsaid)
        assert recorder.works, "it waits"
        recorder.ended(CALL.uniqueid, at(6), said=said)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert (part.manifest.state, part.manifest.reason) == (("sealed", None) if said else BROKEN)


async def test_an_end_that_asterisks_own_record_knows_is_one_in_order(site: Site) -> None:
    site.known[CALL.uniqueid] = history(ended=at(6))
    async with site.running() as recorder:
        await closed_without_a_word(site, recorder)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert (part.manifest.state, part.manifest.reason) == ("sealed", None)


@pytest.mark.rule("B-03")
async def test_a_recording_that_goes_on_is_not_ended_with_the_one_that_was_closed(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, 16000)
        await until(recorder.open_segments)
        fallback(site)
        site.known[CALL.uniqueid] = history()
        await until(lambda: len(recorder.works) == 2)
        for handle in [site.pbx.files[CALL.channel].pop(0) for _ in range(2)]:
            os.close(handle)  # somebody told MixMonitor to stop, once
        await until(lambda: recorder._unsaid)
        first = next(work for work in recorder.works.values() if work.take.starter == "am")
        first.written -= 60  # a minute before the other one ends
        await until(lambda: any(work.take.broken for work in recorder.works.values()))
        living = next(work for work in recorder.works.values() if work.take.starter == "fb")
        site.pbx.speak(CALL.channel, 16000, LENGTH)
        assert not living.take.stopped
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    sound = sum(part.manifest.frames for part in site.parts(CALL.recording))
    assert sound == LENGTH


@pytest.mark.rule("B-03")
async def test_nobody_heard_of_the_talk_nor_of_its_end(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        span = at(3600), at(3606)  # an hour after START it is now
        site.known[CALL.uniqueid] = History(order=CALL, spans=(span,), talks=(span,), ended=span[1])
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert (part.manifest.state, part.manifest.reason, part.manifest.end) == ("sealed", None, at(3606))
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


@pytest.mark.rule("B-03")
async def test_what_nobody_saw_is_kept_as_far_as_there_is_sound(site: Site) -> None:
    """Armed while it rang, and then neither we nor Asterisk's own record saw anything of it."""
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        recorder.ended(CALL.uniqueid, at(3606), said=False, seen=False)
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert [mark.what for mark in part.manifest.marks] == ["unseen"]
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


@pytest.mark.parametrize("way", ["ended", "closed"])
async def test_what_nobody_saw_and_was_never_in_a_bridge_leaves_nothing(site: Site, way: str) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        if way == "ended":
            recorder.ended(CALL.uniqueid, at(3606), seen=False)
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert not site.told.names
    assert not site.left()


@pytest.mark.rule("B-03")
async def test_files_that_were_closed_while_nobody_saw_anything_are_kept(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


@pytest.mark.rule("B-02", "B-03")
@pytest.mark.parametrize(("section", "kept"), [(False, True), (True, False)])
async def test_where_the_record_stops_in_the_middle_the_rest_is_kept_and_what_it_says_is_not(
    site: Site, section: bool, kept: bool
) -> None:
    """The beginning of the channel alone is written down; or that a section, and nobody else, talked to it."""
    spans = ((at(3600), None),) if section else ()
    site.known[CALL.uniqueid] = History(order=CALL, spans=spans, talks=(), ended=None, began=at(3599))
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    sound = b"".join([site.sound(CALL.recording)]) if site.told.names else b""
    assert sound == (interleave(LEFT, RIGHT) if kept else b"")
    assert not site.left()


@pytest.mark.rule("B-03")
async def test_sound_that_the_dialplan_left_of_a_call_that_nobody_saw_is_kept(site: Site) -> None:
    span = at(3600), None
    site.known[CALL.uniqueid] = History(
        order=CALL, spans=(span,), talks=(span,), ended=at(3700), said=False, seen=False
    )
    fallback(site)
    site.pbx.speak(CALL.channel, 0, LENGTH)
    site.pbx.hang_up(CALL.channel)
    async with site.running() as recorder:
        await until(lambda: site.told.names)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert (part.manifest.state, [mark.what for mark in part.manifest.marks]) == ("cut", ["unseen"])
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


async def test_a_witness_that_fails_ends_no_recorder(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.running() as recorder:
        monkeypatch.setattr(recorder.sealer, "history_of", {}.__getitem__)
        await closed_without_a_word(site, recorder)
        await until(lambda: not recorder.works)
    assert [part.manifest.state for part in site.parts(CALL.recording)] == ["cut"]


# --- the spool fills up -----------------------------------------------------------------------------------------------


@pytest.mark.rule("B-04")
async def test_somebody_is_told_early_and_what_may_be_missing_is_marked(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    free = [400 << 20]
    monkeypatch.setattr(Spool, "free", lambda _: (free[0], 512 << 20))
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        assert recorder.trouble is None
        free[0] = 100 << 20
        await until(lambda: recorder.trouble)
        assert recorder.trouble == "the spool is nearly full: 100 of 512 MiB are free"
        site.pbx.speak(CALL.channel, 0, 20000)
        free[0] = 0
        (work,) = recorder.works.values()
        await until(lambda: any(mark["what"] == "spool full" for mark in work.take.marks))
        free[0] = 400 << 20
        await until(lambda: recorder.trouble is None)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    (part,) = site.parts(CALL.recording)
    assert [mark.what for mark in part.manifest.marks] == ["joined", "spool full", "left"]


async def both_starters(site: Site, recorder: Recorder) -> None:
    recorder.arm(CALL)
    await recorder.armed(CALL.uniqueid)
    fallback(site)
    site.known[CALL.uniqueid] = history()
    await until(lambda: len(recorder.works) == 2)
    talk(recorder)


async def test_of_two_recordings_one_is_kept_and_the_other_told(site: Site) -> None:
    async with site.running() as recorder:
        await both_starters(site, recorder)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert site.told.dropped == [(CALL.uniqueid, "second recording of the same channel", LENGTH)]
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


@pytest.mark.rule("B-03")
async def test_a_start_that_came_seconds_late_does_not_keep_the_call_twice(site: Site) -> None:
    """The dialplan, which heard nothing of us, had begun before it."""
    site.pbx.slow = asyncio.Event()
    async with site.running() as recorder:
        recorder.arm(CALL)
        fallback(site)
        site.known[CALL.uniqueid] = history()
        await until(lambda: len(recorder.works) == 2)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, 16000)
        site.pbx.slow.set()
        await recorder.armed(CALL.uniqueid)
        site.pbx.speak(CALL.channel, 16000, LENGTH)
        await until(recorder.open_segments)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert [reason for _, reason, _ in site.told.dropped] == ["shorter recording of the same channel"]
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


@pytest.mark.parametrize("stopped", [False, True])
async def test_and_so_it_is_after_a_restart_in_between(site: Site, stopped: bool) -> None:
    async with site.running() as recorder:
        await both_starters(site, recorder)
        site.pbx.speak(CALL.channel, 0, 20000)
        if stopped:
            site.pbx.speak(CALL.channel, 20000, LENGTH)
            recorder.ended(CALL.uniqueid, at(6))
    async with site.running() as recorder:
        if not stopped:
            talk(recorder)
            site.pbx.speak(CALL.channel, 20000, LENGTH)
            recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert [reason for _, reason, _ in site.told.dropped] == ["second recording of the same channel"]
    assert not site.left()


async def test_parked_in_good_order_a_call_goes_on_with_the_next_recorder(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, 30000)
    assert [part.manifest.frames for part in site.parts(CALL.recording)] == [30000]
    site.pbx.speak(CALL.channel, 30000, 40000)
    async with site.running() as recorder:
        assert recorder.hooked([CALL.uniqueid]) == {CALL.uniqueid}
        recorder.arm(CALL)
        assert [what for what, _ in site.pbx.said] == ["start"], "it is being recorded already"
        site.pbx.speak(CALL.channel, 40000, LENGTH)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert [part.gap for part in site.parts(CALL.recording)] == [0, 0]
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


@pytest.mark.rule("B-03")
async def test_a_killed_recorder_has_not_forgotten_that_it_stopped_one(site: Site) -> None:
    """Else the next arming of the channel would be taken for done, and nothing be recorded."""
    recorder = site.recorder()
    recorder.arm(CALL)
    await recorder.armed(CALL.uniqueid)
    recorder.disarm(CALL.uniqueid, at(3))
    await until(lambda: len(site.pbx.said) == 2)
    release(recorder)
    async with site.running() as successor:
        assert successor.hooked([CALL.uniqueid]) == set()
        successor.arm(CALL)
        assert await successor.armed(CALL.uniqueid)
        assert [what for what, _ in site.pbx.said] == ["start", "stop", "start"]
        site.pbx.hang_up(CALL.channel)


async def test_a_call_that_ended_while_nobody_watched_is_sealed(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, 20000)
    site.pbx.speak(CALL.channel, 20000, LENGTH)
    site.pbx.hang_up(CALL.channel)
    async with site.running() as recorder:
        recorder.ended(CALL.uniqueid, at(6))
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
    assert not site.left()


@pytest.mark.rule("B-02")
async def test_a_call_that_nobody_answered_leaves_nothing(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        recorder.ended(CALL.uniqueid, at(9))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert not site.told.names
    assert not list((site.vault.root / "segments").iterdir())
    assert not site.left()


async def test_a_full_disk_is_said_and_overcome(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async with site.running() as recorder:
        with monkeypatch.context() as full:

            def refuse(*_: object) -> None:
                raise OSError(28, "No space left on device")

            full.setattr(BodyWriter, "flush", refuse)
            recorder.arm(CALL)
            await recorder.armed(CALL.uniqueid)
            talk(recorder)
            site.pbx.speak(CALL.channel, 0, LENGTH)
            await until(lambda: recorder.trouble)
            assert "No space" in str(recorder.trouble)
        await until(lambda: recorder.trouble is None)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not recorder.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)


async def test_hold_and_resume_are_marked(site: Site) -> None:
    async with site.running() as recorder:
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        recorder.mark(CALL.uniqueid, at(2), "hold")
        recorder.describe(CALL.uniqueid, callee="0664587160")
        site.pbx.speak(CALL.channel, 0, LENGTH)
        recorder.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: site.told.names)
    manifest = site.parts(CALL.recording)[0].manifest
    assert [(mark.what, mark.sample) for mark in manifest.marks] == [("joined", 0), ("hold", 16000), ("left", LENGTH)]
    assert manifest.callee == "0664587160"


async def test_many_calls_at_once_do_not_mix(site: Site) -> None:
    calls = [order(f"call {number}") for number in range(20)]
    async with site.running() as recorder:
        for number, about in enumerate(calls):
            recorder.arm(about)
            await recorder.armed(about.uniqueid)
            talk(recorder, about)
            site.pbx.speak(about.channel, number * 500, number * 500 + 16000)
        for about in calls:
            recorder.ended(about.uniqueid, at(2))
            site.pbx.hang_up(about.channel)
        await until(lambda: not recorder.works)
    for number, about in enumerate(calls):
        cut = slice(number * 1000, number * 1000 + 32000)
        assert site.sound(about.recording) == interleave(LEFT[cut], RIGHT[cut])


async def test_a_defect_ends_the_recorder_loudly_and_loses_nothing(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    recorder = site.recorder()
    with monkeypatch.context() as broken:

        def fail(*_: object) -> None:
            raise ZeroDivisionError

        broken.setattr(recorder.sealer, "_read", fail)
        task = asyncio.get_running_loop().create_task(recorder.run())
        recorder.arm(CALL)
        await recorder.armed(CALL.uniqueid)
        talk(recorder)
        site.pbx.speak(CALL.channel, 0, LENGTH)
        with pytest.raises(ZeroDivisionError):
            await asyncio.wait_for(task, 5)
    release(recorder)
    async with site.running() as successor:
        successor.ended(CALL.uniqueid, at(6))
        site.pbx.hang_up(CALL.channel)
        await until(lambda: not successor.works)
    assert site.sound(CALL.recording) == interleave(LEFT, RIGHT)
