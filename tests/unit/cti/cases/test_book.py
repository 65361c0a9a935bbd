"""The case store: acts are added and never changed, each is in the access log, and what is the customer's is sealed."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import delete, insert, select, text, update

from cti.cases import sealing
from cti.cases.acts import (
    CENTRE,
    CONTRACTOR,
    EMERGENCY,
    SYSTEM,
    Accept,
    Act,
    Amend,
    Assign,
    Channel,
    Check,
    Close,
    Consent,
    Draft,
    Expect,
    HandOver,
    Note,
    Outcome,
    Reach,
    Register,
    Reopen,
    Reply,
    Result,
    State,
    Way,
    Why,
)
from cti.cases.book import CaseBook, ChangedError, OrderError
from cti.cases.contact import Missing, contact
from cti.cases.lists import Kept, Wanted
from cti.cases.sealing import CaseDamagedError, FieldKeys
from cti.cases.tables import acts, cases, seers
from recorder.access.errors import LogWriteError

START = datetime(2027, 4, 1, 1, tzinfo=UTC)
KEYS = FieldKeys(b"k" * 32)
NUMBER = contact("06-6458-1132")
INQUIRY = "検針票の 金額が 先月の倍です"


@dataclass
class Shelf:
    """A book, its log, and a clock that goes on a minute with each act."""

    engine: Any
    told: list[tuple[str, str, str, Mapping[str, Any]]] = field(default_factory=list)
    at: datetime = START
    broken: bool = False

    def tell(self, actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        if self.broken:
            raise LogWriteError("disk full")
        self.told.append((actor, action, about, detail))

    def book(self, keys: FieldKeys = KEYS) -> CaseBook:
        return CaseBook(self.engine, lambda: keys, "pbx1", self.tell)

    def act(self, kind: type[Act], unit: str = CONTRACTOR, by: str = "gyosha", **more: Any) -> Act:
        self.at += timedelta(minutes=1)
        return kind(at=self.at, by=by, unit=unit, **more)

    def question(self, inquiry: str = INQUIRY, **more: Any) -> Act:
        values = {"channel": Channel.PHONE, "received_by": CONTRACTOR, "received_at": self.at, "inquiry": inquiry}
        return self.act(Register, **values | more)

    async def enter(self, *more: Act, **how: Any) -> Kept:
        return await self.book().enter([replace(self.question(), at=START, received_at=START), *more], **how)

    async def handed_over(self) -> Kept:
        return await self.enter(
            self.act(Reach, name="山田 太郎", contact=NUMBER, read_back=True),
            self.act(Consent, given=True),
            self.act(Assign, main="kyusui", related=("shomu",), category="leak"),
            self.act(HandOver, way=Way.CALLBACK, promised=self.at + timedelta(hours=2)),
        )

    async def raw(self) -> bytes:
        """Every value that the database has of the cases."""
        async with self.engine.connect() as connection:
            found = [row for table in (cases, acts) for row in await connection.execute(select(table))]
        return b"".join(value if isinstance(value, bytes) else repr(value).encode() for row in found for value in row)


@pytest.mark.rule("A-03")
async def test_whatever_is_done_comes_back_as_it_was(shelf: Shelf) -> None:
    kept = await shelf.handed_over()
    book = shelf.book()
    for new in (
        [shelf.act(Accept, unit="kyusui")],
        [shelf.act(Note, text="家の裏の\n止水栓")],
        [shelf.act(Amend, inquiry="検針票の金額が 先々月の倍です", category="bill", conversation="c" * 36)],
        [shelf.act(Draft, unit="kyusui", channel=Channel.FAX, to=NUMBER.e164, again=NUMBER.e164, text="給水課",
                   ask=("給水課",))],
        [shelf.act(Check, unit="kyusui", by="sato", draft=9, ok=True)],
        [shelf.act(Reply, unit="kyusui", channel=Channel.FAX, wish="耳が遠い")],
        [shelf.act(Result, unit="kyusui", outcome=Outcome.DECLINED, text="減額の対象でない"),
         shelf.act(Close, unit="kyusui")],
        [shelf.act(Reopen, reason="また電話があった")],
        [shelf.act(Reach, contact=Missing.PAYPHONE)],
    ):  # fmt: skip
        kept = await book.add(kept.number, new)
        assert await book.get(kept.number) == kept
    assert kept.case.inquiry == "検針票の金額が 先々月の倍です"
    assert {act.by for act in kept.case.history} == {"gyosha", "sato"}
    (line,) = await book.lines(Wanted(), CENTRE, limit=10)
    assert (line.inquiry, line.contact, line.state, line.category) == (
        kept.case.inquiry, Missing.PAYPHONE, State.ACCEPTED, "bill",
    )  # fmt: skip


@pytest.mark.rule("A-03")
async def test_each_has_a_number_of_its_own_that_is_never_given_again(shelf: Shelf) -> None:
    first, second = await shelf.enter(), await shelf.enter()
    assert second.number == first.number + 1
    book = shelf.book()
    for text_given in (str(second.number), second.case.id[:8].upper()):
        assert await book.beginning(text_given) == [(second.number, second.case.id)]
        assert await book.beginning(text_given, "kyusui") == [], "it is not theirs to know"
    assert await book.beginning("999999999") == await book.beginning("x") == await book.beginning("1%") == []


@pytest.mark.rule("A-44")
async def test_nothing_of_the_customer_stands_in_the_database(shelf: Shelf) -> None:
    await shelf.handed_over()
    raw = await shelf.raw()
    for word in ("検針票", "山田", "64581132", "6458-1132", "\\u691c"):
        assert word.encode() not in raw
    assert b"kyusui" in raw, "what says whose it is does"


@pytest.mark.rule("A-44")
async def test_without_the_key_nothing_opens(shelf: Shelf) -> None:
    kept = await shelf.handed_over()
    other = shelf.book(FieldKeys(b"x" * 32))
    with pytest.raises(CaseDamagedError):
        await other.get(kept.number)
    (line,) = await other.lines(Wanted(), CENTRE, limit=1)
    assert (line.damaged, line.inquiry, line.name, line.contact) == (True, "", "", None)
    assert await other.lines(Wanted(number=NUMBER.e164), CENTRE, limit=1) == []
    with pytest.raises(CaseDamagedError):  # a database has one key
        await other.enter([shelf.question()])


@pytest.mark.rule("A-44")
@pytest.mark.parametrize(
    "spoil",
    [
        update(acts).where(acts.c.act == 3).values(by="sato"),
        update(acts).where(acts.c.act == 3).values(unit=CENTRE),
        update(acts).where(acts.c.act == 3).values(at=datetime(2027, 4, 1, 3)),  # noqa: DTZ001  # as the database has it
        update(acts).where(acts.c.act == 3).values(kind="note"),
        update(acts).where(acts.c.act == 3).values(key="k"),
        update(acts).where(acts.c.act == 2).values(sealed=b""),
        delete(acts).where(acts.c.act == 3),
        delete(acts).where(acts.c.act == 5),
        delete(acts).where(acts.c.act == 1),
        delete(acts),
        update(cases).values(id="0" * 36),
    ],
)  # fmt: skip
async def test_a_row_that_was_changed_does_not_open(shelf: Shelf, spoil: Any) -> None:
    kept = await shelf.handed_over()
    async with shelf.engine.begin() as connection:
        await connection.execute(spoil)
    with pytest.raises(CaseDamagedError):
        await shelf.book().get(kept.number)


@pytest.mark.rule("A-44")
async def test_an_act_is_not_another_case_s(shelf: Shelf) -> None:
    mine, other = await shelf.handed_over(), await shelf.handed_over()
    async with shelf.engine.begin() as connection:
        taken = (
            await connection.execute(select(acts.c.sealed).where(acts.c.case == other.number, acts.c.act == 2))
        ).scalar_one()
        await connection.execute(update(acts).where(acts.c.case == mine.number, acts.c.act == 2).values(sealed=taken))
    with pytest.raises(CaseDamagedError):
        await shelf.book().get(mine.number)


@pytest.mark.rule("A-18")
async def test_what_the_rules_refuse_is_not_kept(shelf: Shelf) -> None:
    kept = await shelf.enter()
    before, told = await shelf.raw(), list(shelf.told)
    with pytest.raises(OrderError, match="A-14") as caught:
        await shelf.book().add(kept.number, [shelf.act(Note, text="一度電話した"), shelf.act(Close)])
    assert caught.value.rule == "A-14"
    with pytest.raises(OrderError):
        await shelf.book().enter([shelf.act(Note, text="先に")])
    with pytest.raises(OrderError):
        await shelf.book().enter([])
    assert (await shelf.raw(), shelf.told) == (before, told)


@pytest.mark.rule("A-03", "A-44")
async def test_each_act_is_in_the_access_log_by_its_digest_and_without_a_word_of_it(shelf: Shelf) -> None:
    kept = await shelf.handed_over()
    await shelf.book().add(kept.number, [shelf.act(Accept, unit="kyusui", by="kyusui1")])
    assert [(actor, action, about) for actor, action, about, _ in shelf.told] == [
        ("gyosha", "case.entered", kept.case.id), ("kyusui1", "case.changed", kept.case.id),
    ]  # fmt: skip
    said = [act for *_, detail in shelf.told for act in detail["acts"]]
    async with shelf.engine.connect() as connection:
        rows = (await connection.execute(select(acts).order_by(acts.c.act))).all()
    assert said == [{"act": row.act, "kind": row.kind, "sha256": sealing.digest(row.sealed)} for row in rows]
    assert [one["kind"] for one in said] == ["register", "reach", "consent", "assign", "hand-over", "accept"]


@pytest.mark.rule("A-44")
async def test_what_the_log_does_not_take_is_not_done(shelf: Shelf) -> None:
    kept = await shelf.enter()
    before, shelf.broken = await shelf.raw(), True
    with pytest.raises(LogWriteError):
        await shelf.enter()
    with pytest.raises(LogWriteError):
        await shelf.book().add(kept.number, [shelf.act(Note, text="もう一度")])
    assert await shelf.raw() == before


async def test_what_the_database_does_not_take_in_the_end_has_a_line_that_says_so(
    shelf: Shelf, monkeypatch: pytest.MonkeyPatch
) -> None:
    kept = await shelf.enter()
    before = await shelf.raw()
    book = shelf.book()

    def tell(actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        shelf.tell(actor, action, about, detail)
        if action == "case.changed":
            raise LogWriteError("the power went")  # after it was written

    monkeypatch.setattr(book, "_tell", tell)
    with pytest.raises(LogWriteError):
        await book.add(kept.number, [shelf.act(Note, text="もう一度")])
    assert await shelf.raw() == before


async def test_a_transaction_that_fails_after_its_line_says_so_too(shelf: Shelf) -> None:
    kept = await shelf.enter()
    book, before = shelf.book(), await shelf.raw()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shelf.engine.sync_engine.dialect, "do_commit", _refuse)
        with pytest.raises(OSError, match="disk full"):
            await book.add(kept.number, [shelf.act(Note, text="もう一度")])
    assert [action for _, action, *_ in shelf.told][-2:] == ["case.changed", "case.failed"]
    assert shelf.told[-1][3] == shelf.told[-2][3]
    assert await shelf.raw() == before


def _refuse(_connection: object) -> None:
    raise OSError("disk full")


async def test_whoever_goes_away_meanwhile_what_the_log_has_is_so(shelf: Shelf) -> None:
    """Cancelled at each step of the loop: told and kept, or neither."""
    kept = await shelf.enter()
    for steps in range(40):
        at = shelf.at + timedelta(minutes=steps)
        task = asyncio.create_task(
            shelf.book().add(kept.number, [Note(at=at, by="gyosha", unit=CONTRACTOR, text=f"{steps}")])
        )
        for _ in range(steps):
            await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    said = sum(len(detail["acts"]) for _, action, _, detail in shelf.told if action != "case.failed")
    failed = sum(len(detail["acts"]) for _, action, _, detail in shelf.told if action == "case.failed")
    assert len((await shelf.book().get(kept.number)).case.history) == said - failed
    assert failed == 0


async def test_who_may_not_any_more_when_it_is_done_does_not(shelf: Shelf) -> None:
    kept = await shelf.enter()

    def may(case: Any) -> None:
        if len(case.history) > 1:
            raise ChangedError("handed on")

    await shelf.book().add(kept.number, [shelf.act(Note, text="一")], may=may)
    with pytest.raises(ChangedError, match="handed on"):
        await shelf.book().add(kept.number, [shelf.act(Note, text="二")], may=may)


async def test_an_earlier_time_than_the_last_is_the_last(shelf: Shelf) -> None:
    """Another host's clock, or one that was set back: the order of the acts counts."""
    kept = await shelf.enter()
    late = await shelf.book().add(kept.number, [replace(shelf.act(Note, text="一"), at=START + timedelta(days=1))])
    after = await shelf.book().add(kept.number, [shelf.act(Note, text="二")])
    assert after.case.last_at == late.case.last_at == START + timedelta(days=1)


