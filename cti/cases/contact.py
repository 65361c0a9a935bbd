"""How a person is reached: a telephone number in any writing -> one form, or the reason why there is none. Pure (A-16).

NFKC first, so that full-width digits are digits; then libphonenumber's rules for Japan. A 184 or 186 in front (hide my
number, show it) is no part of the number and is kept beside it; 0186 is an area code (鹿角市).
"""

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Literal

import phonenumbers
from phonenumbers import NumberParseException, PhoneNumber, PhoneNumberFormat, PhoneNumberType

REGION: Final = "JP"
LONGEST: Final = 64
"""Characters that are looked at: no number in any writing is longer."""

_HIDING = re.compile(r"(184|186)(?=0[1-9])")
_EXTENSION = re.compile(r"(?:内線|ext\.?|x|#)\s*([0-9]{1,8})$", re.IGNORECASE)
_ALLOWED = re.compile(r"\+?[0-9 ()./\-]+")
# Dashes and waves that are typed for a hyphen; NFKC leaves them as they are.
_DASHES = dict.fromkeys(map(ord, "‐‑‒–—―−ー〜~"), "-")
_COSTLY = frozenset({PhoneNumberType.PREMIUM_RATE, PhoneNumberType.SHARED_COST, PhoneNumberType.UAN})
_MOBILE = frozenset({PhoneNumberType.MOBILE, PhoneNumberType.FIXED_LINE_OR_MOBILE})


class Missing(StrEnum):
    """Why a call shows no number: the four kinds of the public network."""

    WITHHELD = "withheld"
    PAYPHONE = "payphone"
    OUT_OF_AREA = "out-of-area"
    SERVICE = "service"

    @property
    def wording(self) -> str:
        """As a display shows it."""
        return {"withheld": "非通知", "payphone": "公衆電話", "out-of-area": "表示圏外", "service": "サービス競合"}[
            self
        ]


# What trunks put in place of a name or number, in lower case without spaces, hyphens and slashes.
_SAID: Final = {
    "anonymous": Missing.WITHHELD, "restricted": Missing.WITHHELD, "private": Missing.WITHHELD, "p": Missing.WITHHELD,
    "非通知": Missing.WITHHELD,
    "coinline": Missing.PAYPHONE, "coinlinepayphone": Missing.PAYPHONE, "payphone": Missing.PAYPHONE,
    "c": Missing.PAYPHONE, "公衆電話": Missing.PAYPHONE,
    "unavailable": Missing.OUT_OF_AREA, "outofarea": Missing.OUT_OF_AREA, "o": Missing.OUT_OF_AREA,
    "表示圏外": Missing.OUT_OF_AREA,
    "interactionwithotherservice": Missing.SERVICE, "serviceconflict": Missing.SERVICE, "s": Missing.SERVICE,
    "サービス競合": Missing.SERVICE,
}  # fmt: skip


class ContactError(ValueError):
    """This is no telephone number."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Contact:
    """A number as it is kept. `e164`: +81664581132. `hiding`: the 184 or 186 that stood in front of it."""

    e164: str
    extension: str | None = None
    hiding: Literal["184", "186"] | None = None

    @property
    def written(self) -> str:
        """As people write it in Japan: 06-6458-1132; of another country: +1 650-253-0000."""
        number = phonenumbers.parse(self.e164)
        home = number.country_code == phonenumbers.country_code_for_region(REGION)
        shown = phonenumbers.format_number(
            number, PhoneNumberFormat.NATIONAL if home else PhoneNumberFormat.INTERNATIONAL
        )
        return f"{shown} 内線{self.extension}" if self.extension else shown

    @property
    def dialled(self) -> str:
        """The digits that a trunk in Japan takes: 0664581132, or 010 and the country's code."""
        number = phonenumbers.parse(self.e164)
        if number.country_code == phonenumbers.country_code_for_region(REGION):
            return f"0{number.national_number}"  # NATIONAL leaves the 0 out where it does not know the number
        return f"010{self.e164[1:]}"

    @property
    def costly(self) -> bool:
        """Whether a call there may cost whoever calls: abroad, 0990, 0570, or a number that is not given out."""
        number = phonenumbers.parse(self.e164)
        home = number.country_code == phonenumbers.country_code_for_region(REGION)
        return not home or not phonenumbers.is_valid_number(number) or phonenumbers.number_type(number) in _COSTLY

    @property
    def mobile(self) -> bool:
        """Whether a person carries it: 070, 080, 090."""
        return phonenumbers.number_type(phonenumbers.parse(self.e164)) in _MOBILE


def folded(text: str) -> str:
    """Digits and hyphens as ASCII has them, whatever was typed for them."""
    return unicodedata.normalize("NFKC", text).translate(_DASHES)


def contact(text: str) -> Contact:
    """What somebody typed. Raises ContactError, whose words do not repeat it."""
    return _contact(text, phonenumbers.is_valid_number)


def _contact(text: str, good: Callable[[PhoneNumber], bool]) -> Contact:
    plain = folded(text[: LONGEST + 1]).strip()
    if len(plain) > LONGEST:
        raise ContactError(f"longer than {LONGEST} characters")
    extension = _EXTENSION.search(plain)
    number = plain[: extension.start()].strip() if extension else plain
    if not _ALLOWED.fullmatch(number):
        raise ContactError("empty" if not number else "holds something that is no part of a telephone number")
    digits = re.sub(r"[^0-9+]", "", number)
    hiding = _HIDING.match(digits)
    try:
        parsed = phonenumbers.parse(digits[hiding.end() :] if hiding else digits, REGION)
    except NumberParseException as error:
        raise ContactError("too short or too long for a telephone number") from error
    if not good(parsed):
        raise ContactError("no number that is given out: look at the digits again")
    return Contact(
        e164=phonenumbers.format_number(parsed, PhoneNumberFormat.E164),
        extension=extension[1] if extension else None,
        hiding=hiding[1] if hiding else None,  # type: ignore[arg-type]  # as the pattern has it
    )


def calling(number: str | None, name: str | None = None) -> Contact | Missing:
    """Who calls, as a trunk says it in number and name. What cannot be read counts as withheld: nobody is refused.

    A number that is not given out as far as we know is kept all the same: the network may know better.
    """
    for said in (name, number):
        key = re.sub(r"[\s/<>_-]", "", unicodedata.normalize("NFKC", (said or "")[:LONGEST])).lower()
        if key in _SAID and (said is number or number is None or not re.search(r"[0-9]{3}", number)):
            return _SAID[key]
    try:
        return _contact(number or "", phonenumbers.is_possible_number)
    except ContactError:
        return Missing.WITHHELD
