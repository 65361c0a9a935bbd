"""What is due among a million recordings, and what it costs to move them, beside rsync and sha256sum.

`python -m tests.bench.keeping [--postgresql] [--rows 1000000] [--files 1000]` prints one JSON object: seconds and MiB
of memory of a plan over so many recordings, a day's of which are due, and all; and MiB a second that leave the first
medium (each copied, synced, read back, compared, removed and logged) beside `rsync -a`, `sync`, `sha256sum -c` and `rm`
of the same files. Medians of ROUNDS, in turns. Run it where nothing else runs; rsync has to be there.
"""

import argparse
import asyncio
import hashlib
import json
import os
import random
import shutil
import statistics
import subprocess
import tempfile
import time
import tracemalloc
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import insert

from cti import store
from cti.moving import kept
from policies.calendar import JST
from policies.load import Policies, shipped
from recorder.access.entry import Draft
from recorder.access.log import AccessLog
from recorder.catalogue import Catalogue, plain, recordings
from recorder.vault.folder import VaultFolder, body_name
from recorder.vault.manifest import Manifest, dump
from recorder.vault.note import Signer
from retention.holds import Holds
from retention.mover import Mover
from retention.plan import Plan, ends_before, moves_before
from tests.databases import Postgres
from tests.unit.recorder.rig import make_vault

ROUNDS = 3
BODY = 460_000
"""Bytes: of a call of some three minutes."""
NOW = datetime(2027, 10, 1, 3, tzinfo=JST)
POLICY = Policies(shipped()).retention
SPAN = timedelta(days=365)
BATCH = 32


def identity(number: int) -> str:
    """Evenly over the 256 folders, as real ones are."""
    return str(UUID(bytes=hashlib.sha256(str(number).encode()).digest()[:16]))


@contextmanager
def database(place: Path, *, postgresql: bool) -> Iterator[str]:
    if not postgresql:
        yield f"sqlite+aiosqlite:///{place}.db"
        return
    server = Postgres(place).start()
    try:
        yield server.url("bench")
    finally:
        server.stop()


async def fill(catalogue: Catalogue, rows: int, *, due: bool) -> None:
    """A year's recordings, evenly: those of the last six months lie on the first medium.

    `due`: of a year that ended six months ago, and nobody has moved any.
    """
    since = NOW - SPAN - (timedelta(days=190) if due else timedelta())
    async with catalogue.engine.begin() as connection:
        for first in range(0, rows, 5000):
            await connection.execute(insert(recordings), [
                {
                    "recording": identity(number), "pbx": "pbx1", "conversation": identity(number), "start": plain(at),
                    "end": plain(at), "seconds": 180.0, "segments": 1,
                    "medium": "first" if due or at >= NOW - timedelta(days=185) else "second",
                }
                for number in range(first, min(first + 5000, rows))
                for at in [since + SPAN * number / rows]
            ])  # fmt: skip


async def planned(catalogue: Catalogue) -> tuple[int, float, float]:
    """How many are due; seconds; MiB that were held at most."""
    tracemalloc.start()
    plan, count = Plan(POLICY, Holds(), NOW), 0
    async for rows in catalogue.ended_before(moves_before(POLICY, NOW), ends_before(POLICY, NOW)):
        count += sum(plan.of(kept(row)) is not None for row in rows)
    held = tracemalloc.get_traced_memory()[1] / (1 << 20)
    tracemalloc.stop()
    begun = time.perf_counter()
    async for rows in catalogue.ended_before(moves_before(POLICY, NOW), ends_before(POLICY, NOW)):
        for row in rows:
            plan.of(kept(row))
    return count, time.perf_counter() - begun, held


@asynccontextmanager
async def catalogue_at(url: str) -> AsyncIterator[Catalogue]:
    engine = store.engine(url)
    await store.migrate(engine)
    try:
        yield Catalogue(engine, "pbx1")
    finally:
        await engine.dispose()


def recorded(vault: VaultFolder, signer: Signer, number: int, chance: random.Random) -> Manifest:
    """A recording of a year ago, with a body of noise: what is in it nobody looks at."""
    name, body = identity(number + 1), chance.randbytes(BODY)
    at = NOW - timedelta(days=200)
    manifest = Manifest(
        recording=name, segment=1, conversation=name, pbx="pbx1", linkedid="1.1", channel="PJSIP/trunk-1",
        uniqueid="1.1", take="take", take_offset=0, number="0664581132", direction="in", caller=None, callee=None,
        agent=None, start=at, end=at + timedelta(minutes=3), rate=8000, frames=1_440_000, streaminfo="00" * 34,
        slot=number, epoch=1, key_id="0" * 16, nonce=body[:16].hex(), body_size=BODY,
        body_sha256=hashlib.sha256(body).hexdigest(), state="sealed", reason=None, gap_before=None, marks=(),
        writer="bench",
    )  # fmt: skip
    vault.folder(name).mkdir(exist_ok=True)
    vault.body_path(name, 1).write_bytes(body)
    vault.manifest_path(name, 1).write_text(dump(manifest, signer))
    return manifest


