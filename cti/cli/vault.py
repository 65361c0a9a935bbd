"""`kikitori vault`: who holds the keys, another epoch, whether every header is for them."""

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Annotated, Any, Final

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at, keys_at
from cti.cli import escrow
from cti.cli.common import Commands, Json, PassphraseFile, agree, err, out, passphrase, say_json, settings, table, when
from cti.cli.local import allowed, at_desk, holding
from cti.cli.session import at_api, by_session, from_afar
from cti.cli.signin import By, Code, PasswordFile, proof
from cti.cli.terminal import one_line
from cti.desk import Desk
from cti.i18n import _, ngettext
from cti.vaultkeys import Giver, Plan, Rotated, Tested
from policies.rights import Act, Role
from recorder.access.grants import Held
from recorder.access.tables import SIGNING
from recorder.vault.age import Identity, Passphrase
from recorder.vault.keys import RotationError, unlock, unlock_manager
from recorder.vault.keys import epochs as filed

LOOK: Final = 0.3
"""Seconds between two looks at a rotation of the desk's."""
Id = Annotated[str, typer.Argument(help=_("ID of the account."), metavar="ID")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The vault's keys: who holds them, another epoch, the escrow."))
    group.command(
        "epochs",
        help=_("The epoch in use, since when, and who holds the keys."),
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
    group.command(
        "rotate",
        help=_(
            "Begin another epoch: a new key for whoever holds the present one, every recording sealed to it anew, the "
            "old key destroyed. Calls go on meanwhile, and so does who listens. What was stopped goes on."
        ),
        epilog=_("Examples: kikitori vault rotate --by tanaka --dry-run · kikitori vault rotate --by tanaka"),
    )(rotate)
    group.command(
        "test",
        help=_(
            "Try every header that is new since the last time: does it open by the key that you hold, or was it sealed "
            "to somebody else? Whoever signs in does it too."
        ),
        epilog=_("Example: kikitori vault test --by sato"),
    )(try_headers)
    escrow.register(group)
    app.add_typer(group, name="vault")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Epochs:
    """What there is of keys, here or as the API tells it."""

    epoch: int
    since: datetime
    every: list[int]
    held: Sequence[Any]
    tested: Tested
    unfinished: bool


def epochs(as_json: Json = False) -> None:
    """List epochs."""
    if from_afar():
        with at_api() as client:
            told = client.keys()
        going = told.rotation
        found = _Epochs(
            epoch=told.epoch, since=told.since, every=told.epochs, held=told.holders,
            tested=Tested(slots=told.tested, foreign=tuple(told.foreign)),
            unfinished=going is not None and not going.running and going.problem is not None,
        )  # fmt: skip
    else:

        async def find(desk: Desk) -> _Epochs:
            keys = keys_at(desk, settings().settings, wall_clock)
            plan = await keys.plan()
            return _Epochs(
                epoch=plan.epoch, since=plan.since, every=list(plan.before), held=await keys.grants.all(),
                tested=keys.tested(), unfinished=plan.unfinished,
            )  # fmt: skip

        found = at_desk(find)
    _say_epochs(found, as_json=as_json)


def _say_epochs(plan: _Epochs, *, as_json: bool) -> None:
    every, held, tested = plan.every, plan.held, plan.tested
    signing = [one.account for one in held if one.epoch == SIGNING]
    if as_json:
        for epoch in every:
            holders = [
                {"account": one.account, "by": one.granted_by, "at": one.granted_at} for one in held
                if one.epoch == epoch
            ]  # fmt: skip
            now = {"since": plan.since, "signing": signing, "tested": asdict(tested)} if epoch == plan.epoch else {}
            say_json({"epoch": epoch, "holders": holders} | now)
        return
    rows = [(str(one.epoch), one.account, one.granted_by, when(one.granted_at)) for one in held if one.epoch != SIGNING]
    nobody = _("nobody yet: the vault's passphrase alone opens it")
    rows.extend((str(epoch), nobody, "", "") for epoch in every if not any(one.epoch == epoch for one in held))
    table((_("Epoch"), _("Held by"), _("Granted by"), _("At")), sorted(rows))
    out.print(_("Epoch {epoch} is in use since {at}.").format(epoch=plan.epoch, at=when(plan.since)))
    if signing:
        out.print(_("The key that signs to whom is encrypted is held by {names}.").format(names=", ".join(signing)))
    if plan.unfinished:
        out.print(_("A rotation was not ended: `kikitori vault rotate` goes on with it."), style="yellow")
    _say_foreign(tested.foreign)


def grant(
    account: Id,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Grant keys."""
    if by_session(by) and passphrase_file is None:
        with at_api() as client:
            _granted(account, client.grant(account).epochs, as_json=as_json)
        return
    who = proof(by, password_file, code)
    # Read as whoever types. Without one it is asked for where it is needed.
    given_secret = passphrase(passphrase_file) if passphrase_file else None

    async def do(desk: Desk) -> list[int]:
        accounts = accounts_at(desk, wall_clock)
        giver = await holding(desk, Act.KEYS, who)
        keys = keys_at(desk, settings().settings, wall_clock)
        every = list((await keys.plan()).before)
        signs = any(one.id == account and one.role is Role.MANAGER for one in await accounts.all())
        has_all = set(every) <= giver.identities.keys() and (giver.signer is not None or not signs)
        secret = given_secret or ("" if has_all else passphrase(None))
        given = {epoch: giver.identities.get(epoch) or unlock(desk.keys, epoch, secret) for epoch in every}
        signer = giver.signer or (unlock_manager(desk.keys, secret) if signs else None)
        await keys.give_all(account, given, signer, giver.account)
        return every

    _granted(account, at_desk(do, unlocked=True), as_json=as_json)


def _granted(account: str, given: list[int], *, as_json: bool) -> None:
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
    if by_session(by):
        with at_api() as client:
            count = len(client.revoke(account).epochs)
    else:
        who = proof(by, password_file, code)

        async def do(desk: Desk) -> int:
            taker = await holding(desk, Act.KEYS, who)
            return await keys_at(desk, settings().settings, wall_clock).revoke(account, taker.account)

        count = at_desk(do)
    if as_json:
        say_json({"account": account, "revoked": count})
        return
    told = ngettext("Taken away: {count} key of {account}.", "Taken away: {count} keys of {account}.", count)
    out.print(told.format(account=one_line(account), count=count), style="green")
    out.print(_("What they opened before and kept they still open, until `kikitori vault rotate`."))


def rotate(
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help=_("Say what it would do and change nothing."))] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up",
            help=_("Destroy the old keys although headers are left that none of them opens, or that are damaged."),
        ),
    ] = False,
    no_recorder: Annotated[
        bool,
        typer.Option("--no-recorder", help=_("The recorder does not run; it will read of the new key when it starts.")),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do not ask."))] = False,
    as_json: Json = False,
) -> None:
    """Rotate."""
    if dry_run:
        plan = at_desk(lambda desk: keys_at(desk, settings().settings, wall_clock).plan())
        _say_plan(plan, as_json=as_json)
        return
    if by_session(by) and passphrase_file is None and not (give_up or no_recorder):
        _rotate_by_session(as_json=as_json)
        return
    if give_up and not yes:
        agree(_("What these headers are for can never be heard again. Go on?"))
    who = proof(by, password_file, code) if by else None
    secret = passphrase(passphrase_file) if passphrase_file or who is None else None

    async def do(desk: Desk) -> Rotated:
        keys = keys_at(desk, settings().settings, wall_clock)
        giver = _giver(desk, await allowed(desk, Act.KEYS, who), secret)
        with _bar() as bar:
            # Once to seal them anew, and once more for what came meanwhile.
            task = bar.add_task("", total=2 * desk.vault.slots.count())
            return await keys.rotate(
                giver, lambda count: bar.advance(task, count), give_up=give_up, no_recorder=no_recorder
            )

    _end(at_desk(do, unlocked=True), as_json=as_json)


def _bar() -> Progress:
    columns = (TextColumn(_("headers")), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    return Progress(*columns, console=err, transient=True, disable=not err.is_terminal)


def _end(done: Rotated, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(done))
    else:
        _say_rotated(done)
    if done.kept:
        raise typer.Exit(1)


def _rotate_by_session(*, as_json: bool) -> None:
    """The desk goes on with it whatever becomes of this command: `vault epochs` tells how far it is."""
    with at_api() as client, _bar() as bar:
        going, task = client.rotate(), bar.add_task("", total=None)
        while going.running:
            time.sleep(LOOK)
            going = client.keys().rotation
            bar.update(task, total=going.of, completed=going.looked)
    if going.problem is not None or going.epoch is None:
        raise RotationError(going.problem or "")
    done = Rotated(
        epoch=going.epoch, moved=going.moved or 0, kept=bool(going.kept), foreign=tuple(going.foreign),
        lost=tuple(going.lost), slots=going.of // 2, holders=(), without=(),
    )  # fmt: skip
    _end(done, as_json=as_json)


def _giver(desk: Desk, held: Held | None, secret: str | None) -> Giver:
    """Somebody in their own name; or the passphrase, which then opens the next epoch too."""
    if held is not None:
        # Who asks for it is asked after the sign-in: a terminal is there, or the file was named.
        signer = held.signer or unlock_manager(desk.keys, secret or passphrase(None))
        return Giver(actor=held.account, identities=held.identities, signer=signer)
    secret = secret or ""
    identities: dict[int, Identity] = {epoch: unlock(desk.keys, epoch, secret) for epoch in filed(desk.keys)}
    signer = unlock_manager(desk.keys, secret)
    return Giver(actor=desk.actor, identities=identities, signer=signer, passphrase=Passphrase(secret))


def _say_plan(plan: Plan, *, as_json: bool) -> None:
    if as_json:
        say_json(asdict(plan) | {"unfinished": plan.unfinished})
        return
    out.print(_("Epoch {epoch} is in use since {at}.").format(epoch=plan.epoch, at=when(plan.since)))
    if plan.unfinished:
        out.print(_("A rotation was not ended: it would go on, and no further epoch would begin."))
    holders = ", ".join(plan.holders) or _("whoever knows the vault's passphrase")
    out.print(_("The new key would be held by: {names}").format(names=holders), highlight=False)
    told = ngettext(
        "{count} header would be sealed anew; no sound is touched.",
        "{count} headers would be sealed anew; no sound is touched.",
        plan.slots,
    )
    out.print(told.format(count=plan.slots))


def _say_rotated(done: Rotated) -> None:
    told = ngettext(
        "Epoch {epoch} is in use. {count} header was sealed anew.",
        "Epoch {epoch} is in use. {count} headers were sealed anew.",
        done.moved,
    )
    out.print(told.format(epoch=done.epoch, count=done.moved), style="yellow" if done.kept else "green")
    for account in done.without:
        said = _("{account} was given no key: the account has ended, or is not what the access log says")
        err.print(said.format(account=one_line(account)), style="yellow")
    _say_foreign(done.foreign)
    if done.lost:
        _say_slots(_("Damaged on both media: {slots}"), done.lost)
    if done.kept:
        err.print(
            _(
                "The keys of before are kept. Look into it (`kikitori verify --all`), put back what a backup has, and "
                "rotate again; with --give-up they go all the same."
            )
        )
    else:
        out.print(_("The keys of before are destroyed; what is in the escrow of them, two persons destroy."))


def try_headers(by: By = None, password_file: PasswordFile = None, code: Code = None, as_json: Json = False) -> None:
    """Try headers."""
    who = proof(by, password_file, code)

    async def do(desk: Desk) -> Tested:
        held = await holding(desk, Act.STATUS, who)
        return await keys_at(desk, settings().settings, wall_clock).test(held)

    tested = at_desk(do, unlocked=True)
    if as_json:
        say_json(asdict(tested))
    elif not tested.foreign:
        told = ngettext(
            "{count} header was tried by now: it is for the vault's own keys.",
            "{count} headers were tried by now: all are for the vault's own keys.",
            tested.slots,
        )
        out.print(told.format(count=tested.slots), style="green")
    else:
        _say_foreign(tested.foreign)
    if tested.foreign:
        raise typer.Exit(1)


def _say_foreign(slots: Any) -> None:
    if slots:
        _say_slots(_("Sealed to somebody else, or to nobody: {slots}. Stop recording and find out who did."), slots)


def _say_slots(sentence: str, slots: Any) -> None:
    named = ", ".join(map(str, slots[:20])) + (" ..." if len(slots) > 20 else "")
    err.print(sentence.format(slots=_("slots {numbers}").format(numbers=named)), style="bold red", highlight=False)
