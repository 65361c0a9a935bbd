"""Asterisk's own records against the vault: what agrees, what was lost, and a statement that others can verify."""

import asyncio
import re
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from cti.app.clock import wall_clock
from cti.demo.scenarios import Hold
from policies.calendar import JST
from tests.real import House

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.rule("B-04")
async def test_each_conversation_of_each_shape_has_its_recording(house_with_service: House) -> None:
    house = house_with_service
    async with house.call_in(4.0, holds=(Hold(at=1.0, seconds=2.0),)) as live:
        await live.talking()
    async with house.call_out(3.0), house.call_inside(3.0, "2101", "2201"):
        pass
    async with house.call_in(2.0, "0664587000", phone="3001"):
        pass
    await house.lab.idle()
    found = house.completeness()
    assert found["exceptions"] == []
    assert found["conversations"] == 3, "in, out, internal; not the one that is not designated"
    assert found["recorded"] == found["conversations"]
    assert abs(found["seconds"] - found["kept_seconds"]) < 1.0 * found["conversations"]


def runs_since(house: House, days: int) -> None:
    """As if Asterisk had been running for so long: a row of then stands before all others."""
    cel = Path(house.lab.pbx.site.log_dir) / "cel.csv"
    first, *rest = cel.read_text().splitlines(keepends=True)
    then = f"{(wall_clock() - timedelta(days=days)).timestamp():.6f}"
    old = re.sub(r'^"[A-Z_]+","[0-9.]+"', f'"APP_START","{then}"', first)
    cel.write_text("".join((old, first, *rest)))


def forge(path: Path) -> None:
    path.write_text(path.read_text().replace('"conversations": 0', '"conversations": 1'))


@pytest.mark.rule("B-04")
async def test_a_recording_that_is_gone_and_one_of_nobody_are_named(house_with_service: House) -> None:
    house = house_with_service
    async with house.call_in(3.0) as live:
        await live.talking()
    await house.lab.idle()
    assert house.completeness()["exceptions"] == []
    kept = house.of(live.call)
    (manifest,) = house.vault.manifests_of(kept.recording)
    aside = manifest.rename(house.lab.home / manifest.name)
    (one,) = house.completeness()["exceptions"]
    assert (one["lack"], one["phones"], one["recording"]) == ("missing", ["2001"], None)
    assert one["seconds"] == pytest.approx(live.call.seconds + 1, abs=1.5)
    aside.rename(manifest)
    assert house.completeness()["exceptions"] == []
    # And the other way round: Asterisk's records are gone, the recording is not.
    cel = Path(house.lab.pbx.site.log_dir) / "cel.csv"
    whole = cel.read_bytes()
    linked = kept.parts[0].manifest.linkedid.encode()
    cel.write_bytes(b"".join(line for line in whole.splitlines(keepends=True) if linked not in line))
    (one, other) = house.completeness()["exceptions"]
    cel.write_bytes(whole)
    assert {one["lack"], other["lack"]} == {"extra", "unwitnessed"}, "CDR still knows it"


async def test_a_statement_is_verified_with_the_public_key_alone(house_with_service: House) -> None:
    house = house_with_service
    async with house.call_in(1.0) as live:
        await live.talking()
    await house.lab.idle()
    today = wall_clock().astimezone(JST).date()
    refused = house.lab.kikitori("completeness", "check", "--day", "2026-01-01", check=False)
    assert refused == "", "Asterisk's records do not reach back to that day"
    await asyncio.to_thread(runs_since, house, days=3)
    yesterday = (today - timedelta(days=1)).isoformat()
    refused = house.lab.kikitori("completeness", "statement", "--day", today.isoformat(), check=False)
    assert refused == "", "a day that is not over"
    copy = house.lab.folder / "statement.note"
    (stated,) = house.lab.rows("completeness", "statement", "--day", yesterday, "-o", str(copy))
    assert (stated["day"], stated["conversations"], stated["complete"]) == (yesterday, 0, True)
    (again,) = house.lab.rows("completeness", "statement", "--day", yesterday)
    assert again["file"] == stated["file"], "what says the same is not said twice"
    (logged,) = [row for row in house.lab.rows("audit", "list") if row["action"] == "completeness.statement"]
    assert logged["object"] == yesterday
    key = house.lab.folder / "log.pub"
    key.write_bytes((house.lab.settings.paths.keys / "log.pub").read_bytes())
    verify = ("completeness", "statement", "--verify", str(copy), "--key", str(key))
    assert house.lab.rows(*verify)[0]["issued"] == stated["issued"]
    forge(copy)
    assert house.lab.kikitori(*verify, check=False) == ""
    assert datetime.fromisoformat(stated["issued"]).utcoffset() == timedelta(hours=9)
