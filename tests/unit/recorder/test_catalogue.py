"""The catalogue's list: whole recordings, whatever they were looked for by."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cti import store
from recorder.catalogue import Catalogue
from recorder.wanted import Wanted
from tests import databases
from tests.unit.recorder.rig import START, uuid


def segment(recording: str, place: int, **changes: Any) -> dict[str, Any]:
    start = (START + timedelta(minutes=place)).replace(tzinfo=None)
    values = {
        "name": f"{uuid(recording)}.{place:03d}",
        "recording": uuid(recording),
        "segment": place,
        "conversation": uuid(f"{recording} conversation"),
        "number": "0664581132",
        "direction": "in",
        "caller": "0312345678",
        "callee": "0664581132",
        "agent": None,
        "start": start,
        "end": start + timedelta(minutes=1),
        "seconds": 60.0,
        "state": "sealed",
        "slot": place,
        "epoch": 1,
        "manifest_sha256": "0" * 64,
        "loudness": None,
    }
    return values | changes


@pytest.fixture
async def catalogue(tmp_path: Path) -> AsyncIterator[Catalogue]:
    engine = store.engine(databases.url(tmp_path))
    await store.migrate(engine)
    yield Catalogue(engine, "pbx1")
    await engine.dispose()


async def test_a_recording_found_by_one_segment_s_agent_is_listed_whole(catalogue: Catalogue) -> None:
    await catalogue.put([segment("moved", 1), segment("moved", 2, agent="21"), segment("moved", 3, agent="22")])
    await catalogue.put([segment("other", 1, agent="23")])
    (everything,) = [row for row in await catalogue.recordings() if row["recording"] == uuid("moved")]
    assert (everything["segments"], everything["seconds"]) == (3, 180)
    assert everything["end"] - everything["start"] == timedelta(minutes=3)
    for agent in ("21", "22"):
        assert await catalogue.recordings(Wanted(agent=agent)) == [everything]
    assert await catalogue.recordings(Wanted(agent="24")) == []
    assert await catalogue.recordings(Wanted(agent="23", caller="110")) == []
    assert len(await catalogue.recordings(Wanted(agent=None))) == 2


async def test_how_loud_a_recording_is_comes_of_its_segments(catalogue: Catalogue) -> None:
    loud = {"left": "f" * 24, "right": "0" * 24, "speech": [0.8, 0.0]}
    low = {"left": "5" * 24, "right": "a" * 24, "speech": [0.2, 0.4]}
    await catalogue.put([segment("moved", 1, loudness=loud), segment("moved", 2, loudness=low), segment("moved", 3)])
    await catalogue.put([segment("other", 1)])
    found = {row["recording"]: row["loudness"] for row in await catalogue.recordings()}
    assert found == {
        uuid("moved"): {
            "left": "f" * 8 + "5" * 8 + "0" * 8,
            "right": "0" * 8 + "a" * 8 + "0" * 8,
            "speech": [0.5, 0.2],
        },
        uuid("other"): None,
    }
    assert (await catalogue.segments())[segment("moved", 1)["name"]]["loudness"] == loud


async def test_pages_give_each_once_newest_first_whatever_comes_in_between(catalogue: Catalogue) -> None:
    # Two begin in the same second; a later one comes between two pages.
    names = ["a", "b", "c", "d", "e"]
    for minute, name in enumerate(names):
        await catalogue.put([segment(name, 1, start=(START + timedelta(minutes=minute // 2)).replace(tzinfo=None))])
    whole = [row["recording"] for row in await catalogue.recordings()]
    assert sorted(whole) == sorted(uuid(name) for name in names)
    seen: list[str] = []
    after = None
    while page := await catalogue.recordings(limit=2, after=after):
        assert len(page) <= 2
        seen += [row["recording"] for row in page]
        after = (page[-1]["start"], page[-1]["recording"])
        later = (START + timedelta(hours=len(seen))).replace(tzinfo=None)
        await catalogue.put([segment(f"came {len(seen)}", 1, start=later)])
    assert seen == whole


async def test_what_is_known_again_is_summed_up_again(catalogue: Catalogue) -> None:
    await catalogue.put([segment("one", 1)])
    await catalogue.put([segment("one", 2), segment("one", 1, seconds=30.0)])
    (found,) = await catalogue.recordings()
    assert (found["segments"], found["seconds"]) == (2, 90)
    await catalogue.clear()
    assert await catalogue.recordings() == []


@pytest.mark.parametrize(
    ("wanted", "minutes"),
    [
        (Wanted(since=START + timedelta(minutes=2)), {2, 3}),
        (Wanted(until=START + timedelta(minutes=2)), {1}),
        (Wanted(since=START + timedelta(minutes=1), until=START + timedelta(minutes=3)), {1, 2}),
        (Wanted(shortest=120), {2, 3}),
        (Wanted(longest=120), {1, 2}),
        (Wanted(direction="out"), {3}),
        (Wanted(number="0664587160", shortest=60), {1}),
        (Wanted(callee="0664581132", caller="0312345678", direction="in"), {1, 2}),
    ],
)
async def test_a_search_by_time_length_way_and_number(catalogue: Catalogue, wanted: Wanted, minutes: set[int]) -> None:
    for minute in (1, 2, 3):
        own = {"number": "0664587160"} if minute == 1 else {"direction": "out"} if minute == 3 else {}
        await catalogue.put([segment(f"at {minute}", minute, seconds=minute * 60.0, **own)])
    found = {row["recording"] for row in await catalogue.recordings(wanted)}
    assert found == {uuid(f"at {minute}") for minute in minutes}


def test_what_was_asked_for_is_told_without_whom() -> None:
    assert Wanted(caller="0312345678", since=START).by == ["caller", "since"]
