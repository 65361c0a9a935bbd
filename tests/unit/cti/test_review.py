"""A month of the access log: what is unusual in it, and who has signed for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.errors import UsageError
from cti.review import Kind, Month, Report, Unusual, examine, missing
from cti.reviewing import Reviewing
from policies.calendar import JST
from policies.load import Policies, shipped
from policies.review import Own, Review
from recorder.access.entry import Entry
from tests.unit.cti.office import Office, reviewing_of

APRIL = Month(2027, 4)
NOON = datetime(2027, 4, 5, 12, tzinfo=JST)  # a Monday
POLICY = Policies(shipped()).review


def entry(seq: int, action: str, actor: str = "sato", at: datetime = NOON, about: str = "x", **detail: Any) -> Entry:
    return Entry(seq=seq, prev="", ts=at, actor=actor, action=action, object=about, detail=detail, raw=b"")


def look(*entries: Entry, policy: Review = POLICY, usual: bool = True, **more: Any) -> Report:
    results = {str(one.detail.get("act")) for one in entries if one.action.endswith(".result")}
    more = {"results": results | {"None"}, "phones": {}} | more
    return examine(APRIL, entries, span=(0, len(entries)), policy=policy, usual_at=lambda _at: usual, **more)


def kinds(report: Report) -> list[tuple[Kind, str, int]]:
    return [(one.what, one.actor, one.count) for one in report.unusual]


# --- what is unusual --------------------------------------------------------------------------------------------------


@pytest.mark.rule("B-30")
def test_an_ordinary_month_has_its_figures_and_nothing_unusual() -> None:
    report = look(
        entry(0, "recordings.searched"), entry(1, "recordings.shown"), entry(2, "play.intent", act="a"),
        entry(3, "play.result", act="a", seconds=90.0), entry(4, "export.intent", act="b"),
        entry(5, "export.result", act="b"), entry(6, "play.intent", actor="kato", act="c", purpose="disclosure"),
        entry(7, "play.result", actor="kato", act="c", seconds=1.0), entry(8, "segment.sealed", actor="recorder"),
    )  # fmt: skip
    assert report.unusual == ()
    sato = next(one for one in report.people if one.actor == "sato")
    assert (sato.searches, sato.looked, sato.plays, sato.exports, sato.seconds) == (1, 1, 1, 1, 90.0)
    assert [(one.actor, one.disclosures) for one in report.people] == [("kato", 1), ("recorder", 0), ("sato", 0)]


@pytest.mark.rule("B-30")
@pytest.mark.parametrize(
    ("entries", "more", "found"),
    [
        ([entry(0, "play.intent")], {"usual": False}, (Kind.OUT_OF_HOURS, "sato", 1)),
        ([entry(0, "export.intent", actor="os:root")], {}, (Kind.NO_ACCOUNT, "os:root", 1)),
        ([entry(0, "play.intent", act="a")], {"results": set()}, (Kind.INTERRUPTED, "sato", 1)),
        ([entry(0, "act.denied", actor="gyosha", act="recordings.play")], {}, (Kind.DENIED, "gyosha", 1)),
        ([entry(0, "account.forged", actor="nobody", about="mori")], {}, (Kind.FORGED, "nobody", 1)),
        ([entry(0, "keys.tested", slots=9, foreign=[3])], {}, (Kind.FOREIGN, "sato", 1)),
        ([entry(0, "escrow.opened", actor="tanaka")], {}, (Kind.KEYS, "tanaka", 1)),
        ([entry(n, "account.refused", actor="nobody", about="sato") for n in range(6)], {}, (Kind.REFUSED, "sato", 6)),
        ([entry(n, "play.intent", about=f"r{n}") for n in range(31)], {}, (Kind.MANY, "sato", 31)),
        ([entry(n, "play.intent", at=NOON + timedelta(days=n)) for n in range(6)], {}, (Kind.AGAIN, "sato", 6)),
    ],
)  # fmt: skip
def test_what_is_unusual_is_named(entries: list[Entry], more: Mapping[str, Any], found: tuple[Kind, str, int]) -> None:
    assert kinds(look(*entries, **more)) == [found]


@pytest.mark.parametrize(
    "entries",
    [
        [entry(n, "account.refused", actor="nobody", about="sato") for n in range(5)],
        [entry(n, "play.intent", about=f"r{n}") for n in range(30)],
        [entry(n, "play.intent", about=f"r{n}", at=NOON + timedelta(days=n % 2)) for n in range(60)],
        [entry(n, "play.intent", at=NOON + timedelta(days=n)) for n in range(5)],
        [entry(0, "keys.tested", slots=9, foreign=[])],
    ],
)
def test_what_is_just_below_is_not(entries: list[Entry]) -> None:
    assert look(*entries).unusual == ()


@pytest.mark.rule("B-30")
def test_who_listens_to_calls_of_their_own_shows() -> None:
    policy = POLICY.model_copy(update={"own": (Own(account="sato", phones=("2201",)),)})
    plays = (
        entry(0, "play.intent", about="r1"),
        entry(1, "play.intent", about="r2"),
        entry(2, "play.intent", "kato", about="r1"),
    )
    assert kinds(look(*plays, policy=policy, phones={"r1": "2201", "r2": "2202"})) == [(Kind.OWN, "sato", 1)]
    assert look(*plays, policy=policy, phones={"r1": None}).unusual == ()


def test_the_day_is_that_of_japan() -> None:
    at = datetime(2027, 4, 5, 15, 30, tzinfo=UTC)  # half past midnight there
    (one,) = look(entry(0, "play.intent", at=at), usual=False).unusual
    assert one.day == date(2027, 4, 6)


@given(st.permutations(range(6)))
def test_the_digest_is_of_what_is_said_and_not_of_its_order(order: list[int]) -> None:
    entries = [entry(n, "act.denied", actor=f"a{n % 2}", act=f"act{n % 3}") for n in range(6)]
    assert look(*entries).digest == look(*entries).digest
    shuffled = [entries[place] for place in order]
    assert {one.count for one in look(*shuffled).unusual} == {1}


# --- months -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["2027", "2027-13", "2027-00", "2027-4", "1999-04", "２０２７-04", "2027-04-01", ""])
def test_what_is_no_month(text: str) -> None:
    with pytest.raises(UsageError, match="is no month"):
        Month.parse(text)


def test_a_month_is_one_of_japan() -> None:
    assert Month.of(datetime(2027, 4, 30, 15, tzinfo=UTC)) == Month(2027, 5)
    assert str(Month(2027, 12).next) == "2028-01"
    assert Month(2028, 2).end - Month(2028, 2).start == timedelta(days=29)


@pytest.mark.rule("B-30")
@pytest.mark.parametrize(
    ("now", "reviewed", "found"),
    [
        (datetime(2027, 5, 10, 23, 59, tzinfo=JST), [], []),
        (datetime(2027, 5, 11, tzinfo=JST), [], ["2027-04"]),
        (datetime(2027, 7, 11, tzinfo=JST), ["2027-05"], ["2027-04", "2027-06"]),
        (datetime(2027, 7, 10, tzinfo=JST), ["2027-04", "2027-05"], []),
    ],
)
def test_what_was_not_looked_through_in_time(now: datetime, reviewed: list[str], found: list[str]) -> None:
    begun = datetime(2027, 4, 20, tzinfo=JST)
    assert [str(one) for one in missing(begun, reviewed, now, 10)] == found


# --- signing for it ---------------------------------------------------------------------------------------------------


@dataclass
class Log:
    """The office's log at a time that a test sets."""

    office: Office
    at: datetime = datetime(2026, 4, 1, 12, tzinfo=JST)

    def reviewing(self) -> Reviewing:
        return reviewing_of(self.office.desk, shipped())

    def write(self, action: str, actor: str = "sato", at: datetime | None = None, **detail: Any) -> None:
        self.at = at or self.at
        self.office.desk.log(action, "x", detail, actor=actor)


