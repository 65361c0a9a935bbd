"""The way to the second medium: copied, proven there, and only then gone from the first (6条1項; B-16).

Nobody's word is taken for it that a recording is to move: when its call ended is read from its signed manifests, and
what the policy says of that is reckoned here. Whatever is interrupted is done again from its beginning.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, Protocol

from recorder.medium import Medium
from recorder.vault.errors import VaultError
from recorder.vault.folder import VaultFolder, body_name, manifests
from recorder.vault.manifest import Manifest
from recorder.vault.manifest import digest as digest_of
from recorder.vault.note import Verifier
from recorder.vault.second import Copy, Moved, SecondMediumError
from recorder.vault.shred import NotProvenError, leave_first, settle
from retention.plan import Deed, Kept, Plan

_RECORDING: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.ASCII)


class Fate(StrEnum):
    """What became of one."""

    MOVED = "moved"
    THERE = "there"  # it was on the second medium already
    NOT_DUE = "not-due"
    UNKNOWN = "unknown"  # the vault has no such recording
    FAILED = "failed"  # it stays where it is


_TOLD: Final = frozenset({Fate.MOVED, Fate.THERE, Fate.FAILED})


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of one recording: its segments, bytes that left the first medium, and what was wrong."""

    recording: str
    fate: Fate
    segments: int = 0
    size: int = 0
    problem: str | None = None


class Tell(Protocol):
    """Puts lines into the access log, durable when it returns. Raises where the log does not take them."""

    def __call__(self, lines: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        """Action, object and detail of each."""


@dataclass(slots=True)
class _Going:
    recording: str
    segments: list[Manifest]

    @property
    def size(self) -> int:
        return sum(one.body_size for one in self.segments)


class Mover:
    """Moves recordings, a few at a time."""

    def __init__(
        self, vault: VaultFolder, verifiers: Sequence[Verifier], plan: Callable[[], Plan], tell: Tell, moved: Moved
    ) -> None:  # fmt: skip
        """`plan` is asked anew each time; `moved` is told of bytes, and may take its time."""
        self.vault, self._verifiers, self._plan, self._tell, self._moved = vault, verifiers, plan, tell, moved

    def move(self, recordings: Sequence[str], act: str) -> list[Outcome]:
        """Move those that are due; what became of each, in their order. `act` names the try in the access log.

        Raises SecondMediumError, before anything is done; and what `plan` and `tell` raise, and OSError: then some may
        have moved, and the next try tells of them.
        """
        plan, room, found = self._plan(), self.vault.second.room(), dict[str, Outcome | _Going]()
        for recording in dict.fromkeys(recordings):
            found[recording] = self._look(recording, plan)
        going = [one for one in found.values() if isinstance(one, _Going)]
        if going:
            needed = sum(one.size for one in going)
            if room < needed:
                raise SecondMediumError(f"it has room for {room} bytes, and {needed} are to go there")
            about, names = going[0].segments[0].pbx, [one.recording for one in going]
            self._tell([("move.intent", about, {"act": act, "recordings": names})])
            found.update((outcome.recording, outcome) for outcome in self._go(going))
            settle(self.vault)
        outcomes = [one for one in found.values() if isinstance(one, Outcome)]
        # One that is there already was interrupted between its end and its line.
        if told := [("move.result", one.recording, _said(one, act)) for one in outcomes if one.fate in _TOLD]:
            self._tell(told)
        return outcomes

    def _look(self, recording: str, plan: Plan) -> Outcome | _Going:
        """What is to be done with one, by what is there."""
        if not _RECORDING.fullmatch(recording):
            return Outcome(recording=recording, fate=Fate.UNKNOWN)
        try:
            segments = manifests(self.vault, self._verifiers, recording)
            return self._going(recording, segments, plan)
        except (VaultError, OSError, ValueError) as error:
            return Outcome(recording=recording, fate=Fate.FAILED, problem=problem_of(error))

    def _going(self, recording: str, segments: list[Manifest], plan: Plan) -> Outcome | _Going:
        if not segments:
            return Outcome(recording=recording, fate=Fate.UNKNOWN)
        if not any(self.vault.body_path(recording, one.segment).exists() for one in segments):
            names = [body_name(recording, one.segment) for one in segments]
            lost = [name for name in names if not self.vault.second.has(name)]
            if lost:
                return Outcome(recording=recording, fate=Fate.FAILED, problem=f"{lost[0]} lies on neither medium")
            return Outcome(recording=recording, fate=Fate.THERE, segments=len(segments))
        ended, conversation = max(map(_ended, segments)), segments[0].conversation
        due = plan.of(Kept(recording=recording, conversation=conversation, ended=ended, medium=Medium.FIRST))
        # Whose period is over altogether does not stay here either: nothing erases it yet.
        if due is None or due.deed not in (Deed.MOVE, Deed.ERASE):
            return Outcome(recording=recording, fate=Fate.NOT_DUE)
        return _Going(recording, segments)

    def _go(self, going: Sequence[_Going]) -> Iterator[Outcome]:
        """All are copied together; where that fails, one by one, so that none fails for another's sake."""
        try:
            wrong = set(self.vault.second.take([copy for one in going for copy in self._copies(one)], self._moved))
        except OSError:
            wrong = None
        for one in going:
            try:
                bad = wrong if wrong is not None else set(self.vault.second.take(list(self._copies(one)), self._moved))
                yield self._leave(one, bad)
            except (VaultError, OSError) as error:
                yield Outcome(recording=one.recording, fate=Fate.FAILED, problem=problem_of(error))

    def _leave(self, one: _Going, bad: set[str]) -> Outcome:
        for name in sorted(bad):
            if name.startswith(one.recording):
                problem = f"{name} is not what its manifest says; `kikitori verify` says more"
                return Outcome(recording=one.recording, fate=Fate.FAILED, problem=problem)
        try:
            leave_first(self.vault, one.segments, self._moved)
        except (NotProvenError, OSError):
            # An older copy, which lay there before: a new one, once.
            self.vault.second.take(list(self._copies(one, anew=True)), self._moved)
            leave_first(self.vault, one.segments, self._moved)
        return Outcome(recording=one.recording, fate=Fate.MOVED, segments=len(one.segments), size=one.size)

    def _copies(self, one: _Going, *, anew: bool = False) -> Iterator[Copy]:
        """Bodies that are here and not there yet, and every manifest."""
        for segment in one.segments:
            path, name = self.vault.body_path(one.recording, segment.segment), body_name(one.recording, segment.segment)
            if path.exists() and (anew or not self.vault.second.has(name)):
                yield Copy(name, path, segment.body_sha256)
            manifest = self.vault.manifest_path(one.recording, segment.segment)
            if anew or not self.vault.second.has(manifest.name):
                yield Copy(manifest.name, manifest, digest_of(manifest.read_text("utf-8")))


def _said(one: Outcome, act: str) -> dict[str, Any]:
    outcome = one.fate.value if one.problem is None else f"{one.fate.value}: {one.problem}"
    return {"act": act, "outcome": outcome, "segments": one.segments, "bytes": one.size}


def _ended(segment: Manifest) -> datetime:
    """When its call was still going on: a clock that was set back does not make it older."""
    return max(segment.end, segment.start + timedelta(seconds=segment.frames / segment.rate))


def problem_of(error: Exception) -> str:
    """What is wrong, in one line of English."""
    if isinstance(error, OSError):
        return f"{error.filename}: {error.strerror}" if error.filename else str(error.strerror or error)
    return str(error)
