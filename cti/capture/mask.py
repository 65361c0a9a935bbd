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

from cti.capture.pseudonym import Pseudonyms

STARS = b"********"

_SECRET = re.compile(
    rb"(?i)secret|passw|auth|credential|token|challenge|md5|api-?key|private-?key|(?<![a-z])pin(?![a-z])"
)
_ASSIGNED = re.compile(rb"(?i)([\w()/-]*(?:secret|passw(?:or)?d|token|(?<![a-z])pin)[\w()]*=)[^\r\n,;&|]+")
_IN_URI = re.compile(rb"(?i)(sips?:[^\s:@<>]+:)[^\s@<>]+(?=@)")
_HEADER = re.compile(rb"([A-Za-z][\w-]*(?:\([^)\r\n]*\))?)[ ]*:[ ]?")
# What they are given is typed or compared.
_ASKING = frozenset({b"authenticate", b"vmauthenticate", b"disa", b"read", b"senddtmf"})

_COUNT = re.compile(rb"(?:0|[1-9][0-9]{0,6})")
_COUNTS = frozenset({
    b"uptime", b"lastreload", b"duration", b"billableseconds", b"holdtime", b"talktime", b"ringtime", b"listitems",
    b"seconds", b"channelstate", b"priority", b"cause", b"count", b"position", b"wait", b"bridgenumchannels",
})  # fmt: skip

# Digits that Asterisk made; in group `own` where something before them has to be seen. A telephone number does not look
# so: none has a second's fraction, a channel's running number begins with 0 for its first 268 million channels.
_OWN = re.compile(
    rb"(?<![0-9A-Za-z.])[12][0-9]{9}\.[0-9]{1,10}(?![0-9])"
    rb"|(?<![0-9A-Fa-f-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Fa-f-])"
    rb"|(?<![0-9.])[0-9]{1,3}(?:\.[0-9]{1,3}){3}(?![0-9.])(?::[0-9]{1,5}(?![0-9]))?"
    rb"|(?<!\w)[A-Za-z][A-Za-z0-9]*/[^\s/,&()|]*?(?P<own>-0[0-9a-f]{7}(?:;[12])?)(?![0-9A-Za-z])"
)
_NUMBER = re.compile(rb"\+?[0-9]+(?:[-. ()]{1,2}[0-9]+)*")
# Most values have no such run. Without this look, and the pseudonyms kept: 3,000 events/s in place of 6,000.
_SUSPECT = re.compile(rb"[0-9][0-9-. ()]{2,}[0-9]|[\x82\xef]")
# Digits of a keyboard that writes Japanese: UTF-8, CP932.
_WIDE = re.compile(rb"(?:\xef\xbc[\x90-\x99]){4,}|(?:\x82[\x4f-\x58]){4,}")

_NAMES = re.compile(rb"(?i)(?:calleridname|connectedlinename|callername|membername|fullname)$")
_NUMS = re.compile(rb"(?i)(?:calleridnum|connectedlinenum|ani|dnid|rdnis)$")
_QUOTED = re.compile(rb'"[^"\r\n]*"(?=\s*<)')
# Where a name is looked for that a header has told before: elsewhere are words of Asterisk's, which a caller may choose
# for a name.
_FREE = re.compile(rb"(?i)(?:value|appdata|(?:chan)?variable.*|callerid|userevent|message|body|cid.*|dest.*address)$")
_NO_NAME = frozenset({b"", b"<unknown>", b"anonymous", b"unavailable", b"restricted", b"unknown", b"s"})


