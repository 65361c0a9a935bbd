"""Who comes in, for how long, and what ends it."""

import asyncio
from datetime import timedelta

import httpx
import pytest
from sqlalchemy import update

from cti.api.app import application
from recorder.access import sessions, tables
from tests.unit.cti.api.conftest import PASSWORD, Api
from tests.unit.recorder.rig import uuid

ONE = uuid("one")


async def status(api: Api, token: str) -> int:
    answer = await api.http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})
    return answer.status_code


@pytest.mark.rule("B-06")
async def test_who_signs_in_is_told_what_they_may(api: Api) -> None:
    answer = (await api.ask("gyosha", "GET", "/v1/session")).json()
    assert (answer["account"], answer["role"], answer["acts"]) == (
        "gyosha",
        "contractor",
        ["calls.live", "intake.work", "cases.work", "cases.progress"],
    )
    assert answer["epochs"] == []
    assert 0 < answer["seconds_left"] <= sessions.IDLE
    assert (await api.ask("sato", "GET", "/v1/session")).json()["epochs"] == [1]


@pytest.mark.rule("B-06")
async def test_what_is_wrong_is_not_told(api: Api) -> None:
    """Of an ID that is not there, a wrong password, a wrong code and a used one the same is said."""
    used = api.code("sato")
    assert (
        await api.http.post("/v1/session", json={"account": "sato", "password": PASSWORD, "code": used})
    ).status_code == 201
    tries = [
        {"account": "nobody-here", "password": PASSWORD, "code": "000000"},
        {"account": "sato", "password": PASSWORD + "x", "code": api.code("sato")},
        {"account": "sato", "password": PASSWORD, "code": "000000"},
    ]
    said = []
    for one in tries:
        answer = await api.http.post("/v1/session", json=one)
        assert answer.status_code == 401
        said.append(answer.json())
    again = await api.http.post("/v1/session", json={"account": "mori", "password": PASSWORD, "code": used})
    assert [one == again.json() for one in said] == [True, True, True]
    assert [entry["object"] for entry in api.entries("account.refused")] == ["unknown", "sato", "sato", "mori"]
    assert "nobody-here" not in api.office.log.read_bytes().decode("latin-1")


async def test_who_guesses_waits(api: Api) -> None:
    answers = [
        await api.http.post("/v1/session", json={"account": "sato", "password": f"{place}", "code": "000000"})
        for place in range(12)
    ]
    assert [answer.status_code for answer in answers[:3]] == [401] * 3
    assert {answer.status_code for answer in answers[4:]} == {429}
    assert int(answers[-1].headers["Retry-After"]) >= 1


async def test_of_a_thousand_tries_at_once_a_few_are_looked_at(api: Api) -> None:
    async def guess(number: int) -> int:
        body = {"account": "sato", "password": f"guess {number}", "code": "000000"}
        return (await api.http.post("/v1/session", json=body)).status_code

    statuses = await asyncio.gather(*(guess(number) for number in range(1000)))
    assert set(statuses) == {401, 429}
    assert statuses.count(401) <= 5


