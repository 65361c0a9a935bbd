"""What comes from outside and is no request of ours: names, sizes, headers, repetitions."""

import json

import pytest
import structlog.testing

from cti.api import edge
from tests.unit.cti.api.conftest import PASSWORD, Api
from tests.unit.recorder.rig import uuid

ONE = uuid("one")


@pytest.mark.parametrize(
    "name", ["..%2f..%2fkeys", "%2e%2e", "a" * 5000, "%00", "'; DROP TABLE segments; --", "％", "*"]
)
async def test_names_of_recordings_lead_nowhere_else(api: Api, name: str) -> None:
    for method, path, more in (
        ("GET", f"/v1/recordings/{name}", {}),
        ("POST", f"/v1/recordings/{name}/plays", {"json": {"purpose": "quality"}}),
        ("GET", f"/v1/plays/{name}/audio", {}),
    ):
        answer = await api.ask("sato", method, path, **more)
        assert answer.status_code == 404, answer.text
        assert answer.headers["Content-Type"] == "application/problem+json"


async def test_every_answer_has_the_headers_that_keep_it_from_others(api: Api) -> None:
    for path in ("/v1/recordings", "/v1/session", "/nowhere", "/v1/openapi.json"):
        answer = await api.ask("sato", "GET", path)
        assert answer.headers["Cache-Control"] == "no-store"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "max-age" in answer.headers["Strict-Transport-Security"]
        assert "access-control-allow-origin" not in answer.headers


