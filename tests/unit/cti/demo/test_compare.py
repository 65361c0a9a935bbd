"""Each fault that a recorder could make is injected, and has to be called by its name."""

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from cti.demo.compare import Comparison, compare
from cti.demo.tones import PREAMBLE, Samples, reference

pytestmark = pytest.mark.thorough

LEAD = round(PREAMBLE * 8000)
SAID = reference(321, "caller", 6)
TALK = SAID[LEAD:]
OTHER_SIDE = reference(321, "callee", 6)
MARGIN = 200  # samples from the ends of the talk: what is lost there is a missing front or end

places = st.integers(MARGIN, len(TALK) - 8 * 160 - MARGIN)
lengths = st.integers(1, 6 * 160)
silences = st.integers(0, 3000)


def quiet(length: int) -> Samples:
    return np.zeros(length, dtype=np.int16)


def joined(*parts: Samples) -> Samples:
    return np.concatenate(parts).astype(np.int16)


def one(comparison: Comparison, kind: str, at: int, **counts: int) -> None:
    assert not comparison.exact
    assert [splice.kind for splice in comparison.splices] == [kind], str(comparison)
    splice = comparison.splices[0]
    # where samples are alike on both sides of a seam, the seam may lie at either of them
    assert abs(splice.at - at) <= 12
    for name, value in counts.items():
        assert getattr(splice, name) == value
    assert (comparison.missing_front, comparison.missing_end) == (0, 0)


@given(before=silences, after=silences)
@settings(max_examples=25, deadline=None)
def test_silence_around_the_talk_is_no_fault(before: int, after: int) -> None:
    comparison = compare(joined(quiet(before), TALK, quiet(after)), SAID)
    assert comparison.exact
    assert comparison.starts_at == before - LEAD
    assert str(comparison) == "exact: all 44000 samples (275 frames of 20 ms) from first to last"


@given(at=places, length=lengths, before=silences)
@settings(max_examples=40, deadline=None)
def test_dropped(at: int, length: int, before: int) -> None:
    comparison = compare(joined(quiet(before), TALK[:at], TALK[at + length :], quiet(900)), SAID)
    one(comparison, "dropped", before + at, missing=length)
    assert comparison.lost == length


def test_a_dropped_frame_is_said_so() -> None:
    text = str(compare(joined(TALK[:16000], TALK[16160:]), SAID))
    assert text == "160 samples (1 frame of 20 ms) dropped at 2.000 s (sample 16000)"


@given(at=places, length=lengths)
@settings(max_examples=40, deadline=None)
def test_repeated(at: int, length: int) -> None:
    comparison = compare(joined(TALK[: at + length], TALK[at:]), SAID)
    one(comparison, "repeated", at + length, extra=length)


@given(at=places, length=lengths)
@settings(max_examples=40, deadline=None)
def test_silence_put_in(at: int, length: int) -> None:
    one(compare(joined(TALK[:at], quiet(length), TALK[at:]), SAID), "silence", at, extra=length)


@pytest.mark.parametrize(("length", "waited"), [(160, 1), (320, 1), (159, None)])
def test_asterisks_own_waiting_is_told_from_a_fault(length: int, waited: int | None) -> None:
    assert compare(joined(TALK[:8000], quiet(length), TALK[8000:]), SAID).waited == waited
    assert compare(joined(TALK[:8000], quiet(160), TALK[8160:]), SAID).waited is None
    assert compare(joined(TALK[:8000], quiet(160), TALK[8000:-1]), SAID).waited is None
    assert compare(TALK, SAID).waited == 0


@given(at=places, length=st.integers(1, 480), lost=st.integers(1, 480))
@settings(max_examples=40, deadline=None)
def test_replaced_by_silence(at: int, length: int, lost: int) -> None:
    comparison = compare(joined(TALK[:at], quiet(length), TALK[at + lost :]), SAID)
    one(comparison, "replaced", at, extra=length, missing=lost)
    assert comparison.mismatches == length


