"""Looks for known sound, and for FLAC of any sound, in the bytes of disks, images, swap and core files.

Sound that lies in the clear is contiguous over a page at least, so the bytes need not all be looked at: at every
1024th byte a run of offsets is held against an index of the references, in which every 16th sample stands.

    form            key, 8 bytes                  index        offsets looked at
    one side        the bytes as they are         s16le s16be  32 = 16 samples, either alignment
                                                  ulaw  alaw   32
    two sides       4 words, every second one     s16le s16be  64 = 16 frames, any alignment, either order

The two-sided form asks nothing of the words between: it finds 32-bit samples too, which codecs hold inside. A key
that is found must be followed by 128 equal samples in one run around it. Random bytes agree with a key once in 2^60
and with such a run never.

FLAC is looked for at every byte: the marker with its STREAMINFO, and frames by their header with a right CRC-8
(once in 2^25 random offsets) that libFLAC then decodes with a right CRC-16. A frame whose end is missing counts by its
header alone only if it is one as the recorder writes them (8 kHz, 16 bit, blocks of 4096: once in 2^41).

Not found: digital silence, sound in pieces smaller than 1.2 kB, and a middle of a FLAC frame without its header.
"""

import errno
import io
import os
import stat
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import soundfile

from cti.demo.tones import Samples, Side, reference, ulaw_encode

RATE = 8000
_GRID = 1024
_STEP = 16  # samples between two keys of a reference
_ROW = 80  # bytes copied at each place of the grid: 64 offsets and the 16 bytes that the last one reads
_EVERY_OTHER = np.uint64(0x0000FFFF0000FFFF)
_RUN = 128  # equal samples that make a find
_CHUNK = 4 << 20  # 4 MiB: what numpy makes of it stays near the caches
_OVERLAP = 256 << 10  # a frame of 65535 stereo samples of 16 bit is the longest that is always whole in a chunk

_Bytes = npt.NDArray[np.uint8]
_Words = npt.NDArray[Any]
_Keys = npt.NDArray[np.uint64]


