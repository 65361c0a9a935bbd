"""A duplicate becomes part of another case: nobody's call is lost by it, and nobody is called twice (C-06, A-14)."""

import asyncio
import random
from datetime import time, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.cases import joining
from cti.cases.acts import (
    CALLED,
    CENTRE,
    CONTRACTOR,
    Channel,
    Close,
    Consent,
    Dialled,
    Draft,
    Expect,
    Join,
    Joined,
    Met,
    Missed,
    Note,
    Outcome,
    Promise,
    Reach,
    Register,
    Reopen,
    Reply,
    Result,
    Share,
    State,
    TicketEnd,
    TicketKind,
    Transferred,
    Tried,
    UnjustDemand,
    Voice,
    VoiceBasis,
)
from cti.cases.book import ChangedError, OrderError
from cti.cases.case import Case, RuleError
from cti.cases.contact import Missing
from cti.cases.lists import Kept, TicketsWanted
from cti.cases.model import fold, taken
from cti.errors import LogUnavailableError
from tests.unit.cti.cases.test_book import Shelf
from tests.unit.cti.cases.test_callbacks import dialled, ended, missed
from tests.unit.cti.cases.test_model import NUMBER, START, Story, called_back, entered, reached

pytestmark = pytest.mark.rule("C-06", "A-03", "A-14")


def owing(kind: TicketKind = TicketKind.CALLBACK, hours: int = 3, **reach: Any) -> Story:
    """What the night took."""
    story = Story()(
        Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="断水",
        ticket=kind, due=START + timedelta(hours=hours), conversation="c",
    )  # fmt: skip
    return story(Reach, **{"contact": NUMBER} | reach)


def join(duplicate: Story, into: Story, unit: str = CONTRACTOR, number: int = 2, case: int = 1) -> None:
    at = max(duplicate.at, into.at) + timedelta(minutes=1)
    by = {"at": at, "by": "gyosha", "unit": unit}
    first, second = joining.acts(duplicate.now, number, into.now, case, by)
    after = taken(duplicate.now, first), taken(into.now, second)
    duplicate.case, into.case = after
    duplicate.at = into.at = at


def refused(rule: str, duplicate: Story, into: Story, unit: str = CONTRACTOR, **more: int) -> None:
    before = duplicate.now, into.now
    with pytest.raises(RuleError) as raised:
        join(duplicate, into, unit, **more)
    assert raised.value.rule == rule
    assert (duplicate.now, into.now) == before


def test_the_duplicate_ends_and_the_call_that_it_owed_is_the_other_s() -> None:
    one, other = owing(), reached(entered())
    due = one.now.next_at
    join(one, other)
    assert (one.now.state, one.now.joined, one.now.next_at) == (State.CLOSED, 1, None)
    assert [ticket.outcome for ticket in one.now.tickets] == [TicketEnd.PASSED_ON]
    (ticket,) = other.now.tickets
    assert (ticket.kind, ticket.unit, ticket.due, ticket.at) == (
        TicketKind.CALLBACK, CONTRACTOR, due, one.now.tickets[0].at,
    )  # fmt: skip
    assert (other.now.next_at, other.now.state) == (due, State.OPEN)
    other(Tried, place=1, met=Met.CUSTOMER)
    assert other.now.tickets[0].outcome is TicketEnd.KEPT


def test_what_they_were_told_goes_along_and_one_call_keeps_both() -> None:
    one, other = called_back(reached(entered())), owing(hours=1)
    told, soon = one.now.promised, other.now.next_at
    join(one, other, CENTRE)
    assert (other.now.promised, other.now.next_at) == (told, soon)
    assert [ticket.due for ticket in other.now.tickets] == [soon, told]
    assert soon is not None
    other.at = soon - timedelta(minutes=10)
    other(Tried, place=1, met=Met.NOBODY, again=START + timedelta(hours=9))
    assert other.now.next_at == told, "they are called when they were told"
    other(Tried, place=1, met=Met.CUSTOMER)
    assert (other.now.next_at, other.now.promised) == (None, None)


@pytest.mark.parametrize("first", [True, False])
def test_calls_without_a_time_of_their_own_become_one_at_the_earlier(first: bool) -> None:
    one, other = missed(entered()), entered()
    other.at += timedelta(minutes=7)
    missed(other)
    for story in (one, other):
        story(Reach, contact=NUMBER)
    early, late = one.now.next_at, other.now.next_at
    assert early is not None
    if not first:
        one, other = other, one
    join(one, other)
    (ticket,) = other.now.tickets
    assert (ticket.next_at, ticket.at) == (early, START + timedelta(minutes=9))
    assert late != early


