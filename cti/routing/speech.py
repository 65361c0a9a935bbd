"""What is said of a time and of a number, as names of prompts one after the other. Pure; the words are in texts.toml.

Readings that follow no rule (ついたち, よじ, くがつ, さんじゅっぷん) are prompts of their own, so that nothing is put
together here below the day, the month, the hour and the minute.
"""

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

import phonenumbers

from policies.calendar import JST

Language = Literal["ja", "en"]

_NEAR = {0: ("today",), 1: ("tomorrow",)}
_WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_DIGITS = re.compile("[0-9]+")
_GROUP = 4  # digits at most that are said in one breath


def opening(at: datetime, now: datetime, language: Language) -> tuple[str, ...]:
    """When the centre opens, as it is said at `now`; both aware, said in Japanese time, seconds left out.

    明日 三月 一日 月曜日 午前九時 三十分; tomorrow, Monday, March, first, at nine, thirty, a.m.
    Raises ValueError for a naive time.
    """
    if at.tzinfo is None or now.tzinfo is None:
        raise ValueError("a time without a zone cannot be said in Japanese time")
    there, here = at.astimezone(JST), now.astimezone(JST)
    near = _NEAR.get((there.date() - here.date()).days, ())
    month, day = f"month-{there.month}", f"day-{there.day}"
    weekday = f"weekday-{_WEEKDAYS[there.weekday()]}"
    half, hour = ("am", "pm")[there.hour // 12], there.hour % 12
    minute = f"minute-{there.minute}"
    if language == "ja":
        return (*near, month, day, weekday, f"{half}-{hour}", *((minute,) if there.minute else ()))
    clock = (f"hour-{hour}", minute, half) if there.minute else (f"{half}-{hour}",)
    return (*near, weekday, month, day, *clock)


def number(digits: str) -> tuple[str, ...]:
    """A telephone number digit by digit, grouped as Japan writes it (06 の 6458 の 1132). Raises ValueError.

    The names are the same in both languages. What no plan knows is said in groups of four from its end.
    """
    if not _DIGITS.fullmatch(digits):
        raise ValueError(f"{digits!r} is no number of digits")
    groups = [[f"digit-{digit}" for digit in group] for group in _groups(digits)]
    return tuple(name for place, group in enumerate(groups) for name in (*(("group",) if place else ()), *group))


def _groups(digits: str) -> Iterable[str]:
    try:
        known = phonenumbers.parse(digits, "JP")
    except phonenumbers.NumberParseException:
        return _unknown(digits)
    written = phonenumbers.format_number(known, phonenumbers.PhoneNumberFormat.NATIONAL)
    groups = _DIGITS.findall(written)
    # The library takes 81 and prefixes off where it thinks it knows them; a caller hears what was dialled.
    return groups if len(groups) > 1 and "".join(groups) == digits else _unknown(digits)


def _unknown(digits: str) -> Iterable[str]:
    first = len(digits) % _GROUP
    if first == 1 and len(digits) > _GROUP:
        first += _GROUP  # no digit by itself
    rest = range(first, len(digits), _GROUP)
    return filter(None, (digits[:first], *(digits[start : start + _GROUP] for start in rest)))
