"""What goes in and out of the addresses of cases, as OpenAPI shows it."""

import re
import unicodedata
from collections.abc import Sequence
from datetime import date, datetime, time
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, Field, model_validator

from cti.api.shapes import In
from cti.cases import form
from cti.cases.acts import (
    Act,
    Channel,
    Draft,
    Met,
    Outcome,
    Reach,
    State,
    TicketEnd,
    TicketKind,
    VoiceBasis,
    VoiceState,
    Way,
    Why,
)
from cti.cases.acts import Joined as Came
from cti.cases.case import Letter as InHand
from cti.cases.contact import Contact as Number
from cti.cases.contact import Missing
from cti.cases.lists import Held, Kept, Line, TicketLine

if TYPE_CHECKING:
    from cti.cases.desk import Arrival as Coming


def _readable(text: str) -> str:
    """Without what could not be kept, or steers a terminal or a reader's eye; lines end as they do here."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    kinds = {one: unicodedata.category(one) for one in set(text) - {"\n", "\t"}}
    if _STEERING & kinds.keys() or {"Cc", "Cs", "Zl", "Zp"} & set(kinds.values()):
        raise ValueError("holds something that is no text")
    return text.strip()


def _in_reach(at: datetime) -> datetime:
    """Of the years that every clock and calendar here can show."""
    if not YEARS[0] <= at.year <= YEARS[1]:
        raise ValueError(f"the year must lie between {YEARS[0]} and {YEARS[1]}")
    return at


YEARS = (1990, 2200)
_STEERING = frozenset("\u200b\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ufeff")
"""What turns the direction of text, or is not seen."""
At = Annotated[AwareDatetime, AfterValidator(_in_reach)]
Text = Annotated[str, Field(max_length=8000), AfterValidator(_readable)]
Short = Annotated[str, Field(max_length=200), AfterValidator(_readable)]
Unit = Annotated[str, Field(min_length=1, max_length=120)]
Call = Annotated[str, Field(pattern=r"^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$")]
Typed = Annotated[str, Field(max_length=64, description="A telephone number in any writing")]


# --- in ---------------------------------------------------------------------------------------------------------------


def mail(text: str) -> str:
    """An address of the usual form; whether somebody is there, an answer tells."""
    if text and not _MAIL.fullmatch(text):
        raise ValueError("is no e-mail address")
    return text


_MAIL = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@(?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z0-9-]{2,63}")


Clock = Annotated[str, Field(pattern=r"^([01][0-9]|2[0-3]):[0-5][0-9]$|^24:00$", examples=["18:00"])]


class _Reaching(In):
    name: Short | None = None
    contact: Typed | None = None
    missing: Missing | None = None
    read_back: bool = False
    email: Annotated[str, Field(max_length=254), AfterValidator(mail)] | None = None
    address: Short | None = None
    between: Annotated[
        tuple[Clock, Clock] | None, Field(description="Hours of a day in Japan in which they want to be called")
    ] = None
    any_hour: Annotated[bool, Field(description="At any hour that the policy has, again")] = False
    discreet: Annotated[bool | None, Field(description="Nothing of it to family or a voicemail")] = None


class Enter(_Reaching):
    """A question. `received_by`: cc, contractor, emergency or a 所管課; without it, by the channel and who enters it.

    `read_back`: the number was read to them (A-16). `consent`: they agree to be called back (A-17).
    """

    channel: Channel
    received_by: Unit | None = None
    received_at: At | None = None
    inquiry: Text
    category: Unit | None = None
    conversation: Call | None = None
    consent: bool | None = None
    main: Unit | None = None
    related: Annotated[tuple[Unit, ...], Field(max_length=20)] = ()


class Amend(In):
    """What is asked, put right."""

    kind: Literal["amend"]
    inquiry: Text | None = None
    category: Unit | None = None
    conversation: Call | None = None


class ReachIn(_Reaching):
    """How they are reached."""

    kind: Literal["reach"]


class Consent(In):
    """Whether they agree to be called back."""

    kind: Literal["consent"]
    given: bool


class Assign(In):
    """Whose it is."""

    kind: Literal["assign"]
    main: Unit
    related: Annotated[tuple[Unit, ...], Field(max_length=20)] = ()
    category: Unit | None = None


class HandOver(In):
    """To the main 所管課: `promised` for callback and telephone, `why` for transfer, `reached` for telephone."""

    kind: Literal["hand-over"]
    way: Way
    promised: At | None = None
    why: Why | None = None
    words: Text = ""
    reached: Typed | None = None


class Accept(In):
    """The 所管課 takes it."""

    kind: Literal["accept"]


class Reply(In):
    """The customer was answered, now or at `answered_at`; by another channel than they used, by their wish (5条(1))."""

    kind: Literal["reply"]
    channel: Channel
    wish: Text = ""
    answered_at: At | None = None


class Result(In):
    """What came of it."""

    kind: Literal["result"]
    outcome: Outcome
    text: Text


class Close(In):
    """Nothing is left to be done."""

    kind: Literal["close"]


class Reopen(In):
    """It was not over."""

    kind: Literal["reopen"]
    reason: Text


class Expect(In):
    """Until when somebody acts next; null: nothing is waited for."""

    kind: Literal["expect"]
    until: At | None = None
    reason: Text = ""


class UnjustDemand(In):
    """不当要求行為: in their words. 水道局長 is to be told at once."""

    kind: Literal["unjust-demand"]
    text: Text
    conversation: Call | None = None


class Reported(In):
    """水道局長 was told, now or at `told_at`."""

    kind: Literal["reported"]
    to: Short
    told_at: At | None = None


class Voice(In):
    """市民の声, on one of two grounds."""

    kind: Literal["voice"]
    basis: VoiceBasis
    text: Text = ""


class VoiceStep(In):
    """How far its procedure is."""

    kind: Literal["voice-step"]
    step: VoiceState
    text: Text = ""


class DraftIn(In):
    """What is to be sent. `to`: a fax number, typed twice (`again`); else the customer's e-mail or postal address.

    Without `to`: that which is known of them. `reason`: why it goes elsewhere. `template`: one of the policy, in whose
    blank `text` goes.
    """

    kind: Literal["draft"]
    channel: Channel
    to: Annotated[str, Field(max_length=254), AfterValidator(_readable)] | None = None
    again: Typed | None = None
    name: Short | None = None
    text: Text | None = None
    template: Unit | None = None
    reason: Text = ""

    @model_validator(mode="after")
    def _by_mail(self) -> "DraftIn":
        if self.channel is Channel.WEB and self.to:
            mail(self.to)
        return self


class CheckIn(In):
    """Another person looked at `draft`, the number of the act: it can go, or goes back with a `reason`."""

    kind: Literal["check"]
    draft: Annotated[int, Field(ge=1)]
    ok: bool
    reason: Text = ""


class Share(In):
    """Another unit (cc, contractor, a 所管課) sees it; `help`: and is asked for something. `ended`: no longer."""

    kind: Literal["share"]
    to: Unit
    reason: Text = ""
    help: bool = False
    ended: bool = False


class Note(In):
    """Something to be known."""

    kind: Literal["note"]
    text: Text


class Do(In):
    """Acts, all of them or none. `seen`: how many the case had when it was looked at, if that matters."""

    acts: Annotated[
        list[
            Annotated[
                Amend
                | ReachIn
                | Consent
                | Assign
                | HandOver
                | Accept
                | Reply
                | Result
                | Close
                | Reopen
                | Expect
                | UnjustDemand
                | Reported
                | Voice
                | VoiceStep
                | DraftIn
                | CheckIn
                | Share
                | Note,
                Field(discriminator="kind"),
            ]
        ],
        Field(min_length=1, max_length=10),
    ]
    seen: Annotated[int | None, Field(ge=1)] = None


class Dial(In):
    """Which telephone of ours rings: whoever picks it up is put through to the customer."""

    phone: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]


class TriedIn(In):
    """Whom a call met. `left`: what was said to another person, or a voicemail.

    `again`: when it is tried next, by the policy if nothing is said; of the customer, when they are called once more.
    """

    met: Met
    left: Text = ""
    again: At | None = None


class PutThrough(In):
    """Where the caller goes: by itself to the 所管課 of the case, or of its kind of question. `words`: why other."""

    section: Typed | None = None
    why: Why
    words: Text = ""
    seen: int | None = None


class JoinIn(In):
    """Into which case: its number, or the beginning of its id. `seen`, `seen_into`: how many acts each had, as in `Do`.

    `dry_run`: how both would be.
    """

    into: Annotated[str, Field(pattern=r"^[0-9a-fA-F-]{1,36}$")]
    seen: Annotated[int | None, Field(ge=1)] = None
    seen_into: Annotated[int | None, Field(ge=1)] = None
    dry_run: bool = False


class Looked(In):
    """That the progress was looked through, with recordings since then; a week by itself."""

    since: Annotated[At | None, Field(alias="from")] = None


# --- out --------------------------------------------------------------------------------------------------------------


class Reached(BaseModel):
    """A number: as it is written in Japan, and as E.164; or why there is none."""

    number: str | None = None
    e164: str | None = None
    extension: str | None = None
    hiding: str | None = None
    missing: Missing | None = None

    @classmethod
    def of(cls, found: Number | Missing | None) -> "Reached | None":
        """None for nobody asked."""
        if found is None:
            return None
        if isinstance(found, Missing):
            return cls(missing=found)
        return cls(number=found.written, e164=found.e164, extension=found.extension, hiding=found.hiding)


class CaseLine(BaseModel):
    """A case in a list. `next_at`: until when somebody acts; `late`: it is past. `acts`: how many it has.

    `damaged`: its row was changed in the database, and nothing of the customer is shown.
    """

    number: int
    id: str
    state: State
    channel: Channel
    received_by: str
    received_at: datetime
    entered_by: str
    entered_at: datetime
    owner: str
    main: str | None
    category: str | None
    conversation: str | None
    way: Way | None
    promised: datetime | None
    next_at: datetime | None
    late: bool
    accepted_at: datetime | None
    replied_at: datetime | None
    outcome: Outcome | None
    closed_at: datetime | None
    reopened: int
    last_at: datetime
    acts: int
    inquiry: str
    name: str
    contact: Reached | None
    damaged: bool = False

    @classmethod
    def of(cls, line: Line, now: datetime) -> "CaseLine":
        """As it stands in the list of the store."""
        values = {name: getattr(line, name) for name in line.__dataclass_fields__}
        return cls(**values | {"contact": Reached.of(line.contact), "late": line.late(now)})


class Ticket(BaseModel):
    """One promise: its name (`12-2`: the second of case 12), who keeps it, until when, and what became of it.

    `late`: tried or kept after `due`, or open and past it. `tries`: how often they were called, `tried_at` when first,
    `again` when next. `outcome`: kept, failed (a callback takes its place), passed-on
    (another unit has one of its own), void (closed without it); null while it is open. `others`: further open cases of
    the customer's number that one may see.
    """

    ticket: str
    id: str
    case: int
    kind: TicketKind
    unit: str
    conversation: str | None
    leg: str
    at: datetime
    due: datetime | None
    late: bool
    done_at: datetime | None
    outcome: TicketEnd | None
    tries: int
    tried_at: datetime | None
    again: datetime | None
    inquiry: str
    name: str
    contact: Reached | None
    damaged: bool
    others: list[int]

    @classmethod
    def of(cls, line: TicketLine, now: datetime) -> "Ticket":
        """As it stands in the list of the store."""
        values = {name: getattr(line, name) for name in line.__dataclass_fields__ if name != "place"}
        more = {"ticket": f"{line.case}-{line.place}", "late": line.late(now), "contact": Reached.of(line.contact)}
        return cls(**values | more)


class Ringing(BaseModel):
    """A call for a ticket that was begun: `phone` rings, then `contact` is called.

    `others`: tickets of the same number. `discreet`: nothing of it to family or a voicemail.
    """

    ticket: str
    case: int
    phone: str
    conversation: str
    name: str
    contact: Reached | None
    inquiry: str
    discreet: bool
    others: list[str]


class Called(BaseModel):
    """The last call for a ticket, as the PBX saw it. `again`: when it is tried next.

    `outcome`: answered, busy, no-answer, rejected, failed, cancelled, not-picked-up, not-placed, unknown (nothing was
    heard of it for an hour); null: it goes on.
    """

    ticket: str
    outcome: str | None
    seconds: int
    again: datetime | None


class Tickets(BaseModel):
    """Those that are due first, first; of all, the newest first."""

    items: list[Ticket]


class Cases(BaseModel):
    """A page; `next`: the number that goes into `after` for the page behind it, null at the end."""

    items: list[CaseLine]
    next: int | None


class Letter(BaseModel):
    """What is to be sent: act `draft` of the case. `ok`: what came of its check, null: nobody looked yet.

    `ask`: whom the text names to be asked (問合せ先). `reason`: why it goes to another address than the customer's.
    `back`: why it was given back.
    """

    draft: int
    by: str
    at: datetime
    channel: Channel
    to: str
    name: str
    text: str
    ask: str
    reason: str
    ok: bool | None
    checked_by: str | None
    back: str

    @classmethod
    def of(cls, found: InHand | None) -> "Letter | None":
        """None where there is none."""
        if found is None:
            return None
        draft, check = found.draft, found.check
        return cls(
            draft=found.place, by=draft.by, at=draft.at, channel=draft.channel, to=_written(draft), name=draft.name,
            text=draft.text, ask=" ".join(draft.ask), reason=draft.reason, ok=check.ok if check else None,
            checked_by=check.by if check else None, back=check.reason if check else "",
        )  # fmt: skip


def _written(draft: Draft) -> str:
    """Where it goes, as people write it."""
    return Number(e164=draft.to).written if draft.channel is Channel.FAX else draft.to


class Case(CaseLine):
    """A case, with all that was done: `history`, each act with its kind, time, account and unit, in order.

    `letter`: what is to be sent in writing, if anything. `shared`: units that see it beside those it concerns.
    `evasive`: phrases in what was entered just now that say neither yes nor no (E-15); empty where it is only shown.
    `joined`: the case of which it is a duplicate, and has ended as such; `duplicates`: those that have ended in it.
    `others`: further open cases of the customer's number that one may see. `held`: whether the recordings of its unjust
    demands are; null where there was none, or no call is known.
    """

    related: list[str]
    shared: list[str]
    read_back: bool
    email: str
    address: str
    between: tuple[str, str] | None
    discreet: bool
    consent: bool | None
    letter: Letter | None
    joined: int | None
    duplicates: list[int]
    others: list[int]
    evasive: list[str]
    held: Held | None
    history: list[dict[str, Any]]

    @classmethod
    def whole(
        cls, kept: Kept, now: datetime, others: Sequence[int], evasive: Sequence[str] = (), held: Held | None = None
    ) -> "Case":  # fmt: skip
        """Of the store's."""
        case = kept.case
        same = (
            "id", "state", "channel", "received_by", "received_at", "entered_by", "entered_at", "owner", "main",
            "category", "conversation", "promised", "next_at", "accepted_at", "closed_at", "reopened", "last_at",
            "inquiry",
        )  # fmt: skip
        return cls(
            **{name: getattr(case, name) for name in same}, number=kept.number, acts=len(case.history),
            way=case.hand_over.way if case.hand_over else None, late=case.next_at is not None and case.next_at < now,
            replied_at=case.reply.at if case.reply else None, outcome=case.result.outcome if case.result else None,
            name=case.reach.name if case.reach else "", contact=Reached.of(case.reach.contact if case.reach else None),
            related=list(case.related), shared=list(case.shared),
            read_back=case.reach is not None and case.reach.read_back,
            email=case.reach.email if case.reach else "", address=case.reach.address if case.reach else "",
            between=_clocks(case.reach.between if case.reach else None),
            discreet=case.reach is not None and bool(case.reach.discreet),
            consent=case.consent.given if case.consent else None, letter=Letter.of(case.letter), evasive=list(evasive),
            joined=case.joined, others=list(others), held=held,
            duplicates=[act.duplicate for act in case.history if isinstance(act, Came)],
            history=[_act(act) for act in case.history],
        )  # fmt: skip


