"""Calling back, on the real PBX: whose telephone rings, what the customer is shown, and what is kept of it.

Recorder and desk are killed while the call stands: what came of it is one act of its case, whoever was there.
"""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime, time, timedelta

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from cti.app.desk import book_at, build_desk, teller
from cti.cases.acts import CONTRACTOR, SYSTEM, Channel, Consent, DialEnded, Met, Reach, Register, TicketEnd, TicketKind
from cti.cases.book import OrderError
from cti.cases.calling import Calling, Ringing
from cti.cases.contact import contact
from cti.cases.desk import CaseDesk
from cti.cases.lists import Kept
from cti.demo.scenarios import Answer
from cti.desk import closing
from policies.calendar import JST
from policies.load import Policies
from policies.rights import Role
from recorder.access.people import Account
from tests.asterisk.voices import PICKS_UP, Watch, begins, holds, talk, voiced
from tests.real import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("C-06", "E-16")]

KOZA, CENTRE = "0664587211", "0664581132"
"""What a customer is shown of a call from 2201, and from a telephone whose group has no number."""
ANY_HOUR = (time(0), time(23, 59, 59, 999_999))
STAFF = Account(
    id="sato", name="佐藤 花子", role=Role.STAFF, section=None, issued_by="tanaka",
    issued_at=datetime(2027, 4, 1, tzinfo=JST),
)  # fmt: skip


@dataclass
class Office:
    """A house, and whoever calls back from it."""

    house: House
    watch: Watch
    cases: CaseDesk
    calling: Calling

    async def owes(self, number: str) -> str:
        """A ticket: `number` is to be called."""
        now = wall_clock()
        kept = await self.cases.book.enter([
            Register(
                at=now, by=SYSTEM, unit=CONTRACTOR, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=now,
                inquiry="断水の予定", due=now + timedelta(hours=1), ticket=TicketKind.CALLBACK,
            ),
            Reach(at=now, by=SYSTEM, unit=CONTRACTOR, contact=contact(number), read_back=True, between=ANY_HOUR),
            Consent(at=now, by=SYSTEM, unit=CONTRACTOR, given=True),
        ])  # fmt: skip
        return f"{kept.number}-1"

    async def dial(self, ticket: str, phone: str) -> Ringing:
        return await self.calling.dial(STAFF, ticket, phone)

    async def case(self, ticket: str) -> Kept:
        return await self.cases.book.get(int(ticket.partition("-")[0]))

    async def ended(self, ticket: str) -> DialEnded:
        """What the PBX saw of the call, once it is an act of the case; there is one."""
        async with asyncio.timeout(30):
            while not (found := await self._ends(ticket)):  # noqa: ASYNC110  # other processes do it
                await asyncio.sleep(0.2)
        await self.house.lab.idle()
        (one,) = found
        assert await self._ends(ticket) == found
        return one

    async def _ends(self, ticket: str) -> list[DialEnded]:
        return [act for act in (await self.case(ticket)).case.history if isinstance(act, DialEnded)]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(house_with_service: House) -> AsyncIterator[Office]:
    settings = house_with_service.lab.settings
    desk = await build_desk(settings, wall_clock, "test")
    policies, site = Policies(settings.paths.policies), settings.site.pbx
    async with closing(desk), house_with_service.manager() as manager:
        cases = CaseDesk(book_at(desk, settings), lambda: policies.sections, site, teller(desk), wall_clock)
        calling = Calling(cases, desk.ask, lambda: policies, site, wall_clock, desk.intake.due)
        yield Office(house_with_service, Watch.on(house_with_service, manager), cases, calling)


