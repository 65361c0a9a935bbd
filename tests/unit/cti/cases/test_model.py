"""What may be done with a case, and in which order: rule by rule by hand, and whatever anybody tries."""

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    WRITTEN,
    Accept,
    Act,
    Amend,
    Assign,
    Channel,
    Check,
    Close,
    Consent,
    Draft,
    Expect,
    HandOver,
    Note,
    Outcome,
    Reach,
    Register,
    Reopen,
    Reply,
    Reported,
    Result,
    Share,
    State,
    TicketEnd,
    TicketKind,
    UnjustDemand,
    Voice,
    VoiceBasis,
    VoiceState,
    VoiceStep,
    Way,
    Why,
)
from cti.cases.case import Case, RuleError
from cti.cases.contact import Missing, contact
from cti.cases.model import fold, taken

START = datetime(2027, 4, 1, 1, tzinfo=UTC)
NUMBER = contact("06-6458-1132")
SECTIONS = ("kyusui", "shomu")


class Story:
    """Acts, a minute apart, and what became of the case."""

    def __init__(self) -> None:
        self.case: Case | None = None
        self.at = START

    def __call__(self, act: type[Act], unit: str = CONTRACTOR, by: str = "gyosha", **more: Any) -> "Story":
        self.at += timedelta(minutes=1)
        self.case = taken(self.case, act(at=self.at, by=by, unit=unit, **more), identity="c1")
        return self

    @property
    def now(self) -> Case:
        assert self.case is not None
        return self.case

    def refused(self, rule: str, act: type[Act], unit: str = CONTRACTOR, **more: Any) -> None:
        before = self.case
        with pytest.raises(RuleError) as raised:
            self(act, unit, **more)
        assert raised.value.rule == rule
        assert self.case == before


def entered(channel: Channel = Channel.PHONE, received_by: str = CONTRACTOR, unit: str = CONTRACTOR) -> Story:
    return Story()(Register, unit, channel=channel, received_by=received_by, received_at=START, inquiry="水が濁る")


def reached(story: Story) -> Story:
    return story(Reach, name="大阪 花子", contact=NUMBER, read_back=True)(Consent, given=True)(Assign, main="kyusui")


def asked() -> Story:
    """By telephone, and everything that a callback needs."""
    return reached(entered())


def called_back(story: Story, way: Way = Way.CALLBACK, unit: str = CONTRACTOR, **more: Any) -> Story:
    return story(HandOver, unit, way=way, promised=story.at + timedelta(hours=2), **more)


# --- entering ---------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-03")
@pytest.mark.parametrize(
    ("channel", "received_by", "unit"),
    [(Channel.PHONE, CONTRACTOR, CONTRACTOR), (Channel.FAX, CENTRE, CONTRACTOR), (Channel.WEB, CENTRE, CONTRACTOR),
     (Channel.LETTER, CENTRE, CONTRACTOR), (Channel.EMERGENCY, EMERGENCY, CONTRACTOR),
     (Channel.VISIT, "kyusui", "kyusui"), (Channel.PHONE, "kyusui", "kyusui"), (Channel.FAX, "kyusui", "kyusui")],
)  # fmt: skip
def test_every_channel_is_a_case(channel: Channel, received_by: str, unit: str) -> None:
    case = entered(channel, received_by, unit).now
    assert (case.channel, case.state, case.received_by, case.entered_by) == (channel, State.OPEN, received_by, unit)


@pytest.mark.rule("A-18")
def test_nothing_is_done_before_a_case_is_entered_and_it_is_entered_once() -> None:
    more = {"channel": Channel.PHONE, "received_by": CONTRACTOR, "received_at": START, "inquiry": "x"}
    Story().refused("A-18", Note, text="x")
    entered().refused("A-03", Register, **more)
    Story().refused("A-18", Register, **more | {"received_at": START + timedelta(days=1)})


@pytest.mark.rule("A-16")
@pytest.mark.parametrize("inquiry", ["", "  ", "\u3000"])
def test_what_is_asked_is_entered(inquiry: str) -> None:
    Story().refused("A-16", Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry=inquiry)


