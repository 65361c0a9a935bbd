"""Proofs, which a program in another language accepts; and refuses after one changed byte."""

import base64
import random
import subprocess
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder import access
from recorder.access import proof
from recorder.access.checkpoint import Checkpoint, read_note, write_checkpoint
from recorder.access.errors import CheckpointError
from recorder.access.log import AccessLog
from recorder.access.merkle import Tree, leaf_hash, node_hash, root_of
from recorder.vault.note import Signer
from tests.unit.recorder.rig import START

VERIFIER = Path(access.__file__).with_name("verify-log.pl")


def ask(*arguments: object, cwd: Path) -> subprocess.CompletedProcess[str]:
    """What the independent verifier says."""
    return subprocess.run(
        ["perl", "-w", VERIFIER, *map(str, arguments)], check=False, capture_output=True, text=True, cwd=cwd,
        env={"PATH": "/usr/bin:/bin"},
    )  # fmt: skip


class Kept:
    """A log that grew to each of `sizes`, with its checkpoint there; files for who checks."""

    def __init__(self, folder: Path, *sizes: int) -> None:
        self.folder = folder
        self.signer = Signer.generate("kikitori/pbx1/log")
        (folder / "log.pub").write_text(f"{self.signer.verifier}\n")
        (folder / "checkpoints").mkdir()
        self.log = AccessLog(folder / "access.db")
        self.checkpoints: list[Checkpoint] = []
        for size in sizes:
            for number in range(self.log.head().size, size):
                self.log.append(
                    ts=START + timedelta(seconds=number), actor="sato", action="play.intent", object=f"r-{number}",
                    detail={"purpose": "応対品質の管理"},
                )  # fmt: skip
            note = write_checkpoint(self.log, folder / "checkpoints", self.signer, self.signer.name, START)
            assert note is not None
            self.checkpoints.append(read_note(note, self.signer.verifier, f"{size}.note"))
            (folder / f"{size}.note").write_text(note)

    def proofs(self, checkpoint: Checkpoint, *numbers: int) -> list[str]:
        entries = [entry for entry in self.log.entries() if entry.seq in numbers]
        names = []
        for one in proof.inclusion(proof.tree_of(self.log), entries, checkpoint):
            (self.folder / f"{one.entry.seq}.tlog-proof").write_text(one.text)
            names.append(f"{one.entry.seq}.tlog-proof")
        return names


