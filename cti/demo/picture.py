"""Sound as a line of text: how loud each side was."""

import numpy as np

from cti.demo.tones import Samples

_BARS = " ▁▂▃▄▅▆▇█"


def levels(samples: Samples, columns: int) -> str:
    """`columns` characters from silence to -6 dBFS, each the loudness of its part (RMS, 6 dB a step)."""
    parts = np.array_split(samples.astype(np.float64), columns)
    return "".join(_bar(float(np.sqrt(np.mean(part**2))) if len(part) else 0.0) for part in parts)


def _bar(rms: float) -> str:
    decibels = 20 * np.log10(max(rms, 1.0) / 32768)
    return _BARS[int(np.clip(round((decibels + 54) / 6), 0, len(_BARS) - 1))]