@pytest.mark.rule("A-20")
@pytest.mark.parametrize("channel", sorted(WRITTEN))
@pytest.mark.parametrize(("received_by", "unit"), [(CONTRACTOR, CONTRACTOR), (EMERGENCY, CONTRACTOR), (CENTRE, CENTRE)])
def test_what_comes_in_writing_is_received_by_cc_and_entered_by_the_contractor(
    channel: Channel, received_by: str, unit: str
) -> None:
    Story().refused("A-20", Register, unit, channel=channel, received_by=received_by, received_at=START, inquiry="x")


@pytest.mark.rule("A-21", "A-26")
def test_who_took_it_fits_how_it_came() -> None:
    def begun(channel: Channel, received_by: str) -> dict[str, Any]:
        return {"channel": channel, "received_by": received_by, "received_at": START, "inquiry": "x"}

    Story().refused("A-26", Register, **begun(Channel.PHONE, "kyusui"))
    Story().refused("A-21", Register, **begun(Channel.EMERGENCY, CONTRACTOR))
    Story().refused("A-21", Register, **begun(Channel.PHONE, EMERGENCY))


# --- handing over -----------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-14", "A-18", "A-23", "A-31")
def test_from_the_question_to_the_answer() -> None:
    story = asked()
    assert story.now.owner == CONTRACTOR
    called_back(story)
    assert (story.now.state, story.now.owner) == (State.HANDED_OVER, "kyusui")
    story(Accept, "kyusui")(Reply, "kyusui", channel=Channel.PHONE)
    story(Result, "kyusui", outcome=Outcome.ANSWERED, text="配水管の工事のため")(Close, "kyusui")
    case = story.now
    assert (case.state, case.owner, case.closed_at) == (State.CLOSED, "kyusui", story.at)
    assert [type(act).__name__ for act in case.history] == [
        "Register", "Reach", "Consent", "Assign", "HandOver", "Accept", "Reply", "Result", "Close",
    ]  # fmt: skip


@pytest.mark.rule("A-14", "A-16", "A-17", "A-18")
@pytest.mark.parametrize(
    ("without", "rule"),
    [
        (lambda: entered()(Consent, given=True)(Assign, main="kyusui"), "A-16"),
        (lambda: entered()(Reach, contact=Missing.WITHHELD)(Consent, given=True)(Assign, main="kyusui"), "A-16"),
        (lambda: entered()(Reach, contact=NUMBER)(Consent, given=True)(Assign, main="kyusui"), "A-16"),
        (lambda: entered()(Reach, contact=NUMBER, read_back=True)(Assign, main="kyusui"), "A-17"),
        (lambda: asked()(Consent, given=False), "A-17"),
        (lambda: entered()(Reach, contact=NUMBER, read_back=True)(Consent, given=True), "A-14"),
    ],
)
def test_a_callback_is_not_handed_over_before_it_can_be_kept(without: Callable[[], Story], rule: str) -> None:
    for way, more in ((Way.CALLBACK, {}), (Way.TELEPHONE, {"reached": "3101"})):
        story = without()
        story.refused(rule, HandOver, way=way, promised=story.at + timedelta(hours=2), **more)


@pytest.mark.rule("E-16")
def test_a_callback_has_a_time_that_lies_ahead() -> None:
    asked().refused("E-16", HandOver, way=Way.CALLBACK)
    asked().refused("E-16", HandOver, way=Way.CALLBACK, promised=START)


@pytest.mark.rule("A-19")
def test_who_is_put_through_at_once_has_a_reason_and_needs_no_callback() -> None:
    story = entered()(Assign, main="kyusui")
    story.refused("A-19", HandOver, way=Way.TRANSFER)
    story.refused("A-19", HandOver, way=Way.TRANSFER, why=Why.OTHER, words=" ")
    for more in ({"why": Why.WISH}, {"why": Why.URGENT}, {"why": Why.OTHER, "words": "耳が遠い方"}):
        hand_over = entered()(Assign, main="kyusui")(HandOver, way=Way.TRANSFER, **more).now.hand_over
        assert hand_over is not None
        assert hand_over.why is more["why"]


