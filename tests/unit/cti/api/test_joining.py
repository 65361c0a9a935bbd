"""Duplicates over the API: who joins which, what both say afterwards, and what others of a customer one is told of."""

import json
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.unit.cti.api.conftest import Api
from tests.unit.cti.api.test_cases import OVER, REACHED, done, entered
from tests.unit.cti.api.test_command_line import Desk, desk  # noqa: F401  # a fixture
from tests.unit.recorder.rig import uuid

pytestmark = [pytest.mark.rule("C-06", "A-03", "A-14"), pytest.mark.usefixtures("noon")]

CALL = str(uuid("call"))


async def join(api: Api, case: int, into: int, by: str = "gyosha", **more: Any) -> httpx.Response:
    return await api.ask(by, "POST", f"/v1/cases/{case}/join", json={"into": str(into)} | more)


async def owed(api: Api, **more: Any) -> dict[str, Any]:
    """給水課 has promised a call."""
    case = await entered(api, **REACHED, main="kyusui", **more)
    promised = (api.office.desk.now() + timedelta(hours=3)).isoformat()
    await done(api, "gyosha", case["number"], OVER | {"promised": promised})
    return await shown(api, case["number"])


async def shown(api: Api, case: int, by: str = "sato") -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(by, "GET", f"/v1/cases/{case}")).json()
    return found


async def test_both_say_what_became_of_them(api: Api) -> None:
    one, into = await owed(api, conversation=CALL), await entered(api, **REACHED)
    answer = await join(api, one["number"], into["number"], "sato")
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["case"]["state"], found["case"]["joined"], found["dry_run"]) == ("closed", into["number"], False)
    assert (found["into"]["duplicates"], found["into"]["next_at"]) == ([one["number"]], one["promised"])
    assert found["into"]["promised"] == one["promised"]
    into = await shown(api, into["number"])
    assert (await shown(api, one["number"]))["joined"] == into["number"]
    assert into["duplicates"] == [one["number"]]
    last = into["history"][-1]
    assert (last["kind"], last["conversation"], last["promises"][0]["due"]) == ("joined", CALL, one["promised"])
    (ticket,) = (await api.ask("sato", "GET", "/v1/tickets")).json()["items"]
    assert (ticket["case"], ticket["unit"]) == (into["number"], "contractor")
    assert datetime.fromisoformat(ticket["due"]) == datetime.fromisoformat(one["promised"])
    changed = [entry["number"] for entry in api.entries("case.changed")][-2:]
    assert sorted(changed) == [one["number"], into["number"]]
    reopened = await done(api, "sato", one["number"], {"kind": "reopen", "reason": "別の方だった"})
    assert (reopened["state"], reopened["joined"]) == ("accepted", None)
    assert [act["kind"] for act in reopened["history"]][-2:] == ["join", "reopen"]


async def test_what_cannot_be_is_refused_and_a_dry_run_changes_nothing(api: Api) -> None:
    numbers = [(await owed(api))["number"], (await entered(api, **REACHED))["number"]]
    one, into = [await shown(api, number) for number in numbers]
    for by, more, status, said in (
        ("sato", {"seen": 1}, 409, "meanwhile"), ("sato", {"seen_into": 1}, 409, "meanwhile"),
        ("gyosha", {}, 409, "(A-23)"), ("kyusui", {}, 404, f"no case '{into['number']}'"),
        ("sato", {"into": str(one["number"])}, 409, "(A-03)"), ("sato", {"into": "x"}, 422, "into"),
        ("sato", {"dry_run": True, "seen": one["acts"]}, 201, '"dry_run":true'),
    ):  # fmt: skip
        answer = await join(api, one["number"], **{"into": into["number"], "by": by} | more)
        assert (answer.status_code, said in answer.text) == (status, True), answer.text
    for case in (one, into):
        assert await shown(api, case["number"]) == case


@pytest.mark.rule("A-44")
async def test_others_of_the_same_number_are_named_to_whoever_may_see_them(api: Api) -> None:
    one, other = await owed(api), await owed(api)
    mine = await entered(api, **REACHED)
    wrong, closed = await entered(api, **REACHED), await entered(api, **REACHED)
    await entered(api, **REACHED | {"contact": "06-6458-0000"})
    assert mine["others"] == [other["number"], one["number"]], "whoever enters it sees it at once"
    await done(api, "gyosha", wrong["number"], {"kind": "reach", "contact": "090-1234-5678"})
    end = [{"kind": "reply", "channel": "phone"}, {"kind": "result", "outcome": "answered", "text": "x"},
           {"kind": "close"}]  # fmt: skip
    await done(api, "gyosha", closed["number"], *end)
    everything = {one["number"], other["number"], mine["number"]}
    for by, seen in (("sato", everything), ("gyosha", everything), ("kyusui", everything - {mine["number"]})):
        assert set((await shown(api, one["number"], by))["others"]) == seen - {one["number"]}
        tickets = (await api.ask(by, "GET", "/v1/tickets")).json()["items"]
        assert [(line["case"], set(line["others"])) for line in tickets] == [
            (case["number"], seen - {case["number"]}) for case in (one, other)
        ]
    assert (await shown(api, wrong["number"]))["others"] == []
    unknown = await entered(api)
    assert unknown["others"] == []


@pytest.mark.thorough
async def test_by_the_command(desk: Desk) -> None:  # noqa: F811  # the fixture
    await desk.login("gyosha")
    who = ("--inquiry", "断水", "--contact", "06-6458-1132", "--json")
    one, into = [str(json.loads((await desk.run("case", "enter", *who)).stdout)["number"]) for _ in range(2)]
    again = await desk.run("case", "enter", "--inquiry", "断水", "--contact", "06-6458-1132")
    assert f"other open cases: {into}, {one}" in again.stderr.decode()
    assert f"Same number: {int(into) + 1}, {into}\n" in (await desk.run("case", "show", one)).stdout.decode()
    dry = await desk.run("case", "join", one, "--into", into, "--dry-run")
    assert "nothing is changed" in dry.stdout.decode(), dry.stderr
    refused = await desk.run("case", "join", one, "--into", into, "--seen", "1")
    assert (refused.returncode, "meanwhile" in refused.stderr.decode()) == (65, True)
    done_ = await desk.run("case", "join", one, "--into", into, "--seen", "2")
    assert done_.stdout.decode() == (f"Case {one} ends as a duplicate.\nCase {into} goes on. being worked on.\n"), (
        done_.stderr
    )
    assert f"Duplicate of: {into}" in (await desk.run("case", "show", one)).stdout.decode()
    shown_ = (await desk.run("case", "show", into, LC_ALL="ja_JP.UTF-8")).stdout.decode()
    assert f"統合された重複: {one}" in shown_
    assert f"重複の統合: 案件 {one}" in shown_
    closed = await desk.run("case", "join", one, "--into", into, "--json")
    assert (closed.returncode, "(A-14)" in closed.stderr.decode()) == (65, True)
