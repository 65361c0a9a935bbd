"""To a 所管課 at once, on the real PBX: it sees who comes before its telephone rings; nobody is lost on the way.

By an operator's `*8`, by what a caller presses, and by the case itself. Who is not taken comes back.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import pytest
import pytest_asyncio

from cti.app.clock import wall_clock
from cti.app.desk import book_at, build_desk, teller
from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    Channel,
    HandOver,
    Register,
    State,
    TicketEnd,
    TicketKind,
    Transferred,
    Why,
)
from cti.cases.case import Case
from cti.cases.contact import Contact
from cti.cases.desk import Arrival, CaseDesk
from cti.cases.lists import TicketLine, TicketsWanted
from cti.cases.putting import Putting
from cti.demo.scenarios import Answer
from cti.desk import Desk, closing
from cti.hours import HoursBook
from cti.pbxconfig import Decided, texts
from policies.load import Policies
from policies.model import Passing
from policies.rights import Role
from recorder.access.people import Account
from tests.asterisk.test_hours import calling
from tests.asterisk.test_transfers import in_a_call, to
from tests.asterisk.voices import PICKS_UP, Voice, Watch, anywhere, holds, talk, voiced
from tests.real import House

pytestmark = [pytest.mark.asyncio(loop_scope="module"), pytest.mark.rule("A-19", "A-30", "E-13")]

DAIHYO = "0664581132"
OVER = (TicketKind.TRANSFER, TicketEnd.KEPT)
FAILED = (TicketKind.TRANSFER, TicketEnd.FAILED)
CALLBACK = (TicketKind.CALLBACK, None)
SECTIONS = """
basis = "A-05"
decided_by = "試験"
effective_from = 2025-12-01
[[section]]
name = "kyusui"
title = "給水課"
kind = "section"
phone = "3101"
hours = "centre"
[[section]]
name = "shomu"
title = "庶務課"
kind = "section"
phone = "3001"
until = 2026-01-01
[[section]]
name = "haisui"
title = "配水課"
kind = "section"
phone = "3102"
until = 2026-01-01
instead = "kyusui"
code = "7"
[[category]]
name = "leak"
title = "漏水"
section = "kyusui"
key = "1"
"""


def account(role: Role, section: str | None = None) -> Account:
    return Account(
        id="sato", name="佐藤 花子", role=role, section=section, issued_by="tanaka",
        issued_at=datetime(2027, 4, 1, tzinfo=UTC),
    )  # fmt: skip


@dataclass
class Office:
    """A house, its cases, and whoever puts callers through from one."""

    house: House
    watch: Watch
    cases: CaseDesk
    putting: Putting
    desk: Desk

    async def case(self, number: str) -> Case:
        """The one that the caller left."""
        found = [one for one in await self._all() if _is(one, number)]
        return (await self.cases.book.get(found[0].case)).case

    async def comes(self, number: str) -> Arrival:
        """What the 所管課 is shown, as soon as there is something."""
        async with asyncio.timeout(10):
            while True:
                found = await self.cases.arriving(account(Role.SECTION, "給水課"), set())
                theirs = [one for one in found if _is(one.kept.case.reach, number)]
                if theirs:
                    return theirs[0]
                await asyncio.sleep(0.05)

    async def left(self, number: str, *wanted: tuple[TicketKind, TicketEnd | None]) -> Case:
        """The case, once its tickets are these and stay so."""

        async def found() -> list[tuple[TicketKind, TicketEnd | None]]:
            return sorted((one.kind, one.outcome) for one in await self._all() if _is(one, number))

        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(20):
                while await found() != sorted(wanted):  # noqa: ASYNC110  # other processes make them
                    await asyncio.sleep(0.2)
        await self.house.lab.idle()
        assert await found() == sorted(wanted)
        return await self.case(number)

    async def _all(self) -> list[TicketLine]:
        return await self.cases.book.tickets(TicketsWanted(open=False), CENTRE, limit=99)


def _is(one: object, number: str) -> bool:
    contact = getattr(one, "contact", None)
    return isinstance(contact, Contact) and contact.dialled == number


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def office(house_with_service: House) -> AsyncIterator[Office]:
    house, settings = house_with_service, house_with_service.lab.settings
    (settings.paths.policies / "sections.toml").write_text(SECTIONS)
    _render(house)
    desk, policies = await build_desk(settings, wall_clock, "test"), Policies(settings.paths.policies)
    hours = HoursBook(settings.paths.policies, settings.paths.hours)
    async with closing(desk), house.manager() as manager:
        cases = CaseDesk(
            book_at(desk, settings), lambda: policies.sections, settings.site.pbx, teller(desk), wall_clock
        )  # fmt: skip
        yield Office(house, Watch.on(house, manager), cases, Putting(cases, desk.ask, hours.now, wall_clock), desk)


def _render(house: House) -> None:
    """Whoever calls 代表 may press what it is about; nobody rings for long."""
    pbx, decided = house.lab.pbx, house.lab.decided()
    numbers = tuple(one.model_copy(update={"choose": one.digits == DAIHYO}) for one in decided.plan.number)
    made: Decided = replace(
        decided,
        plan=decided.plan.model_copy(update={"number": numbers}),
        routing=decided.routing.model_copy(update={"passing": Passing(ring_seconds=6, back_seconds=6)}),
    )
    path = pbx.etc / "extensions.conf"
    path.write_text(texts(made, pbx.site, str(pbx.etc))["extensions.conf"])
    pbx.rx("dialplan reload")


def number_of(voice: Voice) -> str:
    return str(getattr(voice.phone.role, "number", ""))


async def goes(agent: Voice, dialled: str) -> None:
    """The operator transfers, and is out of it."""
    await agent.phone.press("transfer", to(dialled))
    await agent.phone.reached("transferred", 5)
    if agent.phone.running:
        await agent.phone.press("hang up")
    await agent.phone.finished(10)


async def comes_back(office: Office, agent: Voice, before: int) -> None:
    """Nobody took the caller. Until then the PBX tells the telephone that transferred: one of two at one port."""
    await office.watch.heard("UserEvent", before + 1, Said="back/")
    await agent.phone.stop()


def backs(office: Office) -> int:
    """How many came back so far."""
    return sum(one.get("Said").startswith("back/") for one in office.watch.manager.said if one.event == "UserEvent")


async def test_who_comes_is_seen_before_the_telephone_rings_and_why(office: Office) -> None:
    house, watch = office.house, office.watch
    async with in_a_call(watch) as (caller, agent):
        await talk(0.5)
        section = voiced(house, house.rings("3101", PICKS_UP))
        async with section.phone:
            await goes(agent, "*83101*2")
            arrival = await office.comes(number_of(caller))
            assert not section.phone.count("ringing")
            assert (arrival.phone, arrival.why) == ("2201", Why.URGENT)
            await section.phone.reached("talking", 15)
            shown = await watch.heard("NewConnectedLine", Channel="PJSIP/3101-", ConnectedLineName="No.")
            assert shown.get("ConnectedLineName") == f"No.{arrival.kept.number}"
            await talk(1)
            await section.phone.press("hang up")
            await watch.over(section.phone, caller.phone)
    case = await office.left(number_of(caller), OVER)
    (over,) = [act for act in case.history if isinstance(act, HandOver)]
    assert (case.state, case.owner, over.why) == (State.HANDED_OVER, "kyusui", Why.URGENT)
    assert anywhere(house, [section], watch.new()) == set()


async def test_who_stands_in_for_a_section_that_is_closed_takes_the_call(office: Office) -> None:
    house, watch = office.house, office.watch
    async with in_a_call(watch) as (caller, agent):
        section = voiced(house, house.rings("3101", PICKS_UP))
        async with section.phone:
            await goes(agent, "*87")
            await section.phone.reached("talking", 15)
            await section.phone.press("hang up")
            await watch.over(section.phone, caller.phone)
    case = await office.left(number_of(caller), OVER)
    (came,) = [act for act in case.history if isinstance(act, Transferred)]
    assert (came.section, came.to, came.why, case.owner) == ("kyusui", "3101", None, "kyusui")


@pytest.mark.rule("B-02")
@pytest.mark.parametrize(("dialled", "refuse"), [("*83101*1", 486), ("*83001*1", None)], ids=["busy", "closed"])
async def test_who_is_not_taken_has_the_operator_again_recorded(
    office: Office, dialled: str, refuse: int | None
) -> None:
    house, before = office.house, set(office.house.recordings())
    async with in_a_call(office.watch) as (caller, agent), contextlib.AsyncExitStack() as stack:
        await talk(0.5)
        if refuse is not None:
            await stack.enter_async_context(house.rings("3101", Answer(talk=None, refuse=refuse)))
        before_that = backs(office)
        await goes(agent, dialled)
        await comes_back(office, agent, before_that)
        again = voiced(house, house.rings("2201", PICKS_UP))
        async with again.phone:
            await again.phone.reached("talking", 25)
            await talk(1)
            await again.phone.press("hang up")
            await office.watch.over(again.phone, caller.phone)
    case = await office.left(number_of(caller), FAILED)
    assert (case.state, case.owner) == (State.OPEN, CONTRACTOR)
    (recording,) = set(house.recordings()) - before
    kept = house.open(recording)
    assert len(kept.parts) == 2
    _left, (right,) = holds(kept, kept.parts[-1], [caller], [again])
    assert right.call == again.call


@pytest.mark.rule("C-06")
async def test_whom_nobody_takes_and_who_gives_up_is_called_back(office: Office) -> None:
    house = office.house
    async with in_a_call(office.watch) as (caller, agent), house.rings("3101", Answer(talk=None)) as section:
        before = backs(office)
        await goes(agent, "*83101*1")
        await section.reached("ringing", 15)
        await comes_back(office, agent, before)
        back = house.rings("2201", Answer(talk=None))
        async with back:
            await back.reached("ringing", 25)
            await caller.phone.press("hang up")
            await office.watch.over(caller.phone, back)
    case = await office.left(number_of(caller), FAILED, CALLBACK)
    assert [one.unit for one in case.tickets] == ["kyusui", CONTRACTOR]


async def test_what_a_caller_presses_leads_to_the_section_and_any_other_key_to_the_centre(office: Office) -> None:
    house = office.house
    async with calling(house, DAIHYO) as caller, house.rings("3101", PICKS_UP) as section:
        number = str(getattr(caller.phone.role, "number", ""))
        await caller.asked("choose", "1")
        arrival = await office.comes(number)
        await section.reached("talking", 15)
        await section.press("hang up")
        await office.watch.over(section)
    assert (arrival.kept.case.category, arrival.why, arrival.phone) == ("leak", Why.WISH, "")
    await office.left(number, OVER)
    async with calling(house, DAIHYO) as caller, house.rings("2001", PICKS_UP) as centre:
        await caller.asked("choose", "5")
        await centre.reached("talking", 25)
        await centre.press("hang up")
        await office.watch.over(centre)


async def test_from_the_case_the_caller_goes_with_the_words_for_it(office: Office) -> None:
    house = office.house
    async with in_a_call(office.watch) as (caller, agent):
        (live,) = [one for one in (await office.desk.ask({"ask": "calls"}))["calls"] if "2201" in one["phones"]]
        now = wall_clock()
        kept = await office.cases.book.enter([Register(
            at=now, by="gyosha", unit=CONTRACTOR, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=now,
            inquiry="断水", category="leak", conversation=live["conversation"],
        )])  # fmt: skip
        section = voiced(house, house.rings("3101", PICKS_UP))
        async with section.phone:
            put = await office.putting.put(
                account(Role.CONTRACTOR), str(kept.number), None, Why.OTHER, words="担当者との約束"
            )  # fmt: skip
            assert (put.to.section, put.to.phone) == ("kyusui", "3101")
            await section.phone.reached("talking", 15)
            await section.phone.press("hang up")
            await office.watch.over(section.phone, caller.phone, agent.phone)
    async with asyncio.timeout(20):
        while (case := (await office.cases.book.get(kept.number)).case).state is not State.HANDED_OVER:  # noqa: ASYNC110
            await asyncio.sleep(0.2)
    (over,) = [act for act in case.history if isinstance(act, HandOver)]
    assert (over.why, over.words) == (Why.OTHER, "担当者との約束")
    assert [one.kind for one in case.tickets] == [TicketKind.TRANSFER]


async def test_nobody_waits_for_a_desk_or_a_gate_that_is_gone(office: Office) -> None:
    house = office.house
    async with in_a_call(office.watch) as (caller, agent):
        section = voiced(house, house.rings("3101", PICKS_UP))
        async with section.phone:
            await house.killed("desk")
            await house.killed("gate")
            await goes(agent, "*83101*1")
            await section.phone.reached("talking", 15)
            await house.killed("recorder")
            await section.phone.press("hang up")
            await office.watch.over(section.phone, caller.phone)
    case = await office.left(number_of(caller), OVER)
    assert case.owner == "kyusui"
