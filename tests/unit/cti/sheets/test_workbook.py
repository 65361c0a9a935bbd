"""Workbooks, good and hostile: rows as Excel shows them, and a clear word for what is too large or no workbook."""

import io
import json
import zipfile
from datetime import date, datetime, time
from pathlib import Path
from typing import Any

import pytest
import xlsxwriter

from cti.sheets import workbook
from cti.sheets.table import SheetError

pytestmark = pytest.mark.rule("E-08")


def made(*rows: list[Any], sheets: tuple[str, ...] = ("受付簿",), **options: Any) -> bytes:
    held = io.BytesIO()
    with xlsxwriter.Workbook(held, options) as book:
        for name in sheets:
            sheet = book.add_worksheet(name)
            forms = {date: "yyyy/m/d", datetime: "yyyy/m/d h:mm", time: "h:mm"}
            for place, row in enumerate(rows):
                for column, cell in enumerate(row):
                    form = book.add_format({"num_format": forms[type(cell)]}) if type(cell) in forms else None
                    sheet.write(place, column, cell, form)
    return held.getvalue()


def changed(data: bytes, name: str, text: bytes, *, level: int = 9) -> bytes:
    """The workbook with another part of that name."""
    held = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as old, zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED, True, level) as new:
        for part in old.infolist():
            if part.filename != name:
                new.writestr(part.filename, old.read(part))
        new.writestr(name, text)
    return held.getvalue()


SHEET = (
    b'<?xml version="1.0"?>%s<worksheet xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main">'
    b"<sheetData>%s</sheetData></worksheet>"
)
AT = datetime(2026, 4, 1, 13, 5)  # noqa: DTZ001  # a workbook has no zones
PART = "xl/worksheets/sheet1.xml"
VECTORS = Path("tests/vectors/sheets")
# Written once by xlwt 1.3.0, which nobody keeps any more: `add_sheet("受付簿")`, then `write` for each cell of LEDGER,
# days and times with a num_format_str as in `made`.
OLD = (VECTORS / "ledger.xls").read_bytes()
LEDGER: tuple[list[Any], ...] = (
    ["受付日", "受付時刻", "電話番号", "内容", "回答"],
    [date(2026, 4, 1), time(13, 5), 664581132, "断水\nいつから"], [],
    [datetime(2026, 4, 2, 9, 30), None, "06-6458-1132", "検針票の金額が先月の倍 髙﨑", 12.3456789],  # noqa: DTZ001
)  # fmt: skip
BEGIN = b"\x09\x08\x10\0\0\x06\x05\0"


def test_cells_come_as_they_are_shown() -> None:
    table = workbook.read(made(
        ["受付日", "受付時刻", "電話番号", "内容"],
        [date(2026, 4, 1), time(13, 5), 664581132, "断水\nいつから"], [AT, None, True, 12.5],
    ))  # fmt: skip
    assert [list(row) for row in table.rows] == [
        ["受付日", "受付時刻", "電話番号", "内容"], [date(2026, 4, 1), time(13, 5), 664581132, "断水\nいつから"],
        [AT, None, True, 12.5],
    ]  # fmt: skip
    assert table.how == "workbook, sheet 受付簿"


def test_what_stands_further_down_and_right_stands_where_it_is() -> None:
    rows = workbook.read(made([], [], [None, "受付日"], [None, date(2026, 4, 1)])).rows
    assert [list(row) for row in rows] == [[None, None], [None, None], [None, "受付日"], [None, date(2026, 4, 1)]]


def test_an_old_workbook_says_the_same() -> None:
    old, new = workbook.read(OLD), workbook.read(made(*LEDGER))
    assert (repr(old.rows), old.how) == (repr(new.rows), new.how)
    assert list(new.rows[3]) == LEDGER[3]


def test_days_of_an_old_workbook_from_1904_are_known() -> None:
    place = OLD.index(b"\x22\0\x02\0\0\0\x0e\0")  # Date1904, before CalcPrecision
    table = workbook.read(OLD[: place + 4] + b"\1" + OLD[place + 5 :])
    assert (table.old_days, table.rows[1][0]) == (True, date(2030, 4, 2)), "1,462 days later than from 1900"
    assert not workbook.read(OLD).old_days


@pytest.mark.parametrize(
    "cell",
    [
        b"\x05\x02\x08\0%b\x07\x01",  # BoolErr: #DIV/0!
        b"\x06\0\x18\0%b\x02\0\x2a\0\0\0\xff\xff\0\0\0\0\0\0\x02\0\x1c\x2a",  # Formula, which gave #N/A
    ],
    ids=["error", "formula"],
)
def test_an_error_in_an_old_workbook_is_said(cell: bytes) -> None:
    """In place of the number at E4, and of how the window looks, which comes after it."""
    place, length = OLD.index(b"\x03\x02\x0e\0\x03\0\x04\0"), 18 + 22
    with_error = cell % OLD[place + 4 : place + 10]
    rest = length - len(with_error) - 4
    with_error += b"\xe2\0%b%b" % (rest.to_bytes(2, "little"), bytes(rest))
    table = workbook.read(OLD[:place] + with_error + OLD[place + length :])
    assert (table.rows[3][4], ["at E4" in one for one in table.warnings]) == (None, [True])
    assert workbook.read(OLD).warnings == ()


def locked_old() -> bytes:
    """As Excel writes it: the second record says how the rest is enciphered."""
    second = OLD.index(BEGIN) + 20
    assert OLD[second : second + 4] == b"\xe1\0\x02\0"
    return OLD[:second] + b"\x2f\0" + OLD[second + 2 :]


