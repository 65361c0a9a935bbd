"""`kikitori policy`."""

import typer

from cti.cli.common import Commands, Json, PolicyFolder, installed, out, say_json, table
from cti.i18n import _
from policies.load import Policies, shipped
from policies.shown import shown


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The rules as data."))
    group.command(
        "open-questions",
        help=_("Every value of every policy that the bureau still has to confirm."),
        epilog=_("Example: kikitori policy open-questions --json"),
    )(open_questions)
    app.add_typer(group, name="policy")


def open_questions(
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """List the open questions."""
    if folder is None and (paths := installed()):
        folder = paths.policies
    rows = [
        {"file": name, "key": key, "value": shown(policy.value(key)), "question": question, "basis": policy.basis,
         "decided_by": policy.decided_by}
        for name, policy in Policies(folder or shipped()).all().items()
        for key, question in policy.open_questions.items()
    ]  # fmt: skip
    if as_json:
        for row in rows:
            say_json(row)
        return
    table(
        (_("File"), _("Key"), _("Value"), _("To be confirmed")),
        ((row["file"], row["key"], row["value"], row["question"]) for row in rows),
    )
    out.print()
    out.print(_("A confirmed one is removed from `open_questions` of its file."), style="dim", highlight=False)
