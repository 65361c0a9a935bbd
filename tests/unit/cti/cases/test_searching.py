"""A search by words finds what was written, in SQLite and PostgreSQL alike, and nothing that the unit may not see."""

import random
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import select, text

from cti.cases import looking as module
from cti.cases.acts import CENTRE, CONTRACTOR, Amend, Assign, Channel, Note, Reach, Register, State
from cti.cases.contact import contact
from cti.cases.lists import Kept, Wanted
from cti.cases.searching import NAME
from cti.cases.tables import acts
from cti.cases.words import fold, holds, words
from tests.unit.cti.cases.test_book import KEYS, START, Shelf

pytestmark = pytest.mark.rule("E-06")


async def asked(shelf: Shelf, inquiry: str, *more: Any) -> Kept:
    return await shelf.book().enter([replace(shelf.question(inquiry), at=START, received_at=START), *more])


async def found(shelf: Shelf, query: str, unit: str = CENTRE, **how: Any) -> list[int]:
    wanted = how.pop("wanted", Wanted())
    lines = await shelf.book().search(wanted, words(query), unit, **{"limit": 50} | how)
    return [line.number for line in lines]


async def test_two_characters_find_what_was_written_wherever_it_stands(shelf: Shelf) -> None:
    leak = await asked(shelf, "前の道路で漏　水している")
    bill = await asked(shelf, "料金が高い", shelf.act(Reach, name="髙橋 齋子", contact=contact("06-6458-1132")))
    await shelf.book().add(bill.number, [shelf.act(Note, text="家の中でも漏水か")])
    other = await asked(shelf, "水漏れ")
    assert await found(shelf, "漏水") == [bill.number, leak.number], "of which something was written last comes first"
    assert await found(shelf, "高橋") == await found(shelf, "斎子 漏水") == [bill.number]
    assert await found(shelf, "料金 水漏れ") == []
    assert await found(shelf, "水漏れ") == [other.number]
    await shelf.book().add(other.number, [shelf.act(Amend, inquiry="メーターが回る")])
    assert await found(shelf, "ﾒｰﾀｰ") == await found(shelf, "水漏れ") == [other.number], "what it said before, too"


async def test_a_unit_finds_its_own_and_filters_narrow(shelf: Shelf) -> None:
    mine = await asked(shelf, "漏水", shelf.act(Assign, main="kyusui"))
    await asked(shelf, "漏水", shelf.act(Assign, main="shomu"))
    assert await found(shelf, "漏水", "kyusui") == [mine.number]
    assert await found(shelf, "漏水", "haisui") == []
    assert await found(shelf, "漏水", wanted=Wanted(main="kyusui")) == [mine.number]
    assert await found(shelf, "漏水", wanted=Wanted(states=(State.CLOSED,))) == []
    assert len(await found(shelf, "漏水", limit=1)) == 1


async def test_what_stands_in_the_index_names_no_word(shelf: Shelf) -> None:
    await asked(shelf, "漏水", shelf.act(Reach, name="山田", contact=contact("06-6458-1132")))
    async with shelf.engine.connect() as connection:
        names = [f"{NAME}_data", f"{NAME}_idx"] if connection.dialect.name == "sqlite" else [NAME]
        raw = repr([(await connection.execute(text(f"SELECT * FROM {name}"))).all() for name in names])  # noqa: S608
    for word in ("漏水", "山田", "64581132", "\\u6f0f", "e6bc8f"):
        assert word not in raw
    assert KEYS.word("漏水") != KEYS.word("水漏")


async def test_a_false_hit_of_the_index_is_not_one(shelf: Shelf, monkeypatch: pytest.MonkeyPatch) -> None:
    """32 bits meet by chance: what the index gives is opened and looked at."""
    await asked(shelf, "苦情")
    kept = await asked(shelf, "漏水")

    async def matching(_connection: Any, _words: Any, *, before: int | None, limit: int) -> list[int]:
        async with shelf.engine.connect() as connection:
            ids = list(await connection.scalars(select(acts.c.id).order_by(acts.c.id.desc())))
        return [one for one in ids if before is None or one < before][:limit]

    monkeypatch.setattr(module, "matching", matching)
    assert await found(shelf, "漏水") == [kept.number]


@pytest.mark.parametrize("seed", range(3))
async def test_it_finds_what_looking_through_all_of_it_finds(
    shelf: Shelf,
    seed: int,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "LOOKED_AT", 7)
    chance = random.Random(seed)  # noqa: S311
    letters = "漏水道料金高髙ﾛろ山田"
    there: dict[int, list[str]] = {}
    for _ in range(40):
        written = ["".join(chance.choices(letters, k=chance.randrange(2, 9))) for _ in range(2)]
        kept = await asked(shelf, written[0], shelf.act(Note, text=written[1]))
        there[kept.number] = written
    for _ in range(30):
        query = " ".join("".join(chance.choices(letters, k=2)) for _ in range(chance.choice([1, 1, 2])))
        wanted = {number for number, texts in there.items() if all(holds(word, texts) for word in words(query))}
        assert set(await found(shelf, query)) == wanted, query
        assert set(await found(shelf, query, CONTRACTOR)) == wanted
    assert fold("ﾛ") == "ろ"


def test_the_acts_of_a_question_are_searched() -> None:
    register = Register(
        at=START, by="x", unit=CONTRACTOR, channel=Channel.PHONE, received_by=CONTRACTOR, received_at=START, inquiry="q"
    )
    assert module.form.texts(register) == ["q"]
