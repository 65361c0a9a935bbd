"""`kikitori config`."""

import typer

from cti.cli.common import Commands, Json, out, say_json, settings, table
from cti.explain import place
from cti.i18n import _


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Settings."))
    group.command(
        "show",
        help=_("Every setting, its value, and where it comes from."),
        epilog=_("Example: kikitori config show --json"),
    )(show)
    app.add_typer(group, name="config")


def show(as_json: Json = False) -> None:
    """Show the settings."""
    loaded = settings()
    if as_json:
        for item in loaded.sources:
            say_json({"key": item.key, "value": item.value, "source": item.source, "description": item.description})
        return
    out.print(str(loaded.file), style="dim", highlight=False)
    table(
        (_("Setting"), _("Value"), _("Set in"), _("Meaning")),
        ((item.key, item.value, place(item.source), _(item.description)) for item in loaded.sources),
    )
