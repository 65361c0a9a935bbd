"""`kikitori recordings`."""

import re
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from cti.cli.common import BLOCKS, Commands, Json, Recording, length, out, say_json, seconds, table, when
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.terminal import one_line
from cti.cli.typed import time_of
from cti.cli.ways import way
from cti.explain import word
from cti.i18n import _
from recorder.wanted import Wanted

QUIET: Final = 7
"""Bits of a sample that are no bar: -48 dBFS."""


class Direction(StrEnum):
    """Which way a call went."""

    incoming = "in"
    outgoing = "out"
    internal = "internal"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Recordings: find and look at them."))
    group.command(
        "list",
        help=_("Recordings, newest first."),
        epilog=_("Example: kikitori recordings list --number 0664581132 --json"),
    )(list_)
    group.command(
        "show",
        help=_("One recording: its segments, gaps and what happened in it."),
        epilog=_("Example: kikitori recordings show 3f2a"),
    )(show)
    app.add_typer(group, name="recordings")


def list_(
    number: Annotated[str | None, typer.Option(help=_("Designated number, digits."))] = None,
    caller: Annotated[str | None, typer.Option(help=_("Caller's number."))] = None,
    callee: Annotated[str | None, typer.Option(help=_("Number that was called."))] = None,
    agent: Annotated[str | None, typer.Option(help=_("Designated phone."))] = None,
    direction: Annotated[Direction | None, typer.Option("--way", help=_("Which way the call went."))] = None,
    since: Annotated[
        str | None, typer.Option("--from", help=_("Begun then or later, in Japanese time: 2027-04-01T09:00."))
    ] = None,
    until: Annotated[str | None, typer.Option("--to", help=_("Begun before then."))] = None,
    shortest: Annotated[str | None, typer.Option("--min", help=_("At least so long: 80 or 1:20."))] = None,
    longest: Annotated[str | None, typer.Option("--max", help=_("At most so long."))] = None,
    most: Annotated[int | None, typer.Option("--limit", min=1, help=_("The newest so many. Default: all."))] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """List recordings."""
    wanted = Wanted(
        number=_digits(number), caller=_digits(caller), callee=_digits(callee), agent=agent,
        direction=direction.value if direction else None,
        since=time_of(since, "--from") if since else None, until=time_of(until, "--to") if until else None,
        shortest=seconds(shortest), longest=seconds(longest),
    )  # fmt: skip
    found = way(by, password_file, code, None).recordings(wanted, most)
    if as_json:
        for record in found:
            say_json(record)
        return
    if not found:
        out.print(_("No recordings."))
        return
    table(
        (_("Id"), _("Began"), _("Length"), _("Number"), _("Way"), _("Caller"), _("Callee"), _("Phone"),
         _("Speech L · R"), _("Level")),
        (
            (record["recording"][:8], when(record["start"]), length(record["seconds"]), record["number"],
             word(record["direction"]), record["caller"], record["callee"], record["agent"],
             *_heard(record["loudness"], 12))
            for record in found
        ),
    )  # fmt: skip


def _digits(text: str | None) -> str | None:
    """A number as people type it, 06-6458-1132, as the catalogue has it."""
    if not text:
        return None
    from cti.cases.contact import folded  # whoever asks for no number does not wait until it is loaded

    return re.sub(r"[\s()-]", "", folded(text))


def _heard(loudness: dict[str, Any] | None, most: int = 24) -> tuple[str, str]:
    """How much each side speaks, and a picture of the louder one, at most so long."""
    if loudness is None:
        return "", ""
    left, right = loudness["speech"]
    louder = [max(pair) for pair in zip(loudness["left"], loudness["right"], strict=True)]  # hex digits are in order
    step = -(-len(louder) // most)
    bars = [max(louder[at : at + step]) for at in range(0, len(louder), step)]
    return f"{left:.0%} · {right:.0%}", "".join(BLOCKS[max(0, int(digit, 16) - QUIET)] for digit in bars)


def show(
    recording: Recording,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Show a recording."""
    found = way(by, password_file, code, None).show(recording)
    if as_json:
        say_json(found)
        return
    out.print(found["recording"], style="bold", highlight=False)
    for name, value in (
        (_("Conversation"), found["conversation"]),
        (_("Number"), found["number"]),
        (_("Way"), word(found["direction"])),
        (_("Caller"), found["caller"]),
        (_("Callee"), found["callee"]),
        (_("Phone"), found["agent"]),
        (_("Began"), when(found["start"])),
        (_("Ended"), when(found["end"])),
        (_("Length"), length(found["seconds"])),
        (_("Speech L · R"), "  ".join(_heard(found["loudness"])).strip()),
    ):
        if value:
            out.print(one_line(f"  {name}: {value}"), highlight=False)
    table(
        (_("Segment"), _("From"), _("Length"), _("Gap before"), _("State"), _("Reason"), _("SHA-256 of the body")),
        (
            (part["segment"], length(part["starts_at"]), length(part["frames"] / part["rate"]),
             f"{part['gap']:.3f} s" if part["gap"] else "", word(part["state"]), word(part["reason"]),
             part["body_sha256"][:16])
            for part in found["parts"]
        ),
    )  # fmt: skip