async def test_two_at_once_both_count_and_none_is_lost(shelf: Shelf) -> None:
    kept = await shelf.enter()
    notes = [f"その {number}" for number in range(12)]
    later = shelf.at + timedelta(hours=1)
    await asyncio.gather(*(
        shelf.book().add(kept.number, [Note(at=later, by="gyosha", unit=CONTRACTOR, text=text)]) for text in notes
    ))  # fmt: skip
    found = (await shelf.book().get(kept.number)).case.history
    assert sorted(act.text for act in found if isinstance(act, Note)) == sorted(notes)


async def test_who_has_not_seen_the_last_act_is_told(shelf: Shelf) -> None:
    kept = await shelf.enter()
    seen = len(kept.case.history)
    await shelf.book().add(kept.number, [shelf.act(Note, text="一")], seen=seen)
    with pytest.raises(ChangedError, match=str(kept.number)):
        await shelf.book().add(kept.number, [shelf.act(Note, text="二")], seen=seen)


async def test_what_one_thing_caused_is_done_once(shelf: Shelf) -> None:
    both = await asyncio.gather(*(shelf.enter(identity="i" * 36, key="intake/i") for _ in range(3)))
    assert {one.number for one in both} == {both[0].number}
    for _ in range(2):
        await shelf.book().add(both[0].number, [shelf.act(Note, text="つながった")], key="intake/i/answered")
    assert len((await shelf.book().get(both[0].number)).case.history) == 2


