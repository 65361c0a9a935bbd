"""`kikitori verify`."""

from typing import Annotated

import typer

from cti.cli.common import Json, PassphraseFile, err, out, passphrase, say_json
from cti.cli.local import at_desk, holding
from cti.cli.signin import By, Code, PasswordFile, proof
from cti.desk import Desk
from cti.errors import UsageError
from cti.explain import localise
from cti.i18n import _, ngettext
from policies.rights import Act
from recorder.vault.keys import by_passphrase
from recorder.verify import Finding


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "verify",
        help=_("Check slots, bodies, manifests, log, checkpoints and catalogue; say exactly what is wrong where."),
        epilog=_("Examples: kikitori verify 3f2a · kikitori verify --all --open --by sato"),
    )(verify)


def verify(
    recording: Annotated[
        str | None, typer.Argument(help=_("Id of the recording, or its beginning."), metavar="[ID]")
    ] = None,
    everything: Annotated[bool, typer.Option("--all", help=_("The whole vault, the log and the catalogue."))] = False,
    open_chunks: Annotated[
        bool, typer.Option("--open", help=_("Also unlock the vault and authenticate every header and chunk."))
    ] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Verify."""
    if (recording is None) != everything:
        raise UsageError(_("name one recording, or --all"))
    who = proof(by, password_file, code) if by else None
    secret = passphrase(passphrase_file) if who is None and (open_chunks or passphrase_file) else None

    async def do(desk: Desk) -> tuple[int, list[Finding]]:
        checked = 0

        def one(_samples: int) -> None:
            nonlocal checked
            checked += 1

        keys = by_passphrase(desk.keys, secret) if secret is not None else None
        if who is not None:
            keys = (await holding(desk, Act.STATUS, who)).opening
        identity = await desk.find(recording) if recording else None
        findings = [finding async for finding in desk.verify(identity, keys, one)]
        return checked, findings

    checked, findings = at_desk(do, unlocked=secret is not None or who is not None)
    for finding in findings:
        if as_json:
            say_json({"what": finding.what, "problem": finding.problem})
        else:
            out.print(localise(finding.what), style="red", end=": ", highlight=False, soft_wrap=True)
            out.print(localise(finding.problem), highlight=False, soft_wrap=True)
    if as_json:
        say_json({"segments": checked, "problems": len(findings)})
    elif not findings:
        text = ngettext(
            "{count} segment: everything is as it should be.",
            "{count} segments: everything is as it should be.",
            checked,
        )
        out.print(text.format(count=checked), style="green")
    if findings:
        err.print(_("{count} problems").format(count=len(findings)), style="bold red")
        raise typer.Exit(1)
