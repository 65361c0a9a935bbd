"""The Cabinet Office's table against the law as another library has it, and what is wrong with other files."""

import shutil
from datetime import date
from pathlib import Path

import holidays as law
import pytest

from policies.calendar import HolidayKind
from policies.errors import PolicyError
from policies.holidays import Holidays, changes, parse_forecast, parse_table
from policies.load import Policies, shipped

KNOWN = Policies(shipped()).holidays
LAW = law.country_holidays("JP", years=range(1955, 2051), language="ja")
# One-off holidays, and one that was renamed in the year before its name changed: the table writes both names.
RENAMED = {date(2019, 5, 1), date(2019, 10, 14), date(2019, 10, 22)}


def kind_of(name: str | None) -> HolidayKind | None:
    if name is None:
        return None
    return HolidayKind(name) if name in ("振替休日", "国民の休日") else HolidayKind.NATIONAL


@pytest.mark.rule("L-12", "A-10")
@pytest.mark.parametrize("year", range(1955, 2051))
def test_each_day_of_the_year_is_what_the_law_makes_it(year: int) -> None:
    days = {day for day in KNOWN.days if day.year == year} | {day for day in LAW if day.year == year}
    for day in days:
        found, name = KNOWN.on(day), LAW.get(day)
        assert (found and found.kind) == kind_of(name), day
        if day not in RENAMED:
            assert (found and found.name) == name, day


def test_the_years_behind_the_table_are_a_forecast_and_then_nothing_is_known() -> None:
    assert [KNOWN.certainty(year) for year in (1954, 1955, 2025, 2026, 2050, 2051)] == [
        *("unknown", "table", "table", "forecast", "forecast", "unknown")
    ]
    holiday = KNOWN.on(date(2027, 1, 1))
    assert holiday is not None
    assert holiday.forecast


def test_a_newer_table_takes_the_place_of_the_forecast() -> None:
    table = "見出し,名称\r\n2026/1/1,元日\r\n2026/1/12,成人の日\r\n".encode("cp932")
    forecast = [day for day in KNOWN.days.values() if day.forecast]
    newer = Holidays([*(day for day in KNOWN.days.values() if not day.forecast), *parse_table(table, "t")], forecast)
    assert newer.certainty(2026) == "table"
    found = changes(KNOWN, newer)
    assert {change.day.year for change in found} == {2026}
    assert date(2026, 1, 1) not in {change.day for change in found}
    assert date(2026, 2, 11) in {change.day for change in found if change.after is None}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no day in it"),
        ("h,h\n2026/1/1,元日\n".encode(), "encoding"),
        ("h,h\n2026/13/1,元日\n".encode("cp932"), "t:2.*is no day"),
        ("h,h\n2026/1/1\n".encode("cp932"), "t:2.*a day and its name"),
        ("h,h\n2026/1/2,元日\n2026/1/1,元日\n".encode("cp932"), "t:3.*does not come after"),
        ("h,h\n2026/6/3,休日\n".encode("cp932"), "neither 振替休日 nor 国民の休日"),
    ],
)
def test_what_is_not_the_table_is_refused(data: bytes, says: str) -> None:
    with pytest.raises(PolicyError, match=says):
        parse_table(data, "t")


def test_a_forecast_that_cannot_be_read_is_named() -> None:
    with pytest.raises(PolicyError, match="f:2"):
        parse_forecast("day,kind,name\n2026-01-01,祭日,元日\n", "f")


def test_a_table_that_was_changed_is_not_used(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(shipped(), folder)
    table = folder / "syukujitsu.csv"
    table.write_bytes(table.read_bytes().replace("元日".encode("cp932"), "元旦".encode("cp932"), 1))
    with pytest.raises(PolicyError, match="sha256"):
        _ = Policies(folder).holidays
