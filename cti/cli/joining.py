"""`kikitori case join`: one customer who waits for one call has one case (C-06)."""

from typing import TYPE_CHECKING, Annotated

import typer

from cti.cases.contact import folded
from cti.cli.case import Which, add, customer, given, naming_options, tell
from cti.cli.common import Json, err, out, say_json
from cti.cli.session import at_api
from cti.i18n import _

if TYPE_CHECKING:
    from cti.api.caseshapes import Case


def register(group: typer.Typer) -> None:
    """Add the command."""
    add(
        group,
        ("join", join, _("It is a duplicate of another case and ends; the calls that it owed are owed there."),
         "join 13 --into 12 --dry-run", "join 13 --into 12"),
    )  # fmt: skip


def join(
    case: Which,
    into: Annotated[str, typer.Option("--into", help=_("Number of the case that goes on."), metavar="CASE")],
    seen: Annotated[
        int | None,
        typer.Option(
            "--seen", min=1, help=_("Acts that it had when you looked at it; with others since, nothing is done.")
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Show how both would be, and change nothing."))] = False,
    as_json: Json = False,
) -> None:
    """Join them."""
    from cti.api.caseshapes import JoinIn
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        asked = shaped(JoinIn, into=folded(into), dry_run=dry_run, **given(seen=seen))
        found = client.join(folded(case), asked)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    said = _("Case {number} ends as a duplicate.").format(number=found.case.number)
    if dry_run:
        out.print(_("A dry run: nothing is changed."), style="yellow")
        out.print(said, _customers(found.case), highlight=False)
        tell(found.into, _customers(found.into))
    else:
        out.print(said, style="green", highlight=False)
        tell(found.into, _("Case {number} goes on.").format(number=found.into.number))
    first, second = found.case.contact, found.into.contact
    if first and second and first.e164 and second.e164 and first.e164 != second.e164:
        err.print(_("Their telephone numbers are not the same: {first}, {second}").format(
            first=first.number, second=second.number
        ), style="yellow", highlight=False)  # fmt: skip


def _customers(found: "Case") -> str:
    return f"{found.number}: {customer(found)}."
