"""What is done with cases, and the words of the rules for it: who, by which way, why, and what came of it. Pure."""

from dataclasses import dataclass
from datetime import datetime, time
from enum import StrEnum
from typing import Final

from cti.cases.contact import Contact, Missing

SYSTEM: Final = "kikitori:desk"
"""Who enters what a call left without anybody typing it; no account can be called so."""
CENTRE: Final = "cc"
"""お客さまサービス課's own staff (CC)."""
CONTRACTOR: Final = "contractor"
"""運営会社, who answers in the centre's name."""
EMERGENCY: Final = "emergency"
"""緊急受付窓口."""
UNITS: Final = frozenset({CENTRE, CONTRACTOR, EMERGENCY})
"""Units that are no 所管課; any other unit is one, by its name in `sections.toml`."""


class Channel(StrEnum):
    """How a question came in, and how it is answered."""

    PHONE = "phone"
    FAX = "fax"
    WEB = "web"
    LETTER = "letter"
    VISIT = "visit"
    EMERGENCY = "emergency"


WRITTEN: Final = frozenset({Channel.FAX, Channel.WEB, Channel.LETTER})
"""CC receives these, and 運営会社 enters them (4条(2), A-20)."""


class State(StrEnum):
    """Where a case stands."""

    OPEN = "open"  # whoever took it works on it
    HANDED_OVER = "handed-over"  # the 所管課 has not taken it yet
    ACCEPTED = "accepted"  # the 所管課 works on it
    CLOSED = "closed"


class Way(StrEnum):
    """How a case is handed over."""

    CALLBACK = "callback"  # the 所管課 calls back (4条(1))
    TRANSFER = "transfer"  # the caller is put through (4条(1)ただし書)
    TELEPHONE = "telephone"  # by telephone, for what is urgent (4条(3))
    SYSTEM = "system"  # what came in writing (4条(2))


class Why(StrEnum):
    """Why a caller is put through at once (4条(1)ただし書, A-19)."""

    WISH = "wish"
    URGENT = "urgent"
    OTHER = "other"


class Outcome(StrEnum):
    """What came of a case."""

    ANSWERED = "answered"
    DECLINED = "declined"  # 断り: with its reason (C-19, E-15)
    WITHDRAWN = "withdrawn"  # the customer wants no answer any more


class TicketKind(StrEnum):
    """What was promised, or is owed, by whoever keeps a ticket."""

    CALLBACK = "callback"  # to call the customer
    TRANSFER = "transfer"  # to answer whom the centre put through
    ABANDONED = "abandoned"  # to call whom nobody answered
    EMERGENCY = "emergency"  # to see to what the emergency line took
    REPORT = "report"  # to tell 水道局長 of an unjust demand (B-14)
    VOICE = "voice"  # to see to the procedure of 市民の声
    CHECK = "check"  # to look at what another person wants to send (C-04)
    SEND = "send"  # to send what was checked (C-04)
    HELP = "help"  # to say something to a unit that asks for it (E-05)


CALLED: Final = frozenset({TicketKind.CALLBACK, TicketKind.ABANDONED, TicketKind.EMERGENCY})
"""Tickets for which the customer is called; an answer keeps them, and a hand-over passes them on."""


class TicketEnd(StrEnum):
    """What became of a ticket."""

    KEPT = "kept"
    FAILED = "failed"  # nobody answered whom the centre put through: a callback takes its place
    PASSED_ON = "passed-on"  # another unit has it now, by a ticket of its own
    VOID = "void"  # the case was closed without it


class VoiceBasis(StrEnum):
    """Why something becomes 市民の声 (5条(3))."""

    UNIT = "unit-judged"  # the 所管課 thinks that all are to know of it
    CUSTOMER = "customer-asked"


class VoiceState(StrEnum):
    """How far the procedure is."""

    RECEIVED = "received"  # 広聴担当 has it
    CIRCULATED = "circulated"  # all units were told
    DONE = "done"


class Met(StrEnum):
    """Whom a call to the customer reached."""

    CUSTOMER = "customer"
    OTHER = "other-person"  # family, a colleague
    VOICEMAIL = "voicemail"
    NOBODY = "nobody"
    WRONG = "wrong-number"


