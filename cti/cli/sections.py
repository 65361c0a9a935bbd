"""`kikitori section`: who answers what the centre cannot."""

from datetime import date
from typing import Any

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, PolicyFolder, err, installed, out, say_json, table
from cti.i18n import _
from policies.calendar import JST
from policies.load import Policies, shipped
from policies.sections import Section


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
    if folder is None and (paths := installed()):
        folder = paths.policies
    sections = Policies(folder or shipped()).sections
    today = wall_clock().astimezone(JST).date()
    categories = {
        one.name: [category.title for category in sections.category if category.section == one.name]
        for one in sections.section
    }
    if as_json:
        for one in sections.section:
            say_json(_public(one, today) | {"categories": categories[one.name]})
        return
    if not sections.section:
        out.print(_("No 所管課: sections.toml names none."))
        return
    table(
        (_("Name"), _("Title"), _("Kind"), _("Telephone"), _("Hours"), "所管広聴担当", _("Of"), _("State")),
        (
            (one.name, one.title, one.kind.wording, one.phone, one.hours, ", ".join(one.liaison),
             ", ".join(categories[one.name]), _state(one, today))
            for one in sections.section
        ),
    )  # fmt: skip
    for one in sections.without_liaison(today):
        err.print(
            _("{section} has no 所管広聴担当, of whom 2条(6) asks one at least: enter it in sections.toml").format(
                section=one.title
            ),
            style="yellow",
        )


def _state(one: Section, today: date) -> str:
    if one.takes(today):
        return _("in use")
    return (
        _("from {day}").format(day=one.since)
        if one.since and today < one.since
        else _("until {day}").format(day=one.until)
    )


def _public(one: Section, today: date) -> dict[str, Any]:
    return one.model_dump(mode="json") | {"kind_title": one.kind.wording, "takes": one.takes(today)}
