"""A take: which sample was written when, what is left of it after cuts, and its way through a file."""

import json
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recorder.take import FOREVER, History, OpenSegment, Span, Take
from tests.unit.recorder.rig import RATE, START, order, take

AT = st.integers(0, 600_000).map(lambda ms: START + timedelta(milliseconds=ms))


def talking(*seconds: tuple[float, float | None]) -> Take:
    made = take(entered=None)
    for begin, end in seconds:
        made.enter(START + timedelta(seconds=begin))
        if end is not None:
            made.leave(START + timedelta(seconds=end))
    return made


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_samples_and_times_pass_over_the_pauses() -> None:
    made = talking((0, 10), (60, 70), (100, None))
    assert [made.sample_at(at(s)) for s in (0, 5, 10, 30, 60, 65, 70, 99, 100, 101)] == [
        RATE * n for n in (0, 5, 10, 10, 10, 15, 20, 20, 20, 21)
    ]
    assert [made.time_of(RATE * n) for n in (0, 5, 15, 21, 80)] == [at(s) for s in (0, 5, 65, 101, 160)]


def test_a_time_before_the_first_bridge_is_sample_0_and_none_where_there_was_no_bridge() -> None:
    assert talking((10, None)).sample_at(at(3)) == 0
    assert take(entered=None).time_of(500) is None
    assert take(entered=None).sample_at(at(3)) == 0


def test_a_sample_past_the_last_end_has_the_time_of_that_end() -> None:
    assert talking((0, 10), (60, 70)).time_of(RATE * 25) == at(70)


@given(
    bounds=st.lists(AT, min_size=1, max_size=9, unique=True), open_end=st.booleans(), sample=st.integers(0, 5_000_000)
)
def test_a_sample_found_by_time_is_that_of_its_time(bounds: list[datetime], open_end: bool, sample: int) -> None:
    made = take(entered=None)
    for number, moment in enumerate(sorted(bounds)):
        (made.leave if number % 2 else made.enter)(moment)
    last = max(bounds)
    if not open_end:
        made.leave(last + timedelta(seconds=1))
    total = made.sample_at(last + timedelta(days=1))
    found = made.time_of(min(sample, total))
    assert found is not None
    assert abs(made.sample_at(found) - min(sample, total)) <= 1


def test_entering_twice_and_leaving_twice_changes_nothing() -> None:
    made = talking((0, 10))
    made.leave(at(12))
    made.enter(at(20))
    made.enter(at(25))
    assert made.spans == [(at(0).isoformat(), at(10).isoformat()), (at(20).isoformat(), None)]
    assert [mark["what"] for mark in made.marks] == ["joined", "left", "joined"]
    assert [mark["sample"] for mark in made.marks] == [0, 10 * RATE, 10 * RATE]


CUT = st.tuples(st.integers(0, 300), st.integers(0, 80)).map(lambda cut: (cut[0], cut[0] + cut[1]))


@given(cuts=st.lists(CUT, max_size=8), length=st.integers(0, 320))
def test_the_stretches_are_exactly_what_no_cut_covers(cuts: list[tuple[int, int]], length: int) -> None:
    made = take()
    made.cuts = cuts
    kept: list[int] = []
    here = steps = 0
    while here < length:
        start, until = made.next_stretch(here)
        assert start >= here
        end = length if until is None else min(until, length)
        assert until is None or until > start
        kept += range(start, end)
        here = max(end, start)
        steps += 1
        assert steps <= 2 * len(cuts) + 2
    assert kept == [n for n in range(length) if not any(begin <= n < end for begin, end in cuts)]


def test_cuts_that_touch_are_passed_over_at_once() -> None:
    made = take()
    made.cuts = [(20, 30), (10, 20), (30, 40)]
    assert made.next_stretch(0) == (0, 10)
    assert made.next_stretch(10) == (40, None)
    assert made.next_stretch(35) == (40, None)


def test_describing_says_whether_it_is_news_and_never_forgets() -> None:
    made = take()
    assert made.describe(agent="2001", callee="0664581132")
    assert not made.describe(agent="2001", callee=None)
    assert made.order.agent == "2001"
    assert made.order.callee == "0664581132"


@pytest.mark.parametrize(
    "segment", [None, OpenSegment(number=2, slot=7, epoch=1, key_id="ab", file_key="cd", offset=4)]
)
def test_a_take_comes_back_from_its_file_as_it_was(segment: OpenSegment | None) -> None:
    made = talking((0, 10), (20, None))
    made.mark(at(22), "hold")
    made.cuts, made.position, made.stopped, made.segment = [(5, 9)], 17, True, segment
    assert Take.from_dict(json.loads(json.dumps(made.to_dict()))) == made


def test_the_stem_names_starter_and_run() -> None:
    assert Take(id="x1", starter="fb", rate=RATE, order=order()).stem == "fb-x1"


@pytest.mark.rule("B-02")
def test_what_was_said_before_the_designated_phone_came_is_cut() -> None:
    made = talking((0, None))
    made.joined = False
    made.join(at(7), 6 * RATE)
    assert made.joined
    assert made.next_stretch(0) == (7 * RATE, None)
    made.join(at(9), 8 * RATE)
    assert made.next_stretch(0) == (7 * RATE, None), "once joined, the call is one"


def test_a_clock_that_is_set_ahead_before_the_phone_joins_cuts_off_no_call() -> None:
    made = talking((0, None))
    made.joined = False
    made.join(at(3600), RATE)
    start, until = made.next_stretch(0)
    assert start == 4 * RATE
    assert until is None


def test_two_who_enter_a_bridge_one_after_the_other_lose_nothing() -> None:
    made = talking((0, None))
    made.joined = False
    made.join(at(0.02), 0)
    assert made.cuts == []


