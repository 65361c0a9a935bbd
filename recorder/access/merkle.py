"""The Merkle tree of RFC 6962 section 2.1, as a frontier: the roots of the full subtrees, largest first.

```
leaf = SHA-256(0x00 || entry)      node = SHA-256(0x01 || left || right)      root of nothing = SHA-256("")

stored frontier = u64be size || one 32-byte hash for each bit set in size, highest bit first
```

A frontier of n leaves has at most log2(n) + 1 hashes, so that an append costs two hashes on average, whatever n is.
"""

import hashlib
from collections.abc import Iterable
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
