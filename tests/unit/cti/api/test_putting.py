"""A caller is put through from their case, over the API; and whoever is to take them sees who comes, as it happens."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from cti.api.caseshapes import Arrival
from cti.cases.acts import CONTRACTOR, SYSTEM, TransferEnded, Transferred, Why
from tests.unit.cti.api.conftest import Api, Pbx, Served
from tests.unit.cti.api.test_cases import REACHED, done, entered
from tests.unit.recorder.rig import uuid

pytestmark = [pytest.mark.rule("A-19", "E-13"), pytest.mark.usefixtures("noon")]

CALL = str(uuid("call"))


async def put(api: Api, case: int, by: str = "gyosha", **more: Any) -> httpx.Response:
    return await api.ask(by, "POST", f"/v1/cases/{case}/transfers", json={"why": "wish"} | more)


async def test_to_the_section_whose_kind_of_question_it_is(api: Api, pbx: Pbx) -> None:
    case = await entered(api, **REACHED, conversation=CALL, category="leak")
    answer = await put(api, case["number"], why="urgent")
    assert answer.status_code == 201, answer.text
    assert [answer.json()[name] for name in ("section", "phone", "instead")] == ["kyusui", "3101", False]
    assert pbx.asked == [{"ask": "put-through", "conversation": CALL, "dialled": "*83101*2", "phones": None}]
    last = answer.json()["case"]["history"][-1]
    assert (last["kind"], last["section"], last["why"], last["by"]) == ("put-through", "kyusui", "urgent", "gyosha")


@pytest.mark.parametrize(
    ("asked", "status", "said"),
    [
        ({"section": "nobody"}, 400, "no 所管課 'nobody'"),
        ({}, 400, "which 所管課"),
        ({"section": "給水課", "why": "other"}, 409, "(A-19)"),
        ({"section": "給水課", "seen": 1}, 409, "meanwhile"),
        ({"section": "給水課", "why": "because"}, 422, "why"),
    ],
)
async def test_what_cannot_be_is_refused_and_the_pbx_is_not_asked(
    api: Api, pbx: Pbx, asked: dict[str, Any], status: int, said: str
) -> None:
    case = await entered(api, **REACHED, conversation=CALL)
    answer = await put(api, case["number"], **asked)
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert pbx.asked == []


async def test_a_case_that_came_by_no_call_and_a_section_that_is_closed(
    api: Api, pbx: Pbx, noon: list[datetime]
) -> None:
    case = await entered(api, **REACHED)
    assert "no call belongs to the case" in (await put(api, case["number"], section="kyusui")).text
    other = await entered(api, **REACHED, conversation=CALL)
    noon[0] += timedelta(hours=10)
    answer = await put(api, other["number"], section="kyusui")
    assert (answer.status_code, "is closed now" in answer.text) == (409, True)
    assert pbx.asked == []


@pytest.mark.parametrize(
    ("problem", "said"),
    [("no-call", "calls live"), ("no-pbx", "PBX does not answer"), ("unknown", "listen"), ("refused", "refused")],
)
async def test_where_the_pbx_does_not_it_is_said(api: Api, pbx: Pbx, problem: str, said: str) -> None:
    pbx.answer = lambda: {"problem": problem}
    case = await entered(api, **REACHED, conversation=CALL)
    answer = await put(api, case["number"], section="kyusui")
    assert (answer.status_code, said in answer.text) == (503, True), answer.text


@pytest.mark.parametrize(
    ("error", "said"),
    [(ConnectionRefusedError(), "recorder does not answer"), (FileNotFoundError(), "recorder does not answer"),
     (TimeoutError(), "listen"), (ConnectionResetError(), "listen"), (ValueError("torn"), "listen")],
)  # fmt: skip
async def test_only_who_was_never_asked_has_certainly_not_done_it(
    api: Api, pbx: Pbx, error: Exception, said: str
) -> None:
    def lost() -> dict[str, Any]:
        raise error

    pbx.answer = lost
    case = await entered(api, **REACHED, conversation=CALL)
    answer = await put(api, case["number"], section="kyusui")
    assert (answer.status_code, said in answer.json()["detail"]) == (503, True), answer.text


async def test_another_s_case_is_none(api: Api, pbx: Pbx) -> None:
    case = await entered(api, **REACHED, conversation=CALL)
    assert (await put(api, case["number"], by="kyusui", section="shomu")).status_code == 404
    assert pbx.asked == []


@asynccontextmanager
async def watching(served: Served, account: str) -> AsyncIterator[AsyncIterator[str]]:
    token = served.api.tokens.get(account) or await served.api.sign_in(account)
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        httpx.AsyncClient(base_url=served.url, verify=served.ca, headers=headers, timeout=10) as http,
        http.stream("GET", "/v1/arrivals") as answer,
    ):
        assert answer.status_code == 200
        yield answer.aiter_lines()


async def next_of(lines: AsyncIterator[str]) -> Arrival:
    async with asyncio.timeout(10):
        async for line in lines:
            if line.startswith("data: "):
                return Arrival.model_validate_json(line.removeprefix("data: "))
    raise AssertionError("it ended")


@pytest.mark.rule("A-44")
async def test_who_comes_is_told_with_why_and_what_there_was_before(
    served: Served, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cti.api.arriving.TICK", 0.02)
    api = served.api
    before = await entered(api, **REACHED, main="kyusui", inquiry="漏水の修繕")
    await done(api, "gyosha", before["number"], {"kind": "note", "text": "在宅は夕方"})
    case = await entered(api, **REACHED, conversation=CALL, inquiry="工事の日程")
    hidden = await entered(api, **REACHED, main="shomu", inquiry="よそのこと")

    async def comes(leg: str, why: Why | None) -> None:
        act = Transferred(at=api.office.desk.now(), by=SYSTEM, unit=CONTRACTOR, leg=leg, conversation=CALL,
                          how="blind", phone="2201", to="3101", section="kyusui", why=why)  # fmt: skip
        await api.service.cases.book.add(case["number"], [act])

    async with watching(served, "kyusui") as lines:
        await comes("leg-1", Why.URGENT)
        found = await next_of(lines)
        assert (found.case.number, found.case.inquiry, found.phone, found.why) == (
            case["number"], "工事の日程", "2201", Why.URGENT
        )  # fmt: skip
        assert [one.number for one in found.earlier] == [before["number"]], f"not {hidden['number']}, another's"
        ended = TransferEnded(at=api.office.desk.now(), by=SYSTEM, unit=CONTRACTOR, leg="leg-1", outcome="returned",
                              due=api.office.desk.now())  # fmt: skip
        await api.service.cases.book.add(case["number"], [ended])
        await comes("leg-2", None)
        assert (await next_of(lines)).why is None
    shown = [line for line in api.entries("case.shown") if line["actor"] == "kyusui"]
    assert [line["number"] for line in shown] == [case["number"]] * 2


@pytest.mark.rule("E-13", "B-08")
@pytest.mark.parametrize("last", [1, 2])
async def test_a_transfer_that_ends_between_two_looks_ends_no_stream_and_nobody_is_accused(
    served: Served, monkeypatch: pytest.MonkeyPatch, last: int
) -> None:
    """It ends behind the first or second thing that was read of it."""
    monkeypatch.setattr("cti.api.arriving.TICK", 0.02)
    api, left, ended = served.api, last, asyncio.Event()
    case = await entered(api, **REACHED, conversation=CALL)
    book = api.service.cases.book
    by: dict[str, Any] = {"at": api.office.desk.now(), "by": SYSTEM, "unit": CONTRACTOR}

    async def comes(leg: str, why: Why | None) -> None:
        act = Transferred(
            **by, leg=leg, conversation=CALL, how="blind", phone="2201", to="3101", section="kyusui", why=why
        )
        await book.add(case["number"], [act])

    def then_ends(read: Any) -> Any:
        async def found(*arguments: Any, **more: Any) -> Any:
            nonlocal left
            was = await read(*arguments, **more)
            left -= bool(was)
            if left == 0 and not ended.is_set():
                ended.set()
                await book.add(case["number"], [TransferEnded(**by, leg="leg-1", outcome="returned", due=by["at"])])
            return was

        return found

    await comes("leg-1", None)
    for name in ("tickets", "beginning", "get"):
        monkeypatch.setattr(book, name, then_ends(getattr(book, name)))
    async with watching(served, "kyusui") as lines:
        await asyncio.wait_for(ended.wait(), 10)
        await comes("leg-2", Why.URGENT)
        told = [await next_of(lines)]
        while told[-1].why is not Why.URGENT:
            told.append(await next_of(lines))
    shown = [line["number"] for line in api.entries("case.shown") if line["actor"] == "kyusui"]
    assert shown == [case["number"]] * len(told)
    assert len(told) <= last, "of one that has ended nothing is told"
    assert api.entries("act.denied") == []
