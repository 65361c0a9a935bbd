"""Who asks, and whether they may: ID, password and code, then the right of the role. In one place for every command."""

import getpass
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar

import typer

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at
from cti.cli.common import first_line, settings
from cti.cli.local import at_desk
from cti.desk import Desk
from cti.errors import NotEntitledError, UsageError
from cti.guard import Guard
from cti.i18n import _
from policies.load import Policies
from policies.rights import Act
from recorder.access.accounts import Accounts
from recorder.access.grants import Held
from recorder.access.people import SignedIn

Result = TypeVar("Result")

HERE = "console"
"""Where somebody signs in who sits at the recorder itself."""

By = Annotated[
    str | None,
    typer.Option(
        "--by", envvar="KIKITORI_ID", show_envvar=True,
        help=_("At the recorder itself, instead of a session: your own ID. You are asked for password and code."),
    ),
]  # fmt: skip
PasswordFile = Annotated[
    Path | None,
    typer.Option(
        "--password-file", envvar="KIKITORI_PASSWORD_FILE", show_envvar=True,
        help=_("File whose first line is your password. Without it you are asked."),
    ),
]  # fmt: skip
Code = Annotated[
    str | None, typer.Option("--code", help=_("The code that your authenticator shows. Without it you are asked."))
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """What somebody gives to prove who they are."""

    account: str
    password: str = field(repr=False)
    code: str = field(repr=False)


def proof(by: str | None, password_file: Path | None, code: str | None) -> Proof:
    """Asked for, or read, as whoever types: the desk's user need not be able to read their files. Raises UsageError."""
    return asking(by, password_file, code)()


def asking(by: str | None, password_file: Path | None, code: str | None) -> Callable[[], Proof]:
    """As `proof`; asks when it is called: a code is good for a minute, and somebody else may be asked first."""
    if by is None:
        raise UsageError(_("--by: only who has an account may; name your own ID"))
    given = line(password_file) if password_file else None

    def ask() -> Proof:
        password = given if given is not None else asked(_("Password of {account}: ").format(account=by))
        return Proof(account=by, password=password, code=code or visible(_("Code: ")))

    return ask


async def entitled(accounts: Accounts, act: Act, who: Proof) -> SignedIn:
    """Somebody who has proved who they are, and may do `act`. Raises NotEntitledError, RefusedError, TooSoonError."""
    rights = Policies(settings().settings.paths.policies).rights  # before a code is used up
    found = await accounts.sign_in(who.account, who.password, who.code, HERE)
    Guard(accounts=accounts, rights=lambda: rights).entitled(found.account, act)
    return found


async def allowed(desk: Desk, act: Act, who: Proof | None) -> Held | None:
    """As `holding`; None for nobody, as long as nobody ever had an account. Raises NotEntitledError.

    The log is asked: whoever renews an account, or writes into the database, does not open the host to everybody.
    """
    if who is not None:
        return await holding(desk, act, who)
    if desk.ever("account.enrolled"):
        raise NotEntitledError(
            _("people have accounts here (B-06): name your own ID with --by, or for recordings `kikitori login ID`")
        )
    return None


async def holding(desk: Desk, act: Act, who: Proof) -> Held:
    """What somebody at the recorder itself can open, who may do `act`. Raises NotEntitledError."""
    accounts = accounts_at(desk, wall_clock)
    found = await entitled(accounts, act, who)
    desk.actor = found.account.id
    return await accounts.grants.held(found)


def at_desk_for(
    act: Act, by: str | None, password_file: Path | None, code: str | None, what: Callable[[Desk], Awaitable[Result]]
) -> Result:
    """`at_desk`, by whoever may do `act`; by anybody, as long as nobody has an account. Raises NotEntitledError."""
    who = proof(by, password_file, code) if by else None

    async def do(desk: Desk) -> Result:
        await allowed(desk, act, who)
        return await what(desk)

    return at_desk(do)


def asked(question: str) -> str:
    """Typed, and not shown. Raises UsageError where nobody can be asked."""
    _somebody()
    return getpass.getpass(question)


def visible(question: str, *, piped: bool = False) -> str:
    """Typed, and shown. `piped`: a program may give it on standard input. Raises UsageError where nobody can."""
    if piped and not sys.stdin.isatty():
        return sys.stdin.readline().strip()
    _somebody()
    # Not on standard output, which may be a file or a pipe of JSON.
    sys.stderr.write(question)
    sys.stderr.flush()
    return sys.stdin.readline().strip()


def _somebody() -> None:
    if not sys.stdin.isatty():
        raise UsageError(_("no terminal to ask: give --password-file and --code; to enrol, --secret-file too"))


def line(file: Path) -> str:
    """The first line of a file that holds a secret. Raises UsageError."""
    if not (text := first_line(file)):
        raise UsageError(_("{file} is empty").format(file=file))
    return text
