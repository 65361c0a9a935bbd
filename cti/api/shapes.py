"""What goes in and out, as OpenAPI shows it. Times are RFC 3339, lengths seconds."""

import base64
import binascii
import json
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, RootModel

from cti.errors import UsageError
from cti.i18n import _
from cti.purpose import Purpose
from policies.overrides import Kind
from policies.rights import Act, Role
from recorder.medium import Medium
from retention.holds import Answer, Ground

Word = Annotated[str, Field(min_length=1, max_length=200)]
Id = Annotated[str, Field(pattern=r"^[a-z][a-z0-9.-]{1,31}$")]
Side = Literal["both", "left", "right"]


class In(BaseModel):
    """A body that comes in: nothing but what is known."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class SignIn(In):
    """ID, password and the code that the authenticator shows."""

    account: Annotated[str, Field(max_length=64)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    code: Annotated[str, Field(max_length=16, repr=False)]


class Enrolment(In):
    """The one-time secret, and what takes its place. `totp`: the seed that the authenticator has; `code`: of it."""

    account: Annotated[str, Field(max_length=64)]
    secret: Annotated[str, Field(max_length=64, repr=False)]
    password: Annotated[str, Field(max_length=1024, repr=False)]
    totp: Annotated[str, Field(pattern=r"^[A-Z2-7]{32}$", repr=False)]
    code: Annotated[str, Field(max_length=16, repr=False)]


class Whoami(BaseModel):
    """Who is signed in, what the role may do, of which epochs the keys are held, and how long it lasts if idle."""

    account: str
    name: str
    role: Role
    section: str | None
    acts: list[Act]
    epochs: list[int]
    seconds_left: float


class SignedIn(Whoami):
    """`token` goes into `Authorization: Bearer`."""

    token: str


class Loudness(BaseModel):
    """A small picture of each side: a hex digit for each equal stretch, the bits of its highest |sample| (6 dB each).

    `speech`: each side's share of the time. Of segments that a crash cut there is none: they are left out.
    """

    left: str
    right: str
    speech: tuple[float, float]


class Recording(BaseModel):
    """One recording. `segments`: how many it is made of."""

    recording: str
    pbx: str
    conversation: str
    number: str | None
    direction: str | None
    caller: str | None
    callee: str | None
    agent: str | None
    start: datetime
    end: datetime
    seconds: float
    segments: int
    loudness: Loudness | None


class Recordings(BaseModel):
    """A page, newest first; `next`: the cursor of the page behind it, null at the end."""

    items: list[Recording]
    next: str | None


class Details(Recording):
    """With its segments: the signed manifest of each, where it starts in the whole, and the gap before it."""

    parts: list[dict[str, Any]]


class Ask(In):
    """Why somebody wants to hear a recording, and of it what."""

    purpose: Purpose
    side: Side = "both"
    start: Annotated[float, Field(ge=0, le=1e6, alias="from")] = 0.0
    end: Annotated[float | None, Field(gt=0, le=1e6, alias="to")] = None
    request: Annotated[
        str | None, Field(pattern=r"^[\w .:/()()号第-]{1,64}$", description="受付番号 of the request")
    ] = None
    witness: Annotated[Id | None, Field(description="ID of the second person, who is there too (8条)")] = None


class SetHold(In):
    """Why a recording is held; `reason`: one line, needed for `other`."""

    ground: Ground
    reason: Annotated[str, Field(max_length=500)] = ""


class AskRelease(In):
    """Why a hold is to end; one line."""

    reason: Annotated[str, Field(min_length=1, max_length=500)]


class Question(BaseModel):
    """Somebody asked for a release; `answer`: `released` or `kept`, null as long as no other person has answered."""

    at: datetime
    by: str
    reason: str
    answer: Answer | None
    answered_by: str | None
    answered_at: datetime | None


class Hold(BaseModel):
    """A hold on a conversation, and its recordings that are known. `state`: `asked`, a release is asked for."""

    id: str
    conversation: str
    recordings: list[str]
    at: datetime
    by: str
    ground: Ground
    reason: str
    state: Literal["held", "asked", "released"]
    questions: list[Question]


class Holds(BaseModel):
    """In the order in which they were set. `unread`: lines in the vault that cannot be read; they may be holds."""

    items: list[Hold]
    unread: list[str]


class Retention(BaseModel):
    """Until when a recording is kept, where it lies, and what stops its end. Days are the last on which it is kept.

    `erased_at`: when its erasure is due, null while something stops it; `why`: in sentences.
    """

    recording: str
    conversation: str
    ended: datetime
    medium: Medium
    primary_until: date
    secondary_until: date | None
    erased_at: datetime | None
    why: list[str]
    holds: list[Hold]


class Problem(BaseModel):
    """RFC 9457, and `code`: the kind of error, as the command line names it. `errors`: where (`at`) what is wrong."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    errors: list[dict[str, str]] | None = None


