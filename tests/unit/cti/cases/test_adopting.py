"""What the night took becomes cases: each intake one, whatever happens in between, and each follows the other."""

import random
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cti import store
from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    SYSTEM,
    Amend,
    Assign,
    Channel,
    Close,
    Consent,
    HandOver,
    Missed,
    Note,
    Outcome,
    Reach,
    Reopen,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    Way,
)
from cti.cases.adopting import Adopting
from cti.cases.book import CaseBook
from cti.cases.contact import Contact, Missing, contact
from cti.cases.lists import Kept, Line, Wanted
from cti.cases.looking import known, late
from cti.errors import LogUnavailableError
from cti.intake import Intake, IntakeBook
from cti.intake import Kept as Done
from policies.calendar import JST
from tests import databases
from tests.unit.cti.cases.test_book import KEYS
from tests.unit.cti.test_intake import (
    ANSWERED,
    CALLBACK,
    EMERGENCY,
    FILE,
    HOURS,
    NIGHT,
    ROUTE,
    UNANSWERED,
    URGENT,
    steps,
)
from tests.unit.recorder.rig import ram_folder

MONDAY = datetime(2027, 1, 4, tzinfo=JST)


@dataclass
class Night:
    """Intakes and cases of one database, and the morning after."""

    engine: Any
    intakes: IntakeBook
    at: datetime = NIGHT + timedelta(hours=10)
    told: int = 0
    broken: bool = False

    def __post_init__(self) -> None:
        self.book = CaseBook(self.engine, lambda: KEYS, "pbx1", self.tell)
        self.adopting = self.another()
        self.read = 0

    def another(self) -> Adopting:
        """As after a restart."""
        return Adopting(self.intakes, self.book, self.keep, lambda: self.at)

    def tell(self, *_said: Any) -> None:
        if self.broken:
            raise LogUnavailableError("disk full")
        self.told += 1

    async def keep(self, row: Intake, by: str, note: str) -> None:
        self.read += 1
        await self.intakes.keep([Done(id=row.id, at=self.at, by=by, note=note)], "done.jsonl", self.read)

    async def call(self, *said: str, number: int = 1) -> None:
        self.read += 1
        await self.intakes.take(steps(*said, call=number), FILE, self.read)

    async def cases(self) -> list[Line]:
        return await self.book.lines(Wanted(), CENTRE, limit=100)

    async def only(self) -> Kept:
        (line,) = await self.cases()
        return await self.book.get(line.number)

    async def done(self) -> list[bool]:
        return [row.done_at is not None for row in await self.intakes.rows(done=True)]


@pytest.fixture
async def night() -> AsyncIterator[Night]:
    with ram_folder() as folder:
        engine = store.engine(databases.url(folder))
        await store.migrate(engine)
        yield Night(engine, IntakeBook(engine, "pbx1", HOURS.next_business_day))
        await engine.dispose()


@pytest.mark.rule("A-03", "A-22")
async def test_a_wish_to_be_called_back_is_a_case_that_is_due_on_the_next_business_day(night: Night) -> None:
    await night.call(*CALLBACK)
    for _ in range(3):
        await night.adopting.look()
        await night.another().look()
    case = (await night.only()).case
    assert (case.channel, case.received_by, case.owner, case.inquiry) == (Channel.PHONE, CONTRACTOR, CONTRACTOR, "")
    assert case.reach is not None
    assert case.reach.contact == contact("03-1234-5678")
    assert case.reach.read_back
    assert case.consent is not None
    assert case.consent.given
    assert case.next_at == datetime(2027, 1, 3, tzinfo=JST), "the end of Saturday, when it opens again"
    assert {act.by for act in case.history} == {SYSTEM}
    assert await night.done() == [False]


