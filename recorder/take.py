"""One run of MixMonitor: two growing files in RAM, what they are, and how far they have been taken into the vault."""

from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What is recorded and why. `recording` and `conversation` are UUIDs as text."""

    channel: str
    uniqueid: str
    linkedid: str
    conversation: str
    recording: str
    number: str | None = None
    direction: str | None = None
    caller: str | None = None
    callee: str | None = None
    agent: str | None = None


@dataclass(slots=True, kw_only=True)
class OpenSegment:
    """The segment that the take is being written to. Holds its key: lives in RAM only."""

    number: int
    slot: int
    epoch: int
    key_id: str
    file_key: str
    offset: int


@dataclass(slots=True, kw_only=True)
class Take:
    """A take; mutable, kept in `<spool>/open/<id>.json`.

    `spans`: when the hooked channel was in a bridge (Asterisk writes only then), ISO times, the last end None while it
    is. `position`: samples that are sealed in finished segments. `cuts`: sample ranges that the rules say not to keep.
    """

    id: str
    starter: str
    rate: int
    order: Order
    joined: bool = False
    stopped: bool = False
    spans: list[tuple[str, str | None]] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    position: int = 0
    segment: OpenSegment | None = None

    @property
    def stem(self) -> str:
        """What its spool files are named by."""
        return f"{self.starter}-{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """For the file beside the sound."""
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Take":
        """What `to_dict` gave."""
        take = cls(**values)
        take.order = Order(**values["order"])
        take.spans = [(start, end) for start, end in values["spans"]]
        take.cuts = [(start, end) for start, end in values["cuts"]]
        take.segment = OpenSegment(**values["segment"]) if values["segment"] else None
        return take

    def describe(self, **changes: str | None) -> bool:
        """Fill in what became known later (a callee's number, the phone that answered); True when it is news."""
        news = {name: value for name, value in changes.items() if value and getattr(self.order, name) != value}
        if news:
            self.order = replace(self.order, **news)
        return bool(news)

    def enter(self, at: datetime) -> None:
        """The hooked channel came into a bridge: sound is written from here."""
        if not self.spans or self.spans[-1][1] is not None:
            self.mark(at, "joined")
            self.spans.append((at.isoformat(), None))

    def leave(self, at: datetime) -> None:
        """The hooked channel left its bridge."""
        if self.spans and self.spans[-1][1] is None:
            self.mark(at, "left")
            self.spans[-1] = (self.spans[-1][0], at.isoformat())

    def mark(self, at: datetime, what: str) -> None:
        """Remember when something happened, and at which sample."""
        self.marks.append({"at": at.isoformat(), "sample": self.sample_at(at), "what": what})

    def sample_at(self, at: datetime) -> int:
        """The sample that was written at `at`."""
        seconds = 0.0
        for start, end in self.spans:
            begin = datetime.fromisoformat(start)
            finish = min(datetime.fromisoformat(end), at) if end else at
            seconds += max(0.0, (finish - begin).total_seconds())
        return round(seconds * self.rate)

    def time_of(self, sample: int) -> datetime | None:
        """When `sample` was written; None while no bridge is known."""
        left = sample / self.rate
        at: datetime | None = None
        for start, end in self.spans:
            begin = datetime.fromisoformat(start)
            length = (datetime.fromisoformat(end) - begin).total_seconds() if end else float("inf")
            if left <= length or end is None:
                return begin + timedelta(seconds=left)
            left -= length
            at = datetime.fromisoformat(end)
        # Asterisk's clock for sound and for events differ by milliseconds: past the last end by so little is the end.
        return at

    def next_stretch(self, start: int) -> tuple[int, int | None]:
        """The next samples to keep from `start` on: (from, to); `to` None where no cut follows."""
        for begin, end in sorted(self.cuts):
            if begin <= start < end:
                start = end
        following = [begin for begin, _ in self.cuts if begin > start]
        return start, min(following) if following else None