class RetentionDue(BaseModel):
    """Recordings of which the same is due: how many, their seconds, and since when the oldest is."""

    count: int
    seconds: float
    since: datetime | None


class RetentionStopped(BaseModel):
    """A recording whose period is over since then, and that a hold keeps."""

    recording: str
    conversation: str
    since: datetime


class RetentionPlan(BaseModel):
    """What is due. `erase`: the period is over, and this version does not erase.

    `recordings`: of the stopped, the first.
    """

    at: datetime
    move: RetentionDue
    erase: RetentionDue
    stopped: RetentionDue
    recordings: list[RetentionStopped]


class NotMoved(BaseModel):
    """A recording that stays where it is, and why."""

    recording: str
    at: datetime
    problem: str


class RetentionRun(BaseModel):
    """Recordings on their way: `planned` were due when it began; `done` of them looked at, `moved` moved.

    `problem`: why it ended before its end. All null and 0: nothing was on its way since the desk was started.
    """

    running: bool
    began: datetime | None = None
    ended: datetime | None = None
    planned: int = 0
    done: int = 0
    moved: int = 0
    bytes: int = 0
    problem: str | None = None
    failed: list[NotMoved] = []


class Gap(BaseModel):
    """So many seconds are missing there."""

    at: float
    seconds: float


class Play(BaseModel):
    """What is heard: `audio` is its address. Of `seconds` that were asked for; `gaps` of the whole recording."""

    play: str
    recording: str
    audio: str
    seconds: float
    rate: int
    channels: int
    segments: int
    gaps: list[Gap]


class Levels(BaseModel):
    """Highest level of each of equal stretches, 0 to 1; `speech`: share of the time in which each side speaks."""

    left: list[float]
    right: list[float]
    speech: tuple[float, float]


class Export(In):
    """Why, and as what. `recipient`: for age, whom the file is for."""

    purpose: Literal[Purpose.QUALITY, Purpose.CONTENT]
    format: Literal["age", "flac", "wav"]
    recipient: Annotated[str | None, Field(max_length=100)] = None


class Entry(BaseModel):
    """One line of the access log."""

    seq: int
    ts: datetime
    actor: str
    action: str
    object: str
    detail: dict[str, Any]
    prev: str


class Log(BaseModel):
    """A page of it, in order; `next`: number of the first entry behind it, null at the end."""

    items: list[Entry]
    next: int | None


class Account(BaseModel):
    """An account, and what became of it."""

    id: str
    name: str
    role: Role
    section: str | None
    issued_by: str
    issued_at: datetime
    ended_by: str | None
    ended_at: datetime | None
    reason: str | None
    reviewed_by: str | None
    reviewed_at: datetime | None
    seen_at: datetime | None
    initial: bool


class Accounts(RootModel[list[Account]]):
    """Every one that ever was."""


class Issue(In):
    """A new account."""

    account: Id
    name: Annotated[str, Field(min_length=1, max_length=120)]
    role: Role
    section: Annotated[str | None, Field(min_length=1, max_length=120)] = None


class Secret(BaseModel):
    """The one-time secret: shown once."""

    account: str
    secret: str


class End(In):
    """Why."""

    reason: Word


class Holder(BaseModel):
    """Who holds the key of an epoch."""

    account: str
    epoch: int
    granted_by: str
    granted_at: datetime


class Rotation(BaseModel):
    """Keys that are changed just now, or were changed last. `looked` headers `of` so many; each is looked at twice."""

    by: str
    running: bool
    looked: int
    of: int
    epoch: int | None
    moved: int | None
    kept: bool | None
    foreign: list[int]
    lost: list[int]
    problem: str | None


class Epochs(BaseModel):
    """The epoch in use since when, those whose keys are still here, and who holds the key of which.

    `foreign`: slots that were sealed to somebody else. Epoch 0 stands for the key that signs to whom is encrypted.
    """

    epoch: int
    since: datetime
    due: bool
    epochs: list[int]
    holders: list[Holder]
    tested: int
    foreign: list[int]
    rotation: Rotation | None