# locked.xlsx: a workbook of two cells, encrypted once by msoffcrypto-tool 6.1.0.
@pytest.mark.parametrize("data", [locked_old(), (VECTORS / "locked.xlsx").read_bytes()], ids=["xls", "xlsx"])
def test_a_password_is_said(data: bytes) -> None:
    with pytest.raises(SheetError, match="has a password: save it without one"):
        workbook.read(data)


@pytest.mark.parametrize("length", [76, 512, 700, 1024, 3000, 4096, 4608, 5000, 5400])
def test_an_old_workbook_that_was_cut_off_is_damaged(length: int) -> None:
    with pytest.raises(SheetError, match="damaged"):
        workbook.read(OLD[:length])


def test_what_is_damaged_further_down_is_said_too(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [{"sheet": "受付簿"}, ["受付日"], {"error": "damaged"}]
    monkeypatch.setattr(workbook, "_child", lambda *_: workbook._answer(io.BytesIO(
        b"".join(json.dumps(line).encode() + b"\n" for line in lines)
    )))  # fmt: skip
    with pytest.raises(SheetError, match="damaged"):
        workbook.read(OLD)


def test_of_several_sheets_one_is_named() -> None:
    data = made(["受付日"], sheets=("四月", "五月"))
    with pytest.raises(SheetError, match="--sheet: 四月, 五月"):
        workbook.read(data)
    assert workbook.read(data, "五月").how == "workbook, sheet 五月"
    with pytest.raises(SheetError, match="no such sheet: --sheet is one of 四月, 五月"):
        workbook.read(data, "六月")


def test_a_formula_is_what_it_gave_and_an_error_is_said() -> None:
    held = io.BytesIO()
    with xlsxwriter.Workbook(held) as book:
        sheet = book.add_worksheet()
        sheet.write_formula(0, 0, '=HYPERLINK("http://x")', None, "断水")
        sheet.write_formula(3, 6, "=1/0", None, "#DIV/0!")
    table = workbook.read(held.getvalue())
    assert table.rows[0][0] == "断水"
    assert ["at G4" in one for one in table.warnings] == [True]


def test_days_from_1904_are_known() -> None:
    data = made([date(2026, 4, 1)], date_1904=True)
    assert (workbook.read(data).old_days, workbook.read(data).rows[0][0]) == (True, date(2026, 4, 1))
    assert not workbook.read(made([1])).old_days


def test_a_workbook_that_unpacks_to_too_much_is_refused_whatever_it_says_of_itself(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(workbook, "UNPACKED", 8 << 20)
    bomb = changed(made([1]), "xl/media/x.bin", bytes(64 << 20))
    assert len(bomb) < 100_000
    with pytest.raises(SheetError, match="unpacks to more than 8 MiB"):
        workbook.read(bomb)
    # It says that it is small, in both places where a ZIP says so.
    small = (1000).to_bytes(4, "little")
    lying = bomb.replace((64 << 20).to_bytes(4, "little"), small)
    assert lying != bomb
    with pytest.raises(SheetError, match="unpacks to more than 8 MiB"):
        workbook.read(lying)


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("XFD1048576", "more memory or time"), ("A1048576", "rows: import it in parts"),
        ("IV9000", "more than 200 columns"), ("ZZZ9999999", "more memory or time"),
    ],
)  # fmt: skip
def test_a_sheet_that_is_nearly_empty_and_endless_is_refused(cell: str, said: str) -> None:
    cells = b'<row r="1"><c r="A1"><v>1</v></c></row><row r="2"><c r="%s"><v>1</v></c></row>' % cell.encode()
    with pytest.raises(SheetError, match=said):
        workbook.read(changed(made([1]), PART, SHEET % (b"", cells)))


def test_nothing_outside_is_read_and_no_entity_grows(tmp_path: Any) -> None:
    secret = tmp_path / "secret"
    secret.write_text("root:x")
    for doctype, text in (
        (b'<!DOCTYPE x [<!ENTITY y SYSTEM "file://%s">]>' % str(secret).encode(), b"&y;"),
        (b"<!DOCTYPE x [<!ENTITY a 'aaaaaaaaaa'><!ENTITY b '&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;'>"
         b"<!ENTITY y '&b;&b;&b;&b;&b;&b;&b;&b;'>]>", b"&y;"),
    ):  # fmt: skip
        cells = b'<row r="1"><c r="A1" t="inlineStr"><is><t>%s</t></is></c></row>' % text
        try:
            rows = workbook.read(changed(made([1]), PART, SHEET % (doctype, cells))).rows
        except SheetError:
            continue
        assert "root" not in str(rows)
        assert len(str(rows)) < 100


@pytest.mark.parametrize(
    "data",
    [
        b"PK\x03\x04", b"PK\x03\x04" + bytes(100), workbook.OLD, workbook.OLD + bytes(4096), made([1])[:-30],
        made([1])[:200], changed(made([1]), PART, b"<x"), changed(made([1]), "xl/workbook.xml", b"\xff"),
    ],
)  # fmt: skip
def test_what_is_no_workbook_is_said(data: bytes) -> None:
    with pytest.raises(SheetError, match=r"damaged|no such sheet|memory|several"):
        workbook.read(data)


def test_a_cell_that_is_longer_than_excel_writes_is_refused() -> None:
    cells = b'<row r="2"><c r="A2" t="inlineStr"><is><t>%s</t></is></c></row>' % (b"x" * 10_000_000)
    with pytest.raises(SheetError, match="row 2: a cell of more than"):
        workbook.read(changed(made([1]), PART, SHEET % (b"", cells)))


def test_a_process_that_ends_early_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    data = made([1])
    monkeypatch.setattr(workbook.sys, "executable", "/bin/false")
    with pytest.raises(SheetError, match="more memory or time"):
        workbook.read(data)
