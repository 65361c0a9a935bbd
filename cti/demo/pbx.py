"""A real Asterisk for demo and tests: the host's own, or the one in the root file system that `scripts/asterisk` makes.

It runs as an unprivileged user with umask 0007. To be called by root inside a private mount, process and network
namespace (`unshare -m -p -n --fork --mount-proc`): what is mounted here ends with that namespace.
"""

import grp
import importlib.util
import os
import re
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cti import users
from cti.pbxconfig import MODULES, Decided, Site, render
from cti.settings import Settings

OLDEST: Final = 18
DEFAULT_ROOT: Final = Path("/var/cache/kikitori/asterisk-root")
_PATH = "/usr/sbin:/usr/bin:/sbin:/bin"
_NO_CARD = "No ethernet interface found for seeding global EID. You will have to set it manually.\n"
_POLL = 0.02
_DEVICES = ("null", "zero", "random", "urandom")


# A PBX has a processor to itself; its packets are not late because of what else runs in the test.
PROMPTLY = ("nice", "-n", "-15")


class PbxError(Exception):
    """Asterisk does not run as it should."""

    code = "pbx"


@dataclass(frozen=True, slots=True, kw_only=True)
class Users:
    """Numeric ids: `asterisk` the user Asterisk runs as, `group` its own group, `spool` the group of the spool."""

    asterisk: int
    group: int
    spool: int


def ensure_users() -> Users:
    """The system users and groups of Kikitori, made where they are missing (root)."""
    users.ensure(Settings().users)
    asterisk = users.identity(Settings().users.asterisk)
    return Users(asterisk=asterisk.uid, group=asterisk.gid, spool=grp.getgrnam(users.SPOOL).gr_gid)


def mount_spool(path: Path, users: Users, *, size: str = "64m") -> None:
    """A tmpfs at `path`, setgid to the spool's group: what Asterisk writes there, the recorder may punch and unlink."""
    path.mkdir(parents=True, exist_ok=True)
    _run("mount", "-t", "tmpfs", "-o", f"size={size},mode=2770,uid=0,gid={users.spool},nosuid,nodev", "kikitori", path)


def find_root() -> Path | None:
    """The root file system to run Asterisk in; None: the host's own. Raises PbxError where there is neither."""
    if _host_version() >= OLDEST:
        return None
    root = Path(os.environ.get("KIKITORI_ASTERISK_ROOT", DEFAULT_ROOT))
    if not (root / "usr/sbin/asterisk").exists():
        raise PbxError(f"no Asterisk on this host and none in {root}: run scripts/asterisk")
    return root


def absent_modules(root: Path | None) -> frozenset[str]:
    """Modules of ours that this Asterisk does not come with (for `Site.absent`)."""
    base = root or Path("/")
    folders = [folder for depth in ("lib", "lib64", "lib/*") for folder in base.glob(f"usr/{depth}/asterisk/modules")]
    return frozenset(name for name in MODULES if not any((folder / name).exists() for folder in folders))


