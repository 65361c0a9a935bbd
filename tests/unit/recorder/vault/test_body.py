"""Bodies on a real disk: layout, rights, order of calls, and what adoption refuses. Crashes: test_body_crash.py."""

import hashlib
import io
import os
import random
import stat
import threading
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.vault import age, body, stream, tail
from recorder.vault.disk import Disk
from recorder.vault.errors import BodyBusyError, BodyStateError, PayloadError, TailError
from recorder.vault.writer import TAIL_ROOM

KEY, NAME, CHUNK = bytes(range(16)), "b3f1.001", stream.CHUNK


def make(size: int, seed: int = 0) -> bytes:
    return random.Random(seed).randbytes(size)  # noqa: S311


def file(folder: Path, suffix: str = "agebody") -> Path:
    return folder / f"{NAME}.{suffix}"


def dead(folder: Path, *flushes: bytes) -> None:
    """Files of a writer that died after these flushes of 10 samples each."""
    writer = body.BodyWriter.create(folder, NAME, KEY)
    for number, data in enumerate(flushes):
        writer.flush(data, 10 * (number + 1))
    writer.abandon()


def test_header_and_body_are_an_age_file(tmp_path: Path) -> None:
    identity, plaintext = age.Identity.generate(), make(150_000)
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    for at in range(0, len(plaintext), 9000):
        writer.flush(plaintext[at : at + 9000], at)
    ended = writer.close()
    raw = file(tmp_path).read_bytes()
    assert (ended.size, ended.sha256, ended.nonce) == (len(raw), hashlib.sha256(raw).digest(), raw[:16])
    whole = io.BytesIO(age.wrap(KEY, [identity.recipient]) + raw)
    assert b"".join(stream.decrypt(whole, [identity])) == plaintext
    assert writer.close() == ended == body.adopt(tmp_path, NAME, KEY)


def test_files_are_ours_alone_and_new(tmp_path: Path) -> None:
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    assert sorted(path.name for path in tmp_path.iterdir()) == [
        f"{NAME}.{end}" for end in ("agebody", "tail0", "tail1")
    ]
    assert {stat.S_IMODE(path.stat().st_mode) for path in tmp_path.iterdir()} == {0o600}
    with pytest.raises(FileExistsError):
        body.BodyWriter.create(tmp_path, NAME, KEY)
    with pytest.raises(BodyBusyError):
        body.adopt(tmp_path, NAME, KEY)
    assert writer.close() == body.adopt(tmp_path, NAME, KEY)


def test_a_failed_create_leaves_nothing_of_its_own(tmp_path: Path) -> None:
    file(tmp_path, "tail1").write_bytes(b"not ours")
    with pytest.raises(FileExistsError):
        body.BodyWriter.create(tmp_path, NAME, KEY)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.tail1"]
    for name in ("", "../x", ".hidden"):
        with pytest.raises(BodyStateError):
            body.BodyWriter.create(tmp_path, name, KEY)


def test_a_full_chunk_is_held_back(tmp_path: Path) -> None:
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    writer.flush(make(CHUNK), 1)
    assert file(tmp_path).stat().st_size == 16
    writer.flush(b"x", 2)
    assert file(tmp_path).stat().st_size == 16 + stream.SEALED
    records, _ = tail.parse(tail.tail_key(KEY, writer.nonce), file(tmp_path, "tail1").read_bytes())
    assert [(record.chunk, record.data) for record in records] == [(1, b"x")]
    writer.abandon()


def test_records_are_written_over_what_is_there(tmp_path: Path) -> None:
    # A file that grows costs its file system a transaction a sync.
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    for count in range(1, 12):
        writer.flush(make(20_000, count), count)
        assert {file(tmp_path, end).stat().st_size for end in ("tail0", "tail1")} == {TAIL_ROOM}
    writer.abandon()
    assert body.adopt(tmp_path, NAME, KEY).samples == 11
    assert body.read_live(tmp_path, NAME, KEY) == b"".join(make(20_000, count) for count in range(1, 12))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 200_000), max_size=8))
