"""Whether every conversation was recorded: Asterisk's own records against what the vault holds. Pure.

The witness is not the tracker: who was in a bridge with whom is read here from CEL once more, by another way, so that
one misunderstanding cannot both lose a call and excuse it. Compared is time, not only length: at each moment as many
recordings as conversations (B-02, B-04).
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Final

from cti.calls.board import born
from cti.calls.cel import CelEvent
from cti.calls.channel import endpoint_of, internal
from policies.calendar import JST
from policies.model import Kind

TOLERANCE: Final = timedelta(seconds=1)
"""A piece shorter than this may be missing or be too much: a bridge is entered by one party after the other, and
Asterisk's files lag or lead by a few packets (asterisk.md: half a second where one side has not sent yet)."""
PACKET: Final = timedelta(milliseconds=20)
"""Of two sounds that are shorter apart nothing is missing."""
SHORTEST: Final = timedelta(milliseconds=300)
"""A talk as short as this may be over before there is anything to keep; then it is none."""
ALL_IN_ALL: Final = 2 * TOLERANCE
"""So much may be missing of one talk in such pieces."""
LONGEST: Final = timedelta(days=1)
"""A conversation that has not ended after so long has ended without a word."""


_Span = tuple[datetime, datetime]


@dataclass(frozen=True, slots=True, kw_only=True)
class Talk:
    """A designated phone with somebody in one room, from `start` to `end`. `channels` are those who were in it.

    `end` None: it goes on. `least`: Asterisk died meanwhile and did not say when it ended; so far it went at least.
    """

    start: datetime
    end: datetime | None
    phones: frozenset[str]
    channels: frozenset[str]
    linkedids: frozenset[str]
    least: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """A segment of the vault: when, and which channel and conversation it is of. `note`: how it ended, if not well."""

    recording: str
    start: datetime
    end: datetime
    channel: str
    linkedid: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Billed:
    """A row of Asterisk's CDR that says two parties talked."""

    start: datetime
    seconds: float
    endpoints: frozenset[str]
    channels: frozenset[str]
    linkedid: str


class Lack(StrEnum):
    """What does not agree."""

    MISSING = "missing"  # a conversation, and nothing of it is kept
    SHORT = "short"  # a piece of a conversation is not kept
    EXTRA = "extra"  # kept, and nobody designated talked
    UNWITNESSED = "unwitnessed"  # CDR knows a conversation that CEL does not
    ENDLESS = "endless"  # Asterisk never said that it ended
    UNKNOWN = "unknown"  # Asterisk's records do not reach so far


