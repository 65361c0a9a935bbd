"""Cases over the API: who sees which, what the rules refuse, and what the access log has of it."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import httpx
import pytest

from cti.cases.tables import acts, cases
from policies.calendar import JST
from policies.rights import Role
from tests.unit.cti.api.conftest import IDS, Api
from tests.unit.recorder.rig import uuid

ASKED = {"channel": "phone", "inquiry": "検針票の金額が 先月の倍です"}
REACHED = {"name": "山田 太郎", "contact": "06−6458−1132", "read_back": True, "consent": True}
PROMISED = "2027-04-01T15:00:00+09:00"
OVER = {"kind": "hand-over", "way": "callback", "promised": PROMISED}


async def entered(api: Api, by: str = "gyosha", **more: Any) -> dict[str, Any]:
    answer = await api.ask(by, "POST", "/v1/cases", json=ASKED | more)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def do(api: Api, by: str, number: int, *given: dict[str, Any], **more: Any) -> httpx.Response:
    return await api.ask(by, "POST", f"/v1/cases/{number}/acts", json={"acts": list(given)} | more)


async def done(api: Api, by: str, number: int, *given: dict[str, Any]) -> dict[str, Any]:
    answer = await do(api, by, number, *given)
    assert answer.status_code == 201, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def seen(api: Api, by: str, **wanted: Any) -> list[int]:
    answer = await api.ask(by, "GET", "/v1/cases", params=wanted)
    assert answer.status_code == 200, answer.text
    return [line["number"] for line in answer.json()["items"]]


@pytest.mark.rule("A-14", "A-16", "A-17", "A-18", "A-23", "A-24", "A-31")
async def test_from_the_question_to_the_answer(api: Api) -> None:
    case = await entered(api, **REACHED, main="給水課", category="漏水")
    assert case["state"] == "open"
    assert case["contact"] == {
        "number": "06-6458-1132", "e164": "+81664581132", "extension": None, "hiding": None, "missing": None,
    }  # fmt: skip
    assert (case["main"], case["category"], case["received_by"], case["owner"]) == (
        "kyusui", "leak", "contractor", "contractor",
    )  # fmt: skip
    number = case["number"]
    case = await done(api, "gyosha", number, OVER)
    assert (case["state"], case["owner"], case["late"]) == ("handed-over", "kyusui", False)
    assert await seen(api, "kyusui", state="handed-over") == [number]
    await done(api, "kyusui", number, {"kind": "accept"})
    case = await done(
        api, "kyusui", number, {"kind": "reply", "channel": "phone"},
        {"kind": "result", "outcome": "answered", "text": "メーター以降の漏水。修繕業者を案内"}, {"kind": "close"},
    )  # fmt: skip
    assert case["state"] == "closed"
    assert [act["kind"] for act in case["history"]] == [
        "register", "reach", "consent", "assign", "hand-over", "accept", "reply", "result", "close",
    ]  # fmt: skip
    assert {act["by"] for act in case["history"]} == {"gyosha", "kyusui"}


@pytest.mark.rule(
    "A-14", "A-15", "A-16", "A-17", "A-18", "A-19", "A-20", "A-21", "A-23", "A-24", "A-25", "C-19", "E-16"
)
@pytest.mark.parametrize(
    ("rule", "before", "by", "act"),
    [
        ("A-14", {}, "gyosha", OVER),
        ("A-14", {}, "gyosha", {"kind": "close"}),
        ("A-15", {}, "gyosha", {"kind": "assign", "main": "kyusui", "related": ["kyusui"]}),
        ("A-16", {"main": "kyusui"}, "gyosha", OVER),
        ("A-16", {"main": "kyusui", "missing": "payphone", "consent": True}, "gyosha", OVER),
        ("A-16", {"main": "kyusui", **REACHED, "read_back": False}, "gyosha", OVER),
        ("A-17", {"main": "kyusui", **REACHED, "consent": False}, "gyosha", OVER),
        ("A-18", {"main": "kyusui"}, "gyosha", {"kind": "hand-over", "way": "system"}),
        ("A-19", {"main": "kyusui"}, "gyosha", {"kind": "hand-over", "way": "transfer"}),
        ("A-19", {"main": "kyusui"}, "gyosha", {"kind": "hand-over", "way": "transfer", "why": "other"}),
        ("A-21", {"main": "kyusui", **REACHED}, "gyosha", OVER | {"way": "telephone"}),
        ("A-23", {"main": "kyusui"}, "kyusui", {"kind": "accept"}),
        ("A-24", {}, "gyosha", {"kind": "result", "outcome": "answered", "text": "案内した"}),
        ("A-25", {}, "gyosha", {"kind": "reply", "channel": "letter"}),
        ("E-16", {"main": "kyusui", **REACHED}, "gyosha", {"kind": "hand-over", "way": "callback"}),
        ("E-16", {"main": "kyusui", **REACHED}, "gyosha", OVER | {"promised": "2020-01-01T00:00:00Z"}),
    ],
)  # fmt: skip
async def test_what_the_rules_do_not_allow_is_refused_by_their_name(
    api: Api, rule: str, before: dict[str, Any], by: str, act: dict[str, Any]
) -> None:
    case = await entered(api, **before)
    answer = await do(api, by, case["number"], act)
    assert (answer.status_code, answer.json()["code"]) == (409, "order"), answer.text
    assert f"({rule})" in answer.json()["detail"]
    after = (await api.ask("gyosha", "GET", f"/v1/cases/{case['number']}")).json()
    assert after["history"] == case["history"]


@pytest.mark.rule("C-19")
async def test_who_is_declined_gets_a_reason(api: Api) -> None:
    case = await entered(api)
    await done(api, "gyosha", case["number"], {"kind": "reply", "channel": "phone"})
    answer = await do(api, "gyosha", case["number"], {"kind": "result", "outcome": "declined", "text": " "})
    assert "(C-19)" in answer.json()["detail"]


@pytest.mark.rule("A-20")
async def test_what_came_by_fax_cc_received_and_the_contractor_enters(api: Api) -> None:
    answer = await api.ask("sato", "POST", "/v1/cases", json=ASKED | {"channel": "fax"})
    assert "(A-20)" in answer.json()["detail"]
    assert (await entered(api, channel="fax"))["received_by"] == "cc"


@pytest.mark.rule("A-26", "A-32")
async def test_what_a_section_took_itself_it_owns(api: Api) -> None:
    case = await entered(api, by="kyusui", channel="visit")
    assert (case["received_by"], case["owner"], case["entered_by"]) == ("kyusui", "kyusui", "kyusui")
    assert await seen(api, "gyosha") == []


@pytest.mark.rule("A-05")
async def test_only_what_the_policy_names_can_be_chosen(api: Api) -> None:
    for field, value in (("main", "koho"), ("category", "sewage"), ("received_by", "suido")):
        answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | {field: value})
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, field), answer.text
        assert value in answer.json()["detail"]
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace('phone = "3101"', 'phone = "3101"\nuntil = 2026-01-31\ninstead = "shomu"'))
    answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | {"main": "kyusui"})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "main")
    assert "庶務課" in answer.json()["detail"], "it says who takes it instead"
    listed = (await api.ask("kansa", "GET", "/v1/sections")).json()
    assert {one["name"]: one["takes"] for one in listed["sections"]} == {"kyusui": False, "shomu": True}
    assert [one["title"] for one in listed["categories"]] == ["漏水", "料金", "苦情"]


@pytest.mark.rule("A-44", "A-04")
async def test_a_unit_sees_its_own_and_who_looks_at_another_s_is_in_the_log(api: Api) -> None:
    case = await entered(api, **REACHED, main="庶務課")
    number = case["number"]
    for role in (Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON, Role.CONTRACTOR):
        assert await seen(api, IDS[role]) == [number]
    assert await seen(api, "kyusui") == []
    for method, path, more in (
        ("GET", f"/v1/cases/{number}", {}),
        ("GET", f"/v1/cases/{case['id'][:8]}", {}),
        ("POST", f"/v1/cases/{number}/acts", {"json": {"acts": [{"kind": "note", "text": "見た"}]}}),
    ):
        answer = await api.ask("kyusui", method, path, **more)
        none = await api.ask("kyusui", method, path.replace(f"/cases/{path.split('/')[3]}", "/cases/ffffffff"), **more)
        assert answer.status_code == none.status_code == 404
        assert answer.json() | {"detail": ""} == none.json() | {"detail": ""}
        assert (
            api.entries("act.denied")[-1] | {"actor": "kyusui", "object": case["id"]} == api.entries("act.denied")[-1]
        )
    assert (await api.ask("kansa", "GET", f"/v1/cases/{number}")).status_code == 403


@pytest.mark.rule("A-44")
async def test_each_look_is_in_the_access_log_before_anything_is_shown(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = await entered(api, **REACHED)
    number = case["number"]
    await api.ask("gyosha", "GET", f"/v1/cases/{number}")
    assert api.entries("case.shown") == [
        {"actor": "gyosha", "object": case["id"], "number": number, "unit": "contractor"}
    ]  # fmt: skip
    await seen(api, "sato", number="0664581132", state=["open", "closed"])
    assert (
        api.entries("cases.searched")[-1] | {"actor": "sato", "by": ["states", "number"], "cases": [number]}
        == (api.entries("cases.searched")[-1])
    )
    log = api.office.log.read_bytes()
    for word in ("山田", "検針票", "64581132", "6458-1132"):
        assert word.encode() not in log, "what the log says of it names nobody"

    def refuse(*_said: Any) -> None:
        from recorder.access.errors import LogWriteError

        raise LogWriteError("disk full")

    monkeypatch.setattr(api.service.cases, "_tell", refuse)
    for path in ("/v1/cases", f"/v1/cases/{number}"):
        answer = await api.ask("gyosha", "GET", path)
        assert answer.status_code == 503
        assert "山田" not in answer.text


@pytest.mark.rule("A-31")
@pytest.mark.parametrize(
    "act",
    [
        {"kind": "consent", "given": False}, {"kind": "reach", "missing": "withheld"}, {"kind": "expect"},
        {"kind": "amend", "inquiry": "x"}, {"kind": "assign", "main": "kyusui"}, {"kind": "reply", "channel": "phone"},
    ],
)  # fmt: skip
async def test_whom_it_only_concerns_adds_a_note_and_no_more(api: Api, act: dict[str, Any]) -> None:
    case = await entered(api, **REACHED, main="庶務課", related=["給水課"])
    answer = await do(api, "kyusui", case["number"], act)
    assert (answer.status_code, "(A-31)" in answer.json()["detail"]) == (409, True), answer.text
    await done(api, "kyusui", case["number"], {"kind": "note", "text": "こちらでも確認"})


@pytest.mark.rule("A-26")
async def test_a_section_enters_what_it_took_and_nothing_else(api: Api) -> None:
    for received_by in ("cc", "contractor", "emergency", "庶務課"):
        answer = await api.ask("kyusui", "POST", "/v1/cases", json=ASKED | {"received_by": received_by})
        assert (answer.status_code, answer.json()["code"]) == (409, "order"), answer.text


@pytest.mark.rule("A-23")
async def test_what_went_to_the_wrong_section_is_handed_to_another_until_it_is_taken(api: Api) -> None:
    case = await entered(api, **REACHED, main="庶務課")
    await done(api, "gyosha", case["number"], OVER)
    after = await done(api, "gyosha", case["number"], {"kind": "assign", "main": "給水課"}, OVER)
    assert (after["owner"], after["state"]) == ("kyusui", "handed-over"), "the customer need not be asked again"
    await done(api, "sato", case["number"], {"kind": "assign", "main": "庶務課"}, OVER)
    await done(api, "sato", case["number"], {"kind": "assign", "main": "給水課"}, OVER)
    await done(api, "kyusui", case["number"], {"kind": "accept"})
    answer = await do(api, "gyosha", case["number"], {"kind": "assign", "main": "庶務課"})
    assert "(A-31)" in answer.json()["detail"]
    answer = await do(api, "kyusui", case["number"], {"kind": "assign", "main": "庶務課"}, OVER)
    assert "(A-29)" in answer.json()["detail"], "another will call: the customer agrees anew"


@pytest.mark.rule("A-05")
async def test_nothing_is_handed_over_to_a_section_that_was_retired_since(api: Api) -> None:
    case = await entered(api, **REACHED, main="kyusui")
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace('phone = "3101"', 'phone = "3101"\nuntil = 2026-01-31'))
    answer = await do(api, "gyosha", case["number"], OVER)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "main")
    answer = await do(api, "gyosha", case["number"], {"kind": "assign", "main": "shomu", "related": ["kyusui"]})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "related")
    await done(api, "gyosha", case["number"], {"kind": "assign", "main": "shomu"}, OVER)


@pytest.mark.rule("A-24", "E-16")
async def test_who_was_answered_in_time_and_is_entered_later_was_answered_in_time(api: Api) -> None:
    case = await entered(api, **REACHED, main="kyusui")
    at = api.office.desk.now()
    promised = at + timedelta(minutes=30)
    await done(api, "gyosha", case["number"], OVER | {"promised": promised.isoformat()})
    await done(api, "kyusui", case["number"], {"kind": "accept"})
    reply = {"kind": "reply", "channel": "phone"}
    for wrong in (at + timedelta(days=3), at - timedelta(days=3)):
        answer = await do(api, "kyusui", case["number"], reply | {"answered_at": wrong.isoformat()})
        assert "(A-24)" in answer.json()["detail"]
    await done(api, "kyusui", case["number"], reply | {"answered_at": at.isoformat()})
    (ticket,) = (await api.ask("kyusui", "GET", "/v1/tickets", params={"all": True})).json()["items"]
    assert (ticket["kind"], ticket["unit"], ticket["outcome"], ticket["late"]) == ("callback", "kyusui", "kept", False)
    assert ticket["ticket"] == f"{case['number']}-1"
    assert (await api.ask("gyosha", "GET", "/v1/tickets")).json()["items"] == []


async def test_what_is_not_said_of_a_person_stays(api: Api) -> None:
    case = await entered(api, **REACHED)
    after = await done(api, "gyosha", case["number"], {"kind": "reach", "name": "山田 花子"})
    assert (after["name"], after["contact"]["number"], after["read_back"]) == ("山田 花子", "06-6458-1132", True)
    after = await done(api, "gyosha", case["number"], {"kind": "reach", "contact": "090-1234-5678"})
    assert (after["name"], after["contact"]["number"], after["read_back"]) == ("山田 花子", "090-1234-5678", False)
    assert (await entered(api, name="大阪"))["contact"] is None, "nobody said that it is withheld"
    for wrong in ({"read_back": True}, {"missing": "withheld", "read_back": True}):
        answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | wrong)
        assert "(A-16)" in answer.json()["detail"]
    answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | {"related": ["kyusui"]})
    assert answer.json()["errors"][0]["at"] == "related"


async def test_lines_end_as_they_do_here_and_an_extension_is_a_number(api: Api) -> None:
    case = await entered(api, **REACHED, main="kyusui", inquiry="一行目\r\n二行目\r三行目")
    assert case["inquiry"] == "一行目\n二行目\n三行目"
    after = await done(api, "gyosha", case["number"], OVER | {"way": "telephone", "reached": "３１０１"})
    assert after["history"][-1]["reached"] == "3101"


@pytest.mark.parametrize("at", ["0001-01-01T00:00:00+09:00", "9999-12-31T23:59:59-09:00", "2999-01-01T00:00:00Z"])
async def test_times_that_no_calendar_shows_are_refused(api: Api, at: str) -> None:
    case = await entered(api, **REACHED, main="kyusui")
    for answer in (
        await api.ask("gyosha", "GET", "/v1/cases", params={"from": at}),
        await api.ask("gyosha", "GET", "/v1/tickets", params={"to": at}),
        await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | {"received_at": at}),
        await do(api, "gyosha", case["number"], {"kind": "expect", "until": at}),
        await do(api, "gyosha", case["number"], OVER | {"promised": at}),
    ):
        assert answer.status_code == 422, answer.text


async def test_each_filter_narrows(api: Api) -> None:
    await entered(api)
    fax = await entered(api, channel="fax", received_at="2026-01-01T00:00:00Z")
    assert await seen(api, "gyosha", channel="fax") == [fax["number"]]
    assert await seen(api, "gyosha", to="2026-01-02T00:00:00Z") == [fax["number"]]
    assert len(await seen(api, "gyosha", **{"from": "2026-01-02T00:00:00Z"})) == 1
    await done(api, "gyosha", fax["number"], {"kind": "expect", "until": "2026-01-01T00:00:00Z"})
    assert await seen(api, "gyosha", late=True) == [fax["number"]]
    assert (await seen(api, "gyosha", soonest=True))[0] == fax["number"]


@pytest.mark.rule("E-06", "A-44")
async def test_words_find_what_one_may_see(api: Api) -> None:
    case = await entered(api, **REACHED, main="庶務課")
    for query in ("検針票", "山田 金額", "06-6458-1132", "+81 6 6458 1132"):
        assert await seen(api, "gyosha", words=query) == [case["number"]], query
        assert await seen(api, "kyusui", words=query) == []
    assert api.entries("cases.searched")[-1]["by"] == ["words"]
    assert await seen(api, "gyosha", words="漏水") == await seen(api, "gyosha", words="検針票", state="closed") == []
    for short in ("水", "", "検針票 水"):
        answer = await api.ask("gyosha", "GET", "/v1/cases", params={"words": short})
        assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "words"), answer.text


@pytest.mark.rule("A-34", "C-22")
async def test_who_looks_through_the_progress_is_in_the_log_with_what_there_was(api: Api) -> None:
    await entered(api, **REACHED, main="庶務課")
    found = (await api.ask("gyosha", "GET", "/v1/progress")).json()
    assert found["counts"] == {"open": 1, "late": 0, "unasked": 0, "unentered": 3, "unsent": 0} | {
        "unresolved": 0, "ownerless": 0,
    }, "three recordings"  # fmt: skip
    assert (found["owners"][0]["unit"], found["checked"]) == ("contractor", None)
    signed = (await api.ask("gyosha", "POST", "/v1/progress/check", json={})).json()
    assert (signed["checked"]["by"], signed["checked"]["counts"]) == ("gyosha", found["counts"])
    seen_by_cc = (await api.ask("sato", "GET", "/v1/progress")).json()
    assert seen_by_cc["checked"] == signed["checked"]
    assert api.entries("progress.checked")[-1] | {"actor": "gyosha", "open": 1} == api.entries("progress.checked")[-1]
    number = (await entered(api, **REACHED, main="給水課"))["number"]
    promised = (api.office.desk.now() + timedelta(hours=2)).isoformat()
    await done(api, "gyosha", number, {"kind": "hand-over", "way": "callback", "promised": promised})
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace('name = "kyusui"', 'name = "kyusui"\nuntil = 2026-01-01'))
    ended = (await api.ask("gyosha", "GET", "/v1/progress")).json()
    assert ended["ownerless"] == [
        {"case": number, "kind": None, "unit": "kyusui"}, {"case": number, "kind": "callback", "unit": "kyusui"},
    ]  # fmt: skip
    month = api.office.desk.now().strftime("%Y-%m")
    numbers = (await api.ask("sato", "GET", f"/v1/digests/{month}")).json()
    assert (numbers["cases"], numbers["channel"]) == (2, {"phone": 2})
    for word in ("山田", "検針票"):
        assert word not in str(numbers) + str(found)


async def test_a_section_that_the_policy_does_not_know_acts_for_nobody(api: Api) -> None:
    path = api.policies / "sections.toml"
    path.write_text(path.read_text().replace('title = "給水課"', 'title = "配水課"'))
    answer = await api.ask("kyusui", "GET", "/v1/cases")
    assert (answer.status_code, answer.json()["code"]) == (403, "not-entitled")
    assert "給水課" in answer.json()["detail"]


@pytest.mark.rule("A-44", "B-07")
async def test_what_is_not_as_the_log_has_it_is_named(api: Api) -> None:
    case = await entered(api, **REACHED)
    number = case["number"]
    await done(api, "gyosha", number, {"kind": "note", "text": "一"})
    assert await api.office.verify() == []
    engine = api.office.desk.catalogue.engine
    async with engine.begin() as connection:
        await connection.execute(acts.update().where(acts.c.act == 2).values(sealed=b"x" * 40))
        await connection.execute(acts.delete().where(acts.c.act == 4))
    assert [(one.what, one.problem) for one in await api.office.verify()] == [
        (f"case {number}: act 2", "is not as the access log has it"),
        (f"case {number}: act 2", "is in the access log, and not there"),
        (f"case {number}: act 4", "is in the access log, and not there"),
    ]  # fmt: skip


async def test_two_at_a_time_are_told_of_each_other(api: Api) -> None:
    case = await entered(api)
    note = {"kind": "note", "text": "一度電話した"}
    assert (await do(api, "gyosha", case["number"], note, seen=case["acts"])).status_code == 201
    answer = await do(api, "sato", case["number"], note, seen=case["acts"])
    assert (answer.status_code, answer.json()["code"]) == (409, "changed")
    assert (await do(api, "sato", case["number"], note)).status_code == 201


async def test_the_same_request_is_done_once(api: Api) -> None:
    key = {"Idempotency-Key": "a-case-of-one-call"}
    both = [await api.ask("gyosha", "POST", "/v1/cases", json=ASKED, headers=key) for _ in range(2)]
    assert both[0].json() == both[1].json()
    assert len(await seen(api, "gyosha")) == 1


async def test_pages_follow_one_another(api: Api) -> None:
    numbers = [(await entered(api))["number"] for _ in range(5)]
    found: list[int] = []
    after: dict[str, Any] = {}
    while True:
        page = (await api.ask("gyosha", "GET", "/v1/cases", params={"limit": 2} | after)).json()
        found += [line["number"] for line in page["items"]]
        if page["next"] is None:
            break
        after = {"after": page["next"]}
    assert found == numbers[::-1]


@pytest.mark.parametrize(
    "body",
    [
        {},
        ASKED | {"channel": "telegram"},
        ASKED | {"inquiry": "x" * 8001},
        ASKED | {"inquiry": "a\x00b"},
        ASKED | {"inquiry": "\x1b[2J"},
        ASKED | {"inquiry": "a\u202eb"},
        ASKED | {"inquiry": "\u200b"},
        ASKED | {"received_at": "2027-04-01T09:00:00"},
        ASKED | {"conversation": "x"},
        ASKED | {"name": "n" * 201},
        ASKED | {"by": "tanaka"},
        ASKED | {"related": ["kyusui"] * 21},
        ASKED | {"contact": "1" * 65},
    ],
)
async def test_what_has_not_the_form_is_refused_and_nothing_is_kept(api: Api, body: dict[str, Any]) -> None:
    answer = await api.ask("gyosha", "POST", "/v1/cases", json=body)
    assert (answer.status_code, answer.json()["code"]) == (422, "not-valid"), answer.text
    async with api.office.desk.catalogue.engine.connect() as connection:
        for table in (cases, acts):
            assert (await connection.execute(table.select())).all() == []


@pytest.mark.rule("A-16")
@pytest.mark.parametrize(
    ("given", "at"),
    [
        ({"contact": "110"}, "contact"), ({"contact": "さんいちさん"}, "contact"), ({"contact": ""}, "contact"),
        ({"contact": "0664581132", "missing": "withheld"}, "missing"),
    ],
)  # fmt: skip
async def test_a_number_that_is_none_is_named_and_not_repeated(api: Api, given: dict[str, Any], at: str) -> None:
    answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | given)
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, at), answer.text
    assert not any(value in answer.text for value in given.values() if value in ("110", "さんいちさん", "0664581132"))


async def test_an_empty_question_is_none(api: Api) -> None:
    answer = await api.ask("gyosha", "POST", "/v1/cases", json=ASKED | {"inquiry": " \n"})
    assert (answer.status_code, answer.json()["code"]) == (409, "order")
    answer = await do(api, "gyosha", 1)
    assert answer.status_code == 422, "nothing to do"


async def test_a_surrogate_is_no_text(api: Api) -> None:
    token = api.tokens.get("gyosha") or await api.sign_in("gyosha")
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    answer = await api.http.post(
        "/v1/cases", content=b'{"channel":"phone","inquiry":"\\ud800"}', headers=headers
    )  # fmt: skip
    assert answer.status_code == 422


@pytest.mark.rule("A-23", "C-18")
async def test_a_section_takes_what_is_handed_over_by_the_end_of_its_next_business_day(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    def next_day(_at: datetime, calendar: str) -> date:
        asked.append(calendar)
        return date(2027, 4, 5)

    monkeypatch.setattr(api.service.cases, "_next_day", next_day)
    case = await entered(api, **REACHED)
    over = {"kind": "hand-over", "way": "transfer", "why": "wish"}
    after = await done(api, "gyosha", case["number"], {"kind": "assign", "main": "kyusui"}, over)
    until = datetime(2027, 4, 5, 15, tzinfo=UTC)
    assert (datetime.fromisoformat(after["next_at"]), asked) == (until, ["office"])
    listed = (await api.ask("kyusui", "GET", "/v1/cases", params={"state": "handed-over", "soonest": True})).json()
    assert [datetime.fromisoformat(one["next_at"]) for one in listed["items"]] == [until]
    assert (await done(api, "kyusui", case["number"], {"kind": "accept"}))["next_at"] is None


@pytest.mark.rule("E-05", "A-44")
async def test_a_shared_case_is_seen_and_whoever_is_asked_finds_it_until_they_answer(api: Api) -> None:
    case = await entered(api, **REACHED, main="庶務課")
    number = case["number"]
    assert await seen(api, "kyusui") == []
    shared = await done(api, "gyosha", number, {"kind": "share", "to": "給水課", "reason": "同じ家", "help": True})
    assert shared["shared"] == ["kyusui"]
    assert api.entries("case.changed")[-1]["actor"] == "gyosha"
    assert await seen(api, "kyusui") == [number]
    (ticket,) = (await api.ask("kyusui", "GET", "/v1/tickets")).json()["items"]
    assert (ticket["kind"], ticket["unit"], ticket["inquiry"]) == ("help", "kyusui", ASKED["inquiry"])
    answer = await do(api, "kyusui", number, {"kind": "share", "to": "cc", "reason": "x", "help": True})
    assert (answer.status_code, "(A-31)" in answer.json()["detail"]) == (409, True), answer.text
    await done(api, "kyusui", number, {"kind": "note", "text": "工事はない"})
    assert (await api.ask("kyusui", "GET", "/v1/tickets")).json()["items"] == []
    await done(api, "gyosha", number, {"kind": "share", "to": "kyusui", "ended": True})
    assert await seen(api, "kyusui") == []
    answer = await do(api, "gyosha", number, {"kind": "share", "to": "下水課", "reason": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["at"]) == (400, "to")


@pytest.mark.rule("E-15", "A-01")
async def test_what_says_nothing_is_told_to_whoever_wrote_it_and_counted_without_a_name(api: Api) -> None:
    case = await entered(api, **REACHED)
    number = case["number"]
    assert case["evasive"] == []
    await done(api, "gyosha", number, {"kind": "reply", "channel": "phone"})
    after = await done(
        api, "gyosha", number, {"kind": "result", "outcome": "answered", "text": "検討シマス"},
        {"kind": "note", "text": "時間をください"},
    )  # fmt: skip
    assert after["evasive"] == ["検討します"], "nothing is refused for it, and a note goes to nobody"
    assert (await api.ask("gyosha", "GET", f"/v1/cases/{number}")).json()["evasive"] == []
    month = api.office.desk.now().astimezone(JST).strftime("%Y-%m")
    digest = (await api.ask("gyosha", "GET", f"/v1/digests/{month}")).json()
    assert digest["evasive"] == {"検討します": 1}
    assert digest["times"]["phone"] == {
        "cases": 1, "answered": 1, "same_day": None, "reply": None, "ended": 0, "reopened": 0,
    }  # fmt: skip
    assert digest["calls"]["rang"] == 0
    assert "山田" not in str(digest)


@pytest.mark.rule("B-14", "B-18")
async def test_an_unjust_demand_says_whether_its_recordings_are_held(api: Api) -> None:
    said = {"kind": "unjust-demand", "text": "土下座しろ"}
    case = await entered(api, conversation=uuid("one conversation"))
    assert case["held"] is None
    assert (await done(api, "gyosha", case["number"], said))["held"] == "held"
    (hold,) = (await api.ask("sato", "GET", "/v1/holds")).json()["items"]
    assert (hold["by"], hold["recordings"]) == ("gyosha", [uuid("one")])
    assert (await done(api, "gyosha", (await entered(api))["number"], said))["held"] is None  # no call is known
    (api.office.vault.root / "held").rename(api.office.vault.root / "away")
    assert (await done(api, "gyosha", case["number"], said))["held"] == "not-yet"
