"""What is due by the catalogue, and having it done by the keeper (6条1項; B-16): each hour by itself, or when asked."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import structlog

from cti.desk import Ask, Desk
from policies.retention import Retention
from recorder.catalogue import Ended
from recorder.medium import Medium
from recorder.vault.folder import HELD
from retention.held import HeldFolder
from retention.holds import Holds
from retention.mover import Fate, Outcome, problem_of
from retention.plan import Deed, Due, Kept, Plan, ends_before, moves_before

log = structlog.get_logger()

BATCH: Final = 32
"""Recordings that the keeper is asked for at once: some 15 MiB."""
DEADLINE: Final = 600.0
"""Seconds for the keeper's answer: a call of a day has 600 MiB."""
NAMED: Final = 200
"""Of what is stopped or failed, so many are named."""
AGAIN: Final = timedelta(days=1)
"""What failed is tried again after that, or when somebody asks."""
LATE: Final = timedelta(days=2)
"""Whatever is still on the first medium so long after its day is an alarm."""


@dataclass(slots=True)
class Sum:
    """Of one deed: how many recordings, their seconds, and since when the oldest is due."""

    count: int = 0
    seconds: float = 0.0
    since: datetime | None = None

    def add(self, due: Due, seconds: float) -> None:
        """One more."""
        self.count, self.seconds = self.count + 1, self.seconds + seconds
        self.since = due.since if self.since is None else min(self.since, due.since)


