"""A manager interface that answers the doctor as Asterisk 22.10.1 does (measured)."""

from collections.abc import Mapping

from cti.ami.message import Message
from tests.unit.cti.ami.fake import FakeAmi, Peer
from tests.unit.cti.doctor.good import DECIDED, FILTER

NOW = 1_795_301_119.5
NOTHING: frozenset[str] = frozenset()
CONF = {
    "general": ["enabled=yes", "timestampevents=yes"],
    "kikitori": [
        "secret=not-to-be-kept", "read=system,call,agent,user", "write=system,call,originate", f"eventfilter={FILTER}",
    ],
}  # fmt: skip
COMMANDS = (
    "MixMonitor: Record a call (and more).  (Priv: system,all)",
    "ModuleCheck: Check if module is loaded.  (Priv: system,all)",
    "Originate: Originate a call.  (Priv: originate,all)",
    "Ping: Keepalive command.  (Priv: <none>)",
    "Redirect: Redirect (transfer) a call.  (Priv: call,all)",
    "Status: List channel status.  (Priv: system,call,reporting,all)",
)


class Talking(FakeAmi):
    """A server that leaves pings to the PBX too."""

    async def _take(self, peer: Peer, action: Message) -> None:
        if action.get("Action") == "Ping" and self.answer is not None:
            self.answer(peer, action)
        else:
            await super()._take(peer, action)


class Pbx:
    """`now` is its clock; `refuses` are actions that our user may not run; `events`: what each action provokes."""

    def __init__(
        self, *, now: float = NOW, refuses: frozenset[str] = NOTHING, absent: frozenset[str] = NOTHING,
        stamped: bool = True, events: Mapping[str, str] | None = None,
    ) -> None:  # fmt: skip
        self.now, self.refuses, self.absent, self.stamped = now, refuses, absent, stamped
        self.events = events or {}

    def __call__(self, peer: Peer, action: Message) -> None:
        name = action.get("Action")
        if name in self.refuses:
            peer.reply(action, "Message: Permission denied", response="Error")
            return
        getattr(self, name.lower())(peer, action)
        if event := self.events.get(name):
            peer.send(f"Event: {event}", "Channel: none")

    def coresettings(self, peer: Peer, action: Message) -> None:
        peer.send("Event: FullyBooted", "Privilege: system,all", "Uptime: 600")
        peer.reply(action, "AsteriskVersion: 22.10.1", "SystemName: pbx1")

    def corestatus(self, peer: Peer, action: Message) -> None:
        peer.reply(action, "CoreCurrentCalls: 0", "CoreProcessedCalls: 3")

    def ping(self, peer: Peer, action: Message) -> None:
        peer.reply(action, "Ping: Pong", f"Timestamp: {self.now:.6f}")

    def listcommands(self, peer: Peer, action: Message) -> None:
        peer.reply(action, *COMMANDS)

    def modulecheck(self, peer: Peer, action: Message) -> None:
        if action.get("Module") in self.absent:
            peer.reply(action, "Message: Module not loaded", response="Error")
        else:
            peer.reply(action, "Version: ")

    def getconfig(self, peer: Peer, action: Message) -> None:
        assert action.get("Filename") == "manager.conf"
        lines = CONF[action.get("Category")]
        numbered = [f"Line-000000-{number:06}: {line}" for number, line in enumerate(lines)]
        peer.reply(action, f"Category-000000: {action.get('Category')}", *numbered)

    def pjsipshowendpoint(self, peer: Peer, action: Message) -> None:
        name, told = action.get("Endpoint"), f"ActionID: {action.get('ActionID')}"
        if name in self.absent:
            peer.reply(action, f"Message: Unable to retrieve endpoint {name}", response="Error")
            return
        peer.reply(action, "EventList: start")
        peer.send("Event: EndpointDetail", told, f"ObjectName: {name}", "DirectMedia: false", "Allow: (ulaw|alaw)")
        peer.send("Event: EndpointDetailComplete", told, "EventList: Complete")

    def getvar(self, peer: Peer, action: Message) -> None:
        peer.reply(action, f"Variable: {action.get('Variable')}", f"Value: {DECIDED.fingerprint()}")

    def setvar(self, peer: Peer, action: Message) -> None:
        assert not action.get("Channel"), "nobody's channel is touched"
        peer.reply(action)

    def reload(self, peer: Peer, action: Message) -> None:
        assert action.get("Module") == "kikitori-doctor", "nothing is reloaded"
        peer.reply(action, "Message: No such module", response="Error")
        time = [f"Timestamp: {self.now:.6f}"] if self.stamped else []
        peer.send("Event: Reload", "Privilege: system,all", *time, "Module: kikitori-doctor", "Status: 2")
