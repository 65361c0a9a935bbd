"""Proofs for outsiders, who know the log's public key and need trust nobody else.

```
<seq>.tlog-proof (C2SP tlog-proof)          consistency.txt
    c2sp.org/tlog-proof@v1                      kikitori/consistency/v1
    extra <base64(the entry's exact bytes)>     old <size>
    index <seq>                                 new <size>
    <base64(hash)> ...                          <base64(hash)> ...
    <empty line>
    <checkpoint: a signed note>
```
"""

import base64
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recorder.access.checkpoint import Checkpoint
from recorder.access.entry import Entry
from recorder.access.errors import CheckpointError
from recorder.access.log import AccessLog
from recorder.access.merkle import Tree


@dataclass(frozen=True, slots=True)
class Proof:
    """One entry, and the text that proves it to be in the log."""

    entry: Entry
    text: str


def tree_of(log: AccessLog) -> Tree:
    """Over all entries, recomputed from their bytes."""
    return Tree([leaf for _, leaf in log.leaves()])


def inclusion(tree: Tree, entries: Iterable[Entry], checkpoint: Checkpoint) -> Iterator[Proof]:
    """That each is among the entries of which `checkpoint` is. Raises CheckpointError where that is not so."""
    _check(tree, checkpoint)
    for entry in entries:
        if entry.seq >= checkpoint.size:
            raise CheckpointError(f"entry {entry.seq} is younger than the checkpoint of {checkpoint.size} entries")
        hashes = tree.inclusion(entry.seq, checkpoint.size)
        head = ["c2sp.org/tlog-proof@v1", f"extra {_b64(entry.raw)}", f"index {entry.seq}"]
        yield Proof(entry, "\n".join([*head, *map(_b64, hashes), "", checkpoint.note]))


def consistency(tree: Tree, old: Checkpoint, new: Checkpoint) -> str:
    """That `new` is `old` and what was appended. Raises CheckpointError where it is not."""
    for each in (old, new):
        _check(tree, each)
    if not 0 < old.size <= new.size:
        raise CheckpointError(f"{old.where} has {old.size} entries, {new.where} has {new.size}: no beginning of it")
    hashes = tree.consistency(old.size, new.size)
    return "\n".join(["kikitori/consistency/v1", f"old {old.size}", f"new {new.size}", *map(_b64, hashes), ""])


def _check(tree: Tree, checkpoint: Checkpoint) -> None:
    if checkpoint.size > tree.size or tree.root(checkpoint.size) != checkpoint.root:
        raise CheckpointError(f"{checkpoint.where}: the log's entries are not those of it; run verify")


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
