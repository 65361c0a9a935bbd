"""`kikitori init`."""

from pathlib import Path
from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Json, PassphraseFile, out, passphrase, say_json
from cti.i18n import _
from cti.setup import init as make

MIB_AN_HOUR = 110  # two sides of 16 kB/s for an hour


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "init",
        help=_("Make a new installation: keys, folders, users, owners and modes. Refuses to overwrite."),
        epilog=_("Example: kikitori init /srv/kikitori --passphrase-file /root/passphrase"),
    )(init)


def init(
    folder: Annotated[Path, typer.Argument(help=_("New folder."), metavar="DIR")],
    passphrase_file: PassphraseFile = None,
    pbx: Annotated[str, typer.Option(help=_("Name of the PBX; also its systemname."))] = "pbx1",
    mount: Annotated[bool, typer.Option(help=_("Mount RAM for the spool now (root)."))] = True,
    mirror: Annotated[
        Path | None, typer.Option(help=_("Folder on the second medium, new or empty. Default: DIR/mirror."))
    ] = None,
    channels: Annotated[
        int, typer.Option(min=1, help=_("Calls at once: the spool holds an hour of them in RAM (115 MB each)."))
    ] = 10,
    spool_size: Annotated[str | None, typer.Option(help=_("Size of the spool in RAM, instead of --channels."))] = None,
    work_factor: Annotated[
        int, typer.Option(min=10, max=22, help=_("Work factor of the passphrase (scrypt, log2)."))
    ] = 18,
    as_json: Json = False,
) -> None:
    """Make an installation."""
    secret = passphrase(passphrase_file, confirm=True)
    size = spool_size or f"{channels * MIB_AN_HOUR}m"
    made = make(
        folder.absolute(), passphrase=secret, pbx=pbx, now=wall_clock(), work_factor=work_factor, mount=mount,
        spool_size=size, mirror=mirror.absolute() if mirror else None,
    )  # fmt: skip
    if as_json:
        say_json({"folder": made.folder, "recipient": made.recipient, "escrow_identity": made.escrow_identity,
                  "users": list(made.users), "spool_mounted": made.mounted})  # fmt: skip
        return
    out.print(_("Made {folder}.").format(folder=made.folder), highlight=False)
    if made.users:
        out.print(_("System users and groups added: {names}").format(names=", ".join(made.users)), highlight=False)
    out.print(
        _("The escrow key is shown once and stored nowhere. Write it on paper and put it into the safe:"), style="bold"
    )
    out.print(f"\n    {made.escrow_identity}\n", highlight=False, soft_wrap=True)
    if not made.mounted:
        out.print(_("The spool needs RAM before `kikitori serve`. In /etc/fstab:"))
    else:
        out.print(_("RAM is mounted at the spool; for the next boot, in /etc/fstab:"))
    line = f"kikitori-spool {made.folder}/spool tmpfs size={size},mode=0755,noswap 0 0"
    out.print(f"\n    {line}\n", highlight=False, soft_wrap=True)
    out.print(_("Next: kikitori --config {file} serve").format(file=made.folder / "kikitori.toml"), highlight=False)
