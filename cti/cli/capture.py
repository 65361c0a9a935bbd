"""`kikitori calls capture`."""

import asyncio
import os
import secrets
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from cti.ami.client import AmiConfig
from cti.app.site import ami_config
from cti.capture.mask import Mask
from cti.capture.pseudonym import Pseudonyms
from cti.capture.take import Out, Taken, new_file, refuse_existing, take
from cti.cli.common import Commands, Json, err, say_json, settings
from cti.cli.common import seconds as in_seconds
from cti.errors import UsageError
from cti.i18n import _
from cti.settings import Settings
from cti.visit import UnreachableError, visiting
from policies.errors import PolicyError
from policies.load import Policies
from policies.model import Plan
from policies.toml import read

SHORT = 6  # characters: a secret that is shorter would star half of the stream


def register(group: Commands) -> None:
    """Add the command to those of `kikitori calls`."""
    group.command(
        "capture",
        help=_(
            "Record the manager stream of the live PBX for a bug report, to be read by `calls replay`. Secrets are "
            "masked always, numbers and names with --mask-numbers."
        ),
        epilog=_("Example: kikitori calls capture report.ami --duration 5:00 --mask-numbers"),
    )(capture)


def capture(
    file: Annotated[Path, typer.Argument(help=_("File to write, or - for standard output."), metavar="FILE.ami")],
    duration: Annotated[
        str | None, typer.Option(help=_("End after this time: 80, 1:20 or 1:02:03. Without it: Ctrl-C ends."))
    ] = None,
    mask_numbers: Annotated[
        bool,
        typer.Option(
            "--mask-numbers",
            help=_("Numbers become other numbers, names become others; those of the policies stay."),
        ),
    ] = False,
    force: Annotated[bool, typer.Option("--force", help=_("Take the place of an existing file."))] = False,
    user: Annotated[str | None, typer.Option(help=_("Manager user, in place of the settings'."))] = None,
    secret_file: Annotated[Path | None, typer.Option(help=_("File that holds the secret of --user."))] = None,
    as_json: Json = False,
) -> None:
    """Capture a stream."""
    limit = in_seconds(duration)
    loaded = settings().settings
    if (user is None) != (secret_file is None):
        raise UsageError(_("--user and --secret-file belong together: name both"))
    to_output = str(file) == "-"
    if to_output and sys.stdout.isatty():
        raise UsageError(_("what callers send could steer your terminal: name a file, or pipe it on"))
    if not to_output:
        refuse_existing(file, force=force)
    config = ami_config(loaded, user=user, secret_file=secret_file)
    mask = _mask(loaded, {config.secret}, numbers=mask_numbers)
    where = None if to_output else file
    taken = asyncio.run(_capture(config, where, mask, limit, force=force))
    if as_json:
        say_json({"file": file} | asdict(taken), sys.stderr if to_output else sys.stdout)
    else:
        err.print(_summary(taken, file), highlight=False, soft_wrap=True)
    if taken.lost is not None:
        raise UnreachableError(
            _("{reason}. What came before is in {file}").format(reason=taken.lost, file=file) if where else taken.lost
        )


async def _capture(config: AmiConfig, file: Path | None, mask: Mask, limit: float | None, *, force: bool) -> Taken:
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, ended.set)
    async with visiting(config) as visit:
        with _output(file, force=force) as out, _progress() as told:
            return await take(visit, out, mask, ended=ended, duration=limit, seconds=time.monotonic, told=told)


@contextmanager
def _output(file: Path | None, *, force: bool) -> Iterator[Out]:
    opened = nullcontext(_Standard()) if file is None else new_file(file, force=force)
    with opened as out:
        yield out


class _Standard:
    """Standard output, each block at once: whoever reads the pipe sees it when it happens.

    A reader that stands still is waited for, but not by the loop: a signal ends the capture. What is no longer than
    PIPE_BUF is then written whole or not at all.
    """

    async def write(self, data: bytes) -> None:
        rest = memoryview(data)
        while rest:
            handle = sys.stdout.fileno()
            await _room(handle)
            # a pipe that has room has it for this much
            rest = rest[os.write(handle, rest[: select.PIPE_BUF]) :]


async def _room(handle: int) -> None:
    """Until `handle` takes something. A regular file always does, and cannot be waited for."""
    loop = asyncio.get_running_loop()
    has_room = asyncio.Event()
    try:
        loop.add_writer(handle, has_room.set)
    except PermissionError:
        return
    try:
        await has_room.wait()
    finally:
        loop.remove_writer(handle)


@contextmanager
def _progress() -> Iterator[Callable[[Taken], None]]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task(_("Listening; Ctrl-C ends"), total=None)
        yield lambda taken: bar.update(task, description=_sofar(taken))


def _sofar(taken: Taken) -> str:
    return _("{events} events, {calls} calls, {bytes} bytes").format(
        events=taken.events, calls=taken.calls, bytes=taken.bytes
    )


def _summary(taken: Taken, file: Path) -> str:
    return _("{file}: {taken} in {seconds} s, Asterisk {version}").format(
        file=file, taken=_sofar(taken), seconds=round(taken.seconds, 1), version=taken.asterisk or "?"
    )


def _mask(loaded: Settings, known: set[str], *, numbers: bool) -> Mask:
    """Raises PolicyError where numbers are masked and no policy says which are ours."""
    for path in (loaded.pbx.secret_file, loaded.asterisk.phones_file):
        known = known | _known(path)
    known = {each for each in known if len(each) >= SHORT}
    if not numbers:
        return Mask(known=known, pseudonyms=None)
    own = ours(Policies(loaded.paths.policies).plan)
    # The key lives in this process, and nowhere when it has ended.
    return Mask(known=known, pseudonyms=Pseudonyms(secrets.token_bytes(32), own), stays=own)


def _known(path: Path) -> set[str]:
    """The secrets in a file of the settings; none where whoever captures may not read it."""
    try:
        if path.suffix == ".toml":
            return {str(value) for value in read(path).values.values()}
        return {path.read_text("utf-8").strip()}
    except (OSError, UnicodeDecodeError, PolicyError):
        return set()


def ours(plan: Plan) -> frozenset[str]:
    """What the policies name: numbers, phones, groups and trunks. Without these a replay means nothing."""
    return frozenset(
        (
            *(number.digits for number in plan.number),
            *(phone for group in plan.group for phone in group.phones),
            *(group.name for group in plan.group),
            *plan.trunks,
        )
    )
