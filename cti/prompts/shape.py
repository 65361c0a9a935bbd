"""What a voice gives, made into a prompt: 8 kHz, one level, as much silence around it as is meant."""

from typing import Final

import numpy as np

from cti.errors import PromptError
from cti.i18n import _
from cti.prompts.sound import FULL, RATE, Samples, Wave, decibels, frames, loudness

LEVEL: Final = -20.0  # dBFS, RMS while somebody speaks: as loud as a person on the line
_PEAK = -1.0  # dBFS
_EMPHASIS = 0.5  # some 7 dB from 300 to 3000 Hz, half of what the microphone of a telephone does (ITU-T P.48, sending)


def telephone(wave: Wave, rate: int) -> Wave:
    """`wave` at 8 kHz, as bright as telephones make it. Raises PromptError where `rate` is no multiple of it."""
    factor, rest = divmod(rate, RATE)
    if rest or not factor:
        raise PromptError(
            _("the voice speaks at {rate} Hz, which is no multiple of {ours}").format(rate=rate, ours=RATE)
        )
    # A low-pass at 3.7 kHz, steep enough that nothing from above 4 kHz comes back folded.
    taps = np.arange(-48 * factor, 48 * factor + 1)
    low_pass = np.sinc(taps * 2 * 3700 / rate) * np.blackman(len(taps))
    narrow = np.convolve(wave, low_pass / low_pass.sum(), "same")[::factor]
    return np.convolve(narrow, (1.0, -_EMPHASIS), "same")


def finished(wave: Wave, *, rest: float, before: float, after: float) -> Samples:
    """Speech at LEVEL with so many seconds of silence around it. Raises PromptError where nothing is said.

    `rest`: how far below its loudest 20 ms (dB, negative) a voice is at rest.
    """
    parts = frames(wave)
    loudest = parts.max(initial=0.0)
    if decibels(loudest) < LEVEL - 40:
        raise PromptError(_("the voice said nothing"))
    spoken = np.flatnonzero(parts > loudest * 10 ** (rest / 20))
    frame = RATE // 50
    speech = wave[spoken[0] * frame : (spoken[-1] + 1) * frame].copy()
    fade = np.linspace(0.0, 1.0, RATE // 200)
    speech[: len(fade)] *= fade
    speech[-len(fade) :] *= fade[::-1]
    whole = np.concatenate([np.zeros(round(before * RATE)), _levelled(speech), np.zeros(round(after * RATE))])
    return np.rint(whole * FULL).astype(np.int16)


def pause(seconds: float) -> Samples:
    """Silence."""
    return np.zeros(round(seconds * RATE), np.int16)


def _levelled(speech: Wave) -> Wave:
    speech = speech * 10 ** ((LEVEL - loudness(speech)) / 20)
    peak = decibels(float(np.abs(speech).max()))
    return speech * 10 ** (min(0.0, _PEAK - peak) / 20)
