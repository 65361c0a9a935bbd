"""The text form of age files: PEM after RFC 7468, figure 3 (strict), label AGE ENCRYPTED FILE.

Armor can be changed without the key wherever a decoder is lenient, so one file has one text here, but for white space
before and after it and for the kind of line ends.
"""

import base64
import binascii
import re

from recorder.vault.errors import ArmorError

_BEGIN = b"-----BEGIN AGE ENCRYPTED FILE-----"
_END = b"-----END AGE ENCRYPTED FILE-----"
_SPACE = b" \t\r\n"
_COLUMNS = 64
_FULL_LINE = re.compile(rb"[A-Za-z0-9+/]{64}")


def is_armored(start: bytes) -> bool:
    """Whether a file that starts so means to be armored; `start` should hold more than the leading white space."""
    return start.lstrip(_SPACE).startswith(b"-----")


def encode(data: bytes) -> bytes:
    """The armor of a binary age file, with LF line ends."""
    text = base64.b64encode(data)
    lines = [text[at : at + _COLUMNS] for at in range(0, len(text), _COLUMNS)]
    return b"\n".join([_BEGIN, *lines, _END, b""])


def decode(text: bytes) -> bytes:
    """The binary age file in `text`; raises ArmorError with the line (1 is the BEGIN line)."""
    lines = [line.removesuffix(b"\r") for line in text.strip(_SPACE).split(b"\n")]
    if lines[0] != _BEGIN:
        raise ArmorError(f"line 1 is not {_BEGIN.decode()}")
    if len(lines) < 2 or lines[-1] != _END:
        raise ArmorError(f"the last line is not {_END.decode()}: the file is cut off, or more follows")
    body = lines[1:-1]
    if not body:
        return b""
    for number, line in enumerate(body[:-1], start=2):
        if not _FULL_LINE.fullmatch(line):
            raise ArmorError(f"line {number} is not {_COLUMNS} characters of base64")
    last, number = body[-1], len(body) + 1
    if not 0 < len(last) <= _COLUMNS:
        raise ArmorError(f"line {number} is empty or longer than {_COLUMNS} characters")
    try:
        tail = base64.b64decode(last, validate=True)
    except (binascii.Error, ValueError):
        raise ArmorError(f"line {number} is not base64 with padding") from None
    if base64.b64encode(tail) != last:
        raise ArmorError(f"line {number} is not canonical base64")
    return base64.b64decode(b"".join(body[:-1])) + tail