class LiveCall(BaseModel):
    """A conversation that goes on. `phones`: designated ones that ring or talk."""

    conversation: str
    arrived: datetime | None
    answered: datetime | None
    number: str | None
    caller: str | None
    phones: list[str]
    recorded: bool


class Live(BaseModel):
    """What an event `calls` has; null while the recorder does not answer."""

    calls: list[LiveCall] | None


class Reviews(BaseModel):
    """Which months were looked through, by whom; which one is next, and which are late."""

    next: str
    late: list[str]
    reviewed: dict[str, str]


class Person(BaseModel):
    """What one actor did in a month."""

    actor: str
    searches: int
    looked: int
    plays: int
    exports: int
    disclosures: int
    seconds: float
    denied: int
    refused: int


class Unusual(BaseModel):
    """Something that somebody has to have looked at; `entries`: the first 50 numbers of the log."""

    what: str
    actor: str
    count: int
    entries: list[int]
    day: date | None
    about: str | None


class Review(BaseModel):
    """A month of the access log: entries from `first` on, before `next`. `sha256`: what is signed for."""

    month: str
    first: int
    next: int
    people: list[Person]
    unusual: list[Unusual]
    sha256: str


class Status(BaseModel):
    """What the recorder says of itself, null where it does not answer; and what was found beside it."""

    recorder: dict[str, Any] | None
    findings: list[dict[str, Any]]


class Sign(BaseModel):
    """The report that was looked at."""

    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")


class Override(BaseModel):
    """A decision on other hours, and what has become of it. `by` decided, `entered_by` entered it."""

    model_config = ConfigDict(validate_by_name=True)

    id: str
    kind: Kind
    start: Annotated[datetime, Field(alias="from")]
    end: Annotated[datetime, Field(alias="to")]
    hours: str | None
    state: str
    by: str
    entered_by: str
    entered_at: datetime | None
    reason: str
    revoked_at: datetime | None


class Overrides(BaseModel):
    """The newest first."""

    items: list[Override]


class Decide(In):
    """A decision on other hours. `by`: who decided. `from`, `to`: a day, or a time in Japan.

    Without `from`: now; without `to`: the end of the day; 15:00 there: today.
    """

    kind: Kind
    start: Annotated[str | None, Field(max_length=40, alias="from")] = None
    end: Annotated[str | None, Field(max_length=40, alias="to")] = None
    open: Annotated[str | None, Field(max_length=8)] = None
    close: Annotated[str | None, Field(max_length=8)] = None
    reason: Annotated[str, Field(min_length=1, max_length=1000)]
    by: Word
    dry_run: bool = False


class Change(BaseModel):
    """A day whose hours a decision changes; empty: closed."""

    date: date
    before: str
    after: str
    kind: Annotated[str, Field(alias="class")]


class Decided(BaseModel):
    """A decision as it was entered, or would be, and the days that it changes."""

    id: str
    kind: Kind
    start: Annotated[str, Field(alias="from")]
    end: Annotated[str, Field(alias="to")]
    open: str | None = None
    close: str | None = None
    reason: str
    by: str
    entered_by: str
    entered_at: datetime
    changes: list[Change]
    entered: bool


class TakeBack(In):
    """Who decided that, and why."""

    by: Word
    reason: Annotated[str, Field(min_length=1, max_length=1000)]


class TakenBack(BaseModel):
    """What was entered."""

    revoke: str
    by: str
    reason: str
    entered_by: str
    entered_at: datetime


class Granted(BaseModel):
    """Epochs whose keys were given, or how many were taken away."""

    account: str
    epochs: list[int]


def to_cursor(place: tuple[datetime, str]) -> str:
    """A place in the order of recordings, as a page names it."""
    return base64.urlsafe_b64encode(json.dumps([place[0].isoformat(), place[1]]).encode()).decode().rstrip("=")


def from_cursor(text: str) -> tuple[datetime, str]:
    """Raises UsageError."""
    try:
        at, recording = json.loads(base64.b64decode(text + "=" * (-len(text) % 4), "-_", validate=True))
        found = datetime.fromisoformat(at).astimezone(UTC), str(UUID(recording))
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError, OverflowError) as error:
        raise UsageError(_("this is no cursor: take `next` of the page before")) from error
    return found