class Put(BaseModel):
    """A caller who goes to `section`, on `phone`. `instead`: in place of the one that was meant, which is closed."""

    case: Case
    section: str
    phone: str
    instead: bool


class Joined(BaseModel):
    """The duplicate, which has ended, and the case into which it was joined; of a dry run, as they would be."""

    case: Case
    into: Case
    dry_run: bool


class Arrival(BaseModel):
    """A caller who is put through to one's unit: from `phone`, and why; `earlier`: other cases of their number."""

    case: Case
    phone: str
    why: Why | None
    words: str
    earlier: list[CaseLine]

    @classmethod
    def of(cls, found: "Coming", now: datetime) -> "Arrival":
        """As the store has it."""
        return cls(
            case=Case.whole(found.kept, now, found.others), phone=found.phone, why=found.why, words=found.words,
            earlier=[CaseLine.of(line, now) for line in found.earlier],
        )  # fmt: skip


def _clocks(between: tuple[time, time] | None) -> tuple[str, str] | None:
    """As they were said: 18:00; the end of a day is 24:00."""
    if between is None:
        return None
    first, last = ("24:00" if one == time.max else one.isoformat("minutes") for one in between)
    return first, last


def _act(act: Act) -> dict[str, Any]:
    found = form.public(act)
    if isinstance(act, Draft):
        found |= {"to": _written(act), "again": ""}
    if isinstance(act, Reach):
        reached = Reached.of(act.contact)
        found["contact"] = reached.model_dump(mode="json") if reached else None
        found["between"] = _clocks(act.between)
    return found


