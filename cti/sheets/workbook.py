"""A workbook (XLSX, XLS, ODS) -> the rows of one of its sheets, read by a process that may take so much and no more.

What was packed is unpacked once here and counted: what a file says of its own size is not believed. Nothing outside of
the file is read, whatever it refers to.
"""

import io
import json
import os
import re
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import date, datetime, time, timedelta
from typing import Any, Final

from cti.i18n import _
from cti.sheets.columns import letters
from cti.sheets.table import CELL, COLUMNS, ROWS, UNPACKED, Cell, SheetError, Table

PACKED: Final = b"PK\x03\x04"
OLD: Final = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"
"""XLS, and whatever has a password."""
_PARTS: Final = 10_000
_PIECE: Final = 1 << 20
_SINCE_1904: Final = re.compile(rb"""date1904\s*=\s*["'](?:1|true)""")
_OLD_1904: Final = b"\x22\0\x02\0\x01\0\x0e\0\x02\0"
"""XLS: the record Date1904, and the head of CalcPrecision, which follows it. Found by chance, it costs a refusal."""
_OLD_WRONG: Final = re.compile(
    rb"\x05\x02\x08\0(.{4})..[\0\x07\x0f\x17\x1d\x24\x2a]\x01"
    rb"|\x06\0..(.{4})..\x02.[\0\x07\x0f\x17\x1d\x24\x2a]...\xff\xff",
    re.DOTALL,
)
"""XLS: an error that stands in a cell (BoolErr), or that a formula gave: row and column."""
_WRONG: Final = re.compile(rb"""<c\s[^<>]{0,80}?r="([A-Z]{1,3}[0-9]{1,7})"[^<>]{0,80}?\st="e\"""")
_READ: Final[Mapping[str, Callable[[str], Any]]] = {
    "d": date.fromisoformat,
    "t": time.fromisoformat,
    "m": datetime.fromisoformat,
}


def is_one(data: bytes) -> bool:
    """Whether it begins like one."""
    return data.startswith((PACKED, OLD))


def read(data: bytes, sheet: str | None = None) -> Table:
    """`sheet`: by its name; None: the only one that is shown. Raises SheetError."""
    old_days, wrong = _looked_through(data) if data.startswith(PACKED) else _old_looked_through(data)
    answer = iter(_child(data, sheet or ""))
    head = next(answer)
    rows: list[list[Cell]] = []
    for row in answer:
        rows.append([_cell(one) for one in row])
        long = next((one for one in rows[-1] if isinstance(one, str) and len(one) > CELL), None)
        if long is not None:
            raise SheetError(
                _("row {row}: a cell of more than {most} characters").format(row=len(rows), most=CELL)
            )  # fmt: skip
    said = _("a cell of the workbook holds an error (at {cell}); such cells are read as empty").format(cell=wrong)
    how = _("workbook, sheet {sheet}").format(sheet=head["sheet"])
    return Table(how=how, rows=rows, old_days=old_days, warnings=(said,) if wrong else ())


