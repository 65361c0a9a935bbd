"""`kikitori completeness`: whether every conversation was recorded, by a witness that is not us."""

from collections.abc import Iterable, Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cti import statement
from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, installed, out, say_json, settings, table
from cti.cli.local import at_desk_for
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.typed import day_of
from cti.completeness import Account
from cti.errors import UsageError
from cti.explain import localise, word
from cti.i18n import _
from cti.records import Day as Witness
from cti.sentences import day_text
from policies.calendar import JST
from policies.rights import Act
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


def check(
    day: Day = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Compare a day."""
    account, witness = at_desk_for(Act.STATUS, by, password_file, code, lambda desk: desk.completeness(_day(day)))
    if as_json:
        say_json(statement.values(account, witness, settings().settings.site.pbx))
    else:
        _show(account, witness)
    raise typer.Exit(0 if account.complete else 1)


def state(
    day: Day = None,
    output: Annotated[Path | None, typer.Option("--output", "-o", help=_("A copy of the statement."))] = None,
    verify: Annotated[
        Path | None,
        typer.Option(
            "--verify",
            help=_("Verify this statement instead; ends with 1 where it says that something is missing."),
            metavar="FILE",
        ),
    ] = None,
    key: Annotated[
        Path | None,
        typer.Option("--key", help=_("With --verify: the log's public key. Default: the installation's.")),
    ] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Issue a statement, or verify one."""
    if verify is not None and day is not None:
        raise UsageError(_("--verify reads the day from the statement: leave --day out"))
    if verify is not None and key is None and installed() is None:
        raise UsageError(_("name the log's public key, which the bureau has given you: --key log.pub"))
    path = verify
    if path is None:
        issue = at_desk_for(Act.STATUS, by, password_file, code, lambda desk: desk.state_completeness(_day(day)))
        path = issue[0]
    text, public = _note(path), load_verifier(key or settings().settings.paths.keys / "log.pub")
    said = statement.load(text, [public], str(path))
    if output is not None:
        output.write_text(text, "utf-8")
    if as_json:
        say_json({"file": str(path)} | said)
    elif verify is None:
        out.print(text, highlight=False, markup=False, soft_wrap=True, end="")
        out.print(_("Lies in {file}").format(file=path), style="dim", highlight=False, soft_wrap=True)
    else:
        _show_statement(said, public.name)
    if verify is not None and not said["complete"]:
        raise typer.Exit(1)


def _show_statement(said: dict[str, Any], signer: str) -> None:
    out.print(
        _("As {signer} signed it: {day}, {conversations} conversations, {recorded} of them recorded.").format(
            signer=signer, day=said["day"], conversations=said["conversations"], recorded=said["recorded"]
        ),
        highlight=False, soft_wrap=True,
    )  # fmt: skip
    if said["complete"]:
        out.print(_("Complete: everything agrees."), style="green")
        return
    out.print(_("NOT complete."), style="bold red")
    _exceptions(
        (
            row["lack"],
            row["from"][11:23],
            row["seconds"],
            row["phones"],
            row["recording"],
            row["linkedid"],
            row["reason"],
        )
        for row in said["exceptions"]
    )


def _exceptions(rows: Iterable[tuple[str, str, float, Sequence[str], str | None, str, str]]) -> None:
    table(
        (_("Mismatch"), _("Since"), _("Seconds"), _("Phones"), _("Recording"), _("Asterisk's call"), _("Reason")),
        (
            (word(lack), since, f"{seconds:.3f}", ", ".join(phones), (recording or "")[:8], linkedid, localise(reason))
            for lack, since, seconds, phones, recording, linkedid, reason in rows
        ),
    )


def _note(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise statement.StatementError(f"{path}: not UTF-8") from error


def _day(text: str | None) -> date:
    if text is None:
        return wall_clock().astimezone(JST).date() - timedelta(days=1)
    return day_of(text, "--day")


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
    if account.exceptions:
        _exceptions(
            (row.lack.value, row.start.astimezone(JST).strftime("%H:%M:%S.%f")[:-3],
             (row.end - row.start).total_seconds(), row.phones, row.recording, row.linkedid, row.reason)
            for row in account.exceptions
        )  # fmt: skip
