"""What the name of a channel says: `PJSIP/2001-0000002a` is a leg of endpoint 2001."""

import re

# Asterisk marks what a masquerade leaves over.
_SUFFIX = re.compile(r"-[0-9a-f]{8,}(?:;[12])?(?:<(?:MASQ|ZOMBIE)>)?$")
_INTERNAL = frozenset(
    (
        *("Local", "Message", "Surrogate", "AsyncGoto", "Bridge", "CBAnn", "CBRec", "Announcer", "Recorder", "Snoop"),
        *("OutgoingSpoolFailed", "MulticastRTP", "UnicastRTP", "AudioSocket", "WebSocket"),
    )
)
# Their suffix is a line or a number, and shorter.
_SHORT = re.compile(r"^(?:DAHDI|IAX2)/.*?(-\w+)$")


def internal(channel: str) -> bool:
    """Whether `channel` is one of Asterisk's own, that no device or line is behind: Local and the like."""
    return channel.partition("/")[0] in _INTERNAL


def endpoint_of(channel: str) -> str | None:
    """The endpoint behind `channel`; None for Local and other channels that no device is behind."""
    _, slash, rest = channel.partition("/")
    if not slash or internal(channel):
        return None
    if short := _SHORT.match(channel):
        rest = rest.removesuffix(short[1])
    return _SUFFIX.sub("", rest).partition("@")[0] or None


def known(value: str) -> str | None:
    """A name or number as Asterisk writes it, None for its ways of saying that there is none."""
    value = value.strip()
    return None if value in {"", "<unknown>", "s"} else value


def phone_number(value: str | None) -> str | None:
    """A number that may be kept: digits, `+`, `*`, `#`, at most 32. What the network sends instead of one is None."""
    value = (value or "").replace("-", "").replace(" ", "")
    return value if re.fullmatch(r"[0-9+*#]{1,32}", value) else None