@pytest.mark.rule("A-21")
def test_what_is_urgent_is_handed_over_by_telephone_and_the_number_is_kept() -> None:
    story = reached(entered(Channel.EMERGENCY, EMERGENCY))
    assert story.now.owner == CONTRACTOR
    story.refused("A-21", HandOver, way=Way.TELEPHONE, promised=story.at + timedelta(hours=1))
    called_back(reached(entered(Channel.EMERGENCY, EMERGENCY)), Way.TELEPHONE, reached="3101")


@pytest.mark.rule("A-20")
def test_what_came_in_writing_goes_over_by_the_system_and_a_call_does_not() -> None:
    story = entered(Channel.FAX, CENTRE)(Assign, main="kyusui")(HandOver, way=Way.SYSTEM)
    assert story.now.owner == "kyusui"
    entered()(Assign, main="kyusui").refused("A-18", HandOver, way=Way.SYSTEM)


@pytest.mark.rule("A-15")
@pytest.mark.parametrize(
    ("main", "related"),
    [("kyusui", ("kyusui",)), ("kyusui", ("shomu", "shomu")), (CENTRE, ()), (CONTRACTOR, ()), ("kyusui", (EMERGENCY,))],
)
def test_one_section_is_the_main_one(main: str, related: tuple[str, ...]) -> None:
    entered().refused("A-15", Assign, main=main, related=related)


@pytest.mark.rule("A-23")
def test_what_is_handed_over_waits_for_the_section_and_for_no_other() -> None:
    story = called_back(asked())
    story.refused("A-23", Accept, "shomu")
    story.refused("A-23", Accept, CONTRACTOR)
    story.refused("A-23", Reply, "kyusui", channel=Channel.PHONE)
    story.refused("A-23", Result, "kyusui", outcome=Outcome.ANSWERED, text="x")
    story.refused("A-23", Close, "kyusui")
    story.refused("A-23", Assign, "kyusui", main="shomu")
    asked().refused("A-23", Accept, "kyusui")


@pytest.mark.rule("A-29", "A-30", "A-31")
def test_a_section_hands_on_by_the_same_rules() -> None:
    story = called_back(asked())(Accept, "kyusui")(Assign, "kyusui", main="shomu")
    promised = story.at + timedelta(hours=3)
    story.refused("A-31", HandOver, CONTRACTOR, way=Way.CALLBACK, promised=promised)
    story.refused("A-29", HandOver, "kyusui", way=Way.CALLBACK, promised=promised)
    story(Consent, "kyusui", given=True)
    called_back(story, unit="kyusui")
    assert (story.now.owner, story.now.state) == ("shomu", State.HANDED_OVER)
    again = called_back(asked())(Accept, "kyusui")(Assign, "kyusui", main="shomu")
    assert again(HandOver, "kyusui", way=Way.TRANSFER, why=Why.WISH).now.owner == "shomu"


@pytest.mark.rule("A-32")
def test_what_a_section_took_it_sees_to_itself() -> None:
    story = entered(Channel.PHONE, "kyusui", "kyusui")
    assert (story.now.owner, story.now.main, story.now.direct) == ("kyusui", "kyusui", True)
    story.refused("A-31", Reply, CONTRACTOR, channel=Channel.PHONE)
    story(Reply, "kyusui", channel=Channel.PHONE)(Result, "kyusui", outcome=Outcome.ANSWERED, text="済")(
        Close, "kyusui"
    )
    assert story.now.state is State.CLOSED


# --- answering --------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-24")
def test_the_answer_comes_before_the_result_and_the_result_before_the_end() -> None:
    story = entered()
    story.refused("A-24", Result, outcome=Outcome.ANSWERED, text="x")
    story.refused("A-14", Close)
    story(Reply, channel=Channel.PHONE).refused("A-14", Close)
    story.refused("A-24", Result, outcome=Outcome.ANSWERED, text=" ")
    assert story(Result, outcome=Outcome.ANSWERED, text="案内した")(Close).now.state is State.CLOSED


