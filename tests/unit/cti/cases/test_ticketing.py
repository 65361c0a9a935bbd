"""From what Asterisk wrote of a call to the ticket: one for each promise, whatever happens in between."""

import random
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import pytest
from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, select, update

from cti import store
from cti.calls.board import conversation_id
from cti.calls.callback import leg_of
from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    Act,
    Amend,
    Assign,
    CalledAgain,
    Channel,
    Close,
    Consent,
    DialEnded,
    Dialled,
    HandOver,
    Met,
    Outcome,
    PutThrough,
    Reach,
    Register,
    Reply,
    Result,
    State,
    TicketEnd,
    TicketKind,
    Tried,
    UnjustDemand,
    Way,
    Why,
)
from cti.cases.book import CaseBook, OrderError
from cti.cases.contact import Contact, Missing
from cti.cases.lists import Kept, TicketLine, TicketsWanted, Wanted
from cti.cases.tables import acts, seers, tickets
from cti.cases.ticketing import Ticketing
from cti.errors import LogUnavailableError
from cti.intake import IntakeBook
from policies.calendar import JST
from policies.load import Policies, shipped
from tests import databases
from tests.unit.cti.cases.test_book import KEYS
from tests.unit.recorder.rig import ram_folder, uuid

START = datetime(2027, 4, 1, 1, tzinfo=UTC)
POLICIES = Policies(shipped())
CALLER = "09012345678"
CALLING = Contact(e164="+819012345678")


@dataclass
class Centre:
    """Steps, cases, and the desk that makes the one of the other."""

    engine: Any
    intakes: IntakeBook
    at: datetime = START + timedelta(minutes=10)
    told: list[tuple[str, str]] = field(default_factory=list)
    broken: bool = False
    read: int = 0

    def __post_init__(self) -> None:
        self.book = CaseBook(self.engine, lambda: KEYS, "pbx1", self.tell)
        self.ticketing = self.another()

    def another(self) -> Ticketing:
        return Ticketing(self.intakes, self.book, lambda: POLICIES, lambda: self.at)

    def tell(self, actor: str, action: str, _about: str, _detail: Mapping[str, Any]) -> None:
        if self.broken:
            raise LogUnavailableError("disk full")
        self.told.append((actor, action))

    async def step(self, what: str, second: int = 0, *, call: int = 1, leg: str = "pbx1-1.7", **values: str) -> None:
        at = START + timedelta(seconds=second)
        given = values if what in ("missed", "reached") else values | {"leg": leg}
        row = {
            "key": f"pbx1/pbx1-1.{call}/{second}/{what}/{leg}", "conversation": uuid(f"call {call}"),
            "uniqueid": f"pbx1-1.{call}", "at": at.isoformat(), "what": what, "values": given,
        }  # fmt: skip
        self.read += 1
        await self.intakes.take([row], "2027-04-01.jsonl", self.read)

    async def transfer(self, to: str = "3101", outcome: str | None = "answered", **more: Any) -> None:
        party = {"number": CALLER, "party": "trunk"} | {
            name: more.pop(name) for name in ("party", "number") if name in more
        }
        second, kind = more.pop("second", 5), more.pop("kind", "blind")
        await self.step("transfer", second, kind=kind, by="2201", to=to, **party, **more)
        if outcome:
            await self.step("outcome", second + 4, outcome=outcome, **more)

    async def look(self) -> None:
        await self.ticketing.look()

    async def cases(self) -> list[Kept]:
        return [await self.book.get(line.number) for line in await self.book.lines(Wanted(), CENTRE, limit=99)]

    async def only(self) -> Kept:
        (kept,) = await self.cases()
        return kept

    async def tickets(self, unit: str = CENTRE, **wanted: Any) -> list[TicketLine]:
        return await self.book.tickets(TicketsWanted(**{"open": False} | wanted), unit, limit=99)

    def act(self, kind: type[Act], unit: str = CONTRACTOR, **more: Any) -> Act:
        self.at += timedelta(minutes=1)
        return kind(at=self.at, by="gyosha", unit=unit, **more)

    async def entered(self, call: int = 1) -> Kept:
        """By an operator, while they talk."""
        return await self.book.enter([self.act(
            Register, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="水が濁る",
            conversation=uuid(f"call {call}"),
        )])  # fmt: skip


@pytest.fixture
async def centre() -> AsyncIterator[Centre]:
    with ram_folder() as folder:
        engine = store.engine(databases.url(folder))
        await store.migrate(engine)
        yield Centre(engine, IntakeBook(engine, "pbx1", lambda _at: None))
        await engine.dispose()


def short(ticket: TicketLine) -> tuple[Any, ...]:
    return ticket.kind, ticket.unit, ticket.outcome


@pytest.mark.rule("A-19", "A-31")
async def test_whom_a_section_answered_is_handed_over_to_it(centre: Centre) -> None:
    await centre.transfer()
    for _ in range(2):
        await centre.look()
        await centre.another().look()
    case = (await centre.only()).case
    assert (case.state, case.owner, case.main, case.inquiry) == (State.HANDED_OVER, "kyusui", "kyusui", "")
    assert case.reach is not None
    assert case.reach.contact == CALLING
    assert case.hand_over is not None
    assert (case.hand_over.way, case.hand_over.why) == (Way.TRANSFER, None)
    assert [short(one) for one in await centre.tickets()] == [(TicketKind.TRANSFER, "kyusui", TicketEnd.KEPT)]
    assert {act.by for act in case.history} == {SYSTEM}
    assert await centre.intakes.to_tickets() == []


