"""The calls that go on, over real TLS: who sees them, when they change, and what ends the watching."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from cti.api.client import Client
from cti.api.shapes import Live
from policies.rights import Role
from tests.unit.cti.api.conftest import IDS, Served

CALL = {
    "conversation": "3f2a1b4c-5d6e-5f70-8192-a3b4c5d6e7f8", "arrived": "2026-04-01T00:00:00+00:00", "answered": None,
    "number": "0664581132", "caller": "0312345678", "phones": ["2101"], "recorded": False,
}  # fmt: skip


class Recorder:
    """What it answers."""

    def __init__(self, served: Served) -> None:
        self.calls: list[dict[str, Any]] | None = []
        served.api.office.desk._ask = self.ask  # the recorder

    async def ask(self, _question: Any, _deadline: float) -> dict[str, Any]:
        if self.calls is None:
            raise ConnectionRefusedError(111, "no recorder")
        return {"calls": self.calls}


@pytest.fixture
def recorder(served: Served, monkeypatch: pytest.MonkeyPatch) -> Recorder:
    monkeypatch.setattr("cti.api.live.TICK", 0.02)
    return Recorder(served)


@asynccontextmanager
async def watching(served: Served, account: str) -> AsyncIterator[tuple[httpx.Response, AsyncIterator[str]]]:
    token = served.api.tokens.get(account) or await served.api.sign_in(account)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=served.url, verify=served.ca, headers=headers, timeout=10) as http,
        http.stream("GET", "/v1/calls/live") as answer,
    ):
        yield answer, answer.aiter_lines()


async def event(lines: AsyncIterator[str]) -> Any:
    async for line in lines:
        if line.startswith("data: "):
            return Live.model_validate_json(line.removeprefix("data: ")).model_dump(mode="json")["calls"]
    return "over"


@pytest.mark.rule("A-31", "C-14")
async def test_each_change_is_told_and_nothing_else(served: Served, recorder: Recorder) -> None:
    async with watching(served, "gyosha") as (answer, lines):
        assert answer.headers["Content-Type"].startswith("text/event-stream")
        assert await event(lines) == []
        recorder.calls = [CALL]
        (told,) = await event(lines)
        assert (told["caller"], told["phones"], told["recorded"]) == ("0312345678", ["2101"], False)
        recorder.calls = [CALL | {"recorded": True}]
        assert (await event(lines))[0]["recorded"] is True
        recorder.calls = None
        assert await event(lines) is None
        recorder.calls = []
        assert await event(lines) == []
    assert [line["actor"] for line in served.api.entries("calls.watched")] == ["gyosha"]
    assert "0312345678" not in served.api.office.log.read_bytes().decode("latin-1"), "no caller's number in the log"


@pytest.mark.rule("B-06")
@pytest.mark.parametrize("role", sorted(Role))
async def test_who_may_watch(served: Served, recorder: Recorder, role: Role) -> None:
    """By hand, as in test_matrix.py: A-31 and C-14 name the centre, operators of 運営会社 among it."""
    allowed = {Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON, Role.CONTRACTOR}
    async with watching(served, IDS[role]) as (answer, _lines):
        assert answer.status_code == (200 if role in allowed else 403)


@pytest.mark.parametrize("how", ["sign out", "end", "idle"])
async def test_it_ends_with_the_session(served: Served, recorder: Recorder, how: str) -> None:
    api = served.api
    async with watching(served, "gyosha") as (_answer, lines):
        assert await event(lines) == []
        if how == "sign out":
            await api.ask("gyosha", "DELETE", "/v1/session")
        elif how == "end":
            await api.service.guard.accounts.end("gyosha", by="tanaka", reason="契約終了")
        else:
            for session in api.service.sessions.all():
                session.seen -= 16 * 60
            await api.service.look()
        assert await asyncio.wait_for(event(lines), 5) == "over"
    await asyncio.sleep(0)
    assert sum(api.service.watching.values()) == 0


async def test_no_more_than_two_at_once(served: Served, recorder: Recorder) -> None:
    async with watching(served, "sato") as (_, one), watching(served, "sato") as (_, two):
        assert [await event(one), await event(two)] == [[], []]
        async with watching(served, "sato") as (third, _):
            assert (third.status_code, third.headers["Retry-After"]) == (429, "1")


async def test_the_client_of_the_command_line_reads_it(served: Served, recorder: Recorder) -> None:
    token = await served.api.sign_in("sato")
    recorder.calls = [CALL]

    def first() -> Any:
        with Client(served.url, served.settings.certificate, token) as client:
            return next(client.live())

    assert (await asyncio.to_thread(first))[0]["number"] == "0664581132"
