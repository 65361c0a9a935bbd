"""The tones of a fax machine are known in pieces of any length, and nothing else is taken for them."""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from cti.demo.tones import spell
from recorder.fax import FaxEar
from tests.unit.recorder.rig import Rig, noise, ram_folder, record

RATE = 8000


def tone(hertz: float, seconds: float, level: float = 3000, rate: int = RATE) -> npt.NDArray[np.int16]:
    t = np.arange(round(seconds * rate)) / rate
    return (level * np.sin(2 * np.pi * hertz * t)).astype(np.int16)


def heard(
    left: npt.NDArray[np.int16], right: npt.NDArray[np.int16] | None = None, piece: int = 1111, rate: int = RATE
) -> int | None:
    ear, other = FaxEar(rate), np.zeros_like(left) if right is None else right
    for start in range(0, len(left), piece):
        found = ear.hear(left[start : start + piece].tobytes(), other[start : start + piece].tobytes())
        if found is not None:
            return start + found
    return None


@pytest.mark.parametrize("piece", [160, 1111, 4000, 240000])
@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize(("hertz", "seconds", "after"), [(1100, 0.5, 0.4), (1125, 0.5, 0.4), (2100, 2.6, 1.5)])
def test_cng_and_ced_on_either_side(hertz: float, seconds: float, after: float, rate: int, piece: int) -> None:
    silence = np.zeros(rate, dtype=np.int16)
    sound = np.concatenate([silence, tone(hertz, seconds, rate=rate), silence])
    for sides in ((sound, None), (np.zeros_like(sound), sound)):
        at = heard(*sides, piece=piece, rate=rate)
        assert at == pytest.approx((1 + after) * rate, abs=0.1 * rate)


@pytest.mark.parametrize(
    "sound",
    [
        spell(7, "caller", 20),
        tone(1100, 0.3),
        tone(2100, 1.2),
        tone(1000, 5),
        tone(400, 5),
        tone(1100, 5, level=100),
        tone(1209, 2) + tone(697, 2),
        tone(1100, 5) + tone(2100, 5),
        np.random.default_rng(1).integers(-9000, 9000, 80000).astype(np.int16),
    ],
    ids=["talk", "short", "short-ced", "other", "dial", "soft", "key", "both", "noise"],
)
def test_nothing_else_is_a_fax(sound: npt.NDArray[np.int16]) -> None:
    assert heard(sound) is None


@pytest.mark.parametrize("breaks", [0, 7])
def test_a_fax_is_marked_once_where_it_was_heard(tmp_path: Path, breaks: int) -> None:
    silence = np.zeros(RATE, dtype=np.int16)
    calls = np.concatenate([silence, tone(1100, 0.5), silence, silence, silence, tone(1100, 0.5), silence])
    with ram_folder() as spool:
        rig = Rig(tmp_path, spool)
        take = record(rig, "call", calls.astype("<i2").tobytes(), noise("right", len(calls)), breaks=breaks)
        parts = rig.parts(take.order.recording)
    assert len(parts) == breaks + 1
    ((manifest, mark),) = [
        (part.manifest, mark) for part in parts for mark in part.manifest.marks if mark.what == "fax"
    ]
    assert manifest.take_offset + mark.sample == pytest.approx(1.4 * RATE, abs=0.1 * RATE)
    assert (mark.at - manifest.start).total_seconds() == pytest.approx(mark.sample / RATE, abs=0.001)
