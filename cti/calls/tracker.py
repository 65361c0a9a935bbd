"""Manager events -> facts. The live connection and a recorded file drive the same code.

A conversation is the set of legs that share Asterisk's linked id, or did. Its UUID is derived from the PBX's name and
that id, so that a restarted process, or a replay years later, gives the same conversation the same name.

    tracker = Tracker(pbx="pbx1", plan=plan)
    for message in messages:
        for fact in tracker.feed(message): ...

Every conversation that arrived ends once (`CallEnded`), or goes on in another (`merged` of a `CallMerged`).
"""

from collections.abc import Callable, Collection, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, ClassVar, Protocol
from uuid import UUID

from cti.calls.board import Board, LiveCall, LiveLeg
from cti.calls.channel import known
from cti.calls.ending import disposition
from cti.calls.model import Fact, Leg, Transfer, What
from cti.calls.said import said
from policies.model import Kind, Plan


class Event(Protocol):
    """What the tracker needs of an event: a name and headers."""

    @property
    def event(self) -> str:
        """The event's name."""

    def get(self, name: str, default: str = "") -> str:
        """A header's value."""


class Silence(StrEnum):
    """Why nothing is made of an event."""

    OF_NO_CALL = "of no call"
    NO_CHANNEL = "names no channel"
    OVER = "its channel has ended"


class MissingTimestampError(Exception):
    """An event has no time of its own. Set timestampevents=yes in manager.conf, or replay with --untimed."""

    code = "no-timestamp"


_UNHANDLED: tuple[None, str] = (None, "")
# Events that may tell a leg's number and name anew, and themselves that it has just come up.
_CHANGES = frozenset({"NewCallerid", "Newstate", "CoreShowChannel"})
# Told within milliseconds of the hang-up of the one they are about, before or after it.
_LATE = frozenset({"BlindTransfer", "AttendedTransfer", "Pickup"})
# In these nobody hears another: music, or a list's only word for a holding bridge.
_WAITING = frozenset({"Park", "ParkedCall", "BridgeWait"})
# What only a leg with somebody behind it can do.
_OF_PEOPLE = frozenset(
    (What.RINGING, What.ANSWERED, What.JOINED, What.LEFT, What.HELD, What.RESUMED, What.CONFERRING, What.CONFERRED)
)

# Of what the dialplan says: what is told on.
_STEPS = {"route": What.ROUTED, "intake": What.INTAKE}

Call = tuple[UUID, str, tuple[Leg, ...]]
Handler = Callable[["Tracker", Event, datetime | None], list[Fact]]


def event_time(event: Event) -> datetime | None:
    """Asterisk's own time of `event`; None where it says none that is a time."""
    try:
        return datetime.fromtimestamp(float(event.get("Timestamp")), UTC)
    except (ValueError, OverflowError, OSError):
        return None