@pytest.mark.rule("B-07", "B-13")
def test_every_entry_of_every_size_is_proved_to_a_program_in_another_language(tmp_path: Path) -> None:
    sizes = (1, 2, 3, 7, 8, 9, 16, 21)
    kept = Kept(tmp_path, *sizes)
    for checkpoint in kept.checkpoints:
        names = kept.proofs(checkpoint, *range(checkpoint.size))
        done = ask("log.pub", "proof", *names, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        raws = [entry.raw.decode() for entry in kept.log.entries() if entry.seq < checkpoint.size]
        assert done.stdout.splitlines() == raws


@pytest.mark.rule("B-07")
def test_every_checkpoint_is_proved_to_continue_every_one_before(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 1, 2, 3, 6, 8, 13, 16, 17)
    tree = proof.tree_of(kept.log)
    for place, new in enumerate(kept.checkpoints):
        for old in kept.checkpoints[: place + 1]:
            (tmp_path / "consistency.txt").write_text(proof.consistency(tree, old, new))
            done = ask(
                "log.pub", "consistency", "consistency.txt", f"{old.size}.note", f"{new.size}.note", cwd=tmp_path
            )
            assert done.returncode == 0, (old.size, new.size, done.stderr)


@pytest.mark.rule("B-07", "B-13")
@pytest.mark.parametrize("what", ["proof", "consistency"])
def test_one_changed_byte_is_refused(tmp_path: Path, what: str) -> None:
    kept = Kept(tmp_path, 6, 13)
    old, new = kept.checkpoints
    kept.proofs(new, 5)
    (tmp_path / "consistency.txt").write_text(proof.consistency(proof.tree_of(kept.log), old, new))
    files = {"proof": ["5.tlog-proof"], "consistency": ["consistency.txt", "6.note", "13.note"]}[what]
    assert ask("log.pub", what, *files, cwd=tmp_path).returncode == 0
    drawn = random.Random(20261127)  # noqa: S311  # of places, for the same ones in each run
    for name in (*files, "log.pub"):
        path = tmp_path / name
        whole = path.read_bytes()
        for place in sorted({0, len(whole) - 2, *(drawn.randrange(len(whole) - 1) for _ in range(25))}):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
            done = ask("log.pub", what, *files, cwd=tmp_path)
            assert (done.returncode, "NOT PROVED" in done.stderr) == (1, True), (name, place, whole[place : place + 1])
        path.write_bytes(whole)


@pytest.mark.rule("B-07")
def test_a_log_that_was_rewritten_with_its_own_key_is_no_continuation(tmp_path: Path) -> None:
    """Whoever holds the log's key, and not what others kept: an entry before a kept checkpoint is another one."""
    kept = Kept(tmp_path, 6, 13)
    old, _new = kept.checkpoints
    leaves = [leaf for _, leaf in kept.log.leaves()]
    leaves[2] = leaf_hash(b"another")
    forged = Tree(leaves)
    text = f"{kept.signer.name}\n13\n{base64.b64encode(forged.root(13)).decode()}\n"
    from recorder.vault.note import sign

    (tmp_path / "13.note").write_text(sign(text, [kept.signer]))
    hashes = "\n".join(base64.b64encode(one).decode() for one in forged.consistency(old.size, 13))
    (tmp_path / "consistency.txt").write_text(f"kikitori/consistency/v1\nold 6\nnew 13\n{hashes}\n")
    assert ask("log.pub", "note", "13.note", cwd=tmp_path).returncode == 0
    refused = ask("log.pub", "consistency", "consistency.txt", "6.note", "13.note", cwd=tmp_path)
    assert (refused.returncode, "NOT PROVED" in refused.stderr) == (1, True)
    with pytest.raises(CheckpointError, match="are not those of it"):
        proof.consistency(forged, old, read_note((tmp_path / "13.note").read_text(), kept.signer.verifier, "13"))


def test_a_proof_of_what_is_younger_than_the_checkpoint_is_refused(tmp_path: Path) -> None:
    kept = Kept(tmp_path, 3, 5)
    with pytest.raises(CheckpointError, match="younger"):
        kept.proofs(kept.checkpoints[0], 3)


@pytest.mark.parametrize(
    "arguments",
    [(), ("log.pub",), ("log.pub", "proof"), ("log.pub", "guess", "3.note"), ("nowhere", "note", "3.note"),
     ("log.pub", "note", "nowhere"), ("3.note", "note", "3.note"), ("log.pub", "proof", "3.note"),
     ("log.pub", "consistency", "3.note", "3.note"), ("log.pub", "note", "empty")],
)  # fmt: skip
def test_garbage_is_not_proved(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    Kept(tmp_path, 3)
    (tmp_path / "empty").write_text("")
    done = ask(*arguments, cwd=tmp_path)
    assert (done.returncode, done.stderr.startswith("NOT PROVED")) == (1, True)


@given(st.integers(1, 70), st.data())
def test_paths_as_rfc_9162_checks_them(size: int, data: st.DataObject) -> None:
    leaves = [leaf_hash(bytes([number])) for number in range(size)]
    tree = Tree(leaves)
    assert tree.root(size) == root_of(leaves)
    index = data.draw(st.integers(0, size - 1))
    at, last, found = index, size - 1, leaves[index]
    for step in tree.inclusion(index, size):
        if at & 1 or at == last:
            found = node_hash(step, found)
            while not at & 1 and at:
                at, last = at >> 1, last >> 1
        else:
            found = node_hash(found, step)
        at, last = at >> 1, last >> 1
    assert (found, last) == (tree.root(size), 0)