class Pbx:
    """One Asterisk, all of whose files lie in `work` (and in the site's spool): any number may run side by side.

    `work` gets `etc` (rendered), and the site's `run_dir`, `log_dir` and `var_dir` must lie below it.
    """

    def __init__(self, work: Path, site: Site, *, decided: Decided, users: Users) -> None:
        """Nothing is touched before `start`."""
        self.work, self.site, self.users = work, site, users
        self.etc = work / "etc"
        self.decided = decided
        self.environ: dict[str, str] = {}  # more of it, for Asterisk alone
        self._root = find_root()
        self._jail: Path | None = None
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the running Asterisk. Raises PbxError where none runs."""
        if self._process is None or self._process.poll() is not None:
            raise PbxError("Asterisk is not running")
        return self._process.pid

    def start(self, *, timeout: float = 30.0) -> float:
        """Render, start and wait until fully booted; the seconds that took. May follow `stop` or `kill`."""
        began = time.monotonic()
        self._prepare()
        with (self.work / "asterisk.out").open("ab") as out:
            self._process = subprocess.Popen(
                self._command("-f", "-C", str(self.etc / "asterisk.conf")),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                env=self._environ | self.environ,
                umask=0o007,
                cwd="/",
                # As a service of the host is: Linux shares the processors out among sessions.
                start_new_session=True,
            )
        self._wait(began + timeout)
        return time.monotonic() - began

    def stop(self, *, timeout: float = 10.0) -> None:
        """End it in order; kill it after `timeout` seconds. Nothing happens where none runs."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        """SIGKILL, as a crash would: what Asterisk buffered is lost."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            self._process.wait()

    def close(self) -> None:
        """Stop, and unmount what lies below `work`, so that it can be removed. A namespace that ends needs none."""
        self.stop()
        if self._jail is not None:
            _run("umount", "--recursive", self._jail)
            self._jail.rmdir()
            self._jail = None

    def rx(self, command: str, *, timeout: float = 15.0) -> str:
        """The answer to one CLI command. Raises PbxError."""
        done = subprocess.run(
            self._command("-C", str(self.etc / "asterisk.conf"), "-rx", command),
            capture_output=True,
            timeout=timeout,
            check=False,
            env=self._environ,
            cwd="/",
        )
        text = done.stdout.decode(errors="replace")
        if done.returncode:
            raise PbxError(f"asterisk -rx {command!r}: {text} {done.stderr.decode(errors='replace')}".strip())
        # printed by the client, which reads no entity id from the configuration, on a host without a network card
        return text.removeprefix(_NO_CARD)

    def log_problems(self) -> list[str]:
        """Every WARNING and ERROR line so far, of the log and of what was printed before there was a log."""
        found = []
        for path in (self.work / "asterisk.out", Path(self.site.log_dir) / "messages.log"):
            with suppress(FileNotFoundError):
                lines = path.read_text(errors="replace").splitlines()
                found += [line for line in lines if re.search(r"\b(WARNING|ERROR)\b", line)]
        return found

    def _prepare(self) -> None:
        render(self.etc, self.decided, self.site, gid=self.users.group)
        self.work.chmod(self.work.stat().st_mode | 0o011)
        etc_run = [Path(folder) for folder in (self.site.run_dir, self.site.log_dir, self.site.var_dir)]
        for folder in [*etc_run, etc_run[-1] / "spool", etc_run[-1] / "cache", etc_run[-1] / "keys"]:
            folder.mkdir(mode=0o750, parents=True, exist_ok=True)
            os.chown(folder, self.users.asterisk, self.users.group)
        # The recorder reads Asterisk's own record of events (cel.csv) to adopt what it slept through.
        os.chown(self.site.log_dir, self.users.asterisk, self.users.spool)
        Path(self.site.log_dir).chmod(0o2750)
        # a killed Asterisk leaves its socket behind, and `-rx` would be refused instead of waiting
        for name in ("asterisk.ctl", "asterisk.pid"):
            (etc_run[0] / name).unlink(missing_ok=True)
        if self._root is not None and self._jail is None:
            self._jail = self._build_jail(self._root)

    def _build_jail(self, root: Path) -> Path:
        """A root of our own in RAM, with the shared one's programs read-only in it."""
        jail = self.work / "jail"
        jail.mkdir(exist_ok=True)
        _run("mount", "-t", "tmpfs", "-o", "size=1m,mode=755", "kikitori-jail", jail)
        for entry in root.iterdir():
            if entry.is_symlink():
                (jail / entry.name).symlink_to(entry.readlink())
            elif entry.name in {"usr", "etc"}:
                _bind(entry, jail / entry.name, read_only=True)
        for name in ("dev", "tmp", "proc"):
            (jail / name).mkdir()
        (jail / "dev" / "shm").mkdir()  # where a semaphore lies
        for name in ("tmp", "dev/shm"):
            (jail / name).chmod(0o1777)
        _run("mount", "-t", "proc", "proc", jail / "proc")
        for name in _DEVICES:
            (jail / "dev" / name).touch()
            _run("mount", "--bind", Path("/dev") / name, jail / "dev" / name)
        for path in (self.etc, Path(self.site.run_dir), Path(self.site.log_dir), Path(self.site.var_dir)):
            _bind(path, jail / path.relative_to("/"), read_only=path == self.etc)
        spool = Path(self.site.spool)
        _bind(spool, jail / spool.relative_to("/"))
        if self.site.gate_socket:
            self._add_script(jail)
        return jail

    def _add_script(self, jail: Path) -> None:
        """The gate's socket, and pyst2 where pip on Asterisk's host would put it. Raises PbxError."""
        gate = Path(self.site.gate_socket).parent
        _bind(gate, jail / gate.relative_to("/"))
        places = [path for path in jail.glob("usr/local/lib/python3.*/dist-packages") if path.is_dir()]
        if not places or not (jail / self.site.python.lstrip("/")).exists():
            raise PbxError(f"{self._root} has no Python for kikitori-route: run scripts/asterisk, which makes it anew")
        packages = self.work / "packages"
        for name in ("asterisk", "six"):
            found = importlib.util.find_spec(name)
            if found is None or found.origin is None:
                raise PbxError(f"{name} is not installed: pip install -r asterisk-config/agi-bin/requirements.lock")
            source = Path(found.origin)
            if found.submodule_search_locations:
                shutil.copytree(source.parent, packages / name, dirs_exist_ok=True)
            else:
                shutil.copy(source, packages)
        _bind(packages, places[0], read_only=True)

    @property
    def _environ(self) -> dict[str, str]:
        return {"PATH": _PATH, "HOME": self.site.var_dir, "LANG": "C.UTF-8"}

    def _command(self, *arguments: str) -> list[str]:
        user, group = str(self.users.asterisk), str(self.users.group)
        if self._jail is not None:
            groups = f"--groups={group},{self.users.spool}"
            jail = ("chroot", f"--userspec={user}:{group}", groups, str(self._jail))
            return [*PROMPTLY, *jail, "/usr/sbin/asterisk", *arguments]
        groups = f"--groups={group},{self.users.spool}"
        return [*PROMPTLY, "setpriv", f"--reuid={user}", f"--regid={group}", groups, "asterisk", *arguments]

    def _wait(self, deadline: float) -> None:
        socket = Path(self.site.run_dir) / "asterisk.ctl"
        while time.monotonic() < deadline:
            if self._process is not None and self._process.poll() is not None:
                break
            if socket.exists():
                with suppress(PbxError):
                    self.rx("core waitfullybooted", timeout=max(1.0, deadline - time.monotonic()))
                    return
            time.sleep(_POLL)
        self.kill()
        tail = (self.work / "asterisk.out").read_text(errors="replace")[-2000:]
        raise PbxError(f"Asterisk did not come up: {tail}")


def _host_version() -> int:
    program = shutil.which("asterisk", path=_PATH)
    if program is None:
        return 0
    done = subprocess.run([program, "-V"], capture_output=True, text=True, check=False)
    match = re.match(r"Asterisk (?:GIT-)?(\d+)", done.stdout)
    return int(match[1]) if match else 0


def _bind(source: Path, target: Path, *, read_only: bool = False) -> None:
    target.mkdir(parents=True, exist_ok=True)
    _run("mount", "--bind", source, target)
    if read_only:
        _run("mount", "-o", "remount,bind,ro", target)


def _run(*command: str | Path) -> None:
    done = subprocess.run([str(part) for part in command], capture_output=True, check=False)
    if done.returncode:
        raise PbxError(f"{' '.join(map(str, command))}: {done.stderr.decode(errors='replace').strip()}")