class Tracker:
    """Understands the events of one PBX. Never raises on what a stream leaves out or repeats."""

    def __init__(self, *, pbx: str, plan: Plan | None, timed: bool = True) -> None:
        """`plan` None: no policy knows this PBX. `timed` False: events carry no Timestamp, facts no time."""
        self.pbx, self.plan, self.timed = pbx, plan, timed
        self._board = Board(pbx, plan)

    def feed(self, event: Event) -> list[Fact]:
        """The facts that `event` brings. Raises MissingTimestampError."""
        # In the order of what it costs: most events of a PBX are of no interest, and a header has to be searched for.
        handler, prefix = self.HANDLERS.get(event.event, _UNHANDLED)
        if handler is None:
            return []
        uniqueid = event.get(f"{prefix}Uniqueid")
        if not uniqueid or (uniqueid in self._board.gone and event.event not in _LATE):
            return []
        at = event_time(event)
        if at is None and self.timed and not event.get("Timestamp"):
            raise MissingTimestampError(
                f"{event.event} without a Timestamp: set timestampevents=yes in manager.conf, or use --untimed"
            )
        return handler(self, event, at)

    def silence(self, event: Event) -> Silence | None:
        """Why nothing can be made of `event`; None where something may. Asked before it is fed."""
        handler, prefix = self.HANDLERS.get(event.event, _UNHANDLED)
        if handler is None:
            return Silence.OF_NO_CALL
        uniqueid = event.get(f"{prefix}Uniqueid")
        if not uniqueid:
            return Silence.NO_CHANNEL
        return Silence.OVER if uniqueid in self._board.gone and event.event not in _LATE else None

    def calls(self) -> list[Call]:
        """Every conversation that goes on: (uuid, linked id, legs, Asterisk's own too)."""
        return [self._whole(call) for call in self._board.calls.values() if call.announced]

    def call_of(self, uniqueid: str) -> Call | None:
        """The conversation that channel `uniqueid` belongs to: (uuid, linked id, legs, Asterisk's own too)."""
        leg = self._board.legs.get(uniqueid)
        if leg is None or not leg.call.announced:
            return None  # or nobody but Asterisk's own channels is in it yet
        return self._whole(leg.call)

    def _whole(self, call: LiveCall) -> Call:
        return call.conversation, call.linkedid, self._board.frozen(call, whole=True)

    # --- what a late comer is told ----------------------------------------------------------------------------------

    def resync(self, channels: Sequence[Event], at: datetime | None) -> list[Fact]:
        """Take over what Asterisk says exists now (`CoreShowChannel` events); what is not listed has ended."""
        facts: list[Fact] = []
        board = self._board
        channels = [event for event in channels if event.get("Uniqueid") and event.get("Uniqueid") not in board.gone]
        listed = {event.get("Uniqueid") for event in channels}
        for uniqueid in [uniqueid for uniqueid in board.legs if uniqueid not in listed]:
            facts += self._end(board.legs[uniqueid], at, "")
        # The one that began a conversation first: the others are legs of its call.
        for event in sorted(channels, key=lambda event: event.get("Uniqueid") != event.get("Linkedid")):
            leg, found = self._leg(event, at)
            facts += found
            if leg.late:
                leg.dialled = self._dialled(leg, event)
                leg.late = leg.dialled is None
            facts += self._changed(leg, event.get("ChannelStateDesc"), at)
            bridge = event.get("BridgeId") or None
            if leg.bridge != bridge:
                if leg.bridge:
                    facts += self._leave(leg, at)
                if bridge:
                    facts += self._enter(leg, bridge, at, waiting=event.get("Application") in _WAITING)
        return facts

    def learn(self, uniqueid: str, dialled: str) -> Call | None:
        """What channel `uniqueid` dialled, from somebody who was there; its conversation as it is then, None if old."""
        leg = self._board.legs.get(uniqueid)
        if leg is None or not leg.late:
            return None
        leg.dialled, leg.late = dialled, False
        return self.call_of(uniqueid)

    def _dialled(self, leg: LiveLeg, event: Event) -> str | None:
        """What the first event of an originator says that it dialled. Inside a subroutine the extension is another."""
        exten = known(event.get("Exten"))
        if event.event == "Newchannel":
            return exten
        if event.event != "CoreShowChannel":
            return None
        outside = leg.kind is Kind.TRUNK
        return exten if not outside or (self.plan and self.plan.number_of(exten)) else None

    # --- legs and calls ---------------------------------------------------------------------------------------------

    def _leg(self, event: Event, at: datetime | None, prefix: str = "") -> tuple[LiveLeg, list[Fact]]:
        """The leg that `event` describes, made where the stream began too late to say so, in the call it belongs to."""
        uniqueid = event.get(f"{prefix}Uniqueid")
        linkedid = event.get(f"{prefix}Linkedid")
        facts: list[Fact] = []
        leg = self._board.legs.get(uniqueid)
        new = leg is None
        if leg is None:
            leg = self._board.seat(uniqueid, event.get(f"{prefix}Channel"), linkedid or uniqueid)
            if leg.came:
                leg.dialled = self._dialled(leg, event)
                leg.late = leg.dialled is None and event.event != "Newchannel"
            self._catch_up(leg, event, prefix)
            if not any(other.called for other in leg.call.legs.values() if other is not leg):
                leg.call.ends.clear()  # whoever was called before is out of it
        elif linkedid:
            linkedid = self._board.over.now(linkedid)
            if linkedid != leg.call.linkedid and linkedid not in self._board.over:
                facts += self._join(self._board.call(linkedid, uniqueid), leg.call, at)
        if new or event.event in _CHANGES:
            leg.number = known(event.get(f"{prefix}CallerIDNum")) or leg.number
            leg.name = known(event.get(f"{prefix}CallerIDName")) or leg.name
        # A phone's channel may be told of before the caller's.
        begun = leg.came or event.event != "Newchannel"
        return leg, facts + (self._announce(leg, at) if begun else [])

    def _catch_up(self, leg: LiveLeg, event: Event, prefix: str) -> None:
        """What the first event of a leg tells of the time before it."""
        if event.event == "Newchannel":
            leg.held = False
            return
        leg.call.partial = True
        if event.event not in _CHANGES and event.get(f"{prefix}ChannelStateDesc") == "Up":
            leg.up = True
            leg.call.taken = leg.call.taken or leg.originator

    def _announce(self, leg: LiveLeg, at: datetime | None) -> list[Fact]:
        if leg.call.announced or leg.hidden:
            return []
        leg.call.announced = True
        return self._tell(What.ARRIVED, leg, at)

    def _some(self, event: Event, prefix: str, at: datetime | None) -> tuple[LiveLeg | None, list[Fact]]:
        """As `_leg`, for a channel that an event may leave out, or that may be gone."""
        uniqueid = event.get(f"{prefix}Uniqueid")
        return self._leg(event, at, prefix) if uniqueid and uniqueid not in self._board.gone else (None, [])

    def _join(self, call: LiveCall, gone: LiveCall, at: datetime | None) -> list[Fact]:
        """Two conversations became one."""
        if call is gone:
            return []
        moved = [leg for leg in gone.legs.values() if not leg.hidden]
        self._board.merge(call, gone)
        if not gone.announced:
            return []
        if not moved:  # its last leg is gone, and only Asterisk's own are left
            return [] if gone.last is None else [self._ended(gone, gone.last, at, "")]
        facts = self._announce(moved[0], at)
        more = {"merged_linkedid": gone.linkedid}
        return facts + self._tell(What.MERGED, moved[0], at, merged=gone.conversation, more=more)

    def _meet(self, one: LiveLeg, other: LiveLeg, at: datetime | None) -> list[Fact]:
        """The conversations of two legs are one, before their linked ids say so."""
        return self._join(*self._board.elder(one.call, other.call), at)

    # --- channels ---------------------------------------------------------------------------------------------------

    def _state(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        if event.event == "Newchannel" and leg.held is None:
            leg.held = False
        return facts + self._changed(leg, event.get("ChannelStateDesc"), at)

    def _changed(self, leg: LiveLeg, state: str, at: datetime | None) -> list[Fact]:
        if state == "Ringing" and not (leg.ringing or leg.up):
            leg.ringing = True
            return self._tell(What.RINGING, leg, at)
        if state == "Up" and not leg.up:
            leg.up = True
            leg.call.taken = leg.call.taken or leg.originator
            return self._answer(leg, at)
        return []

    def _answer(self, leg: LiveLeg, at: datetime | None) -> list[Fact]:
        """Somebody picked up at `leg`."""
        if leg.answered or not (leg.called or leg.picker) or len(leg.call.legs) < 2:
            return []
        leg.answered = True
        # Behind a Local channel somebody may be asked first whether he takes the call: a bridge tells.
        leg.call.answered = leg.call.answered or not leg.through
        return self._tell(What.ANSWERED, leg, at)

    def _rename(self, event: Event, at: datetime | None) -> list[Fact]:
        leg = self._board.legs.get(event.get("Uniqueid"))
        if leg is not None:
            self._board.name(leg, event.get("Newname") or leg.channel)
        return []

    def _hangs_up(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        leg.hung = True
        leg.call.gave_up = leg.call.gave_up or leg.originator
        return facts

    def _hangup(self, event: Event, at: datetime | None) -> list[Fact]:
        if event.get("Uniqueid") not in self._board.legs:
            return []
        leg, facts = self._leg(event, at)
        return facts + self._end(leg, at, event.get("Cause"))

    def _end(self, leg: LiveLeg, at: datetime | None, cause: str) -> list[Fact]:
        facts = [*(self._leave(leg, at) if leg.bridge else []), *self._left_conference(leg, at)]
        call = leg.call
        if leg.called or leg.first:
            call.ends.append((leg.status, cause))
        if not leg.hidden:
            call.last = self._board.freeze(leg, None)
        self._board.rise(leg)
        if not call.legs:
            self._board.close(call)
            if call.last is not None and call.announced:
                facts.append(self._ended(call, call.last, at, cause))
        return facts

    def _ended(self, call: LiveCall, last: Leg, at: datetime | None, cause: str) -> Fact:
        return self._fact(What.ENDED, call, at, last.uniqueid, (last,), disposition=disposition(call, cause or None))

    # --- dialling ---------------------------------------------------------------------------------------------------

    def _dial_begin(self, event: Event, at: datetime | None) -> list[Fact]:
        caller, facts = self._some(event, "", at)
        leg, found = self._leg(event, at, "Dest")
        # Nobody dials: the PBX itself calls, for somebody who is to be connected then. A Local channel hands that on.
        leg.first = self._half_of_first(caller) if caller is not None else not event.get("Uniqueid")
        leg.through = caller is not None and caller.hidden
        return facts + found

    def _half_of_first(self, caller: LiveLeg) -> bool:
        if not (caller.hidden and caller.channel.endswith(";2")):
            return False
        half = self._board.other_half(caller)
        return half is not None and half.first and not half.up

    def _dial_end(self, event: Event, at: datetime | None) -> list[Fact]:
        _, facts = self._some(event, "", at)
        leg, found = self._leg(event, at, "Dest")
        facts += found
        target = event.get("Forward")
        if target:
            # Dial says CANCEL then: not the caller has given up.
            return facts + self._tell(What.TRANSFERRED, leg, at, kind=Transfer.FORWARD, more={"target": target})
        leg.status = event.get("DialStatus")
        if leg.status == "ANSWER":
            leg.up = True
            facts += self._answer(leg, at)
        return facts

    # --- bridges ----------------------------------------------------------------------------------------------------

    def _bridge_enter(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        bridge = event.get("BridgeUniqueid")
        if not bridge:
            return facts
        return facts + self._enter(leg, bridge, at, waiting=event.get("BridgeTechnology") == "holding_bridge")

    def _enter(self, leg: LiveLeg, bridge: str, at: datetime | None, *, waiting: bool) -> list[Fact]:
        """`waiting`: with others who do not hear each other."""
        if leg.bridge == bridge:
            return []
        facts: list[Fact] = []
        if not waiting:
            for other in [other for other in self._board.inside(bridge) if other.call is not leg.call]:
                facts += self._meet(leg, other, at)
        facts += self._leave(leg, at) if leg.bridge else []
        self._board.enter(leg, bridge)
        if not (waiting or leg.call.answered):
            facts += self._late_answer(leg, at)
        return facts + self._tell(What.JOINED, leg, at)

    def _late_answer(self, leg: LiveLeg, at: datetime | None) -> list[Fact]:
        """They talk, so somebody has picked up, whether or not the stream said so."""
        room = [other for other in self._board.room([leg.bridge]) if not other.hidden]
        if len(room) < 2:
            return []
        called = [other for other in (leg, *room) if other.called]
        facts = self._answer(called[0], at) if called else []
        leg.call.answered = True
        return facts

    def _bridge_leave(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        # One that waited while Asterisk was asked for its channels may speak of a bridge that the leg has left since.
        left = event.get("BridgeUniqueid") or leg.bridge
        if not leg.bridged and not leg.hidden:
            leg.bridged = leg.call.answered = True  # seen from the middle on: it talked
        return facts + self._leave(leg, at) if leg.bridge and leg.bridge == left else facts

    def _leave(self, leg: LiveLeg, at: datetime | None) -> list[Fact]:
        self._board.leave(leg)
        return self._tell(What.LEFT, leg, at)

    def _hold(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        held = event.event == "Hold"
        # A transfer ends a hold that may never have been.
        if leg.held is held:
            return facts
        leg.held = held
        return facts + self._tell(What.HELD if held else What.RESUMED, leg, at)

    # --- transfers --------------------------------------------------------------------------------------------------

    def _blind(self, event: Event, at: datetime | None) -> list[Fact]:
        _, facts = self._some(event, "Transferer", at)
        _, found = self._some(event, "Transferee", at)
        facts += found
        if event.get("Result", "Success") != "Success":
            return facts
        more = _said(transferee=event.get("TransfereeUniqueid"), target=event.get("Extension"))
        return facts + self._transferred(event.get("TransfererUniqueid"), at, Transfer.BLIND, more)

    def _attended(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._some(event, "OrigTransferer", at)
        second, found = self._some(event, "SecondTransferer", at)
        transferee, also = self._some(event, "Transferee", at)
        facts += [*found, *also]
        # Three who go on together: nobody was transferred.
        if event.get("Result", "Success") != "Success" or event.get("DestType") == "Threeway":
            return facts
        asked = self._asked(event, {leg, second, transferee})
        target = ""
        first, other = event.get("OrigTransfererUniqueid"), event.get("SecondTransfererUniqueid")
        if other != first:
            target = known(event.get("SecondTransfererExten")) or ""
            here, there = self._board.call_of(first), self._board.call_of(other)
            if here is not None and there is not None:
                facts += self._join(*self._board.elder(here, there), at)
        more = _said(transferee=event.get("TransfereeUniqueid"), target=target)
        return facts + self._transferred(first, at, asked, more)

    def _asked(self, event: Event, others: Collection[LiveLeg | None]) -> Transfer | None:
        """Whether the party that a call was given to had answered by then; None where nothing tells."""
        state = event.get("TransferTargetChannelStateDesc")
        if event.get("DestType") == "App" and not state:
            # Dial: it rings. A queue or a mailbox is neither asked nor ringing.
            return Transfer.BLONDE if event.get("DestApp") in ("Dial", "AppDial", "AppDial2") else None
        if not state:
            call = self._board.call_of(event.get("SecondTransfererUniqueid"))
            transferee = self._board.legs.get(event.get("TransfereeUniqueid"))
            bridges = (event.get("SecondBridgeUniqueid"), transferee.bridge if transferee else None)
            legs = [*self._board.room(bridges), *(call.legs.values() if call is not None else ())]
            parties = [leg for leg in legs if leg not in others and not leg.hidden]
            if not parties:
                return None
            state = "Up" if any(leg.up for leg in parties) else ""
        return Transfer.ATTENDED if state == "Up" else Transfer.BLONDE

    def _pickup(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._some(event, "", at)
        _, found = self._some(event, "Target", at)
        facts += found
        call = self._board.call_of(event.get("TargetUniqueid"))
        if leg is not None and call is not None:
            # Into the call that rang, whichever is older: Asterisk gives it the picker's channel.
            facts += self._join(call, leg.call, at)
        more = _said(target=event.get("TargetUniqueid"))
        facts += self._transferred(event.get("Uniqueid"), at, Transfer.PICKUP, more)
        if leg is None:
            return facts
        leg.originator, leg.picker = False, True
        return facts + self._answer(leg, at)

    def _transferred(self, leg: str, at: datetime | None, kind: Transfer | None, more: dict[str, str]) -> list[Fact]:
        """Of a leg that may be gone."""
        call = self._board.call_of(leg)
        if call is None or not call.announced:
            return []
        return [self._fact(What.TRANSFERRED, call, at, leg, self._board.frozen(call), kind=kind, more=more)]

    # --- waiting ----------------------------------------------------------------------------------------------------

    def _queue(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        more = _said(queue=event.get("Queue"), position=event.get("Position"))
        if event.event == "QueueCallerJoin":
            return facts + self._tell(What.QUEUED, leg, at, more=more)
        if event.event == "QueueCallerLeave":
            return facts + self._tell(What.UNQUEUED, leg, at, more=more)
        # Asterisk says "abandon" of a caller whose time is over, too, and goes on with him.
        if not leg.hung:
            return facts
        leg.call.abandoned = True
        more |= _said(waited=event.get("HoldTime"))
        return facts + self._tell(What.ABANDONED, leg, at, more=more)

    def _parking(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at, "Parkee")
        more = _said(lot=event.get("ParkingLot"), space=event.get("ParkingSpace"))
        if event.event in ("ParkedCall", "ParkedCallSwap"):
            return facts + self._tell(What.PARKED, leg, at, more=more)
        how = {"UnParkedCall": "retrieved", "ParkedCallTimeOut": "timeout"}.get(event.event, "gave up")
        more |= _said(how=how, retriever=event.get("RetrieverUniqueid"))
        retriever, found = self._some(event, "Retriever", at)
        facts += found
        if retriever is not None:
            # They are bridged next: who records wants to know before.
            facts += self._meet(leg, retriever, at)
        return facts + self._tell(What.UNPARKED, leg, at, more=more)

    def _conference(self, event: Event, at: datetime | None) -> list[Fact]:
        leg, facts = self._leg(event, at)
        if event.event == "ConfbridgeLeave":
            return facts + self._left_conference(leg, at)
        leg.conference = event.get("Conference")
        return facts + self._tell(What.CONFERRING, leg, at, more=_said(conference=leg.conference))

    def _left_conference(self, leg: LiveLeg, at: datetime | None) -> list[Fact]:
        # For the last one Asterisk says it after the hang-up.
        name, leg.conference = leg.conference, None
        return [] if name is None else self._tell(What.CONFERRED, leg, at, more=_said(conference=name))

    # --- facts ------------------------------------------------------------------------------------------------------

    def _said(self, event: Event, at: datetime | None) -> list[Fact]:
        """Where the dialplan sends a call, and what it took of the caller."""
        leg, facts = self._leg(event, at)
        step = said(event.get("Said")) if event.get("UserEvent") == "Kikitori" else None
        what = _STEPS.get(step.what) if step else None
        if step is None or what is None:
            return facts
        return facts + self._tell(what, leg, at, more=dict(step.values))

    def _tell(self, what: What, leg: LiveLeg, at: datetime | None, **more: Any) -> list[Fact]:
        """Nothing is said of a call that only Asterisk's own channels are in yet, nor how these ring and talk."""
        if not leg.call.announced or (leg.hidden and what in _OF_PEOPLE):
            return []
        return [self._fact(what, leg.call, at, leg.uniqueid, self._board.frozen(leg.call), **more)]

    def _fact(
        self, what: What, call: LiveCall, at: datetime | None, leg: str, legs: tuple[Leg, ...], **more: Any
    ) -> Fact:
        return Fact(
            what=what, conversation=call.conversation, linkedid=call.linkedid, at=at, legs=legs, leg=leg, **more
        )

    # Event -> what to do, and the prefix of the headers that describe the channel it is about.
    HANDLERS: ClassVar[dict[str, tuple[Handler, str]]] = {
        "Newchannel": (_state, ""),
        "Newstate": (_state, ""),
        "NewCallerid": (_state, ""),
        "Rename": (_rename, ""),
        "DialBegin": (_dial_begin, "Dest"),
        "DialEnd": (_dial_end, "Dest"),
        "BridgeEnter": (_bridge_enter, ""),
        "BridgeLeave": (_bridge_leave, ""),
        "Hold": (_hold, ""),
        "Unhold": (_hold, ""),
        "BlindTransfer": (_blind, "Transferer"),
        "AttendedTransfer": (_attended, "OrigTransferer"),
        "Pickup": (_pickup, ""),
        "QueueCallerJoin": (_queue, ""),
        "QueueCallerLeave": (_queue, ""),
        "QueueCallerAbandon": (_queue, ""),
        "ParkedCall": (_parking, "Parkee"),
        "ParkedCallSwap": (_parking, "Parkee"),
        "UnParkedCall": (_parking, "Parkee"),
        "ParkedCallTimeOut": (_parking, "Parkee"),
        "ParkedCallGiveUp": (_parking, "Parkee"),
        "ConfbridgeJoin": (_conference, ""),
        "ConfbridgeLeave": (_conference, ""),
        "UserEvent": (_said, ""),
        "HangupRequest": (_hangs_up, ""),
        "Hangup": (_hangup, ""),
    }


def _said(**values: str) -> dict[str, str]:
    """What an event says, without what it leaves open."""
    return {name: value for name, value in values.items() if value}
