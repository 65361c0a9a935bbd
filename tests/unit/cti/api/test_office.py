"""Accounts, keys and the log over HTTP: what the matrix does not show."""

import asyncio

import pytest
from sqlalchemy import update

from recorder.access import tables
from tests.unit.cti.api.conftest import Api
from tests.unit.recorder.rig import uuid

ONE = uuid("one")


@pytest.mark.rule("B-07", "B-30")
async def test_the_log_by_pages_and_who_has_read_it(api: Api) -> None:
    first = (await api.ask("kansa", "GET", "/v1/log", params={"limit": 5})).json()
    assert [entry["seq"] for entry in first["items"]] == [0, 1, 2, 3, 4]
    assert first["next"] == 5
    second = (await api.ask("kansa", "GET", "/v1/log", params={"from": first["next"], "limit": 1000})).json()
    assert (second["items"][0]["seq"], second["next"]) == (5, None)
    reads = api.entries("log.read")
    assert (reads[0]["actor"], reads[0]["from"], reads[0]["entries"]) == ("kansa", 0, 5)
    assert len(reads) == 2


async def test_the_log_on_one_object_and_of_one_action(api: Api) -> None:
    about = {"object": "sato", "action": "account.issued"}
    found = (await api.ask("kansa", "GET", "/v1/log", params=about)).json()["items"]
    assert [(entry["object"], entry["action"], entry["actor"]) for entry in found] == [
        ("sato", "account.issued", "tanaka")
    ]


async def test_whoever_grants_holds(api: Api) -> None:
    await api.sign_in("tanaka")
    await api.service.guard.accounts.grants.revoke("tanaka", by="tanaka")
    answer = await api.ask("tanaka", "PUT", "/v1/keys/mori")
    assert (answer.status_code, answer.json()["code"]) == (403, "no-key-held")


async def test_a_renewed_account_is_out_at_once_and_holds_nothing(api: Api) -> None:
    made = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert made.status_code == 201
    assert (await api.ask("tanaka", "POST", "/v1/accounts/sato/secret")).status_code == 201
    assert api.entries("play.result")[-1]["outcome"] == "interrupted"
    assert not [one for one in api.service.sessions.all() if one.who.account.id == "sato"]
    assert "sato" not in {row["account"] for row in (await api.ask("tanaka", "GET", "/v1/keys")).json()["holders"]}


@pytest.mark.rule("B-06")
async def test_no_key_for_who_is_no_staff_over_http_either(api: Api) -> None:
    answer = await api.ask("tanaka", "PUT", "/v1/keys/gyosha")
    assert (answer.status_code, answer.json()["code"]) == (409, "account")


@pytest.mark.rule("B-06")
async def test_a_role_that_was_changed_with_the_log_s_leave_ends_the_session(api: Api) -> None:
    """There is no such act today: whatever changes a role, a session of before goes on with none of it."""
    token = await api.sign_in("mori")
    desk = api.office.desk
    (issued,) = desk.logged_of("mori", ["account.issued"])
    (enrolled,) = desk.logged_of("mori", ["account.enrolled"])
    desk.log("account.issued", "mori", {**issued.detail, "role": "staff", "recipient": enrolled.detail["recipient"]})
    async with desk.catalogue.engine.begin() as connection:
        await connection.execute(tables.grants.delete().where(tables.grants.c.account == "mori"))
        await connection.execute(
            update(tables.accounts).where(tables.accounts.c.id == "mori").values(role="staff")
        )  # fmt: skip
    answer = await api.http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401


async def test_looking_goes_on_whatever_goes_wrong(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    looks, looked = [], asyncio.Event()

    async def look() -> None:
        looks.append(1)
        if len(looks) == 1:
            raise OSError("no disk")
        looked.set()

    monkeypatch.setattr("cti.api.service.TICK", 0.01)
    monkeypatch.setattr(api.service, "look", look)
    keeping = asyncio.create_task(api.service.keep())
    async with asyncio.timeout(5):
        await looked.wait()
    keeping.cancel()
