"""A small vault, a spool in RAM and a hand that writes like Asterisk: shared by the tests of recorder and desk."""

import hashlib
import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import UUID, uuid5

import numpy as np

from policies.model import Recording
from recorder.replay import Part, Player, layout
from recorder.sealer import Sealer, Work
from recorder.spool import Spool
from recorder.take import History, Order, Take
from recorder.vault.age import Identity
from recorder.vault.folder import OUTBOXES, VaultFolder, Writer, manifests, segment_name
from recorder.vault.manifest import Manifest
from recorder.vault.note import Signer
from recorder.vault.slots import Slots

START = datetime(2026, 4, 1, 0, 0, tzinfo=UTC)
RATE = 8000
STEP = 32768  # Asterisk's own buffer for a file
RAM = Path("/dev/shm")
SEED = UUID("6f3c2a50-8d0e-4a55-9a57-0d6f4f0f2b11")
POLICY = Recording.model_validate(
    {
        "basis": "test",
        "decided_by": "test",
        "effective_from": "2026-04-01",
        "record_internal": True,
        "after_transfer": "stop",
        "rate": 8000,
        "flac_level": 5,
    }
)


def uuid(name: str) -> str:
    return str(uuid5(SEED, name))


def noise(seed: object, samples: int) -> bytes:
    """Sound that compresses badly, so that chunks of the vault fill fast; not the same for any two seeds."""
    return random.Random(f"{seed}").randbytes(2 * samples)  # noqa: S311  # sound, not a secret


def interleave(left: bytes, right: bytes) -> bytes:
    both = np.stack([np.frombuffer(left, "<i2"), np.frombuffer(right, "<i2")], axis=1)
    return both.tobytes()


# Of a call that the power failure cuts: 24 s, more than a chunk.
LEFT, RIGHT = noise("left", 24 * RATE), noise("right", 24 * RATE)


@contextmanager
def ram_folder() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="kikitori-test-", dir=RAM))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def order(name: str = "call", **changes: str | None) -> Order:
    values: dict[str, str | None] = {
        "channel": f"PJSIP/trunk-{hashlib.sha256(name.encode()).hexdigest()[:8]}",
        "uniqueid": f"1775001600.{int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)}",
        "linkedid": f"1775001600.{int(hashlib.sha256(name.encode()).hexdigest()[:6], 16)}",
        "conversation": uuid(f"{name} conversation"),
        "recording": uuid(name),
        "number": "0664581132",
        "direction": "in",
        "caller": "0312345678",
        "callee": "0664581132",
    }
    return Order(**values | changes)  # type: ignore[arg-type]


@dataclass
class Listener:
    """What the sealer tells."""

    names: list[str] = field(default_factory=list)
    dropped: list[tuple[str, str, int]] = field(default_factory=list)

    def sealed(self, name: str, manifest: Manifest) -> None:
        self.names.append(name)

    def discarded(self, take: Take, reason: str, samples: int) -> None:
        self.dropped.append((take.id, reason, samples))


def make_vault(root: Path) -> VaultFolder:
    for name in ("vault/segments", "vault/calls", "vault/held", "mirror", *(f"vault/outbox/{box}" for box in OUTBOXES)):
        (root / name).mkdir(parents=True)
    Slots.create(root / "vault/keys.slots", root / "mirror/keys.slots")
    return VaultFolder(root / "vault", root / "mirror")


class Rig:
    """Vault and spool of one installation; `life` builds what one process of the recorder has."""

    def __init__(
        self,
        root: Path,
        spool: Path,
        *,
        identity: Identity | None = None,
        signer: Signer | None = None,
        vault: VaultFolder | None = None,
    ):
        self.root = root
        self.vault = vault or make_vault(root)
        self.identity = identity or Identity.generate()
        self.signer = signer or Signer.generate("kikitori/pbx1/recorder")
        self.spool_root = spool
        for name in ("audio", "open"):
            (spool / name).mkdir(parents=True)
        self.told = Listener()
        self.known: dict[str, History] = {}  # what Asterisk itself wrote down of channels

    def writer(self) -> Writer:
        return Writer(self.vault, to=lambda: (1, self.identity.recipient), signer=self.signer)

    def life(self, policy: Recording = POLICY) -> "Life":
        return Life(self, policy)

    def player(self) -> Player:
        return Player(self.vault, lambda _epoch: (self.identity,))

    def parts(self, recording: str) -> list[Part]:
        return layout(manifests(self.vault, [self.signer.verifier], recording))

    def sound(self, recording: str) -> bytes:
        """The whole recording, interleaved."""
        parts = self.parts(recording)
        return b"".join(self.player().joined(parts, 0, sum(part.manifest.frames for part in parts)))


