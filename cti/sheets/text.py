"""Bytes of a CSV file -> its rows. Encoding and separator are found out strictly, or have to be said. Pure."""

import csv
import io
from collections.abc import Iterator
from typing import Final

from cti.i18n import _
from cti.sheets.table import CELL, COLUMNS, ROWS, Row, SheetError, Table

ENCODINGS: Final = {"utf-8": "utf-8-sig", "utf-16": "utf-16", "cp932": "cp932"}
"""What may be said, and the codec of it."""
_MARKS: Final = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))
_NEVER: Final = frozenset("\x80\xa0\uf8f0\uf8f1\uf8f2\uf8f3")
"""What Python makes of bytes that CP932 does not have."""
SEPARATORS: Final = ",\t;"


def read(data: bytes, encoding: str | None = None) -> Table:
    """`encoding`: one of `ENCODINGS`; None: found out. Raises SheetError."""
    found = encoding or _encoding(data)
    text = _decoded(data, found)
    if text is None:
        raise SheetError(
            _("is no {encoding}: save the file as CSV UTF-8, or name what it is by --encoding").format(
                encoding=found.upper()
            )
        )
    separator = _separator(text)
    rows = list(_rows(text, separator))
    names = {",": _("comma"), "\t": _("tab"), ";": _("semicolon")}
    return Table(how=f"CSV, {found.upper()}, {names[separator]}", rows=rows)


def _encoding(data: bytes) -> str:
    """What it is and nothing else can be. Raises SheetError."""
    for mark, name in _MARKS:
        if data.startswith(mark):
            return name
    as_utf8, as_cp932 = _decoded(data, "utf-8"), _decoded(data, "cp932")
    if as_utf8 is None and as_cp932 is None:
        raise SheetError(_("neither UTF-8 nor CP932 (Shift_JIS): save the file as CSV UTF-8"))
    if as_utf8 is None:
        return "cp932"
    # Half-width katakana of CP932 are letters of other languages in UTF-8; Japanese in UTF-8 begins at U+2000.
    if as_cp932 is not None and not as_utf8.isascii() and max(as_utf8) < "\u2000":
        raise SheetError(_("may be UTF-8 or CP932 (Shift_JIS): name which by --encoding"))
    return "utf-8"


def _decoded(data: bytes, encoding: str) -> str | None:
    try:
        text = data.decode(ENCODINGS[encoding])
    except UnicodeDecodeError:
        return None
    return None if encoding == "cp932" and _NEVER & set(text) else text


def _separator(text: str) -> str:
    """By the first line that has one. Raises SheetError."""
    counts = dict.fromkeys(SEPARATORS, 0)
    for line in text.splitlines()[:20]:
        counts = {one: _count(line, one) for one in SEPARATORS}
        if max(counts.values()) > 1:
            break
    best = max(counts.values(), default=0)
    wide = [one for one, count in counts.items() if count == best]
    if best > 1 and len(wide) > 1:
        raise SheetError(_("comma, tab or semicolon: it cannot be told which separates the columns"))
    return wide[0]


def _count(line: str, separator: str) -> int:
    """Cells of a line, if that separates them."""
    try:
        return len(next(csv.reader([line], delimiter=separator), []))
    except csv.Error:
        return 0


def _rows(text: str, separator: str) -> Iterator[Row]:
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    count = 0
    try:
        for row in reader:
            count += 1
            if count > ROWS + 1:
                raise SheetError(_("more than {most} rows: import it in parts").format(most=ROWS))
            if len(row) > COLUMNS:
                raise SheetError(_("row {row}: more than {most} columns").format(row=count, most=COLUMNS))
            if any(len(cell) > CELL for cell in row):
                raise SheetError(_("row {row}: a cell of more than {most} characters").format(row=count, most=CELL))
            yield row
    except csv.Error as error:
        raise SheetError(
            _(
                "row {row}: no CSV, a quotation mark is missing or stands where none can be, or a cell is too long"
            ).format(row=count + 1)
        ) from error
