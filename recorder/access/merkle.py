"""The Merkle tree of RFC 6962 section 2.1, as a frontier: the roots of the full subtrees, largest first.

```
leaf = SHA-256(0x00 || entry)      node = SHA-256(0x01 || left || right)      root of nothing = SHA-256("")

stored frontier = u64be size || one 32-byte hash for each bit set in size, highest bit first
```

A frontier of n leaves has at most log2(n) + 1 hashes, so that an append costs two hashes on average, whatever n is.
"""

import hashlib
from collections.abc import Iterable, Sequence
from typing import Self

HASH_SIZE = 32
EMPTY_ROOT = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """32 bytes for the exact bytes of an entry."""
    return hashlib.sha256(b"\x00" + entry).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """32 bytes for two hashes of 32 bytes."""
    return hashlib.sha256(b"\x01" + left + right).digest()


def root_of(leaves: Iterable[bytes]) -> bytes:
    """The root over leaf hashes, in their order."""
    frontier = Frontier()
    for leaf in leaves:
        frontier.append(leaf)
    return frontier.root()


class Tree:
    """All leaf hashes, and proofs of RFC 6962, 2.1.1 and 2.1.2, over the first so many of them."""

    def __init__(self, leaves: Sequence[bytes]) -> None:
        """In their order."""
        self._leaves = leaves
        self._known: dict[tuple[int, int], bytes] = {}

    @property
    def size(self) -> int:
        """The number of leaves."""
        return len(self._leaves)

    def root(self, size: int) -> bytes:
        """Over the first `size` leaves."""
        return self._over(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """That leaf `index` is one of the first `size`: what is hashed with it, from the leaf up. Raises ValueError."""
        if not 0 <= index < size <= self.size:
            raise ValueError(f"there is no leaf {index} among {size} of {self.size}")
        path = []
        begin, end = 0, size
        while end - begin > 1:
            middle = begin + _split(end - begin)
            if index < middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(begin, middle))
                begin = middle
        return path[::-1]

    def consistency(self, old: int, new: int) -> list[bytes]:
        """That the first `new` leaves begin with the first `old`. Raises ValueError."""
        if not 0 < old <= new <= self.size:
            raise ValueError(f"there are no {old} leaves among {new} of {self.size}")
        path = []
        begin, end, whole = 0, new, True
        while old != end:
            middle = begin + _split(end - begin)
            if old <= middle:
                path.append(self._over(middle, end))
                end = middle
            else:
                path.append(self._over(begin, middle))
                begin, whole = middle, False
        return ([] if whole else [self._over(begin, end)]) + path[::-1]

    def _over(self, begin: int, end: int) -> bytes:
        if end - begin == 1:
            return self._leaves[begin]
        if (begin, end) not in self._known:
            middle = begin + _split(end - begin)
            self._known[begin, end] = node_hash(self._over(begin, middle), self._over(middle, end))
        return self._known[begin, end]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1


class Frontier:
    """What is needed of a tree to append to it and to know its root."""

    __slots__ = ("_hashes", "_size")

    def __init__(self) -> None:
        """The tree without leaves."""
        self._size = 0
        self._hashes: list[bytes] = []

    @property
    def size(self) -> int:
        """The number of leaves."""
        return self._size

    def append(self, leaf: bytes) -> None:
        """Add a leaf hash. Raises ValueError if it has not 32 bytes."""
        if len(leaf) != HASH_SIZE:
            raise ValueError(f"a leaf hash has {HASH_SIZE} bytes, not {len(leaf)}")
        carry = self._size
        while carry & 1:
            leaf = node_hash(self._hashes.pop(), leaf)
            carry >>= 1
        self._hashes.append(leaf)
        self._size += 1

    def root(self) -> bytes:
        """32 bytes; EMPTY_ROOT where there is no leaf."""
        if not self._hashes:
            return EMPTY_ROOT
        *rest, root = self._hashes
        for left in reversed(rest):
            root = node_hash(left, root)
        return root

    def copy(self) -> Self:
        """An independent frontier of the same tree."""
        return self.from_bytes(self.to_bytes())

    def to_bytes(self) -> bytes:
        """The stored form of this module's docstring."""
        return self._size.to_bytes(8, "big") + b"".join(self._hashes)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Read the stored form. Raises ValueError where size and number of hashes do not fit."""
        size = int.from_bytes(stored[:8], "big")
        if len(stored) != 8 + HASH_SIZE * size.bit_count():
            raise ValueError(f"a frontier of {size} leaves does not have {len(stored)} bytes")
        frontier = cls()
        frontier._size = size
        frontier._hashes = [stored[at : at + HASH_SIZE] for at in range(8, len(stored), HASH_SIZE)]
        return frontier

    def __eq__(self, other: object) -> bool:
        """Same leaves."""
        return isinstance(other, Frontier) and self.to_bytes() == other.to_bytes()

    __hash__ = None  # type: ignore[assignment]  # it changes