async def test_what_came_of_it_may_be_known_at_the_same_moment(centre: Centre) -> None:
    """An attended transfer: they had talked before."""
    await centre.step("outcome", 5, outcome="answered")
    await centre.step("transfer", 5, kind="attended", by="2201", to="3101", party="trunk", number=CALLER)
    await centre.look()
    assert [short(one) for one in await centre.tickets()] == [(TicketKind.TRANSFER, "kyusui", TicketEnd.KEPT)]


@pytest.mark.rule("A-19")
async def test_whoever_put_them_through_says_why_and_the_case_is_the_one_they_entered(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.transfer()
    await centre.look()
    assert (await centre.only()).number == kept.number
    why = centre.act(HandOver, way=Way.TRANSFER, why=Why.WISH)
    case = (await centre.book.add(kept.number, [why])).case
    assert case.hand_over is not None
    assert (case.hand_over.why, case.owner, case.state) == (Why.WISH, "kyusui", State.HANDED_OVER)
    assert len(await centre.tickets()) == 1


@pytest.mark.rule("A-19")
async def test_what_was_handed_over_by_hand_before_is_not_handed_over_twice(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [
        centre.act(Assign, main="kyusui"), centre.act(HandOver, way=Way.TRANSFER, why=Why.URGENT),
    ])  # fmt: skip
    await centre.transfer()
    await centre.look()
    case = (await centre.only()).case
    assert sum(isinstance(act, HandOver) for act in case.history) == 1
    assert [short(one) for one in await centre.tickets()] == [(TicketKind.TRANSFER, "kyusui", TicketEnd.KEPT)]


async def test_another_section_has_it_already_and_the_transfer_is_told_all_the_same(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [
        centre.act(Assign, main="shomu"), centre.act(HandOver, way=Way.TRANSFER, why=Why.URGENT),
    ])  # fmt: skip
    await centre.transfer()
    await centre.look()
    case = (await centre.only()).case
    assert (case.owner, case.state) == ("shomu", State.HANDED_OVER)
    assert [one.outcome for one in case.tickets] == [TicketEnd.KEPT]
    assert await centre.intakes.to_tickets() == []


@pytest.mark.rule("C-06", "C-18")
@pytest.mark.parametrize("outcome", ["busy", "no-answer", "cancelled", "failed"])
@pytest.mark.parametrize("to", ["3101", "2301", "0312345678"])
async def test_whom_nobody_answered_is_called_back(centre: Centre, outcome: str, to: str) -> None:
    await centre.transfer(to, outcome)
    await centre.look()
    kept = await centre.only()
    assert (kept.case.state, kept.case.owner) == (State.OPEN, CONTRACTOR)
    unit = "kyusui" if to == "3101" else CONTRACTOR
    (callback,) = await centre.tickets(open=True)
    assert short(callback) == (TicketKind.CALLBACK, CONTRACTOR, None)
    assert callback.due == START + timedelta(seconds=9, minutes=30)
    assert {short(one) for one in await centre.tickets()} == {
        (TicketKind.TRANSFER, unit, TicketEnd.FAILED), (TicketKind.CALLBACK, CONTRACTOR, None),
    }  # fmt: skip
    assert kept.case.next_at == callback.due


async def test_to_another_phone_of_the_centre_and_answered_nothing_is_owed(centre: Centre) -> None:
    await centre.transfer("2301")
    await centre.look()
    kept = await centre.only()
    assert (kept.case.state, kept.case.owner) == (State.OPEN, CONTRACTOR)
    assert await centre.tickets(open=True) == []


async def test_whom_one_of_ours_was_put_through_to_is_no_customer(centre: Centre) -> None:
    await centre.transfer(party="2101")
    await centre.look()
    assert await centre.cases() == []
    assert await centre.intakes.to_tickets() == []


async def test_a_party_that_the_record_does_not_name_may_be_a_customer(centre: Centre) -> None:
    await centre.transfer(party="", number="")
    await centre.look()
    case = (await centre.only()).case
    assert case.reach is not None
    assert case.reach.contact is Missing.WITHHELD


async def test_passed_on_and_on_there_is_a_ticket_for_each(centre: Centre) -> None:
    await centre.transfer("2301", leg="pbx1-1.7")
    await centre.transfer("3101", leg="pbx1-1.9", second=15)
    await centre.transfer("3001", "no-answer", leg="pbx1-1.11", second=25)
    await centre.look()
    case = (await centre.only()).case
    assert [(one.kind, one.unit, one.outcome) for one in case.tickets] == [
        (TicketKind.TRANSFER, CONTRACTOR, TicketEnd.KEPT), (TicketKind.TRANSFER, "kyusui", TicketEnd.KEPT),
        (TicketKind.TRANSFER, "shomu", TicketEnd.FAILED), (TicketKind.CALLBACK, "kyusui", None),
    ]  # fmt: skip
    assert case.owner == "kyusui"


@pytest.mark.rule("C-06")
async def test_whom_nobody_answered_at_all_is_called_once_however_often_they_tried(centre: Centre) -> None:
    for call in range(1, 4):
        await centre.step("missed", call, call=call, **{"number": "0664581132", "from": CALLER, "why": "cancelled",
                                                        "seconds": "25"})  # fmt: skip
    await centre.step("missed", 9, call=9, number="0664581132", why="cancelled", seconds="25")  # withheld
    await centre.step(
        "missed", 10, call=10, number="0664581132", why="cancelled", seconds="9", **{"from": "0312345678"}
    )
    await centre.look()
    found = await centre.tickets()
    assert [short(one) for one in found] == [(TicketKind.ABANDONED, CONTRACTOR, None)] * 2
    assert {one.contact for one in found} == {CALLING, Missing.WITHHELD}
    first = next(
        kept for kept in await centre.cases() if kept.case.reach and kept.case.reach.contact != Missing.WITHHELD
    )
    assert len(first.case.history) == 5, "each try is told"
    await centre.book.add(first.number, [
        centre.act(Amend, inquiry="断水はいつまでか"), centre.act(Reply, channel=Channel.PHONE),
        centre.act(Result, outcome=Outcome.ANSWERED, text="14時まで"), centre.act(Close),
    ])  # fmt: skip
    kept = next(one for one in await centre.tickets() if one.case == first.number)
    assert (kept.outcome, kept.late(centre.at)) == (TicketEnd.KEPT, False)
    await centre.step("missed", 99, call=5, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    assert len(await centre.tickets(open=True)) == 2, "a new call is a new promise"


async def answered(centre: Centre, number: int) -> None:
    """By an operator, in the words that end a case."""
    await centre.book.add(number, [
        centre.act(Reply, channel=Channel.PHONE), centre.act(Result, outcome=Outcome.ANSWERED, text="案内"),
        centre.act(Close),
    ])  # fmt: skip


@pytest.mark.rule("A-19", "C-06")
@pytest.mark.parametrize("outcome", ["answered", "returned", "busy", "cancelled"])
async def test_what_an_operator_writes_while_it_rings_settles_no_transfer(centre: Centre, outcome: str) -> None:
    kept = await centre.entered()
    await centre.transfer(outcome=None)
    await centre.look()
    await answered(centre, kept.number)
    await centre.step("outcome", 60 * 15, outcome=outcome)
    await centre.look()
    case = (await centre.only()).case
    lost = outcome in ("busy", "cancelled")
    assert case.state is (State.OPEN if lost else State.CLOSED)
    assert [(one.kind, one.outcome) for one in case.tickets] == [
        (TicketKind.TRANSFER, TicketEnd.KEPT if outcome == "answered" else TicketEnd.FAILED),
        *([(TicketKind.CALLBACK, None)] if lost else []),
    ]  # fmt: skip
    assert await centre.intakes.to_tickets() == []


async def test_who_was_answered_after_nobody_took_them_is_not_called(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.transfer(outcome=None)
    await centre.look()
    await answered(centre, kept.number)
    await centre.step("outcome", 60, outcome="busy")
    await centre.look()
    case = (await centre.only()).case
    assert (case.state, [one.outcome for one in case.tickets]) == (State.CLOSED, [TicketEnd.FAILED])
    assert await centre.intakes.to_tickets() == []
    await centre.transfer(leg="pbx1-1.99")
    await centre.look()
    assert len(await centre.cases()) == 2, "what comes after it is a case of its own"


async def test_an_outcome_of_a_transfer_that_nobody_saw_is_none(centre: Centre) -> None:
    await centre.step("outcome", 9, outcome="busy")
    await centre.look()
    assert await centre.cases() == []
    assert await centre.intakes.to_tickets() == []


@pytest.mark.rule("A-44")
async def test_a_unit_sees_its_own_tickets(centre: Centre) -> None:
    await centre.transfer()
    await centre.transfer("3001", "busy", call=2)
    await centre.look()
    assert len(await centre.tickets(CONTRACTOR)) == 3
    assert [one.unit for one in await centre.tickets("kyusui")] == ["kyusui"]
    assert await centre.tickets("shomu") == [], "nobody handed it over: nobody there had answered"
    assert len(await centre.tickets(kind=TicketKind.CALLBACK, late=START + timedelta(hours=1))) == 1
    assert await centre.tickets(late=START) == []


@pytest.mark.rule("E-16")
async def test_what_a_section_promised_it_keeps_or_not(centre: Centre) -> None:
    kept, promised = await centre.entered(), START + timedelta(hours=2)
    await centre.book.add(kept.number, [
        centre.act(Reach, contact=CALLING, read_back=True),
        centre.act(Assign, main="kyusui"),
    ])  # fmt: skip
    await centre.book.add(kept.number, [
        centre.act(Consent, given=True), centre.act(HandOver, way=Way.CALLBACK, promised=promised),
    ])  # fmt: skip
    (ticket,) = await centre.tickets(open=True)
    assert (ticket.kind, ticket.unit, ticket.due) == (TicketKind.CALLBACK, "kyusui", promised)
    centre.at = promised + timedelta(minutes=5)
    from cti.cases.acts import Accept

    await centre.book.add(kept.number, [
        centre.act(Accept, unit="kyusui"), centre.act(Reply, unit="kyusui", channel=Channel.PHONE),
    ])  # fmt: skip
    (ticket,) = await centre.tickets()
    assert (ticket.outcome, ticket.late(centre.at)) == (TicketEnd.KEPT, True)


@pytest.mark.parametrize("seed", range(10))
async def test_whatever_dies_in_between_each_promise_is_one_ticket(centre: Centre, seed: int) -> None:
    """Steps in pieces and again, restarts, a log that fails, people at work: counted against what the calls were."""
    chance = random.Random(seed)  # noqa: S311
    calls = range(1, 7)
    ends = {call: chance.choice(["answered", "busy", "cancelled", None]) for call in calls}
    left = [(call, what) for call in calls for what in (("transfer", "outcome") if ends[call] else ("missed",))]
    done: list[tuple[int, str]] = []
    while left:
        again = [chance.choice(done)] if done and chance.random() < 0.3 else []
        for one in [left.pop(0), *again]:
            call, what = one
            if what == "missed":
                await centre.step(what, 30, call=call, number="0664581132", why="cancelled", seconds="25")
            elif what == "transfer":
                await centre.step(what, 5, call=call, kind="blind", by="2201", to="3101", party="trunk", number=CALLER)
            else:
                await centre.step(what, 9, call=call, outcome=str(ends[call]))
            done.append(one)
        centre.broken = bool(left) and chance.random() < 0.3
        if chance.random() < 0.4:
            centre.ticketing = centre.another()
        await centre.look()
        centre.broken = False
        if chance.random() < 0.2:
            await centre.entered(chance.choice(calls))
    await centre.look()
    assert await centre.intakes.to_tickets() == []
    found = sorted((str(one.conversation), one.kind, one.outcome) for one in await centre.tickets())
    wanted = []
    for call in calls:
        name = uuid(f"call {call}")
        if ends[call] is None:
            wanted.append((name, TicketKind.ABANDONED, None))
        elif ends[call] == "answered":
            wanted.append((name, TicketKind.TRANSFER, TicketEnd.KEPT))
        else:
            wanted += [(name, TicketKind.TRANSFER, TicketEnd.FAILED), (name, TicketKind.CALLBACK, None)]
    assert found == sorted(wanted, key=lambda one: (one[0], one[1], str(one[2])))


async def called(centre: Centre) -> tuple[int, str]:
    """Somebody calls back whom nobody had answered; the case, and the channel."""
    await centre.step("missed", 5, why="cancelled", seconds="20", number="0664581132", **{"from": CALLER})
    await centre.look()
    kept = await centre.only()
    number = len(kept.case.history) + 1
    leg = leg_of(kept.number, number, centre.at)
    await centre.book.add(kept.number, [
        centre.act(Dialled, place=1, phone="2201", leg=leg, conversation=str(conversation_id("pbx1", leg)))
    ])  # fmt: skip
    return kept.number, leg


async def heard(centre: Centre, leg: str, outcome: str, second: int = 900) -> None:
    at = START + timedelta(seconds=second)
    centre.read += 1
    await centre.intakes.take([{
        "key": f"pbx1/{leg}/{second}/called-back", "conversation": str(conversation_id("pbx1", leg)), "uniqueid": leg,
        "at": at.isoformat(), "what": "called-back", "values": {"outcome": outcome, "seconds": "7"},
    }], "2027-04-01.jsonl", centre.read)  # fmt: skip


@pytest.mark.rule("C-06", "E-16")
@pytest.mark.parametrize(("outcome", "tries"), [("busy", 1), ("answered", 0), ("not-picked-up", 0)])
async def test_what_came_of_a_call_to_a_customer_is_one_act(centre: Centre, outcome: str, tries: int) -> None:
    number, leg = await called(centre)
    await heard(centre, leg, outcome)
    await heard(centre, leg, "not-picked-up", 901)  # the other way by which it is told
    for _ in range(2):
        await centre.another().look()
    case = (await centre.book.get(number)).case
    (ended,) = [act for act in case.history if isinstance(act, DialEnded)]
    assert (ended.outcome, ended.seconds) == (outcome, 7)
    (ticket,) = await centre.tickets()
    assert (ticket.tries, ticket.again is not None) == (tries, tries == 1)
    assert ended.again == ticket.again
    assert await centre.intakes.to_tickets() == []


async def test_a_customer_who_is_put_through_after_a_callback_stays_in_their_case(centre: Centre) -> None:
    number, leg = await called(centre)
    await centre.step("transfer", 60, call=9, leg=leg, kind="blind", by="2201", to="3101", party="trunk", number=CALLER)
    await centre.look()
    assert [kept.number for kept in await centre.cases()] == [number]
    assert [one.kind for one in await centre.tickets()] == [TicketKind.ABANDONED, TicketKind.TRANSFER]


async def test_what_a_callback_leaves_after_its_case_was_closed_is_a_case_of_its_own(centre: Centre) -> None:
    number, leg = await called(centre)
    await centre.book.add(number, [
        centre.act(Tried, place=1, met=Met.CUSTOMER), centre.act(Amend, inquiry="断水"),
        centre.act(Reply, channel=Channel.PHONE), centre.act(Result, outcome=Outcome.ANSWERED, text="案内した"),
        centre.act(Close),
    ])  # fmt: skip
    for what, second, more in (
        ("transfer", 60, {"kind": "blind", "by": "2201", "to": "3101", "party": "trunk", "number": CALLER}),
        ("outcome", 70, {"outcome": "busy"}),
    ):
        await centre.step(what, second, call=9, leg=leg, **more)
    await centre.look()
    await centre.look()
    (new,) = [kept for kept in await centre.cases() if kept.number != number]
    assert [(one.kind, one.outcome) for one in new.case.tickets] == [
        (TicketKind.TRANSFER, TicketEnd.FAILED), (TicketKind.CALLBACK, None),
    ]  # fmt: skip


async def test_whoever_is_passed_on_twice_out_of_a_callback_stays_in_their_case(centre: Centre) -> None:
    number, leg = await called(centre)
    await centre.step("transfer", 60, call=9, leg=leg, kind="blind", by="2201", to="3101", party="trunk", number=CALLER)
    await centre.step("transfer", 90, call=9, leg="pbx1-1.99", kind="blind", by="3101", to="3001", party="trunk",
                      number=CALLER)  # fmt: skip
    await centre.look()
    assert [kept.number for kept in await centre.cases()] == [number]


async def test_whose_number_was_wrong_is_another_when_it_calls_again(centre: Centre) -> None:
    number, _leg = await called(centre)
    await centre.book.add(number, [centre.act(Tried, place=1, met=Met.WRONG)])
    await centre.step("missed", 900, call=2, why="cancelled", seconds="99", number="0664581132", **{"from": CALLER})
    await centre.look()
    (new,) = [kept for kept in await centre.cases() if kept.number != number]
    assert new.case.reach is not None
    assert new.case.reach.contact == CALLING


async def test_a_ticket_that_was_tried_in_time_is_late_when_its_next_try_is(centre: Centre) -> None:
    number, leg = await called(centre)
    await heard(centre, leg, "busy")
    await centre.look()
    (ticket,) = await centre.tickets()
    assert ticket.due is not None
    assert ticket.again is not None
    for now in (ticket.due + timedelta(seconds=1), ticket.again, ticket.again + timedelta(seconds=1)):
        late = now > ticket.again
        assert ticket.late(now) == late
        assert bool(await centre.tickets(late=now)) == late
    await centre.book.add(number, [centre.act(Tried, place=1, met=Met.CUSTOMER)])
    (ticket,) = await centre.tickets()
    assert not ticket.late(ticket.due + timedelta(days=9)), "it was tried in time, and kept"
    assert await centre.tickets(late=ticket.due + timedelta(days=9)) == []


@pytest.mark.rule("A-23", "C-18")
async def test_a_section_that_was_put_through_takes_the_case_in_time_too(centre: Centre) -> None:
    await centre.transfer()
    day = date(2027, 4, 5)
    await Ticketing(centre.intakes, centre.book, lambda: POLICIES, lambda: centre.at, lambda _at, _of: day).look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert case.hand_over.accept_by == case.next_at == datetime(2027, 4, 6, tzinfo=JST)


@pytest.mark.rule("A-19", "E-13")
async def test_the_section_sees_who_comes_until_somebody_else_has_them_again(centre: Centre) -> None:
    noted: list[tuple[str, str, int]] = []

    async def note(leg: str, section: str, case: int) -> None:
        noted.append((leg, section, case))

    centre.ticketing = Ticketing(centre.intakes, centre.book, lambda: POLICIES, lambda: centre.at, noted=note)
    kept = await centre.entered()
    await centre.transfer(outcome=None, section="kyusui", why="urgent", how="open")
    assert await centre.tickets("kyusui") == []
    await centre.look()
    assert noted == [("pbx1-1.1", "kyusui", kept.number)]
    (ticket,) = await centre.tickets("kyusui")
    assert ticket.inquiry == "水が濁る"
    await centre.step("outcome", 30, outcome="returned")
    await centre.look()
    assert [short(one) for one in await centre.tickets()] == [(TicketKind.TRANSFER, "kyusui", TicketEnd.FAILED)]
    assert await centre.tickets("kyusui") == [], "they have the caller no more"
    assert (await centre.only()).case.owner == CONTRACTOR


@pytest.mark.rule("E-13")
@pytest.mark.parametrize(
    ("said", "waits"),
    [({}, False), ({"section": "kyusui", "how": "open"}, True), ({"section": "kyusui", "how": "instead"}, True),
     ({"section": "kyusui", "how": "closed"}, False)],
)  # fmt: skip
async def test_it_is_noted_only_for_whom_the_dialplan_waits(centre: Centre, said: dict[str, str], waits: bool) -> None:
    noted: list[str] = []

    async def note(_leg: str, section: str, _case: int) -> None:
        noted.append(section)

    centre.ticketing = Ticketing(centre.intakes, centre.book, lambda: POLICIES, lambda: centre.at, noted=note)
    await centre.transfer(outcome=None, **said)
    await centre.look()
    assert noted == ["kyusui"] * waits
    assert len(await centre.tickets()) == 1


@pytest.mark.rule("A-19")
@pytest.mark.parametrize(("why", "said"), [("wish", Why.WISH), ("urgent", Why.URGENT), ("other", None), ("x", None)])
async def test_why_an_operator_has_keyed_is_why_it_was_handed_over(centre: Centre, why: str, said: Why | None) -> None:
    await centre.transfer(to="3102", section="kyusui", why=why)
    await centre.look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert (case.hand_over.why, case.owner) == (said, "kyusui")


@pytest.mark.rule("A-19")
async def test_from_the_case_the_words_for_it_come_along(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [centre.act(PutThrough, section="kyusui", why=Why.OTHER, words="約束")])
    await centre.transfer(section="kyusui", why="other")
    await centre.look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert (case.hand_over.why, case.hand_over.words) == (Why.OTHER, "約束")
    with pytest.raises(OrderError, match=r"A-23"):
        await centre.book.add(kept.number, [centre.act(PutThrough, section="shomu", why=Why.WISH)])


@pytest.mark.rule("A-19")
async def test_what_was_asked_for_before_says_nothing_of_a_transfer_to_another(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [centre.act(PutThrough, section="shomu", why=Why.URGENT)])
    await centre.transfer(section="kyusui")
    await centre.look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert case.hand_over.why is None


async def test_what_a_caller_pressed_is_the_kind_of_question(centre: Centre) -> None:
    await centre.step("transfer", 5, kind="menu", to="3101", party="trunk", number=CALLER, section="kyusui",
                      why="wish", category="leak", leg="pbx1-1.1")  # fmt: skip
    await centre.look()
    assert (await centre.only()).case.category == "leak"


async def missed(centre: Centre, **more: str) -> None:
    values = {"number": "0664581132", "from": CALLER, "why": "cancelled", "seconds": "25"} | more
    await centre.step("missed", 5, **values)
    await centre.look()


@pytest.mark.rule("C-06")
async def test_who_called_again_and_was_answered_is_not_called(centre: Centre) -> None:
    await missed(centre)
    for _ in range(2):
        await centre.step("reached", 300, call=2, number="0664581132", **{"from": CALLER})
        await centre.look()
    (kept,) = await centre.tickets()
    assert (kept.kind, kept.outcome) == (TicketKind.ABANDONED, TicketEnd.KEPT)
    case = (await centre.only()).case
    assert case.state is State.CLOSED
    assert [act.conversation for act in case.history if isinstance(act, CalledAgain)] == [uuid("call 2")]


@pytest.mark.rule("C-06")
async def test_a_case_in_which_somebody_has_done_something_stays_open(centre: Centre) -> None:
    await missed(centre)
    await centre.book.add((await centre.only()).number, [centre.act(Amend, inquiry="漏水")])
    await centre.step("reached", 300, call=2, number="0664581132", **{"from": CALLER})
    await centre.look()
    case = (await centre.only()).case
    assert (case.state, case.tickets[0].outcome) == (State.OPEN, TicketEnd.KEPT)


@pytest.mark.rule("C-06")
@pytest.mark.parametrize("who", ["0312345678", ""])
async def test_that_others_were_answered_takes_nothing_from_the_list(centre: Centre, who: str) -> None:
    await missed(centre)
    await centre.step("reached", 300, call=2, number="0664581132", **({"from": who} if who else {}))
    await centre.look()
    assert [one.outcome for one in await centre.tickets()] == [None]
    assert await centre.intakes.to_tickets() == []


@pytest.mark.rule("A-19", "A-44")
async def test_of_two_questions_of_one_call_that_one_goes_from_which_it_was_asked(centre: Centre) -> None:
    asked, other = await centre.entered(), await centre.entered()
    await centre.book.add(asked.number, [centre.act(PutThrough, section="kyusui", why=Why.WISH)])
    await centre.transfer(section="kyusui", why="wish")
    await centre.look()
    assert (await centre.book.get(asked.number)).case.owner == "kyusui"
    assert (await centre.book.get(other.number)).case.owner == CONTRACTOR


@pytest.mark.rule("A-19")
async def test_an_older_reason_is_none_of_a_transfer_that_was_keyed_otherwise(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [centre.act(PutThrough, section="kyusui", why=Why.WISH)])
    await centre.transfer(section="kyusui", why="urgent")
    await centre.look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert case.hand_over.why is Why.URGENT


@pytest.mark.rule("A-30", "E-13")
async def test_who_was_consulted_by_the_code_has_the_case_as_by_the_telephone(centre: Centre) -> None:
    await centre.transfer(to="*83101*2", kind="attended")
    await centre.look()
    case = (await centre.only()).case
    assert case.hand_over is not None
    assert (case.owner, case.hand_over.why) == ("kyusui", Why.URGENT)


@pytest.mark.rule("C-06")
async def test_what_is_read_again_settles_nothing_that_came_later(centre: Centre) -> None:
    steps = [("reached", 10, 2, {}), ("missed", 600, 1, {"why": "cancelled", "seconds": "25"})]
    for _ in range(2):
        for what, second, call, more in steps:
            await centre.step(what, second, call=call, number="0664581132", **{"from": CALLER}, **more)
        await centre.look()
        assert [one.outcome for one in await centre.tickets()] == [None]
        await centre.intakes.clear()  # the index is made anew
        centre.read = 0


@pytest.mark.rule("C-06")
async def test_that_a_section_answered_is_no_answer_of_the_centre(centre: Centre) -> None:
    await missed(centre)
    await centre.step("reached", 300, call=2, number="0664587000", **{"from": CALLER})
    await centre.look()
    assert [one.outcome for one in await centre.tickets()] == [None]


async def test_what_waited_before_there_was_a_column_for_it_waits_the_same(centre: Centre) -> None:
    number, leg = await called(centre)
    await heard(centre, leg, "busy")
    await centre.transfer("3101", "answered", call=3, leg="pbx1-1.31")
    await centre.transfer("3101", "busy", call=4, leg="pbx1-1.41", number="0312345678")
    await centre.transfer("3101", None, call=5, leg="pbx1-1.51", number="0312345679")
    await centre.step("missed", 10, call=6, number="0664581132", why="cancelled", seconds="99")
    await centre.look()
    closed = await centre.entered(call=7)
    await answered(centre, closed.number)
    await centre.book.add(closed.number, [centre.act(UnjustDemand, text="今すぐ来い")])  # owed though it is closed
    over = await centre.entered(call=8)
    await answered(centre, over.number)

    async def standing() -> list[list[Any]]:
        async with centre.engine.connect() as connection:
            return [
                sorted(map(repr, await connection.execute(select(*columns))))
                for columns in ((tickets.c.id, tickets.c.next_at), (seers,))
            ]

    before = await standing()
    assert [len(rows) for rows in before] == [7, 9]
    async with centre.engine.begin() as connection:
        await connection.run_sync(_back_to, "0011")
    await store.migrate(centre.engine)
    assert await standing() == before
    assert {number, closed.number} <= {line.case for line in await centre.tickets(open=True)}
    assert over.number not in {line.case for line in await centre.tickets(open=True)}


def _back_to(connection: Connection, version: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(store.MIGRATIONS))
    config.attributes["connection"] = connection
    command.downgrade(config, version)


async def wished(centre: Centre, kind: TicketKind = TicketKind.CALLBACK, **reach: Any) -> Kept:
    """What the night took: whoever calls the centre now is owed a call until midnight."""
    urgent = kind is TicketKind.EMERGENCY
    by: dict[str, Any] = {"at": START - timedelta(hours=9), "by": SYSTEM, "unit": CONTRACTOR}
    register = Register(
        **by, channel=Channel.EMERGENCY if urgent else Channel.PHONE, received_by=EMERGENCY if urgent else CONTRACTOR,
        received_at=by["at"], inquiry="", due=START + timedelta(hours=14), ticket=kind,
    )  # fmt: skip
    return await centre.book.enter([register, Reach(**by, contact=CALLING, **reach)])


@pytest.mark.rule("C-06", "A-03")
@pytest.mark.parametrize("kind", [TicketKind.CALLBACK, TicketKind.EMERGENCY])
async def test_who_waits_for_a_call_and_is_missed_has_one_case_and_is_called_for_both(
    centre: Centre, kind: TicketKind
) -> None:
    before = await wished(centre, kind)
    await missed(centre)
    case = (await centre.only()).case
    soon = START + timedelta(minutes=30, seconds=5)
    assert [(one.kind, one.due, one.unit) for one in case.tickets] == [
        (kind, before.case.tickets[0].due, CONTRACTOR), (TicketKind.ABANDONED, soon, CONTRACTOR),
    ]  # fmt: skip
    assert case.next_at == soon
    await centre.step("missed", 60, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    assert len((await centre.only()).case.tickets) == 2
    met = centre.act(Tried, place=2, met=Met.CUSTOMER)
    case = (await centre.book.add(before.number, [met])).case
    assert {one.outcome for one in case.tickets} == {TicketEnd.KEPT}, "one call is both"


@pytest.mark.rule("C-06")
async def test_an_answer_of_the_centre_leaves_what_was_wished_at_night(centre: Centre) -> None:
    before = await wished(centre)
    await missed(centre)
    await centre.step("reached", 300, call=2, number="0664581132", **{"from": CALLER})
    await centre.look()
    case = (await centre.only()).case
    assert [one.outcome for one in case.tickets] == [None, TicketEnd.KEPT]
    assert (case.state, case.next_at) == (State.OPEN, before.case.next_at)


@pytest.mark.rule("C-06")
async def test_who_was_missed_before_is_called_for_that_whatever_else_there_is(centre: Centre) -> None:
    await missed(centre)
    await wished(centre)
    await centre.step("missed", 60, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    assert sorted(str(one.kind) for one in await centre.tickets()) == ["abandoned", "callback"]


@pytest.mark.rule("C-06", "E-16")
@pytest.mark.parametrize("why", ["another unit", "refused", "hours"])
async def test_where_that_call_would_come_too_late_or_not_at_all_it_is_a_case_of_its_own(
    centre: Centre, why: str
) -> None:
    kept = await wished(centre, read_back=True, **({"between": (time(18), time(20))} if why == "hours" else {}))
    if why == "refused":
        await centre.book.add(kept.number, [centre.act(Consent, given=False)])
    if why == "another unit":
        await centre.book.add(kept.number, [
            centre.act(Amend, inquiry="断水"), centre.act(Assign, main="kyusui"), centre.act(Consent, given=True),
            centre.act(HandOver, way=Way.CALLBACK, promised=centre.at + timedelta(hours=5)),
        ])  # fmt: skip
    await missed(centre)
    (new,) = [one for one in await centre.cases() if one.number != kept.number]
    assert [one.kind for one in new.case.tickets] == [TicketKind.ABANDONED]
    assert (await centre.book.get(kept.number)).case.owes(TicketKind.ABANDONED) == []


@pytest.mark.rule("C-06")
async def test_a_case_that_is_closed_just_then_swallows_no_call(
    centre: Centre, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept, found = await wished(centre), centre.book.owes_call

    async def overtaken(e164: str, due: datetime) -> Kept | None:
        before = await found(e164, due)
        monkeypatch.undo()
        await centre.book.add(kept.number, [centre.act(Amend, inquiry="断水")])
        await answered(centre, kept.number)
        return before

    monkeypatch.setattr(centre.book, "owes_call", overtaken)
    await missed(centre)
    await centre.look()
    assert [one.kind for one in await centre.tickets(open=True)] == [TicketKind.ABANDONED]
    assert await centre.intakes.to_tickets() == []


@pytest.mark.rule("A-19", "C-06")
@pytest.mark.parametrize("closed", [False, True])
async def test_a_transfer_of_which_nothing_is_heard_for_a_day_was_taken_by_nobody(centre: Centre, closed: bool) -> None:
    kept = await centre.entered()
    await centre.transfer(outcome=None)
    await centre.look()
    if closed:
        centre.at = START  # while it rang
        await answered(centre, kept.number)
    centre.at = START + timedelta(hours=23)
    await centre.look()
    assert [one.outcome for one in (await centre.only()).case.tickets] == [None]
    centre.at = START + timedelta(hours=25)
    for _ in range(2):
        await centre.another().look()
    case = (await centre.only()).case
    assert (case.tickets[0].kind, case.tickets[0].outcome) == (TicketKind.TRANSFER, TicketEnd.FAILED)
    assert [one.kind for one in case.tickets if one.outcome is None] == [TicketKind.CALLBACK]
    assert case.state is State.OPEN


@pytest.mark.rule("A-19", "C-06")
async def test_what_was_written_while_it_rang_ends_no_case_whose_caller_nobody_took(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.transfer(outcome=None)
    await centre.look()
    await centre.book.add(kept.number, [
        centre.act(Reply, channel=Channel.PHONE), centre.act(Result, outcome=Outcome.ANSWERED, text="案内")
    ])  # fmt: skip
    rang = centre.at
    centre.at += timedelta(minutes=3)
    await centre.step("outcome", 60 * 15, outcome="no-answer")
    await centre.look()
    with pytest.raises(OrderError):
        await centre.book.add(kept.number, [centre.act(Close)])
    await centre.book.add(kept.number, [centre.act(Reply, channel=Channel.PHONE, answered_at=rang)])
    assert [one.kind for one in await centre.tickets(open=True)] == [TicketKind.CALLBACK], "it was answered before that"
    await centre.book.add(kept.number, [centre.act(Reply, channel=Channel.PHONE)])
    assert await centre.tickets(open=True) == []


@pytest.mark.rule("C-06")
async def test_who_calls_once_more_after_an_answer_is_not_answered_by_it(centre: Centre) -> None:
    kept = await centre.entered()
    await centre.book.add(kept.number, [centre.act(Reach, contact=CALLING)])
    await missed(centre)
    talked = centre.at
    centre.at += timedelta(minutes=5)
    await centre.step("missed", 500, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    (ticket,) = await centre.tickets()
    await centre.book.add(ticket.case, [
        centre.act(Amend, inquiry="断水"), centre.act(Reply, channel=Channel.PHONE, answered_at=talked),
    ])  # fmt: skip
    assert [one.outcome for one in await centre.tickets()] == [None]


@pytest.mark.rule("C-06", "A-17")
async def test_whom_nobody_may_call_hinders_no_end(centre: Centre) -> None:
    await missed(centre)
    (ticket,) = await centre.tickets()
    await centre.book.add(ticket.case, [
        centre.act(Amend, inquiry="断水"),
        centre.act(Reply, channel=Channel.PHONE, answered_at=START + timedelta(seconds=5)),
        centre.act(Result, outcome=Outcome.ANSWERED, text="案内"),
    ])  # fmt: skip
    centre.at += timedelta(minutes=5)
    await centre.step("missed", 500, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    with pytest.raises(OrderError):
        await centre.book.add(ticket.case, [centre.act(Close)])
    case = await centre.book.add(ticket.case, [centre.act(Consent, given=False), centre.act(Close)])
    assert case.case.state is State.CLOSED


@pytest.mark.rule("C-06")
async def test_what_a_section_is_to_call_takes_no_call_that_the_centre_missed(centre: Centre) -> None:
    await missed(centre)
    (ticket,) = await centre.tickets()
    await centre.book.add(ticket.case, [
        centre.act(Amend, inquiry="断水"), centre.act(Assign, main="kyusui"),
        centre.act(HandOver, way=Way.TRANSFER, why=Why.WISH),
    ])  # fmt: skip
    assert [short(one) for one in await centre.tickets(open=True)] == [(TicketKind.ABANDONED, "kyusui", None)]
    await centre.step("missed", 60, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    assert {one.unit for one in await centre.tickets(open=True)} == {"kyusui", CONTRACTOR}


@pytest.mark.rule("C-06")
async def test_a_case_that_nobody_can_read_holds_up_no_call_of_its_number(centre: Centre) -> None:
    await missed(centre)
    (ticket,) = await centre.tickets()
    async with centre.engine.begin() as connection:
        await connection.execute(update(acts).where(acts.c.case == ticket.case, acts.c.act == 2).values(sealed=b"x"))
    await centre.step("missed", 60, call=2, number="0664581132", why="busy", seconds="25", **{"from": CALLER})
    await centre.look()
    assert await centre.intakes.to_tickets() == []
    assert len(await centre.tickets(open=True)) == 2
