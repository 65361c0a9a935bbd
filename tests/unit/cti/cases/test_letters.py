"""What is answered in writing: nothing goes that another person has not looked at, or that names nobody to ask."""

from datetime import datetime, timedelta
from typing import Any

import pytest

from cti.cases.acts import (
    CENTRE,
    SYSTEM,
    Accept,
    Assign,
    Channel,
    Check,
    Close,
    Draft,
    HandOver,
    Outcome,
    Reach,
    Register,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    Way,
)
from cti.cases.case import RuleError
from cti.cases.model import fold, taken
from tests.unit.cti.cases.test_model import NUMBER, START, Story, entered

FAX = {
    "channel": Channel.FAX,
    "to": NUMBER.e164,
    "again": NUMBER.e164,
    "text": "漏水の件\n問合せ先: 給水課",
    "ask": ("給水課",),
}
SENT = {"channel": Channel.FAX}
TEXTS = {"text": "問合せ先: 給水課", "ask": ("給水課",)}


def asked(channel: Channel = Channel.FAX) -> Story:
    return entered(channel, CENTRE)


def drafted(channel: Channel = Channel.FAX, **more: Any) -> Story:
    return asked(channel)(Draft, **FAX | more)


def looked(story: Story, by: str = "sato", *, ok: bool = True, **more: Any) -> Story:
    assert story.now.letter is not None
    return story(Check, by=by, draft=story.now.letter.place, ok=ok, **more)


def tickets(story: Story) -> list[tuple[TicketKind, TicketEnd | None]]:
    return [(one.kind, one.outcome) for one in story.now.tickets]


@pytest.mark.rule("C-04")
def test_what_another_person_checked_is_sent_and_nothing_else() -> None:
    story = asked()
    story.refused("C-04", Reply, **SENT)
    story(Draft, **FAX)
    story.refused("C-04", Reply, **SENT)
    story.refused("C-04", Check, draft=2, ok=True)  # by whoever drafted it
    story.refused("C-04", Check, by=SYSTEM, draft=2, ok=True)
    looked(story)
    story.refused("C-04", Reply, channel=Channel.LETTER, wish="郵送がよい")
    story(Reply, **SENT)
    assert (story.now.letter, story.now.reply is not None) == (None, True)
    story.refused("C-04", Reply, **SENT)  # it has gone; another is drafted and checked anew
    assert tickets(story) == [(TicketKind.CHECK, TicketEnd.KEPT), (TicketKind.SEND, TicketEnd.KEPT)]


@pytest.mark.rule("C-04")
def test_a_draft_that_changes_is_checked_anew() -> None:
    story = looked(drafted())
    story(Draft, **FAX | {"text": "別の文\n給水課"})
    story.refused("C-04", Reply, **SENT)
    story.refused("C-04", Check, by="sato", draft=2, ok=True)  # that one is not there any more
    looked(story)(Reply, **SENT)
    assert tickets(story) == [
        (TicketKind.CHECK, TicketEnd.KEPT), (TicketKind.SEND, TicketEnd.VOID),
        (TicketKind.CHECK, TicketEnd.KEPT), (TicketKind.SEND, TicketEnd.KEPT),
    ]  # fmt: skip


@pytest.mark.rule("C-04")
def test_what_goes_back_says_why_and_is_not_sent() -> None:
    story = drafted()
    story.refused("C-04", Check, by="sato", draft=2, ok=False, reason=" ")
    looked(story, ok=False, reason="宛名が違う")
    story.refused("C-04", Reply, **SENT)
    story.refused("C-04", Check, by="mori", draft=2, ok=True)
    story.refused("C-04", Check, by="mori", draft=2, ok=False, reason="x")
    assert tickets(story) == [(TicketKind.CHECK, TicketEnd.KEPT)]
    after = looked(looked(drafted()), ok=False, reason="やはり違う")
    after.refused("C-04", Reply, **SENT)
    assert tickets(after)[-1] == (TicketKind.SEND, TicketEnd.VOID)
    mine = looked(drafted(), by="gyosha", ok=False, reason="電話で答える")
    mine.refused("C-04", Reply, **SENT)


@pytest.mark.rule("C-04")
@pytest.mark.parametrize("again", ["", "+81664581133"])
def test_a_fax_number_is_entered_twice(again: str) -> None:
    asked().refused("C-04", Draft, **FAX | {"again": again})


@pytest.mark.rule("C-04", "C-05")
@pytest.mark.parametrize(
    ("rule", "wrong"),
    [
        ("C-04", {"channel": Channel.PHONE}), ("C-04", {"channel": Channel.VISIT}), ("C-04", {"to": " "}),
        ("C-04", {"text": "\u3000"}), ("C-05", {"text": "漏水の件"}), ("C-05", {"ask": ()}),
        ("C-05", {"ask": ("給水課", "06-6458-1132")}), ("C-05", {"section": "shomu"}),
        ("C-04", {"channel": Channel.LETTER, "name": ""}),
    ],
)  # fmt: skip
def test_what_is_not_all_there_is_no_draft(rule: str, wrong: dict[str, Any]) -> None:
    asked().refused(rule, Draft, **FAX | wrong)


@pytest.mark.rule("C-05")
def test_whom_to_ask_is_found_however_it_is_written() -> None:
    text = "問合せ先 お客さまサービス課\nお客さまセンター(０６−６４５８−１１３２)"
    drafted(text=text, ask=("お客さまサービス課 お客さまセンター", "06-6458-1132"))


