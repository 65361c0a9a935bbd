"""What is planted is found, by call, side and second; what is random or sealed is not."""

import io
import os
import subprocess
from pathlib import Path

import numpy as np
import pyrage  # type: ignore[import-untyped]
import pytest
import soundfile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cti.demo.plaintext import Find, Hunter, PlaintextError, alaw_encode, needles_for
from cti.demo.tones import PREAMBLE, Samples, Side, reference, ulaw_encode
from recorder.audio import Encoder

pytestmark = pytest.mark.thorough

LEAD = round(PREAMBLE * 8000)
SECONDS = 12.0
SIDES: tuple[Side, Side] = ("caller", "callee")
SAID = {(call, side): reference(call, side, SECONDS) for call in (7, 321) for side in SIDES}
HUNTER = Hunter(needles_for((call, side, SECONDS) for call, side in SAID))
IMAGE = 200_000
FORMS = {
    "PCM s16le, one side": 2,
    "PCM s16be, one side": 2,
    "PCM s16le, interleaved": 4,
    "PCM s16be, interleaved": 4,
    "u-law": 1,
    "A-law": 1,
}

calls = st.sampled_from(sorted(SAID))
seeds = st.integers(0, 2**32 - 1)
starts = st.integers(LEAD, len(SAID[7, "caller"]) - 8000)


def rewrite(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def noise(size: int, seed: int = 1) -> bytes:
    return np.random.default_rng(seed).bytes(size)


def form(what: str, said: Samples, *, other_first: bool, seed: int) -> bytes:
    """The bytes of one side; of two, the other is noise."""
    if what == "u-law":
        return ulaw_encode(said)
    if what == "A-law":
        file = io.BytesIO()
        soundfile.write(file, said, 8000, format="RAW", subtype="ALAW")
        return file.getvalue()
    words = said.astype("<i2" if "s16le" in what else ">i2")
    if "one side" in what:
        return words.tobytes()
    both = np.frombuffer(noise(4 * len(said), seed + 1), dtype=words.dtype).reshape(-1, 2).copy()
    both[:, int(other_first)] = words
    return both.tobytes()


def flac(call: int, seconds: float = SECONDS) -> bytes:
    encoder = Encoder(rate=8000, level=5, comment="test")
    size = round(seconds * 8000)
    data = encoder.feed(*(SAID[call, side][:size].tobytes() for side in SIDES))
    return data + encoder.finish()[0]


def frames(data: bytes) -> list[int]:
    """Where this stream's frames begin, told by the numbers they carry."""
    found, at = [], 0
    for number in range(12 * 8000 // 4096):
        at = next(
            place
            for place in range(at + 1, len(data))
            if data[place : place + 3] == b"\xff\xf8\xc4" and data[place + 4] == number
        )
        found.append(at)
    return found


def covers(find: Find, call: int, side: Side, first: int, length: int) -> bool:
    return (
        (find.call, find.side) == (call, side)
        and find.second is not None
        and abs(find.second * 8000 - first) <= 8  # noise beside it may agree by chance
        and abs(find.samples - length) <= 16
    )


@given(
    what=st.sampled_from(sorted(FORMS)), who=calls, first=starts, other_first=st.booleans(), seed=seeds, data=st.data()
)
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_second_in_any_form_at_any_byte(
    tmp_path: Path,
    what: str,
    who: tuple[int, Side],
    first: int,
    other_first: bool,
    seed: int,
    data: st.DataObject,
) -> None:
    planted = form(what, SAID[who][first : first + 8000], other_first=other_first, seed=seed)
    at = data.draw(st.integers(0, IMAGE - len(planted)), label="at")
    image = bytearray(noise(IMAGE, seed))
    image[at : at + len(planted)] = planted
    finds = HUNTER.scan(rewrite(tmp_path / "image", bytes(image)))
    assert [find.what for find in finds] == [what]
    assert covers(finds[0], *who, first, 8000)
    begins = at + (2 if other_first and "interleaved" in what else 0)
    assert finds[0].second is not None
    assert finds[0].offset - begins == round(finds[0].second * 8000 - first) * FORMS[what]


@given(what=st.sampled_from(sorted(FORMS)), who=calls, first=starts, seed=seeds)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_one_page_among_sealed_ones(tmp_path: Path, what: str, who: tuple[int, Side], first: int, seed: int) -> None:
    page = form(what, SAID[who][first : first + 4096], other_first=False, seed=seed)[:4096]
    image = noise(40960, seed) + page + noise(40960, seed + 2)
    finds = HUNTER.scan(rewrite(tmp_path / "image", image))
    assert [find.what for find in finds] == [what]
    assert covers(finds[0], *who, first, 4096 // FORMS[what])


@pytest.mark.parametrize("what", sorted(FORMS))
def test_a_whole_side_is_one_find_across_chunks(tmp_path: Path, what: str) -> None:
    at = (4 << 20) - 20_001
    planted = form(what, SAID[7, "callee"], other_first=False, seed=3)
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(at) + planted + noise(5 << 20, 2)))
    assert [find.what for find in finds] == [what]
    assert covers(finds[0], 7, "callee", LEAD, len(SAID[7, "callee"]) - LEAD)
    assert str(finds[0]).startswith(f"{what} at byte {at + LEAD * FORMS[what]}: call 7, callee, from 0.500 s, 11.")


def test_both_sides_interleaved_are_two_finds(tmp_path: Path) -> None:
    both = np.stack([SAID[321, side] for side in SIDES], axis=1).astype("<i2").tobytes()
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(333) + both))
    assert {(find.call, find.side, find.offset) for find in finds} == {
        (321, "caller", 333 + LEAD * 4),
        (321, "callee", 335 + LEAD * 4),
    }