@pytest.mark.rule("A-25")
def test_another_channel_is_the_customer_s_wish() -> None:
    story = entered(Channel.FAX, CENTRE)
    story.refused("A-25", Reply, channel=Channel.PHONE)
    story(Reply, channel=Channel.PHONE, wish="電話がよい")
    sent_before = {"channel": Channel.FAX, "answered_at": START}
    assert entered(Channel.FAX, CENTRE)(Reply, **sent_before).now.reply is not None
    night = entered(Channel.EMERGENCY, EMERGENCY)
    assert night(Reply, channel=Channel.PHONE).now.reply is not None, "who rang at night is rung"


@pytest.mark.rule("C-19", "E-15")
def test_who_is_declined_is_told_why() -> None:
    story = entered()(Reply, channel=Channel.PHONE)
    story.refused("C-19", Result, outcome=Outcome.DECLINED, text="")
    assert story(Result, outcome=Outcome.DECLINED, text="私有地の配管のため")(Close).now.state is State.CLOSED


def test_who_wants_no_answer_any_more_gets_none() -> None:
    assert entered()(Result, outcome=Outcome.WITHDRAWN, text="取下げ")(Close).now.reply is None


@pytest.mark.rule("A-03", "A-16")
def test_what_is_asked_is_put_right_and_what_it_said_stays() -> None:
    story = entered()(Amend, inquiry="先々月の倍")(Amend, category="bill")(Amend, conversation="c2")
    assert (story.now.inquiry, story.now.category, story.now.conversation) == ("先々月の倍", "bill", "c2")
    assert isinstance(story.now.history[0], Register)
    assert story.now.history[0].inquiry == entered().now.inquiry
    story.refused("A-03", Amend)
    story.refused("A-16", Amend, inquiry=" ")


@pytest.mark.rule("A-16", "A-18")
def test_what_a_call_left_is_asked_for_before_it_is_answered_or_handed_over() -> None:
    story = Story()
    register = Register(
        at=START, by=SYSTEM, unit=CONTRACTOR, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START,
        inquiry="",
    )  # fmt: skip
    story.case = taken(None, register, identity="c1")
    reached(story)(Assign, main="kyusui")(Reply, channel=Channel.PHONE)
    story.refused("A-16", HandOver, way=Way.CALLBACK, promised=story.at + timedelta(hours=1))
    story.refused("A-16", Result, outcome=Outcome.ANSWERED, text="案内した")
    story(Amend, inquiry="水圧が低い")(Result, outcome=Outcome.ANSWERED, text="案内した")(Close)
    assert story.now.state is State.CLOSED


@pytest.mark.rule("A-22", "A-33", "E-16")
def test_no_time_is_set_but_what_was_promised_or_somebody_expects() -> None:
    story, soon, later = (
        reached(entered())(Assign, main="kyusui"),
        START + timedelta(hours=3),
        START + timedelta(days=2),
    )
    assert story.now.next_at is None, "案件により完了時期を統一できない"
    assert story(Expect, until=later, reason="在宅の日").now.next_at == later
    story(HandOver, way=Way.CALLBACK, promised=soon)
    assert story.now.next_at == soon, "what was to be done before is done"
    assert story(Expect, unit="kyusui", until=later).now.next_at == soon, "a promise is not put off by ourselves"
    assert story(Expect, unit="kyusui", until=START).now.next_at == START
    story(Accept, unit="kyusui")(Reply, unit="kyusui", channel=Channel.PHONE)
    assert story.now.next_at is None
    story(Expect, unit="kyusui", until=later)(Result, unit="kyusui", outcome=Outcome.ANSWERED, text="した")
    assert story.now.next_at == later
    story.refused("A-14", Close, unit="kyusui")
    assert story(Expect, unit="kyusui")(Close, unit="kyusui").now.next_at is None


