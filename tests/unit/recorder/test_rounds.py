"""Rounds: what is wanted is done, one take in one thread at a time, shared by more threads only where it is slow."""

import asyncio
import os
import threading
from collections import Counter

import pytest

from recorder import rounds
from recorder.rounds import Rounds


class Work:
    """Steps that can be held up, and what was seen of them."""

    def __init__(self) -> None:
        self.free = threading.Event()
        self.free.set()
        self.steps: Counter[str] = Counter()
        self.at_work: Counter[str] = Counter()
        self.threads: set[int] = set()
        self.more: Counter[str] = Counter()
        self.tasks: set[asyncio.Task[None]] = set()
        self.rounds = Rounds(self.step, self.spawn)

    def spawn(self, work: object) -> None:
        task = asyncio.ensure_future(work)  # type: ignore[call-overload]
        self.tasks.add(task)

    def step(self, take: str) -> bool:
        self.at_work[take] += 1
        assert self.at_work[take] == 1
        self.threads.add(threading.get_ident())
        assert self.free.wait(10)
        self.steps[take] += 1
        self.at_work[take] -= 1
        self.more[take] -= 1
        return self.more[take] >= 0

    async def done(self) -> None:
        while self.tasks:
            await asyncio.gather(*(waiting := list(self.tasks)))
            self.tasks.difference_update(waiting)


TAKES = [str(number) for number in range(20)]


async def test_a_round_does_what_is_wanted_once_in_one_thread() -> None:
    work = Work()
    work.rounds.want(TAKES)
    work.rounds.want(TAKES[:3])
    work.rounds.start()
    await work.done()
    assert work.steps == dict.fromkeys(TAKES, 1)
    assert len(work.threads) == 1
    work.rounds.start()
    assert not work.tasks


async def test_what_has_more_goes_on_by_itself() -> None:
    work = Work()
    work.more["3"] = 4
    work.rounds.want(["3", "4"])
    work.rounds.start()
    await work.done()
    assert work.steps == {"3": 5, "4": 1}


async def test_what_comes_while_a_take_is_worked_on_is_done_afterwards() -> None:
    work = Work()
    work.free.clear()
    work.rounds.want(["1"])
    work.rounds.start()
    assert work.rounds.busy("1")
    work.rounds.want(["1", "2"])
    work.rounds.start()
    assert len(work.tasks) == 2  # 2 does not wait for 1; 1 does
    work.free.set()
    await work.done()
    assert work.steps == {"1": 1, "2": 1}
    assert not work.rounds.busy("1")
    work.rounds.start()
    await work.done()
    assert work.steps == {"1": 2, "2": 1}


async def test_where_a_disk_is_slow_the_rest_of_a_round_is_shared_by_all(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SLOW", 0.0)
    work = Work()
    work.rounds.want(TAKES)
    work.rounds.start()
    assert len(work.tasks) == 1
    await work.done()
    assert work.steps == dict.fromkeys(TAKES, 1)
    # And so are the next rounds, for a while.
    work.rounds.want(TAKES)
    work.rounds.start()
    assert len(work.tasks) == rounds.WORKERS
    await work.done()
    assert work.steps == dict.fromkeys(TAKES, 2)


async def test_one_slow_take_holds_up_no_other() -> None:
    work = Work()
    held = threading.Event()

    def step(take: str) -> bool:
        work.steps[take] += 1
        return take == "slow" and not held.wait(10)

    work.rounds = Rounds(step, work.spawn)
    work.rounds.want(["slow"])
    work.rounds.start()
    for number in range(3):
        work.rounds.want(TAKES)
        work.rounds.start()
        async with asyncio.timeout(5):
            while any(work.steps[take] <= number for take in TAKES):  # noqa: ASYNC110  # a thread makes it true
                await asyncio.sleep(0.001)
        while work.rounds.busy(TAKES[0]):  # noqa: ASYNC110  # and this
            await asyncio.sleep(0.001)
    assert work.rounds.busy("slow")
    held.set()
    await work.done()


async def test_when_it_is_quick_again_one_thread_does_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "SLOW", 0.0)
    monkeypatch.setattr(rounds, "SHARED", 0.0)
    work = Work()
    for _ in range(2):
        work.rounds.want(TAKES)
        work.rounds.start()
        assert len(work.tasks) == 1
        await work.done()


async def test_after_the_stop_nothing_is_begun_and_the_last_steps_still_run() -> None:
    work = Work()
    work.more["1"] = 3
    work.free.clear()
    work.rounds.want(["1"])
    work.rounds.start()
    work.rounds.stop()
    work.free.set()
    await work.done()
    assert work.steps == {"1": 1}
    did: list[int] = []
    await work.rounds.last(lambda: did.append(1))
    work.rounds.close()
    assert did == [1]


async def test_only_the_thread_that_listens_is_urgent() -> None:
    seen: list[int] = []
    before = os.getpriority(os.PRIO_PROCESS, 0)
    try:
        os.setpriority(os.PRIO_PROCESS, 0, -5 if os.geteuid() == 0 else before)
        rounds_ = Rounds(lambda _take: False, lambda _work: None)
        await rounds_.last(lambda: seen.append(os.getpriority(os.PRIO_PROCESS, 0)))
        rounds_.close()
        assert seen == [max(0, before)]
        assert os.getpriority(os.PRIO_PROCESS, 0) == (-5 if os.geteuid() == 0 else before)
    finally:
        os.setpriority(os.PRIO_PROCESS, 0, before)