def test_a_clock_that_was_set_back_in_an_earlier_bridge_cuts_off_nothing() -> None:
    made = talking((0, -3590), (-3589, None))  # ten seconds, and then some more
    made.stop_at(at(-3580), 0)
    assert made.next_stretch(0) == (0, None)


def test_a_clock_that_is_set_back_before_the_stop_cuts_off_nothing_that_is_written() -> None:
    made = talking((0, None))
    made.stop_at(at(8), 11 * RATE)  # after 12 seconds
    assert made.next_stretch(0) == (0, 11 * RATE)


@pytest.mark.rule("B-03")
def test_a_second_hook_is_cut_by_its_own_time() -> None:
    """A phone, 6 s; a section, 6 s; a phone again, hooked anew: nothing of that is the section's."""
    again = take(entered=None)
    again.began = at(12).isoformat()
    spans = ((at(0), at(12)), (at(12), None))
    again.revise(History(order=again.order, spans=spans, talks=((at(0), at(6)), (at(12), None)), ended=None))
    assert again.next_stretch(0) == (0, None)
    assert again.spans == [(at(12).isoformat(), None)]


@pytest.mark.rule("B-03")
def test_nothing_is_kept_behind_the_leave_of_the_last_phone_even_if_mixmonitor_goes_on() -> None:
    made = talking((0, None))
    made.stop_at(at(10), 0)
    start, until = made.next_stretch(0)
    assert start == 0
    assert until is not None
    assert 10 * RATE <= until <= 10.25 * RATE
    assert made.next_stretch(until)[1] is None
    assert made.next_stretch(until)[0] > 10**12


def test_a_clock_that_was_set_back_cuts_nothing() -> None:
    made = take()
    made.stop_at(START - timedelta(hours=1), 0)
    assert (made.stopped, made.cuts) == (True, [])
    made.stop_at(START + timedelta(seconds=2), 0)
    assert made.cuts == [(round(2.25 * RATE), FOREVER)]


def witnessed(
    spans: tuple[tuple[float, float | None], ...], talks: tuple[tuple[float, float | None], ...], take: Take
) -> History:
    def times(pairs: tuple[tuple[float, float | None], ...]) -> tuple[Span, ...]:
        return tuple((at(start), at(end) if end is not None else None) for start, end in pairs)

    return History(order=take.order, spans=times(spans), talks=times(talks), ended=None)


@pytest.mark.rule("B-03")
def test_a_phone_that_comes_back_ends_what_a_resync_left_out_for_ever() -> None:
    take = talking((0, None))
    take.joined = True
    take.revise(witnessed(((0, None),), ((0, 10),), take))
    assert take.cuts == [(10 * RATE, FOREVER)]
    assert take.back(at(12), 12 * RATE)
    assert take.cuts == [(10 * RATE, 12 * RATE)]
    assert not take.back(at(13), 13 * RATE)


@pytest.mark.rule("B-03")
def test_a_phone_that_joins_while_the_list_is_made_loses_nothing() -> None:
    take = talking((0, None))
    take.revise(witnessed(((0, None),), (), take))
    assert take.back(at(0.02), 160)
    take.join(at(0.02), 160)
    assert take.cuts == []


@pytest.mark.rule("B-03")
def test_what_the_rules_ended_stays_ended_whatever_a_witness_says_of_later() -> None:
    take = talking((0, None))
    take.joined = False
    take.stop_at(at(3), 3 * RATE)
    stopped = list(take.cuts)
    later = witnessed(((0, None),), ((20, 30),), take)
    assert not take.talked(later)
    take.revise(later)
    assert not take.joined
    assert stopped[0] in take.cuts
    take.back(at(25), 25 * RATE)
    assert stopped[0] in take.cuts


def test_who_stands_for_one_that_began_later_holds_all_of_it_later() -> None:
    other = talking((10, 20), (30, None))
    other.joined = False
    other.join(at(12), RATE * 60)
    other.mark(at(15), "hold")
    other.stop_at(at(40), RATE * 18)
    longer = take(entered=None)
    longer.succeed(other, RATE * 3)
    assert (longer.joined, longer.stopped, longer.over) == (True, True, other.over)
    assert longer.time_of(0) == at(7)
    assert [longer.sample_at(at(seconds)) for seconds in (10, 20, 31)] == [RATE * 3, RATE * 13, RATE * 14]
    assert longer.cuts[0] == (0, RATE * 5), "what was said before a designated phone came"
    assert other.last is not None
    assert longer.last == other.last + RATE * 3
    assert longer.cuts[-1] == (longer.last, FOREVER)
    assert [mark["sample"] - RATE * 3 for mark in longer.marks] == [mark["sample"] for mark in other.marks]


def test_who_is_found_in_a_bridge_came_nobody_knows_when() -> None:
    made = take(entered=None)
    made.found(at(5))
    assert (made.guessed, made.time_of(0)) == (True, at(5))
    told = talking((0, None))
    told.found(at(5))
    assert (told.guessed, told.time_of(0)) == (False, START)


def test_once_the_times_are_known_marks_lie_where_they_were_heard() -> None:
    made = take(entered=None)
    made.found(at(60))
    made.mark(at(70), "hold")
    made.marks.append({"at": at(65).isoformat(), "sample": RATE * 5, "what": "fax"})
    made.spans = [(at(0).isoformat(), None)]
    made.retime()
    found = {mark["what"]: (mark["sample"], mark["at"]) for mark in made.marks}
    assert found["joined"] == (0, at(0).isoformat())
    assert found["hold"] == (RATE * 70, at(70).isoformat())
    assert found["fax"][0] == RATE * 5
