"""Promises of the night: one row for each however often its steps are read, and none is forgotten."""

import random
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti import store
from cti.calls.said import said
from cti.intake import Intake, IntakeBook, Kept, identity, taken
from cti.steps import Step
from policies.calendar import JST
from policies.load import Policies, shipped
from tests import databases
from tests.unit.recorder.rig import ram_folder, uuid

HOURS = Policies(shipped()).opening_hours()
NIGHT = datetime(2027, 1, 1, 22, 0, tzinfo=JST)  # a Friday; on Saturday it opens, on Sunday it does not
SATURDAY = date(2027, 1, 2)
FILE = "2027-01-01.jsonl"


def steps(*texts: str, call: int = 1, start: datetime = NIGHT) -> list[Step]:
    """Those of one call, a second apart, as the dialplan says them."""
    found = []
    for place, text in enumerate(texts):
        at, step = start + timedelta(seconds=place), said(text)
        assert step is not None
        found.append(
            {
                "key": f"pbx1/pbx1-{call}/{at.timestamp()}/{text}",
                "conversation": uuid(f"call {call}"),
                "uniqueid": f"pbx1-{call}",
                "at": at.astimezone(UTC).isoformat(),
                "what": step.what,
                "values": dict(step.values),
            }
        )
    return found


ROUTE = "route/closed/A-08/weekday/gate/0664581132"
CALLBACK = (ROUTE, "key/menu/2", "intake/callback/0312345678/keyed/ja", "key/menu/")
EMERGENCY = (
    ROUTE,
    "key/menu/1",
    "route/emergency/A-12/urgent/menu/0664581132",
    "intake/emergency/0312345678/calling/ja",
)
ANSWERED = (*EMERGENCY, "line/3901/NOANSWER", "line/3901/ANSWER")
UNANSWERED = (*EMERGENCY, "line/3901/NOANSWER", "line/3901/BUSY", "intake/unanswered/0312345678/calling/ja")
URGENT = (*UNANSWERED, "key/callback/1", "intake/urgent/0699999999/keyed/ja")

Opened = Callable[[], Awaitable[IntakeBook]]


@asynccontextmanager
async def database(folder: Path) -> AsyncIterator[IntakeBook]:
    engine = store.engine(databases.url(folder))
    await store.migrate(engine)
    try:
        yield IntakeBook(engine, "pbx1", HOURS.next_business_day)
    finally:
        await engine.dispose()


@pytest.fixture
async def book() -> AsyncIterator[IntakeBook]:
    with ram_folder() as folder:
        async with database(folder) as made:
            yield made


async def only(book: IntakeBook) -> Intake:
    (row,) = await book.rows(done=True)
    return row


# --- one promise ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-22")
async def test_a_wish_to_be_called_back_is_a_row_due_on_the_next_business_day(book: IntakeBook) -> None:
    taken_in = steps(*CALLBACK)
    (row,) = await book.take(taken_in, FILE, 100)
    assert row == await only(book)
    assert row == Intake(
        id=identity("pbx1-1", "callback"), conversation=uuid("call 1"), kind="callback",
        at=NIGHT + timedelta(seconds=2), dialled="0664581132", number="0312345678", source="keyed", language="ja",
        due=SATURDAY,
    )  # fmt: skip
    assert row.at.tzinfo is UTC


async def test_a_withheld_number_is_none(book: IntakeBook) -> None:
    await book.take(steps(ROUTE, "intake/emergency//calling/en"), FILE, 1)
    row = await only(book)
    assert (row.number, row.source, row.language) == (None, None, "en")


@pytest.mark.parametrize("text", [ROUTE, "key/menu/1", "line/3901/ANSWER", "line/3901/NOANSWER", "intake"])
async def test_what_promises_nothing_is_no_row(book: IntakeBook, text: str) -> None:
    assert await book.take(steps(text), FILE, 1) == []
    assert await book.rows(done=True) == []
    assert [step["what"] for step in await book.steps_of("pbx1-1")] == [text.partition("/")[0]]


