"""Calls to customers, act by act: when one may be made, what came of it, and what is still owed (C-06, E-16)."""

import random
from datetime import datetime, time, timedelta
from typing import Any

import pytest

from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    Accept,
    Channel,
    Close,
    Consent,
    DialEnded,
    Dialled,
    Expect,
    HandOver,
    Met,
    Missed,
    Outcome,
    Reach,
    Register,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    TransferEnded,
    Transferred,
    Tried,
    Way,
    Why,
)
from cti.cases.callbacks import UNREACHED
from cti.cases.case import Case, RuleError
from cti.cases.contact import calling
from cti.cases.model import taken
from policies.calendar import JST
from tests.unit.cti.cases.test_model import NUMBER, START, Story, asked, called_back, entered, reached

pytestmark = pytest.mark.rule("C-06", "E-16")
LEG = "callback-1-{}-1806541200.{}"


def owed() -> Story:
    """給水課 has promised a call in two hours; START is ten in the morning in Japan."""
    return called_back(asked())


def dialled(story: Story, unit: str = "kyusui", place: int = 1) -> str:
    number = len(story.now.history) + 1
    leg = LEG.format(number, number)
    story(Dialled, unit, place=place, phone="3101", leg=leg, conversation="c")
    return leg


def ended(story: Story, leg: str, outcome: str, **more: Any) -> Story:
    return story(DialEnded, CONTRACTOR, leg=leg, outcome=outcome, **more)


def test_a_call_that_met_the_customer_keeps_the_promise() -> None:
    story = owed()
    ended(story, dialled(story), "answered", seconds=40)
    (ticket,) = story.now.tickets
    assert ticket.outcome is None, "nobody has said yet whom it met"
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER)
    (ticket,) = story.now.tickets
    assert (ticket.outcome, ticket.tries) == (TicketEnd.KEPT, 1)
    assert ticket.done_at == story.now.history[-3].at, "when they were called"
    assert (story.now.next_at, story.now.promised, story.now.call) == (None, None, None)


@pytest.mark.parametrize("outcome", sorted(UNREACHED))
def test_who_is_not_there_when_they_were_told_is_tried_again_and_what_was_promised_stays(outcome: str) -> None:
    story = owed()
    promised = story.now.promised
    assert promised is not None
    story.at = promised - timedelta(minutes=10)
    again = promised + timedelta(hours=1)
    ended(story, dialled(story), outcome, again=again)
    (ticket,) = story.now.tickets
    assert (ticket.outcome, ticket.tries, ticket.due, ticket.again) == (None, 1, promised, again)
    assert (story.now.next_at, story.now.promised) == (again, None)
    later = again + timedelta(hours=1)
    ended(story, dialled(story), outcome, again=later)
    (second,) = story.now.tickets
    assert (second.tries, second.tried_at, second.again) == (2, ticket.tried_at, later)


def test_who_is_not_there_hours_before_is_still_called_when_they_were_told() -> None:
    story = owed()
    promised = story.now.promised
    assert promised is not None
    for again in (promised - timedelta(hours=1), promised + timedelta(days=9)):
        ended(story, dialled(story), "no-answer", again=again)
        assert story.now.promised == promised
        assert story.now.next_at == min(again, promised)
    (ticket,) = story.now.tickets
    assert (ticket.tries, ticket.tried_at) == (2, None)


@pytest.mark.parametrize("outcome", ["cancelled", "not-picked-up", "not-placed", "failed"])
def test_what_nobody_here_waited_for_was_no_try(outcome: str) -> None:
    story = owed()
    before = story.now.tickets
    ended(story, dialled(story), outcome)
    assert story.now.tickets == before
    dialled(story)


