"""Names that were told, found again in free text.

A look at each place of a text costs one look-up, and one more for each length of the names that begin with the same
three bytes: as much with 4,000 names as with one.
"""

from collections import Counter

from cti.capture.oldest import put

MOST = 4096  # names that are remembered; the calls of a week
_BEGINNING = 3  # bytes: a shorter name is not looked for
_LONGEST = 200  # bytes of a name that are looked at; of a longer one all that follows is taken


class Names:
    """Names and what stands in place of them."""

    def __init__(self) -> None:
        """None yet."""
        self._names: dict[bytes, bytes] = {}
        self._lengths: dict[bytes, Counter[int]] = {}

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._names)

    def add(self, name: bytes, pseudonym: bytes) -> None:
        """Remember a name; the oldest is forgotten for it."""
        name = name[:_LONGEST]
        if len(name) < _BEGINNING:
            return
        if name not in self._names:
            self._lengths.setdefault(name[:_BEGINNING], Counter())[len(name)] += 1
        if forgotten := put(self._names, name, pseudonym, MOST):
            lengths = self._lengths[forgotten[:_BEGINNING]]
            lengths[len(forgotten)] -= 1
            if not lengths[len(forgotten)]:
                del lengths[len(forgotten)]
            if not lengths:
                del self._lengths[forgotten[:_BEGINNING]]

    def replaced(self, text: bytes, *, words: bool = False) -> bytes:
        """`text` with pseudonyms; the longest name wins. `words`: only where it is no part of a word or a scheme."""
        if not self._names:
            return text
        pieces: list[bytes] = []
        start = place = 0
        while place <= len(text) - _BEGINNING:
            found = self._at(text, place)
            end = place + len(found)
            if not found or (words and not _is_word(text, place, end)):
                place += 1
                continue
            pieces += text[start:place], self._names[found]
            start = place = len(text) if len(found) == _LONGEST else end
        return b"".join([*pieces, text[start:]])

    def _at(self, text: bytes, place: int) -> bytes:
        for length in sorted(self._lengths.get(text[place : place + _BEGINNING], ()), reverse=True):
            if (name := text[place : place + length]) in self._names:
                return name
        return b""


def _is_word(text: bytes, begin: int, end: int) -> bool:
    before, after = text[begin - 1 : begin] if begin else b"", text[end : end + 1]
    return not (before.isalnum() or before == b"_") and not (after.isalnum() or after in (b"_", b"/", b":"))
