"""`kikitori completeness`: whether every conversation was recorded, by a witness that is not us."""

from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cti import statement
from cti.app import wall_clock
from cti.cli.common import Commands, Json, out, say_json, settings, table
from cti.cli.hours import time_of
from cti.cli.recordings import at_desk
from cti.completeness import Account
from cti.explain import localise, word
from cti.i18n import _
from cti.records import Day as Witness
from cti.sentences import day_text
from policies.calendar import JST
from recorder.vault.keys import load_verifier

Day = Annotated[
    str | None, typer.Option("--day", help=_("Day in Japan. Default: yesterday."), metavar="DAY", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Whether every conversation was recorded, by Asterisk's own records."))
    group.command(
        "check",
        help=_(
            "Compare what Asterisk itself wrote of a day (CEL and CDR) with the vault: each conversation of a "
            "designated phone, and each recording. Ends with 1 where something does not agree."
        ),
        epilog=_("Examples: kikitori completeness check · kikitori completeness check --day 2027-04-01 --json"),
    )(check)
    group.command(
        "statement",
        help=_(
            "Issue the signed statement of a day; its hash goes into the access log. To verify one, the log's public "
            "key is enough."
        ),
        epilog=_(
            "Examples: kikitori completeness statement --day 2027-04-01 -o 2027-04-01.note · "
            "kikitori completeness statement --verify 2027-04-01.note --key log.pub"
        ),
    )(state)
    app.add_typer(group, name="completeness")


def check(day: Day = None, as_json: Json = False) -> None:
    """Compare a day."""
    account, witness = at_desk(lambda desk: desk.completeness(_day(day)))
    if as_json:
        say_json(statement.values(account, witness, settings().settings.site.pbx))
    else:
        _show(account, witness)
    raise typer.Exit(0 if account.complete else 1)


def state(
    day: Day = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=_("A copy of the statement."))] = None,
    verify: Annotated[
        Path | None, typer.Option("--verify", help=_("Verify this statement instead."), metavar="FILE")
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help=_("With --verify: the log's public key. Default: the installation's.")),
    ] = None,
    as_json: Json = False,
) -> None:
    """Issue a statement, or verify one."""
    path = verify or at_desk(lambda desk: desk.state_completeness(_day(day)))[0]
    text, public = _note(path), key or settings().settings.paths.keys / "log.pub"
    said = statement.load(text, [load_verifier(public)], str(path))
    if output is not None:
        output.write_text(text, "utf-8")
    if as_json:
        say_json({"file": str(path)} | said)
        return
    if verify is None:
        out.print(text, highlight=False, markup=False, soft_wrap=True, end="")
        out.print(_("Lies in {file}").format(file=path), style="dim", highlight=False, soft_wrap=True)
        return
    out.print(
        _("As it was signed by {key}: {day}, {conversations} conversations, {recorded} recorded, {count} exceptions.")
        .format(
            key=public.name, day=said["day"], conversations=said["conversations"], recorded=said["recorded"],
            count=len(said["exceptions"]),
        ),
        style="green" if said["complete"] else "yellow", highlight=False, soft_wrap=True,
    )  # fmt: skip


def _note(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise statement.StatementError(f"{path}: not UTF-8") from error


def _day(text: str | None) -> date:
    if text is None:
        return wall_clock().astimezone(JST).date() - timedelta(days=1)
    return time_of(text, "--day").astimezone(JST).date()


def _show(account: Account, witness: Witness) -> None:
    said: dict[str, Any] = {
        "day": day_text(account.day), "conversations": account.conversations, "recorded": account.recorded,
    }  # fmt: skip
    out.print(
        _("{day}: {conversations} conversations of designated phones, {recorded} of them recorded.").format(**said),
        style="green" if account.complete else "bold red", highlight=False,
    )  # fmt: skip
    out.print(
        _("Talked {talked:.1f} s, kept {kept:.1f} s; {count} go on.").format(
            talked=account.seconds, kept=account.kept, count=account.going_on
        ),
        highlight=False,
    )
    files = ", ".join(str(source["file"]) for source in witness.sources)
    out.print(_("By Asterisk's own records: {files}").format(files=files), style="dim", highlight=False)
    if account.complete:
        return
    table(
        (_("What"), _("From"), _("Seconds"), _("Phones"), _("Recording"), _("Call"), _("Reason")),
        (
            (word(row.lack.value), row.start.astimezone(JST).strftime("%H:%M:%S.%f")[:-3],
             f"{(row.end - row.start).total_seconds():.3f}", ", ".join(row.phones), (row.recording or "")[:8],
             row.linkedid, localise(row.reason))
            for row in account.exceptions
        ),
    )  # fmt: skip
