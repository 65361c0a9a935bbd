"""How all cases stand: counted against the cases themselves, and what was left out is named (A-34, C-22)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import insert

from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    SYSTEM,
    UNITS,
    Accept,
    Amend,
    Assign,
    Channel,
    Close,
    Consent,
    HandOver,
    Outcome,
    Reopen,
    Reply,
    Result,
    Share,
    State,
    Way,
)
from cti.cases.lists import Wanted
from cti.cases.progress import Ownerless, progress
from recorder.catalogue import plain, recordings
from tests.unit.cti.cases.test_book import START, Shelf
from tests.unit.recorder.rig import uuid

NOW = START + timedelta(days=1)
THERE = UNITS | {"kyusui", "shomu"}


async def recorded(shelf: Shelf, name: str, at: datetime, **more: Any) -> None:
    values = {
        "recording": uuid(f"recording {name}"), "pbx": "pbx1", "conversation": uuid(name), "number": "0664581132",
        "direction": "in", "start": plain(at), "end": plain(at), "seconds": 60.0, "segments": 1, "agent": "2201",
    } | more  # fmt: skip
    async with shelf.engine.begin() as connection:
        await connection.execute(insert(recordings).values(**values))


@pytest.mark.rule("A-34")
async def test_open_cases_are_counted_by_who_sees_to_them(shelf: Shelf) -> None:
    await shelf.enter()
    over = await shelf.handed_over()
    taken = await shelf.handed_over()
    await shelf.book().add(taken.number, [shelf.act(Accept, unit="kyusui")])
    found = await progress(shelf.engine, START, START, THERE)
    assert [(one.unit, one.open, one.untaken, one.late) for one in found.owners] == [
        (CONTRACTOR, 1, 0, 0), ("kyusui", 2, 1, 0),
    ]  # fmt: skip
    late = await progress(shelf.engine, START, NOW, THERE)
    assert [one.late for one in late.owners] == [0, 2]
    assert late.owners[1].oldest == over.case.received_at
    others = dict.fromkeys(("unasked", "unentered", "unsent", "unresolved", "ownerless"), 0)
    assert late.counts == {"open": 3, "late": 2} | others


@pytest.mark.rule("A-34")
async def test_a_case_of_which_nobody_entered_what_was_asked_is_named(shelf: Shelf) -> None:
    left = await shelf.book().enter([shelf.question("", by=SYSTEM)])
    asked = await shelf.book().enter([shelf.question("", by=SYSTEM)])
    await shelf.book().add(asked.number, [shelf.act(Amend, inquiry="断水")])
    assert (await progress(shelf.engine, START, NOW, THERE)).unasked == (left.number,)


@pytest.mark.rule("A-34")
async def test_a_recording_without_a_case_is_named(shelf: Shelf) -> None:
    for name in ("entered", "forgotten", "internal", "before", "just now"):
        at = {"before": START - timedelta(days=9), "just now": NOW - timedelta(minutes=5)}.get(name, START)
        await recorded(shelf, name, at, direction="internal" if name == "internal" else "in")
    await shelf.book().enter([shelf.question(conversation=uuid("entered"))])
    (one,) = (await progress(shelf.engine, START - timedelta(days=1), NOW, THERE)).unentered
    assert (one.conversation, one.at, one.agent) == (uuid("forgotten"), START, "2201")


@pytest.mark.rule("A-24", "A-34")
async def test_a_case_that_was_answered_and_of_which_nobody_says_what_came_of_it_is_named(shelf: Shelf) -> None:
    left, ended, reopened = [await shelf.enter() for _each in range(3)]
    for kept in (left, ended, reopened):
        await shelf.book().add(kept.number, [shelf.act(Reply, channel=Channel.PHONE)])
    for kept in (ended, reopened):
        await shelf.book().add(
            kept.number, [shelf.act(Result, outcome=Outcome.DECLINED, text="再検針"), shelf.act(Close)]
        )
    await shelf.book().add(reopened.number, [shelf.act(Reopen, reason="もう一度")])
    at = (await shelf.book().get(left.number)).case.last_at
    assert (await progress(shelf.engine, START, at + timedelta(minutes=59), THERE)).unresolved == ()
    assert (await progress(shelf.engine, START, NOW, THERE)).unresolved == (left.number,)


@pytest.mark.rule("A-31", "A-34")
async def test_what_a_unit_that_is_no_more_saw_to_is_named(shelf: Shelf) -> None:
    helped = await shelf.enter(shelf.act(Share, to="eigyo", reason="古い図面", help=True))
    owned = await shelf.handed_over()
    assert (await progress(shelf.engine, START, NOW, {*THERE, "eigyo"})).ownerless == ()
    assert (await progress(shelf.engine, START, NOW, UNITS)).ownerless == (
        Ownerless(case=helped.number, kind="help", unit="eigyo"),
        Ownerless(case=owned.number, kind=None, unit="kyusui"),
        Ownerless(case=owned.number, kind="callback", unit="kyusui"),
    )
    cc = {"by": "sato", "unit": CENTRE}
    await shelf.book().add(helped.number, [shelf.act(Share, to="eigyo", reason="課がない", ended=True, **cc)])
    again = [
        shelf.act(Assign, main="shomu", **cc), shelf.act(Consent, given=True, **cc),
        shelf.act(HandOver, way=Way.CALLBACK, promised=NOW, **cc),
    ]  # fmt: skip
    await shelf.book().add(owned.number, again)
    assert (await progress(shelf.engine, START, NOW, THERE - {"kyusui"})).ownerless == (), "CC gave it to another"


@pytest.mark.rule("C-22")
async def test_a_month_s_numbers_are_those_of_its_cases(shelf: Shelf) -> None:
    closing = [
        (Reply, {"channel": Channel.PHONE}), (Result, {"outcome": Outcome.DECLINED, "text": "条例による"}), (Close, {}),
    ]  # fmt: skip
    first = await shelf.enter()
    await shelf.book().add(first.number, [shelf.act(kind, **more) for kind, more in closing])
    again = await shelf.enter()
    await shelf.book().add(again.number, [shelf.act(kind, **more) for kind, more in closing])
    await shelf.book().add(again.number, [shelf.act(Reopen, reason="もう一度")])
    await shelf.handed_over()
    await shelf.book().enter([shelf.question(channel=Channel.FAX, received_by=CENTRE, category="bill")])
    found = await shelf.book().month(datetime(2027, 3, 31, 15, tzinfo=UTC), datetime(2027, 4, 30, 15, tzinfo=UTC))
    lines = await shelf.book().lines(Wanted(), CENTRE, limit=99)
    assert found["cases"] == len(lines) == 4
    assert found["open"] == sum(line.state is not State.CLOSED for line in lines) == 3
    assert (found["declined"], found["reopened"]) == (1, 1)
    for name in ("channel", "category", "main", "outcome"):
        assert sum(found[name].values()) == 4, name
    assert found["channel"] == {"phone": 3, "fax": 1}
    assert found["category"] == {"-": 2, "leak": 1, "bill": 1}
    assert found["tickets"] == {"callback": {"due": 1, "in_time": 0, "late": 0, "open": 1}}
    empty = await shelf.book().month(datetime(2027, 4, 30, 15, tzinfo=UTC), datetime(2027, 5, 31, 15, tzinfo=UTC))
    assert (empty["cases"], empty["tickets"]) == (0, {})
