"""What is written is text, for whoever opens it: nothing is worked out, and nothing else is in it."""

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st
from python_calamine import CalamineWorkbook

from cti.sheets.cells import guarded
from cti.sheets.writing import as_workbook, written

pytestmark = pytest.mark.rule("E-08")

FORMULAS = ["=1+1", "+81", "-2", "@x", "\t=1", "\r=1", "\n=1", " =1", "＝1", "　=HYPERLINK(1)", "\ufeff=1"]


@pytest.mark.parametrize("text", FORMULAS)
def test_what_would_be_a_formula_is_a_text(text: str) -> None:
    assert guarded(text) == f"'{text}"


@given(st.text(max_size=10))
def test_all_else_stays(text: str) -> None:
    assert guarded(text).removeprefix("'") == text.removeprefix("'")
    assert guarded(text)[:1] not in tuple("=+-@\t\r\n")


def test_csv_is_what_excel_reads() -> None:
    data = written([["a", "b"], ["=1", 'say "x",\ny'], [None, 5]], "csv")
    assert data.startswith(b"\xef\xbb\xbf")
    assert list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""))) == [
        ["a", "b"], ["'=1", 'say "x",\ny'], ["", "5"],
    ]  # fmt: skip
    assert data.count(b"\r\n") == 3


def test_a_workbook_holds_texts_alone_and_is_twice_the_same() -> None:
    rows = [["a", "b"], ["=1+1", "http://example.com"], ["0664581132", None]]
    data = written(rows, "xlsx")
    assert data == written(rows, "xlsx")
    found = CalamineWorkbook.from_filelike(io.BytesIO(data)).get_sheet_by_index(0).to_python()
    assert found == [["a", "b"], ["'=1+1", "http://example.com"], ["0664581132", ""]]
    assert b"<f>" not in data
    assert as_workbook([["a"]], {0: ["電話"]}, empty=9) != as_workbook([["a"]])
