"""A writer stopped at every system call, by a kill, a power loss or a bad disk: what is adopted, what was encrypted.

The disks here are real files; only the stopping, the loss of what was not synced, and the errors are arranged.
"""

import errno
import hashlib
import random
import struct
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import accumulate, count
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.vault import body, stream, tail
from recorder.vault.disk import Disk
from recorder.vault.errors import BodyStateError, PayloadError

pytestmark = pytest.mark.thorough

KEY = bytes(range(16))
NAME = "b3f1.001"
CHUNK = stream.CHUNK
CREATED = 9  # the first system call after those that make a body and its tails


class Stopped(BaseException):
    """The process died."""


@dataclass
class Attempts:
    """Every write that any process tried, whole, even where the disk took a part: (file, offset, bytes)."""

    writes: list[tuple[str, int, bytes]] = field(default_factory=list)

    def check(self, folder: Path) -> None:
        """One plaintext for each chunk and mark, one for each record; all under the nonce that the body has."""
        nonce = (folder / f"{NAME}.agebody").read_bytes()[: stream.NONCE_SIZE]
        payload, records = stream.payload_key(KEY, nonce), tail.tail_key(KEY, nonce)
        seen: dict[tuple[str, int, int], bytes] = {}
        for name, offset, data in self.writes:
            if name.endswith("agebody") and offset >= stream.NONCE_SIZE:
                pieces = list(chunks_of(payload, offset, data))
            elif ".tail" in name:
                pieces = list(records_of(records, data))
            else:
                continue
            for which, plaintext in pieces:
                assert seen.setdefault(which, plaintext) == plaintext, which


def chunks_of(key: ChaCha20Poly1305, offset: int, data: bytes) -> Iterator[tuple[tuple[str, int, int], bytes]]:
    assert (offset - stream.NONCE_SIZE) % stream.SEALED == 0
    first = (offset - stream.NONCE_SIZE) // stream.SEALED
    for number, at in enumerate(range(0, len(data), stream.SEALED)):
        sealed = data[at : at + stream.SEALED]
        for last in (False, True):
            try:
                yield ("chunk", first + number, last), stream.open_chunk(key, first + number, sealed, last)
                break
            except PayloadError:
                continue
        else:
            pytest.fail(f"chunk {first + number} was written with something else")


def records_of(key: ChaCha20Poly1305, data: bytes) -> Iterator[tuple[tuple[str, int, int], bytes]]:
    records, length = tail.parse(key, data)
    assert length == len(data)
    for record in records:
        yield ("record", record.chunk, record.sequence), struct.pack(">Q", record.samples) + record.data


class Shaky(Disk):
    """Stops before call number `stop` (a write does the part `torn` of itself), and does nothing any more after it."""

    def __init__(self, attempts: Attempts, stop: int | None = None, torn: float = 0.0, short: int = 1 << 30) -> None:
        self.attempts, self.stop, self.torn, self.short = attempts, stop, torn, short
        self.calls = 0
        self.names: dict[int, Path] = {}

    def tick(self) -> bool:
        self.calls += 1
        if self.stop is not None and self.calls > self.stop:
            raise Stopped
        return self.calls == self.stop

    def open(self, path: Path, *, create: bool = False, mode: int = 0o600) -> int:
        if self.tick():
            raise Stopped
        fd = super().open(path, create=create, mode=mode)
        self.names[fd] = path
        return fd

    def write_all(self, fd: int, data: bytes, offset: int) -> None:
        self.attempts.writes.append((self.names[fd].name, offset, data))
        super().write_all(fd, data, offset)

    def write(self, fd: int, data: memoryview, offset: int) -> int:
        if self.tick():
            super().write(fd, data[: int(len(data) * self.torn)], offset)
            raise Stopped
        return super().write(fd, data[: self.short], offset)

    def fill(self, fd: int, size: int) -> None:
        if self.tick():
            super().fill(fd, int(size * self.torn))
            raise Stopped
        super().fill(fd, size)

    def cut(self, fd: int, size: int) -> None:
        if self.tick():
            raise Stopped
        super().cut(fd, size)

    def sync(self, fd: int) -> None:
        if self.tick():
            raise Stopped

    def sync_folder(self, folder: Path) -> None:
        if self.tick():
            raise Stopped

    def remove(self, path: Path) -> None:
        if self.tick():
            raise Stopped
        super().remove(path)


