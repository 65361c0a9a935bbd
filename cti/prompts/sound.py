"""Sound as Asterisk plays it, 8 kHz mono: u-law, files, and what can be wrong with them."""

import io
import shlex
from enum import StrEnum
from pathlib import Path
from typing import Final

import numpy as np
import numpy.typing as npt
import soundfile

from cti.errors import PromptError
from cti.i18n import _

Samples = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float64]

RATE: Final = 8000
FULL: Final = 32768.0
LONGEST: Final = 60  # s
SUFFIXES: Final = (".wav", ".ulaw")

_LARGEST = 64 << 20  # bytes: a minute of whatever a studio delivers
_SILENT = -50.0  # dBFS in the loudest 20 ms
_TOP = 32100  # the largest value of u-law is 32124
_RUN = 4  # samples at the top one after the other: one alone is a peak that was met, not cut
# What plays under the name of u-law and crackles: each begins with a mark of its own, raw u-law with none.
_HEADS = {b"RIFF": "wav", b".snd": "au", b"fLaC": "flac", b"OggS": "ogg", b"ID3": "mp3", b"FORM": "aiff"}


class Flaw(StrEnum):
    """What can be wrong with a prompt; programs rely on the names."""

    MISSING = "missing"
    UNREADABLE = "unreadable"
    FORMAT = "format"
    SILENT = "silent"
    CLIPPED = "clipped"
    LONG = "long"
    UNKNOWN = "unknown"
    TWICE = "twice"
    STALE = "stale"


class PromptSoundError(PromptError):
    """A file holds no sound that can be played."""

    code = "prompt-sound"

    def __init__(self, flaw: Flaw, message: str) -> None:
        """`message` names the file."""
        super().__init__(message)
        self.flaw = flaw


def encode(samples: Samples) -> bytes:
    """G.711 u-law, one byte a sample."""
    raw = io.BytesIO()
    soundfile.write(raw, samples, RATE, format="RAW", subtype="ULAW")
    return raw.getvalue()


def decode(data: bytes) -> Samples:
    """The samples of u-law bytes."""
    form = {"format": "RAW", "subtype": "ULAW", "samplerate": RATE, "channels": 1}
    samples: Samples = soundfile.read(io.BytesIO(data), dtype="int16", **form)[0]
    return samples


def played(path: Path) -> bytes:
    """A .ulaw or .wav file as u-law. Raises PromptSoundError, OSError."""
    samples = heard(path)
    return encode(samples) if path.suffix == ".wav" else path.read_bytes()


def heard(path: Path) -> Samples:
    """The samples of a .ulaw or .wav file. Raises PromptSoundError, OSError."""
    if path.stat().st_size > _LARGEST:
        raise PromptSoundError(Flaw.LONG, sentence(Flaw.LONG, path))
    data = path.read_bytes()
    if not data:
        raise PromptSoundError(Flaw.UNREADABLE, _("{file} is empty: record it again").format(file=path))
    if path.suffix == ".wav":
        return _wav(path, data)
    if kind := next((kind for head, kind in _HEADS.items() if data.startswith(head)), None):
        problem = _("{file} is named raw u-law and is {kind}. Mend it: {command}")
        raise PromptSoundError(
            Flaw.FORMAT, problem.format(file=path, kind=kind, command=_mending(path, f"-t {kind} ", "-t ul "))
        )
    return decode(data)


def flaws(samples: Samples) -> list[Flaw]:
    """What is wrong with sound that can be played."""
    found = []
    if decibels(frames(samples / FULL).max(initial=0.0)) < _SILENT:
        found.append(Flaw.SILENT)
    if any(_longest_run(top) >= _RUN for top in (samples >= _TOP, samples <= -_TOP)):
        found.append(Flaw.CLIPPED)
    if len(samples) > LONGEST * RATE:
        found.append(Flaw.LONG)
    return found


def sentence(flaw: Flaw, path: Path) -> str:
    """What is wrong and what to do, for the flaws of sound."""
    said = {
        Flaw.SILENT: _("{file} is silent: record it again"),
        Flaw.CLIPPED: _("{file} is clipped, its loudest parts are cut off: record it again with less gain"),
        Flaw.LONG: _("{file} is longer than {seconds} s: make it shorter"),
    }
    return said[flaw].format(file=path, seconds=LONGEST)


def loudness(wave: Wave) -> float:
    """dBFS, RMS over the parts in which somebody speaks: those not 30 dB below the loudest."""
    parts = frames(wave)
    return decibels(float(np.sqrt(np.mean(parts[parts >= parts.max() * 10 ** (-30 / 20)] ** 2))))


def frames(wave: Wave) -> Wave:
    """RMS of each 20 ms; the last may be shorter."""
    length = RATE // 50
    padded = np.pad(wave, (0, -len(wave) % length)).reshape(-1, length)
    return np.asarray(np.sqrt(np.mean(padded**2, axis=1)))


def decibels(level: float) -> float:
    """Of full scale."""
    return 20 * float(np.log10(max(level, 1e-9)))


def _wav(path: Path, data: bytes) -> Samples:
    try:
        with soundfile.SoundFile(io.BytesIO(data)) as file:
            form = (file.format, file.subtype, file.samplerate, file.channels)
            samples: Samples = file.read(dtype="int16")
    except soundfile.LibsndfileError as error:
        problem = _("{file} is no sound that can be read ({reason}): record it again")
        raise PromptSoundError(Flaw.UNREADABLE, problem.format(file=path, reason=error.error_string)) from error
    if form[0] not in {"WAV", "WAVEX"} or form[1:] != ("PCM_16", RATE, 1):
        problem = _("{file} is {form}; 16-bit WAV of {rate} Hz, mono, is needed. Mend it: {command}")
        kind = "{} {}, {} Hz, {} ch".format(*form)
        command = _mending(path, "", "-b 16 -e signed-integer ")
        raise PromptSoundError(Flaw.FORMAT, problem.format(file=path, form=kind, rate=RATE, command=command))
    return samples


def _mending(path: Path, before: str, after: str) -> str:
    quoted, new = shlex.quote(str(path)), f"mended{path.suffix}"
    return f"sox -G {before}{quoted} -r {RATE} -c 1 {after}{new} && mv {new} {quoted}"


def _longest_run(those: npt.NDArray[np.bool_]) -> int:
    edges = np.flatnonzero(np.diff(np.pad(those.astype(np.int8), 1)))
    return int((edges[1::2] - edges[::2]).max(initial=0))
