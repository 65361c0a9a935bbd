"""Rings are counted as the caller hears them: one second on, two off (C-07)."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.answering import Answered, Rang, answering, count, rang
from cti.calls.said import said
from cti.steps import Step

AT = datetime(2027, 4, 1, 0, 0, tzinfo=UTC)
THREE = Rang(at=AT, limit=3, ring=timedelta(seconds=3))


def step(text: str) -> Step:
    found = said(text)
    assert found is not None
    return {"what": found.what, "values": dict(found.values), "at": AT.isoformat()}


def call(seconds: float | None, number: str = "0664587211") -> dict[str, Any]:
    record = {"number": number, "answered": None if seconds is None else AT + timedelta(seconds=seconds)}
    return record | answering(record, THREE)


@pytest.mark.rule("C-07")
@pytest.mark.parametrize(
    ("seconds", "rings", "in_time"),
    [(0, 1, True), (2.999, 1, True), (3, 2, True), (6, 3, True), (8.999, 3, True), (9, 4, False), (61, 21, False),
     (-0.2, 1, True)],
)  # fmt: skip
def test_the_ring_that_has_begun_counts(seconds: float, rings: int, in_time: bool) -> None:
    found = call(seconds)
    assert (found["rings"], found["in_time"], found["rang"]) == (rings, in_time, AT)


@given(st.integers(0, 120_000), st.integers(1, 59_999))
def test_rings_are_as_many_as_began(waited: int, ring: int) -> None:
    began = range(0, waited + 1, ring)
    found = Rang(at=AT, limit=3, ring=timedelta(milliseconds=ring)).rings(AT + timedelta(milliseconds=waited))
    assert found == len(began)


def test_nothing_is_said_where_nobody_answered_or_nothing_rang() -> None:
    assert call(None) | {"number": None} == {
        "number": None, "answered": None, "rang": AT, "rings": None, "in_time": None,
    }  # fmt: skip
    assert answering({"answered": AT}, None) == {"rang": None, "rings": None, "in_time": None}


def test_the_dialplan_says_what_was_promised_then() -> None:
    assert rang(step("ring/0664587211/3/3000")) == THREE
    assert rang(step("ring/0664587211/4/2500")) == Rang(at=AT, limit=4, ring=timedelta(seconds=2.5))


@pytest.mark.parametrize(
    "text",
    ["ring/0664587211", "ring/0664587211/3", "ring/0664587211//3000", "ring/0664587211/3/0", "ring/0664587211/3/-1",
     "ring/0664587211/x/3000", "ring/0664587211/3/99999999999", "key/menu/3"],
)  # fmt: skip
def test_what_says_no_ring_is_none(text: str) -> None:
    assert rang(step(text)) is None


@pytest.mark.rule("C-07")
def test_calls_are_counted_with_their_share() -> None:
    calls = [call(1), call(8), call(10), call(None), call(2, "0664581132")]
    found = count(calls, lambda record: str(record["number"]))
    assert list(found) == ["0664581132", "0664587211"]
    assert found["0664587211"] == Answered(rang=4, answered=3, in_time=2, longest=4)
    assert found["0664587211"].public() == {
        "rang": 4, "answered": 3, "in_time": 2, "longest": 4, "unanswered": 1, "share": 0.6667,
        "share_of_all": 0.5,
    }  # fmt: skip


def test_calls_that_never_rang_and_days_without_an_answer_have_no_share() -> None:
    assert count([{"rang": None}], lambda _call: "") == {}
    assert Answered(rang=2).public()["share"] is None
