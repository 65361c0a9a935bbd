"""How loud each side is, and how much it speaks."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.level import level

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
