"""What was seen of this host and of our own processes -> findings. Pure."""

from collections.abc import Iterator, Mapping
from typing import Final

from cti import places, users
from cti.doctor.finding import Finding, error, unmade, warning, well
from cti.doctor.seen import CelSeen, GateSeen, HoursSeen, PbxSeen, ProcessSeen, Seen, SpoolSeen, Unseen
from cti.doctor.want import Want
from cti.explain import localise
from cti.i18n import _
from cti.sentences import moment_text
from recorder.spool import SAMPLE, SpoolError, check_ram

MINUTES: Final = 10  # with every designated telephone talking; below that a restart is a race
GATE_SECONDS: Final = 2.0  # the gate's own limit for a call


def judge(seen: Seen, want: Want) -> Iterator[Finding]:
    """Spool, Asterisk's process, gate, recorder, Asterisk's own record, opening hours."""
    yield from _spool(seen.spool, want)
    yield _process(seen.asterisk, want)
    yield gate(seen.gate, want)
    yield recorder(seen.recorder)
    yield _cel(seen, want)
    yield _hours(seen.hours)


def _spool(seen: SpoolSeen | Unseen | None, want: Want) -> Iterator[Finding]:
    make = _("`kikitori init` makes it; after a restart of the host: systemd-tmpfiles --create, or start the recorder")
    why = _("Sound lies there in the clear until it is sealed; the recorder refuses to start.")
    if not isinstance(seen, SpoolSeen):
        checks = ["spool-ram", "spool-room", "spool-modes"]
        if seen is None:
            absent = _("{file} is not there").format(file=want.settings.paths.spool)
            yield error(checks.pop(0), absent, why, make)
        for check in checks:
            yield unmade(check, seen or Unseen(_("there is no spool")), make)
        return
    try:
        check_ram(seen.path, seen.mountinfo, seen.swaps)
    except SpoolError as problem:
        yield error("spool-ram", localise(str(problem)), why, _("as the finding says, and in /etc/fstab"))
    else:
        yield well("spool-ram", str(seen.path))
    yield room(seen.free, seen.size, want)
    yield _modes(seen, want, make)


def room(free: int, size: int, want: Want) -> Finding:
    """How many minutes the spool lasts. Bytes."""
    # two sides of each call
    minutes = free / (2 * SAMPLE * want.rate * want.at_once) / 60
    found = _("{free} of {size} MiB free: {minutes} minutes of {calls} calls at once").format(
        free=free >> 20, size=size >> 20, minutes=int(minutes), calls=want.at_once
    )
    if minutes < MINUTES:
        why = _("So long do calls go on being recorded while the recorder or the disk is away.")
        remedy = _("mount -o remount,size=2g {path}, and in /etc/fstab; look at `kikitori status` if it filled up")
        return (error if minutes < 1 else warning)(
            "spool-room", found, why, remedy.format(path=want.settings.paths.spool)
        )
    return well("spool-room", found)


def _modes(seen: SpoolSeen, want: Want, make: str) -> Finding:
    wrong: list[str] = []
    wanted = places.spool(want.settings, seen.path)
    for name, folder in (("audio", seen.audio), ("open", seen.open)):
        if isinstance(folder, Unseen):
            return unmade("spool-modes", folder, make)
        if folder is None:
            wrong.append(_("{file} is not there").format(file=name))
        elif folder != (right := wanted[seen.path / name]):
            wrong.append(_("{name}: {found} (should be {wanted})").format(name=name, found=folder, wanted=right))
    if wrong:
        return error(
            "spool-modes", "\n".join(wrong),
            _("Asterisk writes there, the recorder takes away, and nobody else may read: that is what the modes are."),
            make,
        )  # fmt: skip
    if isinstance(seen.foreign, Unseen):
        return unmade("spool-modes", seen.foreign, make)
    if seen.foreign:
        return error(
            "spool-modes", _("the recorder cannot take: {files}").format(files=", ".join(seen.foreign[:3])),
            _("Files that the spool's group cannot write stay until RAM is full."),
            _("UMask=0007 in Asterisk's unit and SupplementaryGroups={group}; restart Asterisk").format(
                group=users.SPOOL
            ),
        )  # fmt: skip
    return well("spool-modes", str(wanted[seen.path / "audio"]))


def _process(seen: ProcessSeen | Unseen, want: Want) -> Finding:
    remedy = _("User={user}, UMask=0007 and SupplementaryGroups={group} in Asterisk's unit; restart Asterisk").format(
        user=want.settings.users.asterisk, group=users.SPOOL
    )
    if isinstance(seen, Unseen):
        return unmade("asterisk-process", seen, remedy)
    why = _("The recorder must be able to take what Asterisk writes, and nobody else to read it.")
    found = _("user {user}, umask {umask}").format(
        user=seen.user, umask="?" if seen.umask is None else f"{seen.umask:04o}"
    )
    if users.SPOOL not in seen.groups:
        outside = _("{found}, not in group {group}").format(found=found, group=users.SPOOL)
        return error("asterisk-process", outside, why, remedy)
    if seen.umask is not None and seen.umask & 0o077 != 0o007:
        return error("asterisk-process", found, why, remedy)
    if seen.user == "root":
        return warning("asterisk-process", found, _("Whoever breaks into the PBX has the whole host."), remedy)
    return well("asterisk-process", found)


