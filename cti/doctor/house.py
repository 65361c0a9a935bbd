"""The host and the installation on it: looking at everything, and judging it."""

import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

from cti.doctor import keeping, kernel, outward, processes, running, secrecy, storage
from cti.doctor.finding import Finding
from cti.doctor.machine import MachineSeen
from cti.doctor.seen import Unseen
from cti.doctor.want import Want
from cti.explain import explain
from cti.settings import Settings


def look(settings: Settings, config: Path | None, now: Callable[[], datetime]) -> MachineSeen:
    """Everything there is to see. `config`: the settings file that our processes were given."""
    pids = processes.running(config)
    return MachineSeen(
        memory=kernel.memory(settings),
        asterisk_core=_asterisk_core(settings),
        clock=kernel.clock(),
        processes=processes.limits(pids),
        kernel=kernel.limits(),
        disks=storage.disks(settings, kernel.mounts()),
        speed=storage.speed(settings),
        stock=storage.stock(settings, now()),
        places=storage.owners(settings),
        keys=storage.keys(settings),
        peers=processes.foreign(settings, pids),
        outward=outward.look(settings),
    )


def _asterisk_core(settings: Settings) -> int | Unseen | None:
    try:
        return processes.core_of(int((settings.asterisk.run_dir / "asterisk.pid").read_text()))
    except (OSError, ValueError) as error:
        return Unseen(explain(error))


def judge(seen: MachineSeen, want: Want, now: datetime) -> list[Finding]:
    """Every finding. Pure but for the name of Asterisk's group."""
    group = storage.asterisk_group(want.settings) if os.geteuid() == 0 else ""
    return [
        *secrecy.judge(seen), *keeping.judge(seen, want, group, now), *running.judge(seen, want),
        outward.judge(seen.outward, want.settings.users.desk),
    ]  # fmt: skip
