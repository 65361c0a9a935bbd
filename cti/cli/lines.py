"""Where a line of text may end. Rich breaks lines at spaces; Japanese has none, and a table cuts what is too long.

A line may end behind any wide character, but not before closing punctuation or behind an opening bracket (JIS X 4051).
"""

import re

from rich import _wrap
from rich.text import Text

_OPENING = "（「『［【〈《〔"
_CLOSING = "、。，．）」』］】〉》〕：；！？ーぁぃぅぇぉっゃゅょァィゥェォッャュョ々"
_WIDE = "\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef"
# What belongs together: brackets that open, one wide character or a run of narrow ones, what closes; names at their _.
WORD = re.compile(
    rf"\s*(?:[{_OPENING}]*(?:(?![{_OPENING}{_CLOSING}])[{_WIDE}]|[^\s{_WIDE}_]+_*|_+)"
    rf"[{_CLOSING}]*|[{_OPENING}{_CLOSING}]+)\s*"
)


def break_japanese() -> None:
    """From now on, everything that Rich prints is broken so. Rich has no setting for it."""
    _wrap.re_word = WORD
    Text.rstrip_end = _rstrip_end  # type: ignore[method-assign, assignment]


def _rstrip_end(text: Text, size: int) -> None:
    """Rich's own counts characters where it means cells: a line whose last space hangs over loses its last letter."""
    plain = text.plain
    spaces = len(plain) - len(plain.rstrip())
    if (excess := min(spaces, text.cell_len - size)) > 0:
        text.right_crop(excess)
