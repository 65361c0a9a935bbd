"""Events that somebody wrote into: Asterisk puts a caller's number into its events as it came, line breaks and all.

PJSIP decodes `%0d%0a` in the user part of From, so a caller's "number" can end an event early, add headers to it, or
begin one of its own. Every event about a channel carries the channel's state in a fixed order of headers:

    ...ChannelStateDesc, CallerIDNum, CallerIDName, ConnectedLineNum, ConnectedLineName,
    Language, AccountCode, Context, Exten, Priority, Uniqueid, Linkedid

so that an event without its last header is not whole, what follows belongs to it until that header has come, and what
does not stand in this order was written by somebody else. A number has 79 characters at most; the names between it and
`Uniqueid`, which would have to be forged in order, have more.
"""

import re

_STATE = b"ChannelStateDesc"
_ORDER = (
    *(b"CallerIDNum", b"CallerIDName", b"ConnectedLineNum", b"ConnectedLineName", b"Language", b"AccountCode"),
    *(b"Context", b"Exten", b"Priority", b"Uniqueid", b"Linkedid"),
)
# A state that nobody wrote into, after its prefix: tidy() of each event would cost five times as much.
_CLEAN = {
    prefix: re.compile(
        _STATE + b":[^\r]*+" + b"".join(b"\r\n" + prefix + name + b":[^\r]*+" for name in _ORDER) + rb"(?=\r\n|\Z)"
    )
    for prefix in (b"", b"Dest")
}
# A whole event of Asterisk has under 4 KiB; what is longer is not waited for.
_LIMIT = 64 * 1024


def tidy(raw: bytes) -> tuple[bytes, bool]:
    """(`raw` without the lines that do not belong into it, whether it is whole)."""
    kept: list[bytes] = []
    expected: list[bytes] = []
    for line in raw.split(b"\r\n"):
        name = line.partition(b":")[0]
        if not expected:
            kept.append(line)
            if name.endswith(_STATE):
                prefix = name[: -len(_STATE)]
                expected = [prefix + header for header in _ORDER]
        elif name == expected[0]:
            kept.append(line)
            del expected[0]
    return b"\r\n".join(kept), not expected


def _clean(block: bytes) -> bool:
    """Whether `tidy` would find nothing to mend in `block`; False also where it takes `tidy` to tell."""
    place = block.find(_STATE)
    while place >= 0:
        pattern = _CLEAN.get(block[block.rfind(b"\r\n", 0, place) + 2 : place])
        match = pattern.match(block, place) if pattern else None
        if match is None:
            return False
        place = block.find(_STATE, match.end())
    return True


def strict(block: bytes) -> bool | None:
    """Whether this PBX writes a channel's state in the order above; None where `block` does not tell.

    Asterisk 18 and later do. Captures of older ones may be replayed all the same.
    """
    return tidy(block) == (block, True) if _STATE in block else None


class Joiner:
    """Between the framer and everyone else: blocks in, whole and tidy events out. `tampered` counts what was mended."""

    def __init__(self) -> None:
        """Nothing is held."""
        self.tampered = 0
        self._held: list[bytes] = []

    def feed(self, block: bytes) -> bytes | None:
        """The event that `block` is or completes; None while it is not whole, or is none."""
        if self._held:
            return self._continue(block)
        if not block.startswith((b"Event: ", b"Response: ", b"Asterisk Call Manager/")):
            self.tampered += 1
            return None
        if _clean(block):
            return block
        clean, whole = tidy(block)
        if whole:
            self.tampered += clean != block
            return clean
        self.tampered += 1
        self._held = [block]
        return None

    def _continue(self, block: bytes) -> bytes | None:
        joined = b"\r\n".join((*self._held, block))
        clean, whole = tidy(joined)
        if whole:
            self._held = []
            return clean
        if len(joined) > _LIMIT:
            self._held = []
            return None
        self._held.append(block)
        return None