@pytest.mark.rule("A-44")
async def test_a_unit_sees_its_own_and_cc_sees_all(shelf: Shelf) -> None:
    mine = await shelf.handed_over()
    direct = await shelf.book().enter([
        shelf.question(unit="haisui", received_by="haisui", channel=Channel.VISIT),
    ])  # fmt: skip
    seen = {
        unit: {line.number for line in await shelf.book().lines(Wanted(), unit, limit=10)}
        for unit in (CENTRE, CONTRACTOR, "kyusui", "shomu", "haisui", "koho", EMERGENCY)
    }
    both = {mine.number, direct.number}
    assert seen == {
        CENTRE: both, CONTRACTOR: {mine.number}, "kyusui": {mine.number}, "shomu": {mine.number},
        "haisui": {direct.number}, "koho": set(), EMERGENCY: set(),
    }  # fmt: skip


@pytest.mark.rule("A-29", "A-44")
async def test_who_handed_it_on_sees_it_no_more(shelf: Shelf) -> None:
    kept = await shelf.handed_over()
    await shelf.book().add(kept.number, [
        shelf.act(Accept, unit="kyusui"), shelf.act(Assign, unit="kyusui", main="haisui"),
        shelf.act(HandOver, unit="kyusui", way=Way.TRANSFER, why=Why.WISH),
    ])  # fmt: skip
    assert await shelf.book().lines(Wanted(), "kyusui", limit=1) == []
    assert len(await shelf.book().lines(Wanted(), "haisui", limit=1)) == 1
    assert len(await shelf.book().lines(Wanted(), CONTRACTOR, limit=1)) == 1