def test_of_two_that_were_tried_and_were_not_the_one_that_was_not_is_tried_in_its_time() -> None:
    one, other = missed(reached(entered())), entered()
    one.at += timedelta(minutes=30)
    one(Tried, place=1, met=Met.NOBODY, again=START + timedelta(hours=9))
    other.at += timedelta(minutes=40)
    missed(other)(Reach, contact=NUMBER)
    due = other.now.next_at
    join(one, other)
    (ticket,) = other.now.tickets
    assert (ticket.due, ticket.next_at, ticket.tries, ticket.tried_at) == (due, due, 1, None)


def test_who_asked_to_be_called_once_more_is_whatever_else_is_answered() -> None:
    one, other = owing(), reached(entered())
    later = one.at + timedelta(hours=5)
    one(Tried, place=1, met=Met.CUSTOMER, again=later)
    join(one, other)
    other(Reply, channel=Channel.PHONE)(Result, outcome=Outcome.ANSWERED, text="案内した")
    other.refused("A-14", Close)
    assert other.now.next_at == later


def test_who_was_answered_there_is_called_all_the_same() -> None:
    one, other = owing(), reached(entered())
    other(Reply, channel=Channel.PHONE)(Result, outcome=Outcome.ANSWERED, text="案内した")
    join(one, other)
    other.refused("A-14", Close)


def test_a_case_that_owes_nothing_ends_and_leaves_nothing_to_be_done() -> None:
    one, other = entered(), entered()
    join(one, other)
    assert (other.now.tickets, other.now.next_at, one.now.state) == ((), None, State.CLOSED)


STANDING = {
    "B-14": (UnjustDemand, {"text": "土下座しろ"}),
    "A-19": (Transferred, {"leg": "1.2", "conversation": "c", "how": "blind", "phone": "2201", "to": "3101"}),
    "E-05": (Share, {"to": CENTRE, "reason": "x", "help": True}),
    "C-04": (Draft, {"channel": Channel.FAX, "to": NUMBER.e164, "again": NUMBER.e164, "text": "x", "ask": ("x",)}),
    "A-14": (Expect, {"until": START + timedelta(days=1)}),
    "C-06": (Dialled, {"place": 1, "phone": "2201", "leg": "x", "conversation": "d"}),
}


@pytest.mark.parametrize("rule", STANDING)
def test_what_is_another_s_to_see_to_comes_first(rule: str) -> None:
    one, other = owing(name="大阪 花子"), reached(entered())
    act, more = STANDING[rule]
    one(act, **more)
    refused(rule, one, other)


def test_a_citizen_s_voice_is_seen_to_its_end_first() -> None:
    one, other = (entered(Channel.VISIT, "kyusui", "kyusui") for _ in range(2))
    one(Voice, "kyusui", basis=VoiceBasis.UNIT)
    refused("A-28", one, other, "kyusui")


def test_whom_the_last_call_met_is_said_first() -> None:
    one, other = owing(), reached(entered())
    leg = dialled(one, CONTRACTOR)
    one.at += timedelta(hours=2)
    ended(one, leg, "answered")
    refused("C-06", one, other)
    one(Tried, place=1, met=Met.NOBODY, again=one.at + timedelta(hours=1))
    dialled(one, CONTRACTOR)
    one.at += timedelta(hours=2)
    join(one, other)  # of its end nobody ever heard


def test_where_nobody_could_be_called_none_is_joined_that_owes_a_call() -> None:
    refused("A-16", owing(), entered())
    refused("A-16", owing(), entered()(Reach, contact=Missing.WITHHELD))
    refused("A-17", owing(), reached(entered())(Consent, given=False))
    join(entered(), entered()(Reach, contact=Missing.WITHHELD))


def test_only_open_cases_and_not_into_itself() -> None:
    refused("A-03", owing(), reached(entered()), number=1)
    closed = reached(entered())(Reply, channel=Channel.PHONE)(Result, outcome=Outcome.ANSWERED, text="x")(Close)
    refused("A-14", owing(), closed)
    refused("A-14", closed, owing())


@pytest.mark.rule("A-31")
def test_whoever_sees_to_both_joins_them_and_cc() -> None:
    def theirs() -> Story:
        return entered(Channel.PHONE, "kyusui", "kyusui")(Reach, "kyusui", contact=NUMBER)

    for unit in (CONTRACTOR, "kyusui", "shomu"):
        refused("A-31", owing(), theirs(), unit)
        refused("A-31", theirs(), owing(), unit)
    join(theirs(), owing(), CENTRE)
    over = called_back(reached(entered()))
    refused("A-23", over, theirs(), "kyusui")
    refused("A-23", theirs(), over, "kyusui")


