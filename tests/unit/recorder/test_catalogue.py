"""The catalogue's list: whole recordings, whatever they were looked for by."""

from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from cti import store
from recorder.catalogue import Catalogue
from tests import databases
from tests.unit.recorder.rig import START, uuid


def segment(recording: str, number: int, **changes: Any) -> dict[str, Any]:
    start = (START + timedelta(minutes=number)).replace(tzinfo=None)
    values = {
        "name": f"{uuid(recording)}.{number:03d}",
        "recording": uuid(recording),
        "segment": number,
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
        "slot": number,
        "epoch": 1,
        "manifest_sha256": "0" * 64,
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
        assert await catalogue.recordings(agent=agent) == [everything]
    assert await catalogue.recordings(agent="24") == []
    assert await catalogue.recordings(agent="23", caller="110") == []
    assert len(await catalogue.recordings(agent=None)) == 2
