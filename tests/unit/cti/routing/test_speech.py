"""Times and numbers as they are spoken: no reading is put together, no instant and no number is without words."""

from datetime import UTC, datetime, timedelta, timezone
from itertools import pairwise
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.prompts import Language, texts
from cti.routing.speech import JST, number, opening

LANGUAGES = get_args(Language)
FIRST, LAST = (datetime(year, 1, 1) for year in (2000, 2100))  # noqa: DTZ001  # hypothesis adds the zone
instants = st.datetimes(FIRST, LAST, timezones=st.timezones() | st.just(JST))
NOW = datetime(2025, 12, 29, 18, 0, tzinfo=JST)


def jst(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=JST)  # type: ignore[arg-type, misc]


def said(names: tuple[str, ...], language: Language) -> str:
    """The words, one after the other."""
    between = "" if language == "ja" else " "
    return between.join(texts()[name].words(language) or "" for name in names)


@pytest.mark.parametrize(
    ("at", "japanese", "english"),
    [
        (jst(2025, 12, 30, 9), "明日十二月三十日火曜日午前九時", "tomorrow Tuesday December thirtieth at nine a.m."),
        (jst(2025, 12, 29, 19), "本日十二月二十九日月曜日午後七時", "today Monday December twenty-ninth at seven p.m."),
        (jst(2026, 1, 5, 9, 30), "一月五日月曜日午前九時三十分", "Monday January fifth at nine thirty a.m."),
        (jst(2026, 4, 1, 12), "四月一日水曜日午後零時", "Wednesday April first at noon"),
        (jst(2026, 7, 20, 0), "七月二十日月曜日午前零時", "Monday July twentieth at midnight"),
        (jst(2026, 9, 4, 12, 5), "九月四日金曜日午後零時五分", "Friday September fourth at twelve oh five p.m."),
        (jst(2026, 9, 6, 0, 59), "九月六日日曜日午前零時五十九分", "Sunday September sixth at twelve fifty-nine a.m."),
        (jst(2026, 2, 14, 23, 1), "二月十四日土曜日午後十一時一分",
         "Saturday February fourteenth at eleven oh one p.m."),
    ],
)  # fmt: skip
def test_an_opening(at: datetime, japanese: str, english: str) -> None:
    assert said(opening(at, NOW, "ja"), "ja") == japanese
    assert said(opening(at, NOW, "en"), "en") == english


def test_today_and_tomorrow_are_those_of_japan() -> None:
    at = datetime(2025, 12, 30, 0, tzinfo=UTC)
    assert opening(at, datetime(2025, 12, 29, 14, 59, tzinfo=UTC), "ja")[0] == "tomorrow"
    assert opening(at, datetime(2025, 12, 29, 15, 0, tzinfo=UTC), "ja")[0] == "today"
    assert opening(at, datetime(2025, 12, 28, 14, 59, tzinfo=UTC), "ja")[0] == "month-12"
    assert opening(at, datetime(2025, 12, 30, 15, 0, tzinfo=UTC), "ja")[0] == "month-12", "yesterday has no word"


def test_the_zone_that_a_time_comes_in_changes_nothing() -> None:
    at = jst(2026, 1, 5, 9)
    west = timezone(timedelta(hours=-8))
    assert opening(at.astimezone(west), NOW.astimezone(west), "en") == opening(at, NOW, "en")


def test_a_time_without_a_zone_is_refused() -> None:
    naive = NOW.replace(tzinfo=None)
    for at, now in ((naive, NOW), (NOW, naive)):
        with pytest.raises(ValueError, match="without a zone"):
            opening(at, now, "ja")


@given(at=instants, now=instants, language=st.sampled_from(LANGUAGES))
def test_every_instant_has_its_words(at: datetime, now: datetime, language: Language) -> None:
    names = opening(at, now, language)
    assert all(texts()[name].words(language) for name in names)
    local = at.astimezone(JST)
    assert f"month-{local.month}" in names
    assert f"day-{local.day}" in names
    assert (f"minute-{local.minute}" in names) == (local.minute != 0)


@given(at=instants, later=st.timedeltas(timedelta(), timedelta(days=60)), language=st.sampled_from(LANGUAGES))
def test_what_is_said_tells_two_minutes_apart(at: datetime, later: timedelta, language: Language) -> None:
    first, second = (moment.astimezone(JST).replace(second=0, microsecond=0) for moment in (at, at + later))
    assert (opening(at, at, language) == opening(at + later, at, language)) == (first == second)


@pytest.mark.parametrize(
    ("digits", "groups"),
    [
        ("0664581132", "06 6458 1132"),
        ("0312345678", "03 1234 5678"),
        ("0721251234", "0721 25 1234"),
        ("0725331234", "0725 33 1234"),
        ("09012345678", "090 1234 5678"),
        ("05031234567", "050 3123 4567"),
        ("0120123456", "0120 123 456"),
        ("0570012345", "0570 012 345"),
        ("110", "110"),
        ("7", "7"),
        ("2001", "2001"),
        ("20015", "20015"),
        ("200156", "20 0156"),
        ("81664581132", "816 6458 1132"),
        ("1860664581132", "18606 6458 1132"),
        ("12345678901234567890", "1234 5678 9012 3456 7890"),
    ],
)
def test_a_number_is_grouped_as_it_is_written(digits: str, groups: str) -> None:
    names = number(digits)
    assert "".join(" " if name == "group" else name.removeprefix("digit-") for name in names) == groups


def test_a_number_as_it_is_heard() -> None:
    assert said(number("0664581132"), "ja") == "ゼロロクのロクヨンゴーハチのイチイチサンニー"


@given(digits=st.text("0123456789", min_size=1, max_size=20), language=st.sampled_from(LANGUAGES))
def test_every_number_is_said_digit_by_digit(digits: str, language: Language) -> None:
    names = number(digits)
    assert all(texts()[name].words(language) is not None for name in names)
    assert "".join(name.removeprefix("digit-") for name in names if name != "group") == digits
    assert "group" not in (names[0], names[-1])
    assert ("group", "group") not in pairwise(names)


@given(national=st.text("0123456789", min_size=8, max_size=9))
def test_no_group_of_a_telephone_number_is_long(national: str) -> None:
    names = number(f"0{national}")
    groups = " ".join(names).split(" group ")
    assert max(len(group.split()) for group in groups) <= 5


@pytest.mark.parametrize("digits", ["", "+81664581132", "06-6458-1132", "０６", "anonymous", "1 "])
def test_what_is_no_number_is_refused(digits: str) -> None:
    with pytest.raises(ValueError, match="is no number of digits"):
        number(digits)
