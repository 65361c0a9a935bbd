"""Events that somebody wrote into: Asterisk puts a caller's number into its events as it came, line breaks and all.

PJSIP decodes `%0d%0a` in the user part of From, and in that of a Contact that a called phone names instead of itself
(302): so a "number" can end an event early, add headers to it, or begin one of its own. It has 79 characters at most.
What Asterisk always writes is more: every event that calls are followed by has its right in the second line and
describes a channel in fourteen headers of one order:

    Channel, ChannelState, ChannelStateDesc, CallerIDNum, CallerIDName, ConnectedLineNum, ConnectedLineName,
    Language, AccountCode, Context, Exten, Priority, Uniqueid, Linkedid

so that one without its last header is not whole, what follows belongs to it until that header has come, what does not
stand in this order was written by somebody else, and so was an event that describes no channel. The first of two
headers of one name counts everywhere.
"""

import re

_ORDER = (
    *(b"ChannelState", b"ChannelStateDesc", b"CallerIDNum", b"CallerIDName", b"ConnectedLineNum"),
    *(b"ConnectedLineName", b"Language", b"AccountCode", b"Context", b"Exten", b"Priority", b"Uniqueid", b"Linkedid"),
)
# In an event of several channels, what stands before each name.
_PREFIXES = frozenset(
    (
        *(b"", b"Dest", b"Transferer", b"Transferee", b"OrigTransferer", b"SecondTransferer", b"DestTransferer"),
        *(b"TransferTarget", b"Target", b"Parkee", b"Parker", b"Retriever", b"LocalOne", b"LocalTwo"),
    )
)
# Events that describe a channel, of those that somebody here reads.
STATED = frozenset(
    (
        *(b"Newchannel", b"Newstate", b"NewCallerid", b"DialBegin", b"DialEnd", b"BridgeEnter", b"BridgeLeave"),
        *(b"Hold", b"Unhold", b"BlindTransfer", b"AttendedTransfer", b"Pickup", b"QueueCallerJoin", b"HangupRequest"),
        *(b"QueueCallerLeave", b"QueueCallerAbandon", b"ParkedCall", b"ParkedCallSwap", b"UnParkedCall", b"Hangup"),
        *(b"ParkedCallTimeOut", b"ParkedCallGiveUp", b"ConfbridgeJoin", b"ConfbridgeLeave", b"CoreShowChannel"),
        *(b"MixMonitorStart", b"MixMonitorStop", b"UserEvent"),
    )
)
_RIGHT = re.compile(rb"Event: (?:CoreShowChannel\r\nActionID: |\w+\r\nPrivilege: \w+,all(?:\r\n|\Z))")
# A beginning that does not fit into a number beside anything else.
_GENUINE = re.compile(rb"Event: \w+\r\nPrivilege: \w+,all\r\nTimestamp: \d{9,11}\.\d{6}\r\n")
# A state that nobody wrote into, after its prefix: tidy() of each event would cost five times as much.
_CLEAN = {
    prefix: re.compile(
        prefix
        + b"Channel:[^\r]*+"
        + b"".join(b"\r\n" + prefix + name + b":[^\r]*+" for name in _ORDER)
        + rb"(?=\r\n|\Z)"
    )
    for prefix in (b"", b"Dest")
}
# A whole event of Asterisk has under 4 KiB; what is longer is not waited for.
_LIMIT = 16 * 1024


def _name(block: bytes) -> bytes:
    """Of an event; empty for anything else."""
    end = block.find(b"\r\n")
    return block[7 : end if end >= 0 else None] if block.startswith(b"Event: ") else b""


def _describes(block: bytes) -> bool:
    """Whether it is an event that has to describe a channel. A UserEvent of somebody else may be of none."""
    name = _name(block)
    return name in STATED and (name != b"UserEvent" or b"\r\nUserEvent: Kikitori" in block)


def tidy(raw: bytes) -> tuple[bytes, bool]:
    """(`raw` without the lines that do not belong into it, whether it is whole).

    `raw` is an event that describes a channel.
    """
    kept: list[bytes] = []
    expected: list[bytes] = []
    described = False
    for line in raw.split(b"\r\n"):
        name = line.partition(b":")[0]
        if not expected:
            kept.append(line)
            if name.endswith(b"Channel") and name[:-7] in _PREFIXES:
                expected = [name[:-7] + header for header in _ORDER]
        elif name == expected[0]:
            kept.append(line)
            del expected[0]
            described = described or not expected
    return b"\r\n".join(kept), described and not expected


def _clean(block: bytes) -> bool:
    """Whether `tidy` would find nothing to mend in `block`; False also where it takes `tidy` to tell."""
    described = False
    place = block.find(b"Channel: ")
    while place >= 0:
        before = block.rfind(b"\r\n", 0, place)
        start = before + 2 if before >= 0 else 0
        prefix = block[start:place]
        if prefix in _PREFIXES:
            match = _CLEAN[prefix].match(block, start) if prefix in _CLEAN else None
            if match is None:
                return False
            described, place = True, match.end()
        else:
            place += 9
        place = block.find(b"Channel: ", place)
    return described


def strict(block: bytes) -> bool | None:
    """Whether this PBX writes events in the form above; None where `block` does not tell.

    Asterisk 18 and later do. Captures of older ones may be replayed all the same.
    """
    if not _describes(block):
        return None
    return bool(_RIGHT.match(block)) and tidy(block) == (block, True)


class Joiner:
    """Between the framer and everyone else: blocks in, whole and tidy events out. `tampered` counts what was mended."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.tampered = 0
        self._held = b""

    def feed(self, block: bytes) -> bytes | None:
        """The event that `block` is or completes; None while it is not whole, or is none."""
        if self._held:
            if not (_GENUINE.match(block) and _clean(block)):
                return self._continue(block)
            self._held = b""  # whatever that was, nothing more comes of it
        if not _describes(block):
            name = _name(block)
            if block.startswith((b"Event: ", b"Response: ", b"Asterisk Call Manager/")) and self._rightful(name, block):
                return block
            self.tampered += 1
            return None
        if not _RIGHT.match(block):
            self.tampered += 1
            return None
        return block if _clean(block) else self._mend(block)

    def _rightful(self, name: bytes, block: bytes) -> bool:
        # A channel's new name comes without its state.
        return name != b"Rename" or bool(_RIGHT.match(block))

    def _mend(self, block: bytes) -> bytes | None:
        clean, whole = tidy(block)
        if whole:
            self.tampered += clean != block
            return clean
        self.tampered += 1
        # One that does not even begin to describe a channel is none of Asterisk's.
        self._held = block if clean != block or re.search(rb"\n\w*Channel: ", block) else b""
        return None

    def _continue(self, block: bytes) -> bytes | None:
        joined = self._held + b"\r\n" + block
        clean, whole = tidy(joined)
        self._held = b"" if whole or len(joined) > _LIMIT else joined
        return clean if whole else None