@pytest.mark.rule("B-02", "B-03")
async def test_the_customer_is_called_and_both_are_recorded_whoever_dies(office: Office) -> None:
    house, number = office.house, "0603000001"
    ticket = await office.owes(number)
    customer = voiced(house, await house.away(number, PICKS_UP))
    agent = voiced(house, house.rings("2201", PICKS_UP))
    async with agent.phone, customer.phone:
        call = await office.dial(ticket, "2201")
        await customer.phone.reached("talking", 15)
        assert house.far.shown[number] == KOZA
        with pytest.raises(OrderError, match="just now"):
            await office.dial(ticket, "2201")
        await house.killed("desk")
        await talk(1.5)
        await agent.phone.press("hang up")
        await office.watch.over(agent.phone, customer.phone)
    await house.killed("recorder")
    ended = await office.ended(ticket)
    assert (ended.outcome, ended.again) == ("answered", None)
    assert 1 <= ended.seconds <= 30
    (recording,) = office.watch.new()
    kept = house.open(recording)
    assert {str(part.manifest.conversation) for part in kept.parts} == {call.call.conversation}
    (part,) = kept.parts
    (left,), (right,) = holds(kept, part, [customer], [agent])
    assert begins(left, customer)
    assert begins(right, agent)
    with pytest.raises(OrderError, match="said first"):
        await office.dial(ticket, "2201")
    case = (await office.calling.tried(STAFF, ticket, Met.CUSTOMER)).case
    assert (case.tickets[0].outcome, case.tickets[0].tries) == (TicketEnd.KEPT, 1)


@pytest.mark.parametrize(("refuse", "outcome"), [(486, "busy"), (480, "no-answer")])
async def test_who_is_not_there_is_tried_again(office: Office, refuse: int, outcome: str) -> None:
    house, number, before = office.house, f"06030004{refuse % 100:02}", office.house.recordings()
    ticket = await office.owes(number)
    agent, customer = house.rings("3101", PICKS_UP), await house.away(number, Answer(talk=None, refuse=refuse))
    async with agent, customer:
        await office.dial(ticket, "3101")
        await office.watch.over(agent, customer)
    assert house.far.shown[number] == CENTRE
    ended = await office.ended(ticket)
    assert ended.outcome == outcome
    assert ended.again is not None
    assert ended.again > ended.at
    (one,) = (await office.case(ticket)).case.tickets
    assert (one.outcome, one.tries, one.again) == (None, 1, ended.again)
    assert house.recordings() == before, "3101 is not designated"


async def test_a_number_that_there_is_not_was_no_try(office: Office) -> None:
    house, number = office.house, "0603000044"
    ticket = await office.owes(number)
    agent, customer = house.rings("3101", PICKS_UP), await house.away(number, Answer(talk=None, refuse=404))
    async with agent, customer:
        await office.dial(ticket, "3101")
        await office.watch.over(agent, customer)
    ended = await office.ended(ticket)
    assert (ended.outcome, ended.again) == ("failed", None)
    (one,) = (await office.case(ticket)).case.tickets
    assert (one.outcome, one.tries) == (None, 0)


async def test_a_telephone_that_nobody_picks_up_was_no_try(office: Office) -> None:
    house, number = office.house, "0603000003"
    ticket = await office.owes(number)
    async with house.rings("2201", Answer(talk=None, refuse=486)) as agent:
        await office.dial(ticket, "2201")
        await office.watch.over(agent)
    assert (await office.ended(ticket)).outcome == "not-picked-up"
    (one,) = (await office.case(ticket)).case.tickets
    assert (one.tries, one.again) == (0, None)
    assert number not in house.far.shown


async def test_of_a_telephone_that_is_not_there_asterisk_tells_by_the_action_alone(office: Office) -> None:
    """No channel comes to be, and none is in its record of events: `cti.dialling` hears it."""
    manager, leg = office.watch.manager, "callback-999999-9-1795830000.9"
    heard = manager.heard(lambda message: message.event == "OriginateResponse")
    reply = await manager.act(
        Action="Originate", Channel="PJSIP/8888", Context="phones", Exten="0603000009", Priority="1", ChannelId=leg,
        Async="true",
    )  # fmt: skip
    assert reply.get("Response") == "Success", "it is queued, and no more is known yet"
    message = await asyncio.wait_for(heard, 10)
    assert (message.get("Response"), message.get("ActionID")) == ("Failure", reply.get("ActionID"))
    assert message.get("Uniqueid") == leg
    assert leg not in {event.row["uniqueid"] for event in office.house.cel()}
