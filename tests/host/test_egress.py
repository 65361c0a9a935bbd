"""Nothing leaves the server room (B-04): the service starts, is asked and is examined where a way out exists.

The way out is one end of a cable, with routes for everything; at the other end somebody listens to every packet.
Neither Asterisk nor Internet is needed. scripts/test-real runs it in a namespace of its own.
"""

import json
import pwd
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cti.doctor import processes
from cti.settings import Settings, load

HERE, THERE = "203.0.113.2", "203.0.113.1"
SILENCE = 1.0  # seconds after the last act: a look-up of a name is asked again after five, but is sent at once


def run(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@dataclass
class Wire:
    """The far end. `heard` is what came of Internet packets, as `address port`."""

    socket: socket.socket
    heard: list[str] = field(default_factory=list)

    def listen(self, seconds: float) -> list[str]:
        """What was sent until now, and for `seconds` more. ICMPv6 is the kernel's own: neighbours and routers."""
        until = time.monotonic() + seconds
        while (left := until - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                packet, (_, kind, *_rest) = self.socket.recvfrom(2048)
            except TimeoutError:
                break
            if kind == 0x0800 and packet[14 + 9] in (1, 6, 17):
                self.heard.append(f"{socket.inet_ntoa(packet[30:34])} protocol {packet[23]}")
            elif kind == 0x86DD and packet[14 + 6] in (6, 17):
                self.heard.append(f"{socket.inet_ntop(socket.AF_INET6, packet[38:54])} protocol {packet[20]}")
            elif kind == 0x0806:
                self.heard.append("who has an address there?")
        return self.heard


@pytest.fixture
def wire() -> Iterator[Wire]:
    """A cable, and the neighbour's address known: whatever is sent there goes out at once."""
    run("ip", "link", "add", "kt-out", "type", "veth", "peer", "name", "kt-far")
    for name in ("kt-out", "kt-far"):
        run("ip", "link", "set", name, "up")
    run("ip", "addr", "add", f"{HERE}/24", "dev", "kt-out")
    far = json.loads(run("ip", "-j", "link", "show", "kt-far"))[0]["address"]
    run("ip", "neigh", "replace", THERE, "lladdr", far, "dev", "kt-out", "nud", "permanent")
    run("ip", "route", "add", "default", "via", THERE, "dev", "kt-out")
    run("ip", "-6", "route", "add", "default", "dev", "kt-out")
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as listening:
        listening.bind(("kt-far", 0))
        yield Wire(listening)
    run("ip", "link", "delete", "kt-out")


@dataclass(frozen=True)
class Site:
    """An installation that runs."""

    config: Path
    settings: Settings

    def kikitori(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "cti.cli", "--config", str(self.config), *arguments]
        return subprocess.run(command, check=False, capture_output=True, text=True, timeout=60)

    def finding(self, check: str) -> dict[str, object]:
        rows = [json.loads(line) for line in self.kikitori("doctor", "--json").stdout.splitlines()]
        return next(row for row in rows if row["check"] == check)


@pytest.fixture
def site(wire: Wire) -> Iterator[Site]:
    """Recorder, gate and desk as three users, without a PBX: the recorder goes on trying to reach it."""
    with tempfile.TemporaryDirectory(prefix="kikitori-egress-", dir="/var/tmp") as folder:
        Path(folder).chmod(0o755)
        house, secret = Path(folder) / "house", Path(folder) / "passphrase"
        secret.write_text("only for this test\n")
        made = [sys.executable, "-m", "cti.cli", "init", str(house), "--work-factor", "10", "--spool-size", "64m"]
        run(*made, "--passphrase-file", str(secret))
        config = house / "kikitori.toml"
        serving = [sys.executable, "-m", "cti.cli", "--config", str(config), "serve", "--json"]
        with subprocess.Popen(serving, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as service:
            try:
                assert service.stdout
                assert json.loads(service.stdout.readline())["ready"]
                yield Site(config, load(config, {}).settings)
            finally:
                service.terminate()
                service.wait(90)
                subprocess.run(["umount", "-l", house / "spool"], check=True)


@pytest.mark.rule("B-04")
def test_nothing_tries_to_leave(site: Site, wire: Wire) -> None:
    assert {"recorder", "gate", "keeper", "desk"} == set(processes.running(site.config).values())
    assert json.loads(site.kikitori("status", "--json").stdout)["pid"]
    for command in (("recordings", "list"), ("verify", "--all"), ("hours", "check"), ("audit", "verify")):
        site.kikitori(*command)
    assert site.finding("egress")["severity"] == "ok"
    assert wire.listen(SILENCE) == []


def as_the_desk(code: str) -> subprocess.Popen[str]:
    """A process that says that it is the desk, run by the desk's user."""
    desk = pwd.getpwnam("kikitori-desk")
    command = [sys.executable, "-c", code, "serve", "--role", "desk"]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, user=desk.pw_uid, group=desk.pw_gid
    )


TCP = f"""
import socket, sys
far = socket.socket()
far.setblocking(False)
far.connect_ex(("{THERE}", 443))
print("sent", flush=True)
sys.stdin.read()
"""
UDP = f"""
import socket, sys
far = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
far.connect(("{THERE}", 53))
far.send(b"?")
print("sent", flush=True)
sys.stdin.read()
"""


@pytest.mark.rule("B-04")
@pytest.mark.parametrize(("code", "port", "protocol"), [(TCP, 443, 6), (UDP, 53, 17)])
def test_a_planted_connection_is_heard_and_named(site: Site, wire: Wire, code: str, port: int, protocol: int) -> None:
    with as_the_desk(code) as planted:
        assert planted.stdout
        assert planted.stdin
        assert planted.stdout.readline() == "sent\n"
        found = site.finding("egress")
        planted.stdin.close()
    assert found["severity"] == "error"
    assert f"desk ({planted.pid}) talks to {THERE} port {port}" in str(found["found"])
    assert set(wire.listen(SILENCE)) == {f"{THERE} protocol {protocol}"}
