"""`kikitori asterisk`."""

from pathlib import Path
from typing import Annotated

import typer

from cti.app import asterisk_site
from cti.cli.common import Json, out, say_json, settings
from cti.i18n import _
from cti.pbxconfig import render as write
from policies.load import Policies


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = typer.Typer(no_args_is_help=True, help=_("The PBX beside us."))
    group.command(
        "render",
        help=_("Write Asterisk's configuration, made from the policies and the settings."),
        epilog=_("Example: kikitori asterisk render --out /etc/asterisk"),
    )(render)
    app.add_typer(group, name="asterisk")


def render(
    folder: Annotated[
        Path, typer.Option("--out", help=_("Folder for the files: new, empty, or rendered before."), metavar="DIR")
    ],
    as_json: Json = False,
) -> None:
    """Render the configuration."""
    loaded = settings().settings
    policies = Policies(loaded.paths.policies)
    written = write(folder.absolute(), plan=policies.plan, recording=policies.recording, site=asterisk_site(loaded))
    for path in written:
        if as_json:
            say_json({"file": path})
        else:
            out.print(path, highlight=False)