class Life:
    """One process of the recorder, as far as sealing goes."""

    def __init__(self, rig: Rig, policy: Recording) -> None:
        self.spool = Spool(rig.spool_root)
        self.sealer = Sealer(
            self.spool,
            rig.writer(),
            policy,
            pbx="pbx1",
            now=lambda: START + timedelta(hours=1),
            told=rig.told,
            history_of=rig.known.get,
        )
        self.works: list[Work] = []

    def begin(self, take: Take) -> Work:
        self.spool.save(take)
        self.works.append(Work(take))
        return self.works[-1]

    def recover(self) -> list[Work]:
        for values in self.spool.saved():
            self.works.append(Work(Take.from_dict(values), inherited=True))
        return self.works

    def die(self) -> None:
        """What the kernel does for a process that was killed: locks and descriptors go, nothing is written."""
        for work in self.works:
            if work.segment is not None:
                work.segment._body.abandon()
        for handle in self.spool._files.values():
            os.close(handle)
        self.spool._files.clear()


class MixMonitor:
    """Two growing files, written in steps as Asterisk does."""

    def __init__(self, spool: Path, stem: str, left: bytes, right: bytes, extension: str = "sln") -> None:
        self.paths = [spool / "audio" / f"{stem}-{side}.{extension}" for side in "rt"]
        self.rest = [left, right]

    def write(self, left: int = STEP, right: int = STEP) -> bool:
        """Append so many bytes to each side; whether there is more."""
        for number, count in enumerate((left, right)):
            if count and (data := self.rest[number][:count]):
                with self.paths[number].open("ab") as file:
                    file.write(data)
                self.rest[number] = self.rest[number][count:]
        return any(self.rest)


def take(name: str = "call", *, joined: bool = True, entered: datetime | None = START, rate: int = RATE) -> Take:
    """A take whose hooked channel came into a bridge at `entered`."""
    made = Take(id=uuid(f"{name} take").replace("-", ""), starter="am", rate=rate, order=order(name), joined=joined)
    if entered is not None:
        made.enter(entered)
    return made


def run(life: Life, work: Work, *, closed: bool = True) -> None:
    """Step until nothing is left to do."""
    work.closed = work.closed or closed
    while life.sealer.step(work):
        pass


def record(rig: Rig, name: str, left: bytes, right: bytes, *, breaks: int = 0) -> Take:
    """A whole recording of `breaks` + 1 segments, as after so many restarts in good order."""
    made = take(name)
    monitor = MixMonitor(rig.spool_root, made.stem, left, right)
    life = rig.life()
    work = life.begin(made)
    size = max(len(left), len(right)) // (breaks + 1) // 2 * 2
    for _ in range(breaks):
        monitor.write(size, size)
        run(life, work, closed=False)
        life.sealer.seal(work, "recorder stopped in good order")
    monitor.write(len(left), len(right))
    made.leave(START + timedelta(seconds=len(left) / 2 / made.rate))
    run(life, work)
    with suppress(FileNotFoundError):
        life.die()
    return made


def lose_power(rig: Rig, steps: int = 8, name: str = "call") -> tuple[Take, str, int]:
    """A call in its middle when the power fails: (take, segment, samples that were synced)."""
    made = take(name)
    monitor = MixMonitor(rig.spool_root, made.stem, LEFT, RIGHT)
    life = rig.life()
    work = life.begin(made)
    synced = 0
    for _ in range(steps):
        monitor.write()
        while life.sealer.step(work):
            pass
        assert work.segment is not None
        synced = work.segment.synced
    life.die()
    forget_ram(rig)
    return made, segment_name(made.order.recording, 1), synced


def forget_ram(rig: Rig) -> None:
    """What RAM does when the power fails."""
    for folder in (rig.spool_root / "audio", rig.spool_root / "open"):
        for path in folder.iterdir():
            path.unlink()
