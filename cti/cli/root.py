"""`kikitori`: the commands put together."""

import sys
from pathlib import Path
from typing import Annotated

from cti.i18n import _  # isort: skip - before Typer, which translates its panel titles when imported
import structlog
import typer

from cti.ami.errors import AmiError
from cti.cli import (
    asterisk,
    audit,
    calls,
    catalogue,
    completeness,
    config,
    demo,
    deploy,
    doctor,
    hours,
    intake,
    policy,
    prompts,
    recordings,
    recover,
    serve,
    setup,
    sound,
    status,
    verify,
)
from cti.cli.common import Commands, State, fail, refuse
from cti.errors import KikitoriError, UsageError
from cti.pbxconfig import PbxConfigError
from policies.errors import PolicyError
from recorder.access.errors import AccessError
from recorder.audio import AudioError
from recorder.segment import VERSION
from recorder.spool import SpoolError
from recorder.vault.errors import VaultError

app = Commands(
    name="kikitori",
    pretty_exceptions_enable=False,
    help=_("Call recorder and CTI controller beside an Asterisk PBX."),
    epilog=_("Start with: kikitori init DIR"),
)

setup.register(app)
config.register(app)
serve.register(app)
status.register(app)
doctor.register(app)
recordings.register(app)
sound.register(app)
verify.register(app)
recover.register(app)
audit.register(app)
completeness.register(app)
calls.register(app)
hours.register(app)
intake.register(app)
policy.register(app)
asterisk.register(app)
deploy.register(app)
prompts.register(app)
catalogue.register(app)
demo.register(app)


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


EXPECTED = (KikitoriError, PolicyError, VaultError, AccessError, AudioError, SpoolError, AmiError, PbxConfigError)


def main() -> None:
    """The program. What a person can put right is one sentence on standard error, never a traceback."""
    # A line of the log among those of --json would break whoever reads them.
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(file=sys.stderr))
    try:
        status = app(standalone_mode=False)
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
