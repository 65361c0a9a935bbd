"""HTTP Range (RFC 9110, 14): one range of bytes. What is no such thing is as if it had not been asked for. Pure."""

import re
from dataclasses import dataclass

_ONE = re.compile(r"bytes=\s*(\d{0,15})\s*-\s*(\d{0,15})\s*", re.ASCII | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Span:
    """Bytes `first` to `last`, the latter included."""

    first: int
    last: int


class UnsatisfiableError(ValueError):
    """None of what was asked for is there."""


def span(asked: str | None, if_range: str | None, size: int, etag: str) -> Span | None:
    """The part that was asked for of `size` bytes; None: all of it. Raises UnsatisfiableError.

    Several ranges at once are answered with the whole, as RFC 9110 allows. `if_range` other than `etag`: the whole.
    """
    if asked is None or (if_range is not None and if_range.strip() != etag):
        return None
    found = _ONE.fullmatch(asked)
    if found is None or found[1] == found[2] == "":
        return None
    if not found[1]:  # the last so many
        if int(found[2]) == 0:
            raise UnsatisfiableError
        return Span(max(0, size - int(found[2])), size - 1)
    first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if found[2] and int(found[2]) < first:
        return None
    if first >= size:
        raise UnsatisfiableError
    return Span(first, last)
