"""What is due by the catalogue is done by the keeper, and the catalogue knows it then (6条1項; B-15 to B-18)."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import update

from cti.holding import Holding
from cti.moving import AGAIN, BATCH, LATE, Moving, late
from policies.calendar import JST
from policies.errors import PolicyError
from policies.load import Policies, shipped
from recorder.catalogue import Catalogue, plain, recordings
from recorder.wanted import Wanted
from retention.holds import Ground
from retention.plan import Deed
from tests.unit.cti.office import BOTH, Office, moving_of, samples
from tests.unit.recorder.rig import uuid

MOVES, ENDS = datetime(2026, 10, 2, tzinfo=JST), datetime(2027, 4, 2, tzinfo=JST)
NAMES = ("one", "two", "three")
POLICY = Policies(shipped()).retention


def at(office: Office, now: datetime) -> Moving:
    office.desk.now = lambda: now
    return moving_of(office.desk, shipped())


async def media(office: Office) -> dict[str, str]:
    rows = await office.desk.catalogue.recordings()
    return {row["recording"]: row["medium"] for row in rows}


def first_bodies(office: Office) -> list[Path]:
    return list((office.vault.root / "segments").glob("*/*.agebody"))


@pytest.mark.rule("B-15", "B-16")
async def test_the_plan_says_what_is_due_and_does_nothing(office: Office) -> None:
    early = await at(office, MOVES - timedelta(microseconds=1)).plan()
    assert {deed: one.count for deed, one in early.sums.items()} == {Deed.MOVE: 0, Deed.ERASE: 0, Deed.STOPPED: 0}
    due = await at(office, MOVES).plan()
    move = due.sums[Deed.MOVE]
    assert (move.count, move.since, round(move.seconds)) == (3, MOVES, 3 + 5 + 12)
    assert (due.at, due.stopped, len(first_bodies(office))) == (MOVES, (), 6)
    assert (await at(office, ENDS).plan()).sums[Deed.ERASE].count == 3


@pytest.mark.rule("B-16")
async def test_what_is_due_is_on_the_second_medium_then_and_sounds_as_before(office: Office) -> None:
    moving = at(office, MOVES)
    run = await moving.run()
    assert (run.planned, run.done, run.moved, run.failed, run.problem) == (3, 3, 3, [], None)
    assert (run.began, run.ended, run.bytes > 0) == (MOVES, MOVES, True)
    assert first_bodies(office) == []
    assert set((await media(office)).values()) == {"second"}
    for name in NAMES:
        assert samples(office.export(name, "wav")) == BOTH[name], name
    assert await office.verify() == []
    assert (await moving.plan()).sums[Deed.MOVE].count == 0
    assert (await moving.run()).planned == 0
    assert [entry["outcome"] for entry in office.entries("move.result")] == ["moved"] * 3


@pytest.mark.rule("B-18")
async def test_what_is_held_at_its_end_is_named(office: Office) -> None:
    holding = Holding(office.desk, lambda: POLICY)
    await holding.by("sato").hold(uuid("two"), Ground.UNRESOLVED)
    moving = at(office, MOVES)
    assert (await moving.run()).moved == 3, "a hold does not keep it on the first medium"
    found = await at(office, ENDS).plan()
    (one,) = found.stopped
    assert (one.recording, one.conversation, one.since) == (uuid("two"), uuid("two conversation"), ENDS)
    assert {deed: part.count for deed, part in found.sums.items()} == {Deed.MOVE: 0, Deed.ERASE: 2, Deed.STOPPED: 1}


@pytest.mark.rule("B-16", "B-18")
async def test_what_is_late_or_stopped_is_counted_for_the_alarm(office: Office) -> None:
    async def counted(now: datetime) -> tuple[int, int]:
        return await late(office.desk, POLICY, now)

    holding = Holding(office.desk, lambda: POLICY)
    await holding.by("sato").hold(uuid("one"), Ground.UNRESOLVED)
    other = (await holding.by("sato").hold(uuid("two"), Ground.UNRESOLVED)).hold
    assert await counted(MOVES + LATE - timedelta(microseconds=1)) == (0, 0)
    assert await counted(MOVES + LATE) == (3, 0)
    assert await counted(ENDS) == (3, 2)
    await holding.by("sato").ask(other.id, "和解した")
    await holding.by("mori").release(other.id)
    assert await counted(ENDS) == (3, 1)
    await at(office, MOVES).run()
    assert await counted(ENDS) == (0, 1)


async def test_a_stray_on_the_second_medium_is_named(office: Office) -> None:
    await at(office, MOVES).run()
    folder = office.root / "mirror/segments/be"
    for name in ("x", f"{uuid('nobody')}.001.agebody", f".{uuid('one')}.001.agebody.new"):
        (folder / name).write_bytes(b"")
    ours = {f"{uuid('one')}.001.agebody", f"{uuid('one')}.001.manifest"}
    named = {Path(finding.what).name for finding in await office.verify()}
    assert named == {path.name for path in folder.iterdir()} - ours


@pytest.mark.rule("B-16")
async def test_a_body_that_was_changed_on_the_second_medium_is_named_where_it_lies(office: Office) -> None:
    await at(office, MOVES).run()
    (body,) = (office.root / "mirror/segments").glob(f"*/{uuid('one')}.001.agebody")
    body.write_bytes(body.read_bytes()[:-1])
    assert str(body) in {finding.what for finding in await office.verify()}


@pytest.mark.rule("B-16")
async def test_a_catalogue_that_is_made_anew_knows_where_each_lies(office: Office) -> None:
    moving = at(office, MOVES)
    (office.vault.root / "segments" / uuid("one")[:2] / f"{uuid('one')}.001.agebody").write_bytes(b"damaged")
    run = await moving.run()
    assert (run.moved, [one.recording for one in run.failed]) == (2, [uuid("one")])
    before = await media(office)
    assert before == {uuid("one"): "first", uuid("two"): "second", uuid("three"): "second"}
    await office.desk.rebuild(lambda _count: None)
    assert await media(office) == before


async def test_what_failed_is_tried_again_tomorrow_or_when_somebody_asks(office: Office) -> None:
    moving = at(office, MOVES)
    body = office.vault.root / "segments" / uuid("one")[:2] / f"{uuid('one')}.001.agebody"
    whole = body.read_bytes()
    body.write_bytes(b"damaged")
    await moving.look()
    assert moving.last is not None
    assert [one.problem.endswith("`kikitori verify` says more") for one in moving.last.failed] == [True]
    tried = len(office.entries("move.result"))
    await moving.look()
    assert len(office.entries("move.result")) == tried, "not each hour"
    assert moving.last.failed, "what is known is still shown"
    office.desk.now = lambda: MOVES + AGAIN
    await moving.look()
    assert len(office.entries("move.result")) == tried + 1
    body.write_bytes(whole)
    assert (await moving.run()).moved == 1


async def test_a_medium_that_is_away_ends_the_run_with_its_reason(office: Office) -> None:
    moving = at(office, MOVES)
    slots = office.root / "mirror/keys.slots"
    slots.rename(office.root / "away")
    run = await moving.run()
    assert (run.moved, run.done, run.failed) == (0, 0, [])
    assert run.problem is not None
    assert "mount it" in run.problem
    assert office.entries("move.intent") == []
    (office.root / "away").rename(slots)
    assert (await moving.run()).moved == 3


async def test_a_keeper_that_does_not_answer_ends_the_run(office: Office) -> None:
    async def silent(_question: Mapping[str, Any], _deadline: float) -> dict[str, Any]:
        raise ConnectionRefusedError(111, "Connection refused")

    office.desk.now = lambda: MOVES
    moving = Moving(office.desk, lambda: POLICY, silent)
    run = await moving.run()
    assert run.problem == "keeper: Connection refused"
    assert (len(first_bodies(office)), set((await media(office)).values())) == (6, {"first"})


async def test_one_run_at_a_time_and_a_few_recordings_at_once(office: Office) -> None:
    asked: list[list[str]] = []
    moving = at(office, MOVES)
    real = moving._keeper  # what it is asked

    async def keeper(question: Mapping[str, Any], deadline: float) -> dict[str, Any]:
        asked.append(list(question["recordings"]))
        assert moving.running
        await moving.look()
        return await real(question, deadline)

    moving._keeper = keeper
    moving.begin()
    moving.begin()
    await asyncio.wait([moving._begun])  # type: ignore[list-item]
    assert (len(asked), len(asked[0])) == (1, 3)
    assert len(asked[0]) <= BATCH
    assert (await office.desk.catalogue.recordings(Wanted(recording=uuid("one"))))[0]["medium"] == "second"


@pytest.mark.rule("B-15")
async def test_what_is_over_altogether_moves_as_long_as_nothing_erases_it(office: Office) -> None:
    moving = at(office, ENDS)
    sums = (await moving.plan()).sums
    assert (sums[Deed.MOVE].count, sums[Deed.ERASE].count) == (3, 3)
    assert (await moving.run()).moved == 3
    assert await late(office.desk, POLICY, ENDS) == (0, 0)
    assert {deed: one.count for deed, one in (await moving.plan()).sums.items()} == {
        Deed.MOVE: 0, Deed.ERASE: 3, Deed.STOPPED: 0,
    }  # fmt: skip


async def test_what_lies_nowhere_is_not_said_to_have_moved(office: Office) -> None:
    moving = at(office, MOVES)
    (office.vault.root / "segments" / uuid("one")[:2] / f"{uuid('one')}.001.agebody").unlink()
    await office.desk.rebuild(lambda _count: None)
    assert (await media(office))[uuid("one")] == "first"
    run = await moving.run()
    assert [one.problem for one in run.failed] == [f"{uuid('one')}.001.agebody lies on neither medium"]


@pytest.mark.rule("B-15")
async def test_a_late_segment_is_not_left_behind(office: Office) -> None:
    await office.desk.catalogue.moved({uuid("two"): 1})
    assert (await media(office))[uuid("two")] == "first", "it has two"
    moving = at(office, MOVES)
    await moving.run()
    row = next(row for name, row in (await office.desk.catalogue.segments()).items() if name.startswith(uuid("two")))
    await office.desk.catalogue.put([{**row, "loudness": None}])
    assert (await media(office))[uuid("two")] == "first", "whatever is new lies there"
    again = await moving.run()
    assert (again.planned, again.moved) == (1, 0)
    assert (await media(office))[uuid("two")] == "second", "the keeper knows better"


@pytest.mark.rule("B-15")
async def test_a_body_on_both_media_is_named_and_taken_from_the_first(office: Office) -> None:
    moving = at(office, MOVES)
    body = office.vault.root / "segments" / uuid("one")[:2] / f"{uuid('one')}.001.agebody"
    data = body.read_bytes()
    await moving.run()
    body.write_bytes(data)  # of a backup
    assert [finding.what for finding in await office.verify()] == [str(body)]
    await office.desk.rebuild(lambda _count: None)
    assert (await moving.run()).moved == 1
    assert await office.verify() == []


async def test_a_run_that_an_error_ends_says_so(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    moving = at(office, MOVES)

    async def refuse(_there: object) -> None:
        raise OSError("the database is away")

    with monkeypatch.context() as patch:
        patch.setattr(office.desk.catalogue, "moved", refuse)
        with pytest.raises(OSError, match="away"):
            await moving.run()
    assert moving.last is not None
    assert (moving.last.problem, moving.last.ended) == ("the database is away", MOVES)
    assert ((await moving.run()).problem, set((await media(office)).values())) == (None, {"second"})


async def test_an_answer_of_another_version_ends_the_run_and_not_the_desk(office: Office) -> None:
    office.desk.now = lambda: MOVES
    for answer in (
        {"outcomes": [{"recording": uuid("one"), "fate": "teleported"}]},
        {"outcomes": [{}]},
        {"error": "x"},
    ):

        async def keeper(_question: object, _deadline: float, answer: dict[str, Any] = answer) -> dict[str, Any]:
            return answer

        moving = Moving(office.desk, lambda: POLICY, keeper)
        await moving.look()
        assert moving.last is not None
        assert moving.last.problem


async def test_a_policy_that_is_broken_is_said_to_whoever_asked(office: Office) -> None:
    def broken() -> Any:
        raise PolicyError("retention.toml:3", "no number", "write one")

    moving = Moving(office.desk, broken, moving_of(office.desk, shipped())._keeper)
    moving.begin()
    await asyncio.wait([moving._begun])  # type: ignore[list-item]
    assert moving.last is not None
    assert "no number" in str(moving.last.problem)


async def test_the_oldest_goes_first_and_another_site_s_is_none_of_ours(office: Office) -> None:
    catalogue, engine = office.desk.catalogue, office.desk.catalogue.engine
    async with engine.begin() as connection:
        for days, name in ((3, "three"), (9, "two"), (5, "one")):
            change = {"end": plain(MOVES - timedelta(days=200 + days))}
            await connection.execute(update(recordings).where(recordings.c.recording == uuid(name)).values(**change))
    moving = at(office, MOVES)
    assert [name async for name in moving._moving(MOVES)] == [uuid(name) for name in ("two", "one", "three")]
    other = Catalogue(engine, "pbx2")
    assert [rows async for rows in other.ended_before(MOVES, MOVES)] == []
    assert (await other.late(MOVES), await catalogue.late(MOVES)) == (0, 3)
