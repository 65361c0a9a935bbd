"""A month of the access log as 課長 looks it through: who did how much, and what is unusual (9条2, B-30). Pure.

The same log gives the same report by the same policies and hours; its SHA-256 stands in the line of who has signed.
"""

import json
import re
from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import date, datetime, timedelta
from enum import StrEnum
from hashlib import sha256
from typing import Any, Final

from cti.errors import UsageError
from cti.i18n import _
from policies.calendar import JST, midnight
from policies.review import Review
from recorder.access.entry import Entry

HEARD: Final = ("play", "export")
NAMED: Final = 50
"""Entries that one unusual thing names."""

_MONTH = re.compile(r"(\d{4})-(0[1-9]|1[0-2])", re.ASCII)


class Kind(StrEnum):
    """What is unusual."""

    OUT_OF_HOURS = "out-of-hours"
    MANY = "many-plays"
    AGAIN = "same-recording"
    OWN = "own-calls"
    NO_ACCOUNT = "without-account"
    DENIED = "denied"
    REFUSED = "refused"
    INTERRUPTED = "interrupted"
    FORGED = "forged"
    FOREIGN = "foreign"
    KEYS = "keys"


WATCHED: Final = (
    "account.issued", "account.renewed", "clock.set", "escrow.destroyed", "escrow.opened", "escrow.renewed",
    "key.revoked", "keys.rotated",
)  # fmt: skip
"""Rare acts of which each is shown."""


