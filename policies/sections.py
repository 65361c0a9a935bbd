"""Who answers what the centre cannot: the 所管課 and their 所管広聴担当; whose which question is (A-05, A-06). Pure."""

from collections.abc import Iterator
from datetime import date, datetime, time, timedelta
from enum import StrEnum
from typing import Annotated, Any

from pydantic import Field, StringConstraints, model_validator

from policies.calendar import JST
from policies.letters import Digest, Letters, Phrases, Template
from policies.model import Name, Part, Policy

RESERVED = frozenset({"cc", "contractor", "emergency"})
"""Names of the units that are no 所管課 (2条(3) to (5)); `cti.cases.acts` knows them."""

Reached = Annotated[str, StringConstraints(pattern=r"^[0-9]{2,15}$")]


class SectionKind(StrEnum):
    """What a 所管課 is, one of these (2条(5))."""

    SECTION = "section"
    WATER_CENTRE = "water-centre"
    PURIFICATION = "purification"
    MAINTENANCE = "maintenance"
    QUALITY = "quality"
    CONTRACTOR = "contractor"

    @property
    def wording(self) -> str:
        """As the rules call it."""
        return _TITLES[self]


_TITLES = {
    SectionKind.SECTION: "課",
    SectionKind.WATER_CENTRE: "水道センター",
    SectionKind.PURIFICATION: "浄水場",
    SectionKind.MAINTENANCE: "設備保全センター",
    SectionKind.QUALITY: "水質管理研究センター",
    SectionKind.CONTRACTOR: "業務委託先",
}


class Section(Part):
    """A 所管課. `title`: as accounts name it, too. `phone`: an extension or a number outside that takes hand-overs.

    `since`, `until`: the days on which it takes any, the last one included. `liaison`: its 所管広聴担当, by name or ID.
    `hours`: the calendar of `hours.toml`. `instead`: the section that takes what comes while it is closed, or retired.
    `code`: what an operator dials behind `*8` to put a caller through to it, beside its telephone.
    """

    name: Name
    title: str = Field(min_length=1, max_length=120)
    kind: SectionKind
    phone: Reached
    hours: Name = "office"
    since: date | None = None
    until: date | None = None
    liaison: tuple[str, ...] = ()
    instead: Name | None = None
    code: Annotated[str, StringConstraints(pattern=r"^[0-9]{1,6}$")] | None = None

    def takes(self, day: date) -> bool:
        """Whether something can be handed over to it on that day."""
        return (self.since is None or self.since <= day) and (self.until is None or day <= self.until)


class Category(Part):
    """A kind of question, and whose it is. `key`: what a caller presses for it, where a number asks (numbers.toml)."""

    name: Name
    title: str = Field(min_length=1, max_length=120)
    section: Name | None = None
    urgent: bool = False
    key: Annotated[str, StringConstraints(pattern=r"^[0-9]$")] | None = None


class Tickets(Part):
    """What a call leaves by itself. `abandoned_after`: seconds that somebody waits whom nobody answers, to be called.

    `call_within`: minutes in which they are called, and whom a section did not answer after a transfer.
    `until_answered`: nobody is called who has called again meanwhile, and was answered.
    """

    abandoned_after: int = Field(default=10, ge=0, le=3600)
    until_answered: bool = True
    call_within: int = Field(default=30, ge=1, le=1440)


class Callbacks(Part):
    """When customers are called, and what follows where nobody is there (E-16).

    `earliest`, `latest`: the hours of a day in Japan, unless the customer agreed to others. `again_after`: minutes
    until the next try, after the first, the second, and so on; the last counts for all that follow. `escalate_after`:
    tries that met nobody, after which `escalate_to` are named in the alarm.
    """

    earliest: time = time(8)
    latest: time = time(20)
    again_after: Annotated[tuple[Annotated[int, Field(ge=1, le=10_080)], ...], Field(min_length=1, max_length=20)] = (
        30,
        120,
    )
    escalate_after: int = Field(default=3, ge=1, le=100)
    escalate_to: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _in_order(self) -> "Callbacks":
        if self.earliest >= self.latest:
            raise ValueError("callbacks: latest lies before earliest")
        return self

    def open_at(self, at: datetime) -> bool:
        """Whether customers are called at that time."""
        return self.earliest <= at.astimezone(JST).time() < self.latest

    def again(
        self, at: datetime, tries: int, next_day: date | None, hours: tuple[time, time] | None = None,
        *, urgent: bool = False,
    ) -> datetime:  # fmt: skip
        """When the next try is, after one at `at` before which there were `tries`; `next_day`: 翌営業日, if known.

        `hours`: those that the customer wants. What is urgent is tried around the clock.
        """
        minutes = self.again_after[min(tries, len(self.again_after) - 1)]
        today, then = at.astimezone(JST).date(), (at + timedelta(minutes=minutes)).astimezone(JST)
        if urgent:
            return then
        first, last = hours or (self.earliest, self.latest)
        # What only runs past the end of a day is tried on the next one on which somebody is here.
        day = then.date() if then.date() == today else max(then.date(), next_day or then.date())
        if day == then.date() and first <= then.time() < last and (day == today or minutes >= _DAY):
            return then
        if day == today and then.time() >= last:
            day = next_day or today + timedelta(days=1)
        return datetime.combine(day, first, JST)


