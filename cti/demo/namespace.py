"""Run a command in network, mount and process namespaces of its own: `python -m cti.demo.namespace COMMAND...`

Ports cannot collide, mounts vanish, and whatever the command started has ended when it ends.
"""

import os
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

UNSHARE = ("unshare", "--net", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child")


OUTER_PID = "KIKITORI_OUTER_PID_FILE"


def run(command: Sequence[str]) -> int:
    """Run `command` inside and return its exit status (root)."""
    again = (sys.executable, "-m", "cti.demo.namespace", "--inside")
    with tempfile.NamedTemporaryFile("w", prefix="kikitori-pid-") as told:
        process = subprocess.Popen([*UNSHARE, *again, *command], env=os.environ | {OUTER_PID: told.name})
        told.write(str(process.pid))
        told.flush()
        try:
            return process.wait()
        except KeyboardInterrupt:
            # The terminal has told those inside too: they end in order.
            return process.wait()


def outer_pid() -> int:
    """The process that holds these namespaces, as the world outside numbers it: for `nsenter -n -m`."""
    return int(Path(os.environ[OUTER_PID]).read_text())


def _inside(command: Sequence[str]) -> int:
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    here = Path.cwd()
    open_up([Path(sys.base_prefix), Path(sys.prefix), Path(__file__).resolve().parents[2]])
    os.chdir(here if here.exists() else "/")
    # Not exec: the first process of a namespace has to collect orphans, and Python's subprocess does.
    return subprocess.run(command, check=False).returncode


def open_up(paths: Iterable[Path]) -> None:
    """Let every user reach `paths`, within this mount namespace only.

    The service's users must read Python and this project, which on a developer's machine may lie below /root (0700).
    """
    closed: dict[Path, list[Path]] = {}
    for path in {path.resolve() for path in paths}:
        barrier = next((up for up in reversed(path.parents) if not up.stat().st_mode & stat.S_IXOTH), None)
        if barrier is not None:
            closed.setdefault(barrier, []).append(path)
    for barrier, needed in closed.items():
        aside = Path(tempfile.mkdtemp(prefix="kikitori-", dir="/run"))
        _mount("--bind", barrier, aside)
        _mount("-t", "tmpfs", "-o", "mode=755,size=1m", "kikitori", barrier)
        for path in needed:
            path.mkdir(parents=True, exist_ok=True)
            _mount("--rbind", aside / path.relative_to(barrier), path)
        _umount(aside)


def _mount(*arguments: str | Path) -> None:
    subprocess.run(["mount", *arguments], check=True)


def _umount(path: Path) -> None:
    subprocess.run(["umount", "-l", path], check=True)
    path.rmdir()


if __name__ == "__main__":
    arguments = sys.argv[1:]
    raise SystemExit(_inside(arguments[1:]) if arguments[0] == "--inside" else run(arguments))