class Section(BaseModel):
    """A 所管課. `takes`: whether something can be handed over to it today."""

    name: str
    title: str
    kind: str
    kind_title: str
    phone: str
    hours: str
    since: date | None
    until: date | None
    liaison: list[str]
    instead: str | None
    categories: list[str]
    takes: bool
    lacks_liaison: bool


class Category(BaseModel):
    """A kind of question, and whose it is."""

    name: str
    title: str
    section: str | None
    urgent: bool


class Sections(BaseModel):
    """Who answers what the centre cannot."""

    sections: list[Section]
    categories: list[Category]


class Owner(BaseModel):
    """What a unit sees to: how many are open, handed over to it and not taken, late; when the oldest came in."""

    unit: str
    open: int
    untaken: int
    late: int
    oldest: datetime


class Recorded(BaseModel):
    """A conversation that was recorded, and of which there is no case."""

    conversation: str
    recording: str
    at: datetime
    number: str | None
    agent: str | None


class Ownerless(BaseModel):
    """A case, or its ticket of that kind, of which the unit is no more."""

    case: int
    kind: str | None
    unit: str


class Check(BaseModel):
    """Who looked it through last, and what there was then."""

    by: str
    at: datetime
    counts: dict[str, int]


class Progress(BaseModel):
    """How the cases stand. `unasked`: nobody entered what a call was about; `unentered`: recorded, without a case.

    `unsent`: a draft of theirs should have been checked by now, or sent; `unresolved`: answered, and nobody entered
    what came of it; `ownerless`: their unit has ended, or is none of `sections.toml` any more.
    """

    at: datetime
    since: datetime
    owners: list[Owner]
    unasked: list[int]
    unentered: list[Recorded]
    unsent: list[int]
    unresolved: list[int]
    ownerless: list[Ownerless]
    counts: dict[str, int]
    checked: Check | None


