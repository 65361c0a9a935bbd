"""What becomes of one recording by what happens to it (6条; B-15 to B-25). Pure.

`course` is a fold over events in the order in which they took effect. The recording is there until its end; whatever
comes later finds nothing. What the rules do not allow changes nothing, and is named.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from enum import StrEnum
from typing import Annotated, Final, Literal, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from policies.calendar import JST
from policies.retention import AtExpiry, MediumFrom, Retention
from retention.period import after, day_of, fiscal_year_after, last_day, over


def _instant(at: datetime) -> datetime:
    """In Japan where it names no zone. Raises ValueError for years that no calendar here reckons with."""
    if not 1900 <= at.year <= 9000:
        raise ValueError("lies outside the years 1900 to 9000")
    return at if at.tzinfo else at.replace(tzinfo=JST)


Instant = Annotated[datetime, AfterValidator(_instant)]


class Happened(BaseModel):
    """Something that happened `at` an instant. `id`: which hold or request, where there are several."""

    model_config = ConfigDict(frozen=True, extra="allow")  # whoever reads it says what nobody knows

    at: Instant
    id: str | int | None = None


class Hold(Happened):
    """It may have to be looked at later (6条1項ただし書, B-18)."""

    type: Literal["hold"] = "hold"


class Release(Happened):
    """A hold is over: the one of that id; without an id, the oldest."""

    type: Literal["release"] = "release"


class ExternalSave(Happened):
    """It was saved to an external medium (B-19)."""

    type: Literal["external_save"] = "external_save"


class EraseRequest(Happened):
    """Somebody asked that it be erased, and what was decided of it, if anything yet (6条3項, B-24, B-25)."""

    type: Literal["erase_request"] = "erase_request"
    decision: Literal["approved", "refused", "not_applicable"] | None = None
    decided_at: Instant | None = None

    @model_validator(mode="after")
    def _decided(self) -> "EraseRequest":
        if (self.decision is None) != (self.decided_at is None):
            raise ValueError("decision and decided_at stand together, or neither does")
        if self.decided_at is not None and self.decided_at < self.at:
            raise ValueError("decided_at lies before the request")
        return self


class Extension(Happened):
    """The period of the medium is extended to `until`, by `basis` (6条2項ただし書, B-22)."""

    type: Literal["extension"] = "extension"
    until: date
    basis: str = Field(min_length=1)


class DestroyMedium(Happened):
    """The medium was destroyed (B-21)."""

    type: Literal["destroy_medium"] = "destroy_medium"


class DisclosureRequest(Happened):
    """Whose voice it is asks to hear it (8条, B-27)."""

    type: Literal["disclosure_request"] = "disclosure_request"


class DisclosureDecided(Happened):
    """What was decided of it: of the request of that id; without an id, of the oldest."""

    type: Literal["disclosure_decided"] = "disclosure_decided"
    decision: Literal["granted", "refused"]


class Disclosed(Happened):
    """They heard it, or have a copy."""

    type: Literal["disclosed"] = "disclosed"


Event = Annotated[
    Hold | Release | ExternalSave | EraseRequest | Extension | DestroyMedium | DisclosureRequest | DisclosureDecided
    | Disclosed,
    Field(discriminator="type"),
]  # fmt: skip
TYPES: Final[tuple[str, ...]] = tuple(
    one.model_fields["type"].default for one in get_args(get_args(Event)[0])
)  # fmt: skip


class Recorded(BaseModel):
    """A recording whose call ended then, and what happened to it."""

    model_config = ConfigDict(frozen=True, extra="allow")

    id: str | int
    recorded_at: Instant
    events: tuple[Event, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> "Recorded":
        for place, one in enumerate(self.events):
            if not isinstance(one, Hold | Release) and one.at < self.recorded_at:
                raise ValueError(f"events.{place} lies before the end of the call")
        return self

    @property
    def unknown(self) -> list[str]:
        """Names of fields that mean nothing here."""
        found = [*(self.model_extra or {})]
        return found + [
            f"events.{place}.{name}" for place, one in enumerate(self.events) for name in one.model_extra or {}
        ]


class Asked:
    """An erase request that nobody has decided yet."""


class Reason(StrEnum):
    """Why something is as it is."""

    FIRST = "first"
    SECOND = "second"
    EXPIRED = "expired"
    APPROVED = "approved"
    UNSTOPPED = "unstopped"
    HELD = "held"
    PENDING = "pending"
    UNDECIDED = "undecided"
    SAVED = "saved"
    EXTENDED = "extended"
    DESTROYED = "destroyed"
    REMAKE = "remake"
    BEFORE_RULE = "before-rule"
    GONE = "gone"
    NO_SUCH = "no-such"
    UNDER_HOLD = "under-hold"
    ERASED_BEFORE = "erased-before"
    NO_MEDIUM = "no-medium"
    NOT_YET = "not-yet"
    SHORTER = "shorter"
    NO_LONGER = "no-longer"
    TOO_LATE = "too-late"


@dataclass(frozen=True, slots=True)
class Why:
    """A reason, the day or instant that it speaks of, and the event (its place in the list) that it is about."""

    reason: Reason
    at: date | datetime | None = None
    event: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Course:
    """What becomes of it. Days are the last on which it is kept; `refused`: places of events that are not allowed.

    `secondary_until` is None where it was erased before it would have moved; `erased_at` is None while something stops
    the erasure; `external_until` is None where it was saved to no medium.
    """

    primary_until: date
    secondary_until: date | None
    erased_at: datetime | None
    external_until: date | None
    refused: tuple[int, ...]
    why: tuple[Why, ...]


def course(recorded: Recorded, policy: Retention) -> Course:
    """Events may come in any order; of one instant, the one listed first is first."""
    return _Fold(policy, recorded.recorded_at).all(recorded.events)


@dataclass(slots=True)
class _Fold:
    policy: Retention
    recorded_at: datetime
    first: date = field(init=False)
    second: date = field(init=False)
    erased_at: datetime | None = None
    external: date | None = None
    destroyed: bool = False
    holds: list[str | int | None] = field(default_factory=list)
    requests: list[str | int | None] = field(default_factory=list)
    undecided: int = 0
    refused: list[int] = field(default_factory=list)
    why: list[Why] = field(default_factory=list)

    def __post_init__(self) -> None:
        system = self.policy.system
        self.first = after(day_of(self.recorded_at), system.first_months)
        self.second = after(self.first, system.second_months)

    def all(self, events: Sequence[Event]) -> Course:
        for at, place, event in sorted(_moments(events), key=lambda moment: moment[:2]):
            self._expire(at)
            self._take(at, place, event)
            if self.erased_at is None and at >= over(self.second) and not any(self._stopping()):
                self._erased(at, Reason.UNSTOPPED, place)
        self._expire(None)
        if self.erased_at is None:
            self.why += [Why(reason, self.second) for reason in self._stopping()]
        moved, rule = self.erased_at is None or self.erased_at >= over(self.first), self.policy.effective_from
        begins = [Why(Reason.FIRST, self.first), *([Why(Reason.SECOND, self.second)] if moved else [])]
        if day_of(self.recorded_at) < rule:
            begins.insert(0, Why(Reason.BEFORE_RULE, rule))
        return Course(
            primary_until=self.first, secondary_until=self.second if moved else None, erased_at=self.erased_at,
            external_until=self.external, refused=tuple(sorted(self.refused)), why=(*begins, *self.why),
        )  # fmt: skip

    def _expire(self, now: datetime | None) -> None:
        """The ordinary day, if it has come by then."""
        end = over(self.second)
        if self.erased_at is None and (now is None or end <= now) and not any(self._stopping()):
            self._erased(end, Reason.EXPIRED, None)

    def _stopping(self) -> Iterable[Reason]:
        """What stops the erasure of a recording whose period is over."""
        rules, saved = self.policy.at_expiry, self.external is not None and not self.destroyed
        if self.holds and not (saved and rules.saved_hold is AtExpiry.NOTHING):
            yield Reason.HELD
        if self.requests and rules.pending_disclosure is AtExpiry.STOPS:
            yield Reason.PENDING
        if self.undecided and rules.undecided_erasure is AtExpiry.STOPS:
            yield Reason.UNDECIDED

    def _erased(self, at: datetime, reason: Reason, place: int | None) -> None:
        self.erased_at = at
        self.why.append(Why(reason, at, place))
        if reason is Reason.APPROVED and self.external is not None and not self.destroyed:
            self.why.append(Why(Reason.REMAKE, self.external, place))

    def _refuse(self, place: int, reason: Reason, at: date | datetime | None = None) -> None:
        self.refused.append(place)
        self.why.append(Why(reason, at, place))

    def _take(self, at: datetime, place: int, event: "Event | Asked") -> None:
        match event:
            case Extension() | DestroyMedium():
                self._of_the_medium(place, event)
            case ExternalSave() if self.erased_at is not None:
                self._refuse(place, Reason.ERASED_BEFORE, self.erased_at)
            case Asked():
                self.undecided += 1
            case _ if self.erased_at is not None:
                self.why.append(Why(Reason.GONE, self.erased_at, place))
            case Hold():
                self.holds.append(event.id)
            case Release():
                self._ends(self.holds, place, event)
            case DisclosureRequest():
                self.requests.append(event.id)
            case Disclosed() | DisclosureDecided(decision="refused"):
                self._ends(self.requests, place, event)
            case DisclosureDecided():
                pass  # it is still to be carried out
            case ExternalSave():
                self._saved(place, event)
            case EraseRequest():
                self._decided(at, place, event)

    def _ends(self, waiting: list[str | int | None], place: int, event: Happened) -> None:
        """The hold or request of that id; without an id, the oldest."""
        if event.id is None and waiting:
            waiting.pop(0)
        elif event.id is not None and event.id in waiting:
            waiting.remove(event.id)
        else:
            self.why.append(Why(Reason.NO_SUCH, None, place))

    def _saved(self, place: int, event: ExternalSave) -> None:
        media, day = self.policy.media, day_of(event.at)
        months = 12 * media.years
        if media.counted_from is MediumFrom.FISCAL_YEAR:
            until = last_day(fiscal_year_after(day), months)
        else:
            until = after(day, months)
        self.external = until if self.external is None or self.destroyed else max(self.external, until)
        self.destroyed = False
        self.why.append(Why(Reason.SAVED, self.external, place))

    def _decided(self, at: datetime, place: int, event: EraseRequest) -> None:
        self.undecided -= 1
        if event.decision == "approved" and self.holds:
            self._refuse(place, Reason.UNDER_HOLD, at)
        elif event.decision == "approved":
            self._erased(at, Reason.APPROVED, place)

    def _of_the_medium(self, place: int, event: Extension | DestroyMedium) -> None:
        if self.external is None:
            self._refuse(place, Reason.NO_MEDIUM)
        elif self.destroyed:
            self._refuse(place, Reason.NO_LONGER)
        elif isinstance(event, DestroyMedium):
            if day_of(event.at) <= self.external:
                self._refuse(place, Reason.NOT_YET, self.external)
            else:
                self.destroyed = True
                self.why.append(Why(Reason.DESTROYED, event.at, place))
        elif event.until <= self.external:
            self._refuse(place, Reason.SHORTER, self.external)
        elif day_of(event.at) > self.external and not self.policy.media.extended_late:
            self._refuse(place, Reason.TOO_LATE, self.external)
        else:
            self.external = event.until
            self.why.append(Why(Reason.EXTENDED, event.until, place))


def _moments(events: Sequence[Event]) -> Iterator[tuple[datetime, int, "Event | Asked"]]:
    """When each takes effect: an erase request when it is made, and again when it is decided."""
    for place, event in enumerate(events):
        if not isinstance(event, EraseRequest):
            yield event.at, place, event
            continue
        yield event.at, place, Asked()
        if event.decided_at is not None:
            yield event.decided_at, place, event
