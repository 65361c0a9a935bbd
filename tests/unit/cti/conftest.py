"""What tests of the desk and of its API stand on."""

import asyncio
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from cti.journal import Journal
from recorder.access.log import AccessLog
from recorder.vault import keys
from tests import databases
from tests.unit.cti.office import BREAKS, PASSPHRASE, SIDES, WEAK, Office, fill_catalogue, open_office
from tests.unit.recorder.rig import START, Rig, ram_folder, record


@pytest.fixture(scope="module")
def template() -> Iterator[Path]:
    """Three recordings of one, two and three segments, logged, with a checkpoint; all in the catalogue."""
    with ram_folder() as folder:
        root = folder / "site"
        for name in ("log", "escrow", "checkpoints"):
            (root / name).mkdir(parents=True)
        made = keys.create(
            root / "keys",
            root / "escrow",
            passphrase=PASSPHRASE,
            origin="kikitori/pbx1",
            epoch_start=START,
            work_factor=WEAK,
        )
        (root / "paper").write_text(made.escrow_identity)
        rig = Rig(
            root,
            folder / "spool",
            identity=keys.unlock(root / "keys", 1, PASSPHRASE),
            signer=keys.load_signer(root / "keys/recorder.key"),
        )
        journal = Journal(lambda: AccessLog(root / "log/access.db"), rig.vault, lambda: START)
        rig.told = journal  # type: ignore[assignment]
        for name, sides in SIDES.items():
            record(rig, name, *sides, breaks=BREAKS[name])
        journal.checkpoint(root / "checkpoints", keys.load_signer(root / "keys/log.key"))
        assert not rig.vault.waiting("log")
        asyncio.run(fill_catalogue(root))
        yield root


@pytest.fixture
async def office(template: Path) -> AsyncIterator[Office]:
    with ram_folder() as folder:
        root = folder / "site"
        shutil.copytree(template, root)
        databases.copied(template, root)
        yield (made := await open_office(root))
        await made.desk.close()
