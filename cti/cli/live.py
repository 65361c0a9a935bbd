"""`kikitori calls live`."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import typer
from rich.live import Live
from rich.table import Table

from cti.app.clock import wall_clock
from cti.cli.common import Json, err, length, out, say_json
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.i18n import _


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(
        "live",
        help=_(
            "The calls that go on just now, until Ctrl-C or the end of the session, which `kikitori login ID` begins."
        ),
        epilog=_("Examples: kikitori calls live · kikitori calls live --json"),
    )(live)


def live(as_json: Json = False) -> None:
    """Watch."""
    with at_api() as client:
        told = client.live()
        if as_json:
            for calls in told:
                say_json({"calls": calls})
        else:
            _watch(told)
    err.print(_("The session is over: `kikitori login ID`"))


def _watch(told: Iterator[list[dict[str, Any]] | None]) -> None:
    with Live(console=out, auto_refresh=False, transient=out.is_terminal) as screen:
        for calls in told:
            screen.update(_shown(calls, wall_clock()), refresh=True)


def _shown(calls: list[dict[str, Any]] | None, now: datetime) -> Any:
    if calls is None:
        return _("The recorder does not answer.")
    if not calls:
        return _("No call goes on.")
    table = Table(box=None, header_style="bold", pad_edge=False)
    for column in (_("Since"), _("Number"), _("Caller"), _("Phones"), _("State"), _("Recorded")):
        table.add_column(column)
    for call in calls:
        table.add_row(*map(one_line, _cells(call, now)))
    return table


def _cells(call: Mapping[str, Any], now: datetime) -> Iterator[str]:
    arrived = datetime.fromisoformat(call["arrived"]) if call["arrived"] else None
    yield length(max(0.0, (now - arrived.astimezone(UTC)).total_seconds())) if arrived else ""
    yield call["number"] or ""
    yield call["caller"] or _("withheld")
    yield ", ".join(call["phones"])
    yield _("talking") if call["answered"] else _("ringing")
    yield _("yes") if call["recorded"] else ""