def test_tails_stay_small_and_reading_live_sees_every_flush(sizes: list[int]) -> None:
    with TemporaryDirectory() as name:
        folder, disk = Path(name), Unsynced()
        writer = body.BodyWriter.create(folder, NAME, KEY, disk=disk)
        written = b""
        for number, size in enumerate(sizes):
            written += make(size, number)
            writer.flush(written[-size:], number)
            assert writer.samples == number
            assert body.read_live(folder, NAME, KEY) == written
            tails = sum(file(folder, end).stat().st_size for end in ("tail0", "tail1"))
            records = 40 * (len(sizes) + 8)  # what encloses them
            assert tails <= 2 * max(TAIL_ROOM, CHUNK + 200_000 + CHUNK) + records
        writer.close()
        assert body.read_live(folder, NAME, KEY) == written


class Unsynced(Disk):
    def sync(self, fd: int) -> None:
        """Nothing: no power is lost here."""


def test_reading_live_beside_a_writer_ends_with_a_flush(tmp_path: Path) -> None:
    flushes = [make(7001, seed) for seed in range(120)]
    ends = {sum(map(len, flushes[:count])) for count in range(len(flushes) + 1)}
    writer = body.BodyWriter.create(tmp_path, NAME, KEY, disk=Unsynced())

    def write() -> None:
        for at, data in enumerate(flushes):
            writer.flush(data, at)

    thread = threading.Thread(target=write)
    thread.start()
    seen = 0
    while thread.is_alive() or seen == 0:
        plaintext = body.read_live(tmp_path, NAME, KEY)
        assert len(plaintext) in ends
        assert seen <= len(plaintext)
        seen = len(plaintext)
    thread.join()
    assert body.read_live(tmp_path, NAME, KEY) == b"".join(flushes)
    writer.close()


def test_order_of_calls(tmp_path: Path) -> None:
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    writer.flush(b"head", 0)
    writer.flush(b"frame", 100)
    writer.flush(b"", 100)
    for data, samples in ((b"", 101), (b"frame", 99)):
        with pytest.raises(BodyStateError):
            writer.flush(data, samples)
    assert writer.close().samples == 100
    with pytest.raises(BodyStateError):
        writer.flush(b"more", 200)
    for _ in range(2):
        body.discard_tails(tmp_path, NAME)
    assert [path.name for path in tmp_path.iterdir()] == [f"{NAME}.agebody"]
    assert body.read_live(tmp_path, NAME, KEY) == b"headframe"
    with pytest.raises(TailError, match="manifest"):
        body.adopt(tmp_path, NAME, KEY)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 100_000), max_size=8))
def test_a_writer_knows_its_own_files(sizes: list[int]) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        writer = body.BodyWriter.create(folder, NAME, KEY, disk=Unsynced())
        assert writer.damaged() == []
        for number, size in enumerate(sizes):
            writer.flush(make(size, number), number)
            assert writer.damaged() == []
        writer.abandon()


def test_a_writer_names_the_file_that_was_touched(tmp_path: Path) -> None:
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    for number in range(9):
        writer.flush(make(20_000, number), number)
    whole = {path: path.read_bytes() for path in tmp_path.iterdir()}
    # 180,000 bytes: two chunks in the body, the third in tail0.
    sealed, current = file(tmp_path), file(tmp_path, "tail0")
    used = len(tail.parse(tail.tail_key(KEY, writer.nonce), whole[current])[0])
    assert used
    for path, places in ((sealed, [0, 16, 70_000, len(whole[sealed]) - 1]), (current, [0, 9, 17, 20_000, 40_000])):
        for at in places:
            flip(path, at)
            assert writer.damaged() == [path], at
            path.write_bytes(whole[path])
    for path in (sealed, current):
        path.write_bytes(whole[path][:30_000])
        assert writer.damaged() == [path]
        path.write_bytes(whole[path])
    # What will be written over does not count.
    flip(file(tmp_path, "tail1"), 100)
    assert writer.damaged() == []
    writer.flush(b"more", 10)
    assert writer.damaged() == []
    writer.close()
    assert writer.damaged() == []


