"""`kikitori serve`."""

import asyncio
import os
import sys
from enum import StrEnum
from typing import Annotated

import structlog
import typer

from cti import users
from cti.app.roles import run_role
from cti.cli.common import Json, out, say_json, settings
from cti.i18n import _
from cti.notify import Notifier
from cti.setup import prepare_spool
from cti.supervise import Supervisor, own_command


class Role(StrEnum):
    """Which process."""

    recorder = "recorder"
    gate = "gate"
    keeper = "keeper"
    desk = "desk"
    all = "all"


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "serve",
        help=_("Run the recorder, the gate, the keeper and the desk. SIGTERM seals what is open."),
        epilog=_("Examples: kikitori serve · kikitori serve --role recorder"),
    )(serve)


def serve(
    role: Annotated[
        Role, typer.Option(help=_("One process in the foreground, or all of them, supervised."))
    ] = Role.all,
    as_json: Json = False,
) -> None:
    """Serve."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    loaded = settings()
    if os.geteuid() == 0 and role in (Role.all, Role.recorder):
        # RAM forgets its folders, and a fresh mount belongs to root.
        prepare_spool(loaded.settings.paths.spool, loaded.settings)
    if role is not Role.all:
        users.become(users.runs_as(loaded.settings.users, role.value))
        run_role(role.value, loaded.settings)
        return
    roles = [Role.gate.value, Role.recorder.value, Role.keeper.value, Role.desk.value]
    root = os.geteuid() == 0
    identities = {name: users.identity(users.runs_as(loaded.settings.users, name)) if root else None for name in roles}
    if loaded.file is None:
        raise typer.Exit(78)
    config = loaded.file
    supervisor = Supervisor(
        roles,
        lambda name: own_command(name, config),
        identities,
        Notifier(os.environ),
        on_ready=lambda: say_json({"ready": roles}) if as_json else out.print(_("Kikitori is ready."), style="green"),
    )
    asyncio.run(supervisor.run())