@pytest.fixture
def log(office: Office) -> Log:
    made = Log(office)
    office.desk.now = lambda: made.at
    return made


APRIL26, MAY26 = Month(2026, 4), Month(2026, 5)


@pytest.mark.rule("B-30")
async def test_from_the_first_entry_month_by_month(log: Log) -> None:
    reviewing = log.reviewing()
    assert await reviewing.next() == APRIL26
    log.write("act.denied", act="recordings.play")
    log.at = datetime(2026, 5, 3, tzinfo=JST)
    log.write("recordings.searched")
    report = await reviewing.report(APRIL26)
    assert kinds(report) == [(Kind.DENIED, "sato", 1)]
    await reviewing.sign_off(APRIL26, report.digest, "tanaka")
    (line,) = log.office.entries("log.reviewed")
    assert line == {"first": report.first, "next": report.next, "unusual": 1, "sha256": report.digest}
    assert await reviewing.next() == MAY26
    assert (await reviewing.report(APRIL26)).digest == report.digest, "it stays what was signed for"
    assert (await reviewing.report(MAY26)).first == report.next


@pytest.mark.rule("B-07", "B-30")
async def test_what_was_written_while_the_clock_was_wrong_is_in_the_next_one(log: Log) -> None:
    reviewing = log.reviewing()
    log.at = datetime(2026, 5, 3, tzinfo=JST)
    await reviewing.sign_off(APRIL26, (await reviewing.report(APRIL26)).digest, "tanaka")
    log.write("act.denied", at=datetime(2026, 4, 7, tzinfo=JST), act="recordings.play")
    log.at = datetime(2026, 5, 9, tzinfo=JST)
    assert kinds(await reviewing.report(MAY26)) == [(Kind.DENIED, "sato", 1)]
    assert kinds(await reviewing.report(APRIL26)) == []


