"""Bech32 (BIP 173) without its length limit, as age uses it for keys."""

from recorder.vault.errors import KeyFormatError

_ALPHABET = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
_GENERATOR = (0x3B6A57B2, 0x26508E6D, 0x1EA119FA, 0x3D4233DD, 0x2A1462B3)


def encode(prefix: str, data: bytes) -> str:
    """Text of `data` under the lowercase human-readable `prefix`, in lower case."""
    words = _regroup(data, 8, 5, pad=True)
    checksum = _polymod([*_expand(prefix), *words, 0, 0, 0, 0, 0, 0]) ^ 1
    words += [checksum >> 5 * (5 - place) & 31 for place in range(6)]
    return prefix + "1" + "".join(_ALPHABET[word] for word in words)


def decode(text: str) -> tuple[str, bytes]:
    """Prefix and data of `text`. The prefix keeps its case: to compare it settles the case of the rest too.

    Errors never quote the text, since it may be a secret.
    """
    if text not in (text.lower(), text.upper()):
        raise KeyFormatError("upper and lower case are mixed")
    prefix, mark, letters = text.rpartition("1")
    if not mark or not prefix or len(letters) < 6:
        raise KeyFormatError("prefix, separator or checksum is missing")
    if not all("!" <= letter <= "~" for letter in prefix):
        raise KeyFormatError("the prefix has a character outside ASCII 33-126")
    try:
        words = [_VALUES[letter] for letter in letters.lower()]
    except KeyError:
        raise KeyFormatError("a character is not in the Bech32 alphabet") from None
    if _polymod([*_expand(prefix.lower()), *words]) != 1:
        raise KeyFormatError("the checksum does not match: look for a mistyped character")
    return prefix, bytes(_regroup(words[:-6], 5, 8, pad=False))


def _expand(prefix: str) -> list[int]:
    return [ord(letter) >> 5 for letter in prefix] + [0] + [ord(letter) & 31 for letter in prefix]


def _polymod(words: list[int]) -> int:
    state = 1
    for word in words:
        top = state >> 25
        state = (state & 0x1FFFFFF) << 5 ^ word
        for place, term in enumerate(_GENERATOR):
            if top >> place & 1:
                state ^= term
    return state


def _regroup(values: bytes | list[int], width: int, target: int, *, pad: bool) -> list[int]:
    state, bits, out = 0, 0, []
    for value in values:
        state = (state << width | value) & 0xFFFF
        bits += width
        while bits >= target:
            bits -= target
            out.append(state >> bits & (1 << target) - 1)
    rest = state & (1 << bits) - 1
    if pad:
        return [*out, rest << target - bits] if bits else out
    if bits >= width or rest:
        raise KeyFormatError("the padding is not zero")
    return out
