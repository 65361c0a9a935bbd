"""formats.md, followed with outside tools alone: a vault made by the code is opened with dd, age, openssl and flac."""

import base64
import hashlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from recorder.access.checkpoint import Checkpoint, read_checkpoints, write_checkpoint
from recorder.access.log import AccessLog
from recorder.vault.folder import OUTBOXES
from recorder.vault.keys import create, load_signer, unlock
from recorder.vault.manifest import Manifest, load
from recorder.vault.note import Verifier
from tests.unit.docs.shell import ROOT, blocks, run
from tests.unit.recorder.rig import RATE, START, Rig, interleave, noise, ram_folder, record, uuid

PASSPHRASE = "a passphrase for the page on formats"
LEFT, RIGHT = noise("left", 6 * RATE), noise("right", 6 * RATE)
PAGE = "reference/formats.md"
STEPS = blocks(PAGE, "sh test")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation with one recording of two segments, and the escrow key on `paper`."""
    folder = tmp_path_factory.mktemp("site")
    (folder / "escrow").mkdir()
    made = create(
        folder / "keys",
        folder / "escrow",
        passphrase=PASSPHRASE,
        origin="kikitori/pbx1",
        epoch_start=START,
        work_factor=10,
    )
    with ram_folder() as spool:
        identity = unlock(folder / "keys", 1, PASSPHRASE)
        rig = Rig(folder, spool, identity=identity, signer=load_signer(folder / "keys/recorder.key"))
        record(rig, "one", LEFT, RIGHT, breaks=1)
    (folder / "escrow").rename(folder / "mirror/escrow")
    (folder / "paper").write_text(f"{made.escrow_identity}\n")
    return folder


@pytest.mark.rule("B-12", "B-13")
def test_a_recording_is_opened_by_hand_as_the_page_says(site: Path) -> None:
    assert len(STEPS) == 6
    first, *others = STEPS
    again = "".join(others)
    names = [f"{uuid('one')}.{number:03d}" for number in (1, 2)]
    script = f"NAME={names[0]}\n{first}{again}NAME={names[1]}\n{again}"
    done = run(script, site)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("Signature Verified Successfully") == 2
    assert (site / "joined.raw").read_bytes() == interleave(LEFT, RIGHT)


@pytest.mark.rule("B-13")
@pytest.mark.parametrize(("file", "step"), [("manifest", 1), ("agebody", 2)])
def test_the_page_s_steps_notice_a_changed_byte(site: Path, file: str, step: int) -> None:
    name = f"{uuid('one')}.001"
    path = site / f"vault/segments/{name[:2]}/{name}.{file}"
    whole = path.read_bytes()
    at = whole.index(b"in") if file == "manifest" else 40_000
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
    try:
        assert run(f"NAME={name}\n" + "".join(STEPS[1:step]), site).returncode == 0
        assert run(f"NAME={name}\n" + "".join(STEPS[1 : step + 1]), site).returncode != 0
    finally:
        path.write_bytes(whole)


@pytest.mark.rule("B-07")
def test_an_access_log_is_checked_by_hand_as_the_page_says(tmp_path: Path) -> None:
    (tmp_path / "log").mkdir()
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "escrow").mkdir()
    create(
        tmp_path / "keys",
        tmp_path / "escrow",
        passphrase=PASSPHRASE,
        origin="kikitori/pbx1",
        epoch_start=START,
        work_factor=10,
    )
    (script,) = blocks(PAGE, "python test")
    signer = load_signer(tmp_path / "keys/log.key")
    with AccessLog(tmp_path / "log/access.db") as log:
        assert _by_hand(script, tmp_path) == (0, hashlib.sha256().digest())
        for number in range(7):
            log.append(ts=START, actor="os:tanaka", action="play.intent", object=f"{number}", detail={"act": number})
            assert _by_hand(script, tmp_path) == (number + 1, log.head().root)
        write_checkpoint(log, tmp_path / "checkpoints", signer, signer.name, START)
        (checkpoint,) = read_checkpoints(tmp_path / "checkpoints", signer.verifier)
        assert isinstance(checkpoint, Checkpoint)
        assert (checkpoint.size, checkpoint.root) == _by_hand(script, tmp_path)


def _by_hand(script: str, folder: Path) -> tuple[int, bytes]:
    command = [sys.executable, "-I", "-c", script]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=True)
    size, root = done.stdout.split()
    return int(size), base64.b64decode(root)


def test_every_field_of_a_manifest_is_explained() -> None:
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    assert [name for name in Manifest.__dataclass_fields__ if f"`{name}`" not in page] == []
    assert [name for name in Manifest.__dataclass_fields__ if f'\n "{name}": ' not in page] == []


def test_every_kind_of_file_of_an_installation_is_in_the_tree(site: Path) -> None:
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    suffixes = {path.suffix for path in (site / "vault/segments").rglob("*") if path.is_file()}
    assert suffixes == {".agebody", ".manifest"}
    for name in ("keys.slots", ".agebody", ".tail0", ".manifest", *(f"vault/outbox/{box}/" for box in OUTBOXES)):
        assert name in page
    for path in (site / "keys").iterdir():
        assert path.name in page or path.name.removesuffix(".pub") in page, path.name


def test_the_manifest_on_the_page_is_one() -> None:
    page = (ROOT / "docs" / PAGE).read_text("utf-8")
    (verifier,) = re.findall(r"This one is signed by `([^`]+)`", page)
    (note,) = (text for text in blocks(PAGE, "") if text.startswith("kikitori/manifest/v1"))
    assert load(note, [Verifier.parse(verifier)], "formats.md").segment == 1
