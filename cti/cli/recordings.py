"""`kikitori recordings`."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cti import users
from cti.app.clock import wall_clock
from cti.app.desk import build_desk
from cti.cli.common import Commands, Json, Recording, actor, length, out, say_json, settings, table, when
from cti.cli.terminal import one_line
from cti.desk import Desk, closing
from cti.explain import word
from cti.i18n import _
from cti.store import database_answers
from recorder.catalogue import Wanted
from recorder.memory import seal_memory

Result = TypeVar("Result")


def at_desk(what: Callable[[Desk], Awaitable[Result]], *, unlocked: bool = False) -> Result:
    """Do something at the desk, as the desk's user, in the name of whoever is at the keyboard.

    `unlocked`: the vault's identity will be in memory, which must then not reach a disk.
    """
    if unlocked:
        seal_memory(Path("/proc/swaps").read_text())
    loaded = settings().settings
    who = actor()
    os.umask(0o007)

    async def do() -> Result:
        async with closing(await build_desk(loaded, wall_clock, who)) as desk:
            with database_answers():
                return await what(desk)

    with users.acting_as(loaded.users.desk):
        return asyncio.run(do())


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
    agent: Annotated[str | None, typer.Option(help=_("Designated phone."))] = None,
    as_json: Json = False,
) -> None:
    """List recordings."""
    found = at_desk(lambda desk: desk.recordings(Wanted(number=number, caller=caller, agent=agent)))
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


def show(recording: Recording, as_json: Json = False) -> None:
    """Show a recording."""
    found: dict[str, Any] = at_desk(lambda desk: desk.show(recording))
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
