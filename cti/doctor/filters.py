"""What the `eventfilter` lines of manager.conf let through, tried on sample events. Pure.

Asterisk holds a regular expression against the whole event: where no filter includes, all that none excludes comes.
"""

import re
from collections.abc import Collection, Sequence

from cti.calls.tracker import Tracker
from cti.pbxconfig import NOISY_EVENTS

# Rights of which an event needs one: without it, no filter has to drop the event.
CLASSES = {
    "VarSet": "dialplan",
    "Newexten": "dialplan",
    "RTCPSent": "reporting",
    "RTCPReceived": "reporting",
    "AGIExecStart": "agi",
    "AGIExecEnd": "agi",
    "DTMFBegin": "dtmf",
    "DTMFEnd": "dtmf",
    "ContactStatus": "system",
    "PeerStatus": "system",
    "QueueMemberStatus": "agent",
    "TestEvent": "test",
}
# What calls are followed by, and what becomes of their recordings.
NEEDED = (*Tracker.HANDLERS, "MixMonitorStart", "MixMonitorStop", "FullyBooted", "Shutdown", "Reload")
_ADVANCED = re.compile(r"(name|action|method)\(([^()]*)\)")


class UnreadableFilterError(ValueError):
    """A filter that this program does not understand; its text is the message."""


class Filters:
    """The filters of one user."""

    def __init__(self, lines: Sequence[tuple[str, str]], read: Collection[str]) -> None:
        """`lines` as `Conf.filters` gives them; `read`: the user's rights. Raises UnreadableFilterError."""
        self._read = read
        self._include: list[re.Pattern[str]] = []
        self._exclude: list[re.Pattern[str]] = []
        for key, value in lines:
            (self._exclude if _excludes(key, value) else self._include).append(_pattern(key, value))

    def passes(self, event: str) -> bool:
        """Whether Asterisk would send `event`."""
        wanted = not self._include or any(pattern.search(event) for pattern in self._include)
        return wanted and not any(pattern.search(event) for pattern in self._exclude)

    def noise(self) -> list[str]:
        """Of the events that nobody here wants, those that come."""
        return [
            name
            for name in NOISY_EVENTS
            if (right := CLASSES.get(name, "call")) in self._read or "all" in self._read
            if self.passes(sample(name, right))
        ]

    def hidden(self) -> list[str]:
        """Of the events that are needed, those that do not come."""
        return [name for name in NEEDED if not self.passes(sample(name, "call"))]

    def hiding(self) -> list[str]:
        """Names of events that a caller can choose for a name, and be unseen."""
        return [name for name in NOISY_EVENTS if not self.passes(sample("Newchannel", "call", f"Event: {name}: x"))]


def sample(name: str, right: str, caller: str = "<unknown>") -> str:
    """An event as Asterisk holds it against a filter."""
    return (
        f"Event: {name}\r\nPrivilege: {right},all\r\nTimestamp: 1795301119.457270\r\nSystemName: pbx1\r\n"
        f"Channel: PJSIP/trunk-00000013\r\nChannelState: 4\r\nChannelStateDesc: Ring\r\nCallerIDNum: 0901234567\r\n"
        f"CallerIDName: {caller}\r\nUniqueid: pbx1-1795301119.31\r\nLinkedid: pbx1-1795301119.31\r\n\r\n"
    )


def _excludes(key: str, value: str) -> bool:
    return dict(_ADVANCED.findall(key)).get("action") == "exclude" if "(" in key else value.startswith("!")


def _pattern(key: str, value: str) -> re.Pattern[str]:
    """Asterisk 22 knows `eventfilter(name(X),action(exclude)) =` too: the rest is held against that event alone."""
    head = ""
    text = value.removeprefix("!")
    if "(" in key:
        parts = dict(_ADVANCED.findall(key))
        left = re.sub(r"[\s,]", "", _ADVANCED.sub("", key.removeprefix("eventfilter").strip()[1:-1]))
        if left or parts.get("method", "none" if not value else "regex") not in ("none", "regex"):
            raise UnreadableFilterError(f"{key} = {value}")
        name = parts.get("name")
        head = rf"\AEvent: {re.escape(name)}\r\n" + (r"[\s\S]*" if value else "") if name else ""
        text = value
    try:
        return re.compile(head + (f"(?:{text})" if text else ""))
    except re.error as problem:
        raise UnreadableFilterError(f"{key} = {value}") from problem
