"""An unjust demand holds the recordings of its conversation: at once, once, and as soon as the vault can be written."""

import asyncio
import shutil
from typing import Any

import pytest
from sqlalchemy import update

from cti import store
from cti.cases.desk import CaseDesk
from cti.cases.lists import Kept
from cti.cases.tables import acts
from cti.demands import Demands, Held
from cti.holding import Holding
from policies.load import shipped
from policies.rights import Role
from recorder.access.people import Account
from retention.holds import Ground
from tests.unit.cti.office import Office, cases_of, holding_of, open_office
from tests.unit.recorder.rig import START, uuid

ONE, TALK, OTHER = uuid("one"), uuid("one conversation"), uuid("two conversation")
WHO = Account(id="gyosha", name="業者", role=Role.CONTRACTOR, section=None, issued_by="tanaka", issued_at=START)
MANAGER = Account(id="tanaka", name="田中", role=Role.MANAGER, section=None, issued_by="init", issued_at=START)
SAID = {"kind": "unjust-demand", "text": "土下座しろ"}


@pytest.fixture
def cases(office: Office) -> CaseDesk:
    return cases_of(office.desk, shipped())


@pytest.fixture
def holding(office: Office) -> Holding:
    return holding_of(office.desk, shipped())


async def entered(cases: CaseDesk, conversation: str | None = TALK) -> int:
    stated = {"channel": "phone", "inquiry": "検針票の金額", "conversation": conversation}
    return (await cases.enter(WHO, stated)).number


async def done(cases: CaseDesk, number: int, *stated: dict[str, Any], by: Account = WHO) -> Kept:
    return await cases.act(by, str(number), stated, None)


@pytest.mark.rule("B-14", "B-18")
async def test_the_recordings_of_a_demand_are_held_at_once(office: Office, cases: CaseDesk, holding: Holding) -> None:
    number = await entered(cases)
    kept = await done(cases, number, SAID)
    (shown,) = (await holding.all())[0]
    hold = shown.hold
    assert (hold.conversation, hold.by, hold.ground, hold.reason, shown.recordings) == (
        TALK, "gyosha", Ground.UNJUST_DEMAND, f"案件 {number}", (ONE,),
    )  # fmt: skip
    assert (await holding.course(ONE)).course.erased_at is None
    assert office.entries("recording.held") == [{"conversation": TALK, "ground": "unjust-demand"}]
    assert await Demands(cases.book, holding).state(kept) is Held.HELD


@pytest.mark.rule("B-14")
async def test_a_demand_holds_once_whatever_is_done_with_the_case(
    office: Office, cases: CaseDesk, holding: Holding
) -> None:
    number = await entered(cases)
    await done(cases, number, SAID)
    await done(cases, number, {"kind": "reported", "to": "水道局長"}, by=MANAGER)
    for _ in range(2):
        await asyncio.gather(*(Demands(cases.book, holding_of(office.desk, shipped())).look() for _ in range(3)))
    assert len((await holding.holds()).all) == len(office.entries("recording.held")) == 1
    await done(cases, number, SAID, SAID | {"conversation": OTHER})  # each is a demand of its own
    assert [hold.conversation for hold in (await holding.holds()).all].count(TALK) == 2
    assert len((await holding.holds()).of(OTHER)) == 1


@pytest.mark.rule("B-14", "B-18")
async def test_what_was_released_is_not_held_again(office: Office, cases: CaseDesk, holding: Holding) -> None:
    kept = await done(cases, await entered(cases), SAID)
    (hold,) = (await holding.holds()).all
    await holding.by("sato").ask(hold.id, "確認した")
    await holding.by("mori").release(hold.id)
    demands = Demands(cases.book, holding)
    await demands.look()
    await done(cases, kept.number, {"kind": "note", "text": "確認"})
    assert len((await holding.holds()).all) == 1
    assert await demands.state(kept) is Held.RELEASED
    assert (await holding.course(ONE)).course.erased_at is not None


@pytest.mark.rule("B-14")
async def test_a_call_that_is_known_later_is_held_then(cases: CaseDesk, holding: Holding) -> None:
    number = await entered(cases, None)
    demands = Demands(cases.book, holding)
    assert await demands.state(await done(cases, number, SAID)) is None
    await demands.look()
    assert (await holding.holds()).all == ()
    await done(cases, number, {"kind": "amend", "conversation": TALK})
    assert [hold.conversation for hold in (await holding.holds()).all] == [TALK]
    await done(cases, number, {"kind": "amend", "conversation": OTHER})
    assert {hold.conversation for hold in (await holding.holds()).all} == {TALK, OTHER}


@pytest.mark.rule("B-14")
async def test_the_act_stands_where_the_vault_cannot_be_written_and_is_held_later(
    office: Office, cases: CaseDesk, holding: Holding
) -> None:
    shutil.rmtree(office.vault.root / "held")
    number = await entered(cases)
    kept = await done(cases, number, SAID)
    assert kept.case.tickets[-1].kind == "report"
    demands = Demands(cases.book, holding)
    assert await demands.state(kept) is Held.NOT_YET
    await demands.look()
    (office.vault.root / "held").mkdir()
    assert await demands.state(kept) is Held.NOT_YET
    await demands.look()
    assert await demands.state(kept) is Held.HELD
    assert len(office.entries("recording.held")) == 1


@pytest.mark.rule("B-14")
async def test_a_desk_that_died_in_between_holds_it_when_it_starts(office: Office, cases: CaseDesk) -> None:
    number = await entered(cases)
    cases._done = None  # dies
    await done(cases, number, SAID)
    await done(cases, number, {"kind": "reported", "to": "水道局長"}, by=MANAGER)  # told of meanwhile
    damaged = await entered(cases)
    await done(cases, damaged, SAID)
    async with office.desk.catalogue.engine.begin() as connection:
        await connection.execute(update(acts).where(acts.c.case == damaged).values(sealed=b"x"))
    again = (await open_office(office.root)).desk
    await store.migrate(again.catalogue.engine)
    holding = holding_of(again, shipped())
    await Demands(cases_of(again, shipped()).book, holding).look()
    assert [hold.reason for hold in (await holding.holds()).all] == [f"案件 {number}"]  # the other hides it not
    await again.close()


async def test_a_look_reads_again_only_what_has_changed(
    cases: CaseDesk, holding: Holding, monkeypatch: pytest.MonkeyPatch
) -> None:
    number = await entered(cases)
    await done(cases, number, SAID)
    await entered(cases)  # no demand
    demands, read = Demands(cases.book, holding), list[int]()
    get = cases.book.get

    async def counted(which: int) -> Kept:
        read.append(which)
        return await get(which)

    monkeypatch.setattr(cases.book, "get", counted)
    await demands.look()
    await demands.look()
    assert read == [number]
    read.clear()
    await done(cases, number, {"kind": "note", "text": "確認"})
    read.clear()
    await demands.look()
    assert read == [number]
