"""A host and an installation on which nothing is wrong: tests change one thing of it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cti import places
from cti.doctor.machine import (
    ClockSeen,
    DiskSeen,
    KernelLimits,
    KeysSeen,
    MachineSeen,
    MemorySeen,
    ProcessLimits,
    SealedSeen,
    SpeedSeen,
    StockSeen,
)
from cti.doctor.running import ALL
from cti.doctor.want import Want
from cti.settings import Settings, at
from tests.unit.cti.doctor.good import POLICIES

NOW = datetime(2026, 11, 27, tzinfo=UTC)
HOUSE = Path("/srv/kikitori")
GROUP = "asterisk"
WANT = Want.of(at(Settings(), HOUSE), POLICIES.plan, POLICIES.recording)
SWAPS = "Filename Type Size Used Priority\n"


def disk(name: str, device: int = 1) -> DiskSeen:
    return DiskSeen(path=HOUSE / name, kind="ext4", options=("rw",), device=device, free=10**12, size=2 * 10**12)


def process(role: str, pid: int) -> ProcessLimits:
    return ProcessLimits(
        role=role, pid=pid, files=65536, memlock=None, core=0, unit=f"kikitori-{role}.service", denies=" ".join(ALL)
    )


MEMORY = MemorySeen(
    swaps=SWAPS,
    encrypted=frozenset(),
    spool_noswap=True,
    core_pattern="core",
    suid_dumpable=0,
    hibernates=False,
    resume="",
    masked=False,
    crash_kernel=False,
)
SEEN = MachineSeen(
    memory=MEMORY,
    asterisk_core=0,
    clock=ClockSeen(synchronised=True, error=0.02, zone="Asia/Tokyo"),
    processes=(process("gate", 10), process("recorder", 11), process("desk", 12)),
    kernel=KernelLimits(backlog=4096, instances=128, watches=65536),
    disks={name: disk(name) for name in ("vault", "log", "keys", "desk")} | {"mirror": disk("mirror", 2)},
    speed=SpeedSeen(median=0.002, longest=0.01),
    stock=StockSeen(size=30 * 10**9, days=30.0),
    places=places.wanted(WANT.settings, GROUP, ["epoch-0001.age"]),
    keys=KeysSeen(
        api=NOW + timedelta(days=300),
        epoch=1,
        since=NOW - timedelta(days=3),
        sealed=SealedSeen(half=False, strange=None, foreign=()),
        signers={"recorder.key": NOW - timedelta(days=3), "log.key": NOW - timedelta(days=3)},
        certificate=NOW + timedelta(days=300),
    ),
    peers=(),
    outward=(),
)
