"""One side of a recording against what was said, sample by sample: what is there, what is missing, what was done."""

import itertools
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from cti.demo.tones import Samples, decode

WINDOW = (
    64  # samples: alike by chance nowhere in spelled audio; shorter finds chance, longer misses what is between faults
)
FRAME = 160  # samples: 20 ms, a packet
_RATE = 8000

Kind = Literal["dropped", "repeated", "silence", "replaced", "altered", "foreign", "order"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stretch:
    """So many samples of the recording equal so many of the reference."""

    rec_start: int
    ref_start: int
    length: int

    @property
    def rec_end(self) -> int:
        return self.rec_start + self.length

    @property
    def ref_end(self) -> int:
        return self.ref_start + self.length


@dataclass(frozen=True, slots=True, kw_only=True)
class Splice:
    """A place where the recording leaves the reference.

    dropped: `missing` samples of the reference are not there. repeated: `extra` samples were heard before.
    silence: `extra` zeros were put in. replaced: `missing` samples gave way to `extra` zeros. altered: `extra` samples
    are others than they should be. foreign: `extra` samples are not of the reference at all. order: what follows comes
    from elsewhere in the reference (`missing` is negative: so many samples back; or positive: ahead, and found later).
    """

    kind: Kind
    at: int  # sample of the recording
    ref: int  # sample of the reference
    extra: int = 0
    missing: int = 0

    def __str__(self) -> str:
        where = f"at {self.at / _RATE:.3f} s (sample {self.at})"
        match self.kind:
            case "dropped":
                return f"{_samples(self.missing)} dropped {where}"
            case "repeated":
                return f"{_samples(self.extra)} repeated {where}"
            case "silence":
                return f"{_samples(self.extra)} of silence put in {where}"
            case "replaced":
                return f"{_samples(self.missing)} replaced by {_samples(self.extra)} of silence {where}"
            case "altered":
                return f"{_samples(self.extra)} altered {where}"
            case "foreign":
                return f"{_samples(self.extra)} of something else {where} where {_samples(self.missing)} should be"
            case "order":
                return f"out of order {where}: goes on with sample {self.ref} of what was said"


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What compare() found. `missing_front`, `missing_end`: samples of the talk that are not in the recording.

    `heard`: (call, side) of spelled audio that is in the recording and does not belong to the reference.
    """

    stretches: tuple[Stretch, ...]
    splices: tuple[Splice, ...]
    missing_front: int
    missing_end: int
    lost: int  # samples of the talk that are nowhere in the recording, front and end included
    talk: int  # samples of the reference between its first and last sound
    heard: tuple[tuple[int, str], ...] = field(default=())

    @property
    def mismatches(self) -> int:
        """Samples that are in the recording and should be others."""
        return sum(splice.extra for splice in self.splices if splice.kind in {"altered", "foreign", "replaced"})

    @property
    def exact(self) -> bool:
        """Every sample of the talk is there, once, in order, and nothing else but silence around it."""
        return bool(self.stretches) and not (self.splices or self.missing_front or self.missing_end or self.heard)

    @property
    def waited(self) -> int | None:
        """How often whole 20 ms frames of silence were put in, if that is the only fault; None if there is another.

        Asterisk's hook does so to a side whose packet comes more than 40 ms late (a machine too busy); nothing is lost.
        """
        pauses = [splice for splice in self.splices if splice.kind == "silence" and splice.extra % FRAME == 0]
        only = self.stretches and len(pauses) == len(self.splices) and not (self.lost or self.heard)
        return len(pauses) if only else None

    @property
    def starts_at(self) -> int | None:
        """The sample of the recording where the reference would begin, by its first stretch; None without any."""
        return self.stretches[0].rec_start - self.stretches[0].ref_start if self.stretches else None

    def __str__(self) -> str:
        parts = []
        if not self.stretches:
            parts.append("nothing of what was said is in the recording")
        else:
            if self.missing_front:
                parts.append(f"the first {_samples(self.missing_front)} missing")
            parts += [str(splice) for splice in self.splices[:8]]
            if len(self.splices) > 8:
                parts.append(f"and {len(self.splices) - 8} more")
            if self.missing_end:
                parts.append(f"the last {_samples(self.missing_end)} missing")
        parts += [f"holds call {call}, {side}" for call, side in self.heard]
        if not parts:
            return f"exact: all {_samples(self.talk)} from first to last"
        return "; ".join(parts)


def compare(recorded: Samples, reference: Samples) -> Comparison:
    """Find the reference in the recording. Silence before and after it is no fault; everything else is named.

    `reference` is what tones.reference() gives, and may have any silence around it.
    """
    sound = np.flatnonzero(reference)
    first, last = (int(sound[0]), int(sound[-1]) + 1) if len(sound) else (0, 0)
    stretches = _trim(_matches(recorded, reference))
    if not stretches:
        return Comparison(
            stretches=(),
            splices=(),
            missing_front=last - first,
            missing_end=0,
            lost=last - first,
            talk=last - first,
            heard=_heard(recorded, reference),
        )
    splices = [
        *_edge(recorded, 0, stretches[0].rec_start, stretches[0].ref_start),
        *_between(recorded, reference, stretches),
        *_edge(recorded, stretches[-1].rec_end, len(recorded), stretches[-1].ref_end),
    ]
    return Comparison(
        stretches=tuple(stretches),
        splices=tuple(splices),
        missing_front=max(0, min(stretch.ref_start for stretch in stretches) - first),
        missing_end=max(0, last - max(stretch.ref_end for stretch in stretches)),
        lost=_uncovered(stretches, first, last),
        talk=last - first,
        heard=_heard(recorded, reference) if any(splice.kind == "foreign" for splice in splices) else (),
    )


def _matches(recorded: Samples, reference: Samples) -> list[Stretch]:
    """Runs of windows that are found in the reference, each at one offset, in the order of the recording."""
    ours, theirs = _hashes(recorded), _hashes(reference)
    if not len(ours) or not len(theirs):
        return []
    distinct, places, counts = np.unique(theirs, return_index=True, return_counts=True)
    distinct, places = distinct[counts == 1], places[counts == 1]  # silence is everywhere, and says nothing
    if not len(distinct):
        return []
    slot = np.searchsorted(distinct, ours).clip(max=len(distinct) - 1)
    hits = np.flatnonzero(distinct[slot] == ours)
    if not len(hits):
        return []
    offset = places[slot[hits]] - hits
    breaks = np.flatnonzero((np.diff(hits) != 1) | (np.diff(offset) != 0)) + 1
    stretches: list[Stretch] = []
    for run, shift in zip(np.split(hits, breaks), np.split(offset, breaks), strict=True):
        start, end = int(run[0]), int(run[-1]) + WINDOW
        ref = start + int(shift[0])
        if not (recorded[start:end] == reference[ref : ref + end - start]).all():
            continue
        # The preamble's silence and a sample after it that is alike by chance say nothing either.
        if np.count_nonzero(recorded[start:end]) >= WINDOW // 2:
            stretches.append(Stretch(rec_start=start, ref_start=ref, length=end - start))
    return stretches


def _hashes(samples: Samples) -> npt.NDArray[np.uint64]:
    """A polynomial hash modulo 2^64 of each window of WINDOW samples; equality is verified afterwards."""
    if len(samples) < WINDOW:
        return np.zeros(0, dtype=np.uint64)
    values = samples.astype(np.int64).astype(np.uint64) + np.uint64(1 << 17)
    values = (values ^ (values << np.uint64(31))) * np.uint64(0x9E3779B97F4A7C15)
    values ^= values >> np.uint64(29)
    result = np.zeros(len(samples) - WINDOW + 1, dtype=np.uint64)
    for place in range(WINDOW):
        result = result * np.uint64(0xD1342543DE82EF95) + values[place : place + len(result)]
    return result


def _trim(stretches: list[Stretch]) -> list[Stretch]:
    """Neighbours that share samples (alike by chance at the seam): the later one begins where the earlier one ends."""
    kept: list[Stretch] = []
    for stretch in stretches:
        over = max(0, kept[-1].rec_end - stretch.rec_start) if kept else 0
        if stretch.length > over:
            kept.append(
                Stretch(
                    rec_start=stretch.rec_start + over,
                    ref_start=stretch.ref_start + over,
                    length=stretch.length - over,
                )
            )
    return kept


def _between(recorded: Samples, reference: Samples, stretches: list[Stretch]) -> list[Splice]:
    splices: list[Splice] = []
    for left, right in itertools.pairwise(stretches):
        gap, jump = recorded[left.rec_end : right.rec_start], right.ref_start - left.ref_end
        at, ref = left.rec_end, left.ref_end
        if gap.any():
            expected = reference[ref : ref + len(gap)]
            if jump == len(gap):
                splices += [Splice(kind="altered", at=at, ref=ref, extra=int((gap != expected).sum()))]
            else:
                splices.append(Splice(kind="foreign", at=at, ref=ref, extra=len(gap), missing=max(0, jump)))
        elif len(gap) and jump == 0:
            splices.append(Splice(kind="silence", at=at, ref=ref, extra=len(gap)))
        elif len(gap) and jump > 0:
            splices.append(Splice(kind="replaced", at=at, ref=ref, extra=len(gap), missing=jump))
        elif len(gap):
            splices.append(Splice(kind="silence", at=at, ref=ref, extra=len(gap)))
        if jump < 0 or (jump > 0 and not len(gap)):
            splices.append(_jump(left, right, jump, stretches))
    return splices


def _jump(left: Stretch, right: Stretch, jump: int, stretches: list[Stretch]) -> Splice:
    at, ref = right.rec_start, right.ref_start
    if jump > 0:
        elsewhere = _uncovered(stretches, left.ref_end, right.ref_start) < jump
        return Splice(
            kind="order" if elsewhere else "dropped", at=at, ref=ref if elsewhere else left.ref_end, missing=jump
        )
    before = [stretch for stretch in stretches if stretch.rec_start < right.rec_start]
    end = min(right.ref_end, left.ref_end)
    if _uncovered(before, right.ref_start, end) * 2 < end - right.ref_start:
        return Splice(kind="repeated", at=at, ref=ref, extra=-jump)
    return Splice(kind="order", at=at, ref=ref, missing=jump)


def _uncovered(stretches: list[Stretch], start: int, end: int) -> int:
    """How many samples of the reference between start and end are in none of the stretches."""
    count = 0
    for low, high in sorted((stretch.ref_start, stretch.ref_end) for stretch in stretches):
        if low >= end:
            break
        count += max(0, low - start)
        start = max(start, high)
    return count + max(0, end - start)


def _edge(recorded: Samples, start: int, end: int, ref: int) -> list[Splice]:
    """Before the first and after the last stretch there may be silence only."""
    sound = np.flatnonzero(recorded[start:end])
    if not len(sound):
        return []
    return [Splice(kind="foreign", at=start + int(sound[0]), ref=ref, extra=int(sound[-1] - sound[0]) + 1)]


def _heard(recorded: Samples, reference: Samples) -> tuple[tuple[int, str], ...]:
    own = {(symbol.call, symbol.side) for symbol in decode(reference)}
    return tuple(sorted({(symbol.call, symbol.side) for symbol in decode(recorded)} - own))


def _samples(count: int) -> str:
    """20 ms frames are named as such: what loses whole frames is a packet, what loses others is a program."""
    if count and count % FRAME == 0:
        return f"{count} samples ({count // FRAME} frame{'s' if count > FRAME else ''} of 20 ms)"
    return f"{count} sample{'' if count == 1 else 's'}"
