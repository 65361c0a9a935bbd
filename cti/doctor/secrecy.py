"""What could bring sound and keys from memory to a disk -> findings. Pure."""

from collections.abc import Iterator

from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.machine import MachineSeen, MemorySeen
from cti.doctor.seen import Unseen
from cti.i18n import _
from recorder.spool import swap_devices


def judge(seen: MachineSeen) -> Iterator[Finding]:
    """Swap, core dumps, hibernation, the crash kernel."""
    memory = seen.memory
    if isinstance(memory, Unseen):
        yield from (
            unmade(check, memory, _("run this command as root")) for check in ("swap", "core", "sleep", "crash")
        )
        return
    yield _swap(memory)
    yield _core(memory, seen)
    yield _sleep(memory)
    yield _crash(memory)


def _swap(seen: MemorySeen) -> Finding:
    devices = swap_devices(seen.swaps)
    plain = [device for device in devices if device not in seen.encrypted]
    if not plain:
        return well(
            "swap", _("none on a disk") if not devices else _("encrypted: {names}").format(names=", ".join(devices))
        )
    found = _("on {names}, not encrypted").format(names=", ".join(plain))
    remedy = _(
        "swapoff -a, and take the line out of /etc/fstab; or encrypt it (/etc/crypttab: swap,cipher=aes-xts-plain64)"
    )
    if seen.spool_noswap:
        why = _("Spool, recorder and desk are never swapped out; Asterisk, which holds sound too, is.")
        return warning("swap", found, why, remedy)
    return error("swap", found, _("Sound and keys would lie on a disk in the clear, and stay there."), remedy)


def _core(memory: MemorySeen, seen: MachineSeen) -> Finding:
    remedy = _("sysctl -w kernel.core_pattern='|/bin/false' fs.suid_dumpable=0, and as /etc/sysctl.d/kikitori.conf")
    why = _("A core file is a copy of memory: of Asterisk's, the sound of the calls that stand.")
    processes = () if isinstance(seen.processes, Unseen) else seen.processes
    if ours := [
        f"{process.role} ({process.pid})" for process in processes if process.core != 0 and process.role != "gate"
    ]:
        found = _("a core file is allowed: {names}").format(names=", ".join(ours))
        return error("core", found, why, _("LimitCORE=0 in the unit (`kikitori deploy render`), and restart it"))
    if memory.suid_dumpable:
        found = f"fs.suid_dumpable = {memory.suid_dumpable}"
        return error("core", found, _("Processes that changed their user leave core files then: ours all do."), remedy)
    pattern = memory.core_pattern
    if pattern.startswith("|") and pattern.split()[0] not in ("|/bin/false", "|/usr/bin/false", "|/bin/true"):
        found = _("core dumps go to {program}").format(program=pattern[1:].split()[0])
        return warning(
            "core",
            found,
            _("A pipe is handed the memory whatever LimitCORE says. Ours refuse; Asterisk does not."),
            remedy,
        )
    discarded = pattern.startswith("|")
    if not discarded and seen.asterisk_core != 0:
        unit = _("LimitCORE=0 in Asterisk's unit (`kikitori deploy render` writes the drop-in), and restart Asterisk")
        if isinstance(seen.asterisk_core, Unseen):
            return unmade("core", seen.asterisk_core, unit)
        return error("core", _("Asterisk may leave a core file"), why, unit)
    return well("core", _("nobody leaves one"))


def _sleep(seen: MemorySeen) -> Finding:
    if not seen.hibernates or seen.masked:
        return well("sleep", _("the host does not hibernate"))
    if not seen.resume and not swap_devices(seen.swaps):
        return well("sleep", _("nowhere to hibernate to"))
    return error(
        "sleep",
        _("the host can hibernate to {device}").format(device=seen.resume or ", ".join(swap_devices(seen.swaps))),
        _("Hibernation writes all memory to a disk, spool and keys included, and stops every call."),
        _("systemctl mask hibernate.target hybrid-sleep.target suspend-then-hibernate.target"),
    )


def _crash(seen: MemorySeen) -> Finding:
    if not seen.crash_kernel:
        return well("crash", _("no crash kernel stands by"))
    return error(
        "crash",
        _("a crash kernel stands by"),
        _("After a panic it writes all memory to a disk, spool and keys included."),
        _("systemctl disable --now kdump-tools, and take crashkernel= out of the kernel's command line"),
    )
