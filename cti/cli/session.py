"""`kikitori login`, `logout` and `whoami`; and the session that the other commands go by.

It lies in a file of its owner alone (0600), in XDG_STATE_HOME or ~/.local/state. Whoever has it may do what its owner
may, for 15 minutes after the last command, and 10 hours at most.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from cti.cli.common import Json, length, out, say_json, settings, settings_file
from cti.cli.signin import Code, PasswordFile, proof
from cti.errors import KikitoriError, SettingsError, UsageError
from cti.i18n import _
from recorder.vault.folder import replace_whole

Result = TypeVar("Result")


Server = Annotated[
    str | None,
    typer.Option(
        "--server", envvar="KIKITORI_SERVER", show_envvar=True,
        help=_("Address of the desk. Default: by the settings of this host."),
    ),
]  # fmt: skip
Ca = Annotated[
    Path | None,
    typer.Option(
        "--ca", envvar="KIKITORI_CA", show_envvar=True,
        help=_("Certificate that the desk is known by: keys/api.crt of its host. Default: by the settings."),
    ),
]  # fmt: skip


class SignedOutError(KikitoriError):
    """Nobody is signed in."""

    code = "signed-out"
    status = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What the file holds. `ca`: the certificate that the desk is known by; empty: whom the system trusts."""

    server: str
    ca: str
    account: str
    token: str = field(repr=False)


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "login",
        help=_(
            "Sign in at the desk: from then on what you do with recordings, other hours, accounts, keys and the access "
            "log goes by your session. It ends by itself "
            "after 15 minutes without a command, and after 10 hours."
        ),
        epilog=_("Example: kikitori login sato --server https://recorder.example:8443 --ca api.crt"),
    )(login)
    app.command(
        "logout",
        help=_("Sign out."),
        epilog=_("Example: kikitori logout"),
    )(logout)
    app.command(
        "whoami",
        help=_("Who is signed in, what that role may do, and for how long it lasts."),
        epilog=_("Example: kikitori whoami --json"),
    )(whoami)


def login(
    account: Annotated[str, typer.Argument(help=_("Your own ID."), metavar="ID")],
    server: Server = None,
    ca: Ca = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Sign in."""
    from cti.api.client import Client
    from cti.api.shapes import SignIn
    from cti.cli.ways import shaped

    at, trusted = address(server, ca)
    who = proof(account, password_file, code)
    with Client(at, trusted) as client:
        found = client.sign_in(shaped(SignIn, account=who.account, password=who.password, code=who.code))
    _write(Kept(server=at, ca=str(trusted or ""), account=found.account, token=found.token))
    if as_json:
        say_json(found.model_dump(mode="json", exclude={"token"}))
        return
    out.print(_("Signed in: {account}, {role}.").format(account=found.account, role=found.role.wording), style="green")


def logout(as_json: Json = False) -> None:
    """Sign out."""
    from cti.api.client import ApiError, UnreachableError

    kept = _read()
    if kept is None:
        raise SignedOutError(_("nobody is signed in here"))
    try:
        with _client(kept) as client:
            client.sign_out()
    except ApiError as error:
        if error.code != "no-session":
            raise
    except UnreachableError:
        _file().unlink(missing_ok=True)
        raise
    _file().unlink(missing_ok=True)
    if as_json:
        say_json({"account": kept.account})
        return
    out.print(_("Signed out: {account}.").format(account=kept.account))


def whoami(as_json: Json = False) -> None:
    """Show the session."""
    if not signed_in():
        raise SignedOutError(_("nobody is signed in here; `kikitori login ID`"))
    with at_api() as client:
        found, server = client.whoami(), client.server
    if as_json:
        say_json(found.model_dump(mode="json") | {"server": server})
        return
    from cti.cli.policy import titles

    out.print(f"{found.account}  {found.name}  {found.role.wording}  {found.section or ''}".rstrip(), style="bold")
    named = titles()
    for name, value in (
        (_("Desk"), server),
        (_("May"), ", ".join(named[act] for act in found.acts) or _("nothing here")),
        (_("Keys of epochs"), ", ".join(map(str, found.epochs)) or _("none")),
        (_("Ends, if nothing is asked, in"), length(found.seconds_left)),
    ):
        out.print(f"  {name}: {value}", highlight=False)


def by_session(by: str | None) -> bool:
    """Whether a command goes by the session: there is one, and nobody is named."""
    return by is None and signed_in()


def from_afar() -> bool:
    """Whether the session alone leads to a desk: no settings are here."""
    return settings_file() is None and signed_in()


def signed_in() -> bool:
    """Whether commands go by a session."""
    return _file().exists()


@contextmanager
def at_api() -> Iterator[Any]:
    """The desk, in the name of whoever is signed in. Raises SignedOutError where that is over, ApiError."""
    from cti.api.client import ApiError

    kept = _read()
    if kept is None:
        raise SignedOutError(_("nobody is signed in here; `kikitori login ID`"))
    try:
        with _client(kept) as client:
            yield client
    except ApiError as error:
        if error.code != "no-session":
            raise
        _file().unlink(missing_ok=True)
        raise SignedOutError(
            _("the session of {account} is over; `kikitori login {account}`").format(account=kept.account)
        ) from error


def _client(kept: Kept) -> Any:
    from cti.api.client import Client  # who is not signed in need not wait until it is loaded

    return Client(kept.server, Path(kept.ca) if kept.ca else None, kept.token)


def address(server: str | None, ca: Path | None) -> tuple[str, Path | None]:
    """Where the desk is and what it is known by. Raises SettingsError, UsageError."""
    if server is None:
        try:
            api = settings().settings.api
        except SettingsError as error:
            raise UsageError(
                _("--server: no kikitori.toml here tells where the desk is; write https://HOST:8443")
            ) from error
        if not api.port:
            raise UsageError(_("this desk has no API: [api] port is 0"))
        host = "localhost" if api.host in ("127.0.0.1", "::1", "0.0.0.0", "::") else api.host  # noqa: S104  # nosec  # compared
        host = f"[{host}]" if ":" in host else host
        return f"https://{host}:{api.port}", (ca or api.certificate).resolve()
    if not server.startswith("https://"):
        raise UsageError(_("{server}: passwords go over https:// only").format(server=server))
    return server.rstrip("/"), ca.resolve() if ca else None


def _file() -> Path:
    state = os.environ.get("XDG_STATE_HOME") or str(Path.home() / ".local/state")
    return Path(state) / "kikitori" / "session.json"


def _write(kept: Kept) -> None:
    path = _file()
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    replace_whole(path, json.dumps(asdict(kept)).encode(), 0o600)


def _read() -> Kept | None:
    """None where nobody is signed in. Raises SettingsError for a file that is not ours, or that others may read."""
    path = _file()
    try:
        with path.open(encoding="utf-8") as file:
            status = os.fstat(file.fileno())
            if status.st_mode & 0o077 or status.st_uid != os.geteuid():
                raise SettingsError(
                    _("{file}: others may read it; remove it and sign in again").format(file=path)
                )  # fmt: skip
            kept = Kept(**json.load(file))
            if not _sound(kept):
                raise TypeError  # noqa: TRY301  # said with the others
            return kept
    except FileNotFoundError:
        return None
    except (ValueError, TypeError) as error:
        raise SettingsError(_("{file}: is no session; remove it and sign in again").format(file=path)) from error


def _sound(kept: Kept) -> bool:
    return all(isinstance(value, str) for value in asdict(kept).values()) and kept.server.startswith("https://")
