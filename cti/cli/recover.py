"""`kikitori recover`."""

from typing import Annotated

import typer

from cti.cli.common import Json, PassphraseFile, err, length, out, passphrase, say_json
from cti.cli.local import at_desk, holding
from cti.cli.signin import By, Code, PasswordFile, proof
from cti.desk import Desk
from cti.explain import localise
from cti.i18n import _, ngettext
from cti.recovery import Outcome, Recovery
from policies.rights import Act
from recorder.vault.keys import by_passphrase, epochs, unlock


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "recover",
        help=_(
            "After a power failure: end the segments whose keys were lost with the RAM, up to the last synced sound. "
            "Needs the running recorder, and the keys of an account or the passphrase; writes log lines."
        ),
        epilog=_("Examples: kikitori recover --dry-run · kikitori recover --by sato"),
    )(recover)


def recover(
    recording: Annotated[
        str | None, typer.Argument(help=_("Only of this recording: its id, or its beginning."), metavar="[ID]")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("List them and change nothing."))] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Recover."""

    async def unfinished(desk: Desk) -> list[str]:
        return await Recovery(desk).unfinished(recording)

    names = at_desk(unfinished)
    if dry_run or not names:
        for name in names:
            if as_json:
                say_json({"segment": name, "outcome": "unfinished"})
            else:
                out.print(name, highlight=False)
        if not as_json and not names:
            out.print(_("No segment waits for its end."), style="green")
        return
    who = proof(by, password_file, code) if by else None
    secret = "" if who else passphrase(passphrase_file)

    async def end(desk: Desk) -> list[Outcome]:
        if who:
            identities = (await holding(desk, Act.STATUS, who)).identities
        else:
            by_passphrase(desk.keys, secret)  # says so where it opens nothing any more
            identities = {epoch: unlock(desk.keys, epoch, secret) for epoch in epochs(desk.keys)}
        outcomes = []
        async for outcome in Recovery(desk).recover(names, identities):
            outcomes.append(outcome)
            _say(outcome, as_json=as_json)
        return outcomes

    failed = sum(outcome.outcome == "failed" for outcome in at_desk(end, unlocked=True))
    if failed:
        text = ngettext(
            "{count} segment could not be recovered; it stays as it is",
            "{count} segments could not be recovered; they stay as they are",
            failed,
        )
        err.print(text.format(count=failed), style="bold red")
        raise typer.Exit(1)


def _say(outcome: Outcome, *, as_json: bool) -> None:
    if as_json:
        say_json(
            {"segment": outcome.segment, "outcome": outcome.outcome, "seconds": outcome.seconds,
             "reason": outcome.reason}
        )  # fmt: skip
        return
    said = {
        "recovered": _("recovered, {length}").format(length=length(outcome.seconds)),
        "empty": _("held no sound; removed"),
        "finished": _("was finished; what was left over is removed"),
    }.get(outcome.outcome) or _("not recovered: {reason}").format(reason=localise(outcome.reason or ""))
    out.print(f"{outcome.segment}  {said}", highlight=False, soft_wrap=True)
