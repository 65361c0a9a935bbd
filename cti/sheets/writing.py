"""Rows -> the bytes of a CSV file or of a workbook. Nothing in them is worked out by who opens it. Pure."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Final, Literal

from cti.sheets.cells import all_guarded

Form = Literal["csv", "xlsx"]
_AT: Final = datetime(2026, 4, 1)  # noqa: DTZ001  # what XlsxWriter takes; no clock in a file that may be written twice
_STRINGS: Final = {"strings_to_formulas": False, "strings_to_numbers": False, "strings_to_urls": False}
_WIDE: Final = 18


def written(rows: Iterable[Iterable[object]], form: Form) -> bytes:
    """The first row is the headings."""
    cells = [all_guarded(row) for row in rows]
    return as_csv(cells) if form == "csv" else as_workbook(cells)


def as_csv(rows: Iterable[Sequence[str]]) -> bytes:
    """UTF-8 with a mark, by which Excel knows it, and lines that end as RFC 4180 has it."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\r\n").writerows(rows)
    return text.getvalue().encode("utf-8-sig")


def as_workbook(
    rows: Sequence[Sequence[str]], choices: Mapping[int, Sequence[str]] | None = None, *, empty: int = 0
) -> bytes:
    """Every cell is text. `choices`: what may stand in a column, of the `empty` rows that are left to be filled in."""
    import xlsxwriter  # 80 ms that no other command needs

    held = io.BytesIO()
    with xlsxwriter.Workbook(held, {"in_memory": True, **_STRINGS}) as book:
        book.set_properties({"created": _AT})
        sheet = book.add_worksheet()
        text, head = book.add_format({"num_format": "@"}), book.add_format({"bold": True, "num_format": "@"})
        width = max((len(row) for row in rows), default=0)
        if width:
            # A telephone number keeps its first 0 in a column of text.
            sheet.set_column(0, width - 1, _WIDE, text)
        sheet.freeze_panes(1, 0)
        for place, row in enumerate(rows):
            for column, cell in enumerate(row):
                sheet.write_string(place, column, cell, head if place == 0 else text)
        for column, words in (choices or {}).items():
            sheet.data_validation(len(rows), column, empty, column, {"validate": "list", "source": list(words)})
    return held.getvalue()