@pytest.mark.rule("A-21")
async def test_an_emergency_that_was_answered_names_who_answered(book: IntakeBook) -> None:
    await book.take(steps(*ANSWERED), FILE, 1)
    row = await only(book)
    assert (row.kind, row.answered_by, row.unanswered, row.due) == ("emergency", "3901", False, SATURDAY)
    assert not row.overdue(SATURDAY)
    assert row.overdue(SATURDAY + timedelta(days=1)), "it is handed over on the next business day"


@pytest.mark.rule("A-21")
async def test_an_emergency_that_nobody_answered_is_overdue_at_once(book: IntakeBook) -> None:
    await book.take(steps(*UNANSWERED), FILE, 1)
    row = await only(book)
    assert (row.answered_by, row.unanswered) == (None, True)
    assert row.overdue(NIGHT.date())
    assert row.public(NIGHT.date())["overdue"] is True


async def test_a_line_that_did_not_answer_is_no_answer(book: IntakeBook) -> None:
    for status in ("NOANSWER", "BUSY", "CONGESTION", "CHANUNAVAIL", "CANCEL", "ANSWERED", "answer"):
        await book.take(steps("intake/emergency/03/calling/ja", f"line/3901/{status}", call=len(status)), FILE, 1)
    assert {row.answered_by for row in await book.rows()} == {None}


@pytest.mark.rule("A-21")
async def test_a_second_round_that_is_answered_ends_the_alarm(book: IntakeBook) -> None:
    await book.take(steps(*UNANSWERED, "line/3901/ANSWER"), FILE, 1)
    row = await only(book)
    assert (row.answered_by, row.unanswered) == ("3901", False)
    late = steps("intake/unanswered/0312345678/calling/ja", start=NIGHT + timedelta(minutes=9))
    assert await book.take(late, FILE, 2) == []


async def test_the_number_that_somebody_in_need_keyed_wins(book: IntakeBook) -> None:
    await book.take(steps(*URGENT), FILE, 1)
    row = await only(book)
    assert (row.number, row.source, row.unanswered) == ("0699999999", "keyed", True)
    again = steps("intake/unanswered/0312345678/calling/en", start=NIGHT + timedelta(minutes=9))
    await book.take(again, FILE, 2)
    assert ((await only(book)).number, (await only(book)).language) == ("0699999999", "ja")


async def test_an_urgent_step_without_a_number_takes_none_away(book: IntakeBook) -> None:
    await book.take(steps(*UNANSWERED, "intake/urgent//keyed/ja"), FILE, 1)
    row = await only(book)
    assert (row.number, row.source) == ("0312345678", "calling")


async def test_a_call_may_leave_a_callback_and_an_emergency(book: IntakeBook) -> None:
    await book.take(steps(*CALLBACK, *EMERGENCY[1:], "line/3901/ANSWER"), FILE, 1)
    rows = {row.kind: row for row in await book.rows()}
    assert rows.keys() == {"callback", "emergency"}
    assert rows["callback"].answered_by is None
    assert rows["emergency"].answered_by == "3901"


async def test_a_corrected_callback_number_is_the_later_one(book: IntakeBook) -> None:
    await book.take(steps(*CALLBACK, "intake/callback/0799999999/confirmed/ja"), FILE, 1)
    row = await only(book)
    assert (row.number, row.source) == ("0799999999", "confirmed")


@pytest.mark.rule("A-22")
@pytest.mark.parametrize(
    ("at", "due"),
    [
        (datetime(2027, 1, 1, 22, tzinfo=JST), date(2027, 1, 2)),
        (datetime(2027, 1, 2, 22, tzinfo=JST), date(2027, 1, 4)),
        (datetime(2026, 12, 31, 3, tzinfo=JST), date(2027, 1, 1)),
        (datetime(2027, 1, 5, 23, 59, 59, tzinfo=JST), date(2027, 1, 6)),
        (datetime(2027, 1, 6, 0, 0, tzinfo=JST), date(2027, 1, 7)),
    ],
)
async def test_a_promise_is_due_on_the_day_of_business_after_it(book: IntakeBook, at: datetime, due: date) -> None:
    await book.take(steps("intake/callback/0312345678/keyed/ja", start=at), FILE, 1)
    row = await only(book)
    assert (row.at, row.due) == (at, due)
    assert not row.overdue(due)
    assert row.overdue(due + timedelta(days=1))


