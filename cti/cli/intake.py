"""`kikitori intake`: what the night took of callers."""

import unicodedata
from datetime import date
from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, out, say_json, table
from cti.cli.local import at_desk_for
from cti.cli.signin import By, Code, PasswordFile
from cti.desk import Desk
from cti.errors import NotFoundError, UsageError
from cti.explain import word
from cti.i18n import _
from cti.intake import Intake
from cti.sentences import day_text, moment_text
from policies.calendar import JST
from policies.rights import Act


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("What the hours menu and the emergency line took of callers."))
    group.command(
        "list",
        help=_("Who waits to be called or handed over, and until when; the overdue ones are marked."),
        epilog=_("Examples: kikitori intake list · kikitori intake list --all --json"),
    )(list_)
    group.command(
        "done",
        help=_("Called back, or handed over: who did it, and what came of it."),
        epilog=_("Example: kikitori intake done 3f2a --done-by 給水課 --note 折り返し済み"),
    )(done)
    app.add_typer(group, name="intake")


def list_(
    everything: Annotated[bool, typer.Option("--all", help=_("With those that are done."))] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """List intakes."""

    async def find(desk: Desk) -> list[Intake]:
        await desk.catch_up()
        return await desk.intake.rows(done=everything)

    found = at_desk_for(Act.INTAKE, by, password_file, code, find)
    today = _today()
    if as_json:
        for row in found:
            say_json(row.public(today))
        return
    table(
        (_("Id"), _("Kind"), _("At"), _("Number"), _("Source"), _("Due"), _("State")),
        (
            (row.id[:8], word(row.kind), moment_text(row.at), row.number or _("withheld"), word(row.source or ""),
             day_text(row.due) if row.due else "", _state(row, today))
            for row in found
        ),
    )  # fmt: skip


def _state(row: Intake, today: date) -> str:
    if row.done_at is not None:
        return _("done by {who} at {at}").format(who=row.done_by, at=moment_text(row.done_at))
    if row.unanswered:
        return _("NOT ANSWERED: call back now")
    said = _("answered by {phone}").format(phone=row.answered_by) if row.answered_by else _("open")
    return said + ", " + _("OVERDUE") if row.overdue(today) else said


def done(
    identity: Annotated[str, typer.Argument(help=_("Id, or its beginning."), metavar="ID")],
    done_by: Annotated[str, typer.Option("--done-by", help=_("Who did it: a name or a section."), prompt=_("Done by"))],
    note: Annotated[str, typer.Option("--note", help=_("What came of it."), prompt=_("Note"))],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Close an intake."""
    if not done_by.strip() or not note.strip():
        raise UsageError(_("--done-by and --note are needed: a promise is kept by somebody, and something came of it"))

    async def close(desk: Desk) -> Intake:
        await desk.catch_up()
        found = await desk.intake.beginning(identity.lower()) if identity else []
        if len(found) != 1:
            raise NotFoundError(
                _("{count} intakes begin with {text!r}; `kikitori intake list --all` shows them").format(
                    count=len(found), text=identity
                )
            )
        return await desk.keep(found[0], done_by.strip()[:120], unicodedata.normalize("NFC", note.strip())[:1000])

    row = at_desk_for(Act.INTAKE, by, password_file, code, close)
    if as_json:
        say_json(row.public(_today()))
    else:
        out.print(_("Done: {id}").format(id=row.id[:8]), style="green")


def _today() -> date:
    return wall_clock().astimezone(JST).date()
