"""Manager events -> facts. The live connection and a recorded file drive the same code.

A conversation is the set of legs that share Asterisk's linked id. Its UUID is derived from the PBX's name and that id,
so that a restarted process, or a replay years later, gives the same conversation the same name.

    tracker = Tracker(pbx="pbx1", plan=plan)
    for message in messages:
        for fact in tracker.feed(message): ...
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID, uuid5

from cti.calls.channel import endpoint_of, known
from cti.calls.model import Direction, Fact, Leg, What
from policies.model import Kind, Plan

NAMESPACE = UUID("6f0c2f6e-5d0b-5a8e-9d3c-6b696b69746f")
# Channels and calls whose end is remembered: an event that comes after it (a repeated one, one that waited in the
# queue during a resync, a dead channel in a list: asterisk#783) must not raise them again. An hour of 3,000 calls.
MEMORY = 20_000


class Event(Protocol):
    """What the tracker needs of an event: a name and headers."""

    @property
    def event(self) -> str:
        """The event's name."""

    def get(self, name: str, default: str = "") -> str:
        """A header's value."""


class MissingTimestampError(Exception):
    """An event has no time of its own. Set timestampevents=yes in manager.conf, or replay with --untimed."""

    code = "no-timestamp"


@dataclass(slots=True)
class _Leg:
    """A channel as far as it is known; mutable, and never leaves the tracker."""

    uniqueid: str
    channel: str
    originator: bool
    call: "_Call"
    late: bool = False
    number: str | None = None
    name: str | None = None
    dialled: str | None = None
    ringing: bool = False
    up: bool = False
    bridge: str | None = None
    bridged: bool = False


@dataclass(slots=True)
class _Call:
    conversation: UUID
    linkedid: str
    legs: dict[str, _Leg] = field(default_factory=dict)
    answered: bool = False
    announced: bool = False


class _Past:
    """The last `MEMORY` names of what is over."""

    def __init__(self) -> None:
        self._names: dict[str, None] = {}

    def add(self, name: str) -> None:
        self._names[name] = None
        if len(self._names) > MEMORY:
            del self._names[next(iter(self._names))]

    def __contains__(self, name: str) -> bool:
        return name in self._names


def event_time(event: Event) -> datetime | None:
    """Asterisk's own time of `event`; None where it says none that is a time."""
    try:
        return datetime.fromtimestamp(float(event.get("Timestamp")), UTC)
    except (ValueError, OverflowError, OSError):
        return None


def conversation_id(pbx: str, linkedid: str) -> UUID:
    """The UUID of the conversation that Asterisk calls `linkedid`."""
    return uuid5(NAMESPACE, f"{pbx}/{linkedid}")