class TicketCounts(BaseModel):
    """Tickets of a kind that were due: kept in time, kept late, open."""

    due: int
    in_time: int
    late: int
    open: int


class Spread(BaseModel):
    """Seconds: half were no longer, and nine of ten."""

    median: int
    p90: int


class Times(BaseModel):
    """Of a channel: how many cases, answered, on the same day; from the question to the first answer (`reply`).

    `same_day` and `reply` are null where so few were answered that somebody could tell whose times they are. `ended`:
    closed at least once; of these `reopened` were opened again.
    """

    cases: int
    answered: int
    same_day: int | None
    reply: Spread | None
    ended: int
    reopened: int


class Calls(BaseModel):
    """Calls that rang at the centre: from the first ring to the answer, and how long was talked; null of too few."""

    rang: int
    answered: int
    answer: Spread | None
    talk: Spread | None


class Digest(BaseModel):
    """A month in numbers, and nobody's name in it: cases by what they were and what came of them ("-": none yet).

    `evasive`: in how many cases each phrase that says nothing was written in that month (E-15). `times`: by channel.
    """

    month: str
    cases: int
    open: int
    reopened: int
    declined: int
    channel: dict[str, int]
    category: dict[str, int]
    main: dict[str, int]
    outcome: dict[str, int]
    tickets: dict[str, TicketCounts]
    evasive: dict[str, int]
    times: dict[str, Times]
    calls: Calls
