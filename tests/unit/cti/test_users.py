"""Who may what. No user is created here: that is for a machine of its own."""

import grp
import os
import pwd
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from cti import users
from cti.errors import InitError
from cti.settings import Users

ROOT = os.geteuid() == 0
ME = pwd.getpwuid(os.geteuid()).pw_name
NOBODY = pwd.getpwnam("nobody")


def test_each_process_is_in_the_groups_that_it_shares_and_in_no_other() -> None:
    named = Users(recorder="r", gate="g", desk="d", asterisk="a")
    assert users.memberships(named) == {
        "a": (users.SPOOL,),
        "r": (users.SPOOL, users.VAULT, users.LOG, users.RUN),
        "g": (users.RUN,),
        "d": (users.VAULT, users.LOG, users.RUN),
    }
    # The desk can decrypt, so it never reaches the spool; the gate talks to callers: it reaches one socket.


def test_an_identity() -> None:
    who = users.identity("nobody")
    assert (who.uid, who.gid) == (NOBODY.pw_uid, NOBODY.pw_gid)
    for group in who.groups:
        assert "nobody" in grp.getgrgid(group).gr_mem


def test_a_user_that_is_not_there() -> None:
    with pytest.raises(InitError, match="no user 'kikitori-nobody-at-all'; `kikitori init` as root creates it"):
        users.identity("kikitori-nobody-at-all")


def test_acting_as_somebody_and_being_oneself_again() -> None:
    before = os.geteuid(), os.getegid(), os.getgroups()

    def act() -> None:
        with users.acting_as("nobody"):
            assert os.geteuid() == (NOBODY.pw_uid if ROOT else before[0])
            assert os.getegid() == (NOBODY.pw_gid if ROOT else before[1])
            raise LookupError

    with pytest.raises(LookupError):
        act()
    assert (os.geteuid(), os.getegid(), os.getgroups()) == before


ACT = """
import os
from cti import users
if os.geteuid() == 0:
    os.setgroups([1, 2])
before = os.getgroups()
with users.acting_as("nobody"):
    print(os.geteuid() != 0, os.getgroups() == before)
print(os.getgroups() == before)
"""


def test_groups_are_left_behind_and_taken_up_again() -> None:
    done = subprocess.run([sys.executable, "-c", ACT], check=True, capture_output=True, text=True)
    assert done.stdout.splitlines() == [f"True {not ROOT}", "True"]


BECOME = """
import os
from cti import users
users.become("nobody")
print(os.getuid(), os.geteuid(), os.getgid(), os.getegid())
try:
    os.setuid(0)
    print("root again")
except PermissionError:
    print("for good")
"""


def test_becoming_somebody_is_for_good() -> None:
    done = subprocess.run([sys.executable, "-c", BECOME], check=True, capture_output=True, text=True)
    uid, gid = (NOBODY.pw_uid, NOBODY.pw_gid) if ROOT else (os.getuid(), os.getgid())
    assert done.stdout.splitlines() == [f"{uid} {uid} {gid} {gid}", "for good"], done.stderr


def test_owner_group_and_mode(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    group = grp.getgrgid(NOBODY.pw_gid if ROOT else os.getegid()).gr_name
    users.own(file, "nobody" if ROOT else ME, group, 0o2750)
    found = file.stat()
    assert stat.S_IMODE(found.st_mode) == 0o2750
    assert found.st_uid == (NOBODY.pw_uid if ROOT else os.geteuid())


def test_a_command_that_is_missing_or_refuses_says_so(tmp_path: Path) -> None:
    with pytest.raises(InitError, match="install the package `passwd`"):
        users._run("kikitori-no-such-command")
    with pytest.raises(InitError, match=f"ls {tmp_path}/nothing: .*No such file"):
        users._run("ls", f"{tmp_path}/nothing")


def test_a_mode_that_is_right_is_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """RestrictSUIDSGID of systemd refuses a chmod to 2770, even where nothing would change."""
    given: list[int] = []
    chmod = Path.chmod
    monkeypatch.setattr(Path, "chmod", lambda path, mode: (given.append(mode), chmod(path, mode))[1])
    monkeypatch.setattr(users.os, "geteuid", lambda: 1000)
    for _ in range(2):
        users.own(tmp_path, "kikitori-recorder", users.SPOOL, 0o2770)
    assert given == [0o2770]
    assert tmp_path.stat().st_mode & 0o7777 == 0o2770