@dataclass(frozen=True, slots=True, kw_only=True)
class Act:
    """Something done with a case. `by`: the account, `unit`: whose it is."""

    at: datetime
    by: str
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Register(Act):
    """Enter a question. `received_by`: the unit that took it, `received_at` when. `due`: until when somebody acts.

    `ticket`: what the call that SYSTEM enters promised. `inquiry` may be empty where SYSTEM enters what a call left:
    somebody asks the customer, and amends it.
    """

    channel: Channel
    received_by: str
    received_at: datetime
    inquiry: str
    category: str | None = None
    conversation: str | None = None
    due: datetime | None = None
    ticket: TicketKind | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Amend(Act):
    """What is asked, put right; what it said before stays in the history. None: as it was."""

    inquiry: str | None = None
    category: str | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reach(Act):
    """How the customer is reached. `read_back`: the number was read to them, and they said yes (A-16).

    `email`, `address`: where what came in so is answered (5条(1)). `between`: the hours of a day in Japan in which they
    want to be called; `any_hour`: at any that the policy has, again. `discreet`: nothing of it to family or a
    voicemail. `contact`: None where nothing is said of it; what is not said is as it was before.
    """

    name: str = ""
    contact: Contact | Missing | None
    read_back: bool = False
    email: str = ""
    address: str = ""
    between: tuple[time, time] | None = None
    any_hour: bool = False
    discreet: bool | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Consent(Act):
    """The customer agrees that the 所管課 calls back, or does not (A-17)."""

    given: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Assign(Act):
    """Whose it is: the one main 所管課 (主たる所管課), and others that it concerns (A-15)."""

    main: str
    related: tuple[str, ...] = ()
    category: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class HandOver(Act):
    """To the main 所管課. `promised`: when it calls back (E-16). `why`, `words`: of a transfer.

    `reached`: the number on which the 所管課 was told by telephone (A-21). `accept_by`: until when it takes it (A-23).
    """

    way: Way
    promised: datetime | None = None
    why: Why | None = None
    words: str = ""
    reached: str = ""
    accept_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Accept(Act):
    """The 所管課 has seen it and takes it (A-23)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reply(Act):
    """The customer was answered: `answered_at`, or now. `wish`: why by another channel than they used (A-25)."""

    channel: Channel
    wish: str = ""
    answered_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Result(Act):
    """What was done and what came of it (A-24)."""

    outcome: Outcome
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Close(Act):
    """Nothing is left to be done (A-14)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Reopen(Act):
    """It was not over."""

    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Expect(Act):
    """Until when somebody acts next, and why; None: nothing is waited for."""

    until: datetime | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class PutThrough(Act):
    """The PBX is asked to put the caller through to `section`, and why (4条(1)ただし書, A-19)."""

    section: str
    why: Why
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Transferred(Act):
    """The PBX put the caller through: from `phone`, by its channel `leg`, to the number `to`, which is `section`'s.

    `how`: blind, attended, blonde, or menu (what the caller pressed). `section`: None where the number is no 所管課's.
    `why`: where whoever put them through has said it by keys.
    """

    leg: str
    conversation: str
    how: str
    phone: str
    to: str
    section: str | None = None
    why: Why | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransferEnded(Act):
    """Whether somebody answered the caller whom `leg` put through, or why not.

    `outcome` returned: the centre has them again. `due`: until when they are called, whom nobody answered; None: they
    have been since.
    """

    leg: str
    outcome: str
    due: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Missed(Act):
    """Nobody answered a caller at the centre: on channel `leg`, who had called `number`, and waited so many seconds."""

    leg: str
    conversation: str
    number: str
    why: str
    seconds: int
    due: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CalledAgain(Act):
    """Somebody whom nobody had answered called once more, and the centre answered, in that conversation."""

    conversation: str
    answered_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Dialled(Act):
    """The PBX is asked to call the customer for ticket `place`: from `phone`, on channel `leg` of a conversation."""

    place: int
    phone: str
    leg: str
    conversation: str


@dataclass(frozen=True, slots=True, kw_only=True)
class DialEnded(Act):
    """What the PBX saw of that call: answered, or why not. `again`: when it is tried next, unless somebody answered."""

    leg: str
    outcome: str
    seconds: int = 0
    again: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Tried(Act):
    """Whom a call for ticket `place` met, as whoever called says. `left`: what was said to another, or a voicemail.

    `again`: when it is tried next; of the customer, when they are to be called once more, as they were told (E-16).
    """

    place: int
    met: Met
    left: str = ""
    again: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Draft(Act):
    """What is to be sent, and where: `to`, a fax number (E.164), an e-mail address or a postal one.

    `again`: the fax number, entered a second time. `ask`: whom the customer asks (問合せ先), as it stands in the text;
    `section`: the 所管課 that this is, None: the centre. `reason`: why it goes to another address than the customer's.
    `check_by`: until when somebody checks it.
    """

    channel: Channel
    to: str
    again: str = ""
    name: str = ""
    text: str
    ask: tuple[str, ...]
    section: str | None = None
    reason: str = ""
    check_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Check(Act):
    """Another person has looked at the draft, which is act `draft`: it can go, or goes back, with the `reason`.

    `send_by`: until when it is sent.
    """

    draft: int
    ok: bool
    reason: str = ""
    send_by: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Share(Act):
    """Another unit, `to`, sees the case; `help`: and is asked for something, until it answers with a note (E-05).

    `ended`: neither any more.
    """

    to: str
    reason: str = ""
    help: bool = False
    ended: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """A call that a case owes, as it goes to another: until when, and how often it was tried, as `Ticket` has it."""

    kind: TicketKind
    at: datetime
    due: datetime | None = None
    conversation: str | None = None
    tries: int = 0
    tried_at: datetime | None = None
    again: datetime | None = None
    asked: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Join(Act):
    """It is a duplicate of the case of number `into`, and ends as such: there the customer is called (C-06)."""

    into: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Joined(Act):
    """The case of number `duplicate` ends in this one, with the calls that it owed, and its own call, if it had one.

    `promised`: when the customer will be called, as they were told there.
    """

    duplicate: int
    promises: tuple[Promise, ...] = ()
    promised: datetime | None = None
    conversation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class UnjustDemand(Act):
    """不当要求行為 (5条3, B-14): what was demanded, in their words; 水道局長 is told at once."""

    text: str
    conversation: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Reported(Act):
    """`to`, 水道局長, was told of an unjust demand: `told_at`, or now."""

    to: str
    told_at: datetime | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Voice(Act):
    """It is 市民の声 (5条(3), A-27), on one of two grounds: 広聴担当 is told."""

    basis: VoiceBasis
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class VoiceStep(Act):
    """How far the procedure of 市民の声 is (A-28)."""

    step: VoiceState
    text: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Act):
    """Something to be known."""

    text: str
