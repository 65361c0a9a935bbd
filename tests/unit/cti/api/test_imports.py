"""Rows of a sheet over the API: each one case, once, by the rules of whoever enters it, and nothing invented."""

import asyncio
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest
from sqlalchemy import select

from cti.cases.tables import acts, cases
from tests.unit.cti.api.conftest import Api

pytestmark = pytest.mark.rule("E-08")

BATCH = "3f2a0000-0000-4000-8000-000000000001"
AT = "2026-03-02T13:05:00+09:00"
ROW = {"line": 2, "channel": "phone", "received_at": AT, "inquiry": "検針票の金額が 先月の倍", "name": "山田 タロウ",
       "contact": "06-6458-1132"}  # fmt: skip
ANSWERED = {"outcome": "answered", "result": "修繕業者を案内", "answered_at": "2026-03-03T10:00:00+09:00"}


async def sent(api: Api, *rows: dict[str, Any], by: str = "gyosha", apply: bool = True) -> httpx.Response:
    body = {"batch": BATCH, "dry_run": not apply, "rows": list(rows)}
    return await api.ask(by, "POST", "/v1/cases/import", json=body)


async def taken(api: Api, *rows: dict[str, Any], by: str = "gyosha", apply: bool = True) -> list[dict[str, Any]]:
    answer = await sent(api, *rows, by=by, apply=apply)
    assert answer.status_code == 200, answer.text
    found: list[dict[str, Any]] = answer.json()["items"]
    return found


async def case(api: Api, number: int, by: str = "sato") -> dict[str, Any]:
    found: dict[str, Any] = (await api.ask(by, "GET", f"/v1/cases/{number}")).json()
    return found


async def count(api: Api) -> int:
    async with api.service.desk.catalogue.engine.connect() as connection:
        return len((await connection.execute(select(cases.c.number))).all())


async def test_a_row_that_was_answered_is_a_case_that_is_over_when_the_sheet_says(api: Api) -> None:
    row = ROW | ANSWERED | {"category": "漏水", "main": "給水課", "notes": ["受付者: 田中"]}
    (dry,) = await taken(api, row, apply=False)
    assert (dry["became"], dry["case"], await count(api)) == ("new", None, 0)
    (one,) = await taken(api, row)
    found = await case(api, one["case"])
    assert (one["became"], found["state"], found["outcome"], found["category"], found["main"]) == (
        "new", "closed", "answered", "leak", "kyusui",
    )  # fmt: skip
    assert [act["kind"] for act in found["history"]] == [
        "register", "reach", "assign", "note", "reply", "result", "close",
    ]  # fmt: skip
    reply = found["history"][4]
    assert (reply["channel"], reply["answered_at"]) == ("phone", "2026-03-03T10:00:00+09:00")
    assert datetime.fromisoformat(found["received_at"]) == datetime(2026, 3, 2, 4, 5, tzinfo=UTC)
    assert {act["by"] for act in found["history"]} == {"gyosha"}


@pytest.mark.rule("A-16", "A-17", "E-16")
async def test_what_a_sheet_cannot_know_is_not_made_up(api: Api) -> None:
    (one,) = await taken(api, ROW)
    found = await case(api, one["case"])
    assert (found["state"], found["read_back"], found["consent"], found["promised"], found["next_at"]) == (
        "open", False, None, None, None,
    )  # fmt: skip
    assert (await api.ask("gyosha", "GET", "/v1/tickets")).json()["items"] == []


async def test_the_same_row_is_the_same_case_however_often_and_by_whom_of_a_unit(api: Api) -> None:
    twins = [ROW, ROW | {"line": 3, "nth": 2, "asked_nth": 2}]
    first = await taken(api, *twins)
    assert [one["became"] for one in first] == ["new", "new"]
    assert first[0]["case"] != first[1]["case"]
    again = await taken(api, *reversed(twins))
    assert [(one["became"], one["case"]) for one in again] == [
        ("there", first[1]["case"]), ("there", first[0]["case"]),
    ]  # fmt: skip
    written = ROW | {
        "contact": "０６６４５８１１３２",
        "inquiry": "検針票の金額が　先月の倍",
        "name": "山田　ﾀﾛｳ",
        "line": 9,
    }
    (other,) = await taken(api, written, apply=False)
    assert (other["became"], other["case"]) == ("there", first[0]["case"])
    assert await count(api) == 2