@dataclass(frozen=True, slots=True, kw_only=True)
class Stopped:
    """A recording whose period is over, and that a hold keeps."""

    recording: str
    conversation: str
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """What is due at an instant. `stopped`: the first NAMED."""

    at: datetime
    sums: Mapping[Deed, Sum]
    stopped: tuple[Stopped, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """A recording that stays where it is, and why."""

    recording: str
    at: datetime
    problem: str


@dataclass(slots=True)
class Run:
    """Recordings on their way: `planned` that were due when it began; `done` looked at, `moved` of them moved.

    `problem`: why it ended before its end.
    """

    began: datetime
    planned: int
    done: int = 0
    moved: int = 0
    bytes: int = 0
    ended: datetime | None = None
    problem: str | None = None
    failed: list[Failed] = field(default_factory=list)


class Moving:
    """Asks the keeper for what is due, a few at a time; one run at a time."""

    def __init__(self, desk: Desk, policy: Callable[[], Retention], keeper: Ask) -> None:
        """`policy` reads the one in force; `keeper` asks, with a deadline in seconds."""
        self.desk, self._policy, self._keeper = desk, policy, keeper
        self._alone = asyncio.Lock()
        self._failed: dict[str, datetime] = {}
        self._begun: asyncio.Task[None] | None = None
        self.last: Run | None = None

    async def plan(self) -> Planned:
        """What is due now. Raises OSError."""
        now, sums, stopped = self.desk.now(), {deed: Sum() for deed in Deed}, list[Stopped]()
        async for due, seconds in self._due(now):
            sums[due.deed].add(due, seconds)
            if due.deed is Deed.ERASE and due.kept.medium is Medium.FIRST:
                sums[Deed.MOVE].add(due, seconds)  # nothing erases it yet, and it does not stay there either
            if due.deed is Deed.STOPPED and len(stopped) < NAMED:
                of = due.kept
                stopped.append(Stopped(recording=of.recording, conversation=of.conversation, since=due.since))
        return Planned(at=now, sums=sums, stopped=tuple(stopped))

    @property
    def running(self) -> bool:
        """Whether recordings are on their way just now."""
        return self._alone.locked() or (self._begun is not None and not self._begun.done())

    def begin(self) -> None:
        """Have all that is due done, and do not wait for it; where something is being done, let that go on."""
        if not self.running:
            self.last = None
            self._begun = asyncio.create_task(self._run_to_its_end())

    async def _run_to_its_end(self) -> None:
        try:
            await self.run()
        except Exception as error:  # nobody waits for it: what is wrong is shown, and the desk goes on
            log.exception("nothing moved")
            self.last = self.last or Run(began=self.desk.now(), planned=0, ended=self.desk.now())
            self.last.problem = problem_of(error)

    async def close(self) -> None:
        """End what was begun; what is half done is done again another time."""
        if self._begun is not None:
            self._begun.cancel()
            await asyncio.wait([self._begun])

    async def look(self) -> None:
        """By itself: what is due, but for what failed a short while ago."""
        if not self.running:
            await self.run(lambda name: self.desk.now() - self._failed.get(name, _NEVER) >= AGAIN)

    async def run(self, wanted: Callable[[str], bool] = lambda _name: True) -> Run:
        """All that is due and `wanted`, oldest first. Raises OSError."""
        async with self._alone:
            now = self.desk.now()
            due = [name async for name in self._moving(now) if wanted(name)]
            run = Run(began=now, planned=len(due))
            if due or self.last is None:
                self.last = run
            try:
                for first in range(0, len(due), BATCH):
                    if not await self._some(run, due[first : first + BATCH]):
                        break
            except BaseException as error:
                run.problem = str(error) or type(error).__name__
                raise
            finally:
                run.ended = self.desk.now()
            if due:
                log.info("moved", recordings=run.moved, bytes=run.bytes, failed=len(run.failed), problem=run.problem)
            return run

    async def _some(self, run: Run, names: Sequence[str]) -> bool:
        """A batch; whether it goes on."""
        try:
            answer = await self._keeper({"ask": "move", "recordings": list(names), "act": str(uuid4())}, DEADLINE)
            if "outcomes" not in answer:
                run.problem = str(answer.get("problem") or answer.get("error"))
                return False
            outcomes = [_outcome(one) for one in answer["outcomes"]]
        except (OSError, TimeoutError, ValueError, KeyError, TypeError) as error:  # away, or of another version
            run.problem = f"keeper: {getattr(error, 'strerror', None) or error or type(error).__name__}"
            return False
        there = {one.recording: one.segments for one in outcomes if one.fate in (Fate.MOVED, Fate.THERE)}
        await self.desk.catalogue.moved(there)
        for one in outcomes:
            if one.recording in there:
                self._failed.pop(one.recording, None)
            else:
                self._say(run, one)
            run.moved += one.fate is Fate.MOVED
            run.bytes += one.size
        run.done += len(names)
        return True

    def _say(self, run: Run, one: Outcome) -> None:
        at, problem = self.desk.now(), one.problem or one.fate.value
        self._failed[one.recording] = at
        if len(run.failed) < NAMED:
            run.failed.append(Failed(recording=one.recording, at=at, problem=problem))
        log.error("not moved", recording=one.recording, fate=one.fate.value, problem=problem)

    async def _moving(self, now: datetime) -> AsyncIterator[str]:
        async for due, _seconds in self._due(now):
            if due.deed in (Deed.MOVE, Deed.ERASE) and due.kept.medium is Medium.FIRST:
                yield due.kept.recording

    async def _due(self, now: datetime) -> AsyncIterator[tuple[Due, float]]:
        """What the catalogue has of it, one by one."""
        policy = await asyncio.to_thread(self._policy)
        plan = Plan(policy, await asyncio.to_thread(_holds_of(self.desk)), now)
        async for rows in self.desk.catalogue.ended_before(moves_before(policy, now), ends_before(policy, now)):
            for row in rows:
                if (found := plan.of(kept(row))) is not None:
                    yield found, row.seconds


async def late(desk: Desk, policy: Retention, now: datetime) -> tuple[int, int]:
    """Recordings that should have left the first medium LATE ago, and those whose period is over and that are held.

    Raises OSError.
    """
    holds = await asyncio.to_thread(_holds_of(desk))
    plan, held = Plan(policy, holds, now), {hold.conversation for hold in holds.all if hold.released is None}
    over = await desk.catalogue.ended_of(held, ends_before(policy, now))
    # Wherever it lies: what is held is stopped on both media.
    found = [plan.of(replace(kept(row), medium=Medium.SECOND)) for row in over]
    stopped = sum(due is not None and due.deed is Deed.STOPPED for due in found)
    return await desk.catalogue.late(moves_before(policy, now - LATE)), stopped


def _holds_of(desk: Desk) -> Callable[[], Holds]:
    return _held_at(desk.vault.root / HELD).now


@cache
def _held_at(folder: Path) -> HeldFolder:
    """One for a folder: it reads no file twice that has not changed."""
    return HeldFolder(folder)


def _outcome(said: Mapping[str, Any]) -> Outcome:
    """Raises KeyError, TypeError, ValueError."""
    return Outcome(
        recording=str(said["recording"]), fate=Fate(said["fate"]), segments=int(said["segments"]),
        size=int(said["size"]), problem=said["problem"],
    )  # fmt: skip


def kept(row: Ended) -> Kept:
    """A row of the catalogue, for the plan."""
    return Kept(
        recording=row.recording, conversation=row.conversation, ended=row.end.replace(tzinfo=UTC),
        medium=Medium(row.medium),
    )  # fmt: skip


_NEVER: Final = datetime.fromisoformat("1970-01-01T00:00:00+00:00")