class Power(Shaky):
    """Loses at the stop any part of what was not synced: of each 512-byte sector, the old bytes or the new ones."""

    def __init__(
        self, attempts: Attempts, durable: dict[Path, bytes], chance: random.Random, stop: int | None, torn: float
    ) -> None:
        super().__init__(attempts, stop, torn)
        self.durable, self.chance = durable, chance

    def sync(self, fd: int) -> None:
        super().sync(fd)
        self.durable[self.names[fd]] = self.names[fd].read_bytes()

    def lose(self) -> None:
        for path in set(self.names.values()):
            if path.exists():
                self.lose_file(path)

    def lose_file(self, path: Path) -> None:
        old, new = self.durable.get(path, b""), path.read_bytes()
        size = self.chance.choice([len(old), len(new)])
        sectors = [
            self.chance.choice([old, new])[at : at + 512].ljust(512, b"\0") for at in range(0, max(size, 1), 512)
        ]
        path.write_bytes(b"".join(sectors)[:size])
        self.durable[path] = path.read_bytes()


class Failing(Power):
    """Raises OSError at the calls `faults`; a failed sync loses what was not synced, as Linux does."""

    def __init__(self, attempts: Attempts, chance: random.Random, faults: set[int], torn: float) -> None:
        super().__init__(attempts, {}, chance, None, torn)
        self.faults = faults

    def write(self, fd: int, data: memoryview, offset: int) -> int:
        self.tick()
        if self.calls in self.faults:
            part = data[: int(len(data) * self.torn)]
            if not part:
                raise OSError(errno.ENOSPC, "full")
            return Disk.write(self, fd, part, offset)
        return Disk.write(self, fd, data, offset)

    def cut(self, fd: int, size: int) -> None:
        self.tick()
        if self.calls in self.faults:
            raise OSError(errno.EIO, "broken")
        Disk.cut(self, fd, size)

    def sync(self, fd: int) -> None:
        self.tick()
        if self.calls in self.faults:
            self.lose_file(self.names[fd])
            raise OSError(errno.EIO, "broken")
        self.durable[self.names[fd]] = self.names[fd].read_bytes()


@dataclass
class Run:
    """What a writer got through: flushes that returned, flushes that were begun, whether `close` returned."""

    returned: int = 0
    begun: int = 0
    ended: body.Ended | None = None


def make(sizes: Sequence[int]) -> list[bytes]:
    chance = random.Random(repr(sizes))  # noqa: S311
    return [chance.randbytes(size) for size in sizes]


def write(folder: Path, flushes: list[bytes], disk: Disk) -> Run:
    run = Run()
    writer = None
    with suppress(Stopped):
        writer = body.BodyWriter.create(folder, NAME, KEY, disk=disk)
        for number, data in enumerate(flushes):
            run.begun += 1
            writer.flush(data, 1000 * (number + 1))
            run.returned += 1
        run.ended = writer.close()
    if writer is not None:
        writer.abandon()
    return run


def check_adopted(folder: Path, flushes: list[bytes], run: Run, ended: body.Ended) -> None:
    """The body is an age payload that ends with a flush, and has every flush that returned."""
    file = folder / f"{NAME}.agebody"
    with file.open("rb") as opened:
        plaintext = stream.Reader(opened, KEY).read()
    ends = [0, *accumulate(len(data) for data in flushes)]
    assert len(plaintext) in ends[run.returned : run.begun + 1]
    assert plaintext == b"".join(flushes)[: len(plaintext)]
    assert ended.samples == 1000 * ends.index(len(plaintext))
    raw = file.read_bytes()
    assert (ended.size, ended.nonce) == (len(raw), raw[: stream.NONCE_SIZE])
    assert ended.sha256 == hashlib.sha256(raw).digest()
    assert body.read_live(folder, NAME, KEY) == plaintext
    assert run.ended is None or run.ended == ended


def born(folder: Path) -> bool:
    return (folder / f"{NAME}.agebody").exists()


