"""Payloads: random access equals the plaintext, and every change to the bytes is an error that stays."""

import io
import random
from contextlib import suppress

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.vault import age, armor, stream
from recorder.vault.errors import ArmorError, HeaderError, KeyFormatError, PayloadError

CHUNK, SEALED = stream.CHUNK, stream.SEALED
KEY, NONCE = bytes(range(16)), bytes(range(16, 32))
SIZES = st.one_of(
    st.integers(0, 300),
    st.integers(CHUNK - 2, CHUNK + 2),
    st.integers(2 * CHUNK - 2, 2 * CHUNK + 2),
    st.integers(0, 4 * CHUNK),
)


def make(size: int) -> bytes:
    return random.Random(size).randbytes(size)  # noqa: S311


def seal(plaintext: bytes) -> bytes:
    key = stream.payload_key(KEY, NONCE)
    pieces = [plaintext[at : at + CHUNK] for at in range(0, max(1, len(plaintext)), CHUNK)]
    sealed = [stream.seal_chunk(key, at, piece, last=at == len(pieces) - 1) for at, piece in enumerate(pieces)]
    return NONCE + b"".join(sealed)


@settings(deadline=None)
@given(size=SIZES, steps=st.lists(st.tuples(st.sampled_from([0, 1, 2]), st.floats(-1, 1), st.integers(-1, 90_000))))
def test_reader_behaves_like_the_plaintext(size: int, steps: list[tuple[int, float, int]]) -> None:
    plaintext = make(size)
    reader, model = stream.Reader(io.BytesIO(b"head" + seal(plaintext)), KEY, 4), io.BytesIO(plaintext)
    assert reader.size == size
    for whence, share, length in steps:
        offset = int(share * (size + 10))
        if (0, model.tell(), size)[whence] + offset < 0:
            with pytest.raises(ValueError, match="before the start"):
                reader.seek(offset, whence)
        else:
            assert reader.seek(offset, whence) == model.seek(offset, whence)
        buffer = bytearray(max(0, length))
        assert reader.tell() == model.tell()
        assert reader.readinto(buffer) == len(expected := model.read(len(buffer)))
        assert buffer[: len(expected)] == expected
        assert reader.read(length) == model.read(length)
    reader.seek(0)
    assert reader.readall() == plaintext


def test_one_seek_reads_one_chunk() -> None:
    plaintext = make(3 * CHUNK)
    file = Counting(seal(plaintext))
    reader = stream.Reader(file, KEY)
    file.taken = 0
    for at in (CHUNK + 5, CHUNK + 600, 2 * CHUNK - 7):
        reader.seek(at)
        assert reader.read(7) == plaintext[at : at + 7]
    assert file.taken == SEALED


class Counting(io.BytesIO):
    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        data = super().read(min(size or 0, 5000))  # never all at once, as a raw file may do
        self.taken += len(data)
        return data


@settings(deadline=None)
@given(size=SIZES, data=st.data())
def test_every_change_is_noticed(size: int, data: st.DataObject) -> None:
    sealed = bytearray(seal(make(size)))
    at = data.draw(st.integers(0, len(sealed) - 1))
    sealed[at] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(PayloadError):
        stream.Reader(io.BytesIO(bytes(sealed)), KEY).read()


@settings(deadline=None)
@given(size=SIZES, data=st.data())
def test_every_cut_and_addition_is_noticed_at_once(size: int, data: st.DataObject) -> None:
    sealed = seal(make(size))
    cut = data.draw(st.one_of(st.integers(0, len(sealed) - 1), st.sampled_from(range(16, len(sealed), SEALED))))
    with pytest.raises((PayloadError, HeaderError)):
        stream.Reader(io.BytesIO(sealed[:cut]), KEY)
    more = data.draw(st.binary(min_size=1, max_size=50))
    with pytest.raises(PayloadError):
        stream.Reader(io.BytesIO(sealed + more), KEY)


def test_chunks_cannot_change_places() -> None:
    sealed = seal(make(3 * CHUNK))
    swapped = sealed[:16] + sealed[16 + SEALED : 16 + 2 * SEALED] + sealed[16 : 16 + SEALED] + sealed[16 + 2 * SEALED :]
    with pytest.raises(PayloadError) as caught:
        stream.Reader(io.BytesIO(swapped), KEY).read()
    assert caught.value.chunk == 0


