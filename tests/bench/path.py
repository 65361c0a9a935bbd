"""The record path alone: from sound in the spool to sealed segments on the disk, with the real recorder and no PBX.

`python -m tests.bench.path --calls 100 --seconds 60` prints one JSON object.
"""

import argparse
import asyncio
import json
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import structlog

from cti.app.clock import wall_clock
from cti.journal import Journal
from policies.load import Policies, shipped
from recorder.access.log import AccessLog
from recorder.audio import Encoder
from recorder.session import Recorder
from recorder.spool import Spool
from recorder.take import Order
from recorder.vault.age import Identity
from recorder.vault.folder import OUTBOXES, VaultFolder, Writer
from recorder.vault.note import Signer
from recorder.vault.slots import Slots
from tests.bench.machine import load
from tests.bench.speech import conversation

VOICES = 20
START = datetime(2026, 1, 5, tzinfo=UTC)


class _Files:
    """The PBX as far as the recorder needs one: tells where the sound is to go."""

    def __init__(self) -> None:
        self.pairs: list[tuple[Path, Path]] = []

    async def start(self, channel: str, left: Path, right: Path) -> None:
        self.pairs.append((left, right))

    async def stop(self, channel: str) -> None:
        """Files end by themselves."""


def vault(root: Path) -> Writer:
    """An empty vault below `root`, and who writes into it."""
    for name in ("segments", "calls", *(f"outbox/{name}" for name in OUTBOXES)):
        (root / "vault" / name).mkdir(parents=True)
    (root / "mirror").mkdir()
    Slots.create(root / "vault/keys.slots", root / "mirror/keys.slots")
    folder = VaultFolder(root / "vault", root / "mirror")
    to = Identity.generate().recipient
    return Writer(folder, to=lambda: (1, to), signer=Signer.generate("bench/recorder"))


async def measure(*, calls: int, seconds: float, speed: float, level: int, disk: Path, ram: Path) -> dict[str, Any]:
    """One run: `calls` conversations of `seconds` at once, `speed` times faster than life."""
    writer = vault(disk)
    for name in ("audio", "open"):
        (ram / name).mkdir()
    files = _Files()
    recorder = Recorder(
        spool=Spool(ram),
        writer=writer,
        policy=Policies(shipped()).recording.model_copy(update={"flac_level": level}),
        switch=files,
        told=Journal(lambda: AccessLog(disk / "access.db"), writer.folder, wall_clock),
        pbx="bench",
        now=wall_clock,
        resolve=lambda _: None,
        history_of=lambda _: None,
    )
    running = asyncio.create_task(recorder.run())
    # One call first: what is loaded and allocated once does not count as a call's.
    await _calls(recorder, files, disk / "one.npy", 1, 4.0, 4.0)
    before = resource.getrusage(resource.RUSAGE_SELF)
    began = time.monotonic()
    memory = await _calls(recorder, files, disk / "all.npy", calls, seconds, speed)
    took = time.monotonic() - began
    after = resource.getrusage(resource.RUSAGE_SELF)
    running.cancel()
    await asyncio.wait([running])
    manifests = list(writer.folder.manifests())
    if len(manifests) != calls + 1:
        raise RuntimeError(f"{len(manifests)} segments were sealed of {calls + 1}")
    size = sum(path.with_suffix(".agebody").stat().st_size for path in manifests) / (calls * seconds + 4.0)
    user, system = after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime
    return {
        "us": (user + system) / (calls * seconds) * 1e6,
        "us_user": user / (calls * seconds) * 1e6,
        "us_system": system / (calls * seconds) * 1e6,
        "flac_us": flac_alone(disk / "all.npy", level),
        "ram_kib": (memory["peak"] - memory["before"]) / calls,
        "spool_kib": memory["spool"] / calls,
        "kbytes": size / 1000,
        "took": took,
        "load": load(),
    }


def flac_alone(bank: Path, level: int) -> float:
    """What FLAC itself costs here, us a call-second: one thread, nothing else between, sound in memory."""
    step = 32768
    sides = [[side.tobytes() for side in voice] for voice in np.load(bank)]
    encoders = [Encoder(rate=8000, level=level, comment="bench") for _ in sides]
    whole = len(sides[0][0]) // step * step
    before = time.thread_time()
    for at in range(0, whole, step):
        for encoder, (left, right) in zip(encoders, sides, strict=True):
            encoder.feed(left[at : at + step], right[at : at + step])
    return (time.thread_time() - before) / (len(sides) * whole / 16000) * 1e6


async def _calls(
    recorder: Recorder, files: _Files, bank: Path, calls: int, seconds: float, speed: float
) -> dict[str, float]:
    files.pairs.clear()
    orders = [_order(number) for number in range(calls)]
    for order in orders:
        recorder.arm(order)
    for order in orders:
        await recorder.armed(order.uniqueid)
        recorder.bridge(order.uniqueid, START, entered=True)
        recorder.talk(order.uniqueid, "2001", START)
    growing = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.growing", str(bank), str(seconds), str(speed), str(os.getpid()),
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    said, _ = await growing.communicate("".join(f"{left} {right}\n" for left, right in files.pairs).encode())
    for order in orders:
        recorder.ended(order.uniqueid, START + timedelta(seconds=seconds))
    while recorder.works:  # noqa: ASYNC110  # no part of the recorder tells when it is idle
        await asyncio.sleep(0.1)
    memory: dict[str, float] = json.loads(said)
    if memory["late"] > 1.0:
        raise RuntimeError(f"the sound came {memory['late']:.1f} s late: this machine cannot play so many calls")
    return memory


def _order(number: int) -> Order:
    return Order(
        channel=f"PJSIP/trunk-{number:08x}",
        uniqueid=f"{uuid4().int % 10**10}.{number}",
        linkedid=f"1.{number}",
        conversation=str(uuid4()),
        recording=str(uuid4()),
        number="0664581132",
        direction="in",
        caller="0901234567",
    )


def _voices(folder: Path, calls: int, seconds: float) -> None:
    """The sound, made by a process of its own: what that needs is not the recorder's."""
    made = multiprocessing.get_context("spawn").Process(target=_synthesise, args=(folder, min(calls, VOICES), seconds))
    made.start()
    made.join()


def _synthesise(folder: Path, voices: int, seconds: float) -> None:
    for name, number, length in (("one", 1, 4.0), ("all", voices, seconds)):
        np.save(folder / f"{name}.npy", np.array([conversation(seed, length) for seed in range(number)]))


def main() -> None:
    """See the module."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--speed", type=float, default=1.0)
    parser.add_argument("--level", type=int, default=5)
    parser.add_argument("--disk", type=Path, default=Path("/var/tmp"))  # a disk, not RAM
    given = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    with tempfile.TemporaryDirectory(dir=given.disk) as disk, tempfile.TemporaryDirectory(dir="/dev/shm") as ram:
        _voices(Path(disk), given.calls, given.seconds)
        found = asyncio.run(
            measure(
                calls=given.calls,
                seconds=given.seconds,
                speed=given.speed,
                level=given.level,
                disk=Path(disk),
                ram=Path(ram),
            )
        )
    print(json.dumps(found))


if __name__ == "__main__":
    main()
