"""What is masked in a block of the manager stream. Pure.

Always: secrets. The values of headers and variables whose names say so, digits that were typed, what the settings know.

With `numbers`: telephone numbers and names. Not "where a number may stand" but "everywhere, except where the digits are
Asterisk's own": a caller writes into more headers than a list would name, and may end a line (cti.ami.hostile).

    stays     the policies' numbers and phones, numbers of three digits (110, 117), time stamps, unique ids, UUIDs,
              addresses with their ports, the running number of a channel's name, counts and durations
    changed   every other run of four digits or more, and numbers written with hyphens, dots, blanks or brackets, for a
              pseudonym (cti.capture.pseudonym); callers' names, for `name-...`
"""

import re
from collections.abc import Collection
from urllib.parse import quote_from_bytes

from cti.capture.names import Names
from cti.capture.number import numbers
from cti.capture.oldest import put
from cti.capture.pseudonym import Pseudonyms
from cti.capture.secret import DATA, STARS, Secrets

_HEADER = re.compile(rb"([A-Za-z][\w-]*(?:\([^)\r\n]*\))?)[ ]*:[ ]?")

_COUNT = re.compile(rb"(?:0|[1-9][0-9]{0,6})")
_COUNTS = frozenset({
    b"uptime", b"lastreload", b"duration", b"billableseconds", b"holdtime", b"talktime", b"ringtime", b"listitems",
    b"seconds", b"channelstate", b"priority", b"cause", b"count", b"position", b"wait", b"bridgenumchannels",
})  # fmt: skip

_NAMES = re.compile(rb"(?i)(?:calleridname|connectedlinename|callername|membername|fullname)$")
_NUMS = re.compile(rb"(?i)(?:calleridnum|connectedlinenum|ani|dnid|rdnis)$")
_QUOTED = re.compile(rb'"[^"\r\n]*"(?=\s*<)')
# Where a name is looked for that a header has told: elsewhere are words of Asterisk's, which a caller may choose for a
# name.
_FREE = re.compile(
    rb"(?i)(?:value|app(?:lication)?data|(?:chan)?variable.*|callerid|userevent|message|body|cid.*|dest.*address)$"
)
# Where it is one only as a whole word.
_ADDRESS = re.compile(rb"(?i)(?:.*exten|extension|dialstring|.*uri|contact)$")
_CHANNEL = re.compile(rb"(?:.*channel[12]?|newname|oldname|newchan|oldchan)$")
_CHANNEL_ENDS = re.compile(rb"[;<]")
_RESOURCE = re.compile(rb"(?<=/)[^/@]+(?=@|-0[0-9a-f]{7}$)")
_RUNNING = re.compile(rb"-0[0-9a-f]{7}$")
_CHANNELS = 16_384  # names of channels that are remembered: more than an Asterisk holds at once
_NO_NAME = frozenset({b"", b"<unknown>", b"anonymous", b"unavailable", b"restricted", b"unknown", b"s"})