def test_one_call_at_a_time_and_what_came_of_it_before_the_next() -> None:
    story = owed()
    leg = dialled(story)
    story.refused("C-06", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")
    ended(story, leg, "answered")
    story.refused("C-06", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")
    story(Tried, "kyusui", place=1, met=Met.NOBODY, again=story.at + timedelta(hours=1))
    dialled(story)
    story.at += timedelta(hours=1)
    dialled(story)  # of a call whose end nobody ever told


def test_what_the_pbx_says_after_somebody_has_said_it_changes_nothing() -> None:
    story = owed()
    leg = dialled(story)
    story(Tried, "kyusui", place=1, met=Met.VOICEMAIL, left="また電話します", again=story.at + timedelta(hours=1))
    before = story.now.tickets
    ended(story, leg, "answered", seconds=20)
    assert (story.now.tickets, story.now.call) == (before, None)
    story.refused("C-06", DialEnded, leg="callback-1-9-1.9", outcome="busy")


@pytest.mark.parametrize("unit", ["kyusui", CENTRE])
def test_whose_ticket_it_is_calls_and_cc(unit: str) -> None:
    dialled(owed(), unit)


def test_what_was_taken_for_not_placed_and_was_is_asked_for() -> None:
    story = owed()
    leg = dialled(story)
    ended(story, leg, "not-placed")
    ended(story, leg, "answered", seconds=300)
    story.refused("C-06", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER)
    assert story.now.tickets[0].outcome is TicketEnd.KEPT


def test_a_result_belongs_to_the_ticket_that_was_dialled_for() -> None:
    story = Story()(
        Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="断水",
        ticket=TicketKind.CALLBACK, due=START + timedelta(hours=3),
    )  # fmt: skip
    story(Reach, contact=NUMBER)
    story(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
          due=story.at + timedelta(minutes=30))  # fmt: skip
    leg = dialled(story, CONTRACTOR)
    story.refused("C-06", Tried, place=2, met=Met.NOBODY, again=story.at + timedelta(hours=1))
    ended(story, leg, "answered")
    story.refused("C-06", Tried, place=2, met=Met.NOBODY, again=story.at + timedelta(hours=1))
    story(Tried, place=1, met=Met.NOBODY, again=story.at + timedelta(hours=1))
    assert [one.tries for one in story.now.tickets] == [1, 0]


def test_a_hand_over_while_they_talk_hinders_nobody() -> None:
    story = asked()(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
                    due=START + timedelta(minutes=30))  # fmt: skip
    leg = dialled(story, CONTRACTOR)
    story(HandOver, way=Way.TRANSFER, why=Why.WISH)
    ended(story, leg, "answered", seconds=300)
    first, second = story.now.tickets
    assert (first.outcome, second.unit, second.outcome) == (TicketEnd.PASSED_ON, "kyusui", None)
    dialled(story, "kyusui", place=2)
    story = asked()(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
                    due=START + timedelta(minutes=30))  # fmt: skip
    leg = dialled(story, CONTRACTOR)
    story(HandOver, way=Way.TRANSFER, why=Why.WISH)
    ended(story, leg, "answered", seconds=300)
    story(Tried, CONTRACTOR, place=1, met=Met.CUSTOMER)
    assert [one.outcome for one in story.now.tickets] == [TicketEnd.PASSED_ON, TicketEnd.KEPT], "they were called"


def test_a_hand_over_while_it_rings_keeps_the_new_promise() -> None:
    story = asked()(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
                    due=START + timedelta(minutes=30))  # fmt: skip
    leg = dialled(story, CONTRACTOR)
    called_back(story)
    promised = story.now.promised
    ended(story, leg, "busy", again=story.at + timedelta(minutes=30))
    assert (story.now.promised, story.now.next_at) == (promised, promised)
    assert [one.tries for one in story.now.tickets] == [0, 0]


def test_of_a_call_that_nobody_heard_of_again_the_time_does_not_count() -> None:
    story = owed()
    dialled(story)
    story.at += timedelta(days=3)
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER)
    assert story.now.tickets[0].done_at == story.at


def test_what_is_promised_after_the_call_was_begun_is_not_kept_by_it() -> None:
    """The transfer out of it failed: they are called again."""
    story = asked()(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
                    due=START + timedelta(minutes=30))  # fmt: skip
    leg = dialled(story, CONTRACTOR)
    story(Transferred, leg=leg, conversation="c", how="blind", phone="2201", to="3101", section="kyusui")
    story(TransferEnded, leg=leg, outcome="no-answer", due=story.at + timedelta(minutes=30))
    ended(story, leg, "answered")
    story(Tried, place=1, met=Met.CUSTOMER)
    kinds = [(one.kind, one.outcome) for one in story.now.tickets]
    assert kinds == [
        (TicketKind.ABANDONED, TicketEnd.KEPT), (TicketKind.TRANSFER, TicketEnd.FAILED), (TicketKind.CALLBACK, None),
    ]  # fmt: skip


def test_who_called_again_and_was_missed_again_is_called_as_soon() -> None:
    story = asked()
    story(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
          due=story.at + timedelta(minutes=30))  # fmt: skip
    story.at += timedelta(minutes=40)
    story(Tried, place=1, met=Met.NOBODY, again=story.at + timedelta(hours=20))
    soon = story.at + timedelta(minutes=30)
    story(Missed, leg="1.9", conversation="e", number="0664581132", why="cancelled", seconds=99, due=soon)
    assert len(story.now.tickets) == 1
    assert story.now.next_at == soon


@pytest.mark.parametrize(
    ("number", "may"), [("0990-123-456", False), ("+1 650-253-0000", False), ("06-6458-1132", True)]
)
def test_a_number_that_costs_and_that_the_network_alone_says_is_entered_first(number: str, may: bool) -> None:
    story = entered()
    caller = calling("".join(number.split("-")).replace(" ", ""))
    story.at += timedelta(minutes=1)
    assert story.case is not None
    story.case = taken(story.case, Reach(at=story.at, by=SYSTEM, unit=CONTRACTOR, contact=caller))
    story(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
          due=story.at + timedelta(minutes=30))  # fmt: skip
    if not may:
        story.refused("A-16", Dialled, place=1, phone="2201", leg="x", conversation="c")
        story(Reach, name="山田", contact=None)  # nobody has said anything of the number
        story.refused("A-16", Dialled, place=1, phone="2201", leg="x", conversation="c")
        story(Reach, contact=caller)
    dialled(story, CONTRACTOR)


def test_what_was_promised_is_agreed_to_and_what_is_urgent_is_at_any_hour() -> None:
    story = owed()
    story(Reach, contact=None, between=(time(18), time(20)))
    story.refused("E-16", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")
    assert story.now.promised is not None
    story.at = story.now.promised - timedelta(minutes=20)
    dialled(story)
    story = Story()(
        Register, channel=Channel.EMERGENCY, received_by=EMERGENCY, received_at=START, inquiry="断水",
        ticket=TicketKind.EMERGENCY, due=START + timedelta(days=3),
    )  # fmt: skip
    story(Reach, contact=NUMBER, between=(time(18), time(20)))
    dialled(story, CONTRACTOR)


def test_who_wants_to_be_called_at_any_hour_again_is() -> None:
    story = owed()
    story(Reach, contact=None, between=(time(18), time(20)))(Reach, contact=None, any_hour=True)
    dialled(story)


def test_nothing_is_put_off_for_more_than_a_month() -> None:
    story = owed()
    for met in (Met.NOBODY, Met.CUSTOMER):
        story.refused("E-16", Tried, "kyusui", place=1, met=met, again=story.at + timedelta(days=32))


def test_who_asked_to_be_called_once_more_is_though_the_question_is_answered() -> None:
    story = owed()(Accept, "kyusui")
    later = story.at + timedelta(hours=5)
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER, again=later)
    story(Reply, "kyusui", channel=Channel.PHONE)(Result, "kyusui", outcome=Outcome.ANSWERED, text="案内した")
    assert (story.now.promised, story.now.tickets[1].outcome) == (later, None)
    story.refused("A-14", Close, "kyusui")
    story(Tried, "kyusui", place=2, met=Met.CUSTOMER)(Close, "kyusui")


def test_nobody_else_calls() -> None:
    story = owed()
    story.refused("A-31", Dialled, CONTRACTOR, place=1, phone="2201", leg="x", conversation="c")
    story.refused("A-31", Tried, CONTRACTOR, place=1, met=Met.CUSTOMER)


@pytest.mark.parametrize(("hour", "may"), [(9, False), (10, True), (11, True), (12, False)])
def test_they_are_called_at_the_hours_they_agreed_to(hour: int, may: bool) -> None:
    story = owed()
    story(Reach, contact=None, between=(time(10), time(12)))
    story.at = datetime(2027, 4, 2, hour, tzinfo=JST) - timedelta(minutes=1)
    if may:
        dialled(story)
    else:
        story.refused("E-16", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")


def test_what_is_said_of_a_customer_is_as_it_was_where_nothing_is_said() -> None:
    story = entered()(Reach, name="山田", contact=NUMBER, read_back=True, email="a@example.jp", address="大阪市北区")
    story(Reach, contact=None, between=(time(18), time(20)), discreet=True)(Reach, contact=None, name="山田 太郎")
    reach = story.now.reach
    assert reach is not None
    assert (reach.name, reach.contact, reach.read_back) == ("山田 太郎", NUMBER, True)
    assert (reach.email, reach.address, reach.between) == ("a@example.jp", "大阪市北区", (time(18), time(20)))
    assert reach.discreet
    story(Reach, contact=None, discreet=False)
    assert story.now.reach is not None
    assert story.now.reach.discreet is False
    story.refused("E-16", Reach, contact=None, between=(time(20), time(18)))


def test_a_message_is_left_with_somebody_and_never_where_the_customer_does_not_want_it() -> None:
    story = owed()
    again = story.at + timedelta(hours=1)
    for met in (Met.NOBODY, Met.WRONG, Met.CUSTOMER):
        story.refused("C-06", Tried, "kyusui", place=1, met=met, left="折り返しください")
    story(Tried, "kyusui", place=1, met=Met.OTHER, left="折り返しください", again=again)
    story(Reach, contact=None, discreet=True)
    for met in (Met.OTHER, Met.VOICEMAIL):
        story.refused("C-06", Tried, "kyusui", place=1, met=met, left="水道料金の件", again=again)
        story(Tried, "kyusui", place=1, met=met, again=again)


def test_a_wrong_number_is_called_no_more() -> None:
    story = owed()
    story(Tried, "kyusui", place=1, met=Met.WRONG)
    story.refused("A-16", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")
    (ticket,) = story.now.tickets
    assert ticket.outcome is None
    story(Reach, "kyusui", contact=NUMBER, read_back=True)
    dialled(story)


def test_who_wants_to_be_called_later_is_promised_that_anew() -> None:
    story = owed()
    later = story.at + timedelta(hours=5)
    story.refused("E-16", Tried, "kyusui", place=1, met=Met.CUSTOMER, again=story.at)
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER, again=later)
    first, second = story.now.tickets
    assert first.outcome is TicketEnd.KEPT
    assert (second.kind, second.unit, second.due, second.outcome) == (TicketKind.CALLBACK, "kyusui", later, None)
    assert story.now.next_at == story.now.promised == later


def test_who_is_on_the_telephone_is_called_for_nothing_else_of_the_case() -> None:
    story = Story()(
        Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="断水",
        ticket=TicketKind.CALLBACK, due=START + timedelta(hours=3),
    )  # fmt: skip
    story(Reach, contact=NUMBER)
    story(Missed, leg="1.2", conversation="d", number="0664581132", why="cancelled", seconds=20,
          due=story.at + timedelta(minutes=30))  # fmt: skip
    story(Tried, place=2, met=Met.CUSTOMER)
    assert [one.outcome for one in story.now.tickets] == [TicketEnd.KEPT, TicketEnd.KEPT]


def test_who_is_put_through_or_was_called_is_not_called() -> None:
    story = reached(entered())
    story(Transferred, leg="1.2", conversation="c", how="blind", phone="2201", to="3101", section="kyusui")
    story.refused("C-06", Dialled, place=1, phone="2201", leg="x", conversation="c")
    for place in (0, 2, 99):
        story.refused("C-06", Dialled, place=place, phone="2201", leg="x", conversation="c")
    story = owed()
    story(Tried, "kyusui", place=1, met=Met.CUSTOMER)
    story.refused("C-06", Tried, "kyusui", place=1, met=Met.CUSTOMER)


def test_who_does_not_want_to_be_called_is_not() -> None:
    story = owed()
    story(Consent, given=False)
    story.refused("A-17", Dialled, "kyusui", place=1, phone="3101", leg="x", conversation="c")


def test_an_answer_and_an_end_leave_no_call_behind() -> None:
    story = owed()
    ended(story, dialled(story), "answered")
    story.at += timedelta(minutes=1)
    story(Accept, "kyusui")(Reply, "kyusui", channel=Channel.PHONE)
    assert story.now.call is None
    story(Result, "kyusui", outcome=Outcome.ANSWERED, text="直した")(Close, "kyusui")
    assert story.now.state is State.CLOSED
    call = next(act for act in story.now.history if isinstance(act, Dialled))
    ended(story, call.leg, "answered")  # it comes late, and is kept
    assert story.now.state is State.CLOSED


@pytest.mark.parametrize("seed", range(40))
def test_whatever_is_tried_nothing_that_is_owed_is_lost(seed: int) -> None:
    """No ticket is done without a customer who was met, an answer, or an end; tries are counted; times lie ahead."""
    chance = random.Random(seed)  # noqa: S311
    story = owed()
    legs: list[str] = []
    for _ in range(60):
        before = story.now
        unit = chance.choice(["kyusui", CENTRE, CONTRACTOR])
        again = chance.choice([None, story.at + timedelta(minutes=chance.randint(-5, 300))])
        place = chance.randint(0, len(before.tickets) + 1)
        leg = LEG.format(len(before.history) + 1, 1)
        act, more = chance.choice([
            (Dialled, {"place": place, "phone": "3101", "leg": leg, "conversation": "c"}),
            (DialEnded, {"leg": chance.choice([*legs, "x"]), "outcome": chance.choice([*UNREACHED, "answered",
                         "cancelled", "not-picked-up"]), "again": again}),
            (Tried, {"place": place, "met": chance.choice(list(Met)), "again": again}),
            (Reach, {"contact": chance.choice([NUMBER, None])}),
        ])  # fmt: skip
        try:
            story(act, unit, **more)
        except RuleError:
            assert story.now is before
            continue
        if act is Dialled:
            legs.append(leg)
        _sound(before, story.now, act, more)


def _sound(before: Case, after: Case, act: type, more: dict[str, Any]) -> None:
    done = [one for one in before.tickets if one.outcome is None and after.tickets[before.tickets.index(one)].outcome]
    assert not done or (act is Tried and more["met"] is Met.CUSTOMER)
    assert len(after.tickets) >= len(before.tickets)
    assert sum(one.tries for one in after.tickets) - sum(one.tries for one in before.tickets) in (0, 1)
    assert (act is Dialled) <= (after.call is not None and after.call.dialled is after.history[-1])
    for one in after.tickets:
        assert one.tried_at is None or one.tries > 0
        assert one.again is None or one.tries > 0
        if one.outcome is None:
            assert after.next_at is not None


def missed(story: Story, **more: Any) -> Story:
    return story(Missed, leg=f"1.{len(story.now.history)}", conversation="d", number="0664581132", why="cancelled",
                 seconds=20, due=story.at + timedelta(minutes=31), **more)  # fmt: skip


def test_what_is_known_of_the_night_s_call_puts_off_no_call_that_came_after_it() -> None:
    story = Story()(
        Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="断水",
        ticket=TicketKind.CALLBACK, due=START,
    )  # fmt: skip
    missed(story)
    soon, later = story.now.tickets[1].due, START + timedelta(days=1)
    story(Expect, by=SYSTEM, until=later)
    assert [one.due for one in story.now.tickets] == [later, soon]


def test_an_answer_settles_no_call_that_came_after_it() -> None:
    story = missed(asked())
    answered_at = story.at
    story.at += timedelta(minutes=10)
    missed(story)
    assert len(story.now.tickets) == 1, "one call, at the first of the two times"
    story(Tried, place=1, met=Met.CUSTOMER)
    missed(story)(Reply, channel=Channel.PHONE, answered_at=answered_at)
    story(Result, outcome=Outcome.ANSWERED, text="案内した")
    assert [one.outcome for one in story.now.tickets] == [TicketEnd.KEPT, None]
    story.refused("C-06", Close)
    by = {"at": story.at, "by": "gyosha", "unit": CONTRACTOR}
    assert taken(story.now, Close(**by), kept=True).state is State.CLOSED, "what was closed before stays readable"
    story(Reply, channel=Channel.PHONE)(Result, outcome=Outcome.ANSWERED, text="案内した")(Close)


def test_the_earlier_of_two_calls_counts_in_whatever_order_they_are_told() -> None:
    story = asked()
    story(Missed, leg="1.2", conversation="d", number="0664581132", why="busy", seconds=20,
          due=START + timedelta(minutes=50))  # fmt: skip
    story(Missed, leg="1.1", conversation="d", number="0664581132", why="busy", seconds=20,
          due=START + timedelta(minutes=30))  # fmt: skip
    assert story.now.next_at == START + timedelta(minutes=30)