@pytest.mark.rule("A-21")
async def test_who_was_not_answered_is_late_at_once_and_what_comes_of_it_is_added(night: Night) -> None:
    await night.call(*EMERGENCY)
    await night.adopting.look()
    case = (await night.only()).case
    assert (case.channel, case.next_at) == (Channel.EMERGENCY, datetime(2027, 1, 3, tzinfo=JST))
    assert case.consent is None
    assert case.reach is not None
    assert not case.reach.read_back
    await night.call(*UNANSWERED)
    await night.adopting.look()
    case = (await night.only()).case
    assert case.next_at is not None
    assert case.next_at < night.at, "late at once"
    await night.call(*URGENT)
    await night.adopting.look()
    case = (await night.only()).case
    assert case.reach is not None
    assert case.reach.contact == contact("06-9999-9999")
    assert case.reach.read_back
    assert case.consent is not None
    assert [act.text for act in case.history if isinstance(act, Note)] == ["緊急受付窓口が応答せず"]


@pytest.mark.rule("C-06", "A-21")
async def test_what_is_overdue_is_counted_once(night: Night) -> None:
    await night.call(*UNANSWERED)
    await night.call(*CALLBACK, number=2)
    assert await late(night.engine, night.at) == 0
    await night.adopting.look()
    rows = {row.id for row in await night.intakes.rows()}
    assert await known(night.engine, rows | {"x"}) == rows
    assert await late(night.engine, night.at) == 1
    assert await late(night.engine, MONDAY) == 2
    kept = next(line for line in await night.cases() if line.late(night.at))
    await night.book.add(kept.number, worked_on(night, over=False))
    assert await late(night.engine, MONDAY) == 1


@pytest.mark.rule("A-21")
async def test_who_was_answered_is_said(night: Night) -> None:
    await night.call(*ANSWERED)
    await night.adopting.look()
    case = (await night.only()).case
    assert [act.text for act in case.history if isinstance(act, Note)] == ["緊急受付窓口 3901 が応答"]


async def test_who_shows_no_number_is_a_case_as_well(night: Night) -> None:
    await night.call(ROUTE, "key/menu/1", "intake/emergency//calling/en")
    await night.adopting.look()
    case = (await night.only()).case
    assert case.reach is not None
    assert case.reach.contact is Missing.WITHHELD
    assert [act.text for act in case.history if isinstance(act, Note)] == ["案内の言語: en"]


def worked_on(night: Night, *, over: bool) -> list[Any]:
    """By people: asked, then answered, or handed over."""
    who = {"at": night.at, "by": "gyosha", "unit": CONTRACTOR}
    asked = Amend(**who, inquiry="水が濁っている")
    if not over:
        return [asked, Reply(**who, channel=Channel.PHONE), Result(**who, outcome=Outcome.ANSWERED, text="洗管の案内")]
    return [
        asked, Reach(**who, contact=contact("0312345678"), read_back=True), Consent(**who, given=True),
        Assign(**who, main="kyusui"), HandOver(**who, way=Way.CALLBACK, promised=night.at + timedelta(hours=1)),
    ]  # fmt: skip


@pytest.mark.rule("A-22")
@pytest.mark.parametrize("over", [False, True])
async def test_what_was_answered_or_handed_over_is_an_intake_done(night: Night, over: bool) -> None:
    await night.call(*CALLBACK)
    await night.adopting.look()
    kept = await night.only()
    await night.book.add(kept.number, worked_on(night, over=over))
    for _ in range(2):
        await night.adopting.look()
    (row,) = await night.intakes.rows(done=True)
    assert (row.done_by, row.note) == (CONTRACTOR, f"案件 {kept.number}")
    after = (await night.only()).case
    assert after.history[-1].by == "gyosha", "nothing is added to what people did"


@pytest.mark.parametrize("before", [True, False])
async def test_an_intake_that_was_done_by_itself_closes_its_case(night: Night, before: bool) -> None:
    await night.call(*CALLBACK)
    if before:
        await night.adopting.look()
    (row,) = await night.intakes.rows()
    await night.keep(row, "佐藤", "折り返し済み")
    for _ in range(2):
        await night.adopting.look()
        await night.another().look()
    case = (await night.only()).case
    assert (case.state, case.inquiry) == (State.CLOSED, "折り返し済み")
    assert case.result is not None
    assert case.result.text == "折り返し済み (佐藤)"


