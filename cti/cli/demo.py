"""`kikitori demo`."""

from typing import Annotated

import typer

from cti.cli.common import Json
from cti.i18n import _


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "demo",
        help=_("Real calls through a real Asterisk, the recorder killed mid-sentence, every claim proved."),
        epilog=_("Example: kikitori demo --keep"),
    )(demo)


def demo(
    keep: Annotated[bool, typer.Option(help=_("Leave it running at the end, and say what to type."))] = False,
    as_json: Json = False,
) -> None:
    """Run the demonstration."""
    from cti.demo.run import demonstrate

    raise typer.Exit(demonstrate(keep=keep, as_json=as_json))
