"""Looking at the kernel: swap, core dumps, hibernation, the crash kernel, the clock, limits. Changes nothing."""

import ctypes
import ctypes.util
import os
from pathlib import Path
from typing import Final

from cti.doctor.machine import ClockSeen, KernelLimits, MemorySeen
from cti.doctor.seen import Unseen
from cti.explain import explain
from cti.settings import Settings
from recorder.spool import mounted, swap_devices

PROC, SYS, ETC = Path("/proc"), Path("/sys"), Path("/etc")

_UNSYNC: Final = 0x40  # STA_UNSYNC
_ERROR: Final = 5  # TIME_ERROR
_LONGS: Final = 32  # struct timex is 208 bytes on 64 bits; more does no harm


def memory(settings: Settings, proc: Path = PROC, sys: Path = SYS, etc: Path = ETC) -> MemorySeen | Unseen:
    """What could bring memory to a disk."""
    try:
        swaps = (proc / "swaps").read_text()
        root = settings.paths.spool.resolve()
        kind, options = mounted(root, mounts(proc))
        return MemorySeen(
            swaps=swaps,
            encrypted=frozenset(device for device in swap_devices(swaps) if _crypt(device, sys)),
            spool_noswap=kind == "ramfs" or (kind == "tmpfs" and "noswap" in options),
            core_pattern=(proc / "sys/kernel/core_pattern").read_text().strip(),
            suid_dumpable=int((proc / "sys/fs/suid_dumpable").read_text()),
            hibernates="disk" in _text(sys / "power/state").split(),
            resume=_resume(proc, sys),
            masked=_masked(etc / "systemd/system/hibernate.target"),
            crash_kernel=_text(sys / "kernel/kexec_crash_loaded").strip() == "1",
        )
    except OSError as error:
        return Unseen(explain(error))


def _text(path: Path) -> str:
    """What a kernel may not have at all says nothing."""
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def _crypt(device: str, sys: Path) -> bool:
    return _text(sys / "class/block" / Path(device).resolve().name / "dm/uuid").startswith("CRYPT-")


def _resume(proc: Path, sys: Path) -> str:
    named = next((word for word in _text(proc / "cmdline").split() if word.startswith("resume=")), "")
    number = _text(sys / "power/resume").strip()
    return named.removeprefix("resume=") or (number if number not in ("", "0:0") else "")


def _masked(unit: Path) -> bool:
    return unit.is_symlink() and str(unit.readlink()) == "/dev/null"


def mounts(proc: Path = PROC) -> str:
    """The kernel's table of what is mounted where, as this process sees it."""
    return (proc / "self/mountinfo").read_text()


def clock(etc: Path = ETC) -> ClockSeen | Unseen:
    """As adjtimex(2) tells: the same for chrony, ntpd and systemd-timesyncd, and without any of their tools."""
    libc = ctypes.CDLL(ctypes.util.find_library("c") or "libc.so.6", use_errno=True)
    timex = (ctypes.c_long * _LONGS)()  # modes 0: only read
    state = libc.adjtimex(timex)
    if state < 0:
        return Unseen(os.strerror(ctypes.get_errno()))
    # struct timex: modes, offset, freq, maxerror, esterror, status; each a long or padded to one
    error, status = timex[3], timex[5] & 0xFFFFFFFF
    return ClockSeen(synchronised=state != _ERROR and not status & _UNSYNC, error=error / 1e6, zone=_zone(etc))


def _zone(etc: Path) -> str:
    link = etc / "localtime"
    if link.is_symlink():
        return str(link.readlink()).partition("zoneinfo/")[2]
    return _text(etc / "timezone").strip() or "UTC"


def limits(proc: Path = PROC) -> KernelLimits | Unseen:
    """What the kernel allows everybody."""
    try:
        return KernelLimits(
            backlog=int((proc / "sys/net/core/somaxconn").read_text()),
            instances=int((proc / "sys/fs/inotify/max_user_instances").read_text()),
            watches=int((proc / "sys/fs/inotify/max_user_watches").read_text()),
        )
    except OSError as error:
        return Unseen(explain(error))