@pytest.mark.rule("A-16")
async def test_everybody_s_cases_are_found_by_any_number_that_they_ever_gave(shelf: Shelf) -> None:
    kept = await shelf.enter(shelf.act(Reach, contact=NUMBER))
    await shelf.book().add(kept.number, [shelf.act(Reach, contact=contact("090-1234-5678"), name="山田")])
    await shelf.enter(shelf.act(Reach, contact=contact("06-6458-7160")))
    for text_given in ("06-6458-1132", "+81 6 6458 1132", "09012345678"):
        found = await shelf.book().lines(Wanted(number=contact(text_given).e164), CENTRE, limit=10)
        assert [line.number for line in found] == [kept.number]


async def test_lists_are_narrowed_and_paged(shelf: Shelf) -> None:
    numbers = [(await shelf.enter()).number for _ in range(3)]
    over = await shelf.handed_over()
    fax = await shelf.book().enter([shelf.question(channel=Channel.FAX, received_by=CENTRE, category="bill",
                                                   conversation="c" * 36, received_at=START)])  # fmt: skip
    book = shelf.book()

    async def found(wanted: Wanted, **more: Any) -> list[int]:
        return [line.number for line in await book.lines(wanted, CENTRE, **{"limit": 10} | more)]

    assert await found(Wanted()) == [fax.number, over.number, *reversed(numbers)]
    assert await found(Wanted(), limit=2, after=over.number) == [numbers[2], numbers[1]]
    assert await found(Wanted(states=(State.HANDED_OVER, State.CLOSED))) == [over.number]
    assert await found(Wanted(channel=Channel.FAX)) == await found(Wanted(category="bill")) == [fax.number]
    assert await found(Wanted(conversation="c" * 36)) == [fax.number]
    assert await found(Wanted(owner="kyusui")) == await found(Wanted(main="kyusui")) == [over.number]
    late = await book.enter([shelf.question(received_at=START + timedelta(minutes=1))])
    assert await found(Wanted(since=START + timedelta(minutes=1))) == [late.number]
    assert late.number not in await found(Wanted(until=START + timedelta(minutes=1)))
    assert Wanted(owner="kyusui", states=(State.OPEN,)).by == ["states", "owner"]