def test_abandoned_is_over(tmp_path: Path) -> None:
    writer = body.BodyWriter.create(tmp_path, NAME, KEY)
    writer.abandon()
    with pytest.raises(BodyStateError):
        writer.flush(b"x", 1)
    with pytest.raises(BodyStateError):
        writer.close()


def test_no_body_no_adoption(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        body.adopt(tmp_path, NAME, KEY)
    assert list(tmp_path.iterdir()) == []


def test_a_body_without_a_nonce_becomes_an_empty_one(tmp_path: Path) -> None:
    file(tmp_path).write_bytes(b"torn")
    ended = body.adopt(tmp_path, NAME, KEY)
    assert (ended.samples, ended.size) == (0, 32)
    assert body.adopt(tmp_path, NAME, KEY) == ended
    with file(tmp_path).open("rb") as opened:
        assert stream.Reader(opened, KEY).read() == b""


@pytest.mark.parametrize("junk", [1, 17, 5000, 60_000])
def test_a_torn_chunk_is_cut_off(tmp_path: Path, junk: int) -> None:
    dead(tmp_path, make(70_000), b"end")
    with file(tmp_path).open("ab") as opened:
        opened.write(make(junk))
    ended = body.adopt(tmp_path, NAME, KEY)
    assert (ended.samples, ended.size) == (20, 16 + 70_003 + 32)
    assert file(tmp_path).stat().st_size == ended.size
    assert body.read_live(tmp_path, NAME, KEY) == make(70_000) + b"end"


def test_damage_that_the_tails_explain_is_mended(tmp_path: Path) -> None:
    dead(tmp_path, make(100_000), b"end")
    flip(file(tmp_path), 16 + 70)
    assert body.adopt(tmp_path, NAME, KEY).samples == 20
    assert body.read_live(tmp_path, NAME, KEY) == make(100_000) + b"end"


def test_damage_that_nothing_explains_changes_nothing(tmp_path: Path) -> None:
    dead(tmp_path, *[make(50_000, seed) for seed in range(6)])
    flip(file(tmp_path), 16 + 70)
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(PayloadError) as caught:
        body.adopt(tmp_path, NAME, KEY)
    assert caught.value.chunk == 0
    with pytest.raises(PayloadError):
        body.read_live(tmp_path, NAME, KEY)
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("lost", ["tail0", "tail1"])
@pytest.mark.parametrize("sizes", [[100], [70_000, 100], [70_000, 70_000]])
def test_a_lost_tail_is_no_empty_recording(tmp_path: Path, lost: str, sizes: list[int]) -> None:
    dead(tmp_path, *[make(size) for size in sizes])
    file(tmp_path, lost).unlink()
    size = file(tmp_path).stat().st_size
    with pytest.raises(TailError):
        body.adopt(tmp_path, NAME, KEY)
    assert file(tmp_path).stat().st_size == size


def test_tails_lost_but_sealed_chunks_are_read(tmp_path: Path) -> None:
    dead(tmp_path, make(150_000))
    for end in ("tail0", "tail1"):
        file(tmp_path, end).write_bytes(b"")
    assert body.read_live(tmp_path, NAME, KEY) == make(150_000)[: 2 * CHUNK]
    with pytest.raises(TailError):
        body.adopt(tmp_path, NAME, KEY)


def test_another_key_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    dead(tmp_path, make(70_000), b"end")
    before = {path: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(PayloadError):
        body.adopt(tmp_path, NAME, bytes(16))
    assert {path: path.read_bytes() for path in tmp_path.iterdir()} == before


def flip(path: Path, at: int) -> None:
    fd = os.open(path, os.O_RDWR)
    byte = os.pread(fd, 1, at)
    os.pwrite(fd, bytes([byte[0] ^ 1]), at)
    os.close(fd)