class Mask:
    """Masks the blocks of one stream, in order: names and channels are remembered from where they are told."""

    def __init__(self, *, known: Collection[str], pseudonyms: Pseudonyms | None, stays: Collection[str] = ()) -> None:
        """`known`: secrets, wherever they stand. `pseudonyms` None: numbers stay. `stays`: names of ours."""
        self._known = sorted((each.encode() for each in known if each), key=len, reverse=True)
        self._pseudonyms = pseudonyms
        self._stays = frozenset(each.encode() for each in stays) | _NO_NAME
        self._secrets = Secrets()
        self._names = Names()
        self._channels: dict[bytes, bytes] = {}
        self._running: dict[bytes, None] = {}

    def piece(self, piece: bytes) -> bytes:
        """A block with the line ends around it (cti.visit.Pieces); these stay as they are."""
        block = piece.strip(b"\r\n")
        before = len(piece) - len(piece.lstrip(b"\r\n"))
        return piece[:before] + self.block(block) + piece[before + len(block) :]

    def block(self, block: bytes) -> bytes:
        """One block, without the line ends around it."""
        for secret in self._known:
            block = block.replace(secret, STARS)
        lines = [_parted(line) for line in block.split(b"\r\n")]
        told = {name.lower(): value for name, _, value in reversed(lines)}
        self._secrets.begin(told)
        masked = [(name, between, self._secrets.starred(name.lower(), value, told)) for name, between, value in lines]
        if self._pseudonyms is not None:
            # Before the first line: it may be the channel, named as its caller is.
            for name, _, value in masked:
                if _is_name(name.lower(), value):
                    self._name(value, self._pseudonyms)
            masked = [self._personal(*line, self._pseudonyms) for line in masked]
        return b"\r\n".join(b"".join(line) for line in masked)

    # --- numbers and names ------------------------------------------------------------------------------------------

    def _personal(
        self, name: bytes, between: bytes, value: bytes, pseudonyms: Pseudonyms
    ) -> tuple[bytes, bytes, bytes]:
        lower = name.lower()
        if lower in _COUNTS and _COUNT.fullmatch(value):
            return name, between, value
        # A channel's name may stand in it: ChanVariable(PJSIP/2001-0000001f)
        name = numbers(name, pseudonyms, lambda _: True)
        if _is_name(lower, value):
            return name, between, self._name(value, pseudonyms)
        if _CHANNEL.match(lower):
            return name, between, self._channel(value, pseudonyms)
        if lower == b"callerid" or lower in DATA:
            value = self._caller_id(value, lower, pseudonyms)
        if _FREE.match(lower):
            value = self._names.replaced(value)
        elif _ADDRESS.match(lower):
            value = self._names.replaced(value, words=True)
        if b"<" in value:
            value = _QUOTED.sub(lambda found: b'"' + self._name(found[0][1:-1], pseudonyms) + b'"', value)
        return name, between, numbers(value, pseudonyms, self._is_running)

    def _name(self, value: bytes, pseudonyms: Pseudonyms) -> bytes:
        if value in self._stays or value.rpartition(b"/")[2] in self._stays:
            return value
        pseudonym = pseudonyms.name(value)
        self._names.add(value, pseudonym)
        if (in_uri := quote_from_bytes(value).encode()) != value:
            self._names.add(in_uri, pseudonym)
        return pseudonym

    def _caller_id(self, value: bytes, name: bytes, pseudonyms: Pseudonyms) -> bytes:
        """A name that no quotes show: `Taro Yamada <0901234567>`, `CALLERID(name)=Taro Yamada`."""
        setting = b""
        if name in DATA:
            setting, sign, value = value.partition(b")=")
            if not setting.lower().endswith((b"callerid(name", b"callerid(all")):
                return setting + sign + value
            setting += sign
        told, number, rest = value.partition(b"<")
        # Quotes before a number are looked for everywhere.
        bare = told.strip() if number else told.strip(b' "')
        if (number or setting) and bare and b'"' not in bare:
            told = told.replace(bare, self._name(bare, pseudonyms))
        return setting + told + number + rest

    def _channel(self, value: bytes, pseudonyms: Pseudonyms) -> bytes:
        """A channel's name: the same one each time, also where a caller's name in it is told later."""
        end = found.start() if (found := _CHANNEL_ENDS.search(value)) else len(value)
        channel, rest = value[:end], value[end:]
        if (masked := self._channels.get(channel)) is None:
            masked = _RESOURCE.sub(lambda found: self._names.replaced(found[0], words=True), channel)
            masked = numbers(masked, pseudonyms, lambda _: True)
        put(self._channels, channel, masked, _CHANNELS)
        if running := _RUNNING.search(channel):
            put(self._running, running[0], None, _CHANNELS)
        return masked + numbers(rest, pseudonyms, self._is_running)

    def _is_running(self, digits: bytes) -> bool:
        return digits.partition(b";")[0] in self._running


def _is_name(name: bytes, value: bytes) -> bool:
    return bool(_NAMES.search(name) or (_NUMS.search(name) and not re.fullmatch(rb"\+?[0-9*#]+", value)))


def _parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    """(header, colon and blank, value); what is no header is all value."""
    found = _HEADER.match(line)
    return (found[1], line[found.end(1) : found.end()], line[found.end() :]) if found else (b"", b"", line)
