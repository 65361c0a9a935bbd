"""What was seen of the host itself and of the installation on it, without an opinion."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cti.doctor.seen import Unseen
from cti.places import Owned
from policies.outward import Destination


@dataclass(frozen=True, slots=True, kw_only=True)
class MemorySeen:
    """What could bring memory to a disk. `swaps` is the kernel's table, `encrypted` those of its devices that are.

    `hibernates`: the kernel can; `resume`: from where it would wake, "" for nowhere; `masked`: systemd refuses it.
    `spool_noswap`: the spool is never swapped. `crash_kernel`: one stands by, to write memory down after a panic.
    """

    swaps: str
    encrypted: frozenset[str]
    spool_noswap: bool
    core_pattern: str
    suid_dumpable: int
    hibernates: bool
    resume: str
    masked: bool
    crash_kernel: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockSeen:
    """The kernel's own judgement of its clock; `error` in seconds at most; `zone` as the host is set."""

    synchronised: bool
    error: float
    zone: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessLimits:
    """A process that runs: its soft limits, None for none. `unit` of systemd, "" for none; `denies`: by address."""

    role: str
    pid: int
    files: int | None
    memlock: int | None
    core: int | None
    unit: str
    denies: str


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelLimits:
    """`backlog` is net.core.somaxconn; inotify's two of a user."""

    backlog: int
    instances: int
    watches: int


@dataclass(frozen=True, slots=True, kw_only=True)
class DiskSeen:
    """Where one of our folders lies. `device` tells two file systems apart."""

    path: Path
    kind: str
    options: tuple[str, ...]
    device: int
    free: int
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class SpeedSeen:
    """Of a write of 64 KiB and its sync: the median, and the longest, in seconds."""

    median: float
    longest: float


@dataclass(frozen=True, slots=True, kw_only=True)
class StockSeen:
    """What the vault took in during the last `days` (at most 30; 0: no recording in them)."""

    size: int
    days: float


@dataclass(frozen=True, slots=True, kw_only=True)
class SealedSeen:
    """To whom recordings are sealed. `half`: a rotation was begun and not ended.

    `strange`: why the list of recipients is not what the access log says. `foreign`: slots that were sealed to somebody
    else when they were last tried.
    """

    half: bool
    strange: str | None
    foreign: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class KeysSeen:
    """Since when each key serves; `certificate` (of the PBX), `api`: until when, None where none is set."""

    epoch: int | Unseen
    since: datetime | Unseen
    sealed: SealedSeen | Unseen
    signers: Mapping[str, datetime | Unseen]
    certificate: datetime | Unseen | None
    api: datetime | Unseen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """The far end of a connection of one of our processes, which none of our settings names."""

    role: str
    pid: int
    address: str
    port: int


@dataclass(frozen=True, slots=True, kw_only=True)
class TargetSeen:
    """A destination. `wrong`: its field -> what the desk's user cannot do with that. `found`: its folder or secret."""

    destination: Destination
    wrong: Mapping[str, str | Unseen]
    found: Owned | Unseen | None


@dataclass(frozen=True, slots=True, kw_only=True)
class MachineSeen:
    """All of it. `places`: None where nothing lies there. `asterisk_core`: its limit, None for none."""

    memory: MemorySeen | Unseen
    asterisk_core: int | Unseen | None
    clock: ClockSeen | Unseen
    processes: tuple[ProcessLimits, ...] | Unseen
    kernel: KernelLimits | Unseen
    disks: Mapping[str, DiskSeen | Unseen]
    speed: SpeedSeen | Unseen
    stock: StockSeen | Unseen
    places: Mapping[Path, Owned | Unseen | None]
    keys: KeysSeen
    peers: tuple[Peer, ...] | Unseen
    outward: tuple[TargetSeen, ...] | Unseen
