"""Decisions on other hours over HTTP: who decided, who entered, what they change, and that they count."""

import asyncio
import errno
import json
import os
from datetime import datetime
from typing import Any

import pytest

from cti.deciding import Deciding
from cti.hours import MOST, RESERVE, overrides_file
from policies.calendar import JST
from policies.load import Policies
from tests.unit.cti.api.conftest import Api

DAY = "2027-05-06"  # a Thursday, open from 8 to 20
CLOSED = {"kind": "closed", "from": DAY, "to": DAY, "reason": "停電", "by": "水道局長"}


def file(api: Api) -> list[dict[str, Any]]:
    path = overrides_file(api.policies.parent)
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()] if path.exists() else []


def noon_of(api: Api) -> bool:
    """Whether it is open then."""
    policies = Policies(api.policies)
    overrides = policies.overrides(overrides_file(api.policies.parent))
    return policies.opening_hours(overrides).at(datetime(2027, 5, 6, 12, tzinfo=JST), "centre").open


@pytest.mark.rule("A-13", "B-29")
async def test_a_decision_is_shown_entered_and_taken_back(api: Api) -> None:
    shown = await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED | {"dry_run": True})
    changes = [{"date": DAY, "before": "08:00-20:00", "after": "", "class": "平日"}]
    assert (shown.status_code, shown.json()["entered"], shown.json()["changes"]) == (201, False, changes)
    assert file(api) == api.entries("hours.override") == []

    made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED)).json()
    (entry,) = file(api)
    assert made == entry | {"open": None, "close": None, "changes": changes, "entered": True} | {
        "entered_at": made["entered_at"]
    }
    assert (entry["by"], entry["entered_by"]) == ("水道局長", "tanaka")
    (line,) = api.entries("hours.override")
    assert (line["object"], line["actor"], line["by"], line["reason"]) == (entry["id"], "tanaka", "水道局長", "停電")
    assert not noon_of(api)
    (listed,) = (await api.ask("kyusui", "GET", "/v1/hours/overrides")).json()["items"]
    assert (listed["id"], listed["state"], listed["entered_by"]) == (entry["id"], "to come", "tanaka")

    back = {"by": "水道局長", "reason": "復旧"}
    taken = await api.ask("tanaka", "POST", f"/v1/hours/overrides/{entry['id']}/revocation", json=back)
    assert (taken.status_code, taken.json()["revoke"], taken.json()["entered_by"]) == (201, entry["id"], "tanaka")
    assert (api.entries("hours.revoke")[0]["actor"], noon_of(api)) == ("tanaka", True)
    again = await api.ask("tanaka", "POST", f"/v1/hours/overrides/{entry['id']}/revocation", json=back)
    assert (again.status_code, again.json()["code"]) == (400, "usage")
    assert len(file(api)) == 2


@pytest.mark.rule("A-13")
async def test_the_manager_enters_and_does_not_decide(api: Api) -> None:
    for by in ("課長", "tanaka", "水道局長代理"):
        refused = await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED | {"by": by})
        assert (refused.status_code, refused.json()["code"]) == (403, "not-entitled")
    assert file(api) == api.entries("hours.override") == []


async def test_without_times_it_counts_from_now_to_the_end_of_the_day(api: Api) -> None:
    now = api.office.desk.now().astimezone(JST)  # 2026-04-01 11:00
    for end, until in ((None, "2026-04-02T00:00:00+09:00"), ("15:30", "2026-04-01T15:30:00+09:00")):
        stated = {"kind": "closed", "to": end, "reason": "停電", "by": "水道局長"}
        made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=stated)).json()
        assert (made["from"], made["to"]) == (now.isoformat(), until)


@pytest.mark.rule("A-13")
async def test_who_decided_is_kept_as_it_is_read(api: Api) -> None:
    made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED | {"by": "\u2f54道局長\u3000"})).json()
    assert (made["by"], file(api)[0]["by"]) == ("水道局長", "水道局長")
    back = {"by": "水道局長\u3000", "reason": "復旧"}
    taken = await api.ask("tanaka", "POST", f"/v1/hours/overrides/{made['id']}/revocation", json=back)
    assert taken.json()["by"] == "水道局長"


async def test_the_beginning_of_an_id_is_none(api: Api) -> None:
    made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED)).json()
    back = {"by": "水道局長", "reason": "復旧"}
    refused = await api.ask("tanaka", "POST", f"/v1/hours/overrides/{made['id'][:12]}/revocation", json=back)
    assert (refused.status_code, len(file(api))) == (404, 1)


