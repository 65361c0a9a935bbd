"""`kikitori retention`."""

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from cti.cli import holds, moving
from cti.cli.common import Commands, Json, PolicyFolder, complain, installed, out, say_json
from cti.cli.terminal import one_line
from cti.courses import worded
from cti.errors import FieldError, UsageError
from cti.explain import localise
from cti.i18n import _
from policies.calendar import JST
from policies.load import Policies, shipped
from retention.course import TYPES, Course, Recorded, course

LONGEST: Final = 1 << 20
"""Bytes of one line: some ten thousand events of one recording."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(
        help=_(
            "How long recordings are kept and where: moved to the second medium, and held. Nothing is erased by this "
            "version."
        )
    )
    group.command(
        "simulate",
        help=_(
            "What would become of recordings, by the rules: when each moves, and is erased. Nothing is touched. "
            "docs/reference/formats.md has what a line says."
        ),
        epilog=_("Example: kikitori retention simulate - --json"),
    )(simulate)
    moving.register(group)
    holds.register(group)
    app.add_typer(group, name="retention")


def simulate(
    file: Annotated[Path, typer.Argument(help=_("JSON lines; - reads standard input."), metavar="FILE")],
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """Say what becomes of each. A line that is none is named, and the others are answered; the exit code tells."""
    if folder is None and (paths := installed()):
        folder = paths.policies
    policy, wrong = Policies(folder or shipped()).retention, 0
    for where, line in _lines(file):
        try:
            recorded = _read(line)
            found = course(recorded, policy)
            if recorded.unknown:
                ignored = ", ".join(recorded.unknown)
                complain(_("{where}: not known, and not looked at: {names}").format(where=where, names=ignored))
        except FieldError as error:
            complain(f"{where}: {error}")
            wrong += 1
            continue
        if as_json:
            say_json(_json(recorded.id, found))
        else:
            _show(recorded.id, found)
    if wrong:
        raise UsageError(_("lines that cannot be read: {count}; nothing is said of them").format(count=wrong))


def _lines(file: Path) -> Iterator[tuple[str, bytes]]:
    """`file:line` and the line, of each that is not empty."""
    name = _("standard input") if str(file) == "-" else str(file)
    with contextlib.ExitStack() as stack:
        source = sys.stdin.buffer if str(file) == "-" else stack.enter_context(file.open("rb"))
        for number, line in enumerate(iter(lambda: source.readline(LONGEST), b""), start=1):
            rest = line
            while len(rest) == LONGEST and not rest.endswith(b"\n"):
                rest = source.readline(LONGEST)
            if line.strip():
                yield f"{name}:{number}", line


def _read(line: bytes) -> Recorded:
    """Raises FieldError for the first thing that does not fit."""
    if len(line) == LONGEST:
        raise FieldError("-", _("longer than any line may be ({count} bytes)").format(count=LONGEST))
    try:
        return Recorded.model_validate_json(line, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        names = [str(part) for part in first["loc"] if part not in (*TYPES, "str", "int")]
        expected = str(first.get("ctx", {}).get("expected", ""))
        raise FieldError(".".join(names) or "-", _problem(first["type"], str(first["msg"]), expected)) from error


def _problem(kind: str, said: str, expected: str) -> str:
    """What does not fit, and how it is written."""
    match kind:
        case "missing":
            return _("is missing")
        case "json_invalid" | "model_type" | "model_attributes_type":
            return _("is no JSON object in UTF-8")
        case "datetime_parsing" | "datetime_type":
            return _("is no instant: write 2026-01-15T10:00:00+09:00")
        case "date_parsing" | "date_type":
            return _("is no day: write 2031-01-15")
        case "tuple_type":
            return _("is no list")
        case "string_type" | "int_type" | "int_from_float":
            return _("is neither text nor a whole number")
        case "union_tag_invalid" | "union_tag_not_found":
            return _("has a type that is none of these: {types}").format(types=", ".join(TYPES))
        case "literal_error":
            return _("is none of these: {values}").format(values=expected.replace(" or ", ", "))
    return localise(said.removeprefix("Value error, "))


def _json(identity: str | int, found: Course) -> dict[str, Any]:
    erased = found.erased_at.astimezone(JST) if found.erased_at else None
    return {
        "id": identity, "primary_until": found.primary_until, "secondary_until": found.secondary_until,
        "erased_at": erased, "external_until": found.external_until, "refused": found.refused,
        "why": [worded(why) for why in found.why],
    }  # fmt: skip


def _show(identity: str | int, found: Course) -> None:
    out.print(one_line(str(identity)), style="bold", highlight=False)
    for why in found.why:
        refused = why.event in found.refused
        out.print(f"  {'×' if refused else ' '} {worded(why)}", style="yellow" if refused else "", highlight=False)
