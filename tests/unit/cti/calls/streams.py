"""Manager events as Asterisk 22.10.1 writes them, from a tiny PBX that is told what happens.

pbx = Script()
caller = pbx.channel("PJSIP/trunk-00000001", number="0901234567", exten="0664581132")
phone = pbx.channel("PJSIP/2001-00000002", number="2001", of=caller)
pbx.ring(phone); pbx.answer(phone, caller); pbx.bridge("b1", phone, caller); pbx.hangup(phone, caller)
"""

from dataclasses import dataclass, field

from cti.ami.message import Message

START = 1_764_547_200  # 2025-12-01T00:00:00Z
STATES = {"Down": 0, "Ring": 4, "Ringing": 5, "Up": 6}


@dataclass(slots=True)
class Chan:
    """A channel of the script."""

    name: str
    uniqueid: str
    linkedid: str
    number: str
    caller_name: str
    exten: str
    context: str
    state: str
    bridge: str = ""


@dataclass(slots=True)
class Script:
    """Writes events; each is a millisecond after the one before it."""

    timed: bool = True
    events: list[Message] = field(default_factory=list)
    alive: list[Chan] = field(default_factory=list)
    serial: int = 0
    clock: float = START

    def _write(self, name: str, *headers: tuple[str, object]) -> Message:
        self.clock += 0.001
        first: list[tuple[str, object]] = [("Event", name), ("Privilege", "call,all")]
        if self.timed:
            first.append(("Timestamp", f"{self.clock:.6f}"))
        lines = [f"{key}: {value}" for key, value in (*first, ("SystemName", "pbx1"), *headers)]
        message = Message("\r\n".join(lines).encode())
        self.events.append(message)
        return message

    def _snapshot(self, chan: Chan) -> tuple[tuple[str, object], ...]:
        return (
            ("Channel", chan.name),
            ("ChannelState", STATES[chan.state]),
            ("ChannelStateDesc", chan.state),
            ("CallerIDNum", chan.number or "<unknown>"),
            ("CallerIDName", chan.caller_name or "<unknown>"),
            ("ConnectedLineNum", "<unknown>"),
            ("ConnectedLineName", "<unknown>"),
            ("Language", "en"),
            ("AccountCode", ""),
            ("Context", chan.context),
            ("Exten", chan.exten),
            ("Priority", 1),
            ("Uniqueid", chan.uniqueid),
            ("Linkedid", chan.linkedid),
        )

    def channel(
        self,
        name: str,
        *,
        number: str = "",
        caller_name: str = "",
        exten: str = "s",
        of: Chan | None = None,
    ) -> Chan:
        """A new channel; `of`: the channel whose call it joins, None where it begins one."""
        uniqueid = f"pbx1-{START}.{self.serial}"
        self.serial += 1
        chan = Chan(
            name=name,
            uniqueid=uniqueid,
            linkedid=of.linkedid if of else uniqueid,
            number=number,
            caller_name=caller_name,
            exten=exten,
            context="from-trunk" if "trunk" in name else "phones",
            state="Down" if of else "Ring",
        )
        self.alive.append(chan)
        self._write("Newchannel", *self._snapshot(chan))
        return chan

    def _state(self, chan: Chan, state: str) -> None:
        chan.state = state
        self._write("Newstate", *self._snapshot(chan))

    def ring(self, chan: Chan) -> None:
        self._state(chan, "Ringing")

    def answer(self, chan: Chan, caller: Chan | None = None) -> None:
        """`chan` picks up; where `caller` dialled it, its own channel goes up too."""
        self._state(chan, "Up")
        if caller is not None:
            self.dial_end(chan, caller, "ANSWER")
            if caller.state != "Up":
                self._state(caller, "Up")

    def dial_end(self, chan: Chan, caller: Chan, status: str) -> None:
        dest = tuple((f"Dest{key}", value) for key, value in self._snapshot(chan))
        self._write("DialEnd", *self._snapshot(caller), *dest, ("DialStatus", status))

    def dial_begin(self, chan: Chan, caller: Chan | None) -> None:
        """`caller` None: the PBX itself calls."""
        dest = tuple((f"Dest{key}", value) for key, value in self._snapshot(chan))
        self._write("DialBegin", *(self._snapshot(caller) if caller else ()), *dest, ("DialString", "x"))

    def about(self, event: str, chan: Chan, *headers: tuple[str, object]) -> None:
        """Any event of one channel."""
        self._write(event, *self._snapshot(chan), *headers)

    def parties(self, event: str, *headers: tuple[str, object], **chans: Chan) -> None:
        """An event of several channels: `Transferer=phone` writes TransfererChannel, TransfererUniqueid and so on."""
        parts = [(f"{prefix}{key}", value) for prefix, chan in chans.items() for key, value in self._snapshot(chan)]
        self._write(event, ("Result", "Success"), *parts, *headers)

    def bridge(self, bridge: str, *chans: Chan, technology: str = "simple_bridge") -> None:
        for chan in chans:
            chan.bridge = bridge
            about = (("BridgeUniqueid", bridge), ("BridgeType", "basic"), ("BridgeTechnology", technology))
            self._write("BridgeEnter", *about, *self._snapshot(chan))

    def unbridge(self, *chans: Chan) -> None:
        for chan in chans:
            self._write("BridgeLeave", ("BridgeUniqueid", chan.bridge), *self._snapshot(chan))
            chan.bridge = ""

    def hold(self, chan: Chan) -> None:
        self._write("Hold", *self._snapshot(chan), ("MusicClass", ""))

    def resume(self, chan: Chan) -> None:
        self._write("Unhold", *self._snapshot(chan))

    def rename(self, chan: Chan, name: str) -> None:
        self._write("Rename", ("Channel", chan.name), ("Newname", name), ("Uniqueid", chan.uniqueid))
        chan.name = name

    def hangup(self, *chans: Chan, cause: int = 16) -> None:
        for chan in chans:
            if chan.bridge:
                self.unbridge(chan)
            self._write("Hangup", *self._snapshot(chan), ("Cause", cause), ("Cause-txt", "x"))
            self.alive.remove(chan)

    def listed(self) -> list[Message]:
        """What CoreShowChannels says now. These events carry no Timestamp."""
        return [
            Message(
                "\r\n".join(
                    f"{key}: {value}"
                    for key, value in (
                        ("Event", "CoreShowChannel"),
                        *self._snapshot(chan),
                        ("Application", "AppDial"),
                        ("BridgeId", chan.bridge),
                    )
                ).encode()
            )
            for chan in self.alive
        ]


@dataclass(slots=True)
class Numbers:
    """Names for channels: `PJSIP/2001-00000001`."""

    serial: int = 0

    def name(self, endpoint: str) -> str:
        self.serial += 1
        return f"PJSIP/{endpoint}-{self.serial:08x}"


def inbound(pbx: Script, names: Numbers, phones: tuple[str, ...] = ("2001",), to: str = "0664581132") -> list[Chan]:
    """A caller from outside and the ringing phones: [caller, phone, ...]."""
    caller = pbx.channel(names.name("trunk"), number="0901234567", caller_name="山田太郎", exten=to)
    ringing = [pbx.channel(names.name(phone), number=phone, of=caller) for phone in phones]
    for phone in ringing:
        pbx.ring(phone)
    return [caller, *ringing]


def talk(pbx: Script, caller: Chan, phone: Chan, others: tuple[Chan, ...] = (), bridge: str = "bridge-1") -> None:
    """`phone` answers `caller`; `others` stop ringing."""
    pbx.answer(phone, caller)
    for other in others:
        pbx.hangup(other, cause=26)
    pbx.bridge(bridge, phone, caller)
