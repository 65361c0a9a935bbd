"""A sheet as it was read, and how large one may be. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from typing import Final

from cti.errors import KikitoriError

FILE: Final = 64 << 20
"""Bytes of a file."""
UNPACKED: Final = 512 << 20
"""Bytes of what a workbook holds, unpacked: fifty thousand full rows have about 60 MB."""
ROWS: Final = 100_000
COLUMNS: Final = 200
CELL: Final = 32_767
"""Characters of a cell: more Excel cannot write."""

Cell = str | int | float | bool | date | datetime | time | timedelta | None
Row = Sequence[Cell]


class SheetError(KikitoriError):
    """A sheet cannot be read."""

    code = "sheet"
    status = 65


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """All rows of a sheet, from its first line on. `how`: as what it was read, for people.

    `old_days`: its days are counted from 1904. `warnings`: what was read as nothing.
    """

    how: str
    rows: Sequence[Row]
    old_days: bool = False
    warnings: Sequence[str] = ()


def blank(cell: Cell) -> bool:
    """Whether nothing stands there."""
    return cell is None or (isinstance(cell, str) and not cell.strip())