async def test_a_case_that_came_to_nothing_is_an_intake_done(night: Night) -> None:
    await night.call(*CALLBACK)
    await night.adopting.look()
    who = {"at": night.at, "by": "gyosha", "unit": CONTRACTOR}
    await night.book.add((await night.only()).number, [
        Amend(**who, inquiry="間違い電話"), Result(**who, outcome=Outcome.WITHDRAWN, text="間違い電話"), Close(**who),
    ])  # fmt: skip
    await night.adopting.look()
    assert await night.done() == [True]


async def test_what_people_opened_again_stays_open(night: Night) -> None:
    await night.call(*CALLBACK)
    (row,) = await night.intakes.rows()
    await night.keep(row, "佐藤", "折り返し済み")
    await night.adopting.look()
    kept = await night.only()
    who = {"at": night.at, "by": "gyosha", "unit": CONTRACTOR}
    await night.book.add(kept.number, [Reopen(**who, reason="出なかった")])
    await night.another().look()
    assert (await night.only()).case.state is State.OPEN


async def test_what_people_entered_is_not_overwritten(night: Night) -> None:
    await night.call(*EMERGENCY)
    await night.adopting.look()
    who = {"at": night.at, "by": "gyosha", "unit": CONTRACTOR}
    reach = Reach(**who, name="山田", contact=contact("06-6458-7160"), read_back=True)
    await night.book.add((await night.only()).number, [reach])
    await night.call(*URGENT)
    await night.adopting.look()
    case = (await night.only()).case
    assert case.reach == reach
    assert case.next_at is not None
    assert case.next_at < night.at, "but it is late at once all the same"


@pytest.mark.rule("A-21")
async def test_who_was_answered_in_the_second_round_is_late_no_more(night: Night) -> None:
    for said in (EMERGENCY, UNANSWERED, (*UNANSWERED, "line/3901/ANSWER")):
        await night.call(*said)
        await night.adopting.look()
    case = (await night.only()).case
    assert case.next_at == datetime(2027, 1, 3, tzinfo=JST)
    (ticket,) = case.tickets
    assert (ticket.kind, ticket.due, ticket.outcome) == (TicketKind.EMERGENCY, case.next_at, None)


async def test_digits_that_are_no_number_are_kept_all_the_same(night: Night) -> None:
    await night.call(ROUTE, "key/menu/2", "intake/callback/1234567/keyed/ja")
    await night.adopting.look()
    case = (await night.only()).case
    said = [act.text for act in case.history if isinstance(act, Note)]
    assert case.reach is not None
    assert said == ["番号として読めない入力: 1234567"] or case.reach.contact == Contact(e164="+811234567")
    assert not (case.reach.read_back and case.reach.contact is Missing.WITHHELD)


async def test_each_site_makes_cases_of_its_own(night: Night) -> None:
    await night.call(*CALLBACK)
    other = Night(night.engine, IntakeBook(night.engine, "pbx2", HOURS.next_business_day))
    await other.adopting.look()
    assert await night.cases() == []
    await night.adopting.look()
    assert len(await night.cases()) == 1


async def test_an_error_that_nobody_thought_of_hides_no_other(night: Night, monkeypatch: pytest.MonkeyPatch) -> None:
    await night.call(*CALLBACK)
    await night.call(*CALLBACK, number=2)
    enter, tried = night.book.enter, []

    async def once(*given: Any, **more: Any) -> Kept:
        tried.append(given)
        if len(tried) == 1:
            raise ValueError("whatever")
        return await enter(*given, **more)

    monkeypatch.setattr(night.book, "enter", once)
    await night.adopting.look()
    assert len(await night.cases()) == 1
    await night.adopting.look()
    assert len(await night.cases()) == 2


async def test_what_cannot_be_done_now_is_done_later_and_hides_no_other(night: Night) -> None:
    await night.call(*CALLBACK)
    night.broken = True
    await night.adopting.look()
    assert await night.cases() == []
    night.broken = False
    await night.call(*CALLBACK, number=2)
    await night.adopting.look()
    assert len(await night.cases()) == 2


