"""What of a block is a secret: by the names of headers, variables and assignments, and by what was typed.

One pattern of names for all of them. What is assigned to such a name is starred to the end of the value: a secret may
hold any sign that could end it. Everything here takes time in proportion to the value, which a caller may choose.
"""

import re

from cti.capture.oldest import put

STARS = b"********"

DATA = frozenset({b"appdata", b"applicationdata"})  # Newexten's name for it, CoreShowChannel's
# pin: USERPIN, PINCODE; not Ping, which is the name of a header.
_NAME = re.compile(
    rb"(?i)secret|pass(?!thr)|pwd|auth|credential|token|challenge|md5|hash(?!\()|(?:api|private|access)[-_]?key"
    rb"|pin(?:(?![a-z])|code|no(?![a-z])|num)"
)
_SIGN = re.compile(rb"[=:]")
_NO_WORD = bytes.maketrans(b",;&|?\"'<>{}[]\t", b" " * 14)
_SCHEME = re.compile(rb"(?i)sips?:|[a-z][a-z0-9+.-]{0,31}://")
_URI_ENDS = re.compile(rb"[\s<>\"]")
# What they are given is typed or compared. The first argument of those that read is the variable they fill.
_READING = frozenset({b"read", b"readexten"})
_ASKING = _READING | {b"authenticate", b"vmauthenticate", b"disa", b"senddtmf"}
_ASKED = re.compile(rb"(?i)(?<![a-z])(?:(?:vm)?authenticate|disa|read|readexten|senddtmf)\(")
_ASKED_BY_AGI = re.compile(rb"(?i)exec +\"?(?:(?:vm)?authenticate|disa|read|readexten|senddtmf)\"?[ (]+")
_DIAL = re.compile(rb"(?i)dial")
_DIAL_TYPES = re.compile(rb"(D\()[^)]*")
_WORDS = re.compile(rb"[A-Za-z ]*")
_READ = 4096  # variables; a dialplan has some dozens


class Secrets:
    """Stars the secrets of one stream, in order: which variables were typed is told before they are set."""

    def __init__(self) -> None:
        """Nothing was read yet."""
        self._read: dict[bytes, None] = {}

    def begin(self, told: dict[bytes, bytes]) -> None:
        """A block, by the lower-case names of its headers: before its values."""
        if told.get(b"application", b"").lower() in _READING:
            data = told.get(b"appdata") or told.get(b"applicationdata", b"")
            put(self._read, data.partition(b",")[0].strip(b' "_').lower(), None, _READ)

    def starred(self, name: bytes, value: bytes, told: dict[bytes, bytes]) -> bytes:
        """`value` of the header `name` (lower case) without its secrets."""
        if not value:
            return value
        if self._is_whole(name, value, told):
            return STARS
        if name in DATA:
            value = _data(value, told.get(b"application", b""))
        elif name == b"command":
            value = _command(value)
        return _without_password(self._assigned(value))

    def _is_whole(self, name: bytes, value: bytes, told: dict[bytes, bytes]) -> bool:
        event = told.get(b"event", b"")
        return bool(
            _NAME.search(name)
            or (name == b"value" and self._names(told.get(b"variable", b"")))
            or (name in DATA and told.get(b"application", b"").lower() in _ASKING)
            or (name == b"digit" and event.startswith(b"DTMF"))
            or (name in (b"response", b"expectedresponse") and event.startswith(b"Challenge"))
            # Of GET DATA and the like: what was typed. `Success` is no secret.
            or (name == b"result" and event.startswith((b"AGIExec", b"AsyncAGIExec")) and not _WORDS.fullmatch(value))
        )

    def _names(self, name: bytes) -> bool:
        return bool(_NAME.search(name)) or name.strip(b"_").lower() in self._read

    def _assigned(self, value: bytes) -> bytes:
        start = 0
        for sign in _SIGN.finditer(value):
            word = value[start : sign.start()].translate(_NO_WORD).rsplit(None, 1)[-1:]
            start = sign.end()
            if word and self._names(word[0]):
                rest = value[start:].lstrip(b" ")
                return value[: len(value) - len(rest)] + STARS if rest else value
        return value


def _data(value: bytes, application: bytes) -> bytes:
    """What an application is given; it may be the name of another one, with what that is given (ExecIf)."""
    if asked := _ASKED.search(value):
        value = value[: asked.end()] + STARS
    if b"D(" in value and (_DIAL.search(application) or _DIAL.search(value)):
        value = _DIAL_TYPES.sub(rb"\g<1>" + STARS, value)
    return value


def _command(value: bytes) -> bytes:
    """A command of AGI: `EXEC Authenticate 4711`, `SET VARIABLE PIN 4711`."""
    if asked := _ASKED_BY_AGI.search(value):
        return value[: asked.end()] + STARS
    if secret := _NAME.search(value):
        name, blank, rest = value[secret.start() :].partition(b" ")
        return value[: secret.start()] + name + blank + STARS if rest else value
    return _data(value, b"")


def _without_password(value: bytes) -> bytes:
    """The password of `scheme://user:password@host` and of `sip:user:password@host`."""
    if b"@" not in value:
        return value
    schemes = [*_SCHEME.finditer(value)]
    pieces: list[bytes] = []
    start = 0
    for number, scheme in enumerate(schemes):
        ends = schemes[number + 1].start() if number + 1 < len(schemes) else len(value)
        found = _URI_ENDS.search(value, scheme.end(), ends)
        user, colon, rest = value[scheme.end() : found.start() if found else ends].partition(b":")
        password = rest.rpartition(b"@")[0]
        if colon and password and b"@" not in user:
            begin = scheme.end() + len(user) + 1
            pieces += value[start:begin], STARS
            start = begin + len(password)
    return b"".join([*pieces, value[start:]])