@pytest.mark.rule("A-14")
def test_what_is_closed_stays_so_until_somebody_says_why_it_is_not() -> None:
    story = called_back(asked())(Accept, "kyusui")(Reply, "kyusui", channel=Channel.PHONE)
    story(Result, "kyusui", outcome=Outcome.ANSWERED, text="済")(Close, "kyusui")
    story.refused("A-14", Close, "kyusui")
    story.refused("A-14", Reply, "kyusui", channel=Channel.PHONE)
    story.refused("A-14", Consent, "kyusui", given=True)
    story.refused("A-14", Reopen, "kyusui", reason="")
    story(Note, text="また電話があった")(Reopen, reason="直っていない")
    case = story.now
    assert (case.state, case.reopened, case.result, case.owner) == (State.ACCEPTED, 1, None, "kyusui")
    entered().refused("A-14", Reopen, reason="x")


def test_nothing_is_done_before_what_was_done_last() -> None:
    case = asked().now
    with pytest.raises(RuleError, match="before what was done last"):
        taken(case, Note(at=START, by="x", unit=CENTRE, text="x"))


# --- whatever anybody tries -------------------------------------------------------------------------------------------

UNITS = (CENTRE, CONTRACTOR, EMERGENCY, *SECTIONS)


def shown_to_others(chance: random.Random, who: dict[str, Any], case: Case, often: Callable[[Any, Any], Any]) -> Act:
    """A draft, a check of it, or something that another unit is to see."""
    channel, text = often(case.channel, chance.choice(list(Channel))), often("text", "")
    match chance.randrange(8):
        case 0 | 1 | 2:
            to = {Channel.WEB: "a@example.jp", Channel.LETTER: "大阪市住之江区"}.get(channel, NUMBER.e164)
            again, ask = often(to, ""), often("給水課", "下水課")
            return Draft(**who, channel=channel, to=to, again=again, name="大阪花子", text="給水課", ask=(ask,))
        case 3 | 4 | 5:
            place = case.letter.place if case.letter else 1
            return Check(**who, draft=often(place, 1), ok=often(True, False), reason=text)
        case _:
            to = chance.choice(UNITS)
            return Share(**who, to=to, reason=text, help=often(True, False), ended=often(False, True))


def tried(chance: random.Random, at: datetime, case: Case) -> Act:
    """Something, mostly by whoever may, and mostly well-formed: else nothing would ever be handed over."""

    def often(right: Any, wrong: Any) -> Any:
        return right if chance.random() < 0.8 else wrong

    by = chance.choice(("sato", "mori"))
    who: dict[str, Any] = {"at": at, "by": by, "unit": often(case.owner, chance.choice(UNITS))}
    text = often("text", "")
    asked_in = often(case.channel, chance.choice(list(Channel)))
    match chance.randrange(21):
        case 0:
            more = {"name": "大阪 花子", "email": often("a@example.jp", ""), "address": "大阪市住之江区"}
            return Reach(**who, contact=often(NUMBER, Missing.WITHHELD), read_back=often(True, False), **more)
        case 1 | 2:
            return Consent(**who, given=chance.random() < 0.6)
        case 3 | 4:
            main, related = chance.choice(SECTIONS), tuple(chance.choices(UNITS, k=chance.randrange(3)))
            return Assign(**who, main=often(main, chance.choice(UNITS)), related=often((), related))
        case 5 | 6 | 7:
            promised = often(at + timedelta(hours=chance.randrange(-1, 5)), None)
            why = often(chance.choice(list(Why)), None)
            way = often(Way.CALLBACK, chance.choice(list(Way)))
            return HandOver(**who, way=way, promised=promised, why=why, words=text, reached=text)
        case 8:
            return Accept(**who)
        case 9:
            answered_at = often(None, at - timedelta(minutes=chance.randrange(200)))
            return Reply(**who, channel=asked_in, wish=text, answered_at=answered_at)
        case 10:
            return Result(**who, outcome=chance.choice(list(Outcome)), text=text)
        case 11:
            return Close(**who)
        case place if place < 20:
            return shown_to_others(chance, who, case, often)
        case _:
            return often(Reopen(**who, reason=text), Note(**who, text=text))


