"""The marked blocks of the quickstart, run as they stand there."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.unit.docs.shell import blocks, run


@pytest.fixture
def folder() -> Iterator[Path]:
    """A folder that the desk's user can reach too: as root, commands act as that user."""
    path = Path(tempfile.mkdtemp(prefix="kikitori-quickstart-"))
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@pytest.mark.rule("B-09")
def test_the_blocks_of_the_quickstart_run(folder: Path) -> None:
    first, second = blocks("quickstart.md", "sh test")
    done = run(f"{first}{second}echo all done\n{first}", folder, COLUMNS="200")
    assert "all done" in done.stdout, done.stdout + done.stderr
    assert "AGE-SECRET-KEY-1" in done.stdout
    assert f"{folder}/try/vault" in done.stdout
    assert "No recordings." in done.stdout
    assert done.stdout.count("0 segments: everything is as it should be.") == 2
    assert "1 entries, unbroken" in done.stdout
    dialplan = (folder / "asterisk/extensions.conf").read_text("utf-8")
    assert all(number in dialplan for number in ("0664581132", "0664587160", "0664587211", "0664587225"))
    # The first block came once more: an installation is never overwritten.
    assert done.returncode == 73
    assert "is not empty" in done.stderr
