"""The FLAC stream: only ever appended to, whole frames counted, accepted by the reference decoder."""

import hashlib
import io
import subprocess
from itertools import pairwise
from pathlib import Path

import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.audio import STREAMINFO_AT, STREAMINFO_SIZE, Encoder, cut_streaminfo
from recorder.errors import AudioError
from tests.unit.recorder.rig import interleave, noise

COMMENT = "recording=0198 segment=1"
LENGTH = 30_000
SIDES = {
    "noise": (noise("l", LENGTH), noise("r", LENGTH)),
    "silence": (bytes(2 * LENGTH), bytes(2 * LENGTH)),
    "one side": (noise("l", LENGTH), bytes(2 * LENGTH)),
    "extremes": (b"\xff\x7f" * LENGTH, b"\x00\x80" * LENGTH),
}
SPLITS = st.lists(st.integers(0, LENGTH), max_size=12).map(lambda cuts: sorted({0, *cuts, LENGTH}))


def overlaid(stream: bytes, streaminfo: bytes) -> bytes:
    return stream[:STREAMINFO_AT] + streaminfo + stream[STREAMINFO_AT + STREAMINFO_SIZE :]


def decode(stream: bytes) -> bytes:
    with soundfile.SoundFile(io.BytesIO(stream)) as sound:
        return bytes(sound.buffer_read(-1, "int16"))


def accepted(stream: bytes, folder: Path, *, strict: bool = True) -> None:
    (folder / "a.flac").write_bytes(stream)
    strictly = ["--warnings-as-errors"] if strict else []
    done = subprocess.run(
        ["flac", "--test", "--silent", *strictly, folder / "a.flac"], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("level", range(9))
@pytest.mark.parametrize("kind", SIDES)
@settings(max_examples=4, deadline=None)
@given(borders=SPLITS)
def test_whatever_the_writes_the_stream_decodes_to_the_same_samples(kind: str, level: int, borders: list[int]) -> None:
    left, right = SIDES[kind]
    encoder = Encoder(rate=8000, level=level, comment=COMMENT)
    stream = b"".join(encoder.feed(left[2 * a : 2 * b], right[2 * a : 2 * b]) for a, b in pairwise(borders))
    last, streaminfo = encoder.finish()
    whole = overlaid(stream + last, streaminfo)
    assert decode(whole) == interleave(left, right)
    assert int.from_bytes(streaminfo[10:18], "big") & (1 << 36) - 1 == LENGTH
    assert streaminfo[18:] == hashlib.md5(interleave(left, right), usedforsecurity=False).digest()


@pytest.mark.parametrize("kind", SIDES)
@pytest.mark.parametrize("rate", [8000, 16000])
def test_the_reference_decoder_accepts_it_without_a_warning(kind: str, rate: int, tmp_path: Path) -> None:
    left, right = SIDES[kind]
    encoder = Encoder(rate=rate, level=5, comment=COMMENT)
    stream = b"".join(encoder.feed(left[at : at + 8192], right[at : at + 8192]) for at in range(0, len(left), 8192))
    last, streaminfo = encoder.finish()
    accepted(overlaid(stream + last, streaminfo), tmp_path)
    with soundfile.SoundFile(io.BytesIO(overlaid(stream + last, streaminfo))) as sound:
        assert (sound.samplerate, sound.channels, sound.comment) == (rate, 2, COMMENT)


@pytest.mark.parametrize("level", [0, 2, 5, 8])
@pytest.mark.parametrize("kind", ["noise", "silence"])
@settings(max_examples=8, deadline=None)
@given(borders=SPLITS)
def test_samples_never_counts_more_than_the_bytes_so_far_decode_to(kind: str, level: int, borders: list[int]) -> None:
    left, right = SIDES[kind]
    encoder, stream, both = Encoder(rate=8000, level=level, comment=COMMENT), b"", interleave(left, right)
    for a, b in pairwise(borders):
        given_out = encoder.feed(left[2 * a : 2 * b], right[2 * a : 2 * b])
        stream += given_out
        assert encoder.samples <= b
        # libFLAC holds back at most one frame and a sample.
        assert b - encoder.samples <= 4096
        if encoder.samples:
            cut = overlaid(stream, cut_streaminfo(stream, encoder.samples))
            assert decode(cut) == both[: 4 * encoder.samples]


def test_a_stream_that_ended_at_a_flush_is_whole_to_the_reference_decoder(tmp_path: Path) -> None:
    left, right = SIDES["noise"]
    encoder = Encoder(rate=8000, level=5, comment=COMMENT)
    stream = encoder.feed(left[:50_000], right[:50_000])
    streaminfo = cut_streaminfo(stream, encoder.samples)
    assert encoder.samples == 25_000 // 4096 * 4096
    # The MD5 of a stream whose encoder died is not known, of which flac warns.
    accepted(overlaid(stream, streaminfo), tmp_path, strict=False)
    assert decode(overlaid(stream, streaminfo)) == interleave(left, right)[: 4 * encoder.samples]
    with soundfile.SoundFile(io.BytesIO(overlaid(stream, streaminfo))) as sound:
        assert (sound.samplerate, sound.frames) == (8000, encoder.samples)
    assert streaminfo[18:] == bytes(16)


def test_what_was_given_out_is_not_touched_by_the_end() -> None:
    encoder = Encoder(rate=8000, level=5, comment=COMMENT)
    head = encoder.feed(*SIDES["noise"])
    before = bytes(head)
    last, streaminfo = encoder.finish()
    assert head == before
    assert last.startswith(b"\xff\xf8")
    assert streaminfo != head[STREAMINFO_AT : STREAMINFO_AT + STREAMINFO_SIZE]


@pytest.mark.parametrize("head", [b"", b"fLaC", b"RIFF" + bytes(60), b"fLaC" + bytes(37)])
def test_what_is_no_flac_head_is_refused(head: bytes) -> None:
    with pytest.raises(AudioError, match="FLAC head"):
        cut_streaminfo(head, 5)
