"""Audio that costs an encoder what a telephone conversation costs it: two sides in turn, pauses, line noise, u-law.

Tones will not do: FLAC predicts them. Voices are pulse trains with jitter through three formants, syllable by syllable,
with noise for consonants; the band is 300 to 3400 Hz and the samples are u-law's own values.
"""

import numpy as np
import numpy.typing as npt

from cti.demo.tones import Samples, ulaw_decode, ulaw_encode

RATE = 8000
_NOISE = (14.0, 7.0)  # rms of the line noise: -67 dBFS from outside, -73 dBFS inside
_LOUD = 3000.0  # rms of a voiced syllable: -21 dBFS
_VOICED = 0.7  # share of syllables

Wave = npt.NDArray[np.float64]


def conversation(seed: int, seconds: float) -> tuple[Samples, Samples]:
    """Both sides of a conversation; the same arguments give the same samples."""
    random = np.random.default_rng(seed)
    total = round(seconds * RATE)
    sides = [_band(random.normal(0.0, 1.0, total)) for _ in range(2)]
    for side, noise in zip(sides, _NOISE, strict=True):
        side *= noise / side.std()
    pitches = random.uniform(95, 230, 2)
    at, speaker = round(0.4 * RATE), int(random.integers(2))
    while at < total:
        end = min(total, at + round(random.uniform(1.2, 6.0) * RATE))
        while at < end:
            syllable = _syllable(random, float(pitches[speaker]))[: total - at]
            sides[speaker][at : at + len(syllable)] += syllable
            at += len(syllable) + round(random.exponential(0.03) * RATE)
        at += round(random.uniform(0.15, 0.9) * RATE)
        speaker = 1 - speaker
    left, right = (ulaw_decode(ulaw_encode(np.clip(side, -32000, 32000).astype(np.int16))) for side in sides)
    return left, right


def _syllable(random: np.random.Generator, pitch: float) -> Wave:
    length = round(random.uniform(0.11, 0.28) * RATE)
    source = random.normal(0.0, 0.08, length)
    level = _LOUD * random.lognormal(0.0, 0.4)
    if random.random() < _VOICED:
        periods = RATE / (pitch * random.uniform(0.85, 1.2) * (1 + random.normal(0, 0.015, 2 * length)))
        beats = np.cumsum(periods).astype(np.int64)
        source[beats[beats < length]] += 1.0
        formants = [(random.uniform(*span), width) for span, width in _FORMANTS]
    else:
        level *= 0.25
        formants = [(random.uniform(1800, 3300), 900.0)]
    frequency = np.fft.rfftfreq(length, 1 / RATE)
    response = sum(1 / (1 + ((frequency - centre) / width) ** 2) for centre, width in formants)
    shaped = _band(np.fft.irfft(np.fft.rfft(source) * response, length)) * np.hanning(length)
    found: Wave = shaped * (level / max(float(shaped.std()), 1e-9))
    return found


_FORMANTS = (((300, 850), 90.0), ((900, 2300), 120.0), ((2300, 3100), 200.0))


def _band(wave: Wave) -> Wave:
    spectrum = np.fft.rfft(wave)
    frequency = np.fft.rfftfreq(len(wave), 1 / RATE)
    spectrum[(frequency < 300) | (frequency > 3400)] = 0
    limited: Wave = np.fft.irfft(spectrum, len(wave))
    return limited
