"""What is due: neither a day early nor late, and what a hold stops is said to be stopped."""

from datetime import UTC, date, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from policies.calendar import JST
from policies.load import Policies, shipped
from policies.retention import Retention
from recorder.medium import Medium
from retention.holds import Answered, Asked, Ground, Held, Holds, Line, fold
from retention.period import after, day_of, over
from retention.plan import Deed, Due, Kept, Plan, ends_before, moves_before

POLICY = Policies(shipped()).retention
ENDED = datetime(2026, 1, 15, 10, 0, tzinfo=JST)
MOVES, ENDS = datetime(2026, 7, 16, tzinfo=JST), datetime(2027, 1, 16, tzinfo=JST)
MOMENT = timedelta(microseconds=1)

moments = st.integers(0, 2300 * 86400).map(
    lambda seconds: datetime(2025, 12, 1, tzinfo=JST) + timedelta(seconds=seconds)
)
months = st.integers(1, 30)


def kept(name: str = "1", ended: datetime = ENDED, medium: Medium = Medium.FIRST) -> Kept:
    return Kept(recording=name, conversation=f"c{name}", ended=ended, medium=medium)


def due(one: Kept, now: datetime, *lines: Line) -> tuple[Deed, datetime] | None:
    found = Plan(POLICY, fold(lines), now).of(one)
    return (found.deed, found.since) if found else None


def held(at: datetime, name: str = "h", conversation: str = "c1") -> Held:
    return Held(id=name, at=at, by="tanaka", conversation=conversation, ground=Ground.UNRESOLVED)


def released(at: datetime, name: str = "h") -> tuple[Line, Line]:
    return (
        Asked(id=name, at=at - timedelta(days=1), by="tanaka", question="q"),
        Answered(type="released", id=name, at=at, by="mori", question="q"),
    )


def test_it_moves_when_its_first_period_is_over_and_not_a_moment_before() -> None:
    assert due(kept(), MOVES - MOMENT) is None
    assert due(kept(), MOVES) == (Deed.MOVE, MOVES)
    assert due(kept(medium=Medium.SECOND), MOVES) is None


def test_it_ends_when_its_second_period_is_over_wherever_it_lies() -> None:
    on_second = kept(medium=Medium.SECOND)
    assert due(on_second, ENDS - MOMENT) is None
    assert due(on_second, ENDS) == due(kept(), ENDS) == (Deed.ERASE, ENDS)
    assert due(kept(), ENDS - MOMENT) == (Deed.MOVE, MOVES), "it was never moved"


def test_a_hold_stops_its_end_and_not_its_way_to_the_second_medium() -> None:
    hold = held(MOVES - timedelta(days=9))
    assert due(kept(), MOVES, hold) == (Deed.MOVE, MOVES)
    assert due(kept(medium=Medium.SECOND), ENDS, hold) == (Deed.STOPPED, ENDS)
    assert due(kept(), ENDS, hold) == (Deed.MOVE, MOVES), "what is held is moved all the same"
    assert due(kept(medium=Medium.SECOND), ENDS - MOMENT, hold) is None
    late = ENDS + timedelta(days=40)
    assert due(kept(medium=Medium.SECOND), late, hold, *released(late)) == (Deed.ERASE, late)
    assert due(kept(medium=Medium.SECOND), late, held(late)) == (Deed.STOPPED, ENDS), "it is still there"


def test_another_conversation_s_hold_is_none_of_its_business() -> None:
    assert due(kept(medium=Medium.SECOND), ENDS, held(ENDED, conversation="c2")) == (Deed.ERASE, ENDS)


def test_of_many_what_is_due_comes_in_their_order() -> None:
    old = ENDED - timedelta(days=400)
    many = [kept("1"), kept("2", old), kept("3", ENDED + timedelta(days=1)), kept("4", old, Medium.SECOND)]
    plan = Plan(POLICY, Holds(), MOVES)
    found = [due for one in many if (due := plan.of(one)) is not None]
    assert [(one.kept.recording, one.deed) for one in found] == [
        ("1", Deed.MOVE), ("2", Deed.ERASE), ("4", Deed.ERASE),
    ]  # fmt: skip


@given(ended=moments, now=moments, first=months, second=months)
def test_it_agrees_with_the_calendar_on_every_day(ended: datetime, now: datetime, first: int, second: int) -> None:
    policy = of_months(first, second)
    moves = over(after(day_of(ended), first))
    ends = over(after(after(day_of(ended), first), second))
    found = Plan(policy, Holds(), now).of(kept(ended=ended.astimezone(UTC)))
    assert (found and found.deed) == (Deed.ERASE if ends <= now else Deed.MOVE if moves <= now else None)
    assert (ended < moves_before(policy, now)) == (moves <= now)
    assert (ended < ends_before(policy, now)) == (ends <= now)


@given(now=moments, first=months, second=months)
def test_the_bounds_are_the_first_midnight_of_what_is_not_due(now: datetime, first: int, second: int) -> None:
    policy = of_months(first, second)
    for bound, deed in ((moves_before(policy, now), Deed.MOVE), (ends_before(policy, now), Deed.ERASE)):
        assert (bound.hour, bound.minute, bound.tzinfo) == (0, 0, JST)
        last: Due | None = Plan(policy, Holds(), now).of(kept(ended=bound - MOMENT))
        assert last is not None
        assert last.deed in (deed, Deed.ERASE)
        then: Due | None = Plan(policy, Holds(), now).of(kept(ended=bound))
        assert then is None or then.deed is not deed


def of_months(first: int, second: int) -> Retention:
    system = POLICY.system.model_copy(update={"first_months": first, "second_months": second})
    return POLICY.model_copy(update={"system": system})


def test_on_29_february_what_has_no_such_day_is_over_on_1_march() -> None:
    assert due(kept(ended=datetime(2027, 8, 31, 9, tzinfo=JST)), datetime(2028, 3, 1, tzinfo=JST) - MOMENT) is None
    assert due(kept(ended=datetime(2027, 8, 31, 9, tzinfo=JST)), datetime(2028, 3, 1, tzinfo=JST)) is not None
    assert after(date(2027, 8, 31), 6) == date(2028, 2, 29)