class Mask:
    """Masks the blocks of one stream, in order: names are remembered from where they are told."""

    def __init__(self, *, known: Collection[str], pseudonyms: Pseudonyms | None, stays: Collection[str] = ()) -> None:
        """`known`: secrets, wherever they stand. `pseudonyms` None: numbers stay. `stays`: names of ours."""
        self._known = sorted((each.encode() for each in known if each), key=len, reverse=True)
        self._pseudonyms = pseudonyms
        self._stays = frozenset(each.encode() for each in stays) | _NO_NAME
        self._names: dict[bytes, bytes] = {}

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
        masked = [(name, between, self._secret(name.lower(), value, told)) for name, between, value in lines]
        if self._pseudonyms is not None:
            masked = [self._personal(*line, self._pseudonyms) for line in masked]
        return b"\r\n".join(b"".join(line) for line in masked)

    # --- secrets ----------------------------------------------------------------------------------------------------

    def _secret(self, name: bytes, value: bytes, told: dict[bytes, bytes]) -> bytes:
        if not value:
            return value
        event = told.get(b"event", b"")
        if (
            _SECRET.search(name)
            or (name == b"value" and _SECRET.search(told.get(b"variable", b"")))
            or (name == b"appdata" and told.get(b"application", b"").lower() in _ASKING)
            or (name == b"digit" and event.startswith(b"DTMF"))
            or (name in (b"response", b"expectedresponse") and event.startswith(b"Challenge"))
        ):
            return STARS
        variable, is_one, _ = value.partition(b"=")
        if is_one and name.startswith((b"variable", b"chanvariable")) and _SECRET.search(variable):
            return variable + b"=" + STARS
        if b"=" in value:
            value = _ASSIGNED.sub(rb"\g<1>" + STARS, value)
        return _IN_URI.sub(rb"\g<1>" + STARS, value) if b"@" in value else value

    # --- numbers and names ------------------------------------------------------------------------------------------

    def _personal(
        self, name: bytes, between: bytes, value: bytes, pseudonyms: Pseudonyms
    ) -> tuple[bytes, bytes, bytes]:
        lower = name.lower()
        if lower in _COUNTS and _COUNT.fullmatch(value):
            return name, between, value
        if _NAMES.search(lower) or (_NUMS.search(lower) and not re.fullmatch(rb"\+?[0-9*#]+", value)):
            return name, between, self._name(value, pseudonyms)
        if _FREE.match(lower):
            for known in sorted(self._names, key=len, reverse=True):
                value = value.replace(known, self._names[known])
        if b"<" in value:
            value = _QUOTED.sub(lambda found: b'"' + self._name(found[0][1:-1], pseudonyms) + b'"', value)
        return _numbers(name, pseudonyms), between, _numbers(value, pseudonyms)

    def _name(self, value: bytes, pseudonyms: Pseudonyms) -> bytes:
        if value in self._stays or value.rpartition(b"/")[2] in self._stays:
            return value
        if len(value) > 2 and value not in self._names:
            self._names[value] = pseudonyms.name(value)
        return pseudonyms.name(value)


def _parted(line: bytes) -> tuple[bytes, bytes, bytes]:
    """(header, colon and blank, value); what is no header is all value."""
    found = _HEADER.match(line)
    return (found[1], line[found.end(1) : found.end()], line[found.end() :]) if found else (b"", b"", line)


def _numbers(text: bytes, pseudonyms: Pseudonyms) -> bytes:
    if not _SUSPECT.search(text):
        return text
    pieces: list[bytes] = []
    start = 0
    for own in _OWN.finditer(text):
        begin, end = own.span("own") if own["own"] else own.span()
        pieces += _changed(text[start:begin], pseudonyms), text[begin:end]
        start = end
    return b"".join([*pieces, _changed(text[start:], pseudonyms)])


def _changed(text: bytes, pseudonyms: Pseudonyms) -> bytes:
    text = _WIDE.sub(lambda found: b"*" * (len(found[0]) // (3 if found[0][0] == 0xEF else 2)), text)
    return _NUMBER.sub(lambda found: _number(found[0], pseudonyms), text)


def _number(written: bytes, pseudonyms: Pseudonyms) -> bytes:
    """A number as it is written: hyphens and the like stay where they are."""
    groups = re.findall(rb"\+?[0-9]+", written)
    digits = b"".join(groups).decode()
    one = 7 <= len(digits) <= 14 and (digits[0] in "0+" or max(map(len, groups)) < 4)
    if len(groups) > 1 and not one:
        return re.sub(rb"\+?[0-9]+", lambda found: _number(found[0], pseudonyms), written)
    if len(digits.lstrip("+")) < 4:
        return written
    changed = iter(pseudonyms.of(digits).encode())
    return bytes(next(changed) if byte in b"+0123456789" else byte for byte in written)
