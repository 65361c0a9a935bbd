"""How loud each side of a recording is over its length, and how much of it each side speaks. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

import numpy as np

LOUD: Final = 200
"""A frame of 20 ms is speech above this mean of |sample|: -44 dBFS. A quiet line has 10 to 40, a low voice 500."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """`left`, `right`: the highest |sample| of each of equal stretches, 0 to 1; `speech`: each side's share of time."""

    left: list[float]
    right: list[float]
    speech: tuple[float, float]


def level(blocks: Iterable[bytes], samples: int, rate: int, points: int) -> Level:
    """Of `samples` interleaved 16-bit pairs, given in blocks of any size."""
    peaks = np.zeros((2, points), dtype=np.int32)
    frame = rate // 50
    loud, frames, at = np.zeros(2), 0, 0
    rest = np.empty((0, 2), dtype=np.int32)
    for block in blocks:
        pairs = np.abs(np.frombuffer(block, dtype="<i2").reshape(-1, 2).astype(np.int32))
        places = (np.arange(at, at + len(pairs), dtype=np.int64) * points) // samples
        for side in (0, 1):
            np.maximum.at(peaks[side], np.minimum(places, points - 1), pairs[:, side])
        at += len(pairs)
        rest = np.concatenate([rest, pairs])
        whole = len(rest) // frame
        if whole:
            loud += (rest[: whole * frame].reshape(whole, frame, 2).mean(axis=1) > LOUD).sum(axis=0)
            frames += whole
            rest = rest[whole * frame :]
    left, right = ([round(float(peak) / 32768, 3) for peak in side] for side in peaks)
    shares = loud / max(frames, 1)
    return Level(left=left, right=right, speech=(round(float(shares[0]), 3), round(float(shares[1]), 3)))
