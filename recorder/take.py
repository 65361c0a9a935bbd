"""One run of MixMonitor: two growing files in RAM, what they are, and how far they have been taken into the vault."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields, replace
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


Span = tuple[datetime, datetime | None]


@dataclass(frozen=True, slots=True, kw_only=True)
class History:
    """What a witness that never slept says of a channel: whose call it is, when it was in a bridge (`spans`), when a
    designated phone was with it (`talks`), and when it ended, if it has. Times of Asterisk's own.

    `said` False: it ended and Asterisk did not write that down, it died before it could. `seen` False: nobody saw it to
    its end.
    """

    order: Order
    spans: tuple[Span, ...]
    talks: tuple[Span, ...]
    ended: datetime | None
    began: datetime | None = None
    said: bool = True
    seen: bool = True


# Asterisk writes a file in steps of 32 KiB: so much may have been said and not be in it.
HELD_BACK = timedelta(seconds=3)


# Two channels enter a bridge one after the other, milliseconds apart: so short a time alone is no reason to cut.
ENTERING = timedelta(milliseconds=250)


# Stopping takes some 5 ms. This cut is for a stop that does not arrive; it must not touch sound that came in
# time, and Asterisk's files may lag or lead by a few frames of 20 ms.
BACKSTOP = timedelta(milliseconds=250)


@dataclass(slots=True, kw_only=True)
class OpenSegment:
    """The segment that the take is being written to. Holds its key: lives in RAM only.

    `gap`: seconds of the take that are missing before it; None where it is the take's first.
    """

    number: int
    slot: int
    epoch: int
    key_id: str
    file_key: str
    offset: int
    gap: float | None = None


@dataclass(slots=True, kw_only=True)
class Take:
    """A take; mutable, kept in `<spool>/open/<id>.json`.

    `spans`: when the hooked channel was in a bridge (Asterisk writes only then), ISO times, the last end None while it
    is. `position`: samples that are sealed in finished segments, or cut; `sealed_to`: where the last of
    these ended. `cuts`: sample ranges that the rules say not to keep. `broken`: Asterisk stopped writing before it said
    that the call had ended. `began`: ISO time before which MixMonitor did not run; None where it runs from the start.
    `over`: ISO time at which the rules ended it, `last`: the first sample that is not kept then, whatever a witness
    says. `guessed`: since when the channel is in a bridge nobody told; it was found there.
    """

    id: str
    starter: str
    rate: int
    order: Order
    joined: bool = False
    stopped: bool = False
    broken: bool = False
    began: str | None = None
    over: str | None = None
    last: int | None = None
    guessed: bool = False
    spans: list[tuple[str, str | None]] = field(default_factory=list)
    cuts: list[tuple[int, int]] = field(default_factory=list)
    marks: list[dict[str, Any]] = field(default_factory=list)
    position: int = 0
    sealed_to: int | None = None
    segment: OpenSegment | None = None

    @property
    def stem(self) -> str:
        """What its spool files are named by."""
        return f"{self.starter}-{self.id}"

    def to_dict(self) -> dict[str, Any]:
        """For the file beside the sound; shares its lists."""
        # `asdict` copies to the bottom: 0.1 ms, seven times a call.
        segment = self.segment and _shallow(self.segment)
        return _shallow(self) | {"order": _shallow(self.order), "segment": segment}

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

    def found(self, at: datetime) -> None:
        """The hooked channel is in a bridge, and nobody told since when."""
        if not self.spans or self.spans[-1][1] is not None:
            self.guessed = True
            self.enter(at)

    def leave(self, at: datetime) -> None:
        """The hooked channel left its bridge."""
        if self.spans and self.spans[-1][1] is None:
            self.mark(at, "left")
            self.spans[-1] = (self.spans[-1][0], at.isoformat())

    def join(self, at: datetime, written: int) -> None:
        """A designated phone is with the hooked channel; what that said to others before is not kept.

        `written`: samples that the files hold now. By a clock that was set ahead, hours would have been said before.
        """
        alone = self._reached(at, written)
        if not self.joined and alone > ENTERING.total_seconds() * self.rate:
            self.cuts.append((0, alone))
        self.joined = True

    def presume(self, at: datetime) -> None:
        """Nobody can say any more whether a designated phone was there: what Asterisk wrote is kept (it writes only in
        a bridge).
        """
        if not self.joined:
            self.mark(at, "unseen")
            self.joined = True

    def back(self, at: datetime, written: int) -> bool:
        """A designated phone is with the hooked channel: what `revise` left out for ever, because none was, ends here.

        Whether there was such a cut. `written` as in `join`.
        """
        endless = [cut for cut in self.cuts if cut[1] == FOREVER and cut[0] != self.last]
        if not endless:
            return False
        here = self._reached(at, written)
        closed = [(begin, here) for begin, _ in endless if here - begin > ENTERING.total_seconds() * self.rate]
        self.cuts = [cut for cut in self.cuts if cut not in endless] + closed
        return True

    def _reached(self, at: datetime, written: int) -> int:
        """The sample of this moment: no more than the files hold and Asterisk holds back, whatever a clock says."""
        return min(self.sample_at(at), written + round(HELD_BACK.total_seconds() * self.rate))

    def stop_at(self, at: datetime, written: int) -> None:
        """Nothing after `at` is kept, even where MixMonitor cannot be reached to be stopped.

        `written`: samples that the files hold now, which were said before: whatever a clock says that was set back.
        """
        self.stopped, self.over = True, at.isoformat()
        begun = [start for start, end in self.spans if end is None]
        # A clock that was set back says nothing of samples: better some milliseconds too much than a call lost.
        times = [start for start, _ in self.spans] + [end for _, end in self.spans if end is not None]
        if begun and at + BACKSTOP > max(map(datetime.fromisoformat, times)):
            self.last = max(self.sample_at(at + BACKSTOP), written)
            self.cuts.append((self.last, FOREVER))

    def mark(self, at: datetime, what: str) -> None:
        """Remember when something happened, and at which sample."""
        self.marks.append({"at": at.isoformat(), "sample": self.sample_at(at), "what": what})

    def mark_sample(self, sample: int, what: str, now: datetime) -> None:
        """Remember what was heard at `sample`; `now` stands in for a time that no bridge told."""
        self.marks.append({"at": (self.time_of(sample) or now).isoformat(), "sample": sample, "what": what})

    def marked(self, what: str) -> bool:
        """Whether it happened before."""
        return any(mark["what"] == what for mark in self.marks)

    def revise(self, history: History) -> None:
        """Take over what happened while nobody of us watched: when there was sound, and which of it is kept."""
        order = {name: value for name, value in asdict(history.order).items() if value}
        self.describe(**{name: value for name, value in order.items() if name not in ("recording", "conversation")})
        heard, talks = self._mine(history.spans), self._mine(history.talks)
        self.spans = [(start.isoformat(), end.isoformat() if end else None) for start, end in heard]
        self.cuts = [
            (self.sample_at(start), self.sample_at(end) if end else FOREVER)
            for start, end in _without(heard, talks)
            if end is None or end - start > ENTERING
        ] + ([(self.last, FOREVER)] if self.last is not None else [])
        # Last: a sealing thread takes what is joined, but for what is cut.
        self.joined = self.joined or bool(history.talks if self.over is None else talks)
        self.stopped = self.stopped or history.ended is not None

    def talked(self, history: History) -> bool:
        """Whether a designated phone was in the conversation while this take ran."""
        return bool(self._mine(history.talks))

    def _mine(self, spans: Sequence[Span]) -> list[Span]:
        """What of `spans` is while MixMonitor ran: sample 0 of a channel's second hook is not the channel's first."""
        mine = list(spans)
        if self.began is not None:
            began = datetime.fromisoformat(self.began)
            mine = [(max(start, began), end) for start, end in mine if end is None or end > began]
        if self.over is not None:
            over = datetime.fromisoformat(self.over)
            mine = [(start, over if end is None else min(end, over)) for start, end in mine if start < over]
        return mine

    def retime(self) -> None:
        """`spans` are true now and were not before: marks lie at the samples of their times again."""
        joined = next((mark for mark in self.marks if mark["what"] == "joined"), None)
        if joined is not None and self.spans:
            joined["at"] = self.spans[0][0]
        for mark in self.marks:
            if mark["what"] != "fax":  # which was heard in the sound
                mark["sample"] = self.sample_at(datetime.fromisoformat(mark["at"]))

    def succeed(self, other: "Take", earlier: int) -> None:
        """Stand for the same stretch of the same channel: what is known of `other` counts for this one.

        `earlier`: samples that this one holds before the first of `other`.
        """
        self.joined, self.stopped, self.broken = other.joined, self.stopped or other.stopped, other.broken
        self.over, self.last = other.over, None if other.last is None else other.last + earlier
        self.spans = list(other.spans)
        if self.spans:
            start, end = self.spans[0]
            begun = datetime.fromisoformat(start) - timedelta(seconds=earlier / self.rate)
            self.spans[0] = begun.isoformat(), end
        self.cuts = [(start and start + earlier, end if end == FOREVER else end + earlier) for start, end in other.cuts]
        self.marks = [mark | {"sample": mark["sample"] + earlier} for mark in other.marks]

    def beside(self, other: "Take") -> bool:
        """Whether both recorded one channel at the same time: neither was stopped, or both heard one bridge."""
        return not (self.stopped or other.stopped) or bool(
            {start for start, _ in self.spans} & {start for start, _ in other.spans}
        )

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


FOREVER = 1 << 62


def _shallow(value: Order | OpenSegment | Take) -> dict[str, Any]:
    return {field.name: getattr(value, field.name) for field in fields(value)}


def _without(spans: Sequence[Span], talks: Sequence[Span]) -> list[Span]:
    """The parts of `spans` that lie in none of `talks`."""
    alone: list[Span] = []
    for begin, finish in spans:
        at: datetime | None = begin
        for start, end in sorted(talks, key=lambda talk: talk[0]):
            if at is None or (finish is not None and start >= finish) or (end is not None and end <= at):
                continue
            if start > at:
                alone.append((at, start))
            at = end
        if at is not None and (finish is None or at < finish):
            alone.append((at, finish))
    return alone
