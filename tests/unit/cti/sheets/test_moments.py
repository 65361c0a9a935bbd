"""Days and times as people write them: what is meant, or a refusal, and never a guess."""

import contextlib
from datetime import date, datetime, time, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.sheets.moments import UnclearError, clock, day

pytestmark = pytest.mark.rule("E-08")

APRIL = date(2026, 4, 1)
DAYS = st.dates(date(1990, 1, 1), date(2099, 12, 31))


@pytest.mark.parametrize(
    "text",
    [
        "2026/4/1", "2026-04-01", "2026.4.1", "2026年4月1日", "２０２６年４月１日", "20260401", " 2026/04/01 ",
        "令和8年4月1日",
        "令和８年４月１日(水)", "R8.4.1", "R8/4/1", "r08-04-01", "令8.4.1", "㋿8年4月1日", "2026年 4月 1日",
        "2026/4/1(水)",
        "2026/4/1（水曜日）", "46113", 46113, 46113.0, 20260401, APRIL, datetime(2026, 4, 1),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_day_in_any_writing(text: Any) -> None:
    assert day(text) == (APRIL, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("2026/4/1 13:05", time(13, 5)), ("2026-04-01T13:05:30", time(13, 5, 30)),
        ("令和8年4月1日13時5分", time(13, 5)),
        ("R8.4.1　午後1時5分", time(13, 5)), ("2026/4/1(水)13:05", time(13, 5)), ("2026/4/1 0:00", time(0)),
        (46113.5, time(12)), ("46113.545139", time(13, 5)),
        (datetime(2026, 4, 1, 13, 5), time(13, 5)),  # noqa: DTZ001
    ],
)  # fmt: skip
def test_a_day_with_its_time(text: Any, at: time) -> None:
    assert day(text) == (APRIL, at)


@pytest.mark.parametrize(
    "text",
    [
        "2026/2/29", "2026/13/1", "2026/4/31", "2026/0/1", "令和8年2月29日", "令和0年4月1日", "平成31年5月1日",
        "昭和64年1月8日",
        "令和元年4月30日", "26/4/1", "8/4/1", "8.4.1", "4/1", "4月1日", "4/1/2026", "1.4.2026", "2026/4.1", "2026/4",
        "2026",
        "2026/4/1 25:00", "2026/4/1 24:00", "2026/4/1 13:60", "2026/4/113:05", "2026/4/1x", "2026/4/1(火)",
        "昨日", "", "-",
        "46113円", "2026/4/1 午後13時", "2026/4/1 午後12:30", True, 0.5, 1.0, 99999, 2026, -1, 1e300,
        float("nan"), time(1),
        timedelta(1), None, "T8.4.1", "2026/4/1/2", "20261301", "99990101",
    ],
)  # fmt: skip
def test_what_is_no_day_or_several_is_refused(text: Any) -> None:
    with pytest.raises(UnclearError):
        day(text)


def test_numbers_of_a_workbook_that_counts_from_1904_are_no_days() -> None:
    with pytest.raises(UnclearError, match="1904"):
        day(46113.0, old=True)
    assert day(APRIL, old=True) == (APRIL, None)


@pytest.mark.parametrize(
    ("text", "at"),
    [
        ("13:05", time(13, 5)), ("１３：０５", time(13, 5)), ("9:05", time(9, 5)), ("13時5分", time(13, 5)),
        ("13時", time(13)),
        ("13時半", time(13, 30)), ("午前9時", time(9)), ("午後 1:05", time(13, 5)), ("1:05 PM", time(13, 5)),
        ("12:05 AM", time(0, 5)), ("12:05pm", time(12, 5)), (0.5, time(12)), (time(13, 5), time(13, 5)),
        (timedelta(hours=13), time(13)), ("午前0時", time(0)),
    ],
)  # fmt: skip
def test_a_time_in_any_writing(text: Any, at: time) -> None:
    assert clock(text) == at


@pytest.mark.parametrize(
    "text",
    ["25:00", "24:00", "13:60", "1305", "13", "午後", "午前12時", "13:05 PM", "午後1:05 PM", "", None, True, 1,
     1.5, 930,
     timedelta(hours=25), "13:5", "1:2:3", "13時60分"],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: Any) -> None:
    with pytest.raises(UnclearError):
        clock(text)


@given(DAYS)
def test_each_day_is_itself_in_each_writing(on: date) -> None:
    serial = (on - date(1899, 12, 30)).days
    for text in (
        f"{on:%Y/%m/%d}",
        on.isoformat(),
        f"{on.year}年{on.month}月{on.day}日",
        f"{on:%Y%m%d}",
        str(serial),
        serial,
    ):
        assert day(text) == (on, None)
    era, first = ("令和", 2018) if on >= date(2019, 5, 1) else ("平成", 1988)
    number = on.year - first
    for said in (str(number), "元") if number == 1 else (str(number),):
        assert day(f"{era}{said}年{on.month}月{on.day}日") == (on, None)
    assert day(f"{era[0]}{number}.{on.month}.{on.day}") == (on, None)


@given(st.one_of(st.text(max_size=30), st.floats(), st.integers(), st.from_regex(r"[0-9RH令和年月日/.: -]{1,16}")))
def test_whatever_stands_there_is_a_day_or_refused(text: Any) -> None:
    for read in (day, clock):
        with contextlib.suppress(UnclearError):
            read(text)
