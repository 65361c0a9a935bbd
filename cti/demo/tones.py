"""Audio that spells which call it belongs to, on which side, and where in it you are.

A call begins with PREAMBLE seconds of digital silence (the time in which media paths open), then spells without a
pause: one group after the other, each of five symbols of 100 ms, each symbol of two notes of the tempered scale.

    symbol   0              1           2           3           4
    low      SYNC           bits 27-24  bits 19-16  bits 11-8   bits 3-0
    high     check (4 bit)  bits 31-28  bits 23-20  bits 15-12  bits 7-4

    bits     31-19 call     18 side     17-3 group's number     2-0 check (the other 3 bit)

Every second of it holds one whole group. Phases and a faint noise bed are drawn from (call, side, place), so that no
two windows of a few milliseconds are alike in u-law, and no sample is zero: what is lost, doubled or silenced shows to
the sample.
"""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Side = Literal["caller", "callee"]
Samples = npt.NDArray[np.int16]

PREAMBLE = 0.5  # s of digital silence: one of SIPp's two streams begins up to 0.12 s after the bridge (measured)
SYMBOL = 0.1  # s
SYMBOLS = 5  # a group
CALLS = 1 << 13
GROUPS = 1 << 15  # 4 h 33 min

_LOW = 349.23 * 2.0 ** (np.arange(17) / 12)  # F4 to A5; the last one is SYNC
_HIGH = 1046.50 * 2.0 ** (np.arange(16) / 12)  # C6 to D#7
_SYNC = 16
_LEVELS = (6400.0, 4000.0)  # together -12 dBFS as a meter between peak (-10) and rms (-16) reads it
_BED = 160.0
_PURE = 0.8  # share of a symbol's energy in its two notes; ours have 0.98 and more, noise some hundredths
_SMALLEST = 8  # the smallest value of u-law that is not zero


