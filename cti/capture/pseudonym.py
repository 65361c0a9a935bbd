"""Another number for a number: as many digits, the same one each time, and no way back once the key is gone.

    x -> P^-1(P(x) + s)    P: a Feistel network over the decimal digits (as FF1 has it), s: odd and no multiple of 5

A permutation without a fixed point, whose one cycle goes through all numbers of that length: what must not come out is
stepped over, and two numbers still never become one.
"""

from collections.abc import Callable, Collection
from functools import lru_cache
from hashlib import blake2b

_ROUNDS = 10
_LETTERS = str.maketrans("0123456789", "ghijklmnop")
_KIND = {"+81": "0", "+810": "00"}  # the same number, as told abroad


class Pseudonyms:
    """The pseudonyms of one capture. What `stays` holds is neither changed nor given to another."""

    def __init__(self, key: bytes, stays: Collection[str]) -> None:
        """`key`: 16 to 64 random bytes, kept nowhere. `stays`: numbers as dialled within the country, digits only."""
        self._key, self._stays = key, frozenset(stays)
        # A call says its numbers some thirty times; each costs 20 hashes.
        self._remembered = lru_cache(4096)(self._changed)

    def stays(self, number: str) -> bool:
        """Whether `number`, digits with or without a +, is one of ours."""
        head, rest = _split(number)
        return _KIND.get(head, head) + rest in self._stays

    def of(self, number: str) -> str:
        """The pseudonym of `number`: three digits or more, with or without a +.

        A leading 0 or 00, and +81 in its place, stay: they say which way a call goes, not whose it is.
        """
        return number if self.stays(number) else self._remembered(number)

    def _changed(self, number: str) -> str:
        head, rest = _split(number)
        kind = _KIND.get(head, head)
        if len(rest) < 2:
            return number
        while True:
            rest = self._step(kind, rest)
            # A head of its own would make it a number of another kind, which has pseudonyms of its own.
            if kind + rest not in self._stays and _split(head + rest)[0] == head:
                return head + rest

    def name(self, name: bytes) -> bytes:
        """The pseudonym of a name: letters, so that nobody takes a part of it for a number."""
        told = blake2b(name, key=self._key, digest_size=4).hexdigest().translate(_LETTERS)
        return f"name-{told}".encode()

    def _step(self, kind: str, digits: str) -> str:
        half = len(digits) // 2
        left, right = digits[:half], digits[half:]
        function = self._function(kind, len(digits))
        for number in range(_ROUNDS):
            left, right = right, _add(left, function(number, right))
        # 1 to 9, odd, not 5: coprime to every power of ten
        step = (1, 3, 7, 9)[function(_ROUNDS, "") % 4]
        moved = _add(left + right, step)
        left, right = moved[:half], moved[half:]
        for number in reversed(range(_ROUNDS)):
            left, right = _add(right, -function(number, left)), left
        return left + right

    def _function(self, kind: str, length: int) -> Callable[[int, str], int]:
        def function(number: int, digits: str) -> int:
            told = f"{kind}/{length}/{number}/{digits}".encode()
            return int.from_bytes(blake2b(told, key=self._key, digest_size=32).digest(), "big")

        return function


def _add(digits: str, number: int) -> str:
    """`digits` plus `number`, in as many digits."""
    return str((int(digits) + number) % 10 ** len(digits)).zfill(len(digits))


def _split(number: str) -> tuple[str, str]:
    """(what stays, what is changed)."""
    for head in ("+810", "+81", "+0", "+", "00", "0"):
        if number.startswith(head):
            return head, number[len(head) :]
    return "", number
