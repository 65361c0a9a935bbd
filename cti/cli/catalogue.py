"""`kikitori catalogue`."""

import typer

from cti.cli.common import Commands, Json, out, say_json
from cti.cli.local import at_desk
from cti.i18n import _


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = Commands(help=_("The index over the vault."))
    group.command(
        "rebuild",
        help=_("Make the catalogue anew from the vault folder alone. Loses nothing."),
        epilog=_("Example: kikitori catalogue rebuild"),
    )(rebuild)
    app.add_typer(group, name="catalogue")


def rebuild(as_json: Json = False) -> None:
    """Rebuild the catalogue."""
    count = at_desk(lambda desk: desk.rebuild(lambda _count: None))
    if as_json:
        say_json({"segments": count})
    else:
        out.print(_("{count} segments in the catalogue.").format(count=count))
