"""Legs read with the numbering plan: who is who, which channels are to be recorded, and what a recording is called.

Pure. `recorder.decide` decides; this says it in the words of calls.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from uuid import UUID, uuid5

from cti.calls.channel import phone_number
from cti.calls.model import Direction, Leg
from policies.model import Plan
from recorder.decide import Party, Rules, hooks, joined
from recorder.take import Order


@dataclass(slots=True)
class Seen:
    """What is remembered of a conversation until it ends.

    `recording`: the id of what is kept of it. After a merge that may be one which the other conversation began.
    `route`: where the dialplan sent it, as far as it said.
    """

    arrived: datetime | None = None
    answered: datetime | None = None
    number: str | None = None
    caller: str | None = None
    recording: str | None = None
    route: str | None = None

    @property
    def recorded(self) -> bool:
        """Whether a designated phone has talked in it."""
        return self.recording is not None

    def take_in(self, other: "Seen") -> None:
        """What was remembered of a conversation that goes on in this one."""
        times = [at for at in (self.answered, other.answered) if at is not None]
        self.answered = min(times, default=None)
        if self.number is None and other.number is not None:
            # Who called a number of ours is the caller, not the phone that was asked about him.
            self.number, self.caller = other.number, other.caller
        self.recording = self.recording or other.recording


_AWAY = frozenset({"closed", "emergency"})


def recording_of(conversation: UUID) -> str:
    """The id of what is kept of `conversation`: derived, so that a restarted recorder goes on with the same one."""
    return str(uuid5(conversation, "recording"))


class Reading:
    """Reads legs with one plan and one set of rules."""

    def __init__(self, plan: Plan, rules: Rules) -> None:
        """`plan` knows the PBX that the legs are of."""
        self.plan, self.rules = plan, rules

    def describe(self, seen: Seen, legs: Sequence[Leg]) -> None:
        """Note who began the call, and with which number."""
        for leg in legs:
            if leg.originator and not leg.hidden:
                number = self.plan.number_of(leg.dialled)
                seen.number = number.digits if number else None
                seen.caller = phone_number(leg.number)

    def wanted(self, legs: Sequence[Leg], seen: Seen) -> frozenset[str]:
        """The uniqueids of the channels to be recorded now."""
        # Outside the hours no designated telephone rings, and the emergency line is not recorded.
        away = seen.route in _AWAY
        parties = [self._party(leg, away=away) for leg in legs if not leg.hidden]
        return hooks(parties, self.rules, recorded=seen.recorded)

    def talking(self, legs: Sequence[Leg], uniqueid: str) -> bool:
        """Whether a designated phone is in the bridge of channel `uniqueid`."""
        return joined([self._party(leg) for leg in legs], uniqueid)

    def company(self, legs: Sequence[Leg], uniqueid: str) -> tuple[str, frozenset[str]] | None:
        """The bridge that channel `uniqueid` is in, and the channels that it talks to there; None where there are none.

        Through a Local channel it is not known to whom.
        """
        bridge = next((leg.bridge for leg in legs if leg.uniqueid == uniqueid), None)
        others = frozenset(leg.uniqueid for leg in legs if leg.bridge == bridge and leg.uniqueid != uniqueid)
        hidden = any(leg.hidden for leg in legs if leg.uniqueid in others)
        return (bridge, others) if bridge is not None and others and not hidden else None

    def _party(self, leg: Leg, *, away: bool = False) -> Party:
        return Party(
            uniqueid=leg.uniqueid,
            kind=self.plan.kind(leg.endpoint),
            originator=leg.originator,
            bridge=leg.bridge,
            bridged=leg.bridged,
            designated_number=not away and self._designated_number(leg),
        )

    def _designated_number(self, leg: Leg) -> bool:
        if leg.direction is not Direction.IN:
            return False
        # A call that was found on its way, with nobody to say what it dialled, is recorded as if it were designated:
        # nothing of it is kept unless a designated phone joins.
        number = self.plan.number_of(leg.dialled)
        return leg.late or (number is not None and number.designated)

    def agent(self, legs: Sequence[Leg], hooked: str) -> str | None:
        """The designated phone that talks to channel `hooked`."""
        bridge = next((leg.bridge for leg in legs if leg.uniqueid == hooked), None)
        return next((leg.endpoint for leg in legs if leg.designated and leg.bridge == bridge), None)

    def numbers(self, uniqueid: str, legs: Sequence[Leg], seen: Seen) -> dict[str, str | None]:
        """Which designated number the call belongs to, and who called whom."""
        hooked = next(leg for leg in legs if leg.uniqueid == uniqueid)
        number = self._designated(seen, legs)
        if hooked.direction is Direction.IN:
            return {"number": number, "caller": phone_number(hooked.number), "callee": seen.number}
        dialled = next((leg.dialled for leg in legs if leg.originator), None)
        callee = phone_number(dialled) or phone_number(hooked.number)
        return {"number": number, "caller": seen.caller, "callee": callee}

    def _designated(self, seen: Seen, legs: Sequence[Leg]) -> str | None:
        """The designated number that a conversation belongs to: the dialled one, else that of the phone (B-09)."""
        dialled = self.plan.number_of(seen.number)
        if dialled is not None and dialled.designated:
            return dialled.digits
        phones = (self.plan.number_behind(leg.endpoint) for leg in legs if leg.designated)
        return next((number.digits for number in phones if number is not None), None)

    def order(self, conversation: UUID, linkedid: str, leg: Leg, legs: Sequence[Leg], seen: Seen) -> Order:
        """What to record of `leg`, as far as it is known."""
        return Order(
            channel=leg.channel,
            uniqueid=leg.uniqueid,
            linkedid=linkedid,
            conversation=str(conversation),
            recording=recording_of(conversation),
            direction=leg.direction.value if leg.direction else None,
            **self.numbers(leg.uniqueid, legs, seen),
        )
