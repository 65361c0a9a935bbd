"""Holds on recordings: set, asked to be released, released by another person or kept (6条1項ただし書; B-18).

First into the access log, then into `<vault>/held`, where the truth is; one at a time, whichever process does it.
"""

import asyncio
import unicodedata
from collections.abc import Callable, Mapping
from copy import copy
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

from cti.desk import Desk
from cti.errors import FieldError, NotFoundError
from cti.i18n import _
from policies.retention import Retention
from recorder import callfile
from recorder.medium import Medium
from recorder.vault.folder import HELD, one_at_a_time
from recorder.wanted import Wanted
from retention.course import Course
from retention.errors import HoldError
from retention.held import HeldFolder
from retention.holds import Ground, Hold, Holds, course_of

LONGEST: Final = 500
"""Characters of a reason."""
_NO_TEXT: Final = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})
"""Kinds of characters that break a line, or steer what shows it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """A hold, and the recordings that it holds."""

    hold: Hold
    recordings: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retained:
    """What becomes of a recording that is here, and its holds."""

    recording: str
    conversation: str
    ended: datetime
    medium: Medium
    course: Course
    holds: tuple[Shown, ...]


@dataclass(frozen=True, slots=True)
class _Doing:
    """What is done with a hold: the line of the access log, and that of the vault."""

    action: str
    detail: Mapping[str, Any]
    line: Mapping[str, Any]


class Holding:
    """The holds of a desk's vault, in the name of the desk's actor."""

    def __init__(self, desk: Desk, policy: Callable[[], Retention]) -> None:
        """`policy` reads the one in force."""
        self.desk, self._policy = desk, policy
        self._held = HeldFolder(desk.vault.root / HELD)

    def by(self, actor: str) -> "Holding":
        """The same, for somebody else."""
        other = copy(self)
        other.desk = self.desk.by(actor)
        return other

    async def hold(self, recording: str, ground: Ground, reason: str = "") -> Shown:
        """Hold every recording of a recording's conversation.

        Raises NotFoundError, FieldError, LogUnavailableError, OSError.
        """
        text = _reason(reason, needed=ground is Ground.OTHER)
        row = await self._row(recording)
        identity = str(uuid4())
        line = {"conversation": row["conversation"], "ground": ground.value, "reason": text}
        await asyncio.to_thread(self._do, identity, lambda _holds: self._setting(identity, line))
        return await self.show(identity)

    async def ask(self, hold: str, reason: str) -> Shown:
        """Ask that it be released. Raises NotFoundError, FieldError, HoldError, LogUnavailableError, OSError."""
        text = _reason(reason, needed=True)

        def doing(holds: Holds) -> _Doing:
            of, question = _one(holds, found.id), str(uuid4())
            of.may_be_asked()
            said = {"question": question, "conversation": of.conversation, "ground": of.ground.value}
            return _Doing("hold.asked", said, {"type": "asked", "question": question, "reason": text})

        found = await self.find(hold)
        await asyncio.to_thread(self._do, found.id, doing)
        return await self.show(found.id)

    async def release(self, hold: str) -> Shown:
        """Agree that it ends: the second person. Raises NotFoundError, HoldError, LogUnavailableError, OSError."""
        return await self._answer(hold, "released")

    async def keep(self, hold: str, *, question: str | None = None) -> Shown:
        """It goes on: the question is taken back; only that one, where it is named.

        Raises NotFoundError, HoldError, LogUnavailableError, OSError.
        """
        return await self._answer(hold, "kept", question)

    async def _answer(self, hold: str, answer: str, only: str | None = None) -> Shown:
        def doing(holds: Holds) -> _Doing:
            of = _one(holds, found.id)
            question = of.may_be_released(self.desk.actor) if answer == "released" else of.may_be_kept(only)
            said = {"question": question.id, "conversation": of.conversation, "ground": of.ground.value}
            return _Doing(f"hold.{answer}", said, {"type": answer, "question": question.id})

        found = await self.find(hold)
        await asyncio.to_thread(self._do, found.id, doing)
        return await self.show(found.id)

    async def demanded(self, identity: str, conversation: str, reason: str) -> None:
        """Hold the conversation of an unjust demand, once for each `identity` (5条3; B-14).

        Raises LogUnavailableError, OSError: then it may be done again.
        """
        line = {"conversation": conversation, "ground": Ground.UNJUST_DEMAND.value, "reason": reason}

        def doing(holds: Holds) -> _Doing | None:
            if any(hold.id == identity for hold in holds.all):
                return None
            return self._setting(identity, line)

        await asyncio.to_thread(self._do, identity, doing, again=True)

    # --- looking ------------------------------------------------------------------------------------------------------

    async def holds(self) -> Holds:
        """All of them. Raises OSError."""
        return await asyncio.to_thread(self._held.now)

    async def find(self, text: str) -> Hold:
        """The hold whose id begins with `text`. Raises NotFoundError, OSError."""
        found = (await self.holds()).beginning(text.lower())
        if text and len(found) == 1:
            return found[0]
        if text and found:
            raise NotFoundError(_("{text!r} begins {count} ids: give more of it").format(text=text, count=len(found)))
        raise NotFoundError(_("no hold {text!r}; `kikitori retention holds` shows what there is").format(text=text))

    async def show(self, identity: str) -> Shown:
        """One, as it stands now."""
        return (await self._shown(_one(await self.holds(), identity)))[0]

    async def all(self, *, open_only: bool = True) -> tuple[list[Shown], tuple[str, ...]]:
        """Holds in their order, and where lines cannot be read. The log has that somebody looked."""
        found = await self.holds()
        wanted = [hold for hold in found.all if not (open_only and hold.released)]
        said = {"by": ["holds"], "found": len(wanted)}
        await asyncio.to_thread(self.desk.log, "recordings.searched", self.desk.catalogue.pbx, said)
        return await self._shown(*wanted), found.unread

    async def course(self, recording: str) -> Retained:
        """What becomes of one, by the policy in force; the log has who looked. Raises NotFoundError, OSError."""
        row = await self._row(recording)
        policy, holds = await asyncio.to_thread(self._policy), await self.holds()
        await asyncio.to_thread(self.desk.log, "recordings.shown", row["recording"], {})
        return Retained(
            recording=row["recording"], conversation=row["conversation"], ended=row["end"],
            medium=Medium(row["medium"]),
            course=course_of(row["recording"], row["end"], row["conversation"], holds, policy),
            holds=tuple(await self._shown(*holds.of(row["conversation"]))),
        )  # fmt: skip

    async def _shown(self, *holds: Hold) -> list[Shown]:
        of = await self.desk.catalogue.recordings_of({hold.conversation for hold in holds})
        return [Shown(hold=hold, recordings=tuple(of.get(hold.conversation, ()))) for hold in holds]

    async def _row(self, recording: str) -> dict[str, Any]:
        identity = await self.desk.find(recording)
        return (await self.desk.catalogue.recordings(Wanted(recording=identity)))[0]

    # --- doing --------------------------------------------------------------------------------------------------------

    @staticmethod
    def _setting(identity: str, line: Mapping[str, Any]) -> _Doing:
        said = {"conversation": line["conversation"], "ground": line["ground"]}
        return _Doing("recording.held", said, {"type": "hold", **line})

    def _do(self, identity: str, doing: Callable[[Holds], _Doing | None], *, again: bool = False) -> None:
        """`doing` says what, of how it stands then; None: nothing. `again`: until it is done, with one line in the log.

        What is not in the log is not done; what the disk refuses then has a line that says so.
        """
        desk = self.desk
        with one_at_a_time(self._held.folder):
            done = doing(self._held.now())
            if done is None:
                return
            if not (again and desk.last_of(identity, [done.action])):
                desk.log(done.action, identity, done.detail)
            at = desk.now().astimezone(UTC)
            try:
                callfile.append(self._file(at), {"id": identity, "at": at.isoformat(), "by": desk.actor, **done.line})
            except OSError as error:
                if not again:
                    why = str(error.strerror or type(error).__name__)
                    desk.log("hold.failed", identity, {"of": done.action, "why": why})
                raise

    def _file(self, at: datetime) -> Path:
        return self._held.folder / f"{at:%Y-%m-%d}.jsonl"


def _one(holds: Holds, identity: str) -> Hold:
    found = next((hold for hold in holds.all if hold.id == identity), None)
    if found is None:  # somebody took the file away
        raise HoldError("it is not there any more")
    return found


def _reason(text: str, *, needed: bool) -> str:
    """One line. Raises FieldError."""
    said = text.strip()
    if needed and not said:
        raise FieldError("reason", _("is missing"))
    if len(said) > LONGEST:
        raise FieldError("reason", _("longer than {count} characters").format(count=LONGEST))
    if any(unicodedata.category(one) in _NO_TEXT for one in said):
        raise FieldError("reason", _("is one line of text"))
    return said
