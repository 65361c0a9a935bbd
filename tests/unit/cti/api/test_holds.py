"""Holds over the API: who sets, asks, agrees and refuses, what is said of it, and what is done once."""

from typing import Any

import httpx
import pytest

from tests.unit.cti.api.conftest import Api
from tests.unit.recorder.rig import uuid

ONE, TALK = uuid("one"), uuid("one conversation")


async def held(api: Api, by: str = "sato", **more: Any) -> dict[str, Any]:
    answer = await api.ask(by, "POST", f"/v1/recordings/{ONE[:8]}/holds", json={"ground": "unresolved", **more})
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def act(api: Api, by: str, hold: str, what: str, **more: Any) -> httpx.Response:
    body = {"json": {"reason": "和解した"}} if what == "ask" else {}
    return await api.ask(by, "POST", f"/v1/holds/{hold}/{what}", **body, **more)


@pytest.mark.rule("B-18")
async def test_one_holds_and_asks_and_another_agrees(api: Api) -> None:
    hold = await held(api, reason="苦情が続く")
    assert {name: hold[name] for name in ("conversation", "recordings", "by", "ground", "reason", "state")} == {
        "conversation": TALK, "recordings": [ONE], "by": "sato", "ground": "unresolved", "reason": "苦情が続く",
        "state": "held",
    }  # fmt: skip
    early = await act(api, "mori", hold["id"], "release")
    assert (early.status_code, early.json()["code"]) == (409, "hold")
    asked = (await act(api, "mori", hold["id"][:8], "ask")).json()
    assert (asked["state"], asked["questions"][0]["by"], asked["questions"][0]["reason"]) == (
        "asked",
        "mori",
        "和解した",
    )
    alone = await act(api, "mori", hold["id"], "release", headers={"Accept-Language": "ja"})
    assert (alone.status_code, "2人" in alone.json()["detail"]) == (409, True)
    assert (await act(api, "kato", hold["id"], "release")).status_code == 403
    over = (await act(api, "tanaka", hold["id"], "release")).json()
    assert (over["state"], over["questions"][0]["answered_by"]) == ("released", "tanaka")
    assert (await api.ask("sato", "GET", "/v1/holds")).json() == {"items": [], "unread": []}
    every = (await api.ask("sato", "GET", "/v1/holds", params={"all": True})).json()
    assert every["items"] == [over]
    assert [api.entries(name)[-1]["actor"] for name in ("recording.held", "hold.asked", "hold.released")] == [
        "sato", "mori", "tanaka",
    ]  # fmt: skip


async def test_a_question_is_taken_back_by_whoever_asked_or_refused_by_who_could_agree(api: Api) -> None:
    hold = (await held(api))["id"]
    assert (await act(api, "sato", hold, "keep")).status_code == 409  # nobody has asked
    await act(api, "sato", hold, "ask")
    assert (await act(api, "kato", hold, "keep")).status_code == 403
    assert api.entries("act.denied")[-1] == {"act": "recordings.release", "actor": "kato", "object": hold}
    assert (await act(api, "sato", hold, "keep")).json()["state"] == "held"
    await act(api, "sato", hold, "ask")
    refused = (await act(api, "mori", hold, "keep")).json()
    assert {one["answered_by"] for one in refused["questions"]} == {"sato", "mori"}
    assert (await act(api, "mori", hold, "release")).status_code == 409


async def test_a_reason_that_is_none_is_named(api: Api) -> None:
    for body in ({"ground": "other"}, {"ground": "other", "reason": "a\nb"}):
        wrong = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/holds", json=body)
        assert (wrong.status_code, wrong.json()["errors"][0]["at"]) == (400, "reason")
    for body in ({"ground": "mood"}, {}, {"ground": "unresolved", "reason": "x" * 501}):
        assert (await api.ask("sato", "POST", f"/v1/recordings/{ONE}/holds", json=body)).status_code == 422
    none = await api.ask("sato", "POST", "/v1/recordings/none/holds", json={"ground": "unresolved"})
    assert (none.status_code, none.json()["code"]) == (404, "not-found")
    assert api.entries("recording.held") == []


async def test_a_hold_is_set_once_for_an_idempotency_key(api: Api) -> None:
    first, second = [await _with_key(api) for _ in range(2)]
    assert first == second
    assert len(api.entries("recording.held")) == 1


async def _with_key(api: Api) -> dict[str, Any]:
    answer = await api.ask(
        "sato", "POST", f"/v1/recordings/{ONE}/holds", json={"ground": "unresolved"},
        headers={"Idempotency-Key": "the-same-key"},
    )  # fmt: skip
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.rule("B-18")
async def test_until_when_a_recording_is_kept(api: Api) -> None:
    before = (await api.ask("sato", "GET", f"/v1/recordings/{ONE}/retention")).json()
    assert (before["recording"], before["conversation"], before["holds"]) == (ONE, TALK, [])
    assert before["erased_at"] is not None
    hold = await held(api)
    after = (await api.ask("sato", "GET", f"/v1/recordings/{ONE}/retention")).json()
    assert (after["erased_at"], after["holds"]) == (None, [hold])
    assert "it is held" in after["why"][-1]
    assert {name: before[name] for name in ("primary_until", "secondary_until")} == {
        name: after[name] for name in ("primary_until", "secondary_until")
    }
    await act(api, "sato", hold["id"], "ask")
    await act(api, "mori", hold["id"], "release")
    again = (await api.ask("sato", "GET", f"/v1/recordings/{ONE}/retention")).json()
    assert again["erased_at"] == before["erased_at"]


async def test_a_vault_that_cannot_be_written_is_no_hold(api: Api) -> None:
    (api.office.vault.root / "held").rmdir()
    answer = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/holds", json={"ground": "unresolved"})
    assert answer.status_code == 500
    assert api.entries("recording.held") == []
    assert (await api.ask("sato", "GET", "/v1/holds")).status_code == 500  # and not: there are none