def test_the_first_error_stays() -> None:
    sealed = bytearray(seal(make(3 * CHUNK)))
    sealed[16 + SEALED] ^= 1
    reader = stream.Reader(io.BytesIO(bytes(sealed)), KEY)
    assert reader.read(CHUNK) == make(3 * CHUNK)[:CHUNK]
    for position in (CHUNK, 0):
        reader.seek(position)
        with pytest.raises(PayloadError) as caught:
            reader.read(1)
        assert caught.value.chunk == 1
    assert reader.error is caught.value


def test_chunk_lengths_are_enforced() -> None:
    key = stream.payload_key(KEY, NONCE)
    for index, size, last in ((0, CHUNK + 1, True), (0, CHUNK - 1, False), (1, 0, True), (0, 0, False)):
        with pytest.raises(PayloadError):
            stream.seal_chunk(key, index, bytes(size), last)
    assert len(stream.seal_chunk(key, 0, b"", True)) == 16
    with pytest.raises(KeyFormatError):
        stream.payload_key(KEY, NONCE[1:])


def test_the_last_mark_matters() -> None:
    key = stream.payload_key(KEY, NONCE)
    for last in (False, True):
        sealed = stream.seal_chunk(key, 7, bytes(CHUNK), last)
        assert stream.open_chunk(key, 7, sealed, last) == bytes(CHUNK)
        for index, mark in ((7, not last), (8, last)):
            with pytest.raises(PayloadError):
                stream.open_chunk(key, index, sealed, mark)


@settings(deadline=None, max_examples=30)
@given(size=SIZES, armored=st.booleans())
def test_whole_files(size: int, armored: bool) -> None:
    identity, plaintext = age.Identity.generate(), make(size)
    file = stream.encrypt(plaintext, [identity.recipient])
    file = b"\n \t\r\n" + armor.encode(file) + b"\n\n" if armored else file
    assert b"".join(stream.decrypt(io.BytesIO(file), [identity])) == plaintext
    assert stream.Reader.open(io.BytesIO(file), [identity]).read() == plaintext
    if not armored:
        with pytest.raises(HeaderError):
            stream.decrypt(io.BytesIO(b"\n" + file), [identity])


@pytest.mark.parametrize("file", [b"", b"\n", b"\n" * 3_000_000, b"age-encryption.org/v1\n" * 100_000, bytes(100)])
def test_files_that_are_none(file: bytes) -> None:
    with pytest.raises(HeaderError):
        stream.decrypt(io.BytesIO(file), [age.Identity.generate()])


@given(st.binary(max_size=300))
def test_armor_round_trip(data: bytes) -> None:
    text = armor.encode(data)
    assert armor.decode(text) == data
    assert armor.decode(text.replace(b"\n", b"\r\n")) == data
    for wrong in (text[: len(text) // 2], b"x" + text, text + b"x", text.replace(b"\n", b"\n\n")):
        with pytest.raises(ArmorError):
            armor.decode(wrong)


def test_libsndfile_reads_and_seeks_through_it() -> None:
    flac, noise = io.BytesIO(), random.Random(1)  # noqa: S311
    samples = [[noise.randint(-9999, 9999), at % 9999] for at in range(80_000)]
    soundfile.write(flac, np.array(samples, dtype="int16"), 8000, format="FLAC", subtype="PCM_16")
    sealed = seal(flac.getvalue())
    with soundfile.SoundFile(stream.Reader(io.BytesIO(sealed), KEY)) as sound:
        assert sound.frames == len(samples)
        for at in (70_000, 100, 40_000):
            sound.seek(at)
            assert sound.read(50, dtype="int16").tolist() == samples[at : at + 50]


# The exception in libsndfile's callback cannot propagate; that it is lost there is why the reader latches it.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_damaged_recording_is_not_a_short_one() -> None:
    flac = io.BytesIO()
    noise = np.random.default_rng(1).integers(-9999, 9999, (80_000, 2), dtype="int16")
    soundfile.write(flac, noise, 8000, format="FLAC", subtype="PCM_16")
    sealed = bytearray(seal(flac.getvalue()))
    sealed[16 + SEALED + 100] ^= 1
    reader = stream.Reader(io.BytesIO(bytes(sealed)), KEY)
    with soundfile.SoundFile(reader) as sound, suppress(soundfile.LibsndfileError):
        assert len(sound.read(80_000)) < 80_000
    assert isinstance(reader.error, PayloadError)
    assert reader.error.chunk == 1
