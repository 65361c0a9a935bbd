"""The clock, limits, and whom our processes talk to -> findings. Pure."""

from collections.abc import Iterator
from typing import Final

from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.machine import ClockSeen, KernelLimits, MachineSeen, ProcessLimits
from cti.doctor.seen import Unseen
from cti.doctor.want import Want
from cti.i18n import _
from cti.routing.gate import BACKLOG
from recorder.spool import swap_devices

FILES_A_CALL: Final = 8  # two of the spool, a body, two tails, a slot, and what is being opened meanwhile
FILES: Final = 256  # libraries, sockets, the log, and the catalogue
CALLERS: Final = 4096  # sockets of the gate: some callers are silent, and nobody may be refused for them

INSTANCES, WATCHES = 8, 64  # the recorder takes one of each; others who run under its user: none
ALL: Final = ("0.0.0.0/0", "::/0")


def judge(seen: MachineSeen, want: Want) -> Iterator[Finding]:
    """Time, limits, egress."""
    yield time(seen.clock, want)
    yield _limits(seen, want)
    yield _kernel(seen.kernel)
    yield _egress(seen)
    yield _confined(seen.processes)


def time(seen: ClockSeen | Unseen, want: Want) -> Finding:
    """Whether the clock can be believed."""
    remedy = _(
        "apt-get install chrony, then `chronyc tracking`; name the bureau's time server in /etc/chrony/chrony.conf"
    )
    why = _("Recordings and the access log carry this clock's time; a wrong one cannot be told from a right one later.")
    if isinstance(seen, Unseen):
        return unmade("time", seen, remedy)
    if not seen.synchronised:
        return error("time", _("the clock follows no other (zone {zone})").format(zone=seen.zone), why, remedy)
    found = _("at most {ms} ms wrong (zone {zone}, which does not matter)").format(
        ms=round(seen.error * 1000), zone=seen.zone
    )
    if seen.error > want.settings.upkeep.clock_seconds:
        return warning("time", found, why, remedy)
    return well("time", found)


def _nobody_runs(check: str) -> Finding:
    remedy = _("start the service: `systemctl start kikitori` (without units: `kikitori serve`)")
    return unmade(check, Unseen(_("none of our processes runs")), remedy)


def _limits(seen: MachineSeen, want: Want) -> Finding:
    remedy = _("LimitNOFILE=65536 and LimitMEMLOCK=infinity in the units (`kikitori deploy render`), and restart them")
    if isinstance(seen.processes, Unseen):
        return unmade("limits", seen.processes, remedy)
    if not seen.processes:
        return _nobody_runs("limits")
    swapped = not isinstance(seen.memory, Unseen) and swap_devices(seen.memory.swaps)
    wrong = []
    for each in seen.processes:
        needed = CALLERS if each.role == "gate" else FILES + FILES_A_CALL * want.at_once
        if each.files is not None and each.files < needed:
            told = _("{role}: {files} open files (needs {needed})")
            wrong.append(told.format(role=each.role, files=each.files, needed=needed))
        if swapped and each.role != "gate" and each.memlock is not None:
            wrong.append(_("{role}: memory cannot be locked, and there is swap").format(role=each.role))
    if wrong:
        return error(
            "limits", "\n".join(wrong), _("At the limit, calls are no longer recorded or no longer answered."), remedy
        )
    files = ", ".join(f"{each.role}: {each.files or '∞'}" for each in seen.processes)
    return well("limits", _("open files: {files}").format(files=files))


def _kernel(seen: KernelLimits | Unseen) -> Finding:
    if isinstance(seen, Unseen):
        return unmade("kernel-limits", seen, _("run this command as root"))
    least = (
        ("net.core.somaxconn", seen.backlog, BACKLOG),
        ("fs.inotify.max_user_instances", seen.instances, INSTANCES),
        ("fs.inotify.max_user_watches", seen.watches, WATCHES),
    )
    if low := [(name, value, needed) for name, value, needed in least if value < needed]:
        found = ", ".join(_("{name} = {value} (needs {needed})").format(name=n, value=v, needed=m) for n, v, m in low)
        why = _("Callers who come at one moment wait in the backlog; without inotify the recorder sees new sound late.")
        settings = " ".join(f"{name}={needed}" for name, _value, needed in low)
        command = _("sysctl -w {settings}, and as /etc/sysctl.d/kikitori.conf").format(settings=settings)
        return error("kernel-limits", found, why, command)
    return well("kernel-limits", ", ".join(f"{name} = {value}" for name, value, _needed in least))


def _egress(machine: MachineSeen) -> Finding:
    seen = machine.peers
    remedy = _("find out what that is; `kikitori deploy render` writes units that may talk to nobody else")
    if isinstance(seen, Unseen):
        return unmade("egress", seen, remedy)
    if not machine.processes:
        return _nobody_runs("egress")
    if seen:
        found = ", ".join(
            _("{role} ({pid}) talks to {address} port {port}").format(
                role=peer.role, pid=peer.pid, address=peer.address, port=peer.port
            )
            for peer in seen
        )
        why = _("No setting names that address: nothing leaves the server room but to those that are named (B-04).")
        return error("egress", found, why, remedy)
    return well("egress", _("nobody talks to an address that no setting names"))


def _confined(seen: tuple[ProcessLimits, ...] | Unseen) -> Finding:
    remedy = _("`kikitori deploy render`, then the units as docs/deploy.md says (chapter 5)")
    if isinstance(seen, Unseen):
        return unmade("confined", seen, remedy)
    if not seen:
        return _nobody_runs("confined")
    if free := [f"{each.role} ({each.pid})" for each in seen if not set(ALL) <= set(each.denies.split())]:
        found = _("may talk to any address: {names}").format(names=", ".join(free))
        return warning("confined", found, _("Nothing but their own conduct keeps them from it."), remedy)
    return well("confined", _("systemd keeps all of them from other addresses"))
