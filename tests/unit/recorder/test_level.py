"""How loud each side is, and how much it speaks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recorder.level import POINTS, Meter, joined, level
from recorder.vault.manifest import Loudness

RATE = 8000


def pairs(left: np.ndarray, right: np.ndarray) -> bytes:
    return np.stack([left, right], axis=1).astype("<i2").tobytes()


def test_who_speaks_when() -> None:
    """The left side in the first half, the right one in the last quarter; both lines have a hum of 20."""
    hum = np.where(np.arange(4 * RATE) % 2, 20, -20)
    voice = np.where(np.arange(4 * RATE) % 2, 8192, -8192)
    left, right = hum.copy(), hum.copy()
    left[: 2 * RATE] = voice[: 2 * RATE]
    right[3 * RATE :] = voice[3 * RATE :]
    found = level([pairs(left, right)], 4 * RATE, RATE, 4)
    assert found.left == [0.25, 0.25, 0.001, 0.001]
    assert found.right == [0.001, 0.001, 0.001, 0.25]
    assert found.speech == (0.5, 0.25)


@given(st.lists(st.integers(1, 5000), min_size=1, max_size=8), st.integers(1, 50), st.integers(0, 2**32 - 1))
def test_blocks_of_any_size_give_the_same(sizes: list[int], points: int, seed: int) -> None:
    sound = np.random.default_rng(seed).integers(-32768, 32768, (sum(sizes), 2)).astype("<i2")
    edges = np.cumsum([0, *sizes])
    blocks = [sound[begin:end].tobytes() for begin, end in pairwise(edges)]
    whole = level([sound.tobytes()], len(sound), RATE, points)
    assert level(blocks, len(sound), RATE, points) == whole
    assert max(whole.left) == pytest.approx(np.abs(sound[:, 0].astype(int)).max() / 32768, abs=0.001)


def test_the_loudest_sample_there_is() -> None:
    found = level([pairs(np.full(160, -32768), np.zeros(160))], 160, RATE, 1)
    assert (found.left, found.right) == ([1.0], [0.0])
    assert found.speech == (1.0, 0.0)


# --- measured while it is written -------------------------------------------------------------------------------------


def tone(height: int, seconds: float) -> np.ndarray:
    return np.where(np.arange(round(seconds * RATE)) % 2, height, -height).astype("<i2")


def measured(left: np.ndarray, right: np.ndarray, *sizes: int) -> Loudness | None:
    """Fed in pieces of these sizes, over and over; none: in one."""
    meter, at, turns = Meter(RATE), 0, 0
    while at < len(left):
        size = sizes[turns % len(sizes)] if sizes else len(left)
        meter.hear(left[at : at + size].tobytes(), right[at : at + size].tobytes())
        at, turns = at + size, turns + 1
    return meter.loudness


def test_a_segment_is_measured_while_it_is_written() -> None:
    left = np.concatenate([tone(16384, 2), tone(20, 2)])  # half as loud as can be: 15 bits; a hum: 5 bits
    right = np.concatenate([tone(20, 3), tone(255, 1)])
    found = measured(left, right, 3000)
    assert found == Loudness(left="ff55", right="5558", speech=(0.5, 0.25))


@pytest.mark.parametrize(("height", "share"), [(10, 0.0), (40, 0.0), (190, 0.0), (210, 1.0), (500, 1.0), (8000, 1.0)])
def test_a_quiet_line_is_no_speech_and_a_low_voice_is(height: int, share: float) -> None:
    found = measured(tone(height, 2), tone(40, 2))
    assert found is not None
    assert found.speech == (share, 0.0)


def test_of_nothing_there_is_no_loudness() -> None:
    assert Meter(RATE).loudness is None


def test_the_loudest_sample_has_a_digit_and_silence_has_none() -> None:
    found = measured(np.full(RATE, -32768, "<i2"), np.zeros(RATE, "<i2"))
    assert found == Loudness(left="f", right="0", speech=(1.0, 0.0))


@given(st.integers(1, 200 * RATE // 8), st.lists(st.integers(1, 3 * RATE), min_size=1, max_size=4), st.integers(0, 99))
@settings(deadline=None)
def test_pieces_of_any_size_measure_the_same(samples: int, sizes: list[int], seed: int) -> None:
    left, right = np.random.default_rng(seed).integers(-32768, 32768, (2, samples)).astype("<i2")
    whole = measured(left, right)
    assert measured(left, right, *sizes) == whole
    assert whole is not None
    assert len(whole.left) == min(POINTS, -(-samples // RATE))
    interleaved = np.stack([left, right], axis=1).tobytes()
    assert whole.speech == level([interleaved], samples, RATE, 1).speech, "as a listener is told"


def test_an_hour_has_no_more_stretches_than_a_minute_and_misses_no_peak() -> None:
    left = tone(20, 3600)
    left[1799 * RATE] = 32767
    found = measured(left, tone(20, 3600), 10 * RATE)
    assert found is not None
    assert (len(found.left), found.left.count("f"), found.left[11]) == (POINTS, 1, "f")


def loudness(left: str, right: str, *speech: float) -> Loudness:
    return Loudness(left=left, right=right, speech=(speech[0], speech[1]))


def test_segments_are_joined_by_their_lengths() -> None:
    found = joined([(36.0, loudness("f" * POINTS, "1" * POINTS, 0.9, 0.1)), (12.0, loudness("5", "a", 0.1, 0.5))])
    assert found == loudness("f" * 18 + "5" * 6, "1" * 18 + "a" * 6, 0.7, 0.2)


def test_of_one_that_was_not_measured_there_is_a_blank() -> None:
    known = loudness("ff", "ff", 0.5, 0.25)
    assert joined([(10.0, None), (10.0, known)]) == loudness("0" * 12 + "f" * 12, "0" * 12 + "f" * 12, 0.5, 0.25)
    assert joined([(10.0, None)]) is None
    assert joined([]) is None
    assert joined([(0.0, known), (10.0, None)]) is None
    assert joined([(10.0, known)]) == known


@given(
    st.lists(
        st.tuples(
            st.floats(0.01, 4000),
            st.none()
            | st.builds(
                lambda pair, shares: Loudness(left=pair[0], right=pair[1], speech=shares),
                st.integers(1, POINTS).flatmap(
                    lambda size: st.tuples(*2 * [st.text("0123456789abcdef", min_size=size, max_size=size)])
                ),
                st.tuples(st.floats(0, 1), st.floats(0, 1)),
            ),
        ),
        max_size=6,
    )
)
def test_whatever_is_joined_is_as_a_manifest_takes_it(parts: list[tuple[float, Loudness | None]]) -> None:
    found = joined(parts)
    assert (found is None) == all(one is None for _, one in parts)
    if found is not None and len(parts) > 1:
        assert len(found.left) == len(found.right) == POINTS
        loudest = max(max(one.left) for _, one in parts if one)
        assert max(found.left) == loudest, "no peak is lost"
        assert all(0 <= share <= 1 for share in found.speech)
