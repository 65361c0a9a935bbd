"""Where things lie, whose they are, how long the disk lasts, how old the keys are -> findings. Pure."""

from collections.abc import Iterator
from datetime import datetime
from typing import Final

from cti import places
from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.machine import DiskSeen, KeysSeen, MachineSeen, SealedSeen, SpeedSeen, StockSeen
from cti.doctor.seen import Unseen
from cti.doctor.want import Want
from cti.explain import localise
from cti.i18n import _
from cti.sentences import day_text
from recorder.vault.keys import number_of

COPYING: Final = frozenset({"btrfs", "zfs", "bcachefs", "f2fs", "nilfs2"})
"""They write a changed block elsewhere: the old one stays until something else happens to need its place."""

REMOTE: Final = frozenset(
    {"nfs", "nfs4", "cifs", "smb3", "9p", "ceph", "fuse.sshfs", "fuse.glusterfs", "afs", "virtiofs"}
)
LAYERED: Final = frozenset({"overlay", "aufs"})
VOLATILE: Final = frozenset({"tmpfs", "ramfs"})

SEALED: Final = 10_620  # bytes a call-second (docs/benchmarks.md); 7 to 15 kB by the noise of the line
STEP: Final = 2.0  # seconds of sound that Asterisk hands over at a time: for each, one sync
WEEK: Final = 7.0  # days of recordings of which an average tells something
SOON: Final = 14.0  # days in which a disk can be had
SEASON: Final = 90.0  # days in which one is ordered, where nobody hurries


def judge(seen: MachineSeen, want: Want, group: str, now: datetime) -> Iterator[Finding]:
    """`group`: of the user who runs Asterisk."""
    yield _systems(seen)
    yield _mirror(seen)
    yield _modes(seen, want, group)
    yield _speed(seen.speed, want)
    yield days(seen.disks["vault"], seen.stock, want)
    yield second_days(seen.disks["mirror"], seen.stock, want)
    yield keys(seen.keys, want, now)
    yield sealed(seen.keys.sealed)
    yield certificate(seen.keys, want, now)
    yield api_certificate(seen.keys, want, now)


def _systems(seen: MachineSeen) -> Finding:
    mount = _("mount an ext4 or xfs of its own there; docs/deploy.md, chapter 3")
    for name, disk in seen.disks.items():
        if isinstance(disk, Unseen):
            return unmade("filesystems", Unseen(f"{name}: {disk.why}"), disk.remedy or mount)
    disks = {name: disk for name, disk in seen.disks.items() if isinstance(disk, DiskSeen)}
    if bad := _those(disks, VOLATILE | LAYERED):
        why = _("What lies there is gone after a restart, or belongs to a container's own layer.")
        return error("filesystems", bad, why, mount)
    if bad := _those(disks, REMOTE):
        why = _(
            "A sync over a network lasts as long as the network likes, and recordings stay in the server room (B-04)."
        )
        return error("filesystems", bad, why, mount)
    kept = {name: disk for name, disk in disks.items() if name in ("vault", "mirror")}
    if bad := _those(kept, COPYING):
        why = _(
            "It copies what is overwritten: the old key of a recording stays on the disk. There only the destruction "
            "of the epoch's identity erases."
        )
        return warning("filesystems", bad, why, mount)
    if journalled := [f"{name}: data=journal" for name, disk in kept.items() if "data=journal" in disk.options]:
        why = _("Keys that were overwritten stay in the journal, until it comes round.")
        return warning("filesystems", ", ".join(journalled), why, _("data=ordered in /etc/fstab, then mount anew"))
    return well("filesystems", ", ".join(f"{name}: {disk.kind}" for name, disk in disks.items()))


def _those(disks: dict[str, DiskSeen], kinds: frozenset[str]) -> str:
    return ", ".join(f"{name}: {disk.kind}" for name, disk in disks.items() if disk.kind in kinds)


def _mirror(seen: MachineSeen) -> Finding:
    remedy = _("mount another disk and name its folder as [paths] mirror; docs/quickstart.md, 3.3")
    vault, mirror = seen.disks["vault"], seen.disks["mirror"]
    if isinstance(vault, Unseen):
        return unmade("mirror", vault, remedy)
    if isinstance(mirror, Unseen):
        return unmade("mirror", mirror, remedy)
    if vault.device == mirror.device:
        why = _("One broken disk takes the recordings' keys and their copies.")
        return warning("mirror", _("vault and mirror lie on one file system"), why, remedy)
    return well("mirror", str(mirror.path))


