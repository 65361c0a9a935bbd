"""What a policy file may say (B-02, B-03, B-09; the table "what is recorded"). Hours: `policies.calendar`."""

import re
from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,31}$")]
Endpoint = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,31}$")]
Did = Annotated[str, StringConstraints(pattern=r"^[0-9][0-9-]{2,19}$")]


class Kind(StrEnum):
    """What an endpoint of the PBX is."""

    DESIGNATED = "designated"
    SECTION = "section"
    EMERGENCY = "emergency"
    TRUNK = "trunk"


class Part(BaseModel):
    """A table of a policy file: no key but those that are known."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Policy(Part):
    """The head that every policy file has. `open_questions`: key -> what the bureau still has to confirm of its value.

    A key is written with dots; of a list, the entry of that name (`calendar.centre.day.holiday.hours`).
    """

    basis: str
    decided_by: str
    effective_from: date
    open_questions: Mapping[str, str] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _ask_of_what_is_there(self) -> "Policy":
        for key in self.open_questions:
            self.value(key)
        return self

    def value(self, key: str) -> Any:
        """What this policy says at `key`. Raises ValueError where it says nothing."""
        found: Any = self
        for part in key.split("."):
            if isinstance(found, tuple):
                found = next((entry for entry in found if getattr(entry, "name", None) == part), None)
            else:
                found = getattr(found, part, None)
            if found is None:
                raise ValueError(f"open_questions asks of {key!r}, which this file does not say")
        return found


class Number(Part):
    """A dialled-in number. `designated`: calls on it are recorded (B-02). `hours`: the calendar of `hours.toml`.

    `choose`: callers may press what it is about, and are put through to the 所管課 at once (A-19; keys: sections.toml).
    """

    did: Did
    name: str
    title: str
    group: Name
    designated: bool = True
    hours: Name = "centre"
    choose: bool = False

    @property
    def digits(self) -> str:
        """The number as the trunk sends it: digits only."""
        return re.sub(r"\D", "", self.did)


class Group(Part):
    """Phones that answer together. `strategy`: `queue` holds callers in a line, `ring` rings all phones."""

    name: Name
    title: str
    kind: Literal[Kind.DESIGNATED, Kind.SECTION, Kind.EMERGENCY]
    strategy: Literal["queue", "ring"] = "ring"
    phones: tuple[Endpoint, ...] = Field(min_length=1)


class Plan(Policy):
    """`numbers.toml`: the numbers, the phones behind them, and the trunks towards the outside."""

    number: tuple[Number, ...] = Field(min_length=1)
    group: tuple[Group, ...] = Field(min_length=1)
    trunks: tuple[Endpoint, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _consistent(self) -> "Plan":
        groups = [group.name for group in self.group]
        phones = [phone for group in self.group for phone in group.phones]
        dids = [number.digits for number in self.number]
        for what, values in (("group", groups), ("phone", [*phones, *self.trunks]), ("number", dids)):
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise ValueError(f"{what} named twice: {', '.join(twice)}")
        for number in self.number:
            if number.group not in groups:
                raise ValueError(f"number {number.did} goes to group {number.group!r}, which no [[group]] defines")
            kind = next(group.kind for group in self.group if group.name == number.group)
            if number.designated and kind is not Kind.DESIGNATED:
                raise ValueError(f"number {number.did} is designated, but its group {number.group!r} is {kind.value}")
        return self

    def kind(self, endpoint: str | None) -> Kind | None:
        """What `endpoint` is; None where the plan does not know it."""
        if endpoint is None:
            return None
        if endpoint in self.trunks:
            return Kind.TRUNK
        return next((group.kind for group in self.group if endpoint in group.phones), None)

    def designated(self, endpoint: str | None) -> bool:
        """Whether `endpoint` is a phone of a designated number (B-02)."""
        return self.kind(endpoint) is Kind.DESIGNATED

    def number_behind(self, endpoint: str | None) -> Number | None:
        """The designated number whose phone `endpoint` is (B-02)."""
        group = next((group.name for group in self.group if endpoint in group.phones), None)
        return next((number for number in self.number if number.group == group and number.designated), None)

    def number_of(self, dialled: str | None) -> Number | None:
        """The dialled-in number that `dialled` (any punctuation, +81 or 0) means."""
        digits = re.sub(r"\D", "", dialled or "")
        if (dialled or "").strip().startswith("+81"):
            digits = "0" + digits[2:]
        return next((number for number in self.number if number.digits == digits), None)


class Recording(Policy):
    """`recording.toml`: which conversations are kept, and how (the table "what is recorded")."""

    record_internal: bool
    after_transfer: Literal["stop", "continue"]
    rate: Literal[8000, 16000]
    flac_level: int = Field(ge=0, le=8)


class Announcement(Part):
    """`recorded`: who is recorded is told so before the telephones ring; no rule asks for it."""

    recorded: bool


class Waiting(Part):
    """While the telephones ring (C-07, C-08). A ring lasts `ring_seconds`, with its rest.

    `early_media`: the caller hears us before somebody answers; without, the trunk's own ringing and no announcement.
    """

    rings: int = Field(ge=1, le=20)
    ring_seconds: float = Field(gt=0, le=10)
    early_media: bool
    whisper: bool


class Menu(Part):
    """Outside the hours: how often the choice is offered, and how many seconds are waited for a key."""

    tries: int = Field(ge=1, le=5)
    wait: int = Field(ge=2, le=30)


class Emergency(Part):
    """緊急受付窓口 (A-07, A-12): phones of the plan, or numbers outside, called one after the other, `rounds` times.

    `unsure_seconds`: how long the centre is rung first where the opening hours cannot be told.
    """

    order: tuple[Annotated[str, StringConstraints(pattern=r"^[0-9]{2,15}$")], ...] = Field(min_length=1)
    ring_seconds: int = Field(ge=5, le=120)
    rounds: int = Field(ge=1, le=20)
    unsure_seconds: int = Field(ge=5, le=300)


class Passing(Part):
    """A caller who is put through to a 所管課 (A-19, E-13): for how long it rings, and then whoever put them through.

    `note_seconds`: how long it waits to ring until the 所管課 has been told who comes, and why.
    """

    ring_seconds: int = Field(default=25, ge=5, le=120)
    back_seconds: int = Field(default=20, ge=5, le=120)
    note_seconds: int = Field(default=4, ge=0, le=15)


class Routing(Policy):
    """`routing.toml`: what a caller hears, and where they are connected (A-07, A-12, A-19, C-07, C-08)."""

    announcement: Announcement
    waiting: Waiting
    menu: Menu
    emergency: Emergency
    passing: Passing = Passing()
