"""`kikitori api`: what the desk's API is known by, and what it takes."""

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from cti import places, users
from cti.api.certificate import fingerprint, make, names_here
from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, agree, out, say_json, settings
from cti.i18n import _
from recorder.vault.folder import replace_whole


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The HTTP API of the desk."))
    group.command(
        "certificate",
        help=_(
            "Make the API a certificate of its own, for this host's names and those that you give; good for 398 days. "
            "Then give the new file to everybody who signs in."
        ),
        epilog=_("Example: kikitori api certificate --name recorder.example --name 192.0.2.20"),
    )(certificate)
    group.command(
        "document",
        help=_("Print the OpenAPI 3.1 document of the API."),
        epilog=_("Example: kikitori api document --json"),
    )(document)
    app.add_typer(group, name="api")


def certificate(
    names: Annotated[
        list[str] | None,
        typer.Option("--name", help=_("Name or address by which others ask this host; may be given again.")),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do not ask."))] = False,
    as_json: Json = False,
) -> None:
    """Make one."""
    loaded = settings().settings
    every = list(dict.fromkeys([*names_here(), *(names or ())]))
    made = make(every, wall_clock())
    if loaded.api.certificate.exists() and not yes:
        agree(
            _("{file} is there: replace it? Whoever asks the desk has to be given the new one.").format(
                file=loaded.api.certificate
            )
        )
    _put(loaded.api.key, made.key, places.key_file("api.key", loaded.users))
    _put(loaded.api.certificate, made.certificate, places.key_file("api.crt", loaded.users))
    if as_json:
        say_json({"certificate": str(loaded.api.certificate), "names": every, "sha256": fingerprint(made.certificate)})
        return
    out.print(_("{file}: for {names}").format(file=loaded.api.certificate, names=", ".join(every)), highlight=False)
    out.print(_("SHA-256: {digest}").format(digest=fingerprint(made.certificate)), highlight=False)
    out.print(_("The desk takes it when it is started anew: systemctl restart kikitori-desk"), highlight=False)


def _put(path: Path, data: bytes, owned: places.Owned) -> None:
    uid, gid = users.ids(owned.user, owned.group)
    replace_whole(path, data, owned.mode, gid, uid)


def document(as_json: Json = False) -> None:
    """Print it."""
    from cti.api.app import openapi

    # --json: in one line, as everything else.
    sys.stdout.write(json.dumps(openapi(), indent=None if as_json else 2, ensure_ascii=False) + "\n")