def test_opened_again_it_owes_nothing_twice_and_says_what_it_was() -> None:
    one, other = owing(), reached(entered())
    join(one, other)
    one(Reopen, reason="別の方だった")
    assert (one.now.state, one.now.joined, one.now.next_at) == (State.OPEN, None, None)
    assert [type(act) for act in one.now.history][-2:] == [Join, Reopen]
    one.refused("C-06", Tried, place=1, met=Met.CUSTOMER)
    assert other.now.next_at is not None


# --- whatever anybody tries -------------------------------------------------------------------------------------------


def anything(chance: random.Random) -> Story:
    """A case that owes some calls, tried or not."""
    story = owing(chance.choice(sorted(CALLED)), chance.randint(0, 30)) if chance.random() < 0.7 else reached(entered())
    for _ in range(chance.randrange(6)):
        story.at += timedelta(minutes=chance.randrange(200))
        open_ = [place for place, one in enumerate(story.now.tickets, 1) if one.outcome is None]
        again = chance.choice([None, story.at + timedelta(minutes=chance.randint(2, 900))])
        if open_ and chance.random() < 0.6:
            met = chance.choice([Met.NOBODY, Met.NOBODY, Met.CUSTOMER])
            story(Tried, place=chance.choice(open_), met=met, again=again)
        elif chance.random() < 0.8:
            missed(story)
        else:
            story(Reply, channel=Channel.PHONE)
    return story


def owed(case: Case) -> list[Any]:
    return [one for one in case.tickets if one.outcome is None and one.kind in CALLED]