@given(at=places, by=st.sampled_from([-1, 1, 8, -300, 4000]))
@settings(max_examples=40, deadline=None)
def test_a_single_altered_sample(at: int, by: int) -> None:
    wrong = TALK.copy()
    wrong[at] = wrong[at] + by or by
    comparison = compare(joined(quiet(77), wrong), SAID)
    one(comparison, "altered", 77 + at, extra=1)
    assert comparison.mismatches == 1


@given(at=places)
@settings(max_examples=20, deadline=None)
def test_swapped_parts(at: int) -> None:
    comparison = compare(joined(TALK[at:], TALK[:at]), SAID)
    assert [splice.kind for splice in comparison.splices] == ["order"]
    assert "out of order" in str(comparison)
    assert (comparison.missing_front, comparison.missing_end) == (0, 0)


@given(first=places, second=places)
@settings(max_examples=20, deadline=None)
def test_two_middle_parts_swapped(first: int, second: int) -> None:
    low, high = sorted((first, second))
    if high - low < 400:
        high = low + 400
    middle = (low + high) // 2
    # Where the samples at a seam are equal by chance, nobody can say on which side of it one of them belongs.
    for before, after in ((low, middle), (high, low), (middle, high)):
        assume(TALK[before] != TALK[after] and TALK[before - 1] != TALK[after - 1])
    comparison = compare(joined(TALK[:low], TALK[middle:high], TALK[low:middle], TALK[high:]), SAID)
    assert {splice.kind for splice in comparison.splices} == {"order"}
    assert comparison.lost == 0


@given(front=st.integers(1, 9000), end=st.integers(1, 9000))
@settings(max_examples=40, deadline=None)
def test_missing_front_and_end(front: int, end: int) -> None:
    comparison = compare(joined(quiet(50), TALK[front:-end], quiet(50)), SAID)
    assert (comparison.missing_front, comparison.missing_end, comparison.splices) == (front, end, ())
    assert not comparison.exact
    assert f"the first {front} sample" in str(comparison)
    assert f"the last {end} sample" in str(comparison)


def test_the_very_first_and_last_sample_count() -> None:
    assert compare(joined(quiet(1), TALK[1:]), SAID).missing_front == 1
    assert compare(joined(TALK[:-1], quiet(1)), SAID).missing_end == 1


def test_the_other_side_is_named() -> None:
    comparison = compare(OTHER_SIDE, SAID)
    assert not comparison.exact
    assert comparison.heard == ((321, "callee"),)
    assert str(comparison) == "nothing of what was said is in the recording; holds call 321, callee"


def test_another_call_is_named() -> None:
    assert compare(reference(322, "caller", 6), SAID).heard == ((322, "caller"),)


@pytest.mark.parametrize("at", [8000, 20001])
def test_sides_that_change_places_within_the_call(at: int) -> None:
    comparison = compare(joined(SAID[: LEAD + at], OTHER_SIDE[LEAD + at :]), SAID)
    assert [splice.kind for splice in comparison.splices] == ["foreign"]
    assert comparison.missing_end == len(TALK) - at
    assert comparison.heard == ((321, "callee"),)


def test_another_call_in_between_is_named_with_its_length() -> None:
    other = reference(5, "callee", 3)[LEAD:]
    comparison = compare(joined(TALK[:9000], other, TALK[9000:]), SAID)
    one(comparison, "foreign", 9000, missing=0)
    assert comparison.splices[0].extra == pytest.approx(len(other), abs=12)
    assert comparison.heard == ((5, "callee"),)


def test_faults_are_found_together_in_order() -> None:
    recorded = joined(TALK[:8000], TALK[8160:16000], quiet(160), TALK[16000:24000], TALK[23840:])
    assert [splice.kind for splice in compare(recorded, SAID).splices] == ["dropped", "silence", "repeated"]


@pytest.mark.parametrize("length", [0, 1, 63, 64, 8000])
def test_an_empty_recording_misses_everything(length: int) -> None:
    comparison = compare(quiet(length), SAID)
    assert not comparison.exact
    assert comparison.missing_front == len(TALK)
    assert str(comparison) == "nothing of what was said is in the recording"


def test_noise_is_not_the_call() -> None:
    noise = np.random.default_rng(3).integers(-8000, 8000, 48_000).astype(np.int16)
    assert not compare(noise, SAID).stretches
