"""How loud each side of a recording is over its length, and how much of it each side speaks. Pure."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from recorder.vault.manifest import Loudness

LOUD: Final = 200
"""A frame of 20 ms counts as speech above this mean of |sample|: -44 dBFS. A quiet line has 10 to 40, a low voice 500;
music on hold, a ringing tone and a fax are as loud as speech and count too."""

POINTS: Final = 24
"""Stretches of a small picture."""

_DIGITS: Final = "0123456789abcdef"


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """`left`, `right`: the highest |sample| of each of equal stretches, 0 to 1; `speech`: each side's share of time."""

    left: list[float]
    right: list[float]
    speech: tuple[float, float]


class _Speech:
    """Counts the frames of one side that are speech."""

    def __init__(self, rate: int) -> None:
        self._frame, self._rest = rate // 50, np.empty(0, dtype=np.uint16)
        self.loud, self.frames = 0, 0

    def hear(self, size: npt.NDArray[np.uint16]) -> None:
        """|sample| of the next piece."""
        size = np.concatenate([self._rest, size]) if len(self._rest) else size
        whole = len(size) // self._frame
        if whole:
            sums = size[: whole * self._frame].reshape(whole, self._frame).sum(axis=1, dtype=np.uint32)
            self.loud += int(np.count_nonzero(sums > LOUD * self._frame))
            self.frames += whole
        self._rest = size[whole * self._frame :]

    @property
    def share(self) -> float:
        """Of the frames so far."""
        return round(self.loud / max(self.frames, 1), 3)


def _sizes(sound: bytes) -> npt.NDArray[np.uint16]:
    """|sample| of 16-bit sound: -32768 has a size, too."""
    found: npt.NDArray[np.uint16] = np.abs(np.frombuffer(sound, dtype="<i2")).view(np.uint16)
    return found


def level(blocks: Iterable[bytes], samples: int, rate: int, points: int) -> Level:
    """Of `samples` interleaved 16-bit pairs, given in blocks of any size."""
    peaks = np.zeros((2, points), dtype=np.int32)
    sides = _Speech(rate), _Speech(rate)
    at = 0
    for block in blocks:
        pairs = _sizes(block).reshape(-1, 2)
        places = np.minimum((np.arange(at, at + len(pairs), dtype=np.int64) * points) // samples, points - 1)
        for side in (0, 1):
            np.maximum.at(peaks[side], places, pairs[:, side])
            sides[side].hear(np.ascontiguousarray(pairs[:, side]))
        at += len(pairs)
    left, right = ([round(float(peak) / 32768, 3) for peak in side] for side in peaks)
    return Level(left=left, right=right, speech=(sides[0].share, sides[1].share))


class Meter:
    """Measures a segment while it is written: the highest |sample| of each second, and speech. 19 us a call-second."""

    def __init__(self, rate: int) -> None:
        """`rate`: samples a second."""
        self._rate = rate
        self._sides = _Speech(rate), _Speech(rate)
        self._peaks: tuple[list[int], list[int]] = [], []
        self._at = 0

    def hear(self, left: bytes, right: bytes) -> None:
        """The next piece of each side, equally long."""
        for sound, side, peaks in zip((left, right), self._sides, self._peaks, strict=True):
            size = _sizes(sound)
            side.hear(size)
            begin = 0
            while begin < len(size):
                second, inside = divmod(self._at + begin, self._rate)
                piece = size[begin : begin + self._rate - inside]
                peak = int(piece.max())
                if second == len(peaks):
                    peaks.append(peak)
                else:
                    peaks[second] = max(peaks[second], peak)
                begin += len(piece)
        self._at += len(left) // 2

    @property
    def loudness(self) -> Loudness | None:
        """As the manifest has it; None of nothing."""
        if not self._at:
            return None
        left, right = ("".join(_DIGITS[_doubled(peak)] for peak in _fewer(peaks)) for peaks in self._peaks)
        return Loudness(left=left, right=right, speech=(self._sides[0].share, self._sides[1].share))


def _doubled(peak: int) -> int:
    """Bits of |sample|: each is 6 dB; the loudest two are one."""
    return min(15, peak.bit_length())


def _fewer(peaks: Sequence[int]) -> list[int]:
    """At most `POINTS` of them: the highest of equal stretches."""
    count = min(POINTS, len(peaks))
    return [max(peaks[len(peaks) * n // count : len(peaks) * (n + 1) // count]) for n in range(count)]


def joined(parts: Sequence[tuple[float, Loudness | None]]) -> Loudness | None:
    """Of a recording whose segments have so many seconds, in their order; None where none was measured.

    Where one was not, the picture has a blank and `speech` leaves it out.
    """
    measured = [(seconds, one) for seconds, one in parts if one is not None and seconds > 0]
    if not measured:
        return None
    if len(parts) == 1:
        return measured[0][1]
    whole, heard = sum(seconds for seconds, _ in parts), sum(seconds for seconds, _ in measured)
    shares = [sum(seconds * one.speech[side] for seconds, one in measured) / heard for side in (0, 1)]
    pictures = [_drawn(parts, whole, side) for side in ("left", "right")]
    return Loudness(left=pictures[0], right=pictures[1], speech=(round(shares[0], 3), round(shares[1], 3)))


def _drawn(parts: Sequence[tuple[float, Loudness | None]], whole: float, side: str) -> str:
    digits = [0] * POINTS
    begun = 0.0
    for seconds, one in parts:
        picture = getattr(one, side) if one else "0"
        for place, digit in enumerate(picture):
            first = (begun + seconds * place / len(picture)) / whole * POINTS
            last = (begun + seconds * (place + 1) / len(picture)) / whole * POINTS
            for at in range(int(first), min(POINTS, max(int(first) + 1, int(last - 1e-9) + 1))):
                digits[at] = max(digits[at], int(digit, 16))
        begun += seconds
    return "".join(_DIGITS[digit] for digit in digits)
