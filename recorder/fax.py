"""Whether a fax machine is on the line: by the tones that each end sends before the page (ITU-T T.30). Pure.

A machine that calls sends CNG, 1100 Hz for half a second in every three and a half; one that answers sends CED, 2100 Hz
for three seconds. What speaks is no pure tone of 0.4 s at one of these, and a key (DTMF) is two tones at once.
"""

from typing import Final

import numpy as np
import numpy.typing as npt

BLOCK: Final = 0.01  # s: T.30 lets CNG be 38 Hz off, of which longer blocks know nothing
TONES: Final = ((1100.0, 0.4), (2100.0, 1.5))  # Hz, s that it must last
PURE: Final = 0.6  # share of a block's energy at that pitch
SOFTEST: Final = 100.0  # rms; a tone may come 40 dB below the loudest


class FaxEar:
    """Hears one take as it is read: two sides, in pieces of any length. Costs 0.04 ms for half a second of both."""

    def __init__(self, rate: int) -> None:
        """`rate`: samples a second."""
        self._size = round(BLOCK * rate)
        t = np.arange(self._size) / rate
        turns = 2 * np.pi * np.array([hertz for hertz, _ in TONES])[None, :] * t[:, None]
        self._waves = np.concatenate([np.cos(turns), np.sin(turns)], axis=1).astype(np.float32)
        self._rest = [b"", b""]
        self._lasted = np.zeros((2, len(TONES)), dtype=np.int64)

    def hear(self, left: bytes, right: bytes) -> int | None:
        """Samples of this piece after which a fax was recognised on either side; None where none was."""
        found = [self._side(side, sound) for side, sound in enumerate((left, right))]
        return min((at for at in found if at is not None), default=None)

    def _side(self, side: int, sound: bytes) -> int | None:
        carried = len(self._rest[side]) // 2
        samples = np.frombuffer(self._rest[side] + sound, dtype="<i2")
        count = len(samples) // self._size
        self._rest[side] = samples[count * self._size :].tobytes()
        if not count:
            return None
        blocks = samples[: count * self._size].astype(np.float32).reshape(count, self._size)
        pure = self._pure(blocks)
        if not pure.any():  # as in nearly all that is said
            self._lasted[side] = 0
            return None
        for number, tones in enumerate(pure):
            self._lasted[side] = np.where(tones, self._lasted[side] + 1, 0)
            if any(
                lasted * BLOCK > long - BLOCK / 2 for lasted, (_, long) in zip(self._lasted[side], TONES, strict=True)
            ):
                return max(0, (number + 1) * self._size - carried)
        return None

    def _pure(self, blocks: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        """Of each block, which of the tones it is."""
        energy = np.einsum("ij,ij->i", blocks, blocks)
        parts = (blocks @ self._waves) ** 2
        enough = np.where(energy >= self._size * SOFTEST**2, energy, np.inf) * (PURE * self._size / 2)
        pure: npt.NDArray[np.bool_] = parts[:, : len(TONES)] + parts[:, len(TONES) :] >= enough[:, None]
        return pure
