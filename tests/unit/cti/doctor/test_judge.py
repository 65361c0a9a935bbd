"""Each finding with its remedy: one thing is wrong, and that is what is said."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from cti.doctor.finding import Severity, titles
from cti.doctor.judge import ASKED, judge, release
from cti.doctor.seen import Conf, Endpoint, Seen, SpoolSeen, Unseen
from cti.pbxconfig import MODULES
from cti.places import Owned
from tests.unit.cti.doctor.good import CONF, DECIDED, FILTER, PBX, SEEN, SPOOL, WANT

NOT_SEEN = Unseen("Permission denied")
NOT_ALLOWED = Unseen("Permission denied", "run this command as root")


def pbx(**changes: Any) -> Seen:
    return replace(SEEN, pbx=replace(PBX, **changes))


def spool(**changes: Any) -> Seen:
    assert isinstance(SEEN.spool, SpoolSeen)
    return replace(SEEN, spool=replace(SEEN.spool, **changes))


def asterisk(**changes: Any) -> Seen:
    assert not isinstance(SEEN.asterisk, Unseen)
    return replace(SEEN, asterisk=replace(SEEN.asterisk, **changes))


def hours(**changes: Any) -> Seen:
    assert not isinstance(SEEN.hours, Unseen)
    return replace(SEEN, hours=replace(SEEN.hours, **changes))


def conf(*, general: Mapping[str, str] | None = None, **user: str) -> Seen:
    lines = dict(CONF.user) | {name.rstrip("_"): value for name, value in user.items()}
    general = CONF.general if general is None else general
    return pbx(conf=Conf(general=general, user=tuple(lines.items())))


def more(**actions: str) -> Seen:
    assert not isinstance(PBX.actions, Unseen)
    return pbx(actions=dict(PBX.actions) | {name: frozenset(text.split("_")) for name, text in actions.items()})


def without(*actions: str) -> Seen:
    assert not isinstance(PBX.actions, Unseen)
    return pbx(actions={name: rights for name, rights in PBX.actions.items() if name not in actions})


def endpoint(name: str, seen: Endpoint | None) -> Seen:
    assert not isinstance(PBX.endpoints, Unseen)
    return pbx(endpoints=dict(PBX.endpoints) | {name: seen})


def of(cel: object, **changes: Any) -> Seen:
    """The record of events, and what the PBX says of its calls."""
    seen = pbx(**changes) if changes else SEEN
    return replace(seen, cel=cel)


ON_DISK = "22 1 0:21 / / rw - ext4 /dev/sda rw\n"
SWAPPED = f"{ON_DISK}36 22 0:35 / {SPOOL} rw - tmpfs x rw\n"
ANYWHERE = FILTER.replace("^", "", 1)
ERROR, WARNING = Severity.error, Severity.warning
RECORDS_LESS = DECIDED.recording.model_copy(update={"record_internal": False})
OTHER = replace(DECIDED, recording=RECORDS_LESS).fingerprint()

CASES: list[tuple[Seen, str, Severity, str, str]] = [
    (pbx(version="16.30.0"), "version", ERROR, "16.30.0", "Asterisk 18 or later"),
    (pbx(version="?"), "version", WARNING, "not checked: '?' is no version", "asterisk -V"),
    (pbx(name="pbx2"), "name", WARNING, "'pbx2', not 'pbx1'", "systemname = pbx1 in asterisk.conf"),
    (pbx(modules=dict.fromkeys(MODULES, True) | {"res_agi.so": False}), "modules", ERROR, "res_agi.so", "modules.conf"),
    (without("ModuleCheck"), "write-rights", ERROR, "without: system", "write = system,call,originate"),
    (without("Redirect"), "write-rights", ERROR, "without: call", "under [kikitori] in manager.conf"),
    (without("Originate"), "write-rights", ERROR, "without: originate", "manager reload"),
    (more(Command="command"), "write-rights", WARNING, "command (it may run Command)", "write = system,call,originate"),
    (conf(read="system,agent,user"), "read-rights", ERROR, "without: call", "read = system,call,agent,user"),
    (conf(read="system,call,agent,user,dtmf"), "read-rights", WARNING, "more than is needed: dtmf", "read = system"),
    (conf(read="all"), "read-rights", WARNING, "more than is needed: all", "read = system"),
    (conf(write="system"), "reloaded", WARNING, "(Originate, Redirect)", "manager reload"),
    (more(QueueAdd="agent"), "reloaded", WARNING, "(QueueAdd)", "manager reload"),
    (pbx(stamped=False), "timestamps", ERROR, "no time", "timestampevents = yes under [general]"),
    (conf(general={}), "timestamps", WARNING, "does not ask for it", "timestampevents = yes"),
    (pbx(heard={"VarSet": 2, "Reload": 1}), "noise", WARNING, "heard: VarSet", "eventfilter"),
    (conf(eventfilter="!^Event: VarSet"), "noise", WARNING, "DeviceStateChange", "kikitori asterisk render"),
    (conf(eventfilter="!^Event: [VarSet"), "noise", WARNING, "not understood: eventfilter", "kikitori asterisk render"),
    (conf(eventfilter="!^Event: (Hang|New)"), "hidden", ERROR, "Newchannel, Newstate", "eventfilter"),
    (conf(eventfilter="^Event: Newchannel"), "hidden", ERROR, "Hangup", "eventfilter"),
    (conf(eventfilter=ANYWHERE), "hidden", ERROR, "a caller named 'Event: VarSet: x'", "eventfilter"),
    (pbx(policies=OTHER), "dialplan-policies", WARNING, "other policies, on 2026-11-20", "kikitori asterisk render"),
    (
        replace(SEEN, decided=Unseen("hours.toml:3: x")), "dialplan-policies", WARNING,
        "not checked: hours.toml:3: x", "mend that file",
    ),
    (pbx(policies=""), "dialplan-policies", WARNING, "not run the rendered dialplan", "dialplan reload"),
    (endpoint("2001", None), "endpoints", ERROR, "2001", "pjsip.conf"),
    (endpoint("2001", Endpoint(codecs=("opus",), direct_media=False)), "codecs", ERROR, "2001", "module reload"),
    (endpoint("2001", Endpoint(codecs=("ulaw", "g729"), direct_media=False)), "codecs", WARNING, "g729", "pjsip"),
    (endpoint("trunk", Endpoint(codecs=("ulaw",), direct_media=True)), "direct-media", ERROR, "trunk", "pjsip"),
    (pbx(ahead=-1.4), "clock", WARNING, "by -1.4 s", "chrony"),
    (spool(mountinfo=ON_DISK), "spool-ram", ERROR, "lies on ext4", "/etc/fstab"),
    (spool(mountinfo=SWAPPED, swaps="x\n/dev/sdb partition 1 0 -2\n"), "spool-ram", ERROR, "/dev/sdb", "/etc/fstab"),
    (spool(free=64 << 20), "spool-room", WARNING, "64 of 2048 MiB", "remount,size=2g"),
    (spool(free=4 << 20), "spool-room", ERROR, "0 minutes of 7 calls", "kikitori status"),
    (
        spool(audio=Owned("root", "root", 0o755)), "spool-modes", ERROR,
        "audio: 0755 root:root (should be 2770 kikitori-recorder:kikitori-spool)", "systemd-tmpfiles",
    ),
    (
        spool(open=Owned("kikitori-recorder", "kikitori-spool", 0o770)), "spool-modes", ERROR,
        "open: 0770", "systemd-tmpfiles",
    ),
    (spool(open=None), "spool-modes", ERROR, "open is not there", "systemd-tmpfiles"),
    (spool(foreign=("am-1-r.sln",)), "spool-modes", ERROR, "am-1-r.sln", "UMask=0007"),
    (asterisk(umask=0o022), "asterisk-process", ERROR, "umask 0022", "UMask=0007"),
    (
        asterisk(groups=frozenset({"asterisk"})), "asterisk-process", ERROR,
        "not in group kikitori-spool", "SupplementaryGroups=kikitori-spool",
    ),
    (asterisk(user="root"), "asterisk-process", WARNING, "user root", "User=asterisk"),
    (replace(SEEN, hours=Unseen("hours.toml:3: x")), "hours", ERROR, "hours.toml:3: x", "kikitori hours check"),
    (hours(trouble="overrides.jsonl:7: x"), "hours", ERROR, "overrides.jsonl:7: x", "kikitori hours check"),
    (hours(holidays="forecast"), "hours", WARNING, "holidays of 2027 are a forecast", "holidays update"),
    (hours(holidays="unknown"), "hours", WARNING, "nobody knows the holidays of 2027", "holidays update"),
    (replace(SEEN, gate=Unseen("Connection refused")), "gate", ERROR, "127.0.0.1:4573: Connection refused", "serve"),
    (replace(SEEN, gate=replace(SEEN.gate, seconds=3.0)), "gate", ERROR, "after 3.0 s", "kikitori serve"),
    (replace(SEEN, recorder=Unseen("no answer in time")), "recorder", ERROR, "no answer in time", "kikitori serve"),
    (replace(SEEN, recorder={"in_step": False}), "recorder", ERROR, "not connected", "manager login"),
    (replace(SEEN, recorder={"in_step": True, "trouble": "disk full"}), "recorder", ERROR, "disk full", "operations"),
    (replace(SEEN, recorder={"in_step": True, "events_tampered": 2}), "recorder", WARNING, "wrote into: 2", "log"),
    (of(None), "cel", WARNING, "no setting names it", 'cel_file = "/var/log/asterisk/cel.csv"'),
    (of(NOT_SEEN), "cel", ERROR, "Permission denied", "chgrp kikitori-spool /var/log/asterisk"),
    (of(replace(SEEN.cel, age=9999.0)), "cel", ERROR, "3 calls ago", "cel_custom.conf"),
    (of(replace(SEEN.cel, size=0)), "cel", ERROR, "has not grown", "cel show status"),
    (of(replace(SEEN.cel, size=None)), "cel", ERROR, "has not grown", "cel show status"),
    (of(replace(SEEN.cel, size=None), calls=0), "cel", WARNING, "not there; no call since", "make a test call"),
    (of(SEEN.cel, calls=0), "cel", WARNING, "not seen growing", "make a test call"),
]  # fmt: skip


def test_where_nothing_is_wrong_everything_is_well() -> None:
    findings = judge(SEEN, WANT)
    assert [finding for finding in findings if finding.severity is not Severity.ok] == []
    assert [finding.check for finding in findings] == list(titles())
    assert all(finding.found and finding.made and not finding.remedy for finding in findings)


def test_the_least_rights_are_told_with_the_reason_for_each() -> None:
    told = {finding.check: finding for finding in judge(SEEN, WANT)}
    assert told["write-rights"].found == "write = system,call,originate"
    assert told["read-rights"].found == "read = system,call,agent,user"
    for check, rights in (("write-rights", "system call originate"), ("read-rights", "system call agent user")):
        assert [line.partition(": ")[0] for line in told[check].why.splitlines()] == rights.split()
        assert all(line.partition(": ")[2] for line in told[check].why.splitlines())


@pytest.mark.parametrize(("seen", "check", "severity", "found", "remedy"), CASES)
def test_one_thing_is_wrong(seen: Seen, check: str, severity: Severity, found: str, remedy: str) -> None:
    findings = judge(seen, WANT)
    [said] = [finding for finding in findings if finding.check == check]
    assert said.severity is severity
    assert found in said.found
    assert remedy in said.remedy
    assert said.why or not said.made
    assert [finding.check for finding in findings] == list(titles()), "each check says something, once"


def test_every_check_but_the_login_can_fail_here() -> None:
    assert {check for _, check, *_ in CASES} == titles().keys() - {"login"}


def test_nobody_lets_us_in() -> None:
    refused = Unseen("refused user 'kikitori': Authentication failed")
    findings = {finding.check: finding for finding in judge(replace(SEEN, pbx=refused), WANT)}
    assert findings["login"].severity is Severity.error
    assert "Authentication failed" in findings["login"].found
    assert "manager.conf" in findings["login"].remedy
    for check in (*ASKED, "cel"):
        assert findings[check].severity is Severity.warning
        assert not findings[check].made
        assert findings[check].found.startswith("not checked: ")
        assert findings[check].remedy


@pytest.mark.parametrize(
    ("field", "checks"),
    [
        ("version", {"version"}), ("name", {"name"}), ("modules", {"modules"}), ("stamped", {"timestamps"}),
        ("actions", {"write-rights", "reloaded"}), ("conf", {"read-rights", "reloaded", "noise", "hidden"}),
        ("ahead", {"clock"}), ("endpoints", {"endpoints", "codecs", "direct-media"}), ("calls", {"cel"}),
        ("uptime", {"cel"}), ("policies", {"dialplan-policies"}),
    ],
)  # fmt: skip
def test_what_the_pbx_does_not_tell_is_not_taken_for_well(field: str, checks: set[str]) -> None:
    findings = judge(pbx(**{field: NOT_SEEN}), WANT)
    assert {finding.check for finding in findings if not finding.made} == checks
    assert all(finding.severity is Severity.warning and finding.remedy for finding in findings if not finding.made)


@pytest.mark.parametrize(
    ("seen", "checks"),
    [
        (replace(SEEN, spool=NOT_SEEN), {"spool-ram", "spool-room", "spool-modes"}),
        (spool(audio=NOT_SEEN), {"spool-modes"}),
        (spool(foreign=NOT_SEEN), {"spool-modes"}),
        (replace(SEEN, asterisk=NOT_SEEN), {"asterisk-process"}),
        (replace(SEEN, recorder=NOT_ALLOWED), {"recorder"}),
        (replace(SEEN, cel=NOT_ALLOWED), {"cel"}),
    ],
)
def test_what_the_host_does_not_tell_is_not_taken_for_well(seen: Seen, checks: set[str]) -> None:
    findings = [finding for finding in judge(seen, WANT) if not finding.made]
    assert {finding.check for finding in findings} == checks
    assert all(finding.severity is Severity.warning and finding.remedy for finding in findings)


def test_without_a_spool_nothing_else_is_said_of_it() -> None:
    findings = {finding.check: finding for finding in judge(replace(SEEN, spool=None), WANT)}
    assert findings["spool-ram"].severity is Severity.error
    assert findings["spool-ram"].found == "spool is not there"
    assert "kikitori init" in findings["spool-ram"].remedy
    assert {check for check, finding in findings.items() if not finding.made} == {"spool-room", "spool-modes"}


def test_an_older_asterisk_needs_no_cdrel() -> None:
    modules = dict.fromkeys(MODULES, True) | {"res_cdrel_custom.so": False}
    for version, well in (("18.26.4", True), ("22.8.2", True), ("22.9.0", False), ("23.1.0", False)):
        [said] = [
            finding for finding in judge(pbx(version=version, modules=modules), WANT) if finding.check == "modules"
        ]
        assert (said.severity is Severity.ok) == well, version


@pytest.mark.parametrize(
    ("version", "number"),
    [
        ("22.10.1+dfsg+~cs6.17.60671434-1", (22, 10)), ("18.9-cert1", (18, 9)), ("certified/18.9-cert1", (18, 9)),
        ("certified-20.7-cert2", (20, 7)), ("GIT-20-1a2b3c", (20, 0)), ("20", (20, 0)), ("", None), ("SVN", None),
    ],
)  # fmt: skip
def test_versions_are_read_as_asterisk_writes_them(version: str, number: tuple[int, int] | None) -> None:
    assert release(version) == number
