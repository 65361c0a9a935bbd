"""Who asks: ID, password and code. Whether they may is looked up at the desk (`cti.cli.local`), or by its API."""

import getpass
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

import typer

from cti.cli.common import first_line
from cti.errors import UsageError
from cti.i18n import _

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
