"""What a segment says of itself."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.about import About, AboutError
from recorder.audio import Encoder
from recorder.take import OpenSegment
from tests.unit.recorder.rig import RATE, START, noise, take

META = OpenSegment(number=3, slot=7, epoch=1, key_id="0" * 16, file_key="", offset=2 * RATE)


def stream(comment: str) -> bytes:
    encoder = Encoder(rate=RATE, level=5, comment=comment)
    return encoder.feed(noise("l", RATE), noise("r", RATE))


def test_it_comes_back_from_the_head_of_a_stream_that_has_no_end() -> None:
    about = About.of(take(), META, START)
    assert About.read(stream(str(about))) == about
    assert about.began == (START + timedelta(seconds=2)).isoformat()


def test_the_take_that_it_tells_of_has_the_same_times() -> None:
    made = take()
    told = About.of(made, META, START).taken()
    assert (told.id, told.stem, told.rate, told.order) == (made.id, made.stem, made.rate, made.order)
    assert [told.time_of(sample) for sample in (0, 5 * RATE)] == [made.time_of(sample) for sample in (0, 5 * RATE)]


def test_without_a_bridge_the_time_is_the_one_given() -> None:
    assert About.of(take(entered=None), META, START).began == START.isoformat()


@pytest.mark.parametrize(
    "comment",
    ["recording=x segment=1", "[]", "{}", json.dumps({"recording": "x"}), "3"],
)
def test_what_is_no_such_comment_is_refused(comment: str) -> None:
    with pytest.raises(AboutError):
        About.read(stream(comment))


@given(st.binary(max_size=200))
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(AboutError):
        About.read(data)