def test_samples_of_32_bits_as_codecs_hold_them(tmp_path: Path) -> None:
    wide = SAID[7, "caller"].astype("<i4").tobytes()
    finds = HUNTER.scan(rewrite(tmp_path / "core", noise(4097) + wide))
    assert [(find.what, find.call, find.side) for find in finds] == [("PCM s16le, interleaved", 7, "caller")]


@given(at=st.integers(0, 300_000), seed=seeds)
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_flac_file(tmp_path: Path, at: int, seed: int) -> None:
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(at, seed) + flac(7) + noise(300_000 - at, seed + 1)))
    assert finds[0].what == "FLAC head"
    assert finds[0].offset == at
    named = [find for find in finds if find.what == "FLAC frames" and find.call is not None]
    assert {(find.call, find.side) for find in named} == {(7, "caller"), (7, "callee")}
    # the first frame holds 96 samples that are not silence: too few for a name
    assert all(covers(find, 7, find.side or "caller", 4096, 96000 - 4096) for find in named)


@pytest.mark.parametrize(("level", "first"), [("-0", LEAD), ("-5", 4096), ("-8", 4096)])
def test_a_flac_file_of_the_flac_program_in_mono(tmp_path: Path, level: str, first: int) -> None:
    raw = rewrite(tmp_path / "raw", SAID[321, "caller"].tobytes())
    options = ["--silent", "--endian=little", "--sign=signed", "--channels=1", "--bps=16", "--sample-rate=8000"]
    subprocess.run(["flac", level, *options, "--force-raw-format", "-o", tmp_path / "flac", raw], check=True)
    raw.unlink()
    found = HUNTER.scan_tree(tmp_path)
    assert list(found) == [tmp_path / "flac"]
    heads = [find for find in found[tmp_path / "flac"] if find.what == "FLAC head"]
    named = [find for find in found[tmp_path / "flac"] if find.call is not None]
    assert [find.offset for find in heads] == [0]
    assert len(named) == 1
    assert covers(named[0], 321, "caller", first, 96000 - first)


def test_one_frame_without_its_file_is_named(tmp_path: Path) -> None:
    stream = flac(321)
    begins = frames(stream)
    for number in (1, 9):
        frame = stream[begins[number] : begins[number + 1]]
        finds = HUNTER.scan(rewrite(tmp_path / "image", noise(70_001) + frame + noise(70_000, 2)))
        assert {(find.what, find.call, find.side) for find in finds} == {
            ("FLAC frames", 321, "caller"),
            ("FLAC frames", 321, "callee"),
        }
        assert all(covers(find, 321, find.side or "caller", number * 4096, 4096) for find in finds)
        assert {find.offset for find in finds} == {70_001}


def test_a_frame_that_is_cut_counts_by_its_header(tmp_path: Path) -> None:
    stream = flac(321)
    begins = frames(stream)
    page = stream[begins[5] - 1000 : begins[5] + 3096]
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(40_960) + page + noise(40_960, 2)))
    assert finds == [
        Find(offset=41_960, what="FLAC frame, cut", call=None, side=None, second=None, samples=0),
    ]


