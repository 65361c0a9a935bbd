"""Spelled audio tells its call, side and place from any second of it, and survives u-law."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.demo.tones import (
    CALLS,
    PREAMBLE,
    Samples,
    Side,
    TonesError,
    decode,
    reference,
    spell,
    ulaw_decode,
    ulaw_encode,
)

pytestmark = pytest.mark.thorough

LEAD = round(PREAMBLE * 8000)
calls = st.integers(0, CALLS - 1)
sides = st.sampled_from(["caller", "callee"])


@given(call=calls, side=sides, start=st.integers(0, 32000 - 8000), rate=st.sampled_from([8000, 16000]))
@settings(max_examples=60, deadline=None)
def test_any_second_tells_call_side_and_place(call: int, side: Side, start: int, rate: int) -> None:
    begin = LEAD * rate // 8000 + start
    audio = spell(call, side, PREAMBLE + 4, rate)
    if rate == 8000:
        audio = ulaw_decode(ulaw_encode(audio))
    symbols = decode(audio[begin : begin + rate], rate)
    assert symbols
    for symbol in symbols:
        assert (symbol.call, symbol.side) == (call, side)
        assert abs(symbol.position - symbol.at_sample - begin) <= rate // 50


def test_every_group_of_a_call_is_heard_once_and_in_order() -> None:
    symbols = decode(reference(4711, "callee", 30))
    assert [symbol.position for symbol in symbols] == list(range(LEAD, 30 * 8000, 4000))


def test_what_is_not_ours_gives_nothing() -> None:
    noise = np.random.default_rng(7).normal(0, 5000, 400_000).astype(np.int16)
    assert decode(noise) == []
    assert decode(np.zeros(80_000, dtype=np.int16)) == []
    assert decode(noise[:100]) == []


def test_two_calls_at_once_are_not_taken_for_one() -> None:
    mixed = reference(1, "caller", 8) // 2 + reference(1, "callee", 8) // 2
    assert decode(mixed.astype(np.int16)) == []


@given(call=calls, side=sides)
@settings(max_examples=20, deadline=None)
def test_begins_silent_then_never_falls_silent(call: int, side: Side) -> None:
    audio = reference(call, side, 5)
    assert len(audio) == 40_000
    assert not audio[:LEAD].any()
    assert audio[LEAD:].all()


def test_no_three_milliseconds_are_alike_within_two_minutes_of_both_sides() -> None:
    sides: list[Side] = ["caller", "callee"]
    parts = [np.lib.stride_tricks.sliding_window_view(reference(12, side, 120)[LEAD:], 24) for side in sides]
    windows = np.concatenate(parts).view("V48").ravel()
    assert len(np.unique(windows)) == len(windows)


def test_level_is_that_of_a_voice_close_to_the_telephone() -> None:
    talk = reference(5, "caller", 20)[LEAD:].astype(np.float64)
    rms = 20 * np.log10(np.sqrt((talk**2).mean()) / 32768)
    peak = 20 * np.log10(np.abs(talk).max() / 32768)
    assert -18 < rms < -12 < peak < -8


def test_longer_audio_begins_as_shorter_audio_does() -> None:
    assert (spell(9, "caller", 20)[:80_000] == spell(9, "caller", 10)).all()
    assert len(spell(9, "caller", 0.1)) == 800


def test_what_cannot_be_spelled_is_refused() -> None:
    with pytest.raises(TonesError, match=f"call {CALLS} has no spelling"):
        spell(CALLS, "caller", 5)
    with pytest.raises(TonesError, match="is the longest"):
        spell(0, "caller", 17_000)


def _every_value() -> Samples:
    return np.arange(-32768, 32768, dtype=np.int32).astype(np.int16)


def test_ulaw_decoding_then_encoding_is_identity() -> None:
    codes = bytes(code for code in range(256) if code != 0x7F)  # 0x7F is minus zero: its value is zero, as 0xFF's
    assert ulaw_encode(ulaw_decode(codes)) == codes
    assert ulaw_encode(ulaw_decode(b"\x7f")) == b"\xff"


def test_ulaw_takes_the_nearest_value_within_the_segment() -> None:
    values = _every_value()
    coded = ulaw_decode(ulaw_encode(values)).astype(np.int32)
    wide = values.astype(np.int32)
    step = np.maximum(8, 2.0 ** (np.floor(np.log2(np.abs(wide) + 132)) - 4))
    inside = np.abs(wide) <= 32635
    assert (np.abs(coded - wide)[inside] <= step[inside] / 2).all()
    assert coded[0] == -32124
    assert coded[-1] == 32124


@pytest.mark.parametrize(
    ("code", "value"),
    [(0x00, -32124), (0x80, 32124), (0xFF, 0), (0x7F, 0), (0xFE, 8), (0x7E, -8), (0xEF, 132), (0xD0, 876)],
)
def test_ulaw_values_of_g711(code: int, value: int) -> None:
    assert int(ulaw_decode(bytes([code]))[0]) == value
