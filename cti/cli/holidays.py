"""`kikitori hours holidays`: the table of holidays, and a newer one in its place."""

import re
from hashlib import sha256
from pathlib import Path
from typing import Annotated

import typer

from cti.cli.common import Commands, Json, agree, err, out, say_json, settings, table
from cti.cli.local import at_desk_for
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.terminal import printable
from cti.desk import Desk
from cti.errors import UsageError
from cti.explain import explain
from cti.i18n import _
from cti.sentences import day_text
from policies.errors import PolicyError
from policies.holidays import Change, Holiday, Holidays, changes, parse_table
from policies.load import Policies
from policies.rights import Act
from recorder.vault.folder import replace_whole


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The Cabinet Office's table of holidays."))
    group.command(
        "update",
        help=_("Take a newer table; shows first which days change."),
        epilog=_(
            "Examples: kikitori hours holidays update syukujitsu.csv --dry-run · "
            "kikitori hours holidays update syukujitsu.csv --yes --by tanaka"
        ),
    )(update)
    app.add_typer(group, name="holidays")


def update(
    file: Annotated[Path, typer.Argument(help=_("The Cabinet Office's file, as it is."), metavar="FILE")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Show what would change and take nothing."))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do it without asking."))] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Take a newer table."""
    folder = settings().settings.paths.policies
    policies = Policies(folder)
    try:
        data = file.read_bytes()
    except OSError as error:
        raise UsageError(f"{file}: {error.strerror}") from error
    found = parse_table(data, str(file))
    try:
        before = policies.holidays
    except PolicyError as error:  # this is how a damaged one is replaced
        err.print(printable(explain(error)), style="yellow", highlight=False, soft_wrap=True)
        before = Holidays([], policies.forecast)
    after = Holidays(found, policies.forecast)
    changed = changes(before, after)
    digest = sha256(data).hexdigest()
    if as_json:
        for change in changed:
            say_json(
                {"date": change.day, "before": change.before.name if change.before else None,
                 "after": change.after.name if change.after else None}
            )  # fmt: skip
    else:
        _show(changed, before, after)
    if dry_run or digest == policies.holiday_files.sha256:
        return
    if after.table_until < before.table_until and not yes:
        raise UsageError(
            _("{file} ends with {last}, the table in use with {used}: an older one is taken with --yes only").format(
                file=file, last=after.table_until, used=before.table_until
            )
        )
    if not yes:
        agree(_("Take it?"))

    async def log(desk: Desk) -> None:
        detail = {"sha256": digest, "until": after.table_until, "changes": len(changed)}
        desk.log("hours.holidays", policies.holiday_files.table, detail)

    at_desk_for(Act.HOURS, by, password_file, code, log)
    _take(folder, f"syukujitsu-{digest[:8]}.csv", data, digest)
    if not as_json:
        out.print(_("Taken: holidays to {year}. It counts from the next call.").format(year=after.table_until),
                  style="green")  # fmt: skip


def _show(changed: list[Change], before: Holidays, after: Holidays) -> None:
    out.print(_("In use: to {used}. The new table: to {last}.").format(used=before.table_until, last=after.table_until))
    if not changed:
        out.print(_("No day changes."), style="green")
        return
    table(
        (_("Day"), _("Before"), _("After")),
        ((day_text(change.day), _name(change.before), _name(change.after)) for change in changed),
    )


def _name(holiday: Holiday | None) -> str:
    if holiday is None:
        return _("no holiday")
    said = f"{holiday.name} ({holiday.kind.value})"
    return said + _(", forecast") if holiday.forecast else said


def _take(folder: Path, name: str, data: bytes, digest: str) -> None:
    """The new table beside the old one, then holidays.toml that names it: at each moment both fit."""
    replace_whole(folder / name, data, 0o644)
    path = folder / "holidays.toml"
    text = path.read_text("utf-8")
    for key, value in (("table", name), ("sha256", digest)):
        text, count = re.subn(rf'(?m)^{key}\s*=\s*"[^"]*"', f'{key} = "{value}"', text)
        if count != 1:
            raise UsageError(_("{path}: the line `{key} = ...` is not where it was").format(path=path, key=key))
    replace_whole(path, text.encode(), 0o644)