async def test_what_was_typed_is_not_said_back(api: Api) -> None:
    body = {"account": "sato", "password": [PASSWORD], "code": {"secret": "424242"}}
    with structlog.testing.capture_logs() as logs:
        answer = await api.http.post("/v1/session", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not-valid")
    assert PASSWORD not in answer.text + json.dumps(logs, ensure_ascii=False)
    assert "424242" not in answer.text + json.dumps(logs)


@pytest.mark.parametrize("body", [b"", b"{", b"\xff\xfe", b"[" * 50_000, b"nan", b'{"account": "\\ud800"}'])
async def test_what_is_no_json_is_a_problem_and_no_trouble(api: Api, body: bytes) -> None:
    answer = await api.http.post("/v1/session", content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code in (400, 422), answer.text


async def test_a_body_that_is_too_large_is_not_read(api: Api) -> None:
    answer = await api.http.post("/v1/session", content=b"x" * (edge.LARGEST + 1))
    assert (answer.status_code, answer.json()["code"]) == (413, "too-large")

    async def endless() -> object:
        for _ in range(1000):
            yield b"x" * 1000

    answer = await api.http.post("/v1/session", content=endless())  # type: ignore[arg-type]  # of no announced length
    assert answer.status_code == 413


async def test_who_asks_too_fast_waits(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    at = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: at[0])
    answers = [await api.http.get("/v1/session") for _ in range(int(edge.BURST) + 2)]
    assert [answer.status_code for answer in answers[-3:]] == [401, 429, 429]
    assert answers[-1].headers["Retry-After"] == "1"
    at[0] += 1
    later = [(await api.http.get("/v1/session")).status_code for _ in range(int(edge.RATE) + 1)]
    assert later == [401] * int(edge.RATE) + [429]


async def test_answers_in_the_language_that_is_asked_for(api: Api) -> None:
    english = await api.http.get("/v1/session", headers={"Accept-Language": "en"})
    japanese = await api.http.get("/v1/session", headers={"Accept-Language": "ja-JP,en;q=0.5"})
    assert english.json()["title"] == "Nobody is signed in by that token, or no longer"
    assert japanese.json()["title"] != english.json()["title"]
    assert english.json()["code"] == japanese.json()["code"]


async def test_an_error_that_nobody_thought_of_shows_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise RuntimeError("the passphrase is hunter2")

    monkeypatch.setattr(api.service, "health", broken)
    answer = await api.ask("tanaka", "GET", "/v1/status")
    assert (answer.status_code, answer.json()["code"]) == (500, "internal")
    assert "hunter2" not in answer.text
    assert (answer.headers["Cache-Control"], answer.headers["Referrer-Policy"]) == ("no-store", "no-referrer")
    assert answer.headers["Cross-Origin-Resource-Policy"] == "same-origin"


# --- once -------------------------------------------------------------------------------------------------------------


async def test_a_write_that_is_repeated_with_its_key_is_done_once(api: Api) -> None:
    headers = {"Idempotency-Key": "first-try-1"}
    body = {"account": "suzuki", "name": "鈴木", "role": "staff"}
    first = await api.ask("tanaka", "POST", "/v1/accounts", json=body, headers=headers)
    again = await api.ask("tanaka", "POST", "/v1/accounts", json=body, headers=headers)
    assert first.status_code == again.status_code == 201
    assert first.json() == again.json()
    without = await api.ask("tanaka", "POST", "/v1/accounts", json=body)
    assert without.status_code == 409
    plays = [
        await api.ask("sato", "POST", f"/v1/recordings/{ONE}/plays", json={"purpose": "quality"}, headers=headers)
        for _ in range(3)
    ]
    assert len({play.json()["play"] for play in plays}) == 1
    assert len(api.entries("play.intent")) == 1


@pytest.mark.rule("B-06", "B-07")
async def test_sound_is_never_given_again_by_a_key(api: Api) -> None:
    headers = {"Idempotency-Key": "first-try-1"}
    body = {"purpose": "content", "format": "wav"}
    first = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body, headers=headers)
    await api.service.guard.accounts.grants.revoke("sato", by="tanaka")
    again = await api.ask("sato", "POST", f"/v1/recordings/{ONE}/exports", json=body, headers=headers)
    assert (first.status_code, again.status_code) == (200, 403)


@pytest.mark.rule("B-06")
async def test_a_kept_answer_needs_the_right_of_now(api: Api) -> None:
    headers = {"Idempotency-Key": "first-try-1"}
    body = {"account": "suzuki", "name": "鈴木", "role": "staff"}
    assert (await api.ask("tanaka", "POST", "/v1/accounts", json=body, headers=headers)).status_code == 201
    path = api.policies / "rights.toml"
    head, act, rest = path.read_text("utf-8").partition('act = "accounts.issue"')
    path.write_text(head + act + rest.replace('"manager"', "", 1), "utf-8")
    assert (await api.ask("tanaka", "POST", "/v1/accounts", json=body, headers=headers)).status_code == 403


async def test_a_key_of_another_request_is_refused(api: Api) -> None:
    headers = {"Idempotency-Key": "first-try-1"}
    one, two = ({"account": name, "name": "鈴木", "role": "staff"} for name in ("suzuki", "yamada"))
    await api.ask("tanaka", "POST", "/v1/accounts", json=one, headers=headers)
    assert (await api.ask("tanaka", "POST", "/v1/accounts", json=two, headers=headers)).status_code == 409
    headers = {"Idempotency-Key": "second-try-2"}
    await api.ask("tanaka", "POST", "/v1/accounts/sato/review", headers=headers)
    answer = await api.ask("tanaka", "POST", "/v1/accounts/mori/review", headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (409, "idempotency")


async def test_a_kept_answer_is_nobody_else_s(api: Api) -> None:
    headers = {"Idempotency-Key": "first-try-1"}
    body = {"account": "suzuki", "name": "鈴木", "role": "staff"}
    first = await api.ask("tanaka", "POST", "/v1/accounts", json=body, headers=headers)
    other = await api.ask("sato", "POST", "/v1/accounts", json=body, headers=headers)
    nobody = await api.http.post("/v1/accounts", json=body, headers=headers)
    assert (first.status_code, other.status_code, nobody.status_code) == (201, 403, 401)
    await api.ask("tanaka", "DELETE", "/v1/session")
    token = api.tokens.pop("tanaka")
    late = await api.http.post("/v1/accounts", json=body, headers=headers | {"Authorization": f"Bearer {token}"})
    assert late.status_code == 401


@pytest.mark.parametrize("key", ["short", "x" * 129, "with space", "日本語日本語日本語"])
async def test_a_key_that_is_none_is_refused(api: Api, key: str) -> None:
    answer = await api.ask(
        "tanaka", "POST", "/v1/accounts/sato/review", headers={"Idempotency-Key": key.encode()}  # type: ignore[dict-item]
    )  # fmt: skip
    assert (answer.status_code, answer.json()["code"]) == (400, "usage")
