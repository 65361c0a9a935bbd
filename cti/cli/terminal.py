"""Text on its way to a terminal. What a caller, a PBX or a file name brings with it is shown and never obeyed.

A caller writes an escape sequence into a SIP URI as `%1b`, and Asterisk passes it on.
"""

import re
from typing import Any

from rich.console import Console
from rich.text import Text

# C0 but tab and newline, DEL, C1, what ends a line or turns its direction, and bytes of a file name that are no UTF-8.
STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
_BREAKS = re.compile("[\t\n]")
_PICTURES = 0x2400  # the block of Unicode that has a picture for each C0 character
_DELETE = 0x7F


def printable(text: str) -> str:
    """`text` with what could steer a terminal made visible: `␛`, `\\x9b`, `\\u202e`. Lines and tabs stay."""
    return STEERING.sub(_shown, text)


def one_line(text: str) -> str:
    """As `printable`, for what must not begin a line of its own."""
    return _BREAKS.sub(_shown, printable(text))


def _shown(found: re.Match[str]) -> str:
    code = ord(found[0])
    if code < ord(" "):
        return chr(_PICTURES + code)
    if code == _DELETE:
        return "␡"
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


class Terminal(Console):
    """A console on which every string is text: no markup, no emoji codes, nothing that steers.

    What is a `Text` already was made by us, of `printable`.
    """

    def __init__(self, *, stderr: bool = False) -> None:
        """Standard output, or standard error."""
        super().__init__(stderr=stderr, markup=False, emoji=False)

    def render_str(self, text: str, **options: Any) -> Text:
        """As Rich's, which every string goes through: lines, headings and cells."""
        return super().render_str(printable(text), **options)