def _modes(seen: MachineSeen, want: Want, group: str) -> Finding:
    epochs = [path.name for path in seen.places if number_of(path)]
    wanted = places.wanted(want.settings, group, epochs)
    wrong: list[str] = []
    commands: list[str] = []
    for path, right in wanted.items():
        found = seen.places[path]
        if isinstance(found, Unseen):
            return unmade("modes", found, _("run this command as root"))
        if found is None:
            wrong.append(_("{file} is not there").format(file=path))
        elif found != right and (right.group or (found.user, found.mode) != (right.user, right.mode)):
            told = _("{name}: {found} (should be {wanted})")
            wrong.append(told.format(name=path, found=found, wanted=right))
            commands.append(f"chown {right.user}:{right.group} {path} && chmod {right.mode:04o} {path}")
    if wrong:
        why = _("Each process reads and writes what is its own, and nobody else does: that is what the modes are.")
        restore = _("restore what is missing from the backup; docs/operations.ja.md, chapter 8")
        return error("modes", "\n".join(wrong), why, "\n".join(commands or [restore]))
    return well("modes", _("all {count} as `kikitori init` makes them").format(count=len(wanted)))


def _speed(seen: SpeedSeen | Unseen, want: Want) -> Finding:
    remedy = _("an SSD, or a controller with a cache that survives a power failure; nothing else that writes there")
    if isinstance(seen, Unseen):
        return unmade("disk-speed", seen, remedy)
    # One thread syncs for all calls while it keeps up (docs/decisions/0009).
    carried = int(STEP / seen.median)
    found = _("{ms} ms a sync (longest {longest}): enough for {carried} calls at once; {calls} can be").format(
        ms=round(seen.median * 1000, 1), longest=round(seen.longest * 1000, 1), carried=carried, calls=want.at_once
    )
    why = _("Sound that waits for the disk waits in RAM, as long as that lasts.")
    if carried < want.at_once:
        return error("disk-speed", found, why, remedy)
    if carried < 2 * want.at_once:
        return warning("disk-speed", found, why, remedy)
    return well("disk-speed", found)


def days(vault: DiskSeen | Unseen, stock: StockSeen | Unseen, want: Want) -> Finding:
    """How long the vault's disk lasts."""
    upkeep = want.settings.upkeep
    remedy = _("a larger disk for the vault; or [upkeep] keep_days and talk_hours, where they are not what you do")
    if isinstance(vault, Unseen):
        return unmade("days", vault, remedy)
    if isinstance(stock, Unseen):
        return unmade("days", stock, remedy)
    left, found = _lasts(vault, stock, want)
    why = _("Recordings lie there for {days} days, then they move: what does not fit waits in RAM.").format(
        days=upkeep.keep_days
    )
    if left < SOON:
        return error("days", found, why, remedy)
    # What lies there already takes room for the rest of its time.
    if left < upkeep.keep_days - min(stock.days, upkeep.keep_days):
        return warning("days", found, why, remedy)
    return well("days", found)


def second_days(mirror: DiskSeen | Unseen, stock: StockSeen | Unseen, want: Want) -> Finding:
    """How long the second medium's disk lasts: as much comes to it as is recorded, half a year later."""
    remedy = _("a larger disk for the second medium; docs/operations.ja.md, chapter 5")
    if isinstance(mirror, Unseen):
        return unmade("second-days", mirror, remedy)
    if isinstance(stock, Unseen):
        return unmade("second-days", stock, remedy)
    left, found = _lasts(mirror, stock, want)
    why = _("Recordings move there after six months, and this version erases none: what does not fit does not move.")
    if left < SOON:
        return error("second-days", found, why, remedy)
    return warning("second-days", found, why, remedy) if left < SEASON else well("second-days", found)


def _lasts(disk: DiskSeen, stock: StockSeen, want: Want) -> tuple[float, str]:
    """Days, and a sentence."""
    a_day, basis = _a_day(stock, want)
    left = disk.free / a_day
    return left, _("{free} GB free: {days} days at {mb} MB a day ({basis})").format(
        free=round(disk.free / 1e9, 1), days=int(left), mb=round(a_day / 1e6, 1), basis=basis
    )


