"""Looking at kernel, processes and disks: what lies in /proc and /sys is told as it is."""

import ipaddress
import os
import socket
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from cti import places
from cti.deploy.peers import LOOPBACK, Network, networks
from cti.doctor import kernel, processes, storage
from cti.doctor.machine import ClockSeen, DiskSeen, KernelLimits, MemorySeen, Peer, SpeedSeen, StockSeen
from cti.doctor.seen import Unseen
from cti.settings import Settings, at
from recorder.vault import keys
from tests.unit.cti.ami.test_tls import NOW as CERTIFIED
from tests.unit.cti.ami.test_tls import Ca

MOUNTS = "22 1 0:21 / / rw - ext4 /dev/sda rw\n30 22 0:40 / {spool} rw - tmpfs x rw,noswap\n"


def ours(folder: Path, **paths: Path) -> Settings:
    found = at(Settings(), folder)
    users = found.users.model_copy(update={"recorder": "root"})
    return found.model_copy(update={"users": users, "paths": found.paths.model_copy(update=paths)})


def lay(folder: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def test_what_could_bring_memory_to_a_disk(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    proc = lay(
        tmp_path / "proc",
        {
            "swaps": "Filename Type\n/dev/dm-0 partition 1 0 -2\n/dev/sdb2 partition 1 0 -3\n/dev/zram0 p 1 0 5\n",
            "self/mountinfo": MOUNTS.format(spool=tmp_path / "spool"),
            "sys/kernel/core_pattern": "|/usr/bin/tool %p\n",
            "sys/fs/suid_dumpable": "2\n",
            "cmdline": "root=/dev/sda1 quiet\n",
        },
    )
    sys_folder = lay(
        tmp_path / "sys",
        {
            "class/block/dm-0/dm/uuid": "CRYPT-PLAIN-swap\n",
            "power/state": "freeze mem disk\n",
            "power/resume": "8:2\n",
            "kernel/kexec_crash_loaded": "1\n",
        },
    )
    etc = tmp_path / "etc"
    seen = kernel.memory(ours(tmp_path), proc, sys_folder, etc)
    assert isinstance(seen, MemorySeen)
    assert (seen.encrypted, seen.spool_noswap) == (frozenset({"/dev/dm-0"}), True)
    assert (seen.core_pattern, seen.suid_dumpable) == ("|/usr/bin/tool %p", 2)
    assert (seen.hibernates, seen.resume, seen.masked, seen.crash_kernel) == (True, "8:2", False, True)
    lay(proc, {"cmdline": "quiet resume=UUID=1\n", "self/mountinfo": MOUNTS.format(spool="/elsewhere")})
    (etc / "systemd/system").mkdir(parents=True)
    (etc / "systemd/system/hibernate.target").symlink_to("/dev/null")
    seen = kernel.memory(ours(tmp_path), proc, tmp_path / "no-sys", etc)
    assert isinstance(seen, MemorySeen)
    assert (seen.spool_noswap, seen.hibernates, seen.resume, seen.masked) == (False, False, "UUID=1", True)
    (proc / "swaps").unlink()
    assert isinstance(kernel.memory(ours(tmp_path), proc, sys_folder, etc), Unseen)


def test_this_kernels_clock_and_limits(tmp_path: Path) -> None:
    (tmp_path / "localtime").symlink_to("/usr/share/zoneinfo/Asia/Tokyo")
    seen = kernel.clock(tmp_path)
    assert isinstance(seen, ClockSeen)
    assert seen.zone == "Asia/Tokyo"
    assert 0 < seen.error <= 16, "the kernel counts to 16 s, and less where somebody sets its clock"
    found = kernel.limits()
    assert isinstance(found, KernelLimits)
    assert found.backlog == int(Path("/proc/sys/net/core/somaxconn").read_text())
    assert isinstance(kernel.limits(tmp_path), Unseen)


def test_our_processes_are_known_by_what_they_were_started_with(tmp_path: Path) -> None:
    config = tmp_path / "kikitori.toml"
    begin = f"python\0-m\0cti.cli\0--config\0{config}\0serve\0"
    lay(
        tmp_path,
        {
            "7/cmdline": f"{begin}--role\0gate\0", "8/cmdline": f"{begin}--role\0recorder\0", "9/cmdline": begin,
            "10/cmdline": "vi\0serve\0--role\0", "11/cmdline": "x\0--config\0/other.toml\0serve\0--role\0desk\0",
            "self/cmdline": f"{begin}--role\0desk\0",
        },
    )  # fmt: skip
    assert processes.running(config, tmp_path) == {7: "gate", 8: "recorder"}
    assert processes.running(None, tmp_path) == {7: "gate", 8: "recorder", 11: "desk"}


def test_what_a_process_may(tmp_path: Path) -> None:
    cgroups = "12:cpu:/x\n1:name=systemd:/system.slice/kikitori-gate.service\n0::/\n"
    lay(tmp_path, {"7/limits": LIMITS, "7/cgroup": cgroups})
    seen = processes.limits({7: "gate"}, tmp_path)
    assert not isinstance(seen, Unseen)
    [one] = seen
    assert (one.role, one.pid, one.unit) == ("gate", 7, "kikitori-gate.service")
    assert (one.files, one.memlock, one.core) == (1024, None, 0)
    assert isinstance(processes.limits({8: "gate"}, tmp_path), Unseen), "it has ended"


LIMITS = """Limit                     Soft Limit           Hard Limit           Units
Max core file size        0                    unlimited            bytes
Max open files            1024                 524288               files
Max locked memory         unlimited            unlimited            bytes
Max nice priority         0                    0
"""

PLANTED = """
import socket, sys
asked = socket.socket()
asked.bind(("127.0.0.1", 0))
asked.listen()
far = socket.create_connection((sys.argv[1], int(sys.argv[2])))
print(asked.getsockname()[1], flush=True)
here, _ = asked.accept()
sys.stdin.read()
"""


@pytest.mark.parametrize("named", [True, False])
def test_a_connection_that_no_setting_names(monkeypatch: pytest.MonkeyPatch, named: bool) -> None:
    """The far end is this host, so the test forgets that its addresses are known."""
    if not named:
        monkeypatch.setattr("cti.deploy.peers.LOOPBACK", ())
    settings = Settings()
    settings = settings.model_copy(update={"pbx": settings.pbx.model_copy(update={"host": "192.0.2.7"})})
    with socket.create_server(("127.0.0.1", 0)) as far:
        port = far.getsockname()[1]
        command = [sys.executable, "-c", PLANTED, "127.0.0.1", str(port)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as planted:
            assert planted.stdout
            asked = int(planted.stdout.readline())
            # Whoever asks the process has come by himself.
            with socket.create_connection(("127.0.0.1", asked)):
                seen = processes.foreign(settings, {planted.pid: "desk"})
            planted.communicate()
    stranger = Peer(role="desk", pid=planted.pid, address="127.0.0.1", port=port)
    assert seen == (() if named else (stranger,))


def test_addresses_are_read_as_the_kernel_writes_them() -> None:
    assert str(processes._address("0100007F:13AE")) == "127.0.0.1"
    assert str(processes._address("B80D0120000000000000000001000000:01BB")) == "2001:db8::1"
    assert str(processes._address("0000000000000000FFFF0000097100CB:01BB")) == "203.0.113.9"


def test_whom_the_settings_name() -> None:
    settings = Settings()
    pbx = settings.pbx.model_copy(update={"host": "192.0.2.7"})
    database = settings.database.model_copy(update={"url": "postgresql://kikitori@db.example/kikitori"})
    asked = []

    def resolve(name: str) -> list[Network]:
        asked.append(name)
        return [ipaddress.ip_network("198.51.100.5")]

    known = networks(settings.model_copy(update={"pbx": pbx, "database": database}), resolve)
    assert asked == ["db.example"]
    assert [str(network) for network in known[len(LOOPBACK) :]] == ["192.0.2.7/32", "192.0.2.7/32", "198.51.100.5/32"]
    folder = settings.database.model_copy(update={"url": "postgresql://kikitori@/kikitori?host=/run/postgresql"})
    assert (
        networks(settings.model_copy(update={"database": folder}), resolve)[len(LOOPBACK) :]
        == (ipaddress.ip_network("127.0.0.1"),) * 2
    )
    assert asked == ["db.example"], "a folder is no host"


def test_where_things_lie(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    found = storage.disks(
        ours(tmp_path), f"22 1 0:21 / / rw - ext4 a rw\n23 1 0:2 / {tmp_path}/vault rw - btrfs b rw,x\n"
    )
    vault = found["vault"]
    assert isinstance(vault, DiskSeen)
    assert (vault.kind, vault.options, vault.device) == ("btrfs", ("rw", "x"), tmp_path.stat().st_dev)
    assert 0 < vault.free <= vault.size
    assert isinstance(found["mirror"], Unseen)


def test_the_disk_is_measured_and_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "vault").mkdir()
    synced = []
    monkeypatch.setattr(storage.os, "fdatasync", synced.append)
    seen = storage.speed(ours(tmp_path))
    assert isinstance(seen, SpeedSeen)
    assert 0 < seen.median <= seen.longest
    assert len(synced) == storage.SYNCS
    assert list((tmp_path / "vault").iterdir()) == []
    assert isinstance(storage.speed(ours(tmp_path, vault=tmp_path / "none")), Unseen)


def test_what_the_vault_took_in(tmp_path: Path) -> None:
    now = datetime(2026, 11, 27, tzinfo=UTC)
    for name, days, size in (("a.001.agebody", 3, 1000), ("b.001.agebody", 10, 500), ("c.001.agebody", 31, 7)):
        path = lay(tmp_path, {f"vault/segments/3f/{name}": "x" * size}) / "vault/segments/3f" / name
        then = (now - timedelta(days=days)).timestamp()
        os.utime(path, (then, then))
    lay(tmp_path, {"vault/segments/3f/a.001.manifest": "{}"})
    assert storage.stock(ours(tmp_path), now) == StockSeen(size=1500, days=10.0)
    assert isinstance(storage.stock(ours(tmp_path / "none"), now), Unseen)


def test_whose_things_are(tmp_path: Path) -> None:
    settings = ours(tmp_path)
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault").chmod(0o2750)
    seen = storage.owners(settings)
    assert seen.keys() == places.wanted(settings, "", []).keys()
    found = seen[tmp_path / "vault"]
    assert isinstance(found, places.Owned)
    assert (found.user, found.mode) == (tmp_path.owner(), 0o2750)
    assert seen[tmp_path / "log"] is None


def test_how_old_keys_are(tmp_path: Path) -> None:
    begun = datetime(2026, 11, 1, 9, tzinfo=UTC)
    (tmp_path / "escrow").mkdir()
    keys.create(
        tmp_path / "keys", tmp_path / "escrow", passphrase="x" * 12, origin="o", epoch_start=begun, work_factor=10
    )
    os.utime(tmp_path / "keys/log.pub", (begun.timestamp(), begun.timestamp()))
    settings = ours(tmp_path)
    seen = storage.keys(settings)
    assert (seen.epoch, seen.since, seen.certificate) == (1, begun, None)
    assert seen.signers["log.key"] == begun
    authority = Ca(tmp_path, "ca")
    pbx = settings.pbx.model_copy(update={"ami_tls_ca": authority.file})
    told = storage.keys(settings.model_copy(update={"pbx": pbx})).certificate
    assert isinstance(told, datetime)
    assert told == (CERTIFIED + timedelta(days=1)).replace(microsecond=0)
    authority.file.write_text("no certificate")
    (tmp_path / "keys/recipients.note").unlink()
    seen = storage.keys(settings.model_copy(update={"pbx": pbx}))
    assert isinstance(seen.certificate, Unseen)
    assert isinstance(seen.since, Unseen)