def ours(root: Path, made: Sequence[Manifest], vault: VaultFolder, signer: Signer) -> float:
    """Seconds until all of them have moved."""
    with AccessLog(root / "access.db") as access:

        def tell(lines: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
            access.append_all([
                Draft(ts=NOW, actor="keeper", action=action, object=about, detail=detail)
                for action, about, detail in lines
            ])  # fmt: skip

        mover = Mover(vault, [signer.verifier], lambda: Plan(POLICY, Holds(), NOW), tell, lambda _size: None)
        begun = time.perf_counter()
        for first in range(0, len(made), BATCH):
            mover.move([one.recording for one in made[first : first + BATCH]], "bench")
        took = time.perf_counter() - begun
    assert all(vault.second.has(body_name(one.recording, 1)) for one in made)
    assert not any(vault.body_path(one.recording, 1).exists() for one in made)
    return took


def theirs(root: Path, made: Sequence[Manifest], vault: VaultFolder) -> float:
    """Seconds of rsync, sync, sha256sum and rm, with the sums already written down."""
    there = root / "rsync"
    sums = "".join(f"{one.body_sha256}  {one.recording[:2]}/{body_name(one.recording, 1)}\n" for one in made)
    begun = time.perf_counter()
    subprocess.run(["rsync", "-a", f"{vault.root}/segments/", f"{there}/"], check=True)
    subprocess.run(["sync", "-f", there], check=True)
    drop(there)
    subprocess.run(["sha256sum", "--quiet", "-c", "-"], input=sums.encode(), cwd=there, check=True)
    for one in made:
        vault.body_path(one.recording, 1).unlink()
    subprocess.run(["sync", "-f", vault.root], check=True)
    return time.perf_counter() - begun


def drop(folder: Path) -> None:
    """What Linux holds of these files in RAM, as the keeper does: else the sums would be of that."""
    for path in folder.rglob("*.agebody"):
        handle = os.open(path, os.O_RDONLY)
        os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(handle)


@contextmanager
def folder(disk: Path) -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="kikitori-bench-", dir=disk))
    root.chmod(0o755)  # PostgreSQL is another user
    try:
        yield root
    finally:
        shutil.rmtree(root)


def rounds(root: Path, files: int) -> Iterator[tuple[float, float]]:
    """Seconds of ours and of theirs."""
    for number in range(ROUNDS):
        took = []
        for name in ("ours", "theirs") if number % 2 else ("theirs", "ours"):
            place, signer = root / f"{number}-{name}", Signer.generate("kikitori/pbx1/recorder")
            vault, chance = make_vault(place), random.Random(number)  # noqa: S311  # noise
            made = [recorded(vault, signer, one, chance) for one in range(files)]
            subprocess.run(["sync", "-f", root], check=True)
            drop(vault.root / "segments")
            took.append((name, ours(place, made, vault, signer) if name == "ours" else theirs(place, made, vault)))
            shutil.rmtree(place)
        found = dict(took)
        yield found["ours"], found["theirs"]


async def measured(disk: Path, *, rows: int, files: int, postgresql: bool) -> dict[str, Any]:
    found: dict[str, Any] = {"rows": rows, "files": files}
    with folder(disk) as root:
        for name, due in (("day", False), ("all", True)):
            with database(root / f"{due}", postgresql=postgresql) as url:
                async with catalogue_at(url) as catalogue:
                    await fill(catalogue, rows, due=due)
                    count, seconds, held = await planned(catalogue)
                    found[name] = {"due": count, "seconds": round(seconds, 2), "mib": round(held, 1)}
        if files:
            took = list(rounds(root, files))
            size = files * BODY / (1 << 20)
            mine, other = (statistics.median(times) for times in zip(*took, strict=True))
            found |= {"moved": round(size / mine, 1), "rsync": round(size / other, 1), "ratio": round(other / mine, 2)}
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--postgresql", action="store_true")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--files", type=int, default=1000)
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"))
    given = parser.parse_args()
    print(
        json.dumps(asyncio.run(measured(given.disk, rows=given.rows, files=given.files, postgresql=given.postgresql)))
    )