def _a_day(seen: StockSeen, want: Want) -> tuple[float, str]:
    if seen.days >= WEEK:
        return max(seen.size / seen.days, 1.0), _("measured over {days} days").format(days=int(seen.days))
    hours = want.settings.upkeep.talk_hours
    told = _("no week of recordings yet: reckoned with {calls} telephones that talk {hours} hours a day")
    return want.at_once * hours * 3600 * SEALED, told.format(calls=want.at_once, hours=f"{hours:g}")


def keys(seen: KeysSeen, want: Want, now: datetime) -> Finding:
    """How long each key serves."""
    upkeep = want.settings.upkeep
    if isinstance(seen.since, Unseen):
        return unmade("keys", seen.since, _("`kikitori verify --all` says more"))
    ages = {_("epoch {number}").format(number=seen.epoch): ((now - seen.since).days, upkeep.epoch_days)}
    for name, since in seen.signers.items():
        if isinstance(since, Unseen):
            return unmade("keys", since, _("`kikitori verify --all` says more"))
        ages[name] = ((now - since).days, upkeep.signer_days)
    told = ", ".join(_("{name}: {days} days").format(name=name, days=age) for name, (age, _most) in ages.items())
    if old := [name for name, (age, most) in ages.items() if age > most]:
        return warning(
            "keys",
            told,
            _("Older than it should be: {names}. Who gets hold of a key has all that it opened or signed.").format(
                names=", ".join(old)
            ),
            _("`kikitori vault rotate` for an epoch; signing keys cannot be changed yet (docs/operations.ja.md, 9)"),
        )
    return well("keys", told)


def sealed(seen: SealedSeen | Unseen) -> Finding:
    """Whether every recording is for the vault's own keys, and for the newest."""
    if isinstance(seen, Unseen):
        return unmade("sealed", seen, _("`kikitori verify --all` says more"))
    why = _("What is recorded so, nobody here can hear, and perhaps somebody else can.")
    remedy = _(
        "stop recording and find out who changed keys/recipients.note or keys.slots (docs/operations.ja.md, 6.2)"
    )
    if seen.strange:
        return error("sealed", localise(seen.strange), why, remedy)
    if seen.foreign:
        named = ", ".join(map(str, seen.foreign[:20]))
        return error("sealed", _("sealed to somebody else: slots {slots}").format(slots=named), why, remedy)
    if seen.half:
        return warning(
            "sealed",
            _("a rotation was begun and not ended"),
            _("Old keys are still here, and open what they opened."),
            _("`kikitori vault rotate` goes on with it, and says what holds it up"),
        )
    return well("sealed", _("every header that was tried is for the vault's own keys"))


def certificate(seen: KeysSeen, want: Want, now: datetime) -> Finding:
    """Until when the PBX can prove itself."""
    if seen.certificate is None:
        return well("certificate", _("none: the manager interface is asked without TLS"))
    remedy = _("a new certificate for the manager interface; then [pbx] ami_tls_ca, and restart the recorder")
    why = _("Without a valid one the recorder does not connect, and calls are recorded by the dialplan alone.")
    return _until("certificate", seen.certificate, why, remedy, want, now)


def api_certificate(seen: KeysSeen, want: Want, now: datetime) -> Finding:
    """Until when the desk can prove itself."""
    if seen.api is None:
        return well("api-certificate", _("none: the desk has no API ([api] port = 0)"))
    remedy = _("`kikitori api certificate`, then restart the desk; whoever asks it is given the new one")
    why = _("Without a valid one nobody can sign in at the desk: no recording is found or heard. Calls are recorded.")
    return _until("api-certificate", seen.api, why, remedy, want, now)


def _until(check: str, ends: datetime | Unseen, why: str, remedy: str, want: Want, now: datetime) -> Finding:
    if isinstance(ends, Unseen):
        return unmade(check, ends, remedy)
    found = _("valid until {day}").format(day=day_text(ends.date()))
    if ends <= now:
        return error(check, found, why, remedy)
    if (ends - now).days < want.settings.upkeep.certificate_days:
        return warning(check, found, why, remedy)
    return well(check, found)