@given(st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_no_promise_is_lost_or_put_off_by_a_join(drawn: random.Random) -> None:
    chance = random.Random(drawn.getrandbits(64))  # noqa: S311
    stories = [anything(chance) for _ in range(3)]
    into = stories[0]
    for number, one in enumerate(stories[1:], start=2):
        before, had = [*owed(one.now), *owed(into.now)], (one.now, into.now)
        join(one, into, number=number)
        after = owed(into.now)
        assert owed(one.now) == []
        assert bool(after) == bool(before)
        for ticket in before:  # called not later, and at each time that they were told
            same = [left for left in after if left.kind is ticket.kind]
            assert ticket.next_at is None or any(left.next_at and left.next_at <= ticket.next_at for left in same)
            if ticket.kind is TicketKind.CALLBACK:
                assert (ticket.due, ticket.tried_at, ticket.again) in [(o.due, o.tried_at, o.again) for o in same] or (
                    ticket.due in {left.due for left in same if left.tried_at is None or ticket.tried_at is not None}
                )
        told = [case.promised for case in had if case.promised]
        assert into.now.promised == min(told, default=None)
        times = [case.next_at for case in had if case.next_at]
        assert into.now.next_at == min(times, default=None), "at the first of all times, and no sooner"
        assert len(after) <= len(before)
        for story in (one, into):
            assert fold(story.now.history, "c1") == story.now
    for place, ticket in enumerate(into.now.tickets, start=1):
        if ticket.outcome is None:
            into(Tried, place=place, met=Met.CUSTOMER)
            break
    assert owed(into.now) == [], "called once"


# --- in the database --------------------------------------------------------------------------------------------------


async def two(shelf: Shelf) -> tuple[Kept, Kept]:
    """A duplicate that owes a call, and the case that it is one of."""
    into = await shelf.enter(shelf.act(Reach, contact=NUMBER))
    due = shelf.at + timedelta(minutes=30)
    return await shelf.enter(
        shelf.act(Reach, contact=NUMBER),
        shelf.act(Missed, leg="1.2", conversation="c" * 36, number="0664581132", why="busy", seconds=20, due=due),
    ), into  # fmt: skip


def by(shelf: Shelf, unit: str = CONTRACTOR) -> dict[str, Any]:
    shelf.at += timedelta(minutes=1)
    return {"at": shelf.at, "by": "gyosha", "unit": unit}


async def test_both_are_kept_and_in_the_log_and_come_back_as_they_were(shelf: Shelf) -> None:
    one, into = await two(shelf)
    shelf.told.clear()
    gone, come = await shelf.book().join(one.number, into.number, by(shelf))
    for kept in (gone, come):
        assert await shelf.book().get(kept.number) == kept
    assert gone.case.history[-1] == Join(at=shelf.at, by="gyosha", unit=CONTRACTOR, into=into.number)
    last = come.case.history[-1]
    assert isinstance(last, Joined)
    assert (last.duplicate, [type(promise) for promise in last.promises]) == (one.number, [Promise])
    assert sorted(about for _by, action, about, _detail in shelf.told if action == "case.changed") == sorted(
        [one.case.id, into.case.id]
    )
    (ticket,) = await shelf.book().tickets(TicketsWanted(), CENTRE, limit=9)
    assert (ticket.case, ticket.kind, ticket.conversation) == (into.number, TicketKind.ABANDONED, "c" * 36)
    assert await shelf.book().open_of("c" * 36) == into.number


@pytest.mark.parametrize("broken", ["log", "rule"])
async def test_it_is_both_or_neither(shelf: Shelf, broken: str) -> None:
    one, into = await two(shelf)
    if broken == "rule":
        into = await shelf.book().add(into.number, [shelf.act(Consent, given=False)])
    tells, whole = [1], shelf.tell

    def tell(*said: Any) -> None:
        if broken == "log" and said[1] == "case.changed" and not tells.pop():
            raise LogUnavailableError("disk full")
        tells.append(0)
        whole(*said)

    book = shelf.book()
    book._tell = tell
    with pytest.raises((LogUnavailableError, OrderError)):
        await book.join(one.number, into.number, by(shelf))
    for kept in (one, into):
        assert await shelf.book().get(kept.number) == kept
    if broken == "log":
        assert shelf.told[-1][1] == "case.failed"


async def test_who_has_seen_less_is_told_so_and_a_dry_run_does_nothing(shelf: Shelf) -> None:
    one, into = await two(shelf)
    for seen in ((2, None), (None, 1)):
        with pytest.raises(ChangedError):
            await shelf.book().join(one.number, into.number, by(shelf), seen=seen)
    shelf.told.clear()
    gone, come = await shelf.book().join(one.number, into.number, by(shelf), seen=(3, 2), dry_run=True)
    assert (gone.case.joined, len(come.case.tickets), shelf.told) == (into.number, 1, [])
    assert await shelf.book().get(into.number) == into


async def test_of_those_who_join_at_once_each_is_done_or_told(shelf: Shelf) -> None:
    """In a ring, while others write: nobody waits for ever, and somebody is owed the call."""
    one, into = await two(shelf)
    third = await shelf.enter(shelf.act(Reach, contact=NUMBER))
    ring = [(one, into), (into, third), (third, one)]
    work = [shelf.book().join(gone.number, come.number, by(shelf)) for gone, come in ring]
    note = shelf.book().add(into.number, [shelf.act(Note, text="x")])
    found = await asyncio.gather(*work, note, return_exceptions=True)
    assert all(isinstance(answer, OrderError) for answer in found if isinstance(answer, BaseException))
    open_ = await shelf.book().tickets(TicketsWanted(), CENTRE, limit=9)
    assert len(open_) == 1
    assert await shelf.book().open_of("c" * 36) == open_[0].case


async def test_one_that_was_joined_on_is_found_at_its_end(shelf: Shelf) -> None:
    book, call = shelf.book(), "d" * 36
    cases = [await shelf.enter(shelf.act(Reach, contact=NUMBER)) for _ in range(3)]
    await book.add(cases[0].number, [shelf.act(Note, text="x")])
    first = await book.enter([shelf.question(conversation=call)])
    await book.join(first.number, cases[0].number, by(shelf))
    await book.join(cases[0].number, cases[1].number, by(shelf))
    assert await book.open_of(call) == cases[1].number
    await book.add(cases[1].number, [
        shelf.act(Reply, channel=Channel.PHONE), shelf.act(Result, outcome=Outcome.ANSWERED, text="x"),
        shelf.act(Close),
    ])  # fmt: skip
    assert await book.open_of(call) is None
    month = await book.month(START - timedelta(days=1), START + timedelta(days=1))
    assert month["outcome"] == {"-": 1, "answered": 1, "join": 2}


async def test_each_of_the_tickets_has_a_name_of_its_own_however_often_it_goes_on(shelf: Shelf) -> None:
    one, into = await two(shelf)
    third = await shelf.enter(shelf.act(Reach, contact=NUMBER))
    await shelf.book().join(one.number, into.number, by(shelf))
    await shelf.book().join(into.number, third.number, by(shelf))
    found = await shelf.book().tickets(TicketsWanted(open=False), CENTRE, limit=9)
    assert [line.outcome for line in found].count(None) == 1
    assert len({line.id for line in found}) == len(found) == 3


@pytest.mark.rule("A-17", "E-16")
def test_what_the_customer_said_of_being_called_is_not_lost_by_a_join() -> None:
    discreet, hours = owing(discreet=True), owing(between=(time(18), time(20)))
    refused("C-06", discreet, owing())
    refused("E-16", hours, owing())
    refused("E-16", hours, owing(between=(time(9), time(12))))
    refused("A-17", owing()(Consent, given=False), owing())
    join(discreet, owing(discreet=True))
    join(hours, owing(between=(time(18), time(20))))
    join(entered()(Reach, contact=NUMBER, discreet=True), owing())  # it owes no call
