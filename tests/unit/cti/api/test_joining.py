"""Duplicates over the API: who joins which, what both say afterwards, and what others of a customer one is told of."""

from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from tests.unit.cti.api.conftest import Api
from tests.unit.cti.api.test_cases import OVER, REACHED, done, entered
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
    one, into = await owed(api), await shown(api, (await entered(api, **REACHED))["number"])
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
