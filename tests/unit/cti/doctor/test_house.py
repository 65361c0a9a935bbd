"""Each finding on host and installation with its remedy: one thing is wrong, and that is what is said."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cti.doctor import keeping, outward, running, secrecy
from cti.doctor.finding import Finding, Severity, house_titles, titles
from cti.doctor.machine import MachineSeen, Peer, SealedSeen, SpeedSeen, StockSeen, TargetSeen
from cti.doctor.seen import Unseen
from cti.places import Owned
from policies.outward import Destination
from tests.unit.cti.doctor.good_house import GROUP, HOUSE, MEMORY, NOW, SEEN, SWAPS, WANT, disk, process

ERROR, WARNING, OK = Severity.error, Severity.warning, Severity.ok
NOT_SEEN = Unseen("Permission denied")
SWAP = f"{SWAPS}/dev/sdb2 partition 1 0 -2\n"
ZRAM = f"{SWAPS}/dev/zram0 partition 1 0 100\n"


def judge(seen: MachineSeen) -> list[Finding]:
    def all_of_them() -> Iterator[Finding]:
        yield from secrecy.judge(seen)
        yield from keeping.judge(seen, WANT, GROUP, NOW)
        yield from running.judge(seen, WANT)
        yield outward.judge(seen.outward, WANT.settings.users.desk)

    return list(all_of_them())


def memory(**changes: Any) -> MachineSeen:
    return replace(SEEN, memory=replace(MEMORY, **changes))


def lies(name: str, **changes: Any) -> MachineSeen:
    return replace(SEEN, disks={**SEEN.disks, name: replace(disk(name, 7), **changes)})


def place(name: str, found: Owned | None) -> MachineSeen:
    return replace(SEEN, places={**SEEN.places, HOUSE / name: found})


def runs(role: str, **changes: Any) -> MachineSeen:
    one = replace(process(role, 20), **changes)
    assert not isinstance(SEEN.processes, Unseen)
    return replace(SEEN, processes=(*(each for each in SEEN.processes if each.role != role), one))


def sealed(*, half: bool = False, strange: str | None = None, foreign: tuple[int, ...] = ()) -> MachineSeen:
    return keys(sealed=SealedSeen(half=half, strange=strange, foreign=foreign))


def keys(**changes: Any) -> MachineSeen:
    return replace(SEEN, keys=replace(SEEN.keys, **changes))


def kernel(**changes: Any) -> MachineSeen:
    assert not isinstance(SEEN.kernel, Unseen)
    return replace(SEEN, kernel=replace(SEEN.kernel, **changes))


def clock(**changes: Any) -> MachineSeen:
    assert not isinstance(SEEN.clock, Unseen)
    return replace(SEEN, clock=replace(SEEN.clock, **changes))


def told(one: Destination, mode: int | None = None, **wrong: str | Unseen) -> MachineSeen:
    found = Owned("kikitori-desk", "x", mode or (0o2750 if one.folder else 0o400))
    return replace(SEEN, outward=(TargetSeen(destination=one, wrong=wrong, found=found),))


PORTAL = Destination(name="portal", url="https://192.0.2.20/", secret_file="/s", ca="/ca")
FOLDER = Destination(name="exchange", kind="folder", folder="/e", content="full")
IDS = FOLDER.model_copy(update={"content": "ids"})
OURS = Owned("kikitori-recorder", "kikitori-vault", 0o2755)
STRANGER = Peer(role="desk", pid=12, address="203.0.113.9", port=443)

CASES: list[tuple[MachineSeen, str, Severity, str, str]] = [
    (memory(swaps=SWAP), "swap", WARNING, "/dev/sdb2", "swapoff -a"),
    (memory(swaps=SWAP, spool_noswap=False), "swap", ERROR, "/dev/sdb2, not encrypted", "/etc/crypttab"),
    (runs("recorder", core=None), "core", ERROR, "recorder (20)", "LimitCORE=0"),
    (memory(suid_dumpable=2), "core", ERROR, "fs.suid_dumpable = 2", "sysctl -w"),
    (memory(core_pattern="|/usr/lib/systemd/systemd-coredump %P"), "core", WARNING, "systemd-coredump", "|/bin/false"),
    (replace(SEEN, asterisk_core=None), "core", ERROR, "Asterisk may leave a core file", "kikitori deploy render"),
    (memory(hibernates=True, resume="8:2"), "sleep", ERROR, "hibernate to 8:2", "systemctl mask hibernate.target"),
    (memory(hibernates=True, swaps=SWAP), "sleep", ERROR, "hibernate to /dev/sdb2", "systemctl mask"),
    (memory(crash_kernel=True), "crash", ERROR, "stands by", "disable --now kdump-tools"),
    (lies("vault", kind="btrfs"), "filesystems", WARNING, "vault: btrfs", "ext4"),
    (lies("mirror", kind="zfs"), "filesystems", WARNING, "mirror: zfs", "ext4"),
    (lies("vault", options=("rw", "data=journal")), "filesystems", WARNING, "vault: data=journal", "data=ordered"),
    (lies("log", kind="nfs4"), "filesystems", ERROR, "log: nfs4", "mount an ext4"),
    (lies("keys", kind="overlay"), "filesystems", ERROR, "keys: overlay", "mount an ext4"),
    (lies("vault", kind="tmpfs"), "filesystems", ERROR, "vault: tmpfs", "mount an ext4"),
    (lies("mirror", device=1), "mirror", WARNING, "one file system", "[paths] mirror"),
    (
        place("vault", OURS), "modes", ERROR,
        "/srv/kikitori/vault: 2755 kikitori-recorder:kikitori-vault (should be 2750 kikitori-recorder:kikitori-vault)",
        "chown kikitori-recorder:kikitori-vault /srv/kikitori/vault && chmod 2750 /srv/kikitori/vault",
    ),
    (place("keys/recorder.key", Owned("root", "root", 0o644)), "modes", ERROR, "recorder.key", "chmod 0400"),
    (place("policies", Owned("kikitori-desk", "root", 0o755)), "modes", ERROR, "policies", "chown root:root"),
    (place("gate", None), "modes", ERROR, "/srv/kikitori/gate is not there", "backup"),
    (replace(SEEN, speed=SpeedSeen(median=0.2, longest=0.4)), "disk-speed", WARNING, "enough for 10 calls", "SSD"),
    (replace(SEEN, speed=SpeedSeen(median=0.5, longest=0.9)), "disk-speed", ERROR, "enough for 4 calls", "SSD"),
    (lies("vault", free=140 * 10**9), "days", WARNING, "140 days at 1000.0 MB a day (measured over 30", "larger disk"),
    (lies("vault", free=9 * 10**9), "days", ERROR, "9 days at 1000.0 MB", "larger disk"),
    (lies("mirror", free=89 * 10**9), "second-days", WARNING, "89 days at 1000.0 MB", "larger disk"),
    (lies("mirror", free=9 * 10**9), "second-days", ERROR, "9 days at 1000.0 MB", "larger disk"),
    (
        replace(lies("vault", free=300 * 10**9), stock=StockSeen(size=10**6, days=2.0)), "days", WARNING,
        "140 days at 2141.0 MB a day (no week of recordings yet: reckoned with 7 telephones that talk 8 hours a day)",
        "[upkeep]",
    ),
    (keys(since=NOW - timedelta(days=32)), "keys", WARNING, "epoch 1: 32 days", "kikitori vault rotate"),
    (sealed(half=True), "sealed", WARNING, "begun and not ended", "goes on with it"),
    (sealed(strange="keys: another list"), "sealed", ERROR, "another list", "stop recording"),
    (sealed(half=True, foreign=(3, 7)), "sealed", ERROR, "slots 3, 7", "stop recording"),
    (
        keys(signers={"recorder.key": NOW - timedelta(days=1096), "log.key": NOW}), "keys", WARNING,
        "recorder.key: 1096 days", "cannot be changed yet",
    ),
    (keys(certificate=NOW + timedelta(days=29)), "certificate", WARNING, "valid until", "ami_tls_ca"),
    (keys(certificate=NOW), "certificate", ERROR, "valid until", "ami_tls_ca"),
    (keys(api=NOW + timedelta(days=29)), "api-certificate", WARNING, "valid until", "kikitori api certificate"),
    (keys(api=NOW), "api-certificate", ERROR, "valid until", "kikitori api certificate"),
    (clock(synchronised=False), "time", ERROR, "follows no other (zone Asia/Tokyo)", "chrony"),
    (clock(error=0.6), "time", WARNING, "at most 600 ms wrong", "chrony"),
    (runs("gate", files=1024), "limits", ERROR, "gate: 1024 open files (needs 4096)", "LimitNOFILE=65536"),
    (runs("recorder", files=311), "limits", ERROR, "recorder: 311 open files (needs 312)", "LimitNOFILE=65536"),
    (
        replace(runs("desk", memlock=8 << 20), memory=replace(MEMORY, swaps=SWAP)), "limits", ERROR,
        "desk: memory cannot be locked", "LimitMEMLOCK=infinity",
    ),
    (kernel(backlog=128), "kernel-limits", ERROR, "net.core.somaxconn = 128 (needs 1024)", "sysctl -w net.core"),
    (kernel(instances=4), "kernel-limits", ERROR, "max_user_instances = 4", "max_user_instances=8"),
    (replace(SEEN, peers=(STRANGER,)), "egress", ERROR, "desk (12) talks to 203.0.113.9 port 443", "deploy render"),
    (runs("gate", denies=""), "confined", WARNING, "gate (20)", "kikitori deploy render"),
    (runs("gate", denies="0.0.0.0/0"), "confined", WARNING, "gate (20)", "kikitori deploy render"),
    (told(PORTAL, secret_file="no such file"), "outward", ERROR, "portal: secret_file: no such file", "chmod 0400 /s"),
    (told(PORTAL, ca="no certificate"), "outward", ERROR, "portal: ca: no certificate", "/ca: the certificate"),
    (told(PORTAL, mode=0o440), "outward", ERROR, "portal: secret_file: 0440 kikitori-desk:x: others may read", "chown"),
    (told(FOLDER, folder="no such folder"), "outward", ERROR, "exchange: folder: no such folder", "install -d -o kiki"),
    (told(FOLDER, mode=0o2755), "outward", ERROR, "exchange: folder: 2755 kikitori-desk:x: open", "-m 2750 /e"),
    (told(IDS, mode=0o2777), "outward", ERROR, "exchange: folder: 2777 kikitori-desk:x: open", "-m 2750 /e"),
    (replace(SEEN, outward=Unseen("url: is no address")), "outward", ERROR, "is no address", "mend that file"),
]  # fmt: skip


def test_where_nothing_is_wrong_everything_is_well() -> None:
    findings = judge(SEEN)
    assert [finding for finding in findings if finding.severity is not OK] == []
    assert [finding.check for finding in findings] == list(house_titles())
    assert all(finding.found and finding.made and not finding.remedy for finding in findings)
    assert house_titles().keys().isdisjoint(titles())


@pytest.mark.parametrize(("seen", "check", "severity", "found", "remedy"), CASES)
def test_one_thing_is_wrong(seen: MachineSeen, check: str, severity: Severity, found: str, remedy: str) -> None:
    findings = judge(seen)
    [said] = [finding for finding in findings if finding.check == check]
    assert said.severity is severity
    assert found in said.found
    assert said.why
    assert remedy in said.remedy
    assert [finding.check for finding in findings] == list(house_titles()), "each check says something, once"


def test_every_check_can_fail_here() -> None:
    assert {check for _, check, *_ in CASES} == house_titles().keys()


@pytest.mark.parametrize(
    "seen",
    [
        memory(swaps=ZRAM),
        memory(swaps=SWAP, encrypted=frozenset({"/dev/sdb2"}), spool_noswap=False),
        memory(core_pattern="|/bin/false"),
        replace(memory(core_pattern="|/bin/false"), asterisk_core=None),
        memory(hibernates=True),
        memory(hibernates=True, resume="8:2", masked=True),
        lies("vault", kind="xfs"),
        lies("desk", kind="btrfs"),
        lies("vault", free=155 * 10**9),
        keys(certificate=None),
        keys(api=None),
        keys(since=NOW - timedelta(days=31)),
        runs("desk", memlock=8 << 20),
        told(PORTAL),
        told(FOLDER),
        told(IDS, 0o2755),
    ],
)
def test_what_is_well_all_the_same(seen: MachineSeen) -> None:
    assert [finding for finding in judge(seen) if finding.severity is not OK] == []


@pytest.mark.parametrize(
    ("seen", "checks"),
    [
        (replace(SEEN, memory=NOT_SEEN), {"swap", "core", "sleep", "crash"}),
        (replace(SEEN, asterisk_core=NOT_SEEN), {"core"}),
        (replace(SEEN, disks={**SEEN.disks, "vault": NOT_SEEN}), {"filesystems", "mirror", "days"}),
        (replace(SEEN, places={**SEEN.places, HOUSE / "log": NOT_SEEN}), {"modes"}),
        (replace(SEEN, speed=NOT_SEEN), {"disk-speed"}),
        (replace(SEEN, stock=NOT_SEEN), {"days", "second-days"}),
        (replace(SEEN, disks={**SEEN.disks, "mirror": NOT_SEEN}), {"filesystems", "mirror", "second-days"}),
        (keys(since=NOT_SEEN), {"keys"}),
        (keys(certificate=NOT_SEEN), {"certificate"}),
        (keys(api=NOT_SEEN), {"api-certificate"}),
        (replace(SEEN, clock=NOT_SEEN), {"time"}),
        (replace(SEEN, kernel=NOT_SEEN), {"kernel-limits"}),
        (replace(SEEN, peers=NOT_SEEN), {"egress"}),
        (replace(SEEN, processes=NOT_SEEN), {"limits", "confined"}),
        (replace(SEEN, processes=()), {"limits", "egress", "confined"}),
        (told(PORTAL, secret_file=NOT_SEEN), {"outward"}),
    ],
)
def test_what_cannot_be_seen_is_not_taken_for_well(seen: MachineSeen, checks: set[str]) -> None:
    findings = [finding for finding in judge(seen) if not finding.made]
    assert {finding.check for finding in findings} == checks
    assert all(finding.severity is WARNING and finding.remedy for finding in findings)