async def test_a_beginning_of_before_counts_from_now_on_and_is_shown_so(api: Api) -> None:
    long = CLOSED | {"from": "2025-05-01", "to": "2026-04-03", "dry_run": True}
    made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=long)).json()
    assert [row["date"] for row in made["changes"]] == ["2026-04-01", "2026-04-02", "2026-04-03"]


async def test_the_newest_stands_first(api: Api) -> None:
    made = [await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED) for _ in range(3)]
    ids = [one.json()["id"] for one in made]
    path = overrides_file(api.policies.parent)
    lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
    for number, line in enumerate(lines):
        line["entered_at"] = f"2026-04-0{number + 1}T09:00:00+09:00"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    found = (await api.ask("tanaka", "GET", "/v1/hours/overrides")).json()["items"]
    assert [row["id"] for row in found] == ids[::-1]


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"to": "2027-05-05"}, "to"), ({"to": "soon"}, "to"), ({"from": "x" * 41}, "from"),
        ({"kind": "holiday"}, "kind"),
        ({"open": "9:00"}, "open"), ({"kind": "hours"}, "open"), ({"from": "2020-01-01", "to": "2020-01-02"}, "to"),
        ({"entered_by": "sato"}, "entered_by"), ({"reason": "x" * 1001}, "reason"), ({"by": ""}, "by"),
        ({"reason": ""}, "reason"), ({"reason": " \u3000"}, "reason"), ({"to": "2038-01-01"}, "to"),
        ({"from": "2016-05-06"}, "from"), ({"from": "0001-01-01"}, "from"), ({"to": "9999-12-31"}, "to"),
    ],
)  # fmt: skip
async def test_what_makes_no_decision_is_named(api: Api, wrong: dict[str, str], field: str) -> None:
    refused = await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED | wrong)
    assert refused.status_code in (400, 422)
    assert [one["at"].removeprefix("body.") for one in refused.json()["errors"]] == [field]
    assert file(api) == api.entries("hours.override") == []


async def test_the_same_request_twice_is_one_decision(api: Api) -> None:
    key = {"Idempotency-Key": "0123456789"}
    found = [await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED, headers=key) for _ in range(2)]
    assert found[0].json() == found[1].json()
    assert len(file(api)) == 1


async def test_a_log_that_cannot_be_written_lets_nothing_count(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from cti.errors import LogUnavailableError

    def full(*_given: object, **_more: object) -> None:
        raise LogUnavailableError("full")

    monkeypatch.setattr("cti.desk.Desk.log", full)
    deciding: Deciding = api.service.deciding
    made = deciding.propose(CLOSED, "tanaka", api.office.desk.now())
    with pytest.raises(LogUnavailableError):
        await asyncio.to_thread(deciding.enter, made, api.office.desk.log)
    assert file(api) == []


async def test_a_decision_that_the_disk_refuses_has_a_line_that_says_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_given: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr("cti.deciding.enter", full)
    refused = await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED)
    assert refused.status_code == 500
    (entered,), (failed,) = api.entries("hours.override"), api.entries("hours.failed")
    assert (failed["object"], failed["of"], failed["why"]) == (
        entered["object"], "hours.override", "No space left on device",
    )  # fmt: skip
    assert file(api) == []


async def test_no_more_is_entered_than_the_gate_reads_and_all_of_it_can_be_taken_back(api: Api) -> None:
    path = overrides_file(api.policies.parent)
    made = (await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED)).json()
    line = path.read_bytes()
    old = json.loads(line) | {"reason": "x" * 4000}
    with path.open("ab") as out:
        for number in range((MOST - RESERVE) // 4300):
            out.write((json.dumps(old | {"id": f"{number}"}, ensure_ascii=False) + "\n").encode())
    for _ in range(200):
        answer = await api.ask("tanaka", "POST", "/v1/hours/overrides", json=CLOSED | {"reason": "x" * 1000})
        if answer.status_code != 201:
            break
    assert (answer.status_code, "is full" in answer.text) == (400, True)
    assert path.stat().st_size <= MOST - RESERVE
    assert api.entries("hours.override")[-1]["object"] == json.loads(path.read_bytes().splitlines()[-1])["id"]
    back = {"by": "水道局長", "reason": "復旧"}
    taken = await api.ask("tanaka", "POST", f"/v1/hours/overrides/{made['id']}/revocation", json=back)
    assert taken.status_code == 201
    assert path.stat().st_size <= MOST
