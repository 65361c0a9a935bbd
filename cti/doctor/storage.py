"""Looking at where things lie: file systems, room, speed, owners, keys. Leaves nothing behind."""

import grp
import os
import statistics
import tempfile
import time
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509

from cti import places, users
from cti.doctor.host import owned
from cti.doctor.machine import DiskSeen, KeysSeen, SealedSeen, SpeedSeen, StockSeen
from cti.doctor.seen import Unseen
from cti.errors import InitError
from cti.explain import explain
from cti.i18n import _
from cti.places import Owned
from cti.settings import Settings
from recorder.access.errors import AccessError
from recorder.access.log import AccessLog
from recorder.spool import mounted
from recorder.vault.epochs import LISTS, disagreement, told_by
from recorder.vault.errors import VaultError
from recorder.vault.keys import load_recipients, number_of

SYNCS: Final = 20
BLOCK: Final = 64 << 10  # a chunk of a body: the most that is written before a sync
WINDOW: Final = timedelta(days=30)
SIGNERS: Final = ("recorder", "log")


def disks(settings: Settings, mountinfo: str) -> dict[str, DiskSeen | Unseen]:
    """Where vault, mirror, log, keys, desk and spool lie, by these names."""
    paths = settings.paths
    named = {"vault": paths.vault, "mirror": paths.mirror, "log": paths.log, "keys": paths.keys, "desk": paths.desk}
    return {name: _disk(path, mountinfo) for name, path in named.items()}


def _disk(path: Path, mountinfo: str) -> DiskSeen | Unseen:
    try:
        real = path.resolve(strict=True)
        room, device = os.statvfs(real), real.stat().st_dev
    except OSError as error:
        return Unseen(explain(error))
    kind, options = mounted(real, mountinfo)
    return DiskSeen(
        path=real,
        kind=kind,
        options=options,
        device=device,
        free=room.f_bavail * room.f_frsize,
        size=room.f_blocks * room.f_frsize,
    )


def speed(settings: Settings) -> SpeedSeen | Unseen:
    """Write a chunk and sync it, `SYNCS` times, as the recorder does, in a file that is gone at once."""
    try:
        with users.acting_as(settings.users.recorder), tempfile.TemporaryFile(dir=settings.paths.vault) as file:
            descriptor, data, took = file.fileno(), os.urandom(BLOCK), []
            for number in range(SYNCS):
                begun = time.perf_counter()
                os.pwrite(descriptor, data, number * BLOCK)
                os.fdatasync(descriptor)
                took.append(time.perf_counter() - begun)
    except InitError as error:
        return Unseen(str(error))
    except OSError as error:
        return Unseen(explain(error), _("run this command as root") if os.geteuid() else "")
    return SpeedSeen(median=statistics.median(took), longest=max(took))


def stock(settings: Settings, now: datetime) -> StockSeen | Unseen:
    """What the vault took in, by size and time of its bodies."""
    begin, size, oldest = (now - WINDOW).timestamp(), 0, now.timestamp()
    try:
        for folder in os.scandir(settings.paths.vault / "segments"):
            for entry in os.scandir(folder.path):
                if not entry.name.endswith(".agebody"):
                    continue
                found = entry.stat(follow_symlinks=False)
                if found.st_mtime >= begin:
                    size += found.st_size
                    oldest = min(oldest, found.st_mtime)
    except OSError as error:
        return Unseen(explain(error), _("run this command as root") if os.geteuid() else "")
    return StockSeen(size=size, days=(now.timestamp() - oldest) / 86400)


def owners(settings: Settings) -> Mapping[Path, Owned | Unseen | None]:
    """What each folder and file is, of those of which `kikitori init` says what they are to be."""
    # Until the first rotation there is one; after one in somebody's own name there is none.
    epochs = {path.name for path in settings.paths.keys.glob("epoch-*.age")}
    with suppress(VaultError):
        epochs |= {"epoch-0001.age"} if load_recipients(settings.paths.keys).epoch == 1 else set()
    return {path: owned(path) for path in places.wanted(settings, "", epochs)}


def asterisk_group(settings: Settings) -> str:
    """The group of the user who runs Asterisk, "" where there is no such user."""
    try:
        return grp.getgrgid(users.identity(settings.users.asterisk).gid).gr_name
    except (InitError, KeyError):
        return ""


def keys(settings: Settings) -> KeysSeen:
    """The epoch's date stands in what 課長 signed; a signing key has none, but its public half is written once."""
    epoch: int | Unseen
    since: datetime | Unseen
    try:
        recipients = load_recipients(settings.paths.keys)
        epoch, since = recipients.epoch, recipients.since
    except VaultError as error:
        epoch = since = Unseen(explain(error))
    signers = {f"{name}.key": _written(settings.paths.keys / f"{name}.pub") for name in SIGNERS}
    ca = settings.pbx.ami_tls_ca
    return KeysSeen(
        epoch=epoch, since=since, sealed=_sealed(settings), signers=signers, certificate=_ends(ca) if ca else None,
        api=_ends(settings.api.certificate) if settings.api.port else None,
    )  # fmt: skip


def _sealed(settings: Settings) -> SealedSeen | Unseen:
    folder, path, pbx = settings.paths.keys, settings.paths.log / "access.db", settings.site.pbx
    if not path.exists():  # to look must make none
        return Unseen(_("there is no access log yet"))
    try:
        with AccessLog(path) as access:
            listed, tested = access.last(object=pbx, action=LISTS), access.last(object=pbx, action=["keys.tested"])
            begun = access.last(object=pbx, action=["keys.rotated", "keys.retired"])
        found = load_recipients(folder)
    except (AccessError, VaultError) as error:
        return Unseen(explain(error))
    left = any(0 < number_of(path) < found.epoch for path in folder.glob("epoch-*.age"))
    return SealedSeen(
        half=left or (begun is not None and begun.action == "keys.rotated"),
        strange=disagreement(folder, found, told_by(listed)),
        foreign=tuple(tested.detail["foreign"]) if tested else (),
    )


def _written(path: Path) -> datetime | Unseen:
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        return Unseen(explain(error))


def _ends(path: Path) -> datetime | Unseen:
    """When the first of the certificates in `path` ends."""
    try:
        found = x509.load_pem_x509_certificates(path.read_bytes())
    except OSError as error:
        return Unseen(explain(error))
    except ValueError as error:
        return Unseen(f"{path}: {error}")
    return min(certificate.not_valid_after_utc for certificate in found)