@pytest.mark.rule("C-04")
@pytest.mark.parametrize(
    ("channel", "reach", "to", "name"),
    [
        (Channel.WEB, {"email": "Hanako@example.jp"}, "ｈanako@example.jp", ""),
        (Channel.LETTER, {"address": "大阪市住之江区南港北1−2"}, "大阪市 住之江区 南港北 １-２", "大阪花子"),
    ],
)  # fmt: skip
def test_it_goes_to_the_customer_or_says_why_not(channel: Channel, reach: dict[str, str], to: str, name: str) -> None:
    draft = TEXTS | {"channel": channel, "to": to, "name": name}
    story = asked(channel)
    story.refused("C-04", Draft, **draft)  # nobody knows that this is theirs
    story(Reach, contact=None, name="大阪 花子", **reach)(Draft, **draft)
    story.refused("C-04", Draft, **draft | {"to": f"x{to}"})
    story.refused("C-04", Draft, **draft | {"name": "大阪 太郎"})
    story(Draft, **draft | {"to": f"x{to}", "name": "大阪 太郎", "reason": "代理人"})
    looked(story)(Reply, channel=channel)


@pytest.mark.rule("C-04", "C-05")
def test_what_was_right_when_it_was_checked_and_is_not_any_more_is_not_sent() -> None:
    draft = TEXTS | {"channel": Channel.WEB, "to": "a@example.jp", "section": "kyusui"}
    story = asked(Channel.WEB)(Reach, contact=None, email="a@example.jp")(Assign, main="kyusui")(Draft, **draft)
    looked(story)
    moved = Story()
    moved.case, moved.at = story.now, story.at
    moved(Reach, contact=None, email="b@example.jp").refused("C-04", Reply, channel=Channel.WEB)
    story(Assign, main="shomu").refused("C-05", Reply, channel=Channel.WEB)
    unchecked = asked(Channel.WEB)(Reach, contact=None, email="a@example.jp")(Draft, **draft | {"section": None})
    unchecked(Reach, contact=None, email="b@example.jp").refused("C-04", Check, by="sato", draft=3, ok=True)
    other = asked(Channel.WEB)(Reach, contact=None, email="a@example.jp")
    other(Draft, **draft | {"to": "c@example.jp", "section": None, "reason": "代理人"})
    other(Reach, contact=None, name="大阪 花子").refused("C-04", Check, by="sato", draft=3, ok=True)


@pytest.mark.rule("C-04")
def test_what_was_sent_before_it_was_entered_is_entered_as_it_was_and_no_later_time_is() -> None:
    before = Story()
    before(
        Register,
        "kyusui",
        channel=Channel.FAX,
        received_by="kyusui",
        received_at=START - timedelta(days=1),
        inquiry="x",
    )
    at = before.at
    before.refused("C-04", Reply, "kyusui", **SENT, answered_at=at)
    before(Reply, "kyusui", **SENT, answered_at=at - timedelta(minutes=1))
    late = drafted()
    sent_at = late.at
    looked(late)
    late.refused("C-04", Reply, **SENT, answered_at=sent_at)
    late(Reply, **SENT, answered_at=late.at)


@pytest.mark.rule("C-04")
def test_times_are_entered_by_the_minute() -> None:
    story = drafted()
    assert story.case is not None
    at = START + timedelta(hours=1, seconds=30)
    who = {"by": "sato", "unit": "contractor"}
    story.case = taken(story.case, Check(at=at, draft=2, ok=True, **who))
    same_minute = at.replace(second=0)
    assert taken(story.case, Reply(at=at, **who, **SENT, answered_at=same_minute)).letter is None


@pytest.mark.rule("C-04")
def test_a_case_does_not_end_while_something_waits_to_be_sent() -> None:
    result = {"outcome": Outcome.ANSWERED, "text": "案内した"}
    for waits in (drafted(), looked(drafted())):
        waits(Reply, channel=Channel.PHONE, wish="電話がよい")(Result, **result)
        waits.refused("C-04", Close)
        looked(waits, by="gyosha", ok=False, reason="電話で済んだ")(Close)
        assert (waits.now.state, waits.now.letter) == (State.CLOSED, None)
        assert all(one.outcome is not None for one in waits.now.tickets)
    by_itself = drafted()(Reply, channel=Channel.PHONE, wish="電話がよい")(Result, **result)
    assert by_itself(Close, by=SYSTEM).now.letter is None, "what the night's book says is not held up"


@pytest.mark.rule("C-04")
def test_who_gets_the_case_writes_their_own() -> None:
    story = looked(drafted())(Assign, main="kyusui")(HandOver, way=Way.SYSTEM)(Accept, "kyusui")
    assert tickets(story) == [(TicketKind.CHECK, TicketEnd.KEPT), (TicketKind.SEND, TicketEnd.VOID)]
    story.refused("C-04", Reply, "kyusui", **SENT)
    story.refused("A-31", Draft, **FAX)


@pytest.mark.rule("C-04")
def test_what_is_not_checked_or_sent_in_time_is_late() -> None:
    soon: datetime = START + timedelta(hours=5)
    story = drafted(check_by=soon)
    assert story.now.next_at == soon
    later = soon + timedelta(hours=5)
    assert looked(story, send_by=later).now.next_at == later
    assert story(Reply, **SENT).now.next_at is None


@pytest.mark.rule("A-46", "C-04")
def test_what_was_sent_when_nobody_asked_for_a_check_is_read_as_it_was() -> None:
    reply = Reply(at=START + timedelta(hours=1), by="gyosha", unit="contractor", **SENT)
    before = fold([*asked().now.history, reply])
    assert before.reply == reply
    with pytest.raises(RuleError):
        taken(asked().now, reply)