@given(begin=st.floats(0, 1), seed=seeds)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_second_of_a_flac_stream(tmp_path: Path, begin: float, seed: int) -> None:
    stream = flac(7)
    begins = frames(stream)
    talk = stream[begins[1] : begins[22]]
    second = len(talk) * 8000 // (21 * 4096)
    at = round(begin * (len(talk) - second))
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(50_001, seed) + talk[at : at + second] + noise(50_000, 2)))
    assert finds
    assert all(50_001 <= find.offset < 50_001 + second for find in finds)


def test_flac_of_other_sound_is_found_without_a_name(tmp_path: Path) -> None:
    sound = np.random.default_rng(5).integers(-9000, 9000, (48000, 2), dtype=np.int16)
    soundfile.write(tmp_path / "other", sound, 44100, format="FLAC", subtype="PCM_16")
    data = (tmp_path / "other").read_bytes()
    finds = HUNTER.scan(rewrite(tmp_path / "image", noise(5000) + data))
    assert [(find.what, find.call) for find in finds] == [("FLAC head", None), ("FLAC frames", None)]
    assert "at byte 5000" in str(finds[0])


def test_random_bytes_hold_nothing(tmp_path: Path) -> None:
    assert HUNTER.scan(rewrite(tmp_path / "image", noise(64 << 20))) == []


def test_sealed_flac_holds_nothing(tmp_path: Path) -> None:
    to = [pyrage.x25519.Identity.generate().to_public()]
    sealed = b"".join(pyrage.encrypt(flac(call), to) for call in (7, 321) for _ in range(20))
    assert HUNTER.scan(rewrite(tmp_path / "image", sealed)) == []


def test_calls_that_are_not_looked_for_and_silence_are_not_found(tmp_path: Path) -> None:
    other = reference(99, "caller", 30).tobytes()
    for data in (other, bytes(1 << 20), b"\xff" * (1 << 20), b"\xd5" * (1 << 20), SAID[7, "caller"][:LEAD].tobytes()):
        assert HUNTER.scan(rewrite(tmp_path / "image", data)) == []


def test_holes_are_skipped_and_what_lies_between_is_found(tmp_path: Path) -> None:
    image = tmp_path / "image"
    said = SAID[7, "caller"][40_000:48_000].tobytes()
    with image.open("wb") as file:
        file.truncate(1 << 40)  # 1 TiB, which no test could read
        for at in (4096 * 1001 + 77, (1 << 39) + 13):
            os.pwrite(file.fileno(), said, at)
    finds = HUNTER.scan(image)
    assert [find.offset for find in finds] == [4096 * 1001 + 77, (1 << 39) + 13]
    assert all(covers(find, 7, "caller", 40_000, 8000) for find in finds)


def test_a_tree_names_the_files_and_leaves_out_what_it_is_told(tmp_path: Path) -> None:
    for place in ("vault/a/b", "spool"):
        (tmp_path / place).mkdir(parents=True)
    leak = rewrite(tmp_path / "vault/a/b/leak", noise(99) + ulaw_encode(SAID[7, "callee"]))
    in_ram = rewrite(tmp_path / "spool/take.raw", SAID[7, "caller"].tobytes())
    rewrite(tmp_path / "vault/sealed", noise(9999))
    (tmp_path / "link").symlink_to(leak)
    (tmp_path / "loop").symlink_to(tmp_path)
    os.mkfifo(tmp_path / "fifo")
    rewrite(tmp_path / "empty", b"")
    assert list(HUNTER.scan_tree(tmp_path)) == [in_ram, leak]
    assert list(HUNTER.scan_tree(tmp_path, skip=[tmp_path / "spool"])) == [leak]
    with pytest.raises(FileNotFoundError):
        HUNTER.scan_tree(tmp_path / "missing")


def test_a_search_for_nothing_is_refused() -> None:
    for sides in ([], [(7, "caller", 0.4)], [(7, "caller", 9.0), (7, "callee", 0.6)]):
        with pytest.raises(PlaintextError, match="half a second of sound"):
            Hunter(needles_for(sides))  # type: ignore[arg-type]


def test_alaw_is_what_libsndfile_makes_of_it_but_for_the_smallest() -> None:
    said = SAID[7, "caller"]
    loud = np.abs(said.astype(np.int32)) > 120
    theirs = np.frombuffer(form("A-law", said, other_first=False, seed=0), dtype=np.uint8)
    assert np.array_equal(alaw_encode(said)[loud], theirs[loud])
