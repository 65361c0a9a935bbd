"""`kikitori accounts`: who has one, and how somebody gets one."""

import sys
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, TypeVar
from urllib.parse import urlsplit

import segno
import typer

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at
from cti.cli.common import Commands, Json, agree, out, say_json, settings, table, when
from cti.cli.local import at_desk, at_desk_for, entitled
from cti.cli.session import Ca, Server, address, at_api, by_session
from cti.cli.signin import HERE, By, Code, PasswordFile, Proof, asked, line, proof, visible
from cti.cli.terminal import one_line
from cti.errors import UsageError
from cti.explain import explain
from cti.i18n import _
from policies.rights import Act, Role
from recorder.access.accounts import INSTALLER, Accounts
from recorder.access.credentials import PasswordError, check_password, otpauth, seed
from recorder.access.people import Account

Result = TypeVar("Result")

Id = Annotated[str, typer.Argument(help=_("ID of the account."), metavar="ID")]
Kind = Annotated[
    Role,
    typer.Option(
        "--role",
        help=_(
            "manager 課長, deputy 担当課長代理, staff 職員, liaison 広聴担当, contractor 運営会社, section 所管課, "
            "auditor 監査."
        ),
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Accounts: each issued by 課長 to one person."))
    group.command(
        "issue",
        help=_("Issue an account. Prints a one-time secret, which the person turns into a password of their own."),
        epilog=_("Example: kikitori accounts issue sato --name 佐藤花子 --role staff --by tanaka"),
    )(issue)
    group.command(
        "enrol",
        help=_("Turn your one-time secret into a password and an authenticator of your own."),
        epilog=_("Example: kikitori accounts enrol sato"),
    )(enrol)
    group.command(
        "renew",
        help=_("Another one-time secret, for who lost password or authenticator. The keys are to be granted anew."),
        epilog=_("Example: kikitori accounts renew sato --by tanaka"),
    )(renew)
    group.command(
        "list",
        help=_("Who has an account, issued by whom and when, and when it was used and looked through last."),
        epilog=_("Example: kikitori accounts list --all --json"),
    )(list_)
    group.command(
        "end",
        help=_("End an account, at once and for good. What it did stays in the access log."),
        epilog=_("Example: kikitori accounts end sato --reason 異動 --by tanaka"),
    )(end)
    group.command(
        "review",
        help=_("Look accounts through: the person is still there and still needs it."),
        epilog=_("Example: kikitori accounts review sato mori --by tanaka"),
    )(review)
    app.add_typer(group, name="accounts")


def issue(
    account: Id,
    name: Annotated[str, typer.Option("--name", help=_("The person's name."), prompt=_("Name"))],
    role: Kind,
    section: Annotated[str | None, typer.Option("--section", help=_("Of role section: which."))] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Issue an account."""
    if (role is Role.SECTION) != bool(section):  # before a code is used up
        raise UsageError(_("--section: needed for role section, and for no other"))
    if by_session(by):
        from cti.api.shapes import Issue  # who stays at the recorder does not wait until it is loaded
        from cti.cli.ways import shaped

        asked = shaped(Issue, account=account, name=name.strip(), role=role, section=section)
        with at_api() as client:
            _issued(account, client.issue(asked).secret, role, as_json=as_json)
        return
    who = proof(by, password_file, code) if by else None

    async def do(accounts: Accounts) -> str:
        issuer = await _issuer(accounts, Act.ISSUE, who)
        return await accounts.issue(account, name=name.strip(), role=role, section=section, by=issuer)

    _issued(account, _with_accounts(do), role, as_json=as_json)


def _issued(account: str, secret: str, role: Role, *, as_json: bool) -> None:
    if not as_json:
        out.print(_("Issued: {account}, {role}.").format(account=account, role=role.wording), style="green")
    _hand_over(account, secret, as_json=as_json)


def renew(
    account: Id, by: By = None, password_file: PasswordFile = None, code: Code = None, as_json: Json = False
) -> None:
    """Issue another one-time secret."""
    if by_session(by):
        with at_api() as client:
            secret = client.renew(account).secret
    else:
        who = proof(by, password_file, code) if by else None

        async def do(accounts: Accounts) -> str:
            return await accounts.renew(account, by=await _issuer(accounts, Act.ISSUE, who))

        secret = _with_accounts(do)
    if not as_json:
        out.print(
            _("{account} needs the vault's keys granted anew: kikitori vault grant {account}").format(account=account),
            highlight=False,
        )
    _hand_over(account, secret, as_json=as_json)


def _hand_over(account: str, secret: str, *, as_json: bool) -> None:
    if as_json:
        say_json({"account": account, "secret": secret})
        return
    out.print(_("The one-time secret is shown once and stored nowhere. It is good for a week. Hand it over in person:"))
    out.print(f"\n    {secret}\n", highlight=False)
    out.print(
        _(
            "The person types at the recorder: kikitori accounts enrol {account}; from elsewhere with --server and "
            "--ca, as for `kikitori login`"
        ).format(account=account),
        highlight=False,
    )


def enrol(
    account: Id,
    secret_file: Annotated[
        Path | None, typer.Option("--secret-file", help=_("File with the one-time secret. Without it you are asked."))
    ] = None,
    password_file: PasswordFile = None,
    server: Server = None,
    ca: Ca = None,
    as_json: Json = False,
) -> None:
    """Enrol. With --json the code is read from standard input once the address was written."""
    secret = line(secret_file) if secret_file else asked(_("One-time secret: "))
    password = line(password_file) if password_file else _new_password(account)
    totp = seed()
    at = address(server, ca) if server else None
    issuer = f"kikitori {settings().settings.site.pbx if at is None else urlsplit(at[0]).hostname}"
    uri = otpauth(account, totp, issuer)
    if as_json:
        say_json({"account": account, "otpauth": uri})
    else:
        out.print(_("Scan this with your authenticator, or type the key in:"))
        segno.make(uri, error="m").terminal(out=sys.stdout, compact=True)
        out.print(f"\n    {totp}\n", highlight=False)
    code = visible(_("The code that it shows now: "), piped=as_json)

    async def do(accounts: Accounts) -> None:
        await accounts.enrol(account, secret, password, totp, code, HERE)

    if at is None:
        _with_accounts(do)
    else:
        from cti.api.client import Client
        from cti.api.shapes import Enrolment
        from cti.cli.ways import shaped

        with Client(*at) as client:
            client.enrol(shaped(Enrolment, account=account, secret=secret, password=password, totp=totp, code=code))
    if as_json:
        say_json({"account": account, "enrolled": True})
        return
    out.print(_("Done. From now on your password and the code of your authenticator let you in."), style="green")


def list_(
    everything: Annotated[bool, typer.Option("--all", help=_("With those that have ended."))] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """List accounts."""
    if by_session(by):
        with at_api() as client:
            every = [Account(**one.model_dump()) for one in client.accounts()]
    else:
        every = at_desk_for(Act.ACCOUNTS, by, password_file, code, lambda desk: accounts_at(desk, wall_clock).all())
    found = [account for account in every if everything or account.live]
    if as_json:
        for account in found:
            say_json(asdict(account))
        return
    table(
        (_("Id"), _("Name"), _("Role"), _("Issued"), _("By"), _("Last used"), _("Looked through"), _("State")),
        (
            (each.id, each.name, " ".join(filter(None, (each.role.wording, each.section))), when(each.issued_at),
             each.issued_by, when(each.seen_at), when(each.reviewed_at), _state(each))
            for each in found
        ),
    )  # fmt: skip


def _state(account: Account) -> str:
    if account.ended_at is not None:
        return _("ended {at} by {by}: {reason}").format(
            at=when(account.ended_at), by=account.ended_by, reason=account.reason
        )
    return _("one-time secret not used yet") if account.initial else _("in use")


def end(
    account: Id,
    reason: Annotated[str, typer.Option("--reason", help=_("Why it ends."), prompt=_("Reason"))],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do not ask."))] = False,
    as_json: Json = False,
) -> None:
    """End an account."""
    if not yes:
        agree(
            _("{account} can never be used again, and the ID is given to nobody else. End it?").format(account=account)
        )

    if by_session(by):
        from cti.api.shapes import End
        from cti.cli.ways import shaped

        with at_api() as client:
            client.end_account(account, shaped(End, reason=reason))
    else:
        who = proof(by, password_file, code)

        async def do(accounts: Accounts) -> None:
            await accounts.end(account, by=(await entitled(accounts, Act.END, who)).account.id, reason=reason)

        _with_accounts(do)
    if as_json:
        say_json({"account": account, "ended": True})
        return
    out.print(_("Ended: {account}.").format(account=one_line(account)), style="green")


def review(
    names: Annotated[list[str], typer.Argument(help=_("IDs of the accounts."), metavar="ID...")],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Look accounts through."""
    if by_session(by):
        with at_api() as client:
            for name in names:
                client.review_account(name)
    else:
        who = proof(by, password_file, code)

        async def do(accounts: Accounts) -> None:
            found = await entitled(accounts, Act.ACCOUNTS, who)
            for name in names:
                await accounts.review(name, by=found.account.id)

        _with_accounts(do)
    if as_json:
        for name in names:
            say_json({"account": name, "reviewed": True})
        return
    out.print(_("Looked through: {accounts}.").format(accounts=", ".join(names)), style="green")


async def _issuer(accounts: Accounts, act: Act, who: Proof | None) -> str:
    """Who issues: 課長, or whoever installs, until a 課長 can sign in. Raises UsageError, and as `entitled`."""
    if who is not None:
        return (await entitled(accounts, act, who)).account.id
    if await accounts.managed():
        raise UsageError(_("--by: only who has an account may; name your own ID"))
    return INSTALLER


def _with_accounts(what: Callable[[Accounts], Awaitable[Result]]) -> Result:
    return at_desk(lambda desk: what(accounts_at(desk, wall_clock)))


def _new_password(account: str) -> str:
    while True:
        text = asked(_("New password, 12 characters or more: "))
        try:
            check_password(text, (account,))
        except PasswordError as error:
            out.print(explain(error), style="red", highlight=False)
            continue
        if text == asked(_("Once more: ")):
            return text
        out.print(_("the two are not the same"), style="red")
