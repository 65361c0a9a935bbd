"""What the night took becomes cases (A-03, A-21, A-22): each intake one, however often it is looked at, and it follows.

`begun` and `following` say what has to be done (pure); `Adopting` does it, and does it again after a crash. An intake
that somebody has done closes its case; a case that somebody has answered or handed over is an intake done.
"""

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

import structlog

from cti.cases.acts import (
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    Act,
    Amend,
    Channel,
    Close,
    Consent,
    Expect,
    Join,
    Note,
    Outcome,
    Reach,
    Register,
    Reply,
    Result,
    State,
    TicketKind,
)
from cti.cases.book import CaseBook, ChangedError
from cti.cases.case import Case
from cti.cases.contact import Contact, Missing, calling
from cti.cases.lists import Standing
from cti.cases.model import waits_since
from cti.intake import Intake, IntakeBook
from policies.calendar import midnight

log = structlog.get_logger()

_SAID: Final = frozenset({"confirmed", "keyed"})
"""Sources of a number that was said back to the caller, who said that it is right (A-16)."""
Keep = Callable[[Intake, str, str], Awaitable[object]]
"""Puts down who did an intake, and what came of it."""


def begun(row: Intake, now: datetime) -> list[Act]:
    """The case that an intake is. What the caller wants nobody knows yet: whoever calls them asks, and amends it."""
    urgent = row.kind == "emergency"
    register = Register(
        at=now, by=SYSTEM, unit=CONTRACTOR, channel=Channel.EMERGENCY if urgent else Channel.PHONE,
        received_by=EMERGENCY if urgent else CONTRACTOR, received_at=min(row.at, now), inquiry=row.note or "",
        conversation=row.conversation, due=_due(row),
        ticket=TicketKind.EMERGENCY if urgent else TicketKind.CALLBACK,
    )  # fmt: skip
    return [register, _reach(row, now), *_agreed(row, now), *_told(row, now)]


def following(case: Case, row: Intake, now: datetime) -> list[Act]:
    """What has become of the intake since its case was looked at."""
    if case.state is State.CLOSED or case.reopened or answered(case) is not None:
        return []
    new: list[Act] = []
    ours = [act for act in case.history if act.by == SYSTEM]
    before, reach = [act for act in case.history if isinstance(act, Reach)], _reach(row, now)
    # What people have entered since is theirs.
    if (
        before
        and before[-1].by == SYSTEM
        and (before[-1].contact, before[-1].read_back) != (reach.contact, reach.read_back)
    ):
        new += [reach, *_agreed(row, now)]
    notes = {act.text for act in ours if isinstance(act, Note)}
    new += [note for note in _told(row, now) if note.text not in notes]
    until = [act.due if isinstance(act, Register) else act.until for act in ours if isinstance(act, Register | Expect)]
    if until[-1:] != [_due(row)]:
        new.append(Expect(at=now, by=SYSTEM, unit=CONTRACTOR, until=_due(row)))
    return new + (_done(case, row, now) if row.done_at is not None else [])


def answered(case: Case) -> str | None:
    """Who did what the night's call asked for: the unit that answered it, handed it over, or joined it to another case.

    None: nobody yet.
    """
    kinds = Reply | Result | Join if case.joined else Reply | Result
    first = next((act for act in case.history if isinstance(act, kinds) and act.by != SYSTEM), None)
    if case.hand_over is not None:
        return case.hand_over.unit
    return first.unit if first is not None else None


def _due(row: Intake) -> datetime:
    """The end of its day; at once where the emergency line did not answer, or the day is not known (A-21)."""
    return row.at if row.unanswered or row.due is None else midnight(row.due + timedelta(days=1))


def _reach(row: Intake, now: datetime) -> Reach:
    contact = calling(row.number)
    said = row.source in _SAID and isinstance(contact, Contact)
    return Reach(at=now, by=SYSTEM, unit=CONTRACTOR, contact=contact, read_back=said)


def _agreed(row: Intake, now: datetime) -> list[Act]:
    """A key was pressed for it (A-17)."""
    wished = row.kind == "callback" or row.source in _SAID
    return [Consent(at=now, by=SYSTEM, unit=CONTRACTOR, given=True)] if wished else []


