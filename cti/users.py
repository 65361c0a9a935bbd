"""System users and groups: a user a process, but for the keeper; groups for what two of them share.

kikitori-spool   Asterisk writes sound, the recorder takes it
kikitori-vault   the desk reads what is sealed
kikitori-log     recorder, keeper and desk append to the access log
kikitori-run     gate and desk ask the recorder, and the desk the keeper
"""

import fcntl
import grp
import os
import pwd
import shutil
import stat
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from cti.errors import InitError
from cti.i18n import _
from cti.settings import Users

ROLES = ("recorder", "gate", "keeper", "desk")
"""The processes of `kikitori serve`."""
SPOOL, VAULT, LOG, RUN = "kikitori-spool", "kikitori-vault", "kikitori-log", "kikitori-run"

_LOCK = Path("/run/kikitori-users.lock")


def runs_as(users: Users, role: str) -> str:
    """The user of a process. The keeper's is the recorder's: what that has written, nobody else can take away."""
    return str(getattr(users, "recorder" if role == "keeper" else role))


def memberships(users: Users) -> Mapping[str, tuple[str, ...]]:
    """Which groups each user needs."""
    return {
        users.asterisk: (SPOOL,),
        users.recorder: (SPOOL, VAULT, LOG, RUN),
        users.gate: (RUN,),
        users.desk: (VAULT, LOG, RUN),
    }


def ensure(users: Users) -> list[str]:
    """Create what is missing (root only); the names created. Raises InitError."""
    with _LOCK.open("w") as lock:  # two at once: the second `useradd` would find /etc/passwd locked and give up
        fcntl.flock(lock, fcntl.LOCK_EX)
        return _ensure(users)


def _ensure(users: Users) -> list[str]:
    made = []
    for group in (SPOOL, VAULT, LOG, RUN):
        if not _known(grp.getgrnam, group):
            _run("groupadd", "--system", group)
            made.append(group)
    for user, groups in memberships(users).items():
        if not _known(pwd.getpwnam, user):
            own_group = ("--gid", user) if _known(grp.getgrnam, user) else ("--user-group",)
            options = ("--system", "--no-create-home", "--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin")
            _run("useradd", *options, *own_group, user)
            made.append(user)
        missing = [group for group in groups if user not in grp.getgrnam(group).gr_mem]
        if missing:
            _run("usermod", "--append", "--groups", ",".join(missing), user)
    return made


def _known(look_up: Callable[[str], object], name: str) -> bool:
    try:
        look_up(name)
    except KeyError:
        return False
    return True


def _run(*command: str) -> None:
    if shutil.which(command[0]) is None:
        raise InitError(
            _("{command} is not there; install the package `passwd` or create the users yourself").format(
                command=command[0]
            )
        )
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        raise InitError(f"{' '.join(command)}: {done.stderr.strip()}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Identity:
    """Who a process runs as."""

    uid: int
    gid: int
    groups: tuple[int, ...]


def identity(user: str) -> Identity:
    """The ids of `user`. Raises InitError where there is no such user."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError as error:
        raise InitError(_("there is no user {user!r}; `kikitori init` as root creates it").format(user=user)) from error
    groups = tuple(sorted(group.gr_gid for group in grp.getgrall() if user in group.gr_mem))
    return Identity(uid=entry.pw_uid, gid=entry.pw_gid, groups=groups)


def group_of(user: str) -> str:
    """The name of the user's own group; without root, of nobody's: nothing is handed over then. Raises InitError."""
    return grp.getgrgid(identity(user).gid).gr_name if os.geteuid() == 0 else ""


def become(user: str) -> None:
    """Give up root for good and go on as `user`; nothing happens where we are not root."""
    if os.geteuid() != 0:
        return
    who = identity(user)
    os.setgroups(who.groups)
    os.setgid(who.gid)
    os.setuid(who.uid)


@contextmanager
def acting_as(user: str) -> Iterator[None]:
    """Do something with the rights of `user`, and be root again afterwards; nothing changes where we are not root."""
    if os.geteuid() != 0:
        yield
        return
    who, groups = identity(user), os.getgroups()
    os.setgroups(who.groups)
    os.setegid(who.gid)
    os.seteuid(who.uid)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)
        os.setgroups(groups)


def ids(user: str, group: str) -> tuple[int, int] | tuple[None, None]:
    """(uid, gid) that a file of theirs is given; none without root."""
    return (identity(user).uid, grp.getgrnam(group).gr_gid) if os.geteuid() == 0 else (None, None)


def own(path: Path, user: str, group: str, mode: int) -> None:
    """Owner, group and mode of `path`; without root only the mode."""
    uid, gid = ids(user, group)
    if uid is not None and gid is not None:
        os.chown(path, uid, gid)
    # Not where it is so already: a confined process may take its folders as they are, but give no setgid bit.
    if stat.S_IMODE(path.stat().st_mode) != mode:
        path.chmod(mode)