@pytest.mark.rule("E-16", "A-22")
async def test_what_is_to_be_done_first_comes_first(shelf: Shelf) -> None:
    promised = await shelf.handed_over()
    at = shelf.at
    night = await shelf.book().enter([
        shelf.question("", by=SYSTEM, channel=Channel.EMERGENCY, received_by=EMERGENCY, due=START + timedelta(days=1)),
    ])  # fmt: skip
    nothing = await shelf.enter()
    book = shelf.book()
    found = await book.lines(Wanted(), CENTRE, limit=10, soonest=True)
    assert [line.number for line in found] == [promised.number, night.number, nothing.number]
    assert [line.late(at + timedelta(hours=3)) for line in found] == [True, False, False]
    assert [line.number for line in await book.lines(Wanted(late=at + timedelta(days=3)), CENTRE, limit=10)] == [
        night.number, promised.number,
    ]  # fmt: skip
    await book.add(night.number, [shelf.act(Expect, until=at + timedelta(hours=1), reason="午前中に電話を欲しい")])
    await book.add(promised.number, [shelf.act(Accept, unit="kyusui"), shelf.act(Expect, unit="kyusui", until=None)])
    found = await book.lines(Wanted(), CENTRE, limit=10, soonest=True)
    assert [(line.number, line.next_at) for line in found] == [
        (night.number, at + timedelta(hours=1)), (promised.number, promised.case.promised), (nothing.number, None),
    ]  # fmt: skip


@pytest.mark.rule("A-44")
@pytest.mark.parametrize(
    "spoil",
    [
        update(cases).values(state="closed"),
        update(cases).values(owner="haisui"),
        update(cases).values(next_at=None),
        update(cases).values(acts=4),
        update(cases).values(sealed=b"x"),
        update(cases).values(id="0" * 36),
    ],
)
async def test_a_list_s_row_that_was_changed_says_so_and_hides_no_other(shelf: Shelf, spoil: Any) -> None:
    first, second = await shelf.handed_over(), await shelf.enter()
    async with shelf.engine.begin() as connection:
        await connection.execute(spoil.where(cases.c.number == first.number))
    found = {line.number: line for line in await shelf.book().lines(Wanted(), CENTRE, limit=10)}
    assert (found[first.number].damaged, found[first.number].inquiry) == (True, "")
    assert (found[second.number].damaged, found[second.number].inquiry) == (False, INQUIRY)


@pytest.mark.rule("A-44")
async def test_who_is_written_among_those_who_see_it_sees_nothing(shelf: Shelf) -> None:
    kept = await shelf.handed_over()
    async with shelf.engine.begin() as connection:
        await connection.execute(insert(seers).values(unit="haisui", case=kept.number))
    (line,) = await shelf.book().lines(Wanted(), "haisui", limit=10)
    assert (line.damaged, line.inquiry, line.name, line.contact) == (True, "", "", None)


async def test_a_number_is_not_given_again_even_where_the_row_is_gone(shelf: Shelf) -> None:
    gone = await shelf.enter()
    async with shelf.engine.begin() as connection:
        for table in ("outbox", "case_units", "acts"):
            await connection.execute(text(f'DELETE FROM {table} WHERE "case" = {gone.number}'))  # noqa: S608
        await connection.execute(delete(cases).where(cases.c.number == gone.number))
    assert (await shelf.enter()).number == gone.number + 1
    with pytest.raises(CaseDamagedError):
        await shelf.book().get(gone.number)


async def test_the_database_itself_refuses_two_acts_of_one_place(shelf: Shelf) -> None:
    kept = await shelf.enter()
    async with shelf.engine.connect() as connection:
        row = dict((await connection.execute(select(acts))).mappings().one())
        row.pop("id")
        with pytest.raises(Exception, match=r"(?i)unique"):
            await connection.execute(insert(acts).values(**row))
    assert await shelf.book().get(kept.number) == kept