async def keep(book: IntakeBook, identity: str, at: datetime, note: str = "x") -> None:
    await book.keep([Kept(id=identity, at=at, by="給水課", note=note)], "kept/2027-01-01.jsonl", 1)


# --- kept ------------------------------------------------------------------------------------------------------------


async def test_what_is_done_is_overdue_no_longer_and_shown_on_demand(book: IntakeBook) -> None:
    await book.take(steps(*URGENT), FILE, 1)
    row = await only(book)
    at = NIGHT + timedelta(hours=2)
    await keep(book, row.id, at, "折り返し済み")
    assert await book.rows() == []
    closed = await only(book)
    assert (closed.done_at, closed.done_by, closed.note) == (at, "給水課", "折り返し済み")
    assert not closed.overdue(date(2030, 1, 1))


async def test_a_promise_is_kept_once_and_whichever_line_is_read_first(book: IntakeBook) -> None:
    """After a rebuild the line may come before the steps; of two commands at once the first one counts."""
    await book.take(steps(*URGENT), FILE, 1)
    identity = (await only(book)).id
    await book.clear()
    assert (await book.rows(done=True), await book.read_until()) == ([], {})
    first, second = NIGHT + timedelta(hours=1), NIGHT + timedelta(hours=2)
    await keep(book, identity, first, "first")
    await keep(book, identity, second, "second")
    await book.take(steps(*URGENT), FILE, 1)
    row = await only(book)
    assert (row.id, row.done_at, row.note) == (identity, first, "first")


async def test_reading_again_opens_nothing_that_is_done(book: IntakeBook) -> None:
    await book.take(steps(*UNANSWERED), FILE, 1)
    await keep(book, (await only(book)).id, NIGHT + timedelta(hours=1))
    closed = await only(book)
    await book.take(steps(*UNANSWERED), FILE, 1)
    assert await only(book) == closed
    await book.take(steps(*URGENT), FILE, 2)
    later = await only(book)
    assert (later.done_at, later.number) == (closed.done_at, "0699999999")


async def test_rows_are_told_apart_by_the_beginning_of_their_id(book: IntakeBook) -> None:
    for call in range(5):
        await book.take(steps(*CALLBACK, call=call), FILE, 1)
    row = (await book.rows())[3]
    assert await book.beginning(row.id) == [row]
    assert row in await book.beginning(row.id[:1])
    for nonsense in ("%", "_", "x", row.id + "0"):
        assert await book.beginning(nonsense) == []


async def test_open_ones_are_listed_the_oldest_first(book: IntakeBook) -> None:
    for call, minutes in enumerate((5, 1, 3)):
        await book.take(steps(*CALLBACK, call=call, start=NIGHT + timedelta(minutes=minutes)), FILE, 1)
    ats = [row.at for row in await book.rows()]
    assert ats == sorted(ats)
    assert len(ats) == 3


# --- however they are read --------------------------------------------------------------------------------------------


async def test_how_far_a_file_was_read_is_remembered_for_each_file(book: IntakeBook) -> None:
    assert await book.read_until() == {}
    await book.take([], FILE, 7)
    await book.take(steps(*CALLBACK), FILE, 900)
    await book.take([], "2027-01-02.jsonl", 3)
    await book.keep([], "kept/2027-01-02.jsonl", 4)
    assert await book.read_until() == {FILE: 900, "2027-01-02.jsonl": 3, "kept/2027-01-02.jsonl": 4}


