"""The process that opens a workbook: `python -m cti.sheets.inside SHEET < FILE`, one line of JSON a row.

Somebody else's bytes go through somebody else's parser: it may take so much memory and time, and writes no file.
"""

import json
import re
import resource
import sys
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from io import BytesIO
from typing import Any, Final

from python_calamine import CalamineError, CalamineWorkbook, PasswordError, SheetTypeEnum, SheetVisibleEnum

from cti.sheets.table import COLUMNS, ROWS

MEMORY: Final = 2 << 30
"""Bytes of address space: 100,000 rows of 20 columns take a fifth of it."""
SECONDS: Final = 120
_LOCKED: Final = re.compile(
    rb"%b|\x09\x08(?:\x10\0\0\x06.{14}|\x08\0\0\x05.{6})(?:\x86\0\0\0)?\x2f\0" % "EncryptedPackage".encode("utf-16-le"),
    re.DOTALL,
)
"""The part of a locked XLSX, or in XLS a record FILEPASS first of all: the parser says of both that it knows no such
format."""


def main(sheet: str) -> None:
    """Say what is in it: `{"sheet": …}`, each row, `"end"`; or `{"error": …}`."""
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_FSIZE, 0),
    ):  # fmt: skip
        resource.setrlimit(limit, (value, value))
    data = sys.stdin.buffer.read()
    try:
        _read(CalamineWorkbook.from_filelike(BytesIO(data)), sheet)
    except PasswordError:
        _say({"error": "password"})
    except CalamineError:
        _say({"error": "password" if _LOCKED.search(data) else "damaged"})
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of Rust, which no module exports: an XLS that was cut off
            raise
        _say({"error": "damaged"})


def _read(workbook: CalamineWorkbook, sheet: str) -> None:
    shown = [
        one.name
        for one in workbook.sheets_metadata
        if one.typ == SheetTypeEnum.WorkSheet and one.visible == SheetVisibleEnum.Visible
    ]
    if sheet not in workbook.sheet_names and (sheet or len(shown) != 1):
        _say({"error": "none" if sheet else "sheets", "sheets": workbook.sheet_names})
        return
    found = workbook.get_sheet_by_name(sheet or shown[0])
    start, end = found.start or (0, 0), found.end or (0, 0)
    if end[0] > ROWS:
        _say({"error": "rows"})
    elif end[1] >= COLUMNS:
        _say({"error": "columns"})
    else:
        _say({"sheet": found.name})
        for row in found.iter_rows() if found.start else ():
            _say([None] * start[1] + _plain(row))
        _say("end")


def _plain(row: Sequence[Any]) -> list[Any]:
    return [_cell(one) for one in row]


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return {"m": value.isoformat()}
    if isinstance(value, date):
        return {"d": value.isoformat()}
    if isinstance(value, time):
        return {"t": value.isoformat()}
    if isinstance(value, timedelta):
        return {"s": value.total_seconds()}
    return None if value == "" else value


def _say(what: Any) -> None:
    sys.stdout.write(json.dumps(what) + "\n")


if __name__ == "__main__":
    main(sys.argv[1])
