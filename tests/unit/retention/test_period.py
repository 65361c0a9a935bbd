"""Periods, against days reckoned by hand from the law (民法140条, 143条)."""

from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retention.period import after, day_of, fiscal_year_after, last_day, over

DAYS = st.dates(date(1950, 1, 1), date(2400, 1, 1))


@pytest.mark.rule("L-13")
@pytest.mark.parametrize(
    ("event", "last"),
    [
        ("2026-01-15", "2026-07-15"),
        ("2026-08-27", "2027-02-27"),  # from 28 August: the day that corresponds is 28 February
        ("2026-08-28", "2027-02-28"),  # from 29 August: February has no such day, and its end counts
        ("2026-08-29", "2027-02-28"),
        ("2026-08-30", "2027-02-28"),
        ("2026-08-31", "2027-02-28"),  # from 1 September: whole months
        ("2027-08-28", "2028-02-28"),  # a leap year has the 29th
        ("2027-08-29", "2028-02-29"),
        ("2027-08-31", "2028-02-29"),
        ("2026-02-28", "2026-08-31"),  # from 1 March: whole months, and not the 28th
        ("2028-02-28", "2028-08-28"),  # from 29 February
        ("2028-02-29", "2028-08-31"),
        ("2026-04-30", "2026-10-31"),
        ("2026-12-31", "2027-06-30"),
        ("2026-06-30", "2026-12-31"),
    ],
)
def test_six_months_from_the_day_after(event: str, last: str) -> None:
    assert after(date.fromisoformat(event), 6) == date.fromisoformat(last)


@pytest.mark.rule("L-13")
@pytest.mark.parametrize(
    ("event", "last"),
    [
        ("2026-07-15", "2031-07-15"), ("2028-02-28", "2033-02-28"), ("2028-02-29", "2033-02-28"),
        ("2027-02-28", "2032-02-29"), ("2026-12-31", "2031-12-31"),
    ],
)  # fmt: skip
def test_five_years_from_the_day_after(event: str, last: str) -> None:
    assert after(date.fromisoformat(event), 60) == date.fromisoformat(last)


@pytest.mark.parametrize(("day", "first"), [("2026-03-31", "2026-04-01"), ("2026-04-01", "2027-04-01")])
def test_the_next_fiscal_year_begins(day: str, first: str) -> None:
    assert fiscal_year_after(date.fromisoformat(day)) == date.fromisoformat(first)


def test_a_day_is_japan_s_and_a_period_ends_at_midnight_there() -> None:
    assert day_of(datetime(2026, 1, 15, 14, 59, 59, tzinfo=UTC)) == date(2026, 1, 15)
    assert day_of(datetime(2026, 1, 15, 15, tzinfo=UTC)) == date(2026, 1, 16)
    assert over(date(2026, 7, 15)) == datetime(2026, 7, 15, 15, tzinfo=UTC)


@given(DAYS, st.integers(1, 240))
def test_a_period_is_never_shorter_than_its_months_and_ends_within_its_last_one(begins: date, months: int) -> None:
    last = last_day(begins, months)
    passed = (last.year - begins.year) * 12 + last.month - begins.month
    assert passed in (months - 1, months)
    following = last + timedelta(days=1)
    if following.day != begins.day:  # there was no such day: the month is over
        assert (following.day, passed) == (1, months)
        assert begins.day > last.day


@given(DAYS, st.integers(1, 240))
def test_what_begins_later_never_ends_sooner(begins: date, months: int) -> None:
    assert last_day(begins, months) <= last_day(begins + timedelta(days=1), months)
    assert last_day(begins, months) < last_day(begins, months + 1)
