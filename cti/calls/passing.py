"""Who was passed on, not answered, or called back, by Asterisk's own record of events (CEL). Pure.

Row by row: what has become of each caller is known from the row on which it is. What is not known yet is kept between
two readings (`kept`, `Passing.read`): a process that dies in between tells nothing twice, and leaves nothing out.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from cti.calls.board import born
from cti.calls.callback import called_for
from cti.calls.cel import CelEvent, said_in
from cti.calls.said import Said, said
from cti.calls.tracker import event_time

TRANSFER: Final = "transfer"
OUTCOME: Final = "outcome"
ANSWERED: Final = "answered"
RETURNED: Final = "returned"
"""Nobody took the caller to whom they were put through, and the centre has them again."""
MISSED: Final = "missed"
REACHED: Final = "reached"
CALLED_BACK: Final = "called-back"
FORMS: Final[Mapping[str, tuple[str, ...]]] = {
    TRANSFER: ("kind", "by", "to", "party", "number", "leg", "section", "how", "why", "category"),
    OUTCOME: ("outcome", "leg"),
    MISSED: ("number", "from", "why", "seconds"),
    REACHED: ("number", "from"),
    CALLED_BACK: ("outcome", "seconds"),
}
"""What each says, in the order in which it is shown."""
LONGEST_ID: Final = 64
"""Characters of a channel's id. Asterisk's have some twenty, with the name of the PBX."""
RANG: Final = 15
"""Seconds that a customer's telephone rings before hanging up means that nobody answered."""
LONGEST: Final = timedelta(days=1)
"""A channel that is older, and of whose end nothing was written, has ended with Asterisk."""