_DAY = 24 * 60


class Sections(Policy):
    """`sections.toml`: the 所管課, the kinds of questions (A-05, A-06), what calls leave, callbacks (C-06), letters,
    phrases, and the digest.
    """

    section: tuple[Section, ...]
    category: tuple[Category, ...] = ()
    tickets: Tickets = Tickets()
    callbacks: Callbacks = Callbacks()
    letters: Letters = Letters()
    template: tuple[Template, ...] = ()
    phrases: Phrases = Phrases()
    digest: Digest = Digest()

    @model_validator(mode="after")
    def _consistent(self) -> "Sections":
        if taken := sorted({one.name for one in self.section} & RESERVED):
            raise ValueError(f"section {', '.join(taken)}: that is no 所管課's name, but another unit's")
        names, titles = [one.name for one in self.section], [one.title for one in self.section]
        phones = {one.phone for one in self.section}  # two sections may share one
        codes = [one.code for one in self.section if one.code and one.code != one.phone]
        for what, values in (
            ("section", names), ("title", titles), ("category", [one.name for one in self.category]),
            ("template", [one.name for one in self.template]),
            ("code", [*codes, *(phones & set(codes))]), ("key", [one.key for one in self.category if one.key]),
        ):  # fmt: skip
            if twice := sorted({value for value in values if values.count(value) > 1}):
                raise ValueError(f"{what} named twice: {', '.join(twice)}")
        for one in self.section:
            if one.instead is not None and (one.instead not in names or one.instead == one.name):
                raise ValueError(f"section {one.name}: instead of it {one.instead!r}, which is no other [[section]]")
            if one.since and one.until and one.until < one.since:
                raise ValueError(f"section {one.name}: until lies before since")
        for category in self.category:
            if category.section is not None and category.section not in names:
                raise ValueError(
                    f"category {category.name}: section {category.section!r}, which no [[section]] defines"
                )
            if category.key is not None and category.section is None:
                raise ValueError(f"category {category.name}: a key puts through to its section, and it has none")
        return self

    def find(self, name: str) -> Section | None:
        """The one of that name."""
        return next((one for one in self.section if one.name == name), None)

    def called(self, text: str) -> Section | None:
        """The one of that name, or of that title."""
        return self.find(text) or next((one for one in self.section if one.title == text), None)

    def reached_on(self, phone: str) -> Section | None:
        """The one that takes hand-overs on that telephone."""
        return next((one for one in self.section if one.phone == phone), None)

    def dialled(self, code: str) -> Section | None:
        """The one that an operator means who dials that behind `*8`: its code, or its telephone."""
        return next((one for one in self.section if code in (one.code, one.phone)), None)

    def chosen(self, key: str) -> Category | None:
        """The kind of question for which a caller presses that."""
        return next((one for one in self.category if one.key == key), None)

    def taking(self, day: date) -> list[Section]:
        """Those that something can be handed over to on that day."""
        return [one for one in self.section if one.takes(day)]


def public(sections: Sections, day: date) -> Iterator[dict[str, Any]]:
    """Each 所管課 for programs, with the titles of its kinds of questions, and whether it takes anything on `day`."""
    for one in sections.section:
        yield one.model_dump(mode="json") | {
            "kind_title": one.kind.wording,
            "categories": [category.title for category in sections.category if category.section == one.name],
            "takes": one.takes(day),
            "lacks_liaison": one.takes(day) and not one.liaison,  # 2条(6) asks one at least
        }