SCENARIOS = {
    "nothing": [],
    "small": [100, 5000, 1],
    "across one end": [60_000, 9000, 300],
    "ends exactly full": [60_000, CHUNK - 60_000],
    "full, then more": [60_000, CHUNK - 60_000, 10, 20],
    "full, then a full one, then more": [CHUNK, CHUNK, 1],
    "first flush over two ends": [2 * CHUNK + 5, 7, 8],
    "first flush exactly two": [2 * CHUNK, 7],
    "over two ends from the middle": [100, 2 * CHUNK, 30, CHUNK, 40],
    "over three ends from full": [CHUNK, 3 * CHUNK + 17, 30, 2 * CHUNK, 5],
    "many": [40_000] * 9,
}


@pytest.mark.parametrize("sizes", SCENARIOS.values(), ids=SCENARIOS.keys())
@pytest.mark.parametrize("torn", [0.0, 0.4])
def test_killed_at_every_call(tmp_path: Path, sizes: list[int], torn: float) -> None:
    flushes = make(sizes)
    for stop in count(1):
        folder = tmp_path / str(stop)
        folder.mkdir()
        attempts = Attempts()
        run = write(folder, flushes, Shaky(attempts, stop, torn))
        if born(folder):
            before = body.read_live(folder, NAME, KEY)
            # Each adopter is killed one call later than the one before it, on the same files.
            for again in count(1):
                try:
                    ended = body.adopt(folder, NAME, KEY, disk=Shaky(attempts, again, torn))
                    break
                except Stopped:
                    assert body.read_live(folder, NAME, KEY) == before
            check_adopted(folder, flushes, run, ended)
            assert body.read_live(folder, NAME, KEY) == before
            assert body.adopt(folder, NAME, KEY) == ended
            attempts.check(folder)
        else:
            assert run.begun == 0
        if run.ended is not None:
            break


@pytest.mark.parametrize("name", ["across one end", "full, then a full one, then more", "over three ends from full"])
def test_power_lost_at_every_call(tmp_path: Path, name: str) -> None:
    flushes = make(SCENARIOS[name])
    for stop in count(CREATED):
        for seed in range(6):
            folder = tmp_path / f"{stop}-{seed}"
            folder.mkdir()
            attempts, chance = Attempts(), random.Random(seed)  # noqa: S311
            disk = Power(attempts, {}, chance, stop, seed / 5)
            run = write(folder, flushes, disk)
            if run.ended is not None:
                return
            disk.lose()
            check_adopted(folder, flushes, run, body.adopt(folder, NAME, KEY, disk=Shaky(attempts)))
            attempts.check(folder)


@pytest.mark.parametrize("name", ["small", "across one end", "first flush over two ends"])
def test_power_lost_while_a_killed_writer_is_adopted(tmp_path: Path, name: str) -> None:
    flushes = make(SCENARIOS[name])
    for stop in count(CREATED):
        for later in range(4, 10):
            for seed in range(3):
                folder = tmp_path / f"{stop}-{later}-{seed}"
                folder.mkdir()
                attempts, chance, durable = Attempts(), random.Random(seed), dict[Path, bytes]()  # noqa: S311
                run = write(folder, flushes, Power(attempts, durable, chance, stop, seed / 2))
                if run.ended is not None:
                    return
                disk = Power(attempts, durable, chance, later, seed / 2)
                with suppress(Stopped):
                    body.adopt(folder, NAME, KEY, disk=disk)
                disk.lose()
                check_adopted(folder, flushes, run, body.adopt(folder, NAME, KEY, disk=Shaky(attempts)))
                attempts.check(folder)


SIZES = st.lists(
    st.one_of(
        st.integers(1, 20_000),
        st.integers(CHUNK - 20_000, CHUNK + 3),
        st.integers(1, 4).map(lambda chunks: chunks * CHUNK),
        st.integers(CHUNK, 4 * CHUNK),
    ),
    max_size=6,
)


@settings(max_examples=120, deadline=None)
@given(sizes=SIZES, stop=st.integers(1, 60), torn=st.floats(0, 1), short=st.sampled_from([7001, 65_536, 1 << 30]))
def test_killed_anywhere(sizes: list[int], stop: int, torn: float, short: int) -> None:
    flushes = make(sizes)
    with TemporaryDirectory() as name:
        folder, attempts = Path(name), Attempts()
        run = write(folder, flushes, Shaky(attempts, stop, torn, short))
        if born(folder):
            check_adopted(folder, flushes, run, body.adopt(folder, NAME, KEY, disk=Shaky(attempts, short=short)))
            attempts.check(folder)


