"""Who is on the line now: legs and the calls that they belong to, as far as a stream has told. Mutable, and pure.

A call is what Asterisk gives one linked id, and every other call that was merged into it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from uuid import UUID, uuid5

from cti.calls.channel import endpoint_of, internal
from cti.calls.model import Direction, Leg
from policies.model import Kind, Plan

NAMESPACE = UUID("6f0c2f6e-5d0b-5a8e-9d3c-6b696b69746f")
# Channels and calls whose end is remembered: an event that comes after it (a repeated one, one that waited in the
# queue during a resync, a dead channel in a list: asterisk#783) must not raise them again. An hour of 3,000 calls.
MEMORY = 20_000
_BORN = re.compile(r"(\d{1,15})\.(\d{1,15})$", re.ASCII)


def conversation_id(pbx: str, linkedid: str) -> UUID:
    """The UUID of the conversation that Asterisk calls `linkedid`."""
    return uuid5(NAMESPACE, f"{pbx}/{linkedid}")


def born(linkedid: str) -> tuple[int, int] | None:
    """Second and serial number in a unique id; None where it has none. The older of two linked ids lives on."""
    found = _BORN.search(linkedid)
    return (int(found[1]), int(found[2])) if found else None


class Past:
    """The last `MEMORY` names of what is over, and what each became (empty: nothing)."""

    def __init__(self) -> None:
        """Nothing is over."""
        self.names: dict[str, str] = {}

    def add(self, name: str, became: str = "") -> None:
        """`name` is over."""
        self.names[name] = became
        if len(self.names) > MEMORY:
            del self.names[next(iter(self.names))]

    def __contains__(self, name: str) -> bool:
        return name in self.names

    def now(self, name: str) -> str:
        """What `name` is called now."""
        seen = set()
        while name not in seen and self.names.get(name):
            seen.add(name)
            name = self.names[name]
        return name


@dataclass(slots=True, eq=False)
class LiveLeg:
    """A channel.

    `originator`: it began the conversation; `came`: it came into the PBX by itself, and may have begun one that was
    merged since. `first`: the PBX called it first, to call another for it (click-to-dial). `held` None: not known.
    `hidden`: nobody is behind it. `picker`: it took a call that rang elsewhere. `through`: a Local channel dialled it,
    which may still refuse what it answered. `status`: how the dialling of it went (DialStatus). `hung`: the person at
    it, or the line, has hung up.
    """

    uniqueid: str
    channel: str
    call: "LiveCall"
    originator: bool
    came: bool
    first: bool = False
    late: bool = False
    number: str | None = None
    name: str | None = None
    dialled: str | None = None
    ringing: bool = False
    up: bool = False
    answered: bool = False
    picker: bool = False
    through: bool = False
    hung: bool = False
    bridge: str | None = None
    bridged: bool = False
    held: bool | None = None
    conference: str | None = None
    status: str = ""
    endpoint: str | None = None
    hidden: bool = False
    kind: Kind | None = None

    @property
    def called(self) -> bool:
        """Whether somebody called it, and may be answered there."""
        return not (self.hidden or self.came or self.first)


@dataclass(slots=True, eq=False)
class LiveCall:
    """A conversation.

    `begun`: whoever began it has been seen. `taken`: the PBX itself answered whoever called, with a queue or a menu.
    `partial`: the stream does not tell how some leg began. `ends`: (DialStatus, Cause) of the phones that were called
    last. `gave_up`: whoever began it hung up. `last`: the leg that left last.
    """

    conversation: UUID
    linkedid: str
    legs: dict[str, LiveLeg] = field(default_factory=dict)
    announced: bool = False
    answered: bool = False
    abandoned: bool = False
    gave_up: bool = False
    begun: bool = False
    taken: bool = False
    partial: bool = False
    ends: list[tuple[str, str]] = field(default_factory=list)
    last: Leg | None = None


class Board:
    """All legs and calls of one PBX."""

    def __init__(self, pbx: str, plan: Plan | None) -> None:
        """`plan` None: no policy knows this PBX."""
        self.pbx, self.plan = pbx, plan
        self.legs: dict[str, LiveLeg] = {}
        self.calls: dict[str, LiveCall] = {}
        self.gone, self.over = Past(), Past()
        self._bridges: dict[str, dict[str, LiveLeg]] = {}

    def seat(self, uniqueid: str, channel: str, linkedid: str) -> LiveLeg:
        """A new leg of the call `linkedid`."""
        call = self.call(linkedid, uniqueid)
        came = uniqueid == linkedid
        leg = LiveLeg(uniqueid, channel, call, originator=came and uniqueid == call.linkedid, came=came)
        call.begun = call.begun or leg.originator
        self.name(leg, channel)
        self.legs[uniqueid] = call.legs[uniqueid] = leg
        return leg

    def name(self, leg: LiveLeg, channel: str) -> None:
        """`leg` is called `channel` from now on."""
        hidden = internal(channel)
        if hidden and not leg.hidden and leg.channel != channel:
            leg.call.last = self.freeze(leg, None)  # nobody is behind it any more
        leg.channel, leg.endpoint, leg.hidden = channel, endpoint_of(channel), hidden
        leg.kind = self.plan.kind(leg.endpoint) if self.plan is not None else None

    def call(self, linkedid: str, uniqueid: str) -> LiveCall:
        """The call that `linkedid` means, made where there is none."""
        linkedid = self.over.now(linkedid)
        call = self.calls.get(linkedid)
        if call is None:
            # A leg of a call that has ended already begins another conversation: the ended one ended once.
            name = f"{linkedid}/{uniqueid}" if linkedid in self.over else linkedid
            call = self.calls[linkedid] = LiveCall(conversation_id(self.pbx, name), linkedid)
        return call

    def elder(self, one: LiveCall, other: LiveCall) -> tuple[LiveCall, LiveCall]:
        """(the call that lives on when the two merge, the one that goes on in it), as Asterisk decides."""
        first, second = born(one.linkedid), born(other.linkedid)
        return (other, one) if first is not None and second is not None and second < first else (one, other)

    def merge(self, call: LiveCall, gone: LiveCall) -> None:
        """The legs of `gone` belong to `call` from now on: they talk to each other, or may within moments."""
        for leg in gone.legs.values():
            leg.call, leg.originator = call, False
            call.legs[leg.uniqueid] = leg
        call.answered = call.answered or gone.answered
        call.partial = call.partial or gone.partial
        call.ends += gone.ends
        self.calls.pop(gone.linkedid, None)
        self.over.add(gone.linkedid, call.linkedid)

    def rise(self, leg: LiveLeg) -> None:
        """`leg` is gone."""
        del leg.call.legs[leg.uniqueid], self.legs[leg.uniqueid]
        self.gone.add(leg.uniqueid, leg.call.linkedid)

    def call_of(self, uniqueid: str) -> LiveCall | None:
        """The call that a channel is in, or was in when it ended; None where that is over too, or was never known."""
        leg = self.legs.get(uniqueid)
        if leg is not None:
            return leg.call
        return self.calls.get(self.over.now(self.gone.names.get(uniqueid, "")))

    def close(self, call: LiveCall) -> None:
        """`call` is over."""
        self.calls.pop(call.linkedid, None)
        self.over.add(call.linkedid)

    # --- bridges ----------------------------------------------------------------------------------------------------

    def enter(self, leg: LiveLeg, bridge: str) -> None:
        """`leg` is in `bridge` now."""
        leg.bridge, leg.bridged = bridge, True
        self._bridges.setdefault(bridge, {})[leg.uniqueid] = leg

    def leave(self, leg: LiveLeg) -> None:
        """`leg` is in no bridge any more."""
        if leg.bridge is not None:
            inside = self._bridges.get(leg.bridge, {})
            inside.pop(leg.uniqueid, None)
            if not inside:
                self._bridges.pop(leg.bridge, None)
        leg.bridge = None

    def inside(self, bridge: str) -> Iterable[LiveLeg]:
        """The legs in one bridge."""
        return self._bridges.get(bridge, {}).values()

    def room(self, bridges: Iterable[str | None]) -> Iterator[LiveLeg]:
        """The legs that hear each other in any of `bridges`, through Local channels too."""
        reached, waiting = set[str](), [bridge for bridge in bridges if bridge]
        while waiting:
            bridge = waiting.pop()
            if bridge in reached:
                continue
            reached.add(bridge)
            for leg in self.inside(bridge):
                yield leg
                if leg.hidden and (half := self.other_half(leg)) is not None and half.bridge:
                    waiting.append(half.bridge)

    def other_half(self, leg: LiveLeg) -> LiveLeg | None:
        """A Local channel is a pair: what goes into `...;1` comes out of `...;2`."""
        name = leg.channel[:-1] + ("2" if leg.channel.endswith(";1") else "1")
        return next((other for other in leg.call.legs.values() if other.channel == name), None)

    # --- what leaves the tracker ------------------------------------------------------------------------------------

    def frozen(self, call: LiveCall, *, whole: bool = False) -> tuple[Leg, ...]:
        """The legs of a call; Asterisk's own too if `whole`."""
        legs = [leg for leg in call.legs.values() if whole or not leg.hidden]
        if not any(leg.hidden for leg in call.legs.values()):
            return tuple(self.freeze(leg, leg.bridge) for leg in legs)
        # One name for all bridges that Local channels join; asked once a bridge, there may be hundreds in one.
        names = {bridge: self._room_of(bridge) for bridge in {leg.bridge for leg in legs} if bridge}
        return tuple(self.freeze(leg, names.get(leg.bridge or "")) for leg in legs)

    def _room_of(self, bridge: str) -> str:
        return min([leg.bridge for leg in self.room([bridge]) if leg.bridge], default=bridge)

    def freeze(self, leg: LiveLeg, bridge: str | None) -> Leg:
        """One leg."""
        designated: bool | None = None
        direction: Direction | None = None
        if self.plan is not None:
            designated = leg.kind is Kind.DESIGNATED
            if leg.kind is Kind.TRUNK:
                direction = Direction.IN if leg.came and not leg.first else Direction.OUT
            elif leg.kind is not None:
                direction = Direction.INTERNAL
        return Leg(
            channel=leg.channel,
            uniqueid=leg.uniqueid,
            number=leg.number,
            caller_name=leg.name,
            endpoint=leg.endpoint,
            designated=designated,
            direction=direction,
            dialled=leg.dialled,
            originator=leg.originator,
            bridge=bridge,
            bridged=leg.bridged,
            late=leg.late,
            hidden=leg.hidden,
        )
