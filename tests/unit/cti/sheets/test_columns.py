"""Headings of people's own sheets: known, named by somebody, or refused by name. Nothing is lost silently."""

from collections.abc import Sequence
from typing import Any

import pytest

from cti.errors import UsageError
from cti.explain import localise
from cti.i18n import reading
from cti.sheets.columns import HEADINGS, TITLES, Columns, Field, Said, columns, field_of, folded
from cti.sheets.table import Cell, SheetError

pytestmark = pytest.mark.rule("E-08")

ROWS = [["2026/4/1", "断水", "x", "y"]]


def found(headings: Sequence[Cell], rows: Any = None, **said: Any) -> Columns:
    named = {Field(name): heading for name, heading in said.pop("named", {}).items()}
    return columns(headings, ROWS if rows is None else rows, Said(named=named, **said))


@pytest.mark.parametrize("language", ["ja", "en"])
def test_an_empty_sheet_has_headings_that_are_known(language: str) -> None:
    with reading(language):
        titles = [localise(TITLES[field]) for field in Field]
    assert [HEADINGS[folded(title)] for title in titles] == list(Field)


@pytest.mark.parametrize(
    ("heading", "field"),
    [
        ("受付日", Field.RECEIVED), (" 受付　日 ", Field.RECEIVED), ("受付日時", Field.RECEIVED),
        ("受付方法", Field.CHANNEL),
        ("経路", Field.CHANNEL), ("ＴＥＬ", Field.CONTACT), ("ﾒｰﾙ", Field.EMAIL), ("問い合わせ内容", Field.INQUIRY),
        ("処理結果", Field.RESULT), ("結果", Field.OUTCOME), ("断りの理由", Field.REASON), ("備考", Field.NOTE),
        ("受付者", Field.TAKEN_BY), ("Date received", Field.RECEIVED), ("telephone", Field.CONTACT),
    ],
)  # fmt: skip
def test_a_heading_in_any_writing(heading: str, field: Field) -> None:
    assert HEADINGS[folded(heading)] is field


def test_columns_stand_in_any_order() -> None:
    made = found(["内容", "受付日", "電話番号", "氏名"])
    assert made.of == {Field.INQUIRY: 0, Field.RECEIVED: 1, Field.CONTACT: 2, Field.NAME: 3}


def test_what_nobody_knows_is_named_and_refused_unless_somebody_says_what_becomes_of_it() -> None:
    headings = ["受付日", "内容", "天気", "機嫌"]
    with pytest.raises(SheetError, match=r"天気, 機嫌.*--keep HEADING"):
        found(headings)
    with pytest.raises(SheetError, match=r"nobody knows: 機嫌;"):
        found(headings, ignored=["天気"])
    assert found(headings, ignored=["機嫌"], kept=["天気"]).kept == [("天気", 2)]
    assert found(headings, ignored=["機嫌"], named={"name": "天気"}).of[Field.NAME] == 2
    with pytest.raises(UsageError, match="--ignore: no column '気分'"):
        found(headings, ignored=["気分"])


def test_a_field_that_is_named_is_not_looked_for() -> None:
    with pytest.raises(SheetError, match="nobody knows: 内容;"):
        found(["受付日", "内容", "詳細"], [["2026/4/1", "断水", "x"]], named={"inquiry": "詳細"})


def test_of_two_columns_of_one_field_somebody_says_which() -> None:
    headings = ["受付日", "内容", "問合せ内容"]
    rows = [["2026/4/1", "a", "b"]]
    with pytest.raises(SheetError, match=r"several columns are inquiry: 内容 \(B\), 問合せ内容 \(C\)"):
        found(headings, rows)
    assert found(headings, rows, named={"inquiry": "(C)"}, kept=["(b)"]).of[Field.INQUIRY] == 2
    twice = ["受付日", "内容", "内容"]
    with pytest.raises(SheetError, match="several columns are inquiry"):
        found(twice, rows)
    with pytest.raises(UsageError, match=r"name one of \(B\), \(C\)"):
        found(twice, rows, named={"inquiry": "内容"})
    assert found(twice, rows, named={"inquiry": "(B)"}, ignored=["(C)"]).of[Field.INQUIRY] == 1


def test_a_column_without_a_heading_is_nothing_only_if_it_is_empty() -> None:
    assert found(["受付日", "内容", None, ""], [["2026/4/1", "断水", None, " "]]).of.keys() == {
        Field.RECEIVED, Field.INQUIRY,
    }  # fmt: skip
    with pytest.raises(SheetError, match=r"nobody knows: \(D\);"):  # of merged headings only the first has its text
        found(["受付日", "内容", None, None], [["2026/4/1", "断水", None, "x"]])
    with pytest.raises(SheetError, match=r"nobody knows: \(C\);"):
        found(["受付日", "内容"], [["2026/4/1", "断水", "beside the table"]])


def test_what_is_needed_is_asked_for() -> None:
    with pytest.raises(SheetError, match=r"no column is received, inquiry:.*--header-row"):
        found(["氏名"], [["山田"]])


def test_a_field_is_said_by_its_name_or_a_heading() -> None:
    assert field_of("received-by") is Field.RECEIVED_BY
    assert field_of("内容") is Field.INQUIRY
    with pytest.raises(UsageError, match="none of reference, received"):
        field_of("天気")