@pytest.mark.parametrize("seconds", [sessions.IDLE, sessions.MOST])
async def test_a_session_ends_by_itself(api: Api, seconds: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Idle: by one stretch of nothing. At most: whatever is asked meanwhile."""
    at = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    token = await api.sign_in("sato")
    step = sessions.IDLE - 1 if seconds == sessions.MOST else sessions.IDLE
    asked = 0
    while at[0] < 1000 + seconds - step:
        at[0] += step
        assert await status(api, token) == 200
        asked += 1
    at[0] = 1000 + seconds
    assert await status(api, token) == 401
    assert asked > 30 or seconds == sessions.IDLE


async def test_each_sign_in_has_a_token_of_its_own_and_five_live(api: Api) -> None:
    tokens = [await api.sign_in("sato") for _ in range(7)]
    assert len(set(tokens)) == 7
    assert [await status(api, token) for token in tokens] == [401, 401, 200, 200, 200, 200, 200]


async def test_who_signs_out_is_out(api: Api) -> None:
    token = await api.sign_in("sato")
    await api.ask("sato", "DELETE", "/v1/session")
    assert await status(api, token) == 401
    assert api.entries("account.signed-out")[-1]["why"] == "signed out"


@pytest.mark.rule("B-06", "B-30")
async def test_an_ended_account_s_stolen_session_is_worth_nothing(api: Api) -> None:
    made = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    audio, token = made.json()["audio"], api.tokens["sato"]
    assert (await api.ask("sato", "GET", audio)).status_code == 200
    assert (await api.ask("tanaka", "POST", "/v1/accounts/sato/end", json={"reason": "異動"})).status_code == 204
    assert (await api.http.get(audio, headers={"Authorization": f"Bearer {token}"})).status_code == 401
    assert await status(api, token) == 401
    assert api.entries("play.result")[-1]["outcome"] == "interrupted"


async def test_an_account_ended_by_a_command_elsewhere_ends_the_session_too(api: Api) -> None:
    token = await api.sign_in("sato")
    await api.service.guard.accounts.end("sato", by="tanaka", reason="異動")  # another process: no session is told
    assert await status(api, token) == 401
    assert api.entries("account.signed-out")[-1]["why"] == "account ended or changed"


async def test_an_account_enrolled_anew_ends_what_was_before(api: Api) -> None:
    token = await api.sign_in("sato")
    await api.service.guard.accounts.renew("sato", by="tanaka")
    assert await status(api, token) == 401


@pytest.mark.rule("B-06")
async def test_a_role_written_into_the_database_gives_nothing(api: Api) -> None:
    token = await api.sign_in("gyosha")
    async with api.office.desk.catalogue.engine.begin() as connection:
        await connection.execute(
            update(tables.accounts).where(tables.accounts.c.id == "gyosha").values(role="staff")
        )  # fmt: skip
    answer = await api.http.get("/v1/recordings", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status_code, answer.json()["code"]) == (403, "forged")
    assert api.entries("account.forged")


async def test_of_a_token_only_the_hash_is_kept(api: Api) -> None:
    token = await api.sign_in("sato")
    kept = repr(vars(api.service.sessions)) + repr(api.service.sessions.all())
    assert token not in kept
    assert str(api.service.sessions.all()[0].who.own) not in kept


async def test_where_the_desk_ends_sessions_end_in_the_log(api: Api) -> None:
    made = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"})
    assert made.status_code == 201
    await api.service.close()
    assert api.entries("play.result")[-1]["outcome"] == "interrupted"
    assert api.entries("account.signed-out")[-1]["why"] == "the desk ended"


async def test_where_the_log_cannot_be_written_nobody_comes_in(api: Api) -> None:
    api.office.log.unlink()
    api.office.log.mkdir()
    body = {"account": "sato", "password": PASSWORD, "code": api.code("sato")}
    answer = await api.http.post("/v1/session", json=body)
    assert answer.status_code == 503
    assert not api.service.sessions.all()


async def test_enrolling_over_http(api: Api) -> None:
    made = await api.ask(
        "tanaka", "POST", "/v1/accounts", json={"account": "suzuki", "name": "鈴木 一", "role": "auditor"}
    )  # fmt: skip
    api.seeds["suzuki"] = api.seeds["sato"]
    body = {
        "account": "suzuki", "secret": made.json()["secret"], "password": "short", "totp": api.seeds["suzuki"],
        "code": api.code("suzuki"),
    }  # fmt: skip
    refused = await api.http.post("/v1/enrolment", json=body)
    assert (refused.status_code, refused.json()["code"]) == (422, "password")
    body |= {"password": PASSWORD, "code": api.code("suzuki")}
    assert (await api.http.post("/v1/enrolment", json=body)).status_code == 204
    assert (await api.ask("suzuki", "GET", "/v1/log")).status_code == 200
    api.at += timedelta(days=1)
    assert (await api.http.post("/v1/enrolment", json=body)).status_code == 401  # good once


async def test_another_desk_knows_nothing_of_a_session(api: Api) -> None:
    """Sessions are in the memory of one process."""
    from cti.api.service import Service

    token = await api.sign_in("sato")
    other = Service(
        api.office.desk, api.service.guard, terminals=api.service.terminals, health=api.service.health,
        keys=api.service.tending.keys, reviewing=api.service.reviewing, deciding=api.service.deciding,
        cases=api.service.cases, calling=api.service.calling,
        putting=api.service.putting, holding=api.service.holding,
        demands=api.service.demands, moving=api.service.moving,
    )  # fmt: skip
    async with httpx.AsyncClient(
        transport=httpx.ASGITransport(application(other)), base_url="https://localhost"
    ) as http:
        answer = await http.get("/v1/session", headers={"Authorization": f"Bearer {token}"})
    assert answer.status_code == 401
