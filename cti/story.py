"""What happened to a channel while nobody listened, from Asterisk's own record of events (decision 0004). Pure."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

from cti.calls.cel import Moment
from cti.calls.tracker import Tracker
from cti.reading import Reading, Seen
from recorder.take import History, Order, Span


class Witness(Protocol):
    """Asterisk's own record of events."""

    def refresh(self) -> None:
        """Read what is new in it."""

    def moments(self, uniqueid: str, tracker: Tracker) -> Iterable[Moment]:
        """How the conversation of a channel went; nothing where the record does not know it."""


@dataclass(slots=True)
class Story:
    """Collects the history of one channel, moment by moment."""

    order: Order | None = None
    began: datetime | None = None
    ended: datetime | None = None
    spans: list[Span] = field(default_factory=list)
    talks: list[Span] = field(default_factory=list)

    def go_on(self, at: datetime, *, bridged: bool, talking: bool) -> None:
        """The channel is so from `at` on."""
        self.began = self.began or at
        for spans, now in ((self.spans, bridged), (self.talks, talking)):
            on = bool(spans) and spans[-1][1] is None
            if now and not on:
                spans.append((at, None))
            elif on and not now:
                spans[-1] = (spans[-1][0], at)

    def end(self, at: datetime) -> None:
        """The channel is gone."""
        self.go_on(at, bridged=False, talking=False)
        self.ended = at

    def history(self) -> History | None:
        """What was collected; None where there was nothing."""
        if self.order is None:
            return None
        return History(
            order=self.order, began=self.began, spans=tuple(self.spans), talks=tuple(self.talks), ended=self.ended
        )


def told(witness: Witness, uniqueid: str, tracker: Tracker, reading: Reading) -> History | None:
    """What `witness` says of channel `uniqueid`; None where it says nothing. `tracker` is a fresh one."""
    story = Story()
    seen = Seen()
    for moment in witness.moments(uniqueid, tracker):
        if not moment.legs:
            story.end(moment.at)
            break
        leg = next(leg for leg in moment.legs if leg.uniqueid == uniqueid)
        if seen.arrived is None:
            seen.arrived = moment.at
            reading.describe(seen, moment.legs)
        talking = reading.talking(moment.legs, uniqueid)
        story.go_on(moment.at, bridged=leg.bridge is not None, talking=talking)
        order = reading.order(UUID(moment.conversation), moment.linkedid, leg, moment.legs, seen)
        agent = reading.agent(moment.legs, uniqueid) if talking else None
        story.order = replace(order, agent=agent or (story.order.agent if story.order else None))
    return story.history()
