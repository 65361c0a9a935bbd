"""`kikitori case import` and `kikitori case template`: sheets that people kept become cases. By a session alone."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from datetime import time
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final
from uuid import uuid4

import typer

from cti.cases.acts import Channel
from cti.cases.rows import question, whole
from cti.cli.common import Json, err, out, say_json
from cti.cli.importreport import Line, bar, say, write
from cti.cli.session import at_api
from cti.errors import UsageError
from cti.explain import localise
from cti.i18n import _, reader
from cti.sheets import text, workbook
from cti.sheets.columns import TITLES, Columns, Field, Said, columns, field_of
from cti.sheets.moments import UnclearError, clock
from cti.sheets.rows import CHANNELS, OUTCOMES, RowError, Unsaid, stated
from cti.sheets.table import FILE, ROWS, Row, SheetError, Table, blank
from cti.sheets.writing import as_csv, as_workbook
from recorder.export import whole_file

if TYPE_CHECKING:
    from cti.api.importshapes import ImportRow

REQUEST: Final = 60_000
"""Bytes of the rows of one request; the desk takes 64 KiB."""
_FIELDS: Final = {
    "received_at": Field.RECEIVED, "answered_at": Field.ANSWERED, "received_by": Field.RECEIVED_BY,
    "missing": Field.CONTACT, "notes": Field.NOTE,
}  # fmt: skip
"""Columns of what the API calls otherwise."""


class Encoding(StrEnum):
    """In which a CSV file may be."""

    utf8 = "utf-8"
    utf16 = "utf-16"
    cp932 = "cp932"


def import_(
    file: Annotated[Path, typer.Argument(help=_("The sheet: CSV, XLSX or XLS."), metavar="FILE")],
    apply: Annotated[bool, typer.Option("--apply", help=_("Enter the rows. Without it, nothing is entered."))] = False,
    all_or_nothing: Annotated[
        bool, typer.Option("--all-or-nothing", help=_("Enter nothing where any row is refused."))
    ] = False,
    column: Annotated[
        list[str] | None,
        typer.Option(
            "--column",
            help=_("Which field a heading is, where it is another than usual; again for more."),
            metavar="FIELD=HEADING",
        ),
    ] = None,
    ignore: Annotated[
        list[str] | None,
        typer.Option("--ignore", help=_("A column that is left out: its heading, or (C)."), metavar="HEADING"),
    ] = None,
    keep: Annotated[
        list[str] | None,
        typer.Option("--keep", help=_("A column that becomes a note: its heading, or (C)."), metavar="HEADING"),
    ] = None,
    sheet: Annotated[str | None, typer.Option("--sheet", help=_("Which sheet of a workbook, by its name."))] = None,
    header_row: Annotated[
        int, typer.Option("--header-row", min=1, max=1000, help=_("The row in which the headings stand."))
    ] = 1,
    encoding: Annotated[
        Encoding | None, typer.Option("--encoding", help=_("Of a CSV file, where it cannot be told."))
    ] = None,
    channel: Annotated[
        Channel | None, typer.Option("--channel", help=_("How rows came in that do not say it."))
    ] = None,
    at: Annotated[
        str | None, typer.Option("--time", help=_("The time of days that stand without one."), metavar="HH:MM")
    ] = None,
    at_once: Annotated[
        bool, typer.Option("--answered-at-once", help=_("An answer without a day was given when it came in."))
    ] = False,
    report: Annotated[
        Path | None, typer.Option("--report", help=_("Write what became of each row into a new CSV file (0600)."))
    ] = None,
    as_json: Json = False,
) -> None:
    """Import."""
    if report is not None and (report.exists() or not report.parent.is_dir()):
        raise UsageError(_("{file}: name a new file, in a folder that is there, for the report").format(file=report))
    said = Said(named=_named(column or ()), ignored=ignore or (), kept=keep or ())
    table = _read(file, encoding, sheet)
    unsaid = Unsaid(channel=channel, at=_clock(at), at_once=at_once, old_days=table.old_days)
    if len(table.rows) < header_row:
        raise SheetError(
            _("there is no row {row}: the sheet has {count}").format(row=header_row, count=len(table.rows))
        )
    rows = table.rows[header_row:]
    found = columns(table.rows[header_row - 1], rows, said)
    err.print(_("Read as: {how}.").format(how=table.how), highlight=False)
    for warning in table.warnings:
        err.print(warning, style="yellow", highlight=False)
    lines, good = _shaped(enumerate(rows, start=header_row + 1), found, unsaid)
    try:
        _sent(lines, good, apply=apply, first_all=all_or_nothing)
    finally:
        say(lines.values(), apply=apply, as_json=as_json)
        if report is not None:
            with whole_file(report) as made:
                made.write(write(lines.values()))
    if any(line.became != "new" and line.became != "there" for line in lines.values()):
        raise typer.Exit(65)


def template(
    file: Annotated[Path, typer.Argument(help=_("A new file, .csv or .xlsx."), metavar="FILE")], as_json: Json = False
) -> None:
    """An empty sheet."""
    titles = [_(TITLES[field]) for field in Field]
    if file.suffix not in (".csv", ".xlsx"):
        raise UsageError(_("{file}: the name ends with .csv or .xlsx").format(file=file))
    data = as_csv([titles]) if file.suffix == ".csv" else as_workbook([titles], _choices(), empty=ROWS)
    with whole_file(file) as made:
        made.write(data)
    if as_json:
        say_json({"file": file, "headings": titles})
    else:
        out.print(_("Written: {file}.").format(file=file), style="green", highlight=False)


# --- inside -----------------------------------------------------------------------------------------------------------


def _read(file: Path, encoding: Encoding | None, sheet: str | None) -> Table:
    with file.open("rb") as opened:
        data = opened.read(FILE + 1)
    if len(data) > FILE:
        raise SheetError(_("{file}: larger than {most} MiB: import it in parts").format(file=file, most=FILE >> 20))
    try:
        if workbook.is_one(data):
            return workbook.read(data, sheet)
        if sheet is not None:
            raise UsageError(_("--sheet: a CSV file has one alone"))
        return text.read(data, encoding)
    except SheetError as error:
        raise SheetError(f"{file}: {error}") from error


def _named(given: Iterable[str]) -> dict[Field, str]:
    made: dict[Field, str] = {}
    for one in given:
        name, sign, heading = one.partition("=")
        if not sign or not heading.strip():
            raise UsageError(_("--column: {text!r}: write FIELD=HEADING").format(text=one))
        field = field_of(name.strip())
        if field in made:
            raise UsageError(_("--column: {field} is named twice").format(field=field))
        made[field] = heading
    return made


def _clock(given: str | None) -> time | None:
    try:
        return clock(given) if given is not None else None
    except UnclearError as error:
        raise UsageError(f"--time: {error}") from error


def _shaped(
    rows: Iterable[tuple[int, Row]], found: Columns, unsaid: Unsaid
) -> tuple[dict[int, Line], list["ImportRow"]]:  # fmt: skip
    """What stands in each row that is not blank: refused already, or as the API takes it."""
    from pydantic import ValidationError

    from cti.api.importshapes import ImportRow

    lines: dict[int, Line] = {}
    good: list[ImportRow] = []
    alike, asked = Counter[bytes](), Counter[bytes]()
    for line, row in rows:
        if all(blank(cell) for cell in row):
            continue
        lines[line] = Line(line=line)
        try:
            shaped = ImportRow.model_validate({"line": line, **stated(row, found, unsaid)})
        except RowError as error:
            lines[line] = Line(line=line, became="refused", field=error.field, problem=error.problem)
        except ValidationError as error:
            lines[line] = _invalid(line, error.errors()[0])
        else:
            values = shaped.model_dump()
            same, like = whole(values), question(values)
            alike[same] += 1
            asked[like] += 1
            good.append(shaped.model_copy(update={"nth": alike[same], "asked_nth": asked[like]}))
    return lines, good


def _invalid(line: int, wrong: Mapping[str, Any]) -> Line:
    name = next((str(part) for part in wrong["loc"] if isinstance(part, str)), "")
    problem = str(wrong["ctx"]["error"]) if wrong["type"] == "value_error" else str(wrong["msg"])
    return Line(line=line, became="refused", field=_FIELDS.get(name, name), problem=localise(problem))


def _batches(rows: Iterable["ImportRow"]) -> Iterator[list["ImportRow"]]:
    from cti.api.importshapes import MOST

    held: list[ImportRow] = []
    size = 0
    for row in rows:
        more = len(row.model_dump_json(exclude_none=True).encode())
        if held and (size + more > REQUEST or len(held) == MOST):
            yield held
            held, size = [], 0
        held.append(row)
        size += more + 1
    if held:
        yield held


def _sent(lines: dict[int, Line], good: list["ImportRow"], *, apply: bool, first_all: bool) -> None:
    """Into `lines`, what the desk says of each row."""
    from cti.api.importshapes import Import

    fits = []
    for row in good:
        if len(row.model_dump_json(exclude_none=True).encode()) > REQUEST:
            problem = _("the row is longer than the desk takes: shorten its texts")
            lines[row.line] = Line(line=row.line, became="refused", field=Field.INQUIRY, problem=problem)
        else:
            fits.append(row)
    batch = str(uuid4())
    passes = [True] if not apply else [True, False] if first_all else [False]
    with at_api() as client, bar() as shown:
        for dry_run in passes:
            if not dry_run and first_all and any(line.became == "refused" for line in lines.values()):
                err.print(_("Nothing is entered: rows are refused."), style="yellow")
                for row in fits:  # said of a dry run, and nothing came of it
                    if lines[row.line].became == "new":
                        lines[row.line] = Line(line=row.line, became="held")
                return
            task = shown.add_task("", total=len(fits))
            for held in _batches(fits):
                answer = client.import_cases(Import(batch=batch, dry_run=dry_run, rows=held))
                for item in answer.items:
                    values = item.model_dump() | {"field": _FIELDS.get(item.field or "", item.field)}
                    lines[item.line] = Line(**values, entered=not dry_run and item.became == "new")
                shown.advance(task, len(held))


def _choices() -> dict[int, list[str]]:
    """What may stand in the columns that have words of their own, in the reader's language."""
    japanese = reader() == "ja"
    ways = [words.split()[0] if japanese else one.value for one, words in CHANNELS.items()]
    ends = [words.split()[0] if japanese else one.value for one, words in OUTCOMES.items()]
    places = {field: place for place, field in enumerate(Field)}
    return {places[Field.CHANNEL]: ways, places[Field.REPLY]: ways, places[Field.OUTCOME]: ends}
