"""`kikitori init`: keys, folders, owners and modes of one installation. Whole or not at all, and never over another."""

import os
import secrets
import shutil
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cti import places, users
from cti.api import certificate
from cti.cases import sealing
from cti.errors import InitError
from cti.i18n import _
from cti.places import Owned
from cti.settings import FILE, Paths, Settings, at, load
from policies.load import Policies, shipped
from recorder.access.log import AccessLog
from recorder.vault import keys
from recorder.vault.folder import write_new
from recorder.vault.slots import Slots


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """What was made. `escrow_identity` is shown once and stored nowhere."""

    folder: Path
    escrow_identity: str
    recipient: str
    users: tuple[str, ...]
    mounted: bool


def init(
    folder: Path,
    *,
    passphrase: str,
    pbx: str,
    now: datetime,
    work_factor: int = 18,
    mount: bool,
    spool_size: str = "1g",
    mirror: Path | None = None,
) -> Made:
    """Make `folder` an installation. `mount`: put RAM under the spool now (root).

    `mirror`: a new or empty folder on the second medium, `folder/mirror` if None. Raises InitError, KeysError.
    """
    if folder.exists() and any(folder.iterdir()):
        raise InitError(
            _("{folder} is not empty: name a new folder; an installation is never overwritten").format(folder=folder)
        )
    if mirror is not None and mirror.exists() and any(mirror.iterdir()):
        raise InitError(_("{folder} is not empty: the second medium needs a folder of its own").format(folder=mirror))
    root = os.geteuid() == 0
    settings = Settings()
    paths = settings.paths.model_copy(update={"mirror": mirror or Paths().mirror})
    settings = settings.model_copy(update={"site": settings.site.model_copy(update={"pbx": pbx}), "paths": paths})
    made_users = tuple(users.ensure(settings.users)) if root else ()
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o755)
    try:
        created = _fill(folder, settings, passphrase=passphrase, now=now, work_factor=work_factor)
        mounted = mount and root and _mount(folder / Paths().spool, spool_size)
        prepare_spool(folder / Paths().spool, settings)
        # Whoever is shown the escrow key may count on what it opens: a power failure left policies of no bytes.
        os.sync()
    except BaseException:
        subprocess.run(["umount", "-q", folder / Paths().spool], check=False, capture_output=True)
        for made in (folder, *([mirror] if mirror is not None and mirror.exists() else [])):
            for child in made.iterdir():
                shutil.rmtree(child) if child.is_dir() else child.unlink()
        if fresh:
            folder.rmdir()
        raise
    return Made(
        folder=folder,
        escrow_identity=created.escrow_identity,
        recipient=str(created.recipient),
        users=made_users,
        mounted=mounted,
    )


def _fill(folder: Path, settings: Settings, *, passphrase: str, now: datetime, work_factor: int) -> keys.Created:
    there = at(settings, folder)
    paths = there.paths
    paths.mirror.mkdir(exist_ok=True)
    for path, owned in places.mirror(there).items():
        path.mkdir(exist_ok=True)
        _own(path, owned)
    made = keys.create(
        paths.keys,
        paths.mirror / "escrow",
        passphrase=passphrase,
        origin=f"kikitori/{settings.site.pbx}",
        epoch_start=now,
        work_factor=work_factor,
    )
    cases = sealing.generate()
    for file in (paths.keys / sealing.FILE, paths.mirror / "escrow" / sealing.FILE):
        write_new(file, cases, 0o400)
        _own(file, places.key_file(sealing.FILE, settings.users))
    write_new(paths.keys / "ami.secret", f"{secrets.token_urlsafe(24)}\n".encode(), 0o600)
    made_out = certificate.make(certificate.names_here(), now)
    write_new(there.api.certificate, made_out.certificate, 0o444)
    write_new(there.api.key, made_out.key, 0o400)
    phones = [phone for group in Policies(shipped()).plan.group for phone in group.phones]
    lines = [f'{phone} = "{secrets.token_urlsafe(15)}"\n' for phone in phones]
    text = "".join(["# SIP secrets of the telephones\n", *lines])
    write_new(paths.keys / "phones.toml", text.encode(), 0o600)
    _keys(there)
    _vault(there)
    group = users.group_of(settings.users.asterisk)
    for path, owned in places.others(there, group).items():
        path.mkdir()
        _own(path, owned)
    for path, owned in places.log_file(there).items():
        AccessLog(path).close()
        _own(path, owned)
    shutil.copytree(shipped(), paths.policies)
    for path, owned in places.policies(there).items():
        _own(path, owned)
    (folder / FILE).write_text(_settings_text(settings), "utf-8")
    (folder / FILE).chmod(0o644)  # whatever the umask: every process reads it
    load(folder / FILE, {})
    return made


def _own(path: Path, owned: Owned) -> None:
    users.own(path, owned.user, owned.group, owned.mode)


def _keys(settings: Settings) -> None:
    for path in settings.paths.keys.iterdir():
        _own(path, places.key_file(path.name, settings.users))
    # Opened last: until each file is its reader's alone, nobody but us gets in.
    for path, owned in places.keys(settings).items():
        _own(path, owned)


def _vault(settings: Settings) -> None:
    for path, owned in places.vault(settings).items():
        path.mkdir()
        _own(path, owned)
    Slots.create(settings.paths.vault / "keys.slots", settings.paths.mirror / "keys.slots", 0o660)
    for path, owned in places.slots(settings).items():
        _own(path, owned)


def _mount(spool: Path, size: str) -> bool:
    spool.mkdir(exist_ok=True)
    for options in (f"size={size},mode=0755,noswap", f"size={size},mode=0755"):  # noswap came with Linux 6.4
        done = subprocess.run(
            ["mount", "-t", "tmpfs", "-o", options, "kikitori-spool", spool], check=False, capture_output=True
        )
        if done.returncode == 0:
            return True
    reason = done.stderr.decode().strip()
    raise InitError(
        _("no RAM could be mounted at {spool}: {reason}. Leave it out with --no-mount").format(
            spool=spool, reason=reason
        )
    )


def prepare_spool(spool: Path, settings: Settings) -> None:
    """`audio` for Asterisk and the recorder, `open` for the recorder alone; made again at start, since RAM forgets."""
    if not spool.exists():
        spool.mkdir()
        spool.chmod(0o755)  # whatever the umask: Asterisk goes through it
    for path, owned in places.spool(settings, spool).items():
        path.mkdir(exist_ok=True)
        _own(path, owned)


def _settings_text(settings: Settings) -> str:
    return f"""# Settings of this installation; `kikitori config show` lists every one and where it comes from.
# Relative paths start at this folder.

[site]
pbx = "{settings.site.pbx}"

[paths]
# Should lie on another disk than the vault.
mirror = "{settings.paths.mirror}"

[pbx]
# The record of events that Asterisk itself writes. Without it nobody can say who talked in a call that ended while the
# recorder was down: it is kept whole and without numbers.
cel_file = "/var/log/asterisk/cel.csv"
"""
