"""Upgrade in place: what the versions before left open, this one ends and goes on with."""

import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from recorder.vault.age import Identity
from recorder.vault.note import Signer
from tests.unit.recorder.rig import RATE, Life, MixMonitor, Rig, interleave, noise, ram_folder, run

LEFT_OPEN = sorted((Path(__file__).parents[2] / "vectors/open-calls").glob("*.tar.xz"))
SIDE = 3 * RATE


class Heir(Rig):
    """The installation of an archive, as a new process finds it."""

    def __init__(self, root: Path, spool: Path, archive: Path) -> None:
        left = root / "left"
        with tarfile.open(archive) as packed:
            packed.extractall(left, filter="data")
        identity = Identity.parse((left / "identity").read_text())
        signer = Signer.parse((left / "signer").read_text())
        super().__init__(root / "home", spool / "spool", identity=identity, signer=signer)
        for name in ("vault", "mirror"):
            shutil.copytree(left / name, root / "home" / name, dirs_exist_ok=True)
        shutil.copytree(left / "spool", spool / "spool", dirs_exist_ok=True)
        self.rest = [(left / f"rest.{side}").read_bytes() for side in ("left", "right")]


@pytest.fixture(params=LEFT_OPEN, ids=lambda path: path.name.partition(".")[0])
def heir(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Heir]:
    with ram_folder() as ram:
        yield Heir(tmp_path, ram, request.param)


def test_there_is_something_to_inherit() -> None:
    assert LEFT_OPEN


@pytest.mark.rule("B-03")
def test_a_call_goes_on_under_the_new_version(heir: Heir) -> None:
    life: Life = heir.life()
    (work,) = life.recover()
    run(life, work, closed=False)
    MixMonitor(heir.spool_root, work.take.stem, *heir.rest).write(SIDE, SIDE)
    run(life, work)
    recording = work.take.order.recording
    left, right = (noise(f"upgrade {side}", SIDE) for side in ("left", "right"))
    assert heir.sound(recording) == interleave(left, right)
    parts = heir.parts(recording)
    assert [part.manifest.state for part in parts] == ["sealed", "cut", "sealed"]
    assert "hold" in [mark.what for part in parts for mark in part.manifest.marks]
    assert not [path for path in heir.spool_root.rglob("[!.]*") if path.is_file()]
