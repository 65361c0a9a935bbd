"""`kikitori vault`: who holds the keys."""

from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at
from cti.cli.common import Commands, Json, PassphraseFile, out, passphrase, say_json, table, when
from cti.cli.local import at_desk
from cti.cli.signin import By, Code, PasswordFile, holding, proof
from cti.cli.terminal import one_line
from cti.desk import Desk
from cti.i18n import _, ngettext
from policies.rights import Act
from recorder.access.grants import Grant
from recorder.vault.keys import epochs as made
from recorder.vault.keys import unlock

Id = Annotated[str, typer.Argument(help=_("ID of the account."), metavar="ID")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The vault's keys: who holds them."))
    group.command(
        "epochs",
        help=_("Every epoch of the vault, and who holds its key."),
        epilog=_("Example: kikitori vault epochs --json"),
    )(epochs)
    group.command(
        "grant",
        help=_(
            "Seal the vault's keys to a person, who opens them by a password of their own. Nobody can grant a key that "
            "they do not hold; the first time the vault's passphrase opens them."
        ),
        epilog=_("Example: kikitori vault grant sato --by tanaka"),
    )(grant)
    group.command(
        "revoke",
        help=_("Take the vault's keys away from a person, whose account stays."),
        epilog=_("Example: kikitori vault revoke sato --by tanaka"),
    )(revoke)
    app.add_typer(group, name="vault")


def epochs(as_json: Json = False) -> None:
    """List epochs."""

    async def find(desk: Desk) -> list[tuple[int, list[Grant]]]:
        held = await accounts_at(desk, wall_clock).grants.all()
        return [(epoch, [grant for grant in held if grant.epoch == epoch]) for epoch in made(desk.keys)]

    found = at_desk(find)
    if as_json:
        for epoch, held in found:
            holders = [{"account": one.account, "by": one.granted_by, "at": one.granted_at} for one in held]
            say_json({"epoch": epoch, "holders": holders})
        return
    rows = [(str(epoch), one.account, one.granted_by, when(one.granted_at)) for epoch, held in found for one in held]
    rows += [
        (str(epoch), _("nobody yet: the vault's passphrase alone opens it"), "", "")
        for epoch, held in found
        if not held
    ]
    table((_("Epoch"), _("Held by"), _("Granted by"), _("At")), sorted(rows))


def grant(
    account: Id,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Grant keys."""
    who = proof(by, password_file, code)
    # Read as whoever types. Without one it is asked for where it is needed.
    given_secret = passphrase(passphrase_file) if passphrase_file else None

    async def do(desk: Desk) -> list[int]:
        grants = accounts_at(desk, wall_clock).grants
        giver = await holding(desk, Act.KEYS, who)
        every = made(desk.keys)
        secret = given_secret or ("" if set(every) <= giver.identities.keys() else passphrase(None))
        for epoch in every:
            identity = giver.identities.get(epoch) or unlock(desk.keys, epoch, secret)
            await grants.give(account, epoch, identity, by=giver.account)
        return every

    given = at_desk(do, unlocked=True)
    if as_json:
        say_json({"account": account, "epochs": given})
        return
    told = ngettext(
        "{account} holds the key of {count} epoch now.", "{account} holds the keys of {count} epochs now.", len(given)
    )
    out.print(told.format(account=one_line(account), count=len(given)), style="green")


def revoke(
    account: Id, by: By = None, password_file: PasswordFile = None, code: Code = None, as_json: Json = False
) -> None:
    """Take keys away."""
    who = proof(by, password_file, code)

    async def do(desk: Desk) -> int:
        taker = await holding(desk, Act.KEYS, who)
        return await accounts_at(desk, wall_clock).grants.revoke(account, by=taker.account)

    count = at_desk(do)
    if as_json:
        say_json({"account": account, "revoked": count})
        return
    told = ngettext("Taken away: {count} key of {account}.", "Taken away: {count} keys of {account}.", count)
    out.print(told.format(account=one_line(account), count=count), style="green")