async def test_nobody_signs_for_what_is_not_over_not_next_not_the_same_or_signed(log: Log) -> None:
    reviewing = log.reviewing()
    digest = (await reviewing.report(APRIL26)).digest
    with pytest.raises(UsageError, match="2026-04 is not over yet"):
        await reviewing.sign_off(APRIL26, digest, "tanaka")
    with pytest.raises(UsageError, match="2026-05 has not begun"):
        await reviewing.report(MAY26)
    log.at = datetime(2026, 6, 3, tzinfo=JST)
    with pytest.raises(UsageError, match="2026-04 comes before 2026-05"):
        await reviewing.sign_off(MAY26, digest, "tanaka")
    log.write("act.denied", at=datetime(2026, 4, 30, tzinfo=JST), act="recordings.play")
    log.at = datetime(2026, 6, 3, tzinfo=JST)
    with pytest.raises(UsageError, match="the report of 2026-04 is another one by now"):
        await reviewing.sign_off(APRIL26, digest, "tanaka")
    await reviewing.sign_off(APRIL26, (await reviewing.report(APRIL26)).digest, "tanaka")
    with pytest.raises(UsageError, match="2026-04 was looked through by tanaka on 2026-06-03"):
        await reviewing.sign_off(APRIL26, digest, "tanaka")
    assert [str(one) for one in reviewing.missing()] == []
    log.at = datetime(2026, 6, 11, tzinfo=JST)
    assert [str(one) for one in reviewing.missing()] == ["2026-05"]


async def test_a_play_over_the_end_of_the_month_is_no_interrupted_one(log: Log) -> None:
    log.write("play.intent", at=datetime(2026, 4, 30, 19, 59, tzinfo=JST), act="a")
    log.write("play.result", at=datetime(2026, 5, 1, 0, 1, tzinfo=JST), act="a", seconds=1.0)
    found = (await log.reviewing().report(APRIL26)).unusual
    assert [one for one in found if one.what is Kind.INTERRUPTED] == []
    log.write("play.intent", at=datetime(2026, 4, 30, 19, 59, tzinfo=JST), act="b")
    (one,) = [one for one in (await log.reviewing().report(APRIL26)).unusual if one.what is Kind.INTERRUPTED]
    assert isinstance(one, Unusual)


@pytest.mark.parametrize(
    ("at", "usual"),
    [
        (datetime(2026, 4, 6, 7, 1, tzinfo=JST), True), (datetime(2026, 4, 6, 6, 59, tzinfo=JST), False),
        (datetime(2026, 4, 6, 20, 59, tzinfo=JST), True), (datetime(2026, 4, 6, 21, 1, tzinfo=JST), False),
        (datetime(2026, 6, 14, 12, 0, tzinfo=JST), False),
    ],
)  # fmt: skip
async def test_an_hour_around_the_opening_hours_is_usual(log: Log, at: datetime, usual: bool) -> None:
    log.write("play.intent", at=at, act="a")
    log.write("play.result", at=at, act="a")
    found = [one.what for one in (await log.reviewing().report(Month.of(at))).unusual]
    assert found == ([] if usual else [Kind.OUT_OF_HOURS])
