"""Holds: what stops the end of a conversation's recordings, and who ended it (6条1項ただし書, B-18). Pure.

A hold is what its lines say together: `hold` sets it, `asked` asks for its release, `released` agrees to that question,
`kept` takes it back. Each answer names its question, so that nothing hangs on the order in which lines are read. Where
lines contradict each other the hold goes on.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

from policies.retention import Retention
from retention.course import Course, Instant, Recorded, course
from retention.course import Event as Happening
from retention.course import Hold as HoldEvent
from retention.course import Release as ReleaseEvent
from retention.errors import HoldError


class Ground(StrEnum):
    """Why something is held."""

    UNJUST_DEMAND = "unjust-demand"  # 不当要求行為
    UNRESOLVED = "unresolved"  # 解決しない対応事案
    OTHER = "other"  # その他, with a reason


Answer = Literal["released", "kept"]


def _ground(value: Any) -> Any:
    # Of a later version: whatever it says, something is held.
    return value if any(value == one for one in Ground) else Ground.OTHER


Name = Annotated[str, Field(min_length=1, max_length=100)]


class _Line(BaseModel):
    model_config = ConfigDict(frozen=True)

    id: Name
    at: Instant
    by: Name


class Held(_Line):
    """`conversation` is held under `id`."""

    type: Literal["hold"] = "hold"
    conversation: Name
    ground: Annotated[Ground, BeforeValidator(_ground)]
    reason: str = ""


class Asked(_Line):
    """Somebody asks that hold `id` be released."""

    type: Literal["asked"] = "asked"
    question: Name
    reason: str = ""


class Answered(_Line):
    """What another person said to it."""

    type: Literal["released", "kept"]
    question: Name


Line = Held | Asked | Answered
_LINE: Final[TypeAdapter[Line]] = TypeAdapter(Annotated[Line, Field(discriminator="type")])


def read(text: bytes) -> Line | None:
    """A line of a file of holds; None for one that is none."""
    try:
        return _LINE.validate_json(text, strict=True)
    except ValidationError:
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """Somebody asked for a release, and what another person said; None: nobody yet."""

    id: str
    at: datetime
    by: str
    reason: str
    answer: Answer | None = None
    answered_by: str | None = None
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Hold:
    """One hold, and who asked for its release, in order."""

    id: str
    conversation: str
    at: datetime
    by: str
    ground: Ground
    reason: str
    questions: tuple[Question, ...] = ()

    @property
    def released(self) -> Question | None:
        """The question by which it ended; None: it holds."""
        return next((one for one in self.questions if one.answer == "released"), None)

    @property
    def waiting(self) -> Question | None:
        """The question that waits for another person."""
        open_ = (one for one in self.questions if one.answer is None)
        return None if self.released else next(open_, None)

    def may_be_asked(self) -> None:
        """Raises HoldError where nobody can ask for its release now."""
        self._holds()
        if self.waiting is not None:
            raise HoldError("somebody has asked for its release: another person agrees, or keeps it")

    def may_be_released(self, by: str) -> Question:
        """The question that `by` can agree to. Raises HoldError."""
        question = self.may_be_kept()
        if question.by == by:
            raise HoldError("a release takes two persons: whoever asked for it does not agree to it")
        return question

    def may_be_kept(self, only: str | None = None) -> Question:
        """The question that can be taken back; `only` that one, where it is named. Raises HoldError."""
        self._holds()
        if self.waiting is None or only not in (None, self.waiting.id):
            raise HoldError("nobody has asked for its release")
        return self.waiting

    def _holds(self) -> None:
        if self.released is not None:
            raise HoldError("it is released, and stays so; hold the recording anew")


@dataclass(frozen=True, slots=True)
class Holds:
    """All holds, in the order in which they were set. `unread`: where lines are that cannot be read."""

    all: tuple[Hold, ...] = ()
    unread: tuple[str, ...] = ()

    def of(self, conversation: str) -> tuple[Hold, ...]:
        """Those of one conversation, with those that were released."""
        return tuple(hold for hold in self.all if hold.conversation == conversation)

    def beginning(self, text: str) -> tuple[Hold, ...]:
        """Those whose id begins with `text`."""
        return tuple(hold for hold in self.all if hold.id.startswith(text))

    def events(self, conversation: str) -> tuple[Happening, ...]:
        """What holds and releases its recordings, as `retention.course` takes it."""
        found: list[Happening] = []
        for hold in self.of(conversation):
            found.append(HoldEvent(at=hold.at, id=hold.id))
            if (over := hold.released) is not None and over.answered_at is not None:
                # Not before it was set, whatever a clock said.
                found.append(ReleaseEvent(at=max(over.answered_at, hold.at), id=hold.id))
        return tuple(found)


@dataclass(slots=True)
class _Parts:
    sets: list[Held] = field(default_factory=list)
    asks: dict[str, list[Asked]] = field(default_factory=dict)
    answers: dict[str, list[Answered]] = field(default_factory=dict)


def fold(lines: Iterable[Line], unread: Sequence[str] = ()) -> Holds:
    """What the lines say together, whichever way they are ordered and however often one stands there."""
    by_id: dict[str, _Parts] = {}
    for line in lines:
        parts = by_id.setdefault(line.id, _Parts())
        match line:
            case Held():
                parts.sets.append(line)
            case Asked():
                parts.asks.setdefault(line.question, []).append(line)
            case Answered():
                parts.answers.setdefault(line.question, []).append(line)
    made = [_hold(parts) for parts in by_id.values() if parts.sets]
    return Holds(tuple(sorted(made, key=lambda hold: (hold.at, hold.id))), tuple(unread))


def _hold(parts: _Parts) -> Hold:
    first = min(parts.sets, key=_order)
    questions = [_question(asks, parts.answers.get(name, [])) for name, asks in parts.asks.items()]
    return Hold(
        id=first.id, conversation=first.conversation, at=first.at, by=first.by, ground=first.ground,
        reason=first.reason, questions=tuple(sorted(questions, key=lambda one: (one.at, one.id))),
    )  # fmt: skip


def _question(asks: Iterable[Asked], answers: Iterable[Answered]) -> Question:
    first = min(asks, key=_order)
    made = Question(id=first.question, at=first.at, by=first.by, reason=first.reason)
    # Whoever keeps it outdoes who releases it; and nobody releases it alone.
    counts = [one for one in answers if one.type == "kept" or one.by != first.by]
    if not counts:
        return made
    said = min(counts, key=lambda one: (one.type != "kept", *_order(one)))
    return Question(
        id=made.id, at=made.at, by=made.by, reason=made.reason, answer=said.type, answered_by=said.by,
        answered_at=said.at,
    )  # fmt: skip


def _order(line: Line) -> tuple[datetime, str, str]:
    return line.at, line.by, line.model_dump_json()


def course_of(recording: str, ended: datetime, conversation: str, holds: Holds, policy: Retention) -> Course:
    """The course of a recording that is there. Raises ValueError for an end that no calendar here reckons with.

    `course` knows when a recording ought to be erased, and a hold that comes later finds nothing. This one is there:
    a hold on it counts, also one that was set when its day was over.
    """
    plain = Recorded(id=recording, recorded_at=ended)
    over = course(plain, policy).erased_at
    events = holds.events(conversation)
    if over is not None:
        last = over - timedelta(microseconds=1)
        events = tuple(
            one.model_copy(update={"at": min(one.at, last)}) if isinstance(one, HoldEvent) else one for one in events
        )
    return course(plain.model_copy(update={"events": events}), policy)
