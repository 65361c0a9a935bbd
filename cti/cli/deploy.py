"""`kikitori deploy`."""

import os
import re
import sys
from pathlib import Path
from typing import Annotated

import typer

from cti import rendered
from cti.cli.common import Commands, Json, out, say_json, settings
from cti.deploy.units import Host, files
from cti.doctor.storage import asterisk_group
from cti.errors import DeployError
from cti.i18n import _
from cti.settings import Settings
from recorder.spool import mounted

NOSWAP = (6, 4)  # Linux that can keep a tmpfs from being swapped


def register(app: typer.Typer) -> None:
    """Add the command."""
    group = Commands(help=_("The host around us."))
    group.command(
        "render",
        help=_(
            "Write systemd's units, the spool's mount and what they need, made from the settings. The folder is laid "
            "out as below /: copy its etc there."
        ),
        epilog=_("Example: kikitori deploy render --out /root/kikitori-deploy"),
    )(render)
    app.add_typer(group, name="deploy")


def render(
    folder: Annotated[
        Path, typer.Option("--out", help=_("Folder for the files: new, empty, or rendered before."), metavar="DIR")
    ],
    spool_size: Annotated[
        str | None, typer.Option(help=_("Size of the spool in RAM, as 2g. Default: that of the one mounted now."))
    ] = None,
    as_json: Json = False,
) -> None:
    """Render the units."""
    loaded = settings()
    host = Host(
        program=Path(sys.executable).parent / "kikitori",
        config=loaded.file.resolve() if loaded.file else Path("/etc/kikitori/kikitori.toml"),
        spool_size=spool_size or _mounted_size(loaded.settings),
        noswap=_release(os.uname().release) >= NOSWAP,
        asterisk_group=asterisk_group(loaded.settings) or loaded.settings.users.asterisk,
    )
    for path in rendered.write(
        folder.absolute(), files(loaded.settings, host), refuse=DeployError, folder_mode=0o755, mode=lambda _name: 0o644
    ):
        if as_json:
            say_json({"file": path})
        else:
            out.print(str(path), highlight=False)


def _release(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:2])


def _mounted_size(loaded: Settings) -> str:
    """Of the tmpfs at the spool, in MiB; 2 GiB hold an hour of 18 calls, where there is none yet."""
    spool = loaded.paths.spool
    if not spool.exists() or mounted(spool.resolve(), Path("/proc/self/mountinfo").read_text())[0] != "tmpfs":
        return "2g"
    room = os.statvfs(spool)
    return f"{(room.f_blocks * room.f_frsize) >> 20}m"