@pytest.mark.rule("A-14", "A-15", "A-16", "A-17", "A-18", "A-24", "A-31", "A-32", "A-44", "C-04", "E-05", "E-16")
@given(st.randoms(use_true_random=False))
@settings(max_examples=500, deadline=None)
def test_whatever_is_tried_the_rules_hold(drawn: random.Random) -> None:
    chance = random.Random(drawn.getrandbits(64))  # noqa: S311  # hypothesis' own draws repeat themselves: nothing would happen
    channel = chance.choice(list(Channel))
    direct = channel is not Channel.EMERGENCY and chance.random() < 0.3
    others = {Channel.EMERGENCY: EMERGENCY, **dict.fromkeys(WRITTEN, CENTRE)}
    received_by, unit = ("kyusui", "kyusui") if direct else (others.get(channel, CONTRACTOR), CONTRACTOR)
    first = Register(
        at=START, by="x", unit=unit, channel=channel, received_by=received_by, inquiry="q",
        received_at=START - timedelta(hours=1),
    )  # fmt: skip
    case = taken(None, first, identity="c")
    for minute in range(1, 120):
        act = tried(chance, START + timedelta(minutes=minute), case)
        try:
            after = taken(case, act)
        except RuleError:
            continue
        assert after.history == (*case.history, act), "what was done stays, and nothing else is added"
        if isinstance(act, Share):
            assert act.unit in (case.owner, CENTRE), "whom it was shared with shares it no further"
        if after.owner != case.owner:
            assert after.shared == ()
        case = after
        _holds(case)
    assert fold(case.history, "c") == case


def _holds(case: Case) -> None:
    """Read out of the history alone."""
    done = list(case.history)
    handed = [act for act in done if isinstance(act, HandOver)]
    last = handed[-1] if handed else None
    if last is not None and last.way in (Way.CALLBACK, Way.TELEPHONE):
        before = done[: done.index(last)]
        reach = [act for act in before if isinstance(act, Reach)][-1]
        assert not isinstance(reach.contact, Missing)
        consent = [act for act in before if isinstance(act, Consent)][-1]
        assert consent.given
        used = [act for act in before if isinstance(act, Accept)]
        assert not used or consent.at > used[-1].at, "whoever took it had the consent before"
        assert last.promised is not None
        assert last.promised > last.at
    if last is None:
        assert case.owner == (case.received_by if case.received_by in SECTIONS else CONTRACTOR)
    else:
        assert case.owner in SECTIONS
    assert case.main not in case.related
    _sent_as_checked(done)
    closed = [act for act in done if isinstance(act, Close | Reopen)]
    assert (case.state is State.CLOSED) == bool(closed and isinstance(closed[-1], Close))
    if case.state is State.CLOSED:
        assert all(one.outcome is not None for one in case.tickets)
        assert case.next_at is None
        assert case.result is not None
        assert case.result.outcome is Outcome.WITHDRAWN or (case.reply and case.reply.at < case.result.at)


def _sent_as_checked(done: list[Act]) -> None:
    """Before each answer in writing stands a draft of it, and after that another person's word that it can go."""
    here = [
        place for place, act in enumerate(done)
        if isinstance(act, Reply) and act.channel in WRITTEN and (act.answered_at or act.at) >= START  # entered then
    ]  # fmt: skip
    for place in here:
        reply = done[place]
        assert isinstance(reply, Reply)
        ours = [
            at for at, act in enumerate(done[:place]) if at in here or isinstance(act, Draft | HandOver | Close)
        ]  # fmt: skip
        assert ours, "something was drafted"
        draft = done[ours[-1]]
        assert isinstance(draft, Draft), "and neither sent nor given away since"
        assert (draft.channel, draft.ask) == (reply.channel, ("給水課",))
        looked = [act for act in done[ours[-1] : place] if isinstance(act, Check)]
        assert looked
        assert looked[-1].ok
        assert looked[-1].by != draft.by
        assert (reply.answered_at or reply.at) >= looked[-1].at


