"""`kikitori retention plan` and `run`: what is due by the rules, and having it done. By a session alone."""

import time
from typing import TYPE_CHECKING, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cti.cli.common import Json, err, out, say_json, table, when
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.i18n import _, ngettext

if TYPE_CHECKING:
    from cti.api.client import Client
    from cti.api.shapes import RetentionDue, RetentionRun

AGAIN: Final = 0.5
"""Seconds until it is asked again how far it is."""


def register(group: typer.Typer) -> None:
    """Add the commands to `kikitori retention`."""
    group.command(
        "plan",
        help=_(
            "What is due by the rules: recordings that move to the second medium (6条1), whose period is over, and "
            "that a hold keeps. Nothing is done."
        ),
        epilog=_("Examples: kikitori retention plan · kikitori retention plan --json"),
    )(plan)
    group.command(
        "run",
        help=_(
            "Move what is due to the second medium now; the service does so each hour. A recording leaves the first "
            "medium when its copy has been read back and is the same. Ctrl-C stops watching, and nothing else."
        ),
        epilog=_("Examples: kikitori retention run · kikitori retention run --json"),
    )(run)


def plan(as_json: Json = False) -> None:
    """Show what is due."""
    with at_api() as client:
        found = client.plan()
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    rows = (
        (_("to the second medium"), found.move), (_("period over (not erased by this version)"), found.erase),
        (_("period over, and held"), found.stopped),
    )  # fmt: skip
    table(
        (_("Due"), _("Recordings"), _("Hours"), _("The oldest since")), (_row(what, due) for what, due in rows)
    )  # fmt: skip
    if found.recordings:
        out.print()
        out.print(_("Held at the end of their period: save them to an external medium, or release them (6条1)."))
        table(
            (_("Recording"), _("Conversation"), _("Since")),
            ((one.recording[:8], one.conversation[:8], when(one.since)) for one in found.recordings),
        )
    if found.move.count:
        out.print()
        out.print(_("`kikitori retention run` moves what is due now."), style="dim")


def _row(what: str, due: "RetentionDue") -> tuple[object, ...]:
    return what, due.count, f"{due.seconds / 3600:.1f}", when(due.since)


def run(as_json: Json = False) -> None:
    """Move, and show how far it is."""
    with at_api() as client:
        found = client.run()
        if found.running:
            found = _watched(client)
    if as_json:
        say_json(found.model_dump(mode="json"))
    else:
        _say(found)
    if found.problem or found.failed:
        raise typer.Exit(75)


def _watched(client: "Client") -> "RetentionRun":
    """Until it is over. What another began is watched like one's own."""
    columns = (
        TextColumn(_("recordings")), BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task, began = bar.add_task("", total=None, rate=""), time.monotonic()
        while (found := client.run_state()).running:
            rate = found.bytes / (1 << 20) / max(time.monotonic() - began, AGAIN)
            bar.update(task, total=found.planned or None, completed=found.done, rate=f"{rate:.1f} MiB/s")
            time.sleep(AGAIN)
    return found


def _say(found: "RetentionRun") -> None:
    if found.planned == 0 and not found.problem:
        out.print(_("Nothing is due."))
        return
    for one in found.failed:
        problem = one_line(one.problem)
        err.print(_("{recording}: stays where it is: {problem}").format(recording=one.recording[:8], problem=problem),
                  style="yellow", highlight=False)  # fmt: skip
    if found.problem:
        said = _("It ended before its end: {problem}").format(problem=one_line(found.problem))
        err.print(said, style="red", highlight=False)
    out.print(
        ngettext("{count} recording moved, {size} MiB.", "{count} recordings moved, {size} MiB.", found.moved).format(
            count=found.moved, size=f"{found.bytes / (1 << 20):.1f}"
        ),
        style="green" if found.moved else "", highlight=False,
    )  # fmt: skip
