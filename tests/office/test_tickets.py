"""From the telephone to the ticket: real calls put through, given up and not answered, counted against the tickets.

Between the calls recorder and desk are killed: what Asterisk wrote is read when they are back, and each promise is one
ticket of one case.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from cti.app.desk import book_at, build_desk
from cti.cases.acts import CENTRE, CONTRACTOR, State, TicketEnd, TicketKind
from cti.cases.book import CaseBook
from cti.cases.contact import Contact
from cti.cases.lists import TicketLine, TicketsWanted
from cti.demo.scenarios import Answer
from cti.desk import closing
from tests.asterisk.test_transfers import consulting, in_a_call, to
from tests.asterisk.voices import KEYS, PICKS_UP, Watch, talk, transfers
from tests.real import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("A-19", "C-06", "C-18")]

KOZA = "0664587211"
LONG, SHORT = 11.0, 2.0
"""Seconds that somebody waits whom nobody answers: a ticket after ten (sections.toml)."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(house_with_service: House) -> House:
    return house_with_service


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def watch(house: House) -> AsyncIterator[Watch]:
    async with house.manager() as manager:
        yield Watch.on(house, manager)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def book(house: House) -> AsyncIterator[CaseBook]:
    """The desk's, by its own key."""
    desk = await build_desk(house.lab.settings, wall_clock, "test")
    async with closing(desk):
        yield book_at(desk, house.lab.settings)


@dataclass(frozen=True)
class Owed:
    """What a call is to leave."""

    number: str
    tickets: tuple[tuple[TicketKind, str, TicketEnd | None], ...]


async def blind(watch: Watch, section: Answer, *, gives_up: bool = False) -> str:
    """2201 puts a caller through to 3101; the caller's number."""
    house = watch.house
    async with in_a_call(watch) as (caller, agent), house.rings("3101", section) as phone:
        await talk(0.3)
        if section is PICKS_UP:
            await transfers(agent.phone, to("3101"), phone)
        else:
            await agent.phone.press("transfer", to("3101"))
            await agent.phone.reached("transferred", 5)
            if agent.phone.running:
                await agent.phone.press("hang up")
        if gives_up:
            await phone.reached("ringing", 5)
        if gives_up or section is PICKS_UP:  # else the PBX ends it
            await caller.phone.press("hang up")
        await watch.over(caller.phone, phone, agent.phone)
    return str(caller.phone.role.number)


async def asked_before(watch: Watch) -> str:
    """2201 asks 3101 first, and then puts the caller through."""
    async with consulting(watch, PICKS_UP) as (caller, agent, other, section):
        await other.phone.reached("talking", 10)
        await transfers(agent.phone, other.phone)
        await watch.heard("AttendedTransfer")
        await other.phone.finished(10)
        await section.phone.press("hang up")
        await watch.over(section.phone, caller.phone)
    return str(caller.phone.role.number)


async def while_it_rings(watch: Watch) -> str:
    """2201 gives the caller away while 3101 still rings, and then it answers."""
    async with consulting(watch, Answer(talk=KEYS, ring=1.5)) as (caller, agent, other, section):
        await other.phone.reached("ringing", 10)
        await transfers(agent.phone, other.phone)
        await watch.heard("AttendedTransfer")
        await section.phone.reached("talking", 10)
        await section.phone.press("hang up")
        await watch.over(section.phone, caller.phone)
    return str(caller.phone.role.number)


async def unanswered(watch: Watch, seconds: float) -> str:
    """Nobody at the centre answers, and the caller gives up."""
    house = watch.house
    async with house.rings("2201", Answer(talk=None)) as phone, house.outside(KOZA, cancel_after=seconds) as caller:
        await watch.over(caller, phone)
    return str(caller.role.number)


async def answered(watch: Watch) -> str:
    async with in_a_call(watch) as (caller, agent):
        await caller.phone.press("hang up")
        await watch.over(caller.phone, agent.phone)
    return str(caller.phone.role.number)


async def test_each_promise_is_one_ticket_whoever_is_killed(house: House, watch: Watch, book: CaseBook) -> None:
    over = (TicketKind.TRANSFER, "kyusui", TicketEnd.KEPT)
    failed = ((TicketKind.TRANSFER, "kyusui", TicketEnd.FAILED), (TicketKind.CALLBACK, CONTRACTOR, None))
    owed: list[Owed] = []
    for made, left, killed in (
        (lambda: blind(watch, PICKS_UP), (over,), "recorder"),
        (lambda: blind(watch, Answer(talk=None, refuse=486)), failed, "desk"),
        (lambda: blind(watch, Answer(talk=None), gives_up=True), failed, None),
        (lambda: asked_before(watch), (over,), "desk"),
        (lambda: while_it_rings(watch), (over,), "recorder"),
        (lambda: unanswered(watch, LONG), ((TicketKind.ABANDONED, CONTRACTOR, None),), "desk"),
        (lambda: unanswered(watch, SHORT), (), None),
        (lambda: answered(watch), (), None),
    ):
        owed.append(Owed(await made(), left))
        if killed is not None:  # between the end of the call and its ticket
            await house.killed(killed)
    wanted = sorted((one.number, *ticket) for one in owed for ticket in one.tickets)

    async def found() -> list[tuple[str, TicketKind, str, TicketEnd | None]]:
        return sorted((_number(one), one.kind, one.unit, one.outcome) for one in await _all(book))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(30):
            while await found() != wanted:  # noqa: ASYNC110  # other processes make them
                await asyncio.sleep(0.3)
    await house.lab.idle()
    assert await found() == wanted
    for one in await _all(book):
        case = (await book.get(one.case)).case
        assert case.conversation == one.conversation
        assert (case.state is State.HANDED_OVER) == (one.outcome is TicketEnd.KEPT)
        assert case.owner == ("kyusui" if one.outcome is TicketEnd.KEPT else CONTRACTOR)
    called = house.lab.rows("calls", "list")
    assert {one.conversation for one in await _all(book)} <= {row["conversation"] for row in called}


async def _all(book: CaseBook) -> list[TicketLine]:
    return await book.tickets(TicketsWanted(open=False), CENTRE, limit=99)


def _number(ticket: TicketLine) -> str:
    assert isinstance(ticket.contact, Contact)
    return "0" + ticket.contact.e164.removeprefix("+81")