async def test_nothing_is_asked_of_the_cases_where_nothing_has_changed(
    night: Night, monkeypatch: pytest.MonkeyPatch
) -> None:
    await night.call(*CALLBACK)
    await night.adopting.look()

    async def get(_number: int) -> Kept:
        raise AssertionError("read again")

    monkeypatch.setattr(night.book, "get", get)
    await night.adopting.look()


@pytest.mark.rule("A-03")
@pytest.mark.parametrize("seed", range(8))
async def test_whatever_happens_in_between_each_intake_is_one_case(night: Night, seed: int) -> None:
    """Steps in pieces, restarts, a log that fails, people at work: one case for each intake, none twice, none lost."""
    chance = random.Random(seed)  # noqa: S311
    calls = [list(chance.choice([CALLBACK, ANSWERED, UNANSWERED, URGENT])) for _ in range(3)]
    for _ in range(25):
        night.at += timedelta(minutes=1)
        number = chance.randrange(len(calls))
        taken = calls[number][: chance.randrange(len(calls[number]) + 1)]
        await night.call(*taken, number=number + 1)
        night.broken = chance.random() < 0.2
        if chance.random() < 0.3:
            night.adopting = night.another()
        await night.adopting.look()
        night.broken = False
        found = [line for line in await night.cases() if line.state is State.OPEN]
        if found and chance.random() < 0.1:
            await night.book.add(chance.choice(found).number, worked_on(night, over=chance.random() < 0.5))
    for number, said in enumerate(calls, start=1):
        await night.call(*said, number=number)
    await night.adopting.look()
    await night.adopting.look()
    rows = await night.intakes.rows(done=True)
    lines = await night.cases()
    assert {row.id for row in rows} == {line.id for line in lines}
    assert not any(line.damaged for line in lines)
    assert len(lines) == len(rows)
    touched = {line.id for line in lines if line.replied_at or line.way}
    assert touched == {row.id for row in rows if row.done_at is not None}
    assert datetime.min.replace(tzinfo=UTC) < min(line.received_at for line in lines)


@pytest.mark.rule("C-06")
async def test_an_intake_that_is_done_settles_no_call_that_was_missed_since(night: Night) -> None:
    await night.call(*CALLBACK)
    await night.adopting.look()
    (row,) = await night.intakes.rows()
    await night.keep(row, "gyosha", "案内した")
    night.at += timedelta(minutes=5)
    missed = Missed(
        at=night.at, by=SYSTEM, unit=CONTRACTOR, leg="1.2", conversation="c", number="0664581132", why="cancelled",
        seconds=20, due=night.at + timedelta(minutes=30),
    )  # fmt: skip
    await night.book.add((await night.only()).number, [missed])
    for _ in range(3):
        await night.another().look()
    case = (await night.only()).case
    assert case.state is State.OPEN
    assert [(one.kind, one.outcome) for one in case.tickets] == [
        (TicketKind.CALLBACK, TicketEnd.KEPT), (TicketKind.ABANDONED, None),
    ]  # fmt: skip
    assert sum(isinstance(act, Reply) for act in case.history) == 1


@pytest.mark.rule("C-06", "A-14")
async def test_an_intake_whose_case_is_joined_is_done_and_the_other_goes_on(night: Night) -> None:
    for number in (1, 2):
        await night.call(*CALLBACK, number=number)
    await night.adopting.look()
    other, one = await night.cases()
    await night.book.join(one.number, other.number, {"at": night.at, "by": "gyosha", "unit": CONTRACTOR})
    for _ in range(2):
        await night.another().look()
    rows = await night.intakes.rows(done=True)
    assert {row.id: (row.done_by, row.note) for row in rows} == {
        one.id: (CONTRACTOR, f"案件 {one.number} (案件 {other.number} に統合)"), other.id: (None, None),
    }  # fmt: skip
    case = (await night.book.get(other.number)).case
    assert [ticket.outcome for ticket in case.tickets] == [None], "both wishes are one call"
    (row,) = await night.intakes.rows()
    await night.keep(row, "gyosha", "案内した")
    await night.another().look()
    case = (await night.book.get(other.number)).case
    assert (case.state, [ticket.outcome for ticket in case.tickets]) == (State.CLOSED, [TicketEnd.KEPT])