class TonesError(ValueError):
    """The audio asked for cannot be spelled."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Symbol:
    """One group that was heard: where it begins in the excerpt (to 20 ms), and where it began in what was said."""

    at_sample: int
    call: int
    side: Side
    position: int


def spell(call: int, side: Side, seconds: float, rate: int = 8000) -> Samples:
    """The audio of one side of a call: the preamble, then groups until `seconds` are full (the last may be cut).

    The same arguments give the same samples; more seconds only add to the end.
    Raises TonesError beyond CALLS or GROUPS.
    """
    if not 0 <= call < CALLS:
        raise TonesError(f"call {call} has no spelling: numbers run from 0 to {CALLS - 1}")
    total = round(seconds * rate)
    lead = round(PREAMBLE * rate)
    length = round(SYMBOL * rate)
    if total <= lead:
        return np.zeros(max(total, 0), dtype=np.int16)
    groups = -(-(total - lead) // (length * SYMBOLS))
    if groups > GROUPS:
        raise TonesError(f"{seconds} s cannot be spelled: {GROUPS * SYMBOL * SYMBOLS + PREAMBLE} s is the longest")
    notes = np.array([pair for group in range(groups) for pair in _group(call, side, group)])
    seed = call * 2 + (side == "callee")
    places = np.arange(len(notes), dtype=np.uint64)
    t = np.arange(length) / rate
    sound = np.zeros((len(notes), length))
    for voice, table in enumerate((_LOW, _HIGH)):
        phase = _random(seed, 1 + voice, places) * 2 * np.pi
        sound += _LEVELS[voice] * np.sin(2 * np.pi * table[notes[:, voice], None] * t + phase[:, None])
    edge = round(0.008 * rate)
    envelope = np.ones(length)
    envelope[:edge] = 0.2 + 0.4 * (1 - np.cos(np.pi * np.arange(edge) / edge))
    envelope[-edge:] = envelope[:edge][::-1]
    talk = (sound * envelope).ravel()[: total - lead]
    talk += (_random(seed, 3, np.arange(len(talk), dtype=np.uint64)) * 2 - 1) * _BED
    exact = np.rint(talk).astype(np.int16)
    exact[np.abs(exact) < _SMALLEST // 2] = _SMALLEST
    return np.concatenate([np.zeros(lead, dtype=np.int16), exact])


def decode(samples: Samples, rate: int = 8000) -> list[Symbol]:
    """The groups in an excerpt, in order, by Goertzel's sums over the 33 notes. What is not ours gives nothing."""
    length = round(SYMBOL * rate)
    hop = length // 20
    if len(samples) < length * SYMBOLS:
        return []
    inner = slice(length // 10, length - length // 10)  # the ends of a symbol are faded
    t = np.arange(length)[inner] / rate
    waves = np.exp(-2j * np.pi * np.concatenate([_LOW, _HIGH])[None, :] * t[:, None])
    low, high, power = [], [], []
    windows = np.lib.stride_tricks.sliding_window_view(samples, length)[::hop, inner]
    for block in np.array_split(windows, max(1, len(windows) // 2000)):
        wide = block.astype(np.float64)
        heard = np.abs(wide @ waves) ** 2
        low.append(heard[:, :17].argmax(axis=1))
        high.append(heard[:, 17:].argmax(axis=1))
        notes = heard[:, :17].max(axis=1) + heard[:, 17:].max(axis=1)
        power.append(notes * 2 / (len(t) * (wide**2).sum(axis=1) + 1))
    return list(_groups(np.concatenate(low), np.concatenate(high), np.concatenate(power), hop, length, rate))


def _groups(
    low: npt.NDArray[np.int64],
    high: npt.NDArray[np.int64],
    power: npt.NDArray[np.float64],
    hop: int,
    length: int,
    rate: int,
) -> Iterator[Symbol]:
    step = length // hop
    best: tuple[float, Symbol] | None = None
    for start in np.flatnonzero(low == _SYNC):
        places = int(start) + step * np.arange(SYMBOLS)
        if places[-1] >= len(low):
            break
        if power[places].min() < _PURE:
            continue
        found = _read([(int(low[place]), int(high[place])) for place in places])
        if found is None:
            continue
        call, side, group = found
        position = round(PREAMBLE * rate) + group * SYMBOLS * length
        symbol = Symbol(at_sample=int(start) * hop, call=call, side=side, position=position)
        strength = float(power[places].sum())
        if best and symbol.at_sample - best[1].at_sample >= length:
            yield best[1]
            best = None
        if best is None or strength > best[0]:
            best = (strength, symbol)
    if best:
        yield best[1]


def _group(call: int, side: Side, group: int) -> list[tuple[int, int]]:
    body = call << 16 | (side == "callee") << 15 | group
    check = zlib.crc32(body.to_bytes(4, "big")) & 0x7F
    word = body << 3 | check & 0x7
    return [(_SYNC, check >> 3)] + [(word >> shift & 0xF, word >> shift + 4 & 0xF) for shift in (24, 16, 8, 0)]


def _read(notes: list[tuple[int, int]]) -> tuple[int, Side, int] | None:
    word = 0
    for low, high in notes[1:]:
        if low == _SYNC:
            return None
        word = word << 8 | high << 4 | low
    call, side, group = word >> 19, "callee" if word >> 18 & 1 else "caller", word >> 3 & (GROUPS - 1)
    exact: Side = "callee" if side == "callee" else "caller"
    return (call, exact, group) if _group(call, exact, group) == notes else None


def _random(seed: int, stream: int, places: npt.NDArray[np.uint64]) -> npt.NDArray[np.float64]:
    """Numbers in [0, 1) that depend on seed, stream and place alone (SplitMix64, Steele, Lea and Flood 2014)."""
    z = (places + np.uint64((seed * 4 + stream) << 40)) * np.uint64(0x9E3779B97F4A7C15)
    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return (z ^ (z >> np.uint64(31))).astype(np.float64) / 2.0**64


def _ulaw_table() -> npt.NDArray[np.int16]:
    code = ~np.arange(256, dtype=np.uint8)
    exponent = (code >> 4 & 7).astype(np.int32)
    magnitude = (((code & 15).astype(np.int32) << 3) + 132 << exponent) - 132
    return np.where(code & 0x80, -magnitude, magnitude).astype(np.int16)


_DECODED = _ulaw_table()


def ulaw_encode(samples: Samples) -> bytes:
    """G.711 u-law, one byte a sample (ITU-T G.711; bias 132, clip 32635, as Asterisk's tables have it)."""
    wide = samples.astype(np.int32)
    magnitude = np.minimum(np.abs(wide), 32635) + 132
    exponent = np.frexp(magnitude)[1].astype(np.int32) - 8
    mantissa = magnitude >> exponent + 3 & 15
    code: npt.NDArray[np.uint8] = ~(np.where(wide < 0, 0x80, 0) | exponent << 4 | mantissa).astype(np.uint8)
    return code.tobytes()


def ulaw_decode(codes: bytes) -> Samples:
    """The 16-bit samples of u-law bytes. Encoding and decoding them again changes nothing."""
    decoded: Samples = _DECODED[np.frombuffer(codes, dtype=np.uint8)]
    return decoded


def reference(call: int, side: Side, seconds: float) -> Samples:
    """What a faultless G.711 recording of spell() holds: u-law's own values at 8 kHz."""
    return ulaw_decode(ulaw_encode(spell(call, side, seconds)))
