"""`kikitori status`."""

import asyncio

import typer

from cti import control
from cti.cli.common import Json, out, say_json, settings
from cti.errors import NotRunningError
from cti.explain import explain, localise
from cti.i18n import _
from cti.places import SOCKET


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "status",
        help=_("Whether the recorder runs, hears the PBX, and how many calls it records now."),
        epilog=_("Example: kikitori status --json"),
    )(status)


def status(as_json: Json = False) -> None:
    """Ask the recorder."""
    loaded = settings().settings
    path = loaded.paths.run / SOCKET
    try:
        answer = asyncio.run(control.ask(path, {"ask": "status"}, 5.0))
    except (OSError, TimeoutError) as error:
        raise NotRunningError(
            _("the recorder does not answer at {path} ({error}). Start it: kikitori serve").format(
                path=path, error=_("no answer in time") if isinstance(error, TimeoutError) else explain(error)
            )
        ) from error
    minutes = answer["spool_free"] / 32000 / max(1, answer["recording"]) / 60
    well = answer["in_step"] and not answer["trouble"]
    if as_json:
        say_json(answer | {"spool_minutes": round(minutes, 1)})
        raise typer.Exit(0 if well else 1)
    out.print(_("PBX: {state}").format(state=_("connected and in step") if answer["in_step"] else _("NOT CONNECTED")))
    out.print(_("Calls: {calls}, recorded now: {recording}").format(**answer))
    out.print(
        _("Events: {waiting} wait, the last one was {late:.1f} s late; {lost} lost since the start").format(
            waiting=answer["events_waiting"],
            late=answer["events_delay"],
            lost=answer["events_dropped"] + answer["events_oversized"],
        )
    )
    out.print(
        _("Spool: {free} MiB free, enough for {minutes} minutes of what is recorded now").format(
            free=answer["spool_free"] >> 20, minutes=int(minutes)
        )
    )
    if answer["trouble"]:
        out.print(_("TROUBLE: {what}").format(what=localise(answer["trouble"])), style="bold red")
    raise typer.Exit(0 if well else 1)