@dataclass(frozen=True, slots=True, order=True)
class Month:
    """A month in Japan."""

    year: int
    number: int

    @classmethod
    def parse(cls, text: str) -> "Month":
        """`2027-04`. Raises UsageError."""
        if not (found := _MONTH.fullmatch(text)) or int(found[1]) < 2000:
            raise UsageError(_("{text!r} is no month: write 2027-04").format(text=text))
        return cls(int(found[1]), int(found[2]))

    @classmethod
    def of(cls, at: datetime) -> "Month":
        """The one in which `at` lies."""
        local = at.astimezone(JST)
        return cls(local.year, local.month)

    def __str__(self) -> str:
        """`2027-04`."""
        return f"{self.year:04d}-{self.number:02d}"

    @property
    def start(self) -> datetime:
        """Its first moment."""
        return midnight(date(self.year, self.number, 1))

    @property
    def end(self) -> datetime:
        """The first moment of the next."""
        return self.next.start

    @property
    def next(self) -> "Month":
        """The one after it."""
        return Month(self.year + self.number // 12, self.number % 12 + 1)


@dataclass(slots=True, kw_only=True)
class Person:
    """What one actor did."""

    actor: str
    searches: int = 0
    looked: int = 0
    plays: int = 0
    exports: int = 0
    disclosures: int = 0
    seconds: float = 0.0
    denied: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusual:
    """Something that somebody has to have looked at; `entries`: where it stands in the log, the first 50."""

    what: Kind
    actor: str
    count: int
    entries: tuple[int, ...]
    day: date | None = None
    about: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A month: the entries from number `first` on, before number `next`."""

    month: Month
    first: int
    next: int
    people: tuple[Person, ...]
    unusual: tuple[Unusual, ...]

    def values(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "month": str(self.month), "first": self.first, "next": self.next,
            "people": [asdict(one) for one in self.people],
            "unusual": [
                asdict(one) | {"day": one.day.isoformat() if one.day else None, "entries": list(one.entries)}
                for one in self.unusual
            ],
        }  # fmt: skip

    @property
    def digest(self) -> str:
        """SHA-256 of its canonical JSON."""
        text = json.dumps(self.values(), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        return sha256(text.encode()).hexdigest()


@dataclass(slots=True)
class _Found:
    """Entries by what is unusual about them."""

    entries: dict[tuple[Kind, str, date | None, str | None], list[int]] = field(
        default_factory=lambda: defaultdict(list)
    )

    def add(self, what: Kind, entry: Entry, *, day: bool = True, about: str | None = None) -> None:
        when = entry.ts.astimezone(JST).date() if day else None
        self.entries[what, entry.actor, when, about].append(entry.seq)

    def all(self) -> Iterator[Unusual]:
        for (what, actor, day, about), entries in self.entries.items():
            yield Unusual(
                what=what, actor=actor, count=len(entries), entries=tuple(entries[:NAMED]), day=day, about=about
            )


def examine(
    month: Month,
    entries: Sequence[Entry],
    *,
    span: tuple[int, int],
    results: Collection[str],
    policy: Review,
    usual_at: Callable[[datetime], bool],
    phones: Mapping[str, str | None],
) -> Report:
    """What `entries` of a month say; `span`: their numbers. `results`: acts that have ended, in this month or later.

    `usual_at`: whether somebody may be expected to work then. `phones`: who took the call, of each recording.
    """
    found, people = _Found(), dict[str, Person]()
    for entry in entries:
        # Who tried in vain is nobody yet: it counts for whose account it was.
        who = entry.object if entry.action == "account.refused" else entry.actor
        _count(people.setdefault(who, Person(actor=who)), entry)
        kind, _dot, step = entry.action.partition(".")
        if kind in HEARD and step == "intent":
            if not usual_at(entry.ts):
                found.add(Kind.OUT_OF_HOURS, entry)
            if ":" in entry.actor:
                found.add(Kind.NO_ACCOUNT, entry)
            if phones.get(entry.object) in policy.phones_of(entry.actor):
                found.add(Kind.OWN, entry)
            if str(entry.detail.get("act")) not in results:
                found.add(Kind.INTERRUPTED, entry, about=entry.object)
        elif entry.action == "act.denied":
            found.add(Kind.DENIED, entry, about=str(entry.detail.get("act")))
        elif entry.action == "account.forged":
            found.add(Kind.FORGED, entry, about=entry.object)
        elif entry.action == "keys.tested" and entry.detail.get("foreign"):
            found.add(Kind.FOREIGN, entry)
        elif entry.action in WATCHED:
            found.add(Kind.KEYS, entry, about=entry.action)
    unusual = [*found.all(), *_often(entries, policy)]
    unusual.sort(key=lambda one: (list(Kind).index(one.what), one.entries[0]))
    return Report(
        month=month, first=span[0], next=span[1],
        people=tuple(sorted(people.values(), key=lambda one: one.actor)), unusual=tuple(unusual),
    )  # fmt: skip


def _count(person: Person, entry: Entry) -> None:
    match entry.action:
        case "recordings.searched":
            person.searches += 1
        case "recordings.shown":
            person.looked += 1
        case "play.intent":
            person.plays += 1
            person.disclosures += entry.detail.get("purpose") == "disclosure"
        case "export.intent":
            person.exports += 1
        case "play.result":
            person.seconds += float(entry.detail.get("seconds", 0.0))
        case "act.denied":
            person.denied += 1
        case "account.refused":
            person.refused += 1


def _often(entries: Iterable[Entry], policy: Review) -> Iterator[Unusual]:
    """What is unusual only because it is often."""
    heard, same, refused = defaultdict(list), defaultdict(list), defaultdict(list)
    for entry in entries:
        day = entry.ts.astimezone(JST).date()
        if entry.action in ("play.intent", "export.intent"):
            heard[entry.actor, day].append(entry.seq)
            same[entry.actor, entry.object].append(entry.seq)
        elif entry.action == "account.refused":
            refused[entry.object, day].append(entry.seq)
    for (actor, day), found in heard.items():
        if len(found) > policy.plays_a_day:
            yield _unusual(Kind.MANY, actor, found, day=day)
    for (actor, recording), found in same.items():
        if len(found) > policy.same_recording:
            yield _unusual(Kind.AGAIN, actor, found, about=recording)
    for (account, day), found in refused.items():
        if len(found) > policy.refused_a_day:
            yield _unusual(Kind.REFUSED, account, found, day=day)


def _unusual(what: Kind, actor: str, found: Sequence[int], **more: Any) -> Unusual:
    return Unusual(what=what, actor=actor, count=len(found), entries=tuple(found[:NAMED]), **more)


def missing(first: datetime, reviewed: Collection[str], now: datetime, due_day: int) -> list[Month]:
    """The months that should have been looked through by `now` and were not, oldest first; `first`: of the log."""
    found, month = [], Month.of(first)
    while now >= month.end + timedelta(days=due_day):
        if str(month) not in reviewed:
            found.append(month)
        month = month.next
    return found
