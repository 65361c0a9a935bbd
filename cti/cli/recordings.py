"""`kikitori recordings`."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cti.cli.common import Commands, Json, Recording, length, out, say_json, seconds, table, when
from cti.cli.hours import time_of
from cti.cli.local import at_desk
from cti.cli.session import at_api, signed_in
from cti.cli.signin import By, Code, PasswordFile, allowed, proof
from cti.cli.terminal import one_line
from cti.desk import Desk
from cti.explain import word
from cti.i18n import _
from policies.rights import Act
from recorder.catalogue import Wanted

Result = TypeVar("Result")


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


def list_(  # what can be looked for
    number: Annotated[str | None, typer.Option(help=_("Designated number, digits."))] = None,
    caller: Annotated[str | None, typer.Option(help=_("Caller's number."))] = None,
    callee: Annotated[str | None, typer.Option(help=_("Number that was called."))] = None,
    agent: Annotated[str | None, typer.Option(help=_("Designated phone."))] = None,
    since: Annotated[str | None, typer.Option("--from", help=_("Begun then or later: 2027-04-01T09:00."))] = None,
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
        number=number, caller=caller, callee=callee, agent=agent,
        since=time_of(since, "--from") if since else None, until=time_of(until, "--to") if until else None,
        shortest=seconds(shortest), longest=seconds(longest),
    )  # fmt: skip
    if by is None and signed_in():
        with at_api() as client:
            asked = {
                "number": number, "caller": caller, "callee": callee, "agent": agent,
                "from": wanted.since and wanted.since.isoformat(), "to": wanted.until and wanted.until.isoformat(),
                "min_seconds": wanted.shortest, "max_seconds": wanted.longest,
            }  # fmt: skip
            found = [one.model_dump() for one in client.recordings(most=most, **asked)]
    else:
        found = _here(by, password_file, code, lambda desk: desk.recordings(wanted, limit=most))
    if as_json:
        for record in found:
            say_json(record)
        return
    if not found:
        out.print(_("No recordings."))
        return
    table(
        (_("Id"), _("Began"), _("Length"), _("Number"), _("Way"), _("Caller"), _("Callee"), _("Phone"), _("Segments")),
        (
            (record["recording"][:8], when(record["start"]), length(record["seconds"]), record["number"],
             word(record["direction"]), record["caller"], record["callee"], record["agent"], record["segments"])
            for record in found
        ),
    )  # fmt: skip


def _here(
    by: str | None, password_file: Path | None, code: str | None, what: Callable[[Desk], Awaitable[Result]]
) -> Result:
    """At the recorder itself: with an ID of one's own, once people have accounts."""
    who = proof(by, password_file, code) if by else None

    async def do(desk: Desk) -> Result:
        await allowed(desk, Act.SEARCH, who)
        return await what(desk)

    return at_desk(do)


def show(
    recording: Recording,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Show a recording."""
    found: dict[str, Any]
    if by is None and signed_in():
        with at_api() as client:
            found = client.recording(recording).model_dump()
    else:
        found = _here(by, password_file, code, lambda desk: desk.show(recording))
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
