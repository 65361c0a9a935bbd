"""CSV files as spreadsheets write them: what was read is what stood there, or it is said why it cannot be told."""

import contextlib
import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.sheets.table import CELL, COLUMNS, ROWS, SheetError
from cti.sheets.text import read

pytestmark = pytest.mark.rule("E-08")

ROWS_ = [["受付日", "内容"], ["2026/4/1", '断水, "いつ"から\n明日も']]


def written(rows: list[list[str]], separator: str = ",") -> str:
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=separator, lineterminator="\r\n").writerows(rows)
    return text.getvalue()


@pytest.mark.parametrize("separator", [",", "\t", ";"])
@pytest.mark.parametrize(
    ("codec", "said"),
    [("utf-8", "UTF-8"), ("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16"), ("cp932", "CP932")],
)
def test_each_encoding_and_separator_is_found(codec: str, said: str, separator: str) -> None:
    table = read(written(ROWS_, separator).encode(codec))
    assert [list(row) for row in table.rows] == ROWS_
    names = {",": "comma", "\t": "tab", ";": "semicolon"}
    assert table.how == f"CSV, {said}, {names[separator]}"


def test_half_width_katakana_that_may_be_two_things_has_to_be_said() -> None:
    data = "ﾂｱ,ﾃｴ\r\n".encode("cp932")
    assert data.decode("utf-8")
    with pytest.raises(SheetError, match="--encoding"):
        read(data)
    assert read(data, "cp932").rows[0] == ["ﾂｱ", "ﾃｴ"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"\xff\xff\xff\xfe,\xa0", "neither"), (b"\x81", "neither"), (b"\xff\xfea", "is no UTF-16"),
        (b'a,"b\r\n', "no CSV"), (b'a,"b"c\r\n', "no CSV"), (b"a,b;c,d;e;f,g\r\na", "cannot be told"),
    ],
)  # fmt: skip
def test_what_is_no_csv_is_said(data: bytes, said: str) -> None:
    with pytest.raises(SheetError, match=said):
        read(data)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a,b\n" + "x" * (CELL + 1) + ",c\n", "row 2: a cell of more"),
        ("a,b\n" + "x" * 10_000_000, "row 2"),
        ("a,b\n" + "," * COLUMNS, "columns"),
        ("a,b\n" * (ROWS + 2), "in parts"),
        ('a,b\n"' + "x" * 200_000, "row 2"),
    ],
)
def test_what_is_too_large_is_refused_by_its_row(text: str, said: str) -> None:
    with pytest.raises(SheetError, match=said):
        read(text.encode())


def test_a_nul_stays_one_for_whoever_reads_the_row() -> None:
    assert read(b"a,b\nx\x00y,z\n").rows[1] == ["x\x00y", "z"]


CELLS = st.text(
    st.characters(codec="cp932", exclude_characters="\r\x80\xa0¢£¬‖−〜\uf8f0\uf8f1\uf8f2\uf8f3"), max_size=12
)
TABLES = st.lists(st.lists(CELLS, min_size=2, max_size=2), min_size=1, max_size=5)


@given(TABLES, st.sampled_from(["utf-8-sig", "utf-16", "cp932"]))
def test_what_was_written_is_read(rows: list[list[str]], codec: str) -> None:
    whole = [["受付日", "内容"], *rows]
    assert [list(row) for row in read(written(whole).encode(codec)).rows] == whole


@given(st.binary(max_size=200))
def test_any_bytes_are_rows_or_refused(data: bytes) -> None:
    with contextlib.suppress(SheetError):
        read(data)
