"""A finding: what was found, why it matters, and what to do."""

from dataclasses import dataclass
from enum import StrEnum

from cti.doctor.seen import Unseen
from cti.i18n import _


class Severity(StrEnum):
    """`error`: recordings are, or will be, incomplete or readable. `warning`: somebody should look."""

    ok = "ok"
    warning = "warning"
    error = "error"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """`check` is the stable name of what was looked at. `made` False: it could not be, and `found` says why."""

    check: str
    severity: Severity
    found: str
    why: str = ""
    remedy: str = ""
    made: bool = True


def well(check: str, found: str, why: str = "") -> Finding:
    """As it should be."""
    return Finding(check=check, severity=Severity.ok, found=found, why=why)


def warning(check: str, found: str, why: str, remedy: str) -> Finding:
    """Somebody should look."""
    return Finding(check=check, severity=Severity.warning, found=found, why=why, remedy=remedy)


def error(check: str, found: str, why: str, remedy: str) -> Finding:
    """Has to be put right."""
    return Finding(check=check, severity=Severity.error, found=found, why=why, remedy=remedy)


def unmade(check: str, unseen: Unseen, remedy: str) -> Finding:
    """Not looked at: never taken for well."""
    found = _("not checked: {why}").format(why=unseen.why)
    return Finding(check=check, severity=Severity.warning, found=found, remedy=unseen.remedy or remedy, made=False)


def house_titles() -> dict[str, str]:
    """What each check of the host and the installation is called."""
    return {
        "swap": _("swap"),
        "core": _("core dumps"),
        "sleep": _("hibernation"),
        "crash": _("crash kernel"),
        "filesystems": _("file systems"),
        "mirror": _("second medium"),
        "modes": _("owners and modes"),
        "disk-speed": _("speed of the disk"),
        "days": _("days that the disk lasts"),
        "second-days": _("days that the second medium lasts"),
        "keys": _("age of the keys"),
        "sealed": _("whom recordings are sealed to"),
        "certificate": _("certificate of the PBX"),
        "api-certificate": _("certificate of the desk"),
        "time": _("time synchronisation"),
        "limits": _("limits of the processes"),
        "kernel-limits": _("limits of the kernel"),
        "egress": _("outgoing connections"),
        "confined": _("confinement by systemd"),
        "outward": _("other systems that are told"),
    }


def titles() -> dict[str, str]:
    """What each check of the PBX and of what stands beside it is called."""
    return {
        "login": _("manager login"),
        "version": _("Asterisk's version"),
        "name": _("name of the PBX"),
        "modules": _("modules"),
        "write-rights": _("rights to act"),
        "read-rights": _("rights to hear"),
        "reloaded": _("manager.conf in force"),
        "timestamps": _("times of events"),
        "noise": _("noise of events"),
        "hidden": _("events that must come"),
        "dialplan-policies": _("dialplan and policies"),
        "endpoints": _("telephones and trunk"),
        "codecs": _("codecs"),
        "direct-media": _("sound passes the PBX"),
        "clock": _("clocks"),
        "spool-ram": _("spool in RAM"),
        "spool-room": _("room in the spool"),
        "spool-modes": _("modes of the spool"),
        "asterisk-process": _("Asterisk's user and umask"),
        "gate": _("gate"),
        "recorder": _("recorder"),
        "cel": _("Asterisk's own record"),
        "hours": _("opening hours"),
    }
