"""`kikitori retention`."""

import contextlib
import sys
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from pydantic import ValidationError

from cti.cli.common import Commands, Json, PolicyFolder, complain, installed, out, say_json
from cti.cli.terminal import one_line
from cti.errors import FieldError, UsageError
from cti.explain import localise
from cti.i18n import _, mark
from policies.calendar import JST
from policies.load import Policies, shipped
from retention.course import TYPES, Course, Reason, Recorded, Why, course

LONGEST: Final = 1 << 20
"""Bytes of one line: some ten thousand events of one recording."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("How long recordings are to be kept. Nothing is erased by this version."))
    group.command(
        "simulate",
        help=_(
            "What would become of recordings, by the rules: when each moves, and is erased. Nothing is touched. "
            "docs/reference/formats.md has what a line says."
        ),
        epilog=_("Example: kikitori retention simulate - --json"),
    )(simulate)
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
        "why": [_worded(why) for why in found.why],
    }  # fmt: skip


def _show(identity: str | int, found: Course) -> None:
    out.print(one_line(str(identity)), style="bold", highlight=False)
    for why in found.why:
        refused = why.event in found.refused
        out.print(f"  {'×' if refused else ' '} {_worded(why)}", style="yellow" if refused else "", highlight=False)


def _worded(why: Why) -> str:
    """`2026-07-15: ...`; an event by its place in the list."""
    day = why.at.astimezone(JST).isoformat(sep=" ", timespec="seconds")[:19] if isinstance(why.at, datetime) else why.at
    about = f"events[{why.event}]: " if why.event is not None else ""
    return about + _(_SENTENCES[why.reason]).format(day=day)


_SENTENCES: Final[Mapping[Reason, str]] = {
    Reason.BEFORE_RULE: mark("recorded before the rule of {day}: reckoned by it all the same, to be confirmed (B-33)"),
    Reason.FIRST: mark("in the recorder's own storage until {day} (B-15, Civil Code 140, 143)"),
    Reason.SECOND: mark("on the second medium until {day} (B-16)"),
    Reason.EXPIRED: mark("erased {day}, when its period is over (B-17)"),
    Reason.APPROVED: mark("erased {day}, as an approved request asks (B-25)"),
    Reason.UNSTOPPED: mark("erased {day}, when nothing stopped it any more (B-17, B-18)"),
    Reason.HELD: mark("not erased after {day}: it is held, and on no external medium (B-18)"),
    Reason.PENDING: mark("not erased after {day}: a disclosure is still to be decided or carried out (B-27)"),
    Reason.UNDECIDED: mark("not erased after {day}: an erase request is still to be decided (B-24)"),
    Reason.SAVED: mark("on an external medium until {day} (B-20)"),
    Reason.EXTENDED: mark("on the external medium until {day}: extended (B-22)"),
    Reason.DESTROYED: mark("the medium was destroyed {day} (B-21)"),
    Reason.REMAKE: mark("the external medium, kept until {day}, is to be made again without it (B-25)"),
    Reason.NO_SUCH: mark("without effect: there is no such hold, or no such request"),
    Reason.GONE: mark("without effect: it was erased {day}"),
    Reason.UNDER_HOLD: mark("not allowed: it is held (B-18, B-25)"),
    Reason.ERASED_BEFORE: mark("not allowed: it was erased {day} (B-19)"),
    Reason.NO_MEDIUM: mark("not allowed: it is on no external medium (B-20)"),
    Reason.NOT_YET: mark("not allowed: the medium is kept until {day} (B-21)"),
    Reason.SHORTER: mark("not allowed: the medium is kept until {day} already, and no period is shortened (B-22)"),
    Reason.NO_LONGER: mark("not allowed: the medium is destroyed (B-21)"),
    Reason.TOO_LATE: mark("not allowed: the period of the medium was over after {day} (B-22)"),
}
