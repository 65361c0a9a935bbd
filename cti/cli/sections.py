"""`kikitori section`: who answers what the centre cannot."""

from pathlib import Path
from typing import Any

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, PolicyFolder, err, installed, out, say_json, table
from cti.cli.session import at_api, from_afar
from cti.i18n import _
from policies.calendar import JST
from policies.load import Policies, shipped
from policies.sections import public


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The 所管課, to whom the centre hands over what it cannot answer."))
    group.command(
        "list",
        help=_("Each with its telephone, its 所管広聴担当 and whether it takes anything today (A-05, A-06)."),
        epilog=_("Example: kikitori section list --json"),
    )(list_)
    app.add_typer(group, name="section")


def list_(folder: PolicyFolder = None, as_json: Json = False) -> None:
    """List sections."""
    rows, kinds = _of_desk() if folder is None and from_afar() else _here(folder)
    if as_json:
        for row in rows:
            say_json(row)
        return
    if not rows:
        out.print(_("No 所管課: sections.toml names none."))
        return
    table(
        (_("Name"), _("Title"), _("Kind"), _("Telephone"), _("Hours"), "所管広聴担当", _("Kinds of questions"),
         _("Hand-overs")),
        (
            (row["name"], row["title"], row["kind_title"], row["phone"], row["hours"], ", ".join(row["liaison"]),
             ", ".join(row["categories"]), _state(row))
            for row in rows
        ),
    )  # fmt: skip
    if of_none := [kind["title"] for kind in kinds if kind["section"] is None]:
        out.print(_("Kinds of questions of no one 所管課: {kinds}").format(kinds=", ".join(of_none)), highlight=False)
    for row in rows:
        if row["lacks_liaison"]:
            err.print(
                _("{section} has no 所管広聴担当, of whom 2条(6) asks one at least: enter it in sections.toml").format(
                    section=row["title"]
                ),
                style="yellow",
            )


_Found = tuple[list[dict[str, Any]], list[dict[str, Any]]]
"""所管課, and kinds of questions."""


def _here(folder: Path | None) -> _Found:
    """By the policies of this host, or of that folder."""
    if folder is None and (paths := installed()):
        folder = paths.policies
    today = wall_clock().astimezone(JST).date()
    found = Policies(folder or shipped()).sections
    return list(public(found, today)), [one.model_dump() for one in found.category]


def _of_desk() -> _Found:
    """By those of the desk."""
    with at_api() as client:
        found = client.sections()
    return [one.model_dump(mode="json") for one in found.sections], [one.model_dump() for one in found.categories]


def _state(row: dict[str, Any]) -> str:
    if row["takes"]:
        return _("in use")
    today = wall_clock().astimezone(JST).date().isoformat()
    if row["since"] and today < row["since"]:
        return _("from {day}").format(day=row["since"])
    return _("until {day}").format(day=row["until"])
