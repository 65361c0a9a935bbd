"""A row is what stands in it: where that is not clear, the row is refused by its column."""

from datetime import date, datetime, time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.cases.acts import Channel, Outcome
from cti.cases.contact import Missing
from cti.sheets.columns import Columns, Field
from cti.sheets.rows import RowError, Unsaid, stated
from policies.calendar import JST

pytestmark = pytest.mark.rule("E-08")

PHONE = Unsaid(channel=Channel.PHONE, at=time(9))
AT = datetime(2026, 4, 1, 13, 5, tzinfo=JST)


def made(unsaid: Unsaid = PHONE, kept: dict[str, Any] | None = None, **cells: Any) -> dict[str, Any]:
    given = {"received": "2026/4/1 13:05", "inquiry": "断水"} | {name.replace("_", "-"): cells[name] for name in cells}
    row = [*given.values(), *(kept or {}).values()]
    of = {Field(name): place for place, name in enumerate(given)}
    return stated(row, Columns(of=of, kept=[(name, len(given) + n) for n, name in enumerate(kept or {})]), unsaid)


def refused(unsaid: Unsaid = PHONE, **cells: Any) -> tuple[str, str]:
    with pytest.raises(RowError) as error:
        made(unsaid, **cells)
    return error.value.field, error.value.problem


def test_a_whole_row() -> None:
    row = made(
        Unsaid(), {"天気": "雨"}, received=date(2026, 4, 1), time=time(13, 5), channel="ファクス", received_by="CC",
        name="ﾔﾏﾀﾞ ﾀﾛｳ", contact="06−6458−1132", email="a@example.jp", address="大阪市", category="漏水", main="給水課",
        related="庶務課、料金課", result="案内した", answered="令和8年4月2日", answered_time="10:00", reply="電話",
        wish="電話がよい", outcome="断り", reason="条例による", reference=12, taken_by="田中", answered_by="佐藤",
        note="また電話あり",
    )  # fmt: skip
    assert row == {
        "channel": Channel.FAX, "received_at": AT, "name": "ﾔﾏﾀﾞ ﾀﾛｳ", "email": "a@example.jp", "address": "大阪市",
        "inquiry": "断水", "category": "漏水", "main": "給水課", "wish": "電話がよい", "contact": "06−6458−1132",
        "received_by": "cc", "related": ["庶務課", "料金課"], "outcome": Outcome.DECLINED,
        "result": "案内した\n条例による",
        "answered_at": datetime(2026, 4, 2, 10, tzinfo=JST), "reply": Channel.PHONE,
        "notes": ["受付番号: 12", "受付者: 田中", "回答者: 佐藤", "また電話あり", "天気: 雨"],
    }  # fmt: skip


def test_what_is_not_answered_is_not_answered() -> None:
    assert made() == {"channel": Channel.PHONE, "received_at": AT, "inquiry": "断水"}


def test_a_day_without_a_time_is_refused_unless_one_is_said_and_then_the_case_says_so() -> None:
    field, problem = refused(Unsaid(channel=Channel.PHONE), received="2026/4/1")
    assert (field, "--time" in problem) == ("time", True)
    row = made(received="2026/4/1")
    assert row["received_at"] == datetime(2026, 4, 1, 9, tzinfo=JST)
    assert row["notes"] == ["表に受付時刻がないため 09:00 とした"]
    # An answer of the same day lies not before its question.
    assert made(result="済", answered="2026/4/1")["answered_at"] == AT
    assert made(result="済", answered="2026/4/2")["answered_at"] == datetime(2026, 4, 2, 9, tzinfo=JST)


def test_a_time_stands_once_or_twice_the_same() -> None:
    assert made(time="13:05")["received_at"] == AT
    assert refused(time="13:06")[0] == "time"


@pytest.mark.parametrize(
    ("cells", "field"),
    [
        ({"received": None}, "received"), ({"received": "4/1"}, "received"), ({"received": "2026/2/29"}, "received"),
        ({"received": "2026/4/1", "time": "25:00"}, "time"), ({"inquiry": " "}, "inquiry"),
        ({"channel": "伝書鳩"}, "channel"),
        ({"result": "済"}, "answered"), ({"outcome": "完了"}, "answered"), ({"reply": "電話"}, "reply"),
        ({"outcome": "調査中"}, "outcome"), ({"outcome": "回答", "reason": "条例", "answered": "2026/4/2"}, "reason"),
        ({"answered_time": "10:00"}, "answered-time"), ({"result": "済", "answered": "2日"}, "answered"),
        ({"contact": 12345}, "contact"), ({"contact": "64581132"}, "contact"), ({"contact": 1e15}, "contact"),
        ({"note": 12345678901234567890.0}, "note"), ({"note": float("nan")}, "note"),
        ({"result": "済", "answered": "2026/4/2", "reply": "狼煙"}, "reply"),
    ],
)  # fmt: skip
def test_what_is_not_clear_is_refused_by_its_column(cells: dict[str, Any], field: str) -> None:
    assert refused(**cells)[0] == field


def test_how_it_came_in_is_said_or_asked_for() -> None:
    assert refused(Unsaid())[0] == "channel"
    assert made(Unsaid(channel=Channel.PHONE), channel="来庁")["channel"] is Channel.VISIT


def test_an_answer_without_a_day_is_refused_unless_it_was_at_once() -> None:
    row = made(Unsaid(channel=Channel.PHONE, at_once=True), result="案内した")
    assert (row["answered_at"], row["outcome"]) == (AT, Outcome.ANSWERED)
    assert row["notes"] == ["表に回答日がないため、受付時に回答したものとした"]
    assert "answered_at" not in made(outcome="取下げ", result="不要になった")


@pytest.mark.parametrize(
    ("cell", "contact"),
    [
        (664581132.0, "0664581132"), (9012345678, "09012345678"), ("664581132", "0664581132"),
        ("06-6458-1132", "06-6458-1132"), ("+81 6 6458 1132", "+81 6 6458 1132"),
        ("６６４５８１１３２", "６６４５８１１３２"),
    ],
)  # fmt: skip
def test_a_number_gets_the_0_back_that_a_spreadsheet_took(cell: Any, contact: str) -> None:
    assert made(contact=cell)["contact"] == contact


@pytest.mark.parametrize(("cell", "missing"), [("非通知", Missing.WITHHELD), ("公衆電話", Missing.PAYPHONE)])
def test_that_there_is_no_number_is_a_word(cell: str, missing: Missing) -> None:
    assert made(contact=cell)["missing"] is missing


def test_cells_that_are_no_text_come_as_they_are_shown() -> None:
    row = made(kept={"a": 12.0, "b": 12.5, "c": date(2026, 4, 1), "d": True, "e": None, "f": "=1+1"})
    assert row["notes"] == ["a: 12", "b: 12.5", "c: 2026-04-01", "d: True", "f: =1+1"]


CELLS = st.one_of(st.none(), st.text(max_size=20), st.integers(), st.floats(), st.booleans(), st.dates(), st.times())


@given(st.dictionaries(st.sampled_from(list(Field)), CELLS))
def test_any_cells_are_a_row_or_refused(cells: dict[Field, Any]) -> None:
    columns = Columns(of={field: place for place, field in enumerate(cells)}, kept=[])
    try:
        row = stated(list(cells.values()), columns, PHONE)
    except RowError:
        return
    assert row["inquiry"]
    assert not {"consent", "read_back", "promised"} & row.keys()