def _child(data: bytes, sheet: str) -> Iterator[Any]:
    """What `cti.sheets.inside` says: what was read, then row by row."""
    file = os.memfd_create("sheet", os.MFD_CLOEXEC)
    try:
        with os.fdopen(os.dup(file), "wb") as writing:
            writing.write(data)
        os.lseek(file, 0, os.SEEK_SET)
        command = [sys.executable, "-I", "-m", "cti.sheets.inside", sheet]
        with subprocess.Popen(command, stdin=file, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as child:
            try:
                assert child.stdout is not None  # noqa: S101  # it is a pipe
                yield from _answer(child.stdout)
            finally:
                child.kill()
    finally:
        os.close(file)


def _answer(lines: Any) -> Iterator[Any]:
    first = lines.readline()
    head = json.loads(first) if first.endswith(b"\n") else {}
    if "sheet" not in head:
        raise SheetError(_problem(head))
    yield head
    for line in lines:
        if not line.endswith(b"\n"):
            break  # ended in the middle of it
        said = json.loads(line)
        if said == "end":
            return
        if isinstance(said, dict):  # damaged further down
            raise SheetError(_problem(said))
        yield said
    raise SheetError(_problem({}))


def _problem(said: dict[str, Any]) -> str:
    """Why a workbook was not read, by what the process said before it ended."""
    names = ", ".join(said.get("sheets", ()))
    known = {
        "password": _("the workbook has a password: save it without one"),
        "sheets": _("the workbook has several sheets: name one by --sheet: {names}").format(names=names),
        "none": _("the workbook has no such sheet: --sheet is one of {names}").format(names=names),
        "rows": _("more than {most} rows: import it in parts").format(most=ROWS),
        "columns": _("more than {most} columns: delete what stands far to the right").format(most=COLUMNS),
        "damaged": _("the workbook is damaged, or no workbook: save it anew as .xlsx"),
    }
    unread = _("the workbook takes more memory or time than it may: copy the rows into a new one")
    return known.get(str(said.get("error")), unread)


def _cell(given: Any) -> Cell:
    if isinstance(given, dict):
        ((kind, value),) = given.items()
        given = timedelta(seconds=value) if kind == "s" else _READ[kind](value)
    kept: Cell = given
    return kept


def _old_looked_through(data: bytes) -> tuple[bool, str | None]:
    """As `_looked_through`, of an XLS."""
    wrong = _OLD_WRONG.search(data)
    if wrong is None:
        return _OLD_1904 in data, None
    row, column = struct.unpack("<HH", wrong[1] or wrong[2])
    return _OLD_1904 in data, f"{letters(column)}{row + 1}"


def _looked_through(data: bytes) -> tuple[bool, str | None]:
    """Whether days count from 1904, and where a cell holds an error. Raises SheetError for what is too large."""
    whole, old_days, wrong = 0, False, None
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as packed:
            parts = packed.infolist()
    except (zipfile.BadZipFile, ValueError, NotImplementedError, struct.error) as error:
        raise SheetError(_problem({"error": "damaged"})) from error
    if len(parts) > _PARTS:
        raise SheetError(_problem({"error": "damaged"}))
    for part in parts:
        before = b""
        for piece in _unpacked(data, part):
            whole += len(piece)
            if whole > UNPACKED:
                raise SheetError(
                    _("the workbook unpacks to more than {most} MiB: copy the rows into a new one").format(
                        most=UNPACKED >> 20
                    )
                )
            seen = before + piece
            if part.filename == "xl/workbook.xml":
                old_days = old_days or _SINCE_1904.search(seen) is not None
            elif wrong is None and part.filename.startswith("xl/worksheets/") and (found := _WRONG.search(seen)):
                wrong = found[1].decode()
            before = piece[-200:]
    return old_days, wrong


def _unpacked(data: bytes, part: zipfile.ZipInfo) -> Iterator[bytes]:
    """All that there is, whatever the part says of itself. Raises SheetError."""
    head = data[part.header_offset : part.header_offset + 30]
    if len(head) < 30 or not head.startswith(PACKED) or part.flag_bits & 1:
        raise SheetError(_problem({"error": "damaged"}))
    begin = part.header_offset + 30 + sum(struct.unpack("<HH", head[26:30]))
    packed = data[begin : begin + part.compress_size]
    if part.compress_type == zipfile.ZIP_STORED:
        yield packed
        return
    if part.compress_type != zipfile.ZIP_DEFLATED:
        raise SheetError(_problem({"error": "damaged"}))
    machine = zlib.decompressobj(-15)
    try:
        while not machine.eof:
            piece = machine.decompress(packed, _PIECE)
            packed = machine.unconsumed_tail
            if not piece and not packed:
                break
            yield piece
    except zlib.error as error:
        raise SheetError(_problem({"error": "damaged"})) from error
