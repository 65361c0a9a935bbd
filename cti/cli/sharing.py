"""`kikitori case share`, `help`: others see a case, or are asked for something (E-05)."""

from typing import Annotated, Any

import typer

from cti.cli.case import Which, add, do, named, names_of
from cti.cli.common import Json
from cti.cli.session import at_api
from cti.i18n import _

Why = Annotated[str, typer.Option("--why", help=_("Why; they read it."))]
Ended = Annotated[bool, typer.Option("--end", help=_("No longer: they see it no more, and are asked for nothing."))]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    add(
        group,
        ("share", share, _("Let another unit see it. Whoever sees to the case may, and CC."),
         "share 12 --with 庶務課 --why 同じ家の苦情", "share 12 --with 庶務課 --end"),
        ("help", help_, _("Ask another unit for something: it waits in their `ticket list` until they write a note."),
         "help 12 --to CC --why 課長の判断がほしい", "help 12 --to CC --end"),
    )  # fmt: skip


def share(
    case: Which,
    with_: Annotated[str, typer.Option("--with", help=_("A 所管課, CC or 運営会社."), metavar="UNIT")],
    why: Why = "",
    end: Ended = False,
    as_json: Json = False,
) -> None:
    """Let them see it."""
    _share(case, "--with", with_, why, end=end, as_json=as_json)


def help_(
    case: Which,
    to: Annotated[str, typer.Option("--to", help=_("A 所管課, CC or 運営会社."), metavar="UNIT")],
    why: Why = "",
    end: Ended = False,
    as_json: Json = False,
) -> None:
    """Ask them."""
    _share(case, "--to", to, why, end=end, as_json=as_json, help=True)


def _share(case: str, option: str, unit: str, why: str, *, end: bool, as_json: bool, **more: Any) -> None:
    with at_api() as client:
        to = named(names_of(client), option, unit)
    do(case, [{"kind": "share", "to": to, "reason": why, "ended": end, **more}], as_json=as_json)
