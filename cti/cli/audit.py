"""`kikitori audit`."""

import json
from typing import Annotated

import typer

from cti.cli.common import Commands, Json, out, say_json, table, when
from cti.cli.local import at_desk
from cti.desk import Desk
from cti.explain import localise, word
from cti.i18n import _
from recorder.access.audit import Report
from recorder.access.entry import Entry


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The access log."))
    group.command(
        "list",
        help=_("What was done, by whom, when and why."),
        epilog=_("Example: kikitori audit list --from 120 --json"),
    )(list_)
    group.command(
        "verify",
        help=_("Recompute the log's chain and tree, and compare with the signed checkpoints on the second medium."),
        epilog=_("Example: kikitori audit verify"),
    )(verify)
    app.add_typer(group, name="audit")


def list_(
    start: Annotated[int, typer.Option("--from", min=0, help=_("First entry."))] = 0, as_json: Json = False
) -> None:
    """List the log."""

    async def do(desk: Desk) -> list[Entry]:
        return list(desk.audit(start))

    entries = at_desk(do)
    if as_json:
        for entry in entries:
            say_json(json.loads(entry.raw))
        return
    table(
        (_("No."), _("When"), _("Who"), _("What"), _("Of"), _("Details")),
        (
            (entry.seq, when(entry.ts), entry.actor, word(entry.action), entry.object[:40],
             ", ".join(f"{word(key)}={word(value)}" for key, value in entry.detail.items() if key != "manifest_sha256"))
            for entry in entries
        ),
    )  # fmt: skip


def verify(as_json: Json = False) -> None:
    """Verify the log."""

    async def do(desk: Desk) -> tuple[Report, tuple[str, ...]]:
        return desk.verify_log()

    report, checkpoints = at_desk(do)
    problems = [*report.problems, *checkpoints]
    if as_json:
        say_json({"size": report.size, "root": report.root, "problems": problems})
    else:
        for problem in problems:
            out.print(localise(problem), style="red", highlight=False)
        if not problems:
            out.print(
                _("{size} entries, unbroken; root {root}").format(size=report.size, root=report.root.hex()),
                style="green",
            )
    if problems:
        raise typer.Exit(1)
