"""Lines of decisions: who may decide, and what is wrong with a line."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyError
from policies.overrides import parse

GOOD = {"from": "2026-08-13", "to": "2026-08-15", "kind": "closed", "by": "水道局長"}


def line(**more: object) -> str:
    return json.dumps(GOOD | more, ensure_ascii=False)


@pytest.mark.rule("A-13")
@pytest.mark.parametrize("by", ["課長", "お客さまサービス課長", "運営会社", "大阪市水道局長代理", "", None, "局長", 7])
def test_nobody_but_the_authority_decides(by: object) -> None:
    found = parse(line(by=by) + "\n" + line(), "f.jsonl", "水道局長")
    assert len(found.all) == 1
    assert len(found.refused) == 1
    assert str(found.refused[0]).startswith("f.jsonl:1: by: ")
    assert "水道局長 alone" in str(found.refused[0])


def test_nobody_else_takes_a_decision_back() -> None:
    text = "\n".join([line(id="a"), json.dumps({"revoke": "a", "by": "課長"})])
    found = parse(text, "f", "水道局長")
    assert not found.all[0].revoked
    assert len(found.refused) == 1


@pytest.mark.parametrize(
    ("more", "place", "says"),
    [
        ({"kind": "shut"}, "kind", "'shut' is none"),
        ({"kind": None}, "kind", "missing"),
        ({"from": "2026-02-30"}, "from", "is no time"),
        ({"from": None}, "from", "missing"),
        ({"to": 20260815}, "to", "is no time"),
        ({"to": "2026-08-12"}, "to", "does not come after"),
        ({"kind": "hours"}, "open", "missing"),
        ({"kind": "hours", "open": "10:00"}, "close", "missing"),
        ({"kind": "hours", "open": "15:00", "close": "10:00"}, "close", "does not come after"),
        ({"kind": "hours", "open": "10:00", "close": "25:00"}, "close", "is no time of day"),
        ({"kind": "closed", "open": "10:00"}, "open", "has no hours"),
        ({"revoked": 1}, "revoked", "is neither"),
        ({"revoke": "x"}, "revoke", "no override of that id"),
        ({"too": 1}, "too", "unknown"),
    ],
)
def test_a_line_that_cannot_be_read_is_named(more: dict[str, object], place: str, says: str) -> None:
    with pytest.raises(PolicyError, match=says) as error:
        parse(line() + "\n" + line(**more), "f.jsonl", "水道局長")
    assert error.value.where == f"f.jsonl:2: {place}"
    lenient = parse(line(**more) + "\n" + line(), "f.jsonl", "水道局長", strict=False)
    assert len(lenient.all) == 1, "what cannot be read hides nothing else"
    assert len(lenient.refused) == 1


@pytest.mark.parametrize("text", ["{", "[]", "null", '"x"', "[" * 100_000])
def test_what_is_no_object_is_named(text: str) -> None:
    with pytest.raises(PolicyError, match=r"f:2"):
        parse(f"\n{text}", "f", "水道局長")


def test_revoked_is_yes_no_or_when() -> None:
    found = parse("\n".join(line(revoked=value) for value in (True, False, None, "2026-08-14T12:00")), "f", "水道局長")
    spans = [override.span for override in found.all]
    assert spans[0] is None
    assert spans[1] == spans[2]
    assert spans[3] is not None
    assert spans[3][1].isoformat() == "2026-08-14T12:00:00+09:00"


@given(st.text(max_size=200))
def test_no_garbage_stops_who_must_answer(text: str) -> None:
    assert parse(text, "f", "水道局長", strict=False).all == ()
