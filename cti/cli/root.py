"""`kikitori`: the commands put together."""

import sys
from pathlib import Path
from typing import Annotated

from cti.i18n import _  # isort: skip - before Typer, which translates its panel titles when imported
import structlog
import typer

from cti.ami.errors import AmiError
from cti.cli.common import Commands, Root, State, fail, refuse
from cti.errors import KikitoriError, PbxConfigError, UsageError
from policies.errors import PolicyError
from recorder.access.errors import AccessError
from recorder.errors import AudioError
from recorder.spool import SpoolError
from recorder.vault.errors import VaultError
from recorder.version import VERSION
from retention.errors import HoldError

# Each command and the module below cti.cli that has it: only the one that is typed is loaded.
Root.modules = {
    "init": "setup",
    "config": "config",
    "serve": "serve",
    "status": "status",
    "doctor": "doctor",
    "login": "session",
    "logout": "session",
    "whoami": "session",
    "recordings": "recordings",
    "play": "sound",
    "export": "sound",
    "verify": "verify",
    "recover": "recover",
    "audit": "audit",
    "accounts": "accounts",
    "vault": "vault",
    "api": "api",
    "completeness": "completeness",
    "calls": "calls",
    "hours": "hours",
    "intake": "intake",
    "policy": "policy",
    "retention": "retention",
    "case": "case",
    "callback": "callback",
    "ticket": "ticket",
    "outward": "outward",
    "progress": "progress",
    "digest": "progress",
    "section": "sections",
    "asterisk": "asterisk",
    "deploy": "deploy",
    "prompts": "prompts",
    "catalogue": "catalogue",
    "demo": "demo",
}

app = Commands(
    kind=Root,
    name="kikitori",
    pretty_exceptions_enable=False,
    help=_("Call recorder and CTI controller beside an Asterisk PBX."),
    epilog=_("Start with: kikitori init DIR"),
)


def _say_version(wanted: bool) -> None:
    if wanted:
        typer.echo(VERSION)
        raise typer.Exit


@app.callback()
def options(
    config: Annotated[
        Path | None,
        typer.Option("--config", help=_("Settings file. Default: KIKITORI_CONFIG, ./kikitori.toml, /etc/kikitori.")),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_say_version, help=_("Print the version and end."))
    ] = False,
) -> None:
    """Options before the command."""
    State.config = config


EXPECTED = (
    KikitoriError, PolicyError, VaultError, AccessError, AudioError, SpoolError, AmiError, HoldError, PbxConfigError,
)  # fmt: skip


def main() -> None:
    """The program. What a person can put right is one sentence on standard error, never a traceback."""
    # A line of the log among those of --json would break whoever reads them.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    try:
        status = app(standalone_mode=False, prog_name="kikitori")
    except typer.TyperException as error:
        refuse(error)
    except typer.Abort:
        fail(UsageError(_("Aborted.")), 1)
    except EXPECTED as error:
        fail(error, getattr(error, "status", 1))
    except OSError as error:
        fail(error, 74)
    except KeyboardInterrupt:
        raise SystemExit(130) from None
    raise SystemExit(status if isinstance(status, int) else 0)