def _told(row: Intake, now: datetime) -> list[Note]:
    """What nothing else says, in the language of the records."""
    said = []
    if row.number and isinstance(calling(row.number), Missing):
        said.append(f"番号として読めない入力: {row.number}")
    if row.answered_by is not None:
        said.append(f"緊急受付窓口 {row.answered_by} が応答")
    if row.unanswered:
        said.append("緊急受付窓口が応答せず")
    if row.language not in (None, "ja"):
        said.append(f"案内の言語: {row.language}")
    return [Note(at=now, by=SYSTEM, unit=CONTRACTOR, text=text) for text in said]


def _done(case: Case, row: Intake, now: datetime) -> list[Act]:
    """Somebody called back or handed it over outside the cases (`kikitori intake done`)."""
    note, done_at = row.note or "-", min(max(row.done_at or now, case.received_at), now)
    asked: list[Act] = [] if case.inquiry else [Amend(at=now, by=SYSTEM, unit=case.owner, inquiry=note)]
    reply = Reply(at=now, by=SYSTEM, unit=case.owner, channel=Channel.PHONE, answered_at=done_at)
    if waits_since(case, done_at):  # they are still to be called
        return [] if any(isinstance(act, Reply) for act in case.history) else [*asked, reply]
    return [
        *asked,
        reply,
        Result(
            at=now, by=SYSTEM, unit=case.owner, outcome=Outcome.ANSWERED, text=f"{note} ({row.done_by})"
        ),
        Close(at=now, by=SYSTEM, unit=case.owner),
    ]  # fmt: skip


class Adopting:
    """Intakes and cases, kept alike."""

    def __init__(self, intakes: IntakeBook, book: CaseBook, keep: Keep, now: Callable[[], datetime]) -> None:
        """`keep` puts down that an intake is done."""
        self._intakes, self._book, self._keep, self._now = intakes, book, keep, now
        self._open: set[str] | None = None
        """The intakes that were open at the last look; None before the first."""
        self._seen: dict[str, tuple[Intake, int]] = {}
        self._said: dict[str, str] = {}

    async def look(self) -> None:
        """Once. What one intake cannot be made into hides no other."""
        rows = {row.id: row for row in await self._intakes.rows(done=self._open is None, own=True)}
        for gone in (self._open or set()) - rows.keys():
            rows |= {row.id: row for row in await self._intakes.beginning(gone)}
        standing = await self._book.standing(list(rows))
        self._open = {identity for identity, row in rows.items() if not await self._settled(row, standing)}
        self._seen = {identity: self._seen[identity] for identity in self._open & self._seen.keys()}

    async def _settled(self, row: Intake, standing: Mapping[str, Standing]) -> bool:
        """Follow it; whether nothing can come of it any more."""
        try:
            await self._follow(row, standing.get(row.id))
        except ChangedError:
            log.info("a case was changed meanwhile", intake=row.id)  # the next look takes it
        except Exception as error:  # whatever it is, it must not hide the others; said once, and tried again
            if self._said.get(row.id) != (said := str(error)):
                self._said[row.id] = said
                log.exception("an intake is no case yet", intake=row.id)
        else:
            self._said.pop(row.id, None)
            return row.done_at is not None
        return False

    async def _follow(self, row: Intake, standing: Standing | None) -> None:
        if standing is not None and self._seen.get(row.id) == (row, standing.acts):
            return
        if standing is not None and standing.state is State.CLOSED and row.done_at is not None:
            return
        if standing is None:
            kept = await self._book.enter(begun(row, self._now()), identity=row.id, key=f"intake/{row.id}")
        else:
            kept = await self._book.get(standing.number)
        if new := following(kept.case, row, self._now()):
            kept = await self._book.add(kept.number, new, seen=len(kept.case.history))
        if row.done_at is None and (unit := answered(kept.case)) is not None:
            joined = f" (案件 {kept.case.joined} に統合)" if kept.case.joined else ""
            await self._keep(row, unit, f"案件 {kept.number}{joined}")
        self._seen[row.id] = (row, len(kept.case.history))