class Tracker:
    """Understands the events of one PBX. Never raises on what a stream leaves out or repeats."""

    def __init__(self, *, pbx: str, plan: Plan | None, timed: bool = True) -> None:
        """`plan` None: no policy knows this PBX. `timed` False: events carry no Timestamp, facts no time."""
        self.pbx, self.plan, self.timed = pbx, plan, timed
        self._legs: dict[str, _Leg] = {}
        self._calls: dict[str, _Call] = {}
        self._gone, self._over = _Past(), _Past()
        self._handlers: dict[str, Callable[[Event, datetime | None], list[Fact]]] = {
            "Newchannel": self._newchannel,
            "Newstate": self._newstate,
            "DialEnd": self._dial_end,
            "BridgeEnter": self._bridge_enter,
            "BridgeLeave": self._bridge_leave,
            "Hold": lambda event, at: self._hold(event, at, What.HELD),
            "Unhold": lambda event, at: self._hold(event, at, What.RESUMED),
            "Rename": self._rename,
            "Hangup": self._hangup,
        }

    def feed(self, event: Event) -> list[Fact]:
        """The facts that `event` brings. Raises MissingTimestampError."""
        handler = self._handlers.get(event.event)
        uniqueid = event.get("Uniqueid", event.get("DestUniqueid"))
        if handler is None or not uniqueid or uniqueid in self._gone:
            return []
        return handler(event, self._time(event))

    def calls(self) -> list[tuple[UUID, str, tuple[Leg, ...]]]:
        """Every conversation that goes on: (uuid, linked id, legs)."""
        return [(call.conversation, call.linkedid, self._frozen(call)) for call in self._calls.values()]

    def call_of(self, uniqueid: str) -> tuple[UUID, str, tuple[Leg, ...]] | None:
        """The conversation that channel `uniqueid` belongs to: (uuid, linked id, legs)."""
        leg = self._legs.get(uniqueid)
        return (leg.call.conversation, leg.call.linkedid, self._frozen(leg.call)) if leg else None

    def resync(self, channels: Sequence[Event], at: datetime) -> list[Fact]:
        """Take over what Asterisk says exists now (`CoreShowChannel` events); what is not listed has ended."""
        facts: list[Fact] = []
        channels = [event for event in channels if event.get("Uniqueid") and event.get("Uniqueid") not in self._gone]
        listed = {event.get("Uniqueid") for event in channels}
        for uniqueid in [uniqueid for uniqueid in self._legs if uniqueid not in listed]:
            facts += self._end(self._legs[uniqueid], at, None)
        # The one that began a conversation first: the others are legs of its call.
        for event in sorted(channels, key=lambda event: event.get("Uniqueid") != event.get("Linkedid")):
            leg, found = self._leg(event, at)
            facts += found
            if leg.late:
                leg.dialled = self._dialled(leg, event)
                leg.late = leg.dialled is None
            facts += self._state(leg, event, at)
            bridge = event.get("BridgeId") or None
            if leg.bridge != bridge:
                if leg.bridge:
                    facts += self._leave(leg, at)
                if bridge:
                    facts += self._enter(leg, bridge, at)
        return facts

    def learn(self, uniqueid: str, dialled: str) -> tuple[UUID, str, tuple[Leg, ...]] | None:
        """What channel `uniqueid` dialled, from somebody who was there; its conversation as it is then, None if old."""
        leg = self._legs.get(uniqueid)
        if leg is None or not leg.late:
            return None
        leg.dialled, leg.late = dialled, False
        return self.call_of(uniqueid)

    def _dialled(self, leg: _Leg, event: Event) -> str | None:
        """What the first event of an originator says that it dialled. Inside a subroutine the extension is another."""
        exten = known(event.get("Exten"))
        if event.event == "Newchannel":
            return exten
        if event.event != "CoreShowChannel":
            return None
        outside = self.plan is not None and self.plan.kind(endpoint_of(leg.channel)) is Kind.TRUNK
        return exten if not outside or (self.plan and self.plan.number_of(exten)) else None

    def _time(self, event: Event) -> datetime | None:
        if self.timed and not event.get("Timestamp"):
            raise MissingTimestampError(
                f"{event.event} without a Timestamp: set timestampevents=yes in manager.conf, or use --untimed"
            )
        return event_time(event)

    def _leg(self, event: Event, at: datetime | None) -> tuple[_Leg, list[Fact]]:
        """The leg of `event`, made where the stream began too late to say so, and moved where its call was merged."""
        uniqueid = event.get("Uniqueid")
        linkedid = event.get("Linkedid") or uniqueid
        facts: list[Fact] = []
        leg = self._legs.get(uniqueid)
        if leg is None:
            call = self._call(linkedid, uniqueid)
            leg = _Leg(uniqueid, event.get("Channel"), originator=uniqueid == linkedid, call=call)
            if leg.originator:
                leg.dialled = self._dialled(leg, event)
                leg.late = leg.dialled is None and event.event != "Newchannel"
            self._legs[uniqueid] = call.legs[uniqueid] = leg
        elif event.get("Linkedid") and leg.call.linkedid != linkedid and linkedid not in self._over:
            facts += self._move(leg, linkedid, at)
        leg.number = known(event.get("CallerIDNum")) or leg.number
        leg.name = known(event.get("CallerIDName")) or leg.name
        if not leg.call.announced:
            leg.call.announced = True
            facts.append(self._fact(What.ARRIVED, leg.call, at, leg))
        return leg, facts

    def _call(self, linkedid: str, uniqueid: str) -> _Call:
        call = self._calls.get(linkedid)
        if call is None:
            # A leg of a call that has ended already begins another conversation: the ended one ended once.
            name = f"{linkedid}/{uniqueid}" if linkedid in self._over else linkedid
            call = self._calls[linkedid] = _Call(conversation_id(self.pbx, name), linkedid)
        return call

    def _move(self, leg: _Leg, linkedid: str, at: datetime | None) -> list[Fact]:
        """Two conversations became one: Asterisk keeps the older linked id, and so do we."""
        old, call = leg.call, self._call(linkedid, leg.uniqueid)
        facts = self._over_with(old, at, leg, "merged") if len(old.legs) == 1 else []
        del old.legs[leg.uniqueid]
        call.legs[leg.uniqueid] = leg
        call.answered = call.answered or old.answered
        leg.call = call
        return facts

    def _over_with(self, call: _Call, at: datetime | None, leg: _Leg, disposition: str | None) -> list[Fact]:
        self._calls.pop(call.linkedid, None)
        self._over.add(call.linkedid)
        return [self._fact(What.ENDED, call, at, leg, disposition)]

    def _newchannel(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        return facts + self._state(leg, event, at)

    def _newstate(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        return facts + self._state(leg, event, at)

    def _state(self, leg: _Leg, event: Event, at: datetime | None) -> list[Fact]:
        state = event.get("ChannelStateDesc")
        if state == "Ringing" and not leg.ringing:
            leg.ringing = True
            return [self._fact(What.RINGING, leg.call, at, leg)]
        if state == "Up" and not leg.up:
            leg.up = True
            if not leg.originator:
                return self._answer(leg, at)
        return []

    def _answer(self, leg: _Leg, at: datetime | None) -> list[Fact]:
        if leg.call.answered or len(leg.call.legs) < 2:
            return []
        leg.call.answered = True
        return [self._fact(What.ANSWERED, leg.call, at, leg)]

    def _dial_end(self, event: Event, at: datetime | None) -> list[Fact]:
        leg = self._legs.get(event.get("DestUniqueid"))
        if leg is None or event.get("DialStatus") != "ANSWER":
            return []
        leg.up = True
        return self._answer(leg, at)

    def _bridge_enter(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        return facts + self._enter(leg, event.get("BridgeUniqueid"), at)

    def _enter(self, leg: _Leg, bridge: str, at: datetime | None) -> list[Fact]:
        if leg.bridge == bridge:
            return []
        facts = self._leave(leg, at) if leg.bridge else []
        leg.bridge, leg.bridged = bridge, True
        if any(other.bridge == bridge for other in leg.call.legs.values() if other is not leg):
            facts += self._answer(leg, at)
        return [*facts, self._fact(What.JOINED, leg.call, at, leg)]

    def _bridge_leave(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        # One that waited while Asterisk was asked for its channels may speak of a bridge that the leg has left since.
        left = event.get("BridgeUniqueid") or leg.bridge
        return facts + self._leave(leg, at) if leg.bridge and leg.bridge == left else facts

    def _leave(self, leg: _Leg, at: datetime | None) -> list[Fact]:
        leg.bridge = None
        return [self._fact(What.LEFT, leg.call, at, leg)]

    def _hold(self, event: Event, at: datetime | None, what: What) -> list[Fact]:
        leg, facts = self._leg(event, at)
        return [*facts, self._fact(what, leg.call, at, leg)]

    def _rename(self, event: Event, at: datetime | None) -> list[Fact]:
        leg = self._legs.get(event.get("Uniqueid"))
        if leg is not None:
            leg.channel = event.get("Newname") or leg.channel
        return []

    def _hangup(self, event: Event, at: datetime | None) -> list[Fact]:
        if event.get("Uniqueid") not in self._legs:
            return []
        leg, facts = self._leg(event, at)
        return facts + self._end(leg, at, event.get("Cause") or None)

    def _end(self, leg: _Leg, at: datetime | None, cause: str | None) -> list[Fact]:
        facts = self._leave(leg, at) if leg.bridge else []
        call = leg.call
        if len(call.legs) == 1:
            disposition = "completed" if call.answered else _disposition(cause)
            facts += self._over_with(call, at, leg, disposition)
        del call.legs[leg.uniqueid]
        del self._legs[leg.uniqueid]
        self._gone.add(leg.uniqueid)
        return facts

    def _fact(self, what: What, call: _Call, at: datetime | None, leg: _Leg, disposition: str | None = None) -> Fact:
        return Fact(
            what=what,
            conversation=call.conversation,
            linkedid=call.linkedid,
            at=at,
            legs=self._frozen(call),
            leg=leg.uniqueid,
            disposition=disposition,
        )

    def _frozen(self, call: _Call) -> tuple[Leg, ...]:
        return tuple(self._freeze(leg) for leg in call.legs.values())

    def _freeze(self, leg: _Leg) -> Leg:
        endpoint = endpoint_of(leg.channel)
        designated: bool | None = None
        direction: Direction | None = None
        if self.plan is not None:
            kind = self.plan.kind(endpoint)
            designated = kind is Kind.DESIGNATED
            if kind is Kind.TRUNK:
                direction = Direction.IN if leg.originator else Direction.OUT
            elif kind is not None:
                direction = Direction.INTERNAL
        return Leg(
            channel=leg.channel,
            uniqueid=leg.uniqueid,
            number=leg.number,
            caller_name=leg.name,
            endpoint=endpoint,
            designated=designated,
            direction=direction,
            dialled=leg.dialled,
            originator=leg.originator,
            bridge=leg.bridge,
            bridged=leg.bridged,
            late=leg.late,
        )


def _disposition(cause: str | None) -> str | None:
    """How a call that nobody answered ended, from the last hang-up cause (Q.850)."""
    causes = {
        "17": "busy",
        "18": "no-answer",
        "19": "no-answer",
        "21": "rejected",
        "127": "cancelled",
        "16": "cancelled",
    }
    return causes.get(cause or "", "failed" if cause else None)