async def test_two_at_once_make_one_case(api: Api) -> None:
    rows = [ROW | {"line": line, "inquiry": f"断水 {line}"} for line in range(2, 12)]
    await api.sign_in("gyosha")
    both = await asyncio.gather(*(taken(api, *rows) for _ in range(3)))
    assert await count(api) == 10
    for answers in zip(*both, strict=True):
        assert len({one["case"] for one in answers}) == 1
        assert sorted(one["became"] for one in answers) == ["new", "there", "there"]


async def test_what_another_enters_between_two_looks_is_the_same_case(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    book, entered = api.service.cases.book, list[dict[str, Any]]()

    def then_enters(look: Any) -> Any:
        async def looked(*arguments: Any) -> Any:
            found = await look(*arguments)
            if not entered:
                monkeypatch.undo()
                entered.extend(await taken(api, ROW))
            return found

        return looked

    for name in ("all_caused", "standing"):
        monkeypatch.setattr(book, name, then_enters(getattr(book, name)))
    (verdict,) = await taken(api, ROW)
    assert (verdict["became"], verdict["case"]) == ("there", entered[0]["case"])
    assert await count(api) == 1


async def test_a_row_that_says_other_things_now_is_no_second_case(api: Api) -> None:
    (one,) = await taken(api, ROW)
    (more,) = await taken(api, ROW | ANSWERED)
    assert (more["became"], more["case"]) == ("refused", one["case"])
    assert "put down in the case what is new" in more["problem"]
    assert (await case(api, one["case"]))["state"] == "open"
    # Of two rows with one question and two answers each is itself, in whatever order they stand.
    two = [ROW | ANSWERED | {"inquiry": "断水", "result": text, "line": line, "asked_nth": nth}
           for line, nth, text in ((2, 1, "案内した"), (3, 2, "調べて答えた"))]  # fmt: skip
    numbers = [one["case"] for one in await taken(api, *two)]
    sorted_ = [two[1] | {"line": 2, "asked_nth": 1}, two[0] | {"line": 3, "asked_nth": 2}]
    assert [(one["became"], one["case"]) for one in await taken(api, *sorted_)] == [
        ("there", numbers[1]), ("there", numbers[0]),
    ]  # fmt: skip


@pytest.mark.rule("A-18", "A-20", "A-24", "A-25", "A-26", "C-19")
@pytest.mark.parametrize(
    ("by", "more", "rule", "field"),
    [
        ("gyosha", {"received_at": "2199-04-01T13:05:00+09:00"}, "A-18", None),
        ("sato", {"channel": "fax"}, "A-20", None),
        ("kyusui", {"received_by": "cc"}, "A-26", None),
        ("kyusui", {"received_by": "koji"}, None, "received_by"),
        ("gyosha", ANSWERED | {"answered_at": "2026-03-01T10:00:00+09:00"}, "A-24", None),
        ("gyosha", ANSWERED | {"result": " "}, "A-24", None),
        ("gyosha", ANSWERED | {"result": "", "outcome": "declined"}, "C-19", None),
        ("gyosha", ANSWERED | {"reply": "letter"}, "A-25", None),
        ("gyosha", {"main": "なし課"}, None, "main"),
        ("gyosha", {"category": "なし"}, None, "category"),
        ("gyosha", {"contact": "12345"}, None, "contact"),
        ("gyosha", {"related": ["kyusui"]}, None, "related"),
    ],
)
async def test_what_the_rules_do_not_allow_is_refused_row_by_row(
    api: Api, by: str, more: dict[str, Any], rule: str | None, field: str | None
) -> None:
    good = ROW | {"line": 3, "inquiry": "断水の予定"}
    for apply in (False, True):
        wrong, right = await taken(api, ROW | more, good, by=by, apply=apply)
        assert (wrong["became"], wrong["rule"], wrong["field"], right["became"]) == ("refused", rule, field, "new")
        assert wrong["problem"]
        assert await count(api) == int(apply)


@pytest.mark.rule("A-26", "A-32")
async def test_a_section_imports_what_it_took_itself(api: Api) -> None:
    row = ROW | ANSWERED | {"channel": "fax", "main": "給水課"}
    (one,) = await taken(api, row, by="kyusui")
    found = await case(api, one["case"], by="kyusui")
    assert (found["received_by"], found["owner"], found["state"]) == ("kyusui", "kyusui", "closed")
    # What another unit imports of the same sheet is its own: it took it, or is refused.
    (other,) = await taken(api, row, by="gyosha")
    assert other["case"] != one["case"]


async def test_the_contractor_imports_what_cc_received_in_writing(api: Api) -> None:
    (one,) = await taken(api, ROW | {"channel": "fax"})
    assert (await case(api, one["case"]))["received_by"] == "cc"


async def test_who_withdrew_needs_no_answer(api: Api) -> None:
    (one,) = await taken(api, ROW | {"outcome": "withdrawn", "result": "取下げの電話"})
    found = await case(api, one["case"])
    assert (found["state"], found["outcome"], found["replied_at"]) == ("closed", "withdrawn", None)


@pytest.mark.rule("A-44")
async def test_the_log_has_how_many_and_nobody_and_the_database_no_hash_that_could_be_guessed(api: Api) -> None:
    rows = [ROW, ROW | {"line": 3, "main": "なし課", "inquiry": "x"}]
    await taken(api, *rows, apply=False)
    await taken(api, *rows)
    tried, entered = api.entries("cases.imported")
    assert tried | {"dry_run": False} == entered
    assert entered == {"batch": BATCH, "unit": "contractor", "dry_run": False, "new": 1, "there": 0, "refused": 1,
                       "actor": "gyosha", "object": tried["object"]}  # fmt: skip
    (line,) = api.entries("case.entered")
    async with api.service.desk.catalogue.engine.connect() as connection:
        (found,) = (await connection.execute(select(acts.c.key, cases.c.id).join(cases).where(acts.c.act == 1))).all()
    assert found.key.startswith("row/")
    keys = api.service.cases.book._keys
    # By another installation's key the same row has another name.
    assert keys.row(b"x") != type(keys)(b"k" * 32).row(b"x")
    assert line["object"] == found.id


async def test_a_database_of_another_key_takes_no_row(api: Api) -> None:
    await taken(api, ROW)
    book = api.service.cases.book
    book._checked, book._known = False, type(book._keys)(b"k" * 32)
    answer = await sent(api, ROW)
    assert (answer.status_code, answer.json()["code"]) == (500, "case-damaged")
    assert await count(api) == 1


async def test_a_request_is_not_larger_than_it_may_be(api: Api) -> None:
    rows = [ROW | {"line": line} for line in range(1, 102)]
    assert (await sent(api, *rows)).status_code == 422
    assert (await sent(api, ROW | {"inquiry": "あ" * 8001})).status_code == 422
    assert (await sent(api, ROW | {"inquiry": "a\x00b"})).status_code == 422
    assert (
        await sent(api, *({**ROW, "inquiry": "あ" * 8000, "line": line} for line in range(1, 5)))
    ).status_code == 413
    assert await count(api) == 0


@pytest.mark.rule("C-04")
async def test_where_the_policy_has_nothing_sent_unchecked_a_sheet_enters_none(api: Api) -> None:
    path = api.policies / "sections.toml"
    path.write_text(path.read_text("utf-8").replace("unchecked_before_entry = true", "unchecked_before_entry = false"))
    for apply in (False, True):
        (verdict,) = await taken(api, ROW | ANSWERED | {"channel": "fax"}, apply=apply)
        assert (verdict["became"], verdict["rule"]) == ("refused", "C-04")
    assert await count(api) == 0
