"""Files for outsiders: whole or not there, in nobody else's way, and never left in the clear."""

import errno
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any, BinaryIO

import pytest

from recorder.export import whole_file

KILLED = """
import os, signal, sys
from pathlib import Path
from recorder.export import whole_file
with whole_file(Path(sys.argv[1])) as file:
    file.write(b"plain speech" * 100_000)
    file.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With O_TMPFILE, and on a file system that says it has none."""
    if request.param == "named":
        real = os.open

        def refuse(path: Any, flags: int, *args: Any, **kwargs: Any) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, "Operation not supported")
            return real(path, flags, *args, **kwargs)

        monkeypatch.setattr(os, "open", refuse)
    return str(request.param)


def test_a_file_is_there_whole_for_its_owner_alone(tmp_path: Path, way: str) -> None:
    target = tmp_path / "a.wav"
    with whole_file(target) as file:
        file.write(b"whole")
        assert not target.exists()
        between = list(tmp_path.iterdir())
        assert len(between) == (way == "named")
        assert all(stat.S_IMODE(path.stat().st_mode) == 0o600 for path in between)
    assert target.read_bytes() == b"whole"
    assert (stat.S_IMODE(target.stat().st_mode), target.stat().st_nlink) == (0o600, 1)
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.usefixtures("way")
def test_a_failure_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(TypeError), whole_file(tmp_path / "a.wav") as file:
        file.writelines([b"half", 1])  # type: ignore[list-item]
    assert not list(tmp_path.iterdir())


def test_a_killed_process_leaves_nothing_in_the_clear(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", KILLED, tmp_path / "a.wav"], check=False)
    assert done.returncode == -9
    assert not list(tmp_path.iterdir())


@pytest.mark.usefixtures("way")
def test_a_link_that_waits_where_the_temporary_would_be_is_not_written_through(tmp_path: Path) -> None:
    """Exports run as root, and their folder may be anybody's."""
    victim = tmp_path / "victim"
    victim.write_bytes(b"precious")
    (tmp_path / ".a.wav.part").symlink_to(victim)
    with whole_file(tmp_path / "a.wav") as file:
        file.write(b"sound")
    assert victim.read_bytes() == b"precious"
    assert (tmp_path / "a.wav").read_bytes() == b"sound"
    assert (tmp_path / ".a.wav.part").is_symlink()


@pytest.mark.usefixtures("way")
@pytest.mark.parametrize("there", ["file", "dangling", "folder"])
def test_what_exists_is_refused_before_and_after(tmp_path: Path, there: str) -> None:
    target = tmp_path / "a.wav"

    def write(file: BinaryIO) -> None:
        file.write(b"mine")
        if there == "file":
            target.write_bytes(b"theirs")
        elif there == "dangling":
            target.symlink_to(tmp_path / "nowhere")
        else:
            target.mkdir()

    with pytest.raises(FileExistsError), whole_file(target) as file:
        write(file)
    assert os.listdir(tmp_path) == ["a.wav"]  # noqa: PTH208
    ran = False
    with pytest.raises(FileExistsError), whole_file(target):
        ran = True
    assert not ran
    assert os.listdir(tmp_path) == ["a.wav"]  # noqa: PTH208
    assert there != "file" or target.read_bytes() == b"theirs"


def test_a_file_in_the_current_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with whole_file(Path("a.wav")) as file:
        file.write(b"x")
    assert (tmp_path / "a.wav").read_bytes() == b"x"


def test_the_content_is_durable_before_the_name_and_the_name_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    done: list[tuple[str, bool]] = []
    sync, link = os.fsync, os.link

    def fsync(handle: int) -> None:
        done.append(("fsync", stat.S_ISDIR(os.fstat(handle).st_mode)))
        sync(handle)

    def linked(*args: Any, **kwargs: Any) -> None:
        done.append(("link", False))
        link(*args, **kwargs)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(os, "link", linked)
    with whole_file(tmp_path / "a.wav") as file:
        file.write(b"x")
    assert done == [("fsync", False), ("link", False), ("fsync", True)]
