"""Asterisk's own record of events (CEL), for what happened while nobody listened: the tracker reads it like events.

`CEL_COLUMNS` is what we render for Asterisk to write. Times are Asterisk's, in seconds with microseconds.
"""

import csv
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from cti.calls.model import Leg
from cti.calls.tracker import Tracker, event_time

# cel_custom.conf.j2 writes them in this order.
CEL_COLUMNS: Final = (
    *("eventtype", "eventtime", "channame", "uniqueid", "linkedid", "context"),
    *("exten", "appname", "peer", "eventextra", "callernum"),
)
# cdr_custom.conf.j2 likewise; cti.records reads them.
CDR_COLUMNS: Final = (
    *("start", "answer", "end", "duration", "billsec", "disposition", "channel", "dstchannel", "dcontext"),
    *("lastapp", "uniqueid", "linkedid", "sequence"),
)
_NAMES = {
    "CHAN_START": "Newchannel",
    "ANSWER": "Newstate",
    "BRIDGE_ENTER": "BridgeEnter",
    "BRIDGE_EXIT": "BridgeLeave",
    "CHAN_END": "Hangup",
}
_HEADERS = {
    "Channel": "channame",
    "Uniqueid": "uniqueid",
    "Linkedid": "linkedid",
    "Context": "context",
    "Exten": "exten",
    "CallerIDNum": "callernum",
    "Timestamp": "eventtime",
}
_EXTRA = {"BridgeUniqueid": "bridge_id", "BridgeTechnology": "bridge_technology"}


@dataclass(frozen=True, slots=True)
class CelEvent:
    """One row, looking like a manager event."""

    row: dict[str, str]

    @property
    def event(self) -> str:
        """The manager event that says the same; empty where none does."""
        return _NAMES.get(self.row["eventtype"], "")

    def get(self, name: str, default: str = "") -> str:
        """A header's value."""
        if name in _EXTRA:
            return _extra(self.row["eventextra"], _EXTRA[name]) or default
        if name == "ChannelStateDesc":
            return "Up" if self.row["eventtype"] == "ANSWER" else default
        return self.row.get(_HEADERS.get(name, ""), "") or default


def _extra(extra: str, name: str) -> str:
    try:
        return str(json.loads(extra).get(name, ""))
    except (ValueError, AttributeError, RecursionError):
        return ""


# A caller's number may hold line breaks, within quotes that Asterisk doubles: no forged row can begin like a real one.
_ROW = re.compile(r'\n(?="[A-Z_]+","\d+\.\d+",)')


def read(text: str, only: str = "") -> Iterator[CelEvent]:
    """The events in `text`; what is not a whole row is passed over (the first of a tail, one being written).

    `only`: of this type.
    """
    for row in _ROW.split(text):
        if only and not row.startswith(f'"{only}",'):
            continue
        try:
            values = next(csv.reader(row.rstrip("\n").splitlines(keepends=True)), [])
        except csv.Error:
            continue
        if len(values) == len(CEL_COLUMNS):
            yield CelEvent(dict(zip(CEL_COLUMNS, values, strict=True)))


def said_in(event: CelEvent) -> str:
    """What the dialplan says in a row of its own (`kikitori-told`); empty where it is somebody else's."""
    return _extra(event.row["eventextra"], "extra").removeprefix(_OURS) if _OURS in event.row["eventextra"] else ""


_OURS = "kikitori/"


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The legs of a channel's conversation, as they were from `at` on. `legs` is empty once the channel has ended."""

    at: datetime
    conversation: str
    linkedid: str
    legs: tuple[Leg, ...]


def moments(events: Iterable[CelEvent], uniqueid: str, tracker: Tracker) -> Iterator[Moment]:
    """How the conversation of channel `uniqueid` went, row by row; nothing where the channel's beginning is not there.

    Half a history would say of a talk that it was none.
    """
    known = None
    begun = False
    for event in events:
        at = event_time(event)
        if at is None:
            continue
        if event.row["uniqueid"] == uniqueid and not begun:
            if event.event != "Newchannel":
                return
            begun = True
        known = tracker.call_of(uniqueid) or known
        tracker.feed(event)
        call = tracker.call_of(uniqueid)
        if call is not None:
            yield Moment(at=at, conversation=str(call[0]), linkedid=call[1], legs=call[2])
        elif known is not None:
            yield Moment(at=at, conversation=str(known[0]), linkedid=known[1], legs=())
            return
