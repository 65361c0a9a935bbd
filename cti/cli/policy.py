"""`kikitori policy`."""

from pathlib import Path

import typer

from cti.cli.common import Commands, Json, PolicyFolder, installed, out, say_json, table
from cti.i18n import _
from policies.load import Policies, shipped
from policies.rights import Act, Role
from policies.shown import shown


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The rules as data."))
    group.command(
        "open-questions",
        help=_("Every value of every policy that the bureau still has to confirm."),
        epilog=_("Example: kikitori policy open-questions --json"),
    )(open_questions)
    group.command(
        "rights",
        help=_("Who may do what with the recorder, and by which rule."),
        epilog=_("Example: kikitori policy rights --json"),
    )(rights)
    app.add_typer(group, name="policy")


def titles() -> dict[Act, str]:
    """What each act is called."""
    return {
        Act.SEARCH: _("search recordings"),
        Act.PLAY: _("play recordings"),
        Act.EXPORT: _("export recordings"),
        Act.DISCLOSE: _("play to whose voice it is"),
        Act.HOLD: _("hold recordings, and ask for their release"),
        Act.RELEASE: _("agree to the release of a hold, or refuse it"),
        Act.LIVE: _("see calls that are going on"),
        Act.INTAKE: _("work off what callers left"),
        Act.STATUS: _("see how the recorder is"),
        Act.HOURS: _("enter other opening hours"),
        Act.LOG: _("read the access log"),
        Act.REVIEW: _("review the access log"),
        Act.ISSUE: _("issue accounts"),
        Act.END: _("end accounts"),
        Act.ACCOUNTS: _("look accounts through"),
        Act.KEYS: _("manage the vault's keys"),
        Act.ESCROW: _("use the escrow, with a second person"),
    }


def rights(folder: PolicyFolder = None, as_json: Json = False) -> None:
    """Show the matrix."""
    policy = _policies(folder).rights
    if as_json:
        for right in policy.right:
            say_json({"act": right.act, "roles": right.roles, "basis": right.basis})
        return
    names = titles()
    table(
        (_("Act"), *(role.wording for role in Role), _("Basis")),
        (
            (names[right.act], *("○" if role in right.roles else "-" for role in Role), right.basis)
            for right in policy.right
        ),
    )


def _policies(folder: Path | None) -> Policies:
    """Those of `folder`, else of the installation, else those that come with Kikitori."""
    if folder is None and (paths := installed()):
        folder = paths.policies
    return Policies(folder or shipped())


def open_questions(
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """List the open questions."""
    rows = [
        {"file": name, "key": key, "value": shown(policy.value(key)), "question": question, "basis": policy.basis,
         "decided_by": policy.decided_by}
        for name, policy in _policies(folder).all().items()
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
