"""`kikitori asterisk`."""

import os
from pathlib import Path
from typing import Annotated

import typer

from cti import users
from cti.app.clock import wall_clock
from cti.app.site import asterisk_site
from cti.cli import doctor
from cti.cli.common import Commands, Json, out, say_json, settings
from cti.hours import known
from cti.i18n import _
from cti.pbxconfig import Decided
from cti.pbxconfig import render as write


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = Commands(help=_("The PBX beside us."))
    group.command(
        "render",
        help=_("Write Asterisk's configuration, made from the policies and the settings."),
        epilog=_("Example: kikitori asterisk render --out /etc/asterisk"),
    )(render)
    doctor.register_pbx(group)
    app.add_typer(group, name="asterisk")


def render(
    folder: Annotated[
        Path, typer.Option("--out", help=_("Folder for the files: new, empty, or rendered before."), metavar="DIR")
    ],
    as_json: Json = False,
) -> None:
    """Render the configuration."""
    loaded = settings().settings
    policies, decisions = known(loaded.paths.policies, loaded.paths.hours)
    # Readable for Asterisk and nobody else; without root the files are whose they are.
    gid = users.identity(loaded.users.asterisk).gid if os.geteuid() == 0 else None
    decided = Decided.of(policies, decisions, wall_clock())
    written = write(folder.absolute(), decided, asterisk_site(loaded), prompts=loaded.paths.prompts, gid=gid)
    for path in written:
        if as_json:
            say_json({"file": path})
        else:
            out.print(str(path), highlight=False)
