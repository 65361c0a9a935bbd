"""Numbers in a text, however they are written, for their pseudonyms."""

import re
from collections.abc import Callable

from cti.capture.pseudonym import Pseudonyms

# No telephone number is longer, and int() refuses 4,301 digits.
_LONGEST = 32

_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
# Digits that Asterisk made; in group `own` where something before them has to be seen. A telephone number does not look
# so: none has a second's fraction, an address has no part over 255 and none that begins with 0.
_OWN = re.compile(
    rb"(?<![0-9A-Za-z.])[12][0-9]{9}\.[0-9]{1,10}(?![0-9])"
    rb"|(?<![0-9A-Fa-f-])[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}(?![0-9A-Fa-f-])"
    rb"|(?<![0-9.+])(?<![0-9][-_])" + _OCTET + rb"(?:\." + _OCTET + rb"){3}(?![0-9.]|[-_][0-9])"
    rb"(?::[1-9][0-9]{0,4}(?![0-9]))?"
    rb"|(?<!\w)[A-Za-z][A-Za-z0-9]*/[^\s/,&()|]*?(?P<own>-0[0-9a-f]{7}(?:;[12])?)(?![0-9A-Za-z])"
)
# ASCII; digits of a keyboard that writes Japanese: UTF-8, CP932, EUC-JP. The bytes of the last two also end letters of
# UTF-8.
_WIDE = rb"\xef\xbc[\x90-\x99]|(?<![\xe0-\xef][\x80-\xbf])\x82[\x4f-\x58]|(?<![\xe0-\xef])\xa3[\xb0-\xb9]"
_DIGIT = rb"(?:[0-9]|" + _WIDE + rb")"
# What may stand between the digits of one number: blanks, dots, brackets, hyphens and long vowels, as URIs (%2d),
# UTF-8, CP932 and EUC-JP write them. No : and no &, which stand between numbers.
_BETWEEN = (
    rb"(?:[-. ()_/,~\t\xa0]|(?<!\xa3)\xb0|%2[0-9A-Fa-f]|%5[Ff]|\xc2[\xa0\xad]|\xe2\x80[\x80-\x95\xaf]|\xe2\x88\x92"
    rb"|\xe3\x80\x80|\xe3\x83[\xbb\xbc]|\xef\xbc[\x88\x89\x8c-\x8f]|\xef\xbd\xb0"
    rb"|\x81[\x40\x44\x5b-\x5e\x69\x6a\x7c]|\xa1[\xa1\xa5\xbc-\xbf\xca\xcb\xdd])"
)
_NUMBER = re.compile(rb"\+?" + _DIGIT + rb"+(?:" + _BETWEEN + rb"{1,3}" + _DIGIT + rb"+)*")
_GROUPS = re.compile(rb"(" + _BETWEEN + rb"+)")
_LISTED = re.compile(rb"([,/_])")
_DIGITS = re.compile(_DIGIT)
# Most values have no number in them. Without this look, and the pseudonyms kept: 3,000 events/s in place of 6,000.
_NO_DIGIT = bytes(byte for byte in range(256) if byte not in b"0123456789")
_MAYBE_WIDE = re.compile(_WIDE)
_VALUES = {**{48 + n: n for n in range(10)}, **{0x90 + n: n for n in range(10)}, **{0x4F + n: n for n in range(10)}} | {
    0xB0 + n: n for n in range(10)
}


def numbers(text: bytes, pseudonyms: Pseudonyms, is_running: Callable[[bytes], bool]) -> bytes:
    """`text` with pseudonyms. `is_running`: whether what looks like a channel's running number (-0000001f) is one."""
    if len(text.translate(None, _NO_DIGIT)) < 4 and not _MAYBE_WIDE.search(text):
        return text
    pieces: list[bytes] = []
    start = 0
    for own in _OWN.finditer(text):
        if own["own"] and not is_running(own["own"]):
            continue
        begin, end = own.span("own") if own["own"] else own.span()
        pieces += _changed(text[start:begin], pseudonyms), text[begin:end]
        start = end
    return b"".join([*pieces, _changed(text[start:], pseudonyms)])


def _changed(text: bytes, pseudonyms: Pseudonyms) -> bytes:
    return _NUMBER.sub(lambda found: _listed(found[0], pseudonyms), text)


def _listed(written: bytes, pseudonyms: Pseudonyms) -> bytes:
    """What may be a list (`2001,20`), or one number. One of ours and a whole number stand for themselves in a list."""
    pieces: list[bytes] = []
    together: list[bytes] = []
    for part in _LISTED.split(written):
        digits = "".join(map(_digits, _GROUPS.split(part)[::2]))
        ours = len(digits) > 3 and pseudonyms.stays(digits)
        if ours or len(digits) >= 10 or (len(digits) == 9 and digits.startswith("0")):
            pieces += _number(b"".join(together), pseudonyms), _number(part, pseudonyms)
            together = []
        else:
            together.append(part)
    return b"".join([*pieces, _number(b"".join(together), pseudonyms)])


def _number(written: bytes, pseudonyms: Pseudonyms) -> bytes:
    """A number as it is written: hyphens and the like stay where they are."""
    parts = _GROUPS.split(written)
    groups = [_digits(group) for group in parts[::2]]
    digits = "".join(groups)
    length = len(digits.lstrip("+"))
    one = length >= 7 and (max(map(len, groups)) < 4 or (length <= 14 and digits[0] in "0+"))
    if sum(map(bool, groups)) > 1 and not one:
        parts[::2] = [_number(group, pseudonyms) for group in parts[::2]]
        return b"".join(parts)
    if length < 4 or pseudonyms.stays(digits):
        return written
    # Wide digits have no pseudonym in their own script: a number in them, or partly, is starred.
    plain = length <= _LONGEST and all(group.isascii() for group in parts[::2])
    changed = iter(pseudonyms.of(digits) if plain else "*" * len(digits))
    parts[::2] = ["".join(next(changed) for _ in group).encode() for group in groups]
    return b"".join(parts)


def _digits(group: bytes) -> str:
    """The digits of a group, however they are written, after its + where it has one."""
    if group.isascii():
        return group.decode()
    plus = "+" if group.startswith(b"+") else ""
    return plus + "".join(str(_VALUES[digit[-1]]) for digit in _DIGITS.findall(group))