@dataclass(frozen=True, slots=True, kw_only=True)
class Mismatch:
    """Something that does not agree, from `start` to `end`."""

    lack: Lack
    start: datetime
    end: datetime
    linkedid: str
    phones: tuple[str, ...] = ()
    recording: str | None = None
    reason: str = ""

    def public(self) -> dict[str, object]:
        """As one JSON line."""
        return {
            "lack": self.lack.value,
            "from": self.start.astimezone(JST).isoformat(timespec="milliseconds"),
            "to": self.end.astimezone(JST).isoformat(timespec="milliseconds"),
            "seconds": round((self.end - self.start).total_seconds(), 3),
            "linkedid": self.linkedid,
            "phones": list(self.phones),
            "recording": self.recording,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One day (JST) of conversations, by when they began. `seconds` of talk, `kept` of them in the vault.

    `over`: the day is. Those that go on are counted, and not judged yet.
    """

    day: date
    over: bool
    conversations: int
    recorded: int
    going_on: int
    seconds: float
    kept: float
    exceptions: tuple[Mismatch, ...]

    @property
    def complete(self) -> bool:
        """Whether everything agrees. Of a day that is over, nothing may go on."""
        return not self.exceptions and not (self.over and self.going_on)


# --- who talked with whom -------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Channel:
    name: str
    linkedid: str
    bridge: str | None = None


@dataclass(slots=True)
class _Room:
    start: datetime
    phones: set[str] = field(default_factory=set)
    linkedids: set[str] = field(default_factory=set)


class _Rooms:
    """Replays bridges. Rooms are bridges, and those that Local channels join are one."""

    def __init__(self, kind: Callable[[str | None], Kind | None], *, internal_too: bool) -> None:
        self._kind, self._internal_too = kind, internal_too
        self._channels: dict[str, _Channel] = {}
        self._inside: dict[str, set[str]] = {}  # bridge -> who is in it
        self._halves: dict[str, set[str]] = {}  # a Local channel without its `;1` or `;2` -> its two ends
        self._open: dict[frozenset[str], _Room] = {}
        self._room_of: dict[str, frozenset[str]] = {}
        self._newest = (-1, 0)  # serial number of the newest channel, and its second
        self._last: datetime | None = None
        self.talks: list[Talk] = []

    def feed(self, event: CelEvent, at: datetime) -> None:
        row = event.row
        uniqueid, kind = row["uniqueid"], row["eventtype"]
        if kind == "CHAN_START":
            self._restarted(uniqueid)
        self._last = at
        channel = self._channels.get(uniqueid)
        if channel is None:
            channel = self._channels[uniqueid] = _Channel(row["channame"], row["linkedid"])
        channel.name, channel.linkedid = row["channame"], row["linkedid"]
        if channel.name.startswith("Local/"):
            self._halves.setdefault(channel.name.rpartition(";")[0], set()).add(uniqueid)
        if uniqueid in self._room_of:
            self._open[self._room_of[uniqueid]].linkedids.add(channel.linkedid)
        bridge = event.get("BridgeUniqueid") or None
        if kind == "BRIDGE_ENTER":
            # Whoever waits in a holding bridge (parked, queued) hears nobody.
            self._move(uniqueid, channel, None if event.get("BridgeTechnology") == "holding_bridge" else bridge, at)
        elif kind == "CHAN_END" or (kind == "BRIDGE_EXIT" and bridge in (None, channel.bridge)):
            self._move(uniqueid, channel, None, at)
        if kind == "CHAN_END":
            self._halves.pop(channel.name.rpartition(";")[0], None)
            del self._channels[uniqueid]

    def end(self) -> list[Talk]:
        for members, room in self._open.items():
            self._tell(members, room, None, least=False)
        self._open.clear()
        return sorted(self.talks, key=lambda talk: talk.start)

    def _restarted(self, uniqueid: str) -> None:
        """Asterisk counts its channels from 0 anew: what was open then has ended without a word.

        Not by the order of times: the clock may be set back. Two channels of one moment may be written in either order.
        """
        one = born(uniqueid)
        if one is None:
            return
        second, serial = one
        newest, born_at = self._newest
        again = serial <= newest and second > born_at + 5
        if again or (serial <= 1 and serial + 1 < newest) or serial < newest - 100:
            for members, room in self._open.items():
                self._tell(members, room, self._last or room.start, least=True)
            for known in (self._open, self._room_of, self._channels, self._inside, self._halves):
                known.clear()
            self._newest = serial, second
        self._newest = max(self._newest, (serial, second))

    def _move(self, uniqueid: str, channel: _Channel, bridge: str | None, at: datetime) -> None:
        """A channel leaves its bridge, for `bridge` or for none. Only the rooms about it can change."""
        about = self._joined(channel.bridge)
        if channel.bridge is not None:
            self._inside[channel.bridge].discard(uniqueid)
        channel.bridge = bridge
        if bridge is not None:
            self._inside.setdefault(bridge, set()).add(uniqueid)
        about |= self._joined(bridge)
        now = {frozenset(room) for room in self._talking(about)}
        touched = {uniqueid}.union(*(self._inside.get(other, ()) for other in about))
        for members in {self._room_of[other] for other in touched if other in self._room_of} - now:
            self._tell(members, self._open.pop(members), at, least=False)
            for member in members:
                self._room_of.pop(member, None)
        for members in now - self._open.keys():
            self._open[members] = self._room(members, at)
            self._room_of |= dict.fromkeys(members, members)

    def _room(self, members: frozenset[str], at: datetime) -> _Room:
        channels = [self._channels[uniqueid] for uniqueid in members]
        endpoints = [endpoint_of(channel.name) for channel in channels]
        phones = {endpoint for endpoint in endpoints if endpoint and self._kind(endpoint) is Kind.DESIGNATED}
        return _Room(at, phones, {channel.linkedid for channel in channels})

    def _joined(self, bridge: str | None) -> set[str]:
        """`bridge`, and those that Local channels join to it."""
        found: set[str] = set()
        waiting = [bridge] if bridge is not None else []
        while waiting:
            one = waiting.pop()
            if one in found:
                continue
            found.add(one)
            for uniqueid in self._inside.get(one, ()):
                stem = self._channels[uniqueid].name.rpartition(";")[0]
                ends = (self._channels.get(end) for end in self._halves.get(stem, ()))
                waiting += [end.bridge for end in ends if end is not None and end.bridge is not None]
        return found

    def _talking(self, bridges: set[str]) -> Iterator[list[str]]:
        """The rooms of `bridges` in which a designated phone is with somebody that the rules record it with."""
        left = set(bridges)
        while left:
            room = self._joined(next(iter(left)))
            left -= room
            inside = [uniqueid for bridge in room for uniqueid in self._inside.get(bridge, ())]
            people = [uniqueid for uniqueid in inside if not internal(self._channels[uniqueid].name)]
            kinds = [self._kind(endpoint_of(self._channels[uniqueid].name)) for uniqueid in people]
            outside = any(kind in (Kind.TRUNK, None) for kind in kinds)
            if len(people) > 1 and Kind.DESIGNATED in kinds and (outside or self._internal_too):
                yield people

    def _tell(self, members: frozenset[str], room: _Room, end: datetime | None, *, least: bool) -> None:
        if end is None or least or end != room.start:
            self.talks.append(
                Talk(
                    start=room.start,
                    end=None if end is None else max(room.start, end),  # the clock may have been set back
                    phones=frozenset(room.phones),
                    channels=members,
                    linkedids=frozenset(room.linkedids),
                    least=least,
                )
            )


def talks(events: Iterable[CelEvent], kind: Callable[[str | None], Kind | None], *, internal_too: bool) -> list[Talk]:
    """Every conversation of a designated phone in `events`, as they lie in Asterisk's file. `kind` of an endpoint.

    Their order is the true one, even where the clock was set back. `internal_too`: whether the rules record what a
    designated phone says to another phone of the house (`record_internal`).
    """
    rooms = _Rooms(kind, internal_too=internal_too)
    for at, event in _timed(events):
        rooms.feed(event, at)
    return rooms.end()


def _timed(events: Iterable[CelEvent]) -> Iterator[tuple[datetime, CelEvent]]:
    for event in events:
        try:
            yield datetime.fromtimestamp(float(event.row["eventtime"]), UTC), event
        except (ValueError, OverflowError, OSError):
            continue


# --- compared -------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class _Conversation:
    """What belongs together: by a channel or a linked id that they share."""

    talks: list[Talk] = field(default_factory=list)
    kept: list[Kept] = field(default_factory=list)


def account(
    day: date,
    spoken: Sequence[Talk],
    kept: Sequence[Kept],
    billed: Iterable[Billed] = (),
    *,
    now: datetime,
    unknown: Sequence[Mismatch] = (),
    follow: bool = False,
) -> Account:
    """Conversations that began on `day` (JST) against the vault.

    `unknown`: what of the day the witness does not reach. `follow`: the rules go on recording after a transfer, so that
    sound beyond a talk is none too much.
    """
    conversations = recorded = going_on = 0
    talked, held = timedelta(), timedelta()
    found: list[Mismatch] = [*unknown]
    of: dict[str, list[Talk]] = {}
    for conversation in _together(spoken, kept):
        for talk in conversation.talks:
            for name in talk.channels | talk.linkedids:
                of.setdefault(name, []).append(talk)
        if _began(conversation) != day:
            continue
        open_now = [talk for talk in conversation.talks if talk.end is None and now - talk.start <= LONGEST]
        lacks = [one for one in _compared(conversation, now) if not (follow and one.lack is Lack.EXTRA)]
        found += lacks
        going_on += bool(open_now)
        heard = (
            conversation.kept or lacks or any((talk.end or now) - talk.start > SHORTEST for talk in conversation.talks)
        )
        if conversation.talks and heard and not open_now:
            conversations += 1
            recorded += bool(conversation.kept) and all(lack.lack is Lack.EXTRA for lack in lacks)
        talked += sum((talk.end - talk.start for talk in conversation.talks if talk.end), timedelta())
        held += sum((piece.end - piece.start for piece in conversation.kept), timedelta())
    for row in billed:
        span = (row.start, row.start + timedelta(seconds=row.seconds))
        talks_of_it = [talk for name in (*row.channels, row.linkedid) for talk in of.get(name, ())]
        if span[0].astimezone(JST).date() == day and not any(_meet(span, talk, now) for talk in talks_of_it):
            phones = tuple(sorted(row.endpoints))
            why = "CEL has no row of it"
            found.append(
                Mismatch(lack=Lack.UNWITNESSED, start=span[0], end=span[1], linkedid=row.linkedid, phones=phones,
                         reason=why)
            )  # fmt: skip
    return Account(
        day=day,
        over=now.astimezone(JST).date() > day,
        conversations=conversations,
        recorded=recorded,
        going_on=going_on,
        seconds=round(talked.total_seconds(), 3),
        kept=round(held.total_seconds(), 3),
        exceptions=tuple(sorted(found, key=lambda one: (one.start, one.linkedid))),
    )


def _meet(span: _Span, talk: Talk, now: datetime) -> bool:
    return span[0] <= (talk.end or now) + TOLERANCE and talk.start <= span[1] + TOLERANCE


def _began(conversation: _Conversation) -> date:
    starts = [talk.start for talk in conversation.talks] or [piece.start for piece in conversation.kept]
    return min(starts).astimezone(JST).date()


def _together(spoken: Sequence[Talk], kept: Sequence[Kept]) -> Iterator[_Conversation]:
    root: dict[str, str] = {}

    def find(name: str) -> str:
        while root.setdefault(name, name) != name:
            root[name] = root[root[name]]
            name = root[name]
        return name

    def names(one: Talk | Kept) -> list[str]:
        return [*one.channels, *one.linkedids] if isinstance(one, Talk) else [one.channel, one.linkedid]

    everything: list[Talk | Kept] = [*spoken, *kept]
    for one in everything:
        first, *others = names(one)
        for other in others:
            root[find(other)] = find(first)
    groups: dict[str, _Conversation] = {}
    for talk in spoken:
        groups.setdefault(find(names(talk)[0]), _Conversation()).talks.append(talk)
    for piece in kept:
        groups.setdefault(find(names(piece)[0]), _Conversation()).kept.append(piece)
    yield from groups.values()


def _compared(conversation: _Conversation, now: datetime) -> Iterator[Mismatch]:
    """Each talk by the recordings of its own channels: one kept twice does not excuse another that is lost."""
    channels = frozenset().union(*(talk.channels for talk in conversation.talks))
    spans: dict[str, list[_Span]] = {}
    for talk in conversation.talks:
        # What is of no channel that talked may be of any: a masquerade gives channels other names.
        own = [piece for piece in conversation.kept if piece.channel in talk.channels or piece.channel not in channels]
        if talk.end is None:
            if now - talk.start > LONGEST:
                yield _mismatch(conversation, Lack.ENDLESS, talk, (talk.start, talk.start), own)
            span = (talk.start, now)
        else:
            yield from _uncovered(conversation, talk, talk.end, own)
            # How much longer it went when Asterisk died, only the recording knows.
            span = (talk.start, max([talk.end, *(piece.end for piece in own)]) if talk.least else talk.end)
        for piece in own:
            spans.setdefault(piece.channel, []).append(span)
    by_channel: dict[str, list[Kept]] = {}
    for piece in conversation.kept:
        by_channel.setdefault(piece.channel, []).append(piece)
    for channel, pieces in by_channel.items():
        yield from _too_much(conversation, pieces, spans.get(channel, []))


def _uncovered(conversation: _Conversation, talk: Talk, end: datetime, own: Sequence[Kept]) -> Iterator[Mismatch]:
    gaps = _without((talk.start, end), [(piece.start, piece.end) for piece in own])
    if not any(_meet((piece.start, piece.end), talk, end) for piece in own):
        if talk.least or end - talk.start > SHORTEST:
            yield _mismatch(conversation, Lack.MISSING, talk, (talk.start, end), ())
        return
    many = sum((last - first for first, last in gaps), timedelta()) > ALL_IN_ALL
    named = [gap for gap in gaps if gap[1] - gap[0] > (PACKET if many else TOLERANCE)]
    if many and not named:
        named = [(gaps[0][0], gaps[-1][1])]  # in so many pieces that none can be named
    for gap in named:
        yield _mismatch(conversation, Lack.SHORT, talk, gap, own)


def _too_much(conversation: _Conversation, pieces: Sequence[Kept], spans: Sequence[_Span]) -> Iterator[Mismatch]:
    """Sound of one channel that is kept while nobody talks, or twice."""
    known: list[_Span] = []
    for piece in sorted(pieces, key=lambda one: one.start):
        span = (piece.start, piece.end)
        twice = [(max(span[0], first), min(span[1], last)) for first, last in known]
        for first, last in (*_without(span, spans), *twice):
            if last - first > TOLERANCE:
                yield _mismatch(conversation, Lack.EXTRA, None, (first, last), [piece])
        known.append(span)


def _without(span: _Span, others: Iterable[_Span]) -> list[_Span]:
    """What of `span` none of `others` covers."""
    left, at = [], span[0]
    for first, last in sorted(others):
        if first > at:
            left.append((at, min(first, span[1])))
        at = max(at, last)
        if at >= span[1]:
            break
    if at < span[1]:
        left.append((at, span[1]))
    return [(first, last) for first, last in left if first < last]


def _mismatch(
    conversation: _Conversation, lack: Lack, talk: Talk | None, span: _Span, pieces: Sequence[Kept]
) -> Mismatch:
    linkedids = [name for one in conversation.talks for name in one.linkedids]
    return Mismatch(
        lack=lack,
        start=span[0],
        end=span[1],
        linkedid=min(linkedids, default=pieces[0].linkedid if pieces else ""),
        phones=tuple(sorted(talk.phones)) if talk else (),
        recording=pieces[0].recording if pieces else None,
        reason="; ".join(sorted({piece.note for piece in pieces if piece.note})),
    )


# --- Asterisk's CDR -------------------------------------------------------------------------------------------------


def billed(
    rows: Iterable[Mapping[str, str]], kind: Callable[[str | None], Kind | None], *, internal_too: bool
) -> Iterator[Billed]:
    """The rows of `cdr.csv` in which a designated phone talked with somebody that the rules record it with."""
    for row in rows:
        channels = [row["channel"], row["dstchannel"]]
        endpoints = [endpoint_of(channel) for channel in channels]
        kinds = [kind(endpoint) for endpoint in endpoints]
        try:
            seconds, start = float(row["billsec"]), datetime.fromtimestamp(float(row["answer"]), UTC)
        except (ValueError, OverflowError, OSError):
            continue
        outside = Kind.TRUNK in kinds
        talked = row["disposition"] == "ANSWERED" and seconds > 0 and all(channels)
        if talked and Kind.DESIGNATED in kinds and (outside or internal_too):
            yield Billed(
                start=start,
                seconds=seconds,
                endpoints=frozenset(filter(None, endpoints)),
                channels=frozenset({row["uniqueid"]}),
                linkedid=row["linkedid"],
            )