async def test_a_step_that_cannot_be_kept_leaves_nothing_of_its_file(book: IntakeBook) -> None:
    await book.take(steps(*CALLBACK), FILE, 5)
    bad = steps(*UNANSWERED, call=2)
    del bad[-1]["at"]
    with pytest.raises(KeyError):
        await book.take(bad, FILE, 900)
    assert len(await book.rows()) == 1
    assert await book.read_until() == {FILE: 5}
    assert await book.steps_of("pbx1-2") == []


async def test_what_was_taken_is_there_after_a_restart() -> None:
    with ram_folder() as folder:
        async with database(folder) as book:
            await book.take(steps(*URGENT), FILE, 5)
            before = await book.rows()
        async with database(folder) as book:
            assert await book.take(steps(*URGENT), FILE, 5) == []
            assert await book.rows() == before
            assert [step["key"] for step in await book.steps_of("pbx1-1")] == [step["key"] for step in steps(*URGENT)]


async def test_steps_of_a_call_are_found_by_channel_or_conversation_and_in_their_order(book: IntakeBook) -> None:
    for call in (1, 2):
        await book.take(steps(*URGENT, call=call), FILE, 1)
    expected = [step["key"] for step in steps(*URGENT, call=2)]
    for text in ("pbx1-2", uuid("call 2"), uuid("call 2")[:13]):
        assert [step["key"] for step in await book.steps_of(text)] == expected
    for nonsense in ("%", "_", "nobody"):
        assert await book.steps_of(nonsense) == []


@pytest.mark.parametrize("texts", [CALLBACK, ANSWERED, UNANSWERED, URGENT, (*CALLBACK, *ANSWERED[1:])])
async def test_steps_that_are_read_one_by_one_and_again_and_again_give_one_row(
    book: IntakeBook, texts: Sequence[str]
) -> None:
    found = steps(*texts)
    await book.take(found, FILE, 1)
    whole = await book.rows()
    for step in [*found, *reversed(found)]:
        assert await book.take([step], FILE, 1) == []
    assert await book.rows() == whole
    assert len(whole) == len({row.kind for row in whole})


NIGHTS = st.lists(
    st.sampled_from([CALLBACK, ANSWERED, UNANSWERED, URGENT, (ROUTE,), (*CALLBACK, *URGENT[1:])]),
    min_size=1,
    max_size=4,
)


@settings(max_examples=15, deadline=None)
@given(NIGHTS, st.randoms(use_true_random=False))
async def test_calls_read_in_any_order_in_any_pieces_and_repeatedly_give_the_same_rows(
    night: list[tuple[str, ...]], chance: random.Random
) -> None:
    calls = [steps(*texts, call=call, start=NIGHT + timedelta(minutes=call)) for call, texts in enumerate(night)]
    with ram_folder() as folder:
        (folder / "a").mkdir()
        (folder / "b").mkdir()
        async with database(folder / "a") as first, database(folder / "b") as second:
            await first.take([step for call in calls for step in call], FILE, 1)
            # What a call said stays in its order; calls mix, pieces are cut anywhere, and each may come again.
            waiting = [list(call) for call in calls]
            seen: list[Step] = []
            while any(waiting):
                call = chance.choice([call for call in waiting if call])
                piece = [call.pop(0) for _ in range(chance.randint(1, len(call)))]
                seen += piece
                again = chance.sample(seen, chance.randint(0, len(seen)))
                await second.take([*piece, *again, *piece], FILE, 1)
            assert await second.rows(done=True) == await first.rows(done=True)
            assert [len(await second.steps_of(f"pbx1-{call}")) for call in range(len(calls))] == list(map(len, calls))


def test_a_step_of_no_promise_changes_no_row() -> None:
    (promise, *_rest) = steps("intake/emergency/03/calling/ja", ROUTE)
    row = taken(None, promise, "0664581132", SATURDAY)
    assert row is not None
    for step in steps(ROUTE, "key/menu/1", "line/3901/BUSY"):
        assert taken(row, step, None, None) in (row, None)