_NUMBER = re.compile(r"[0-9+*#]{1,32}")
_CAUSES: Final = {"17": "busy", "21": "rejected"}
_DIALLED: Final = {
    "BUSY": "busy", "CANCEL": "cancelled", "": "cancelled", "CONGESTION": "failed", "CHANUNAVAIL": "failed",
    "INVALIDARGS": "failed",
}  # fmt: skip
_ONWARD: Final = "*8"
"""Begins what puts a caller through to a 所管課 (`cti.routing.onward`): to which, the dialplan says."""
_MENU: Final = "menu"
_WHERE: Final = ("section", "how", "why", "category")
_BACK: Final[Mapping[str, str]] = {
    "closed": "closed", "NOANSWER": "no-answer", "BUSY": "busy", "CANCEL": "no-answer",
}  # fmt: skip
"""Why nobody took them, as the dialplan says."""
_NOT_THERE: Final = frozenset({"16", "18", "19", "31", "127", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Passed:
    """Something that happened to a caller, on their channel. `key`: tells it from all others, however often it is read.

    `leg`, among the values: the channel that passed them on.
    """

    key: str
    uniqueid: str
    linkedid: str
    at: datetime
    what: str
    values: Mapping[str, str]


@dataclass(slots=True)
class _Channel:
    """One that is there: its number, what it dialled, and its endpoint."""

    number: str
    dialled: str
    endpoint: str


@dataclass(slots=True)
class _Pending:
    """A caller who was passed on, and whom nobody has answered yet: by which channel, of which call.

    `back`: why they came back to the centre. `values`: what is known of one by half: the row of the transfer, without
    what the dialplan says of where they go, or that (`leg` is then the caller's own channel) without the transfer.
    """

    leg: str
    linkedid: str
    back: str = ""
    values: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class _Waiting:
    """A caller whom the centre has not answered yet."""

    dialled: str
    since: float


@dataclass(slots=True)
class _Calling:
    """A telephone of ours from which a customer is called: when somebody picked it up, and when they talked."""

    picked_up: float | None = None
    joined: float | None = None


@dataclass(slots=True)
class Passing:
    """What is known between two rows."""

    channels: dict[str, _Channel] = field(default_factory=dict)
    pending: dict[str, _Pending] = field(default_factory=dict)
    waiting: dict[str, _Waiting] = field(default_factory=dict)
    calling: dict[str, _Calling] = field(default_factory=dict)

    def kept(self) -> dict[str, Any]:
        """As JSON holds it."""
        return asdict(self)

    @classmethod
    def read(cls, kept: Any) -> "Passing":
        """From `kept`; empty where it is not that."""
        try:
            return cls(
                {str(name): _Channel(**one) for name, one in kept["channels"].items()},
                {str(name): _Pending(**one) for name, one in kept["pending"].items()},
                {
                    str(name): _Waiting(str(one["dialled"]), float(one["since"]))
                    for name, one in kept["waiting"].items()
                },
                _calling(kept.get("calling", {})),  # not in older ones
            )
        except (TypeError, ValueError, KeyError, AttributeError):
            return cls()

    def feed(self, event: CelEvent) -> Iterator[Passed]:
        """What one row says."""
        at, row = event_time(event), event.row
        if at is None or len(row["uniqueid"]) > LONGEST_ID:
            return
        match row["eventtype"]:
            case "CHAN_START":
                yield from self._forget(row, at)
                self.channels[row["uniqueid"]] = _Channel(
                    _number(row["callernum"]), _number(row["exten"]), _endpoint(row["channame"])
                )
                if called_for(row["uniqueid"]):
                    self.calling[row["uniqueid"]] = _Calling()
            case "ANSWER":
                if (calling := self.calling.get(row["uniqueid"])) is not None:
                    calling.picked_up = at.timestamp()
            case "KIKITORI":
                yield from self._said(said(said_in(event)), row, at)
            case "BLINDTRANSFER" | "ATTENDEDTRANSFER" as kind:
                yield from self._transferred(kind, row, at)
            case "BRIDGE_ENTER":
                yield from self._reached(row, at)
                if (calling := self.calling.get(row["uniqueid"])) is not None and calling.joined is None:
                    calling.joined = at.timestamp()
                yield from self._known(row, at, ANSWERED)
            case "HANGUP":
                why = _why(row)
                yield from self._known(row, at, why)
                yield from self._missed(row, at, why)
                yield from self._called_back(row, at)
            case "CHAN_END":
                self.channels.pop(row["uniqueid"], None)

    def _said(self, step: Said | None, row: Mapping[str, str], at: datetime) -> Iterator[Passed]:
        if step is None:
            return
        uniqueid, values, pending = row["uniqueid"], step.values, self.pending.get(row["uniqueid"])
        match step.what:
            case "route":
                if pending is not None and pending.back:
                    yield from self._known(row, at, ANSWERED)  # from here on they are a caller as any other
                if values.get("route") in ("centre", "unsure"):
                    self.waiting[uniqueid] = _Waiting(_number(values.get("number", "")), at.timestamp())
                else:  # the menu or the emergency line sees to them (cti.intake)
                    self.waiting.pop(uniqueid, None)
            case "pass":
                self.waiting.pop(uniqueid, None)
                yield from self._put_through(values, row, at)
            case "back" if pending is not None:
                pending.back = _BACK.get(values.get("status", ""), "failed")

    def _put_through(self, values: Mapping[str, str], row: Mapping[str, str], at: datetime) -> Iterator[Passed]:
        """To a 所管課, by an operator's `*8`, or by what the caller pressed."""
        own, menu = row["uniqueid"], values.get("via") == _MENU
        before, channel = self.pending.get(own), self.channels.get(own)
        where = {name: values.get(name, "") for name in _WHERE} | {"to": _number(values.get("phone", ""))}
        if not menu and before is not None and before.values and before.leg != own:
            yield from self._goes(before, row, at, where)
            return
        where |= {
            "leg": own, "kind": _MENU if menu else "blind",
            "party": channel.endpoint if channel else "", "number": channel.number if channel else "",
        }  # fmt: skip
        pending = self.pending[own] = _Pending(own, row["linkedid"], values=where)
        if menu:
            yield from self._goes(pending, row, at, where)

    def _goes(
        self, pending: _Pending, row: Mapping[str, str], at: datetime, where: Mapping[str, str]
    ) -> Iterator[Passed]:
        """Of the caller of `row` all is known."""
        of = dict(row) | {"linkedid": pending.linkedid}
        yield self._passed(of, at, TRANSFER, {**pending.values, **where})
        self.pending[row["uniqueid"]] = _Pending(pending.leg, pending.linkedid, pending.back)

    def _transferred(self, kind: str, row: Mapping[str, str], at: datetime) -> Iterator[Passed]:
        extra = _extra(row["eventextra"])
        who = extra.get("transferee_channel_uniqueid", "")
        who = who if len(who) <= LONGEST_ID else ""
        party, by = self.channels.get(who), self.channels.get(row["uniqueid"])
        other = self.channels.get(extra.get("channel2_uniqueid", ""))
        values = {
            "leg": row["uniqueid"],
            "kind": "blind" if kind == "BLINDTRANSFER" else "attended" if "bridge2_id" in extra else "blonde",
            "by": by.endpoint if by else _endpoint(row["channame"]),
            "to": _number(extra.get("extension", "")) or (other.dialled if other else ""),
            "party": party.endpoint if party else _endpoint(extra.get("transferee_channel_name", "")),
            "number": party.number if party else "",
        }
        of = dict(row) | ({"uniqueid": who} if who else {})
        if who and values["kind"] == "blind" and values["to"].startswith(_ONWARD):
            said, pending = self.pending.get(who), _Pending(row["uniqueid"], row["linkedid"], values=values)
            self.pending[who] = pending
            if said is not None and said.values and said.leg == who:  # the dialplan was faster
                pending.back = said.back
                yield from self._goes(pending, of, at, {name: said.values[name] for name in (*_WHERE, "to")})
            return
        yield self._passed(of, at, TRANSFER, values)
        if values["kind"] == "attended":  # they talked already to whom the caller is given
            yield self._passed(of, at, OUTCOME, {"leg": row["uniqueid"], "outcome": ANSWERED})
        elif who:
            self.pending[who] = _Pending(row["uniqueid"], row["linkedid"])

    def _known(self, row: Mapping[str, str], at: datetime, outcome: str) -> Iterator[Passed]:
        """What has become of a transfer."""
        if (pending := self.pending.pop(row["uniqueid"], None)) is not None:
            of = dict(row) | {"linkedid": pending.linkedid}
            if pending.values:  # gone before the dialplan could say where to
                yield self._passed(of, at, TRANSFER, pending.values)
            if pending.back:
                outcome = RETURNED if outcome == ANSWERED else pending.back
            yield self._passed(of, at, OUTCOME, {"leg": pending.leg, "outcome": outcome})

    def _missed(self, row: Mapping[str, str], at: datetime, why: str) -> Iterator[Passed]:
        if (waiting := self.waiting.pop(row["uniqueid"], None)) is None:
            return
        channel = self.channels.get(row["uniqueid"])
        seconds = max(0, round(at.timestamp() - waiting.since))
        values = {"number": waiting.dialled, "from": channel.number if channel else "", "why": why}
        yield self._passed(row, at, MISSED, values | {"seconds": str(seconds)})

    def _reached(self, row: Mapping[str, str], at: datetime) -> Iterator[Passed]:
        """The centre has answered; of whom, only a number can tell."""
        waiting, channel = self.waiting.pop(row["uniqueid"], None), self.channels.get(row["uniqueid"])
        if waiting is not None and channel is not None and channel.number:
            yield self._passed(row, at, REACHED, {"number": waiting.dialled, "from": channel.number})

    def _called_back(self, row: Mapping[str, str], at: datetime) -> Iterator[Passed]:
        if (calling := self.calling.pop(row["uniqueid"], None)) is None:
            return
        since = calling.joined or calling.picked_up
        seconds = max(0, round(at.timestamp() - since)) if since is not None else 0
        extra = _extra(row["eventextra"])
        # NOANSWER is said of any call that rang, whatever ended it.
        outcome = _DIALLED.get(extra.get("dialstatus", "")) or _cause(extra)
        if calling.joined is not None:
            outcome = ANSWERED
        elif calling.picked_up is None:
            outcome = "not-picked-up"
        elif outcome == "cancelled" and seconds >= RANG:
            outcome = "no-answer"  # whoever called has waited long enough
        yield self._passed(row, at, CALLED_BACK, {"outcome": outcome, "seconds": str(seconds)})

    @staticmethod
    def _passed(row: Mapping[str, str], at: datetime, what: str, values: Mapping[str, str]) -> Passed:
        return Passed(
            key=f"{row['uniqueid']}/{row['eventtime']}/{what}", uniqueid=row["uniqueid"], linkedid=row["linkedid"],
            at=at, what=what, values={name: value for name, value in values.items() if value},
        )  # fmt: skip

    def _forget(self, row: Mapping[str, str], now: datetime) -> Iterator[Passed]:
        """What is older than any call has ended with Asterisk: whoever was put through then is still owed something."""
        for uniqueid in [uniqueid for uniqueid in self.pending if _old(uniqueid, now)]:
            yield from self._known(dict(row) | {"uniqueid": uniqueid}, now, "failed")
        for known in (self.channels, self.pending, self.waiting, self.calling):
            for uniqueid in [uniqueid for uniqueid in known if _old(uniqueid, now)]:
                del known[uniqueid]


def _calling(kept: Any) -> dict[str, _Calling]:
    """What is not understood takes nothing else with it."""
    try:
        return {str(name): _Calling(**one) for name, one in kept.items()}
    except (TypeError, AttributeError):
        return {}


def _old(uniqueid: str, now: datetime) -> bool:
    birth = born(uniqueid)
    return birth is None or now.timestamp() - birth[0] > LONGEST.total_seconds()


def _why(row: Mapping[str, str]) -> str:
    """Why a caller was not answered: gave up, or how the PBX says that nobody did."""
    extra = _extra(row["eventextra"])
    if extra.get("hangupsource", "") == row["channame"]:
        return "cancelled"
    return _cause(extra)


def _cause(extra: Mapping[str, str]) -> str:
    cause = extra.get("hangupcause", "")
    return _CAUSES.get(cause, "no-answer" if cause in _NOT_THERE else "failed")


def _extra(text: str) -> dict[str, str]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return {str(name): str(value) for name, value in found.items()} if isinstance(found, dict) else {}


def _number(text: str) -> str:
    return text if _NUMBER.fullmatch(text) else ""


def _endpoint(channel: str) -> str:
    """`PJSIP/2201-0000000b` -> `2201`"""
    name = channel.partition("/")[2].rpartition("-")[0]
    return name if re.fullmatch(r"[A-Za-z0-9_.-]{1,64}", name) else ""