# --- what 水道局長 and 広聴担当 hear of ------------------------------------------------------------------------------


@pytest.mark.rule("B-14")
def test_an_unjust_demand_is_owed_to_the_director_at_once_whatever_becomes_of_the_case() -> None:
    story = called_back(asked())
    story.refused("B-14", UnjustDemand, "kyusui", text=" ")
    story(UnjustDemand, "kyusui", text="土下座しろ")
    (ticket,) = [one for one in story.now.tickets if one.kind is TicketKind.REPORT]
    assert (ticket.unit, ticket.due, ticket.at) == (CENTRE, story.at, story.at)
    story(UnjustDemand, "kyusui", text="担当を首にしろ")  # told of together
    story(Accept, "kyusui")(Reply, "kyusui", channel=Channel.PHONE)
    story(Result, "kyusui", outcome=Outcome.DECLINED, text="応じられない")(Close, "kyusui")
    waits = [one for one in story.now.tickets if one.outcome is None]
    assert [one.kind for one in waits] == [TicketKind.REPORT], "an end of the case settles it not"
    story.refused("B-14", Reported, "kyusui", to="水道局長")
    story.refused("B-14", Reported, CENTRE, to="")
    story.refused("B-14", Reported, CENTRE, to="水道局長", told_at=START)
    told_at = story.at
    story(Reported, CENTRE, to="水道局長", told_at=told_at)
    (ticket,) = [one for one in story.now.tickets if one.kind is TicketKind.REPORT]
    assert (ticket.outcome, ticket.done_at) == (TicketEnd.KEPT, told_at)
    story.refused("B-14", Reported, CENTRE, to="水道局長")


@pytest.mark.rule("A-27", "A-28")
def test_a_citizen_s_voice_has_a_ground_and_goes_on_until_it_is_done() -> None:
    story = entered()
    story.refused("A-27", Voice, basis=VoiceBasis.UNIT)  # 前号の場合: what a 所管課 received itself
    story = entered(received_by="kyusui", unit="kyusui")
    story.refused("A-28", VoiceStep, CENTRE, step=VoiceState.RECEIVED)
    story(Voice, "kyusui", basis=VoiceBasis.CUSTOMER)
    story.refused("A-27", Voice, "kyusui", basis=VoiceBasis.UNIT)
    (ticket,) = story.now.tickets
    assert (ticket.kind, ticket.unit, ticket.due) == (TicketKind.VOICE, CENTRE, None)
    story(Reply, "kyusui", channel=Channel.PHONE)(Result, "kyusui", outcome=Outcome.ANSWERED, text="直した")
    story(Close, "kyusui")
    story.refused("A-28", VoiceStep, "kyusui", step=VoiceState.DONE)
    story(VoiceStep, CENTRE, step=VoiceState.RECEIVED)(VoiceStep, CENTRE, step=VoiceState.CIRCULATED, text="全所属")
    assert story.now.tickets[0].outcome is None
    story(VoiceStep, CENTRE, step=VoiceState.DONE)
    assert story.now.tickets[0].outcome is TicketEnd.KEPT


@pytest.mark.rule("B-14", "A-28")
def test_what_is_told_of_is_not_passed_on_with_the_case() -> None:
    story = asked()(UnjustDemand, text="土下座しろ")
    called_back(story)
    assert [(one.kind, one.unit, one.outcome) for one in story.now.tickets] == [
        (TicketKind.REPORT, CENTRE, None), (TicketKind.CALLBACK, "kyusui", None),
    ]  # fmt: skip


@pytest.mark.rule("A-23", "C-18")
def test_what_is_handed_over_is_late_when_nobody_has_taken_it_by_then() -> None:
    story = entered(Channel.FAX, CENTRE)(Assign, main="kyusui")
    until = story.at + timedelta(days=1)
    story(HandOver, way=Way.SYSTEM, accept_by=until)
    assert story.now.next_at == until
    story(Accept, "kyusui")
    assert story.now.next_at is None, "no time is set for the answer itself (7条)"
