"""Customers are called over the API: who may, when, what the recorder is asked, and what is left where it fails."""

import asyncio
from datetime import datetime, timedelta
from typing import Any

import httpx
import pytest

from cti.calls.board import conversation_id
from cti.calls.callback import called_for
from cti.cases.acts import CONTRACTOR, SYSTEM, DialEnded
from policies.calendar import JST
from tests.unit.cti.api.conftest import NOON, Api, Pbx, placed
from tests.unit.cti.api.test_cases import OVER, REACHED, done, entered

pytestmark = [pytest.mark.rule("C-06", "E-16"), pytest.mark.usefixtures("noon")]

NIGHT = datetime(2027, 4, 1, 22, tzinfo=JST)


async def owed(api: Api, **more: Any) -> str:
    """A ticket of 給水課."""
    case = await entered(api, **REACHED, main="kyusui", **more)
    promised = (api.office.desk.now() + timedelta(hours=3)).isoformat()
    await done(api, "gyosha", case["number"], OVER | {"promised": promised})
    return f"{case['number']}-1"


async def dial(api: Api, ticket: str, by: str = "kyusui", phone: str = "3101") -> httpx.Response:
    return await api.ask(by, "POST", f"/v1/tickets/{ticket}/calls", json={"phone": phone})


async def kinds(api: Api, ticket: str) -> list[str]:
    found = (await api.ask("sato", "GET", f"/v1/cases/{ticket.partition('-')[0]}")).json()["history"]
    return [act["kind"] for act in found]


async def test_a_telephone_rings_and_the_customer_after_it(api: Api, pbx: Pbx) -> None:
    ticket, other = await owed(api), await owed(api)
    answer = await dial(api, ticket)
    assert answer.status_code == 201, answer.text
    found = answer.json()
    assert (found["phone"], found["contact"]["number"], found["others"]) == ("3101", "06-6458-1132", [other])
    (asked,) = pbx.asked
    assert (asked["ask"], asked["phone"], asked["number"]) == ("dial", "3101", "0664581132")
    assert called_for(asked["leg"]) == (int(ticket.partition("-")[0]), len(await kinds(api, ticket)))
    site = api.office.desk.catalogue.pbx
    assert found["conversation"] == str(conversation_id(site, asked["leg"]))
    last = (await api.ask("kyusui", "GET", f"/v1/tickets/{ticket}/calls/last")).json()
    assert last == {"ticket": ticket, "outcome": None, "seconds": 0, "again": None}
    again = NOON + timedelta(hours=1)
    await api.service.cases.book.add(int(ticket.partition("-")[0]), [DialEnded(
        at=NOON, by=SYSTEM, unit=CONTRACTOR, leg=asked["leg"], outcome="busy", again=again,
    )])  # fmt: skip
    last = (await api.ask("kyusui", "GET", f"/v1/tickets/{ticket}/calls/last")).json()
    assert (last["outcome"], datetime.fromisoformat(last["again"])) == ("busy", again)
    (shown,) = [
        one for one in (await api.ask("kyusui", "GET", "/v1/tickets")).json()["items"] if one["ticket"] == ticket
    ]
    assert (shown["tries"], datetime.fromisoformat(shown["again"]), shown["late"]) == (1, again, False)


async def test_whom_it_met_is_said_and_where_nobody_was_there_the_policy_says_when_next(api: Api, pbx: Pbx) -> None:
    ticket = await owed(api)
    where = f"/v1/tickets/{ticket}/tries"
    case = (await api.ask("kyusui", "POST", where, json={"met": "voicemail", "left": "またかけます"})).json()
    tried = case["history"][-1]
    assert (tried["met"], tried["left"]) == ("voicemail", "またかけます")
    assert datetime.fromisoformat(tried["again"]) == NOON + timedelta(minutes=30)
    case = (await api.ask("kyusui", "POST", where, json={"met": "nobody"})).json()
    assert datetime.fromisoformat(case["history"][-1]["again"]) == NOON + timedelta(hours=2)
    assert (await api.ask("kyusui", "POST", where, json={"met": "customer"})).status_code == 201
    assert (await api.ask("kyusui", "GET", "/v1/tickets")).json()["items"] == []
    answer = await api.ask("kyusui", "POST", where, json={"met": "customer"})
    assert (answer.status_code, "(C-06)" in answer.json()["detail"]) == (409, True)


async def test_nobody_is_called_at_night_unless_they_agreed_to_it(api: Api, pbx: Pbx, noon: list[datetime]) -> None:
    noon[0] = NIGHT
    ticket, agreed = await owed(api), await owed(api, between=["20:00", "23:00"])
    answer = await dial(api, ticket)
    assert (answer.status_code, "(E-16)" in answer.json()["detail"]) == (409, True)
    assert pbx.asked == []
    assert "dialled" not in await kinds(api, ticket)
    assert (await dial(api, agreed)).status_code == 201
    noon[0] = NOON
    other = await owed(api, between=["20:00", "23:00"])
    assert "(E-16)" in (await dial(api, other)).json()["detail"]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"problem": "no-pbx"}, "PBX does not answer"), ({"problem": "refused"}, "PBX refused"),
        ({"problem": "no-phone"}, "3101"), ({"problem": "no-number"}, "cannot be"),
        ({"error": "not understood: 'dial'"}, "PBX refused"), ({}, "PBX refused"),
    ],
)  # fmt: skip
async def test_a_call_that_was_not_placed_hinders_no_other(
    api: Api, pbx: Pbx, answer: dict[str, str], says: str
) -> None:
    ticket, said = await owed(api), answer
    pbx.answer = lambda: said
    refused = await dial(api, ticket)
    assert (refused.status_code, says in refused.json()["detail"]) == (503, True), refused.text
    assert (await kinds(api, ticket))[-2:] == ["dialled", "dial-ended"]
    pbx.answer = placed
    assert (await dial(api, ticket)).status_code == 201
    (one,) = (await api.ask("kyusui", "GET", "/v1/tickets")).json()["items"]
    assert one["tries"] == 0


