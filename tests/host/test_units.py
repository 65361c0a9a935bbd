"""The rendered units' own words, without systemd: each process as its user, without a right, everything else read-only.

systemd itself is not there in a namespace. What it would do with User, ReadWritePaths, InaccessiblePaths,
NoNewPrivileges, CapabilityBoundingSet and MemoryDenyWriteExecute is done here by mounts and prctl(2).
"""

import contextlib
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from cti.deploy.units import UNITS

ENTER = """
import ctypes, os, sys
if sys.argv[1] == "yes":
    ctypes.CDLL(None).prctl(65, 1, 0, 0, 0)  # PR_SET_MDWE, Linux 6.3: goes on over exec
os.execv(sys.argv[2], sys.argv[2:])
"""


@dataclass(frozen=True)
class House:
    """An installation and its rendered units."""

    config: Path
    units: Path

    def kikitori(self, *arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cti.cli", "--config", str(self.config), *map(str, arguments)]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def unit(self, role: str) -> dict[str, str]:
        """What [Service] says; of a key that comes twice, the last."""
        lines = (self.units / f"kikitori-{role}.service").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    with tempfile.TemporaryDirectory(prefix="kikitori-units-", dir="/var/tmp") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "passphrase").write_text("only for this test\n")
        made = House(root / "house/kikitori.toml", root / "made" / UNITS)
        init = ["init", root / "house", "--work-factor", 10, "--spool-size", "64m"]
        command = [sys.executable, "-m", "cti.cli", *map(str, init), "--passphrase-file", str(root / "passphrase")]
        subprocess.run(command, check=True, capture_output=True)
        assert made.kikitori("deploy", "render", "--out", root / "made").returncode == 0
        try:
            yield made
        finally:
            subprocess.run(["umount", "-l", root / "house/spool"], check=True)


def confined(unit: dict[str, str]) -> list[str]:
    """The command of a unit, in what its words make of the host."""
    writes = [word.removeprefix("-") for word in unit["ReadWritePaths"].split()]
    hidden = [word.removeprefix("-") for word in unit["InaccessiblePaths"].split()]
    steps = [
        *(f"mount --bind {shlex.quote(path)} {shlex.quote(path)}" for path in writes),
        "mount -t tmpfs tmpfs /tmp",
        *(f"mount -t tmpfs -o mode=000 tmpfs {shlex.quote(path)}" for path in hidden),
        "mount -o remount,bind,ro /",
    ]
    groups = unit["SupplementaryGroups"].replace(" ", ",")
    rights = ["setpriv", "--reuid", unit["User"], "--regid", unit["Group"], "--groups", groups, "--no-new-privs"]
    denied = unit.get("MemoryDenyWriteExecute", "no")
    inner = [*rights, "--bounding-set=-all", "--inh-caps=-all", sys.executable, "-c", ENTER, denied]
    script = " && ".join([*steps, f"exec {shlex.join([*inner, *shlex.split(unit['ExecStart'])])}"])
    return ["unshare", "--mount", "--propagation", "private", "sh", "-c", script]


@contextlib.contextmanager
def started(house: House, role: str) -> Iterator[subprocess.Popen[bytes]]:
    """The process of `role`, when it has said that it is ready."""
    address = f"@kikitori-test-{role}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind(address.replace("@", "\0"))
        heard.settimeout(30)
        environ = os.environ | {"NOTIFY_SOCKET": address}
        with subprocess.Popen(confined(house.unit(role)), env=environ, stderr=subprocess.PIPE) as process:
            try:
                while b"READY=1" not in heard.recv(200):
                    assert process.poll() is None
                yield process
            finally:
                process.send_signal(signal.SIGTERM)
                assert process.stderr
                said = process.stderr.read().decode()
                assert process.wait(30) == 0, said
                assert "Permission denied" not in said
                assert "Read-only file system" not in said


@pytest.mark.rule("B-12")
def test_each_process_lives_with_what_its_unit_leaves_it(house: House) -> None:
    with started(house, "gate"), started(house, "recorder"), started(house, "desk"):
        status = json.loads(house.kikitori("status", "--json").stdout)
        assert status["trouble"] is None
        rows = {row["check"]: row for row in map(json.loads, house.kikitori("doctor", "--json").stdout.splitlines())}
    for check in ("modes", "core", "limits", "egress", "gate", "spool-ram", "spool-modes"):
        assert rows[check]["severity"] == "ok" or not rows[check]["made"], rows[check]
    assert rows["gate"]["made"]
    assert rows["limits"]["made"]
    assert rows["confined"]["severity"] == "warning", "no systemd filters here, and that is said"


def test_without_what_the_unit_gives_it_the_recorder_does_not_start(house: House) -> None:
    unit = house.unit("recorder")
    spool = str(house.config.parent / "spool")
    closed = " ".join(word for word in unit["ReadWritePaths"].split() if not word.endswith("/run"))
    done = subprocess.run(
        confined({**unit, "ReadWritePaths": closed}), check=False, capture_output=True, text=True, timeout=30
    )
    assert spool in closed
    assert done.returncode != 0
    assert "Read-only file system" in done.stderr
