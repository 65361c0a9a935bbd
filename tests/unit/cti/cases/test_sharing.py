"""Others see a case, or are asked for something: by whom, for how long, and nobody passes it on."""

from typing import Any

import pytest

from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    Assign,
    Channel,
    Close,
    HandOver,
    Note,
    Outcome,
    Reply,
    Result,
    Share,
    TicketEnd,
    TicketKind,
    Way,
    Why,
)
from cti.cases.seeing import sees
from tests.unit.cti.cases.test_model import Story, entered

WITH: dict[str, Any] = {"to": "shomu", "reason": "同じ家の苦情"}


@pytest.mark.rule("E-05", "A-44")
def test_another_unit_sees_it_until_it_is_taken_back() -> None:
    story = entered()
    assert not sees(story.now, "shomu")
    story(Share, **WITH)
    assert (story.now.shared, sees(story.now, "shomu"), story.now.tickets) == (("shomu",), True, ())
    story.refused("E-05", Share, **WITH)
    story(Share, to="shomu", ended=True)
    assert not sees(story.now, "shomu")
    story.refused("E-05", Share, to="shomu", ended=True)


@pytest.mark.rule("E-05", "A-44")
@pytest.mark.parametrize("unit", ["shomu", "kyusui", EMERGENCY])
def test_only_who_sees_to_it_shares_it_and_cc(unit: str) -> None:
    story = entered()(Share, **WITH)(Assign, main="gesui", related=("kyusui",))
    story.refused("A-31", Share, unit, to="other", reason="x")
    story.refused("A-31", Share, unit, to="shomu", ended=True)
    story(Share, CENTRE, to="other", reason="x")


@pytest.mark.rule("E-05")
@pytest.mark.parametrize(
    "wrong", [{"reason": " "}, {"to": EMERGENCY}, {"to": CONTRACTOR}, {"to": CENTRE}, {"to": CONTRACTOR, "help": True}]
)
def test_what_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    entered().refused("E-05", Share, **WITH | wrong)


@pytest.mark.rule("E-05")
@pytest.mark.parametrize("to", [CENTRE, "shomu"])
def test_who_is_asked_has_it_in_their_list_until_they_say_something(to: str) -> None:
    story = entered()(Share, to=to, reason="課長の判断がほしい", help=True)
    (ticket,) = story.now.tickets
    assert (ticket.kind, ticket.unit, ticket.outcome, sees(story.now, to)) == (TicketKind.HELP, to, None, True)
    story.refused("E-05", Share, to=to, reason="x", help=True)
    story(Note, text="待っている")(Reply, channel=Channel.PHONE)
    assert story.now.tickets[0].outcome is None, "others' words, and an answer to the customer, are none of theirs"
    story(Note, to, text="断ってよい")
    assert story.now.tickets[0].outcome is TicketEnd.KEPT
    story(Share, to=to, reason="もう一度", help=True)
    assert [one.outcome for one in story.now.tickets] == [TicketEnd.KEPT, None]


@pytest.mark.rule("E-05")
def test_what_nobody_needs_any_more_waits_for_nobody() -> None:
    asked = {"to": "shomu", "reason": "x", "help": True}
    taken_back = entered()(Share, **asked)(Share, to="shomu", help=True, ended=True)
    assert (taken_back.now.tickets[0].outcome, sees(taken_back.now, "shomu")) == (TicketEnd.VOID, False)
    closed = entered()(Share, **asked)(Result, outcome=Outcome.WITHDRAWN, text="取下げ")(Close)
    assert (closed.now.tickets[0].outcome, sees(closed.now, "shomu")) == (TicketEnd.VOID, True)
    closed.refused("A-14", Share, **asked)
    assert not sees(closed(Share, to="shomu", ended=True).now, "shomu"), "a case need not be opened again for that"


@pytest.mark.rule("E-05", "A-44")
def test_who_gets_the_case_decides_with_whom_it_is_shared() -> None:
    story: Story = entered()(Share, to="shomu", reason="x", help=True)(Assign, main="kyusui")
    story(HandOver, way=Way.TRANSFER, why=Why.WISH)
    assert (story.now.shared, sees(story.now, "shomu")) == ((), False)
    assert story.now.tickets[0].outcome is TicketEnd.VOID
