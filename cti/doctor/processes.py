"""Looking at our own processes: which run, what they may, whom they talk to. Changes nothing."""

import ipaddress
import socket
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path

from cti.deploy.peers import Network, networks
from cti.doctor.machine import Peer, ProcessLimits
from cti.doctor.seen import Unseen
from cti.explain import explain
from cti.i18n import _
from cti.settings import Settings
from cti.users import ROLES

PROC = Path("/proc")
_LISTENS, _UNCONNECTED = "0A", "07"  # states of /proc/net/tcp; UDP's 07 is a socket that was never connected


def running(config: Path | None, proc: Path = PROC) -> dict[int, str]:
    """The processes of `kikitori serve`, pid -> role. `config`: the settings file that they must have been given."""
    found: dict[int, str] = {}
    for folder in proc.iterdir():
        if not folder.name.isdecimal():
            continue
        try:
            words = (folder / "cmdline").read_bytes().decode(errors="replace").split("\0")
        except OSError:  # it has ended meanwhile
            continue
        if (role := _role(words)) and _with(words, config):
            found[int(folder.name)] = role
    return dict(sorted(found.items()))


def _role(words: list[str]) -> str:
    for number, word in enumerate(words[:-2]):
        if word == "serve" and words[number + 1] == "--role" and words[number + 2] in ROLES:
            return words[number + 2]
    return ""


def _with(words: list[str], config: Path | None) -> bool:
    if config is None or "--config" not in words:
        return True
    return Path(words[words.index("--config") + 1]).resolve() == config.resolve()


def limits(pids: Mapping[int, str], proc: Path = PROC) -> tuple[ProcessLimits, ...] | Unseen:
    """What each may."""
    try:
        return tuple(_limits(pid, role, proc) for pid, role in pids.items())
    except OSError as error:
        return Unseen(explain(error), _("run this command as root"))


def _limits(pid: int, role: str, proc: Path) -> ProcessLimits:
    rows = (proc / str(pid) / "limits").read_text().splitlines()[1:]
    soft = {row[:25].strip(): row[25:].split()[0] for row in rows if row[25:].split()}
    unit = _unit((proc / str(pid) / "cgroup").read_text())
    return ProcessLimits(
        role=role,
        pid=pid,
        files=_number(soft["Max open files"]),
        memlock=_number(soft["Max locked memory"]),
        core=_number(soft["Max core file size"]),
        unit=unit,
        denies=_denies(unit) if unit else "",
    )


def core_of(pid: int, proc: Path = PROC) -> int | None:
    """The size up to which a process leaves a core file, None for any. Raises OSError."""
    return _limits(pid, "", proc).core


def _number(text: str) -> int | None:
    return None if text == "unlimited" else int(text)


def _unit(cgroups: str) -> str:
    """`0::/system.slice/kikitori-gate.service` -> its name."""
    paths = [line.rpartition(":")[2] for line in cgroups.splitlines() if line.split(":")[1] in ("", "name=systemd")]
    names = [part for path in paths for part in path.split("/") if part.endswith(".service")]
    return names[-1] if names else ""


def _denies(unit: str) -> str:
    """Which addresses systemd keeps the unit from; "" where it does not say. A cgroup's filter itself is not shown."""
    try:
        told = subprocess.run(
            ["systemctl", "show", unit, "--property", "IPAddressDeny", "--value"],
            check=False, capture_output=True, text=True, timeout=5,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return told.stdout.strip() if told.returncode == 0 else ""


def foreign(settings: Settings, pids: Mapping[int, str], proc: Path = PROC) -> tuple[Peer, ...] | Unseen:
    """The far ends, of all connections, that no setting names. Who asks the gate has come by himself."""
    known = networks(settings, resolve)
    strangers = []
    try:
        for pid, role in pids.items():
            own = _sockets(pid, proc)
            for address, port in _ends(pid, own, proc):
                if not any(address in network for network in known):
                    strangers.append(Peer(role=role, pid=pid, address=str(address), port=port))
    except OSError as error:
        return Unseen(explain(error), _("run this command as root"))
    return tuple(strangers)


def resolve(name: str) -> list[Network]:
    """The addresses of a host that settings name."""
    try:
        found = socket.getaddrinfo(name, None, type=socket.SOCK_STREAM)
    except OSError:
        return []
    return [ipaddress.ip_network(str(address[0])) for *_, address in found]


def _sockets(pid: int, proc: Path) -> frozenset[str]:
    found = set()
    for link in (proc / str(pid) / "fd").iterdir():
        try:
            name = str(link.readlink())
        except FileNotFoundError:  # closed meanwhile
            continue
        if name.startswith("socket:["):
            found.add(name[8:-1])
    return frozenset(found)


def _ends(
    pid: int, own: frozenset[str], proc: Path
) -> Iterator[tuple[ipaddress.IPv4Address | ipaddress.IPv6Address, int]]:
    for name in ("tcp", "tcp6", "udp", "udp6"):
        try:
            rows = [line.split() for line in (proc / str(pid) / "net" / name).read_text().splitlines()[1:]]
        except FileNotFoundError:  # a kernel without IPv6
            continue
        listening = {row[1].partition(":")[2] for row in rows if row[3] == _LISTENS}
        for row in rows:
            local, remote, state, inode = row[1], row[2], row[3], row[9]
            if inode not in own or state == _LISTENS or (state == _UNCONNECTED and name.startswith("udp")):
                continue
            if local.partition(":")[2] in listening:
                continue
            yield _address(remote), int(remote.partition(":")[2], 16)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """`0100007F:13AE`: words of four bytes, each as this machine keeps them."""
    words = bytes.fromhex(text.partition(":")[0])
    swapped = b"".join(words[start : start + 4][::-1] for start in range(0, len(words), 4))
    address = ipaddress.ip_address(swapped)
    return getattr(address, "ipv4_mapped", None) or address