async def test_where_no_recorder_answers_that_is_said(api: Api, pbx: Pbx) -> None:
    def nobody() -> dict[str, Any]:
        raise ConnectionRefusedError

    pbx.answer = nobody
    ticket = await owed(api)
    answer = await dial(api, ticket)
    assert (answer.status_code, "recorder does not answer" in answer.json()["detail"]) == (503, True)
    pbx.answer = placed
    assert (await dial(api, ticket)).status_code == 201


@pytest.mark.parametrize("error", [TimeoutError(), ConnectionResetError(), ValueError("torn")])
async def test_where_nobody_knows_whether_it_was_placed_it_is_not_placed_twice(
    api: Api, pbx: Pbx, error: Exception
) -> None:
    def lost() -> dict[str, Any]:
        raise error

    pbx.answer = lost
    ticket = await owed(api)
    answer = await dial(api, ticket)
    assert (answer.status_code, "nobody knows" in answer.json()["detail"]) == (503, True)
    pbx.answer = placed
    assert "just now" in (await dial(api, ticket)).json()["detail"]
    assert (await api.ask("kyusui", "POST", f"/v1/tickets/{ticket}/tries", json={"met": "nobody"})).status_code == 201
    assert (await dial(api, ticket)).status_code == 201


async def test_a_number_is_called_once_at_a_time_whatever_the_case(api: Api, pbx: Pbx) -> None:
    first, second = await owed(api), await owed(api)
    assert (await dial(api, first)).status_code == 201
    assert "just now" in (await dial(api, second)).json()["detail"]
    assert len(pbx.asked) == 1


async def test_of_other_tickets_of_a_number_one_learns_what_one_may_see(api: Api, pbx: Pbx) -> None:
    mine = await owed(api)
    case = await entered(api, **REACHED, main="shomu")
    await done(api, "gyosha", case["number"], OVER | {"promised": (NOON + timedelta(hours=3)).isoformat()})
    wrong = await owed(api)
    await api.ask("kyusui", "POST", f"/v1/tickets/{wrong}/tries", json={"met": "wrong-number"})
    assert (await dial(api, mine)).json()["others"] == []
    await api.ask("kyusui", "POST", f"/v1/tickets/{mine}/tries", json={"met": "nobody"})
    assert (await dial(api, mine, "sato", "2201")).json()["others"] == [f"{case['number']}-1"]


async def test_hours_are_taken_back(api: Api) -> None:
    case = await entered(api, **REACHED, between=["18:00", "24:00"])
    assert case["between"] == ["18:00", "24:00"]
    after = await done(api, "gyosha", case["number"], {"kind": "reach", "any_hour": True})
    assert after["between"] is None


async def test_of_two_at_once_one_calls(api: Api, pbx: Pbx) -> None:
    ticket = await owed(api)
    await api.sign_in("kyusui")
    answers = await asyncio.gather(*(dial(api, ticket) for _ in range(5)))
    assert sorted(answer.status_code for answer in answers) == [201, 409, 409, 409, 409]
    assert len(pbx.asked) == 1


@pytest.mark.parametrize(
    ("by", "phone", "status"),
    [("kyusui", "2201", 400), ("kyusui", "3101", 201), ("sato", "2201", 201), ("sato", "trunk", 400),
     ("sato", "9999", 400), ("sato", "3901", 400), ("sato", "3001", 201), ("sato", "22 01", 422),
     ("gyosha", "2201", 409)],
)  # fmt: skip
async def test_a_telephone_of_ours_rings_and_of_a_section_its_own(
    api: Api, pbx: Pbx, by: str, phone: str, status: int
) -> None:
    ticket = await owed(api)
    assert (await dial(api, ticket, by, phone)).status_code == status
    assert len(pbx.asked) == (status == 201)


@pytest.mark.parametrize("ticket", ["1", "1-0", "0-1", "x", "1-1-1", "9999999999-1", "12-1"])
async def test_what_is_no_ticket_is_none(api: Api, pbx: Pbx, ticket: str) -> None:
    answer = await dial(api, ticket, "sato", "2201")
    assert answer.status_code in (400, 404, 409, 422), answer.text
    assert (await api.ask("sato", "GET", f"/v1/tickets/{ticket}/calls/last")).status_code in (400, 404, 422)
    assert pbx.asked == []


async def test_how_a_customer_is_reached_otherwise(api: Api) -> None:
    said = {
        "email": "hanako@example.jp",
        "address": "大阪市北区中之島1-3-20",
        "between": ["18:00", "20:00"],
        "discreet": True,
    }
    case = await entered(api, **REACHED, **said)
    assert {name: case[name] for name in said} == said
    for wrong in (
        {"email": "hanako"}, {"email": "a@b\r\nBcc: x@example.jp"}, {"between": ["18:00"]},
        {"between": ["20:00", "18:00"]}, {"between": ["25:00", "26:00"]}, {"between": ["18:00Z", "20:00"]},
        {"between": [0, 3600]}, {"between": ["00:00:00+09:00", "23:59:00+09:00"]},
    ):  # fmt: skip
        answer = await api.ask("gyosha", "POST", "/v1/cases", json={"channel": "web", "inquiry": "x"} | wrong)
        assert answer.status_code in (409, 422), wrong