class PlaintextError(ValueError):
    """The search cannot be made as it was asked for."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Find:
    """One run of sound in the clear.

    `offset` in bytes, `second` where in the reference the run begins, `samples` its length a side. FLAC that is none
    of the references has neither call nor side nor second, and FLAC not decoded has 0 samples.
    """

    offset: int
    what: str
    call: int | None
    side: Side | None
    second: float | None
    samples: int

    def __str__(self) -> str:
        if self.second is None:
            return f"{self.what} at byte {self.offset}"
        said = f"call {self.call}, {self.side}, from {self.second:.3f} s, {self.samples / RATE:.3f} s long"
        return f"{self.what} at byte {self.offset}: {said}"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Needle:
    """One side of one call as a recording holds it: 16 bit at 8 kHz."""

    call: int
    side: Side
    samples: Samples


@dataclass(frozen=True, slots=True)
class Needles:
    """What is to be looked for."""

    sides: tuple[Needle, ...]


def needles_for(calls: Iterable[tuple[int, Side, float]]) -> Needles:
    """The references of (call, side, seconds)."""
    return Needles(tuple(Needle(call=c, side=side, samples=reference(c, side, length)) for c, side, length in calls))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Code:
    """A needle in one form. Where `sure` is false, encoders of this form differ."""

    what: str
    needle: Needle
    stride: int
    codes: _Words
    sure: npt.NDArray[np.bool_]
    first: int  # the first sample that is not silence


@dataclass(slots=True)
class _Run:
    code: _Code | None  # none: FLAC that is no reference
    what: str
    offset: int
    end: int
    first: int
    last: int


_Runs = dict[tuple[object, ...], list[_Run]]


class _Index:
    """Keys of all codes of one shape, and in which code at which sample each stands."""

    def __init__(self, codes: list[_Code]) -> None:
        self.codes = codes
        keys, places = zip(*(_keys(number, code) for number, code in enumerate(codes)), strict=True)
        unsorted = np.concatenate(keys)
        order = np.argsort(unsorted, kind="stable")
        self._keys: _Keys = unsorted[order]
        self._places: npt.NDArray[np.int64] = np.concatenate(places)[order]
        bits = min(max((len(order) * 16).bit_length(), 16), 26)  # one place in 16 to 32 is taken
        self._shift = np.uint64(64 - bits)
        self._sieve = np.zeros(1 << bits, dtype=np.bool_)
        self._sieve[self._hash(self._keys)] = True
        self._second = np.zeros(1 << bits, dtype=np.bool_)  # without it, half the time goes into the search by halves
        self._second[self._hash(self._keys ^ self._keys >> np.uint64(29))] = True

    def look(self, keys: _Keys) -> Iterator[tuple[int, _Code, int]]:
        """(where in `keys`, code, sample), in order."""
        flat = keys.ravel()
        at = np.flatnonzero(self._sieve[self._hash(flat)])
        at = at[self._second[self._hash(flat[at] ^ flat[at] >> np.uint64(29))]]
        left, right = (np.searchsorted(self._keys, flat[at], side=side) for side in ("left", "right"))
        for which in np.flatnonzero(left < right):
            for place in self._places[left[which] : right[which]]:
                yield int(at[which]), self.codes[int(place) >> 32], int(place) & 0xFFFFFFFF

    def _hash(self, keys: _Keys) -> npt.NDArray[np.int64]:
        return (keys * np.uint64(0x9E3779B97F4A7C15) >> self._shift).view(np.int64)


class Hunter:
    """Looks for the needles, and for FLAC of any kind."""

    def __init__(self, needles: Needles) -> None:
        """Raises PlaintextError if there is nothing but silence to look for: such a search would prove nothing."""
        heard = [needle for needle in needles.sides if np.count_nonzero(needle.samples) >= RATE // 2]
        if not heard or len(heard) < len(needles.sides):
            raise PlaintextError("each needle needs half a second of sound: give every call more seconds")
        codes = [code for needle in heard for code in _forms(needle)]
        self._plain = _Index([code for code in codes if code.stride == code.codes.itemsize])
        self._other = _Index([code for code in codes if code.stride != code.codes.itemsize])

    def scan(self, path: Path) -> list[Find]:
        """What a file or block device holds in the clear, by offset. Holes are skipped.

        A device is read from the disk, not from what the kernel kept of an earlier look: sync the file system first.
        """
        runs: _Runs = {}
        handle = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            if stat.S_ISBLK(os.fstat(handle).st_mode):
                os.posix_fadvise(handle, 0, 0, os.POSIX_FADV_DONTNEED)
            size = os.lseek(handle, 0, os.SEEK_END)
            buffer = bytearray(min(size, _CHUNK + _OVERLAP))
            for start, end in _extents(handle, size):
                for at in range(start, end, _CHUNK):
                    length = _fill(handle, memoryview(buffer)[: end - at], at)
                    self._chunk(buffer, length, at, runs)
        finally:
            os.close(handle)
        finds = [_find(run) for found in runs.values() for run in found]
        return sorted(finds, key=lambda find: (find.offset, find.what, find.call or 0, find.side or ""))

    def scan_tree(self, folder: Path, *, skip: Iterable[Path] = ()) -> dict[Path, list[Find]]:
        """The finds of every regular file under a folder that has any; `skip` names folders left out (RAM).

        A file that is gone before it is opened is no error; a folder that does not exist, or refuses, is.
        """
        left_out = {place.resolve() for place in skip}
        found: dict[Path, list[Find]] = {}
        for entry in sorted(folder.iterdir()):
            try:
                mode = entry.lstat().st_mode
                if stat.S_ISDIR(mode) and entry.resolve() not in left_out:
                    found |= self.scan_tree(entry, skip=left_out)
                elif stat.S_ISREG(mode) and (finds := self.scan(entry)):
                    found[entry] = finds
            except FileNotFoundError:
                continue
        return found

    def _chunk(self, buffer: bytearray, length: int, base: int, runs: _Runs) -> None:
        data = np.frombuffer(buffer, dtype=np.uint8, count=length)
        if not data.any():
            return
        self._sound(data, base, runs)
        for offset in _markers(buffer, length):
            _add(runs, ("head",), _Run(None, "FLAC head", base + offset, base + offset + _HEAD, 0, 0))
        for offset in _syncs(data):
            self._frame(data[offset : offset + _OVERLAP].tobytes(), base + offset, runs)

    def _sound(self, data: _Bytes, base: int, runs: _Runs) -> None:
        count = (len(data) - _ROW) // _GRID + 1
        if count < 1:
            return
        rows = np.ndarray((count, _ROW), np.uint8, data, strides=(_GRID, 1)).copy()
        words = np.ndarray((count, _ROW - 8), "<u8", rows, strides=(_ROW, 1)).astype(np.uint64)
        thin = words & _EVERY_OTHER
        for index, keys in ((self._plain, words[:, :32]), (self._other, thin[:, :64] | thin[:, 8:] << np.uint64(16))):
            for where, code, sample in index.look(keys):
                row, column = divmod(where, keys.shape[1])
                at = row * _GRID + column
                key = (code, base + at - code.stride * sample)
                if any(run.offset <= base + at < run.end for run in runs.get(key, ())):
                    continue
                run = _confirm(data, at, code, sample)
                if run:
                    run.offset += base
                    run.end += base
                    _add(runs, key, run)

    def _frame(self, data: bytes, offset: int, runs: _Runs) -> None:
        header = _header(data)
        if header is None:
            return
        end = offset + header.longest
        sound = _decode(data[: header.longest], header)
        if sound is None:
            if header.ours and data[header.size] >> 1 in _SUBFRAMES:
                _add(runs, ("cut",), _Run(None, "FLAC frame, cut", offset, end, 0, 0))
            return
        named: _Runs = {}
        for side in sound.T:
            self._sound(np.frombuffer(side.astype("<i2").tobytes(), np.uint8), 0, named)
        for run in (run for found in named.values() for run in found if run.code):
            key = ("frame", run.code and run.code.needle)
            _add(runs, key, _Run(run.code, "FLAC frames", offset, end, run.first, run.last))
        if not named:
            _add(runs, ("frame",), _Run(None, "FLAC frames", offset, end, 0, len(sound)))


def _add(runs: _Runs, key: tuple[object, ...], run: _Run) -> None:
    """Keep a run, as part of the one before it where that goes on or is the same, seen from the chunk before."""
    found = runs.setdefault(key, [])
    if found and found[-1].offset <= run.offset <= found[-1].end and (not run.code or run.first <= found[-1].last):
        found[-1].end = max(found[-1].end, run.end)
        found[-1].last = max(found[-1].last, run.last)
    else:
        found.append(run)


def _find(run: _Run) -> Find:
    if run.code is None:
        return Find(offset=run.offset, what=run.what, call=None, side=None, second=None, samples=run.last)
    needle = run.code.needle
    return Find(
        offset=run.offset,
        what=run.what,
        call=needle.call,
        side=needle.side,
        second=run.first / RATE,
        samples=run.last - run.first,
    )


def _forms(needle: Needle) -> Iterator[_Code]:
    little, big = needle.samples.astype("<i2").view("<u2"), needle.samples.astype(">i2").view("<u2")
    all_sure = np.ones(len(little), dtype=np.bool_)
    first = int(np.flatnonzero(needle.samples)[0])
    ulaw = np.frombuffer(ulaw_encode(needle.samples), dtype=np.uint8)
    for what, stride, codes, sure in (
        ("PCM s16le, one side", 2, little, all_sure),
        ("PCM s16be, one side", 2, big, all_sure),
        ("PCM s16le, interleaved", 4, little, all_sure),
        ("PCM s16be, interleaved", 4, big, all_sure),
        ("u-law", 1, ulaw, all_sure),
        # the smallest values of u-law lie on the borders of A-law's steps
        ("A-law", 1, alaw_encode(needle.samples), np.abs(needle.samples.astype(np.int32)) > 120),
    ):
        yield _Code(what=what, needle=needle, stride=stride, codes=codes, sure=sure, first=first)


def alaw_encode(samples: Samples) -> _Bytes:
    """G.711 A-law, one byte a sample (ITU-T G.711, 13 bits, even bits inverted)."""
    wide = samples.astype(np.int32) >> 3
    magnitude = np.where(wide < 0, ~wide, wide)
    segment = np.maximum(np.frexp(magnitude)[1].astype(np.int32) - 5, 0)
    code = segment << 4 | magnitude >> np.maximum(segment, 1) & 15
    return (code ^ np.where(wide < 0, 0x55, 0xD5)).astype(np.uint8)


def _keys(number: int, code: _Code) -> tuple[_Keys, npt.NDArray[np.int64]]:
    """The keys of every 16th sample and their places; none where the key would be silence or too plain."""
    size = 8 // code.codes.itemsize
    starts = np.arange(0, len(code.codes) - size + 1, _STEP)
    windows = np.lib.stride_tricks.sliding_window_view(code.codes, size)[starts]
    four = np.sort(windows[:, :4], axis=1)
    heard = code.needle.samples[starts[:, None] + np.arange(size)] != 0
    good = (np.diff(four, axis=1) != 0).all(axis=1) & (heard & code.sure[starts[:, None] + np.arange(size)]).all(axis=1)
    if code.stride == 4:
        windows = windows[:, [0, 2, 1, 3]]  # the order in which two 8-byte words with every other word cleared mix
    keys = np.ascontiguousarray(windows[good]).view("<u8").ravel().astype(np.uint64)
    return keys, (number << 32) + starts[good]


def _confirm(data: _Bytes, at: int, code: _Code, sample: int) -> _Run | None:
    """The whole run of equal samples through a place, as far as the data goes; none under _RUN."""
    before = min(sample - code.first, at // code.stride)
    after = min(len(code.codes) - sample, (len(data) - at - code.codes.itemsize) // code.stride + 1)
    for reach in (_RUN, max(before, after)):
        back, ahead = min(before, reach), min(after, reach)
        begin = at - back * code.stride
        heard = np.ndarray((back + ahead,), code.codes.dtype, data, offset=begin, strides=(code.stride,))
        said = slice(sample - back, sample + ahead)
        wrong = np.flatnonzero((heard != code.codes[said]) & code.sure[said])
        middle = int(np.searchsorted(wrong, back))
        low = int(wrong[middle - 1]) + 1 if middle else 0
        high = int(wrong[middle]) if middle < len(wrong) else back + ahead
        if high - low < _RUN:
            return None
    first, last = sample - back + low, sample - back + high
    offset = at + (first - sample) * code.stride
    end = offset + (last - first - 1) * code.stride + code.codes.itemsize
    return _Run(code, code.what, offset, end, first, last)


_HEAD = 42  # "fLaC", a block header, STREAMINFO


def _markers(buffer: bytearray, length: int) -> Iterator[int]:
    at = -1
    while (at := buffer.find(b"fLaC", at + 1, length)) >= 0:
        block = buffer[at + 4 : min(at + _HEAD, length)]
        if len(block) < _HEAD - 4 or block[0] & 0x7F or block[1:4] != b"\0\0\x22":
            continue
        rate = int.from_bytes(block[14:17], "big") >> 4
        if 16 <= int.from_bytes(block[4:6], "big") <= int.from_bytes(block[6:8], "big") and 0 < rate <= 655350:
            yield at


def _syncs(data: _Bytes) -> list[int]:
    """Where a frame header may begin: sync code, and fields with no reserved value (RFC 9639, 9.1)."""
    at = np.flatnonzero((data[:-1] == 0xFF) & (data[1:] & 0xFE == 0xF8))
    at = at[at < len(data) - 16]
    sizes, layout = data[at + 2], data[at + 3]
    legal = (sizes >> 4 != 0) & (sizes & 15 != 15) & (layout >> 4 < 11) & (layout & 1 == 0) & (layout >> 1 & 7 != 3)
    found: list[int] = at[legal].tolist()
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class _Header:
    size: int  # bytes of the header itself
    block: int
    rate: int
    channels: int
    bits: int
    ours: bool

    @property
    def longest(self) -> int:
        """Bytes of a frame whose samples are stored as they are, and some to go on with."""
        return self.size + self.channels * (self.block * (self.bits + 1) // 8 + 16) + 64


_RATES = (RATE, 88200, 176400, 192000, 8000, 16000, 22050, 24000, 32000, 44100, 48000, 96000)
_BITS = (16, 8, 12, 0, 16, 20, 24, 32)
_SUBFRAMES = {0, 1, *range(8, 13), *range(32, 64)}


def _header(data: bytes) -> _Header | None:
    """A frame header at the first byte, if one is there and its CRC-8 is right."""
    block_code, rate_code = data[2] >> 4, data[2] & 15
    ones = 8 - (~data[4] & 0xFF).bit_length()
    number = {0: 1}.get(ones, ones)
    size = 4 + number + {6: 1, 7: 2}.get(block_code, 0) + {12: 1, 13: 2, 14: 2}.get(rate_code, 0)
    if ones == 1 or ones == 8 or any(byte & 0xC0 != 0x80 for byte in data[5 : 4 + number]):
        return None
    if len(data) <= size + 1 or _crc8(data[:size]) != data[size]:
        return None
    extra = int.from_bytes(data[4 + number : 4 + number + max(block_code - 5, 0)], "big") + 1
    block = 192 if block_code == 1 else 144 << block_code if block_code < 6 else extra
    if block_code > 7:
        block = 1 << block_code
    layout = data[3] >> 4
    return _Header(
        size=size + 1,
        block=block,
        rate=_RATES[rate_code] if rate_code < 12 else RATE,
        channels=layout + 1 if layout < 8 else 2,
        bits=_BITS[data[3] >> 1 & 7],
        ours=data[1:3] == b"\xf8\xc4" and data[3] in (0x08, 0x18, 0x88, 0x98, 0xA8) and number <= 3,
    )


def _crc8(data: bytes) -> int:
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc << 1 ^ (0x107 if crc & 0x80 else 0)
    return crc


def _decode(data: bytes, header: _Header) -> Samples | None:
    """A frame's samples, or none if libFLAC refuses it: it says so when the CRC-16 is wrong."""
    info = header.rate << 44 | header.channels - 1 << 41 | header.bits - 1 << 36 | header.block
    block = max(header.block, 16).to_bytes(2, "big")
    head = b"fLaC\x80\0\0\x22" + block + block + bytes(6) + info.to_bytes(8, "big") + bytes(16)
    try:
        with soundfile.SoundFile(io.BytesIO(head + data)) as file:
            sound: Samples = file.read(header.block, dtype="int16", always_2d=True)
    except soundfile.LibsndfileError:
        return None
    return sound if len(sound) == header.block else None


def _extents(handle: int, size: int) -> Iterator[tuple[int, int]]:
    at = 0
    while at < size:
        try:
            start = os.lseek(handle, at, os.SEEK_DATA)
            end = os.lseek(handle, start, os.SEEK_HOLE)
        except OSError as error:
            if error.errno == errno.ENXIO:  # nothing but a hole up to the end
                return
            if error.errno != errno.EINVAL:
                raise
            start, end = at, size  # a device or file system that knows no holes
        yield start, end
        at = end


def _fill(handle: int, buffer: memoryview, at: int) -> int:
    done = 0
    while done < len(buffer):
        read = os.preadv(handle, [buffer[done:]], at + done)
        if read == 0:
            break
        done += read
    return done
