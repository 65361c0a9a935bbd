"""What a segment says of itself."""

import json
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.about import FIRST_LINE, About, AboutError
from recorder.audio import Encoder
from recorder.take import OpenSegment
from recorder.vault.note import Signer, sign
from tests.unit.recorder.rig import RATE, START, noise, take

SIGNER = Signer.generate("kikitori/pbx1/recorder")
META = OpenSegment(number=3, slot=7, epoch=1, key_id="0" * 16, file_key="", offset=2 * RATE)


def stream(comment: str) -> bytes:
    encoder = Encoder(rate=RATE, level=5, comment=comment)
    return encoder.feed(noise("l", RATE), noise("r", RATE))


def test_it_comes_back_from_the_head_of_a_stream_that_has_no_end() -> None:
    about = About.of(take(), META, START)
    assert About.read(stream(about.signed(SIGNER)), [SIGNER.verifier]) == about
    assert about.began == (START + timedelta(seconds=2)).isoformat()


def test_the_take_that_it_tells_of_has_the_same_times() -> None:
    made = take()
    told = About.of(made, META, START).taken()
    assert (told.id, told.stem, told.rate, told.order) == (made.id, made.stem, made.rate, made.order)
    assert [told.time_of(sample) for sample in (0, 5 * RATE)] == [made.time_of(sample) for sample in (0, 5 * RATE)]


def test_without_a_bridge_the_time_is_the_one_given() -> None:
    assert About.of(take(entered=None), META, START).began == START.isoformat()


WHOLE = json.loads(About.of(take(), META, START).signed(SIGNER).splitlines()[1])


def signed(values: object, first: str = FIRST_LINE) -> str:
    return sign(f"{first}\n{json.dumps(values)}\n", [SIGNER])


@pytest.mark.rule("B-13")
@pytest.mark.parametrize(
    ("comment", "problem"),
    [
        ("recording=x segment=1", "form of a signed note"),
        (About.of(take(), META, START).signed(Signer.generate("kikitori/pbx1/recorder")), "None of the known keys"),
        (About.of(take(), META, START).signed(SIGNER).replace("0312345678", "0312345679"), "was changed"),
        (signed(WHOLE, "kikitori/about/v2"), "'kikitori/about/v2'"),
        (signed([]), "other fields"),
        (signed({"recording": "x"}), "other fields"),
        (signed(WHOLE | {"more": 1}), "other fields"),
        (signed(WHOLE | {"segment": "1"}), "segment in its comment is of another kind"),
        (signed(WHOLE | {"segment": True}), "segment in its comment is of another kind"),
        (signed(WHOLE | {"caller": 90}), "caller in its comment is of another kind"),
    ],
)
def test_what_the_recorder_did_not_say_is_refused(comment: str, problem: str) -> None:
    with pytest.raises(AboutError, match=problem):
        About.read(stream(comment), [SIGNER.verifier])


@pytest.mark.parametrize("wrong", [{"began": "yesterday"}, {"rate": 0}, {"offset": 10**30}])
def test_times_that_are_none_are_refused(wrong: dict[str, object]) -> None:
    about = About.read(stream(signed(WHOLE | wrong)), [SIGNER.verifier])
    with pytest.raises(AboutError):
        about.taken()


@given(st.binary(max_size=200))
def test_what_is_no_stream_is_refused(data: bytes) -> None:
    with pytest.raises(AboutError):
        About.read(data, [SIGNER.verifier])