@settings(max_examples=150, deadline=None)
@given(
    sizes=SIZES.filter(bool),
    stop=st.integers(CREATED - 1, 60),
    torn=st.floats(0, 1),
    seed=st.integers(0, 1 << 32),
    again=st.lists(st.integers(1, 12), max_size=3),
    killed=st.booleans(),
)
def test_power_lost_anywhere(
    sizes: list[int], stop: int, torn: float, seed: int, again: list[int], killed: bool
) -> None:
    # Stronger than what happens: a power loss also takes the key, so that nobody adopts; here somebody does.
    flushes, chance = make(sizes), random.Random(seed)  # noqa: S311
    with TemporaryDirectory() as name:
        folder, attempts, durable = Path(name), Attempts(), dict[Path, bytes]()
        disk = Power(attempts, durable, chance, stop, torn)
        run = write(folder, flushes, disk)
        if not killed:  # else the power goes while a killed writer is adopted, with what it had not synced
            disk.lose()
        if not run.begun:
            return
        ends = list(accumulate([0, *map(len, flushes)]))[run.returned : run.begun + 1]
        assert len(body.read_live(folder, NAME, KEY)) in ends
        for later in again:
            disk = Power(attempts, durable, chance, later, torn)
            with suppress(Stopped):
                body.adopt(folder, NAME, KEY, disk=disk)
            disk.lose()
            assert len(body.read_live(folder, NAME, KEY)) in ends
        check_adopted(folder, flushes, run, body.adopt(folder, NAME, KEY, disk=Shaky(attempts)))
        attempts.check(folder)


@settings(max_examples=150, deadline=None)
@given(
    sizes=SIZES.filter(bool),
    faults=st.sets(st.integers(CREATED, 60), max_size=12),
    torn=st.floats(0, 1),
    seed=st.integers(0, 1 << 32),
    die=st.booleans(),
)
def test_a_failing_disk(sizes: list[int], faults: set[int], torn: float, seed: int, die: bool) -> None:
    flushes, attempts = make(sizes), Attempts()
    with TemporaryDirectory() as name:
        folder, run = Path(name), Run()
        disk = Failing(attempts, random.Random(seed), faults, torn)  # noqa: S311
        writer = body.BodyWriter.create(folder, NAME, KEY, disk=disk)
        failures = 0
        for number, data in enumerate(flushes):
            run.begun += 1
            while True:
                try:
                    writer.flush(data, 1000 * (number + 1))
                    break
                except OSError:
                    failures += 1
                    assert writer.failed
                    assert writer.samples == 1000 * number
                    if die:
                        break
            if writer.failed:
                break
            run.returned += 1
        if writer.failed:
            writer.abandon()
            ended = body.adopt(folder, NAME, KEY, disk=Shaky(attempts))
        else:
            while run.ended is None:
                try:
                    run.ended = writer.close()
                except OSError:
                    failures += 1
            ended = run.ended
        assert failures <= len(faults)
        check_adopted(folder, flushes, run, ended)
        attempts.check(folder)


def test_close_finishes_the_flush_that_failed(tmp_path: Path) -> None:
    attempts = Attempts()
    # Behind the first flush, which is two calls, the next one writes the other tail.
    writer = body.BodyWriter.create(
        tmp_path,
        NAME,
        KEY,
        disk=Failing(attempts, random.Random(1), {CREATED + 2}, 0.0),  # noqa: S311
    )
    first, second = make([50_000, 40_000])
    writer.flush(first, 1)
    with pytest.raises(OSError, match="full"):
        writer.flush(second, 2)
    with pytest.raises(BodyStateError):
        writer.flush(b"something else", 3)
    assert (writer.failed, writer.samples) == (True, 1)
    assert writer.close().samples == 2
    with (tmp_path / f"{NAME}.agebody").open("rb") as opened:
        assert stream.Reader(opened, KEY).read() == first + second
    attempts.check(tmp_path)
