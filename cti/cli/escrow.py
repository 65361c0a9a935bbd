"""`kikitori vault escrow`: what opens the vault when nobody else does. Two persons sign in for it."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at, keys_at
from cti.cli.common import Commands, Json, PassphraseFile, agree, out, passphrase, say_json, settings, table
from cti.cli.local import at_desk, entitled
from cti.cli.signin import By, Code, PasswordFile, asked, asking, line
from cti.desk import Desk
from cti.errors import UsageError
from cti.escrow import Escrow, Two
from cti.i18n import _
from cti.vaultkeys import Giver
from policies.rights import Act
from recorder.vault.age import Identity
from recorder.vault.keys import unlock_manager

With = Annotated[str | None, typer.Option("--with", help=_("ID of the second person, who signs in too."), metavar="ID")]
WithPassword = Annotated[
    Path | None, typer.Option("--with-password-file", help=_("File whose first line is the second person's password."))
]
WithCode = Annotated[str | None, typer.Option("--with-code", help=_("The second person's code."))]
Yes = Annotated[bool, typer.Option("--yes", help=_("Do not ask."))]


def register(group: typer.Typer) -> None:
    """Add the commands."""
    made = Commands(help=_("Each epoch's key, sealed to a key that is on paper only. Two persons sign in for it."))
    made.command(
        "list",
        help=_("Of which epochs the second medium has a file, and which are in use."),
        epilog=_("Example: kikitori vault escrow list"),
    )(every)
    made.command(
        "open",
        help=_("Open the vault by the key on paper, and give both persons its keys: for when nobody holds them."),
        epilog=_("Example: kikitori vault escrow open --by tanaka --with mori"),
    )(open_it)
    made.command(
        "destroy",
        help=_("Destroy what the escrow has of an epoch that is over: then nothing opens old copies of it."),
        epilog=_(
            "Examples: kikitori vault escrow destroy 1 --dry-run · "
            "kikitori vault escrow destroy 1 --by tanaka --with mori"
        ),
    )(destroy)
    made.command(
        "renew",
        help=_("Make another key on paper, shown once: where the old one was lost, or seen by somebody."),
        epilog=_("Example: kikitori vault escrow renew --by tanaka --with mori"),
    )(renew)
    group.add_typer(made, name="escrow")


def every(as_json: Json = False) -> None:
    """List files."""

    async def find(desk: Desk) -> tuple[dict[int, Path], set[int]]:
        keys = keys_at(desk, settings().settings, wall_clock)
        plan = await keys.plan()
        return Escrow(keys).files(), set(plan.before)

    files, used = at_desk(find)
    if as_json:
        for epoch, path in files.items():
            say_json({"epoch": epoch, "file": path, "in_use": epoch in used})
        return
    rows = [
        (str(epoch), _("in use") if epoch in used else _("over: two persons can destroy it"), path)
        for epoch, path in files.items()
    ]
    table((_("Epoch"), _("State"), _("File")), rows)


def open_it(
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    second: With = None,
    with_password_file: WithPassword = None,
    with_code: WithCode = None,
    key_file: Annotated[
        Path | None,
        typer.Option("--key-file", help=_("File whose first line is the key on paper. Without it you are asked.")),
    ] = None,
    as_json: Json = False,
) -> None:
    """Open."""
    people = _people(by, password_file, code, second, with_password_file, with_code)
    paper = Identity.parse((line(key_file) if key_file else asked(_("Key on paper (AGE-SECRET-KEY-…): "))).strip())

    async def do(desk: Desk) -> tuple[int, ...]:
        return await _escrow(desk).open(paper, await people(desk))

    epochs = at_desk(do, unlocked=True)
    if as_json:
        say_json({"epochs": epochs, "accounts": [by, second]})
        return
    out.print(_("{first} and {second} hold the vault's keys now.").format(first=by, second=second), style="green")
    out.print(_("The key on paper has been seen: `kikitori vault escrow renew` makes another."))


def destroy(
    epoch: Annotated[int, typer.Argument(help=_("The epoch."), min=1)],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    second: With = None,
    with_password_file: WithPassword = None,
    with_code: WithCode = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Say what it would do and change nothing."))] = False,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Destroy."""
    if dry_run:
        path = at_desk(lambda desk: _escrow(desk).over(epoch))
        said = {"epoch": epoch, "file": path, "destroyed": False}
        say_json(said) if as_json else out.print(_("{file} would be destroyed.").format(file=path), highlight=False)
        return
    people = _people(by, password_file, code, second, with_password_file, with_code)
    if not yes:
        agree(_("Nothing will open old copies of epoch {epoch} any more. Go on?").format(epoch=epoch))

    async def do(desk: Desk) -> Path:
        return await _escrow(desk).destroy(epoch, await people(desk))

    path = at_desk(do)
    if as_json:
        say_json({"epoch": epoch, "file": path, "destroyed": True})
    else:
        out.print(_("{file} is destroyed.").format(file=path), style="green", highlight=False)


def renew(
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    second: With = None,
    with_password_file: WithPassword = None,
    with_code: WithCode = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Renew."""
    people = _people(by, password_file, code, second, with_password_file, with_code)
    secret = passphrase(passphrase_file) if passphrase_file else None

    def show(paper: str) -> None:
        if as_json:
            say_json({"escrow_identity": paper})
        else:
            out.print(_("The new key. Write it on paper now; it is shown once:"), style="bold")
            out.print(paper, highlight=False, soft_wrap=True)

    async def do(desk: Desk) -> tuple[int, ...]:
        two = await people(desk)
        held = await accounts_at(desk, wall_clock).grants.held(two.first)
        signer = held.signer or unlock_manager(desk.keys, secret or passphrase(None))
        giver = Giver(actor=held.account, identities=held.identities, signer=signer)
        return await _escrow(desk).renew(giver, two, show)

    epochs = at_desk(do, unlocked=True)
    if as_json:
        say_json({"epochs": epochs})
        return
    out.print(_("The old key on paper opens nothing that is in use any more: destroy it."), style="green")


def _escrow(desk: Desk) -> Escrow:
    return Escrow(keys_at(desk, settings().settings, wall_clock))


def _people(
    by: str | None, password_file: Path | None, code: str | None, second: str | None,
    with_password_file: Path | None, with_code: str | None,
) -> Callable[[Desk], Awaitable[Two]]:  # fmt: skip
    """The first is asked now; the second when the first has signed in, whose code would be too old by then."""
    if second is None:
        raise UsageError(_("--with: name the second person, who signs in too"))
    if by == second:
        raise UsageError(_("the escrow needs two persons; {account} is one").format(account=by))
    ask_first, ask_second = asking(by, password_file, code), asking(second, with_password_file, with_code)
    first = ask_first()

    async def sign_in(desk: Desk) -> Two:
        accounts = accounts_at(desk, wall_clock)
        one = await entitled(accounts, Act.ESCROW, first)
        return Two(first=one, second=await entitled(accounts, Act.ESCROW, ask_second()))

    return sign_in