def gate(seen: GateSeen | Unseen, want: Want) -> Finding:
    """Whether callers are answered for."""
    address = f"{want.settings.gate.host}:{want.settings.gate.port}"
    remedy = _(
        "start the service: `systemctl start kikitori` (without units: `kikitori serve`); the dialplan must ask "
        "{address} ([gate] host and port)"
    ).format(address=address)
    why = _("The dialplan asks it before a call goes on. Without it the call is recorded by the dialplan alone.")
    if isinstance(seen, Unseen):
        return error("gate", _("{address}: {why}").format(address=address, why=seen.why), why, remedy)
    if seen.seconds > GATE_SECONDS:
        slow = _("answers after {seconds} s").format(seconds=round(seen.seconds, 1))
        return error("gate", slow, _("So long does each caller wait."), remedy)
    return well(
        "gate",
        _("{address} answers; in {ms} ms, most of it waiting for a channel that there is not").format(
            address=address, ms=round(seen.seconds * 1000)
        ),
    )


def recorder(seen: Mapping[str, object] | Unseen) -> Finding:
    """Whether the recorder hears and keeps."""
    if isinstance(seen, Unseen) and seen.remedy:
        return unmade("recorder", seen, seen.remedy)
    if isinstance(seen, Unseen):
        why = _("Calls are recorded by the dialplan into RAM, which lasts for the minutes above, and are not sealed.")
        return error(
            "recorder",
            seen.why,
            why,
            _("start the service: `systemctl start kikitori` (without units: `kikitori serve`), and read its log"),
        )
    if trouble := seen.get("trouble"):
        why = _("What it hears waits in RAM.")
        return error(
            "recorder", localise(str(trouble)), why, _("as the finding says; docs/operations.ja.md, chapter 3")
        )
    if not seen.get("in_step"):
        why = _("It does not know what happens on the PBX; what the dialplan records is taken in all the same.")
        return error(
            "recorder", _("not connected to the PBX"), why, _("mend the manager login; read the recorder's log")
        )
    dropped = (("events_dropped", _("events dropped")), ("events_tampered", _("events that a caller wrote into")))
    if counted := [f"{name}: {seen[key]}" for key, name in dropped if seen.get(key)]:
        why = _("Since it started. The first means that it cannot keep up, the second that somebody tries something.")
        return warning("recorder", ", ".join(counted), why, _("read its log; `kikitori calls list` shows the callers"))
    return well("recorder", _("connected and in step"))


def _cel(seen: Seen, want: Want) -> Finding:
    cel = seen.cel
    why = _("By it, calls are adopted whose events nobody heard, and cut by the rules.")
    folder = want.settings.asterisk.log_dir
    readable = _("chgrp {group} {folder} and chmod 2750 {folder}; then restart Asterisk").format(
        group=users.SPOOL, folder=folder
    )
    if cel is None:
        remedy = _('[pbx] cel_file = "{file}" in kikitori.toml').format(file=folder / "cel.csv")
        return warning("cel", _("no setting names it"), why, remedy)
    if isinstance(cel, Unseen) and cel.remedy:
        return unmade("cel", cel, cel.remedy)
    if isinstance(cel, Unseen):
        return error("cel", cel.why, why, readable)
    return _growing(cel, seen.pbx, why)


def _growing(cel: CelSeen, pbx: PbxSeen | Unseen, why: str) -> Finding:
    there = _("{file}, readable for the recorder") if cel.size is not None else _("{file} is not there")
    found = there.format(file=cel.path)
    call = _("make a test call, then ask again")
    if isinstance(pbx, Unseen) or isinstance(pbx.calls, Unseen) or isinstance(pbx.uptime, Unseen):
        return unmade(
            "cel", Unseen(_("{found}; Asterisk does not say how many calls there were").format(found=found)), call
        )
    if pbx.calls == 0:
        return unmade(
            "cel", Unseen(_("{found}; no call since Asterisk started, so not seen growing").format(found=found)), call
        )
    # a second, for clocks of files are coarse
    if not cel.size or cel.age > pbx.uptime + 1:
        return error(
            "cel", _("{file} has not grown since Asterisk started, {calls} calls ago").format(
                file=cel.path, calls=pbx.calls
            ),
            why,
            _("cel.conf and cel_custom.conf as `kikitori asterisk render` writes them; asterisk -rx 'cel show status'"),
        )  # fmt: skip
    return well("cel", found)


def _hours(seen: HoursSeen | Unseen) -> Finding:
    remedy = _("mend that file; `kikitori hours check` reads it as the gate does")
    if isinstance(seen, Unseen) and seen.remedy:
        return unmade("hours", seen, seen.remedy)
    if isinstance(seen, Unseen):
        why = _("Every caller is offered the centre and the emergency line both.")
        return error("hours", seen.why, why, remedy)
    if seen.trouble:
        return error("hours", localise(seen.trouble), _("What was read before stays in force."), remedy)
    if seen.holidays != "table":
        found = {
            "forecast": _("the holidays of {year} are a forecast"), "unknown": _("nobody knows the holidays of {year}")
        }[seen.holidays]  # fmt: skip
        why = _("The law may change, and the days of the two equinoxes are named a year before.")
        command = _("`kikitori hours holidays update FILE` takes the Cabinet Office's newer table")
        return warning("hours", found.format(year=seen.year), why, command)
    said = _("open") if seen.state == "open" else _("closed")
    until = _(", until {at}").format(at=moment_text(seen.until)) if seen.until else ""
    return well("hours", said + until)
