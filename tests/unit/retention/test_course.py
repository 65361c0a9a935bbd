"""What becomes of a recording: each rule and decided reading once, and what must hold whatever happens."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter

from policies.calendar import JST
from policies.load import Policies, shipped
from policies.retention import AtExpiry, MediumFrom, Retention
from retention.course import TYPES, Course, Event, Reason, Recorded, course
from retention.period import day_of, over

POLICY = Policies(shipped()).retention
ENDED = "2026-01-15T10:00:00+09:00"
FIRST, SECOND, END = date(2026, 7, 15), date(2027, 1, 15), datetime(2027, 1, 16, tzinfo=JST)


def at(day: str) -> str:
    return f"{day}T09:00:00+09:00"


def of(*events: dict[str, Any], ended: str = ENDED, policy: Retention = POLICY) -> Course:
    return course(Recorded.model_validate({"id": "1", "recorded_at": ended, "events": events}), policy)


def happened(kind: str, day: str, **more: Any) -> dict[str, Any]:
    return {"type": kind, "at": at(day), **more}


def erasure(asked: str, decided: str, decision: str = "approved") -> dict[str, Any]:
    return happened("erase_request", asked, decision=decision, decided_at=at(decided))


def with_policy(part: str, **values: Any) -> Retention:
    return POLICY.model_copy(update={part: getattr(POLICY, part).model_copy(update=values)})


def reasons(found: Course) -> list[Reason]:
    return [why.reason for why in found.why]


def test_it_is_kept_twice_six_months_and_erased() -> None:
    found = of()
    assert (found.primary_until, found.secondary_until, found.erased_at) == (FIRST, SECOND, END)
    assert (found.external_until, found.refused) == (None, ())
    assert reasons(found) == [Reason.FIRST, Reason.SECOND, Reason.EXPIRED]


def test_the_second_period_follows_the_first() -> None:
    found = of(ended="2026-08-30T23:59:59+09:00")
    assert (found.primary_until, found.secondary_until) == (date(2027, 2, 28), date(2027, 8, 31))
    later = of(ended="2026-08-30T15:00:00Z")
    assert later.primary_until == date(2027, 2, 28), "31 August in Japan"


def test_what_is_older_than_the_rule_says_so() -> None:
    assert reasons(of(ended="2025-11-30T23:59:59+09:00"))[0] is Reason.BEFORE_RULE
    assert Reason.BEFORE_RULE not in reasons(of(ended="2025-12-01T00:00:00+09:00"))


def test_a_hold_stops_the_erasure_until_it_is_released() -> None:
    hold = happened("hold", "2026-03-01")
    held = of(hold)
    assert (held.erased_at, held.secondary_until, reasons(held)[-1]) == (None, SECOND, Reason.HELD)
    assert of(hold, happened("release", "2026-12-01")).erased_at == END
    late = of(hold, happened("release", "2027-03-01"))
    assert (late.erased_at, late.secondary_until) == (datetime.fromisoformat(at("2027-03-01")), SECOND)


def test_each_hold_is_released_on_its_own() -> None:
    first, second = happened("hold", "2026-03-01", id="a"), happened("hold", "2026-04-01", id="b")
    one = of(first, second, happened("release", "2026-05-01", id="b"))
    assert one.erased_at is None
    assert of(first, second, happened("release", "2026-05-01")).erased_at is None, "the oldest alone"
    assert of(first, second, happened("release", "2026-05-01", id="c")).erased_at is None
    assert of(
        first, second, happened("release", "2026-05-01", id="b"), happened("release", "2026-05-02", id="a")
    ).erased_at == END  # fmt: skip


def test_a_release_without_a_name_ends_the_oldest_hold_and_one_of_no_hold_is_said_to_be_none() -> None:
    first, second = happened("hold", "2026-03-01", id="a"), happened("hold", "2026-04-01")
    release, named = happened("release", "2026-05-01"), happened("release", "2026-05-02", id="a")
    found = of(first, second, release, named)
    assert (found.erased_at, Reason.NO_SUCH in reasons(found)) == (None, True), "the one without a name is still there"
    assert of(first, second, named, happened("release", "2026-05-03")).erased_at == END
    assert Reason.NO_SUCH in reasons(of(happened("disclosed", "2026-05-01")))


def test_what_is_erased_is_not_said_to_be_kept() -> None:
    save, gone = happened("external_save", "2026-03-01"), happened("destroy_medium", "2031-03-02")
    found = of(happened("hold", "2026-02-01"), save, gone)
    assert found.erased_at == END
    assert not {Reason.HELD, Reason.PENDING, Reason.UNDECIDED} & set(reasons(found))


def test_what_is_held_and_saved_goes_on_its_ordinary_day_and_the_medium_carries_on() -> None:
    hold, save = happened("hold", "2026-03-01"), happened("external_save", "2026-03-05")
    before = happened("external_save", "2026-02-01")
    for events, until in (
        ((hold, save), date(2031, 3, 5)),
        ((save, hold), date(2031, 3, 5)),
        ((before, hold), date(2031, 2, 1)),
    ):
        found = of(*events)
        assert (found.erased_at, found.external_until) == (END, until)
    late = of(hold, happened("external_save", "2027-02-01"))
    assert (late.erased_at, late.external_until) == (datetime.fromisoformat(at("2027-02-01")), date(2032, 2, 1))
    kept = with_policy("at_expiry", saved_hold=AtExpiry.STOPS)
    assert of(hold, save, policy=kept).erased_at is None


def test_the_years_of_a_medium_count_from_the_day_after_or_from_april() -> None:
    save = happened("external_save", "2026-04-01")
    april = with_policy("media", counted_from=MediumFrom.FISCAL_YEAR)
    assert of(save).external_until == date(2031, 4, 1)
    assert of(save, policy=april).external_until == date(2032, 3, 31)
    assert of(happened("external_save", "2026-03-31"), policy=april).external_until == date(2031, 3, 31)
    assert of(save, happened("external_save", "2026-05-01")).external_until == date(2031, 5, 1), "the last of them"


def test_nothing_is_saved_that_was_erased() -> None:
    found = of(happened("external_save", "2027-02-01"))
    assert (found.refused, found.external_until) == ((0,), None)
    midnight = {"type": "external_save", "at": END.isoformat()}
    assert of(midnight).refused == (0,), "a period ends with its last day"
    before = {"type": "external_save", "at": (END - timedelta(microseconds=1)).isoformat()}
    assert of(before).refused == ()


def test_an_approved_request_erases_at_once() -> None:
    found = of(erasure("2026-03-01", "2026-03-04"))
    assert (found.erased_at, found.secondary_until) == (datetime.fromisoformat(at("2026-03-04")), None)
    moved = of(erasure("2026-07-10", "2026-08-04"))
    assert moved.secondary_until == SECOND
    day = of({"type": "erase_request", "at": ENDED, "decision": "approved", "decided_at": over(FIRST).isoformat()})
    assert day.secondary_until == SECOND, "it would have moved at that moment"
    for decision in ("refused", "not_applicable"):
        assert of(erasure("2026-03-01", "2026-03-04", decision)).erased_at == END


def test_an_undecided_request_stops_nothing_unless_policy_says_so() -> None:
    asked, stops = happened("erase_request", "2027-01-10"), with_policy("at_expiry", undecided_erasure=AtExpiry.STOPS)
    assert of(asked).erased_at == END
    assert of(asked, policy=stops).erased_at is None
    decided = erasure("2027-01-10", "2027-02-10", "refused")
    assert of(decided).erased_at == END
    assert of(decided, policy=stops).erased_at == datetime.fromisoformat(at("2027-02-10"))


def test_nothing_is_erased_under_a_hold() -> None:
    found = of(happened("hold", "2026-03-01"), erasure("2026-03-02", "2026-03-04"), happened("release", "2026-03-09"))
    assert (found.refused, found.erased_at) == ((1,), END)
    before = of(happened("hold", "2026-03-05"), erasure("2026-03-02", "2026-03-04"))
    assert (before.refused, before.erased_at) == ((), datetime.fromisoformat(at("2026-03-04")))
    during = of(erasure("2026-03-02", "2026-03-04"), happened("hold", "2026-03-03"))
    assert during.refused == (0,), "the decision counts, not the request"


def test_a_request_of_what_is_gone_is_without_effect() -> None:
    found = of(erasure("2026-03-01", "2026-03-04"), erasure("2026-03-01", "2026-03-05"))
    assert (found.refused, found.erased_at) == ((), datetime.fromisoformat(at("2026-03-04")))
    assert reasons(found)[-1] is Reason.GONE
    saved = of(happened("external_save", "2026-02-01"), erasure("2026-03-01", "2026-03-04"))
    assert (saved.external_until, reasons(saved)[-1]) == (date(2031, 2, 1), Reason.REMAKE)


def test_a_pending_disclosure_stops_the_erasure_until_it_is_carried_out() -> None:
    asked, granted = happened("disclosure_request", "2027-01-10"), ("disclosure_decided", "2027-01-20")
    assert of(asked).erased_at is None
    assert of(asked, happened(*granted, decision="granted")).erased_at is None
    refused = of(asked, happened(*granted, decision="refused"))
    assert refused.erased_at == datetime.fromisoformat(at("2027-01-20"))
    done = of(asked, happened(*granted, decision="granted"), happened("disclosed", "2027-02-02"))
    assert done.erased_at == datetime.fromisoformat(at("2027-02-02"))
    assert of(asked, policy=with_policy("at_expiry", pending_disclosure=AtExpiry.NOTHING)).erased_at == END
    both = of(asked, happened("hold", "2027-01-11"), happened("disclosed", "2027-02-02"))
    assert (both.erased_at, reasons(both)[-1]) == (None, Reason.HELD)


def test_a_medium_is_destroyed_after_its_last_day() -> None:
    save = happened("external_save", "2026-02-01")
    assert of(save, happened("destroy_medium", "2031-02-01")).refused == (1,)
    assert of(save, happened("destroy_medium", "2031-02-02")).refused == ()
    assert of(save, *[happened("destroy_medium", "2031-02-02")] * 2).refused == (2,)
    assert of(happened("destroy_medium", "2031-02-02")).refused == (0,)


def test_a_medium_is_kept_longer_by_an_extension_and_never_shorter() -> None:
    save = happened("external_save", "2026-02-01")

    def longer(day: str, until: str = "2033-03-31") -> dict[str, Any]:
        return happened("extension", day, until=until, basis="34条1号")

    assert of(save, longer("2030-01-01")).external_until == date(2033, 3, 31)
    late = of(save, longer("2031-05-01"), happened("destroy_medium", "2033-03-31"))
    assert (late.external_until, late.refused) == (date(2033, 3, 31), (2,))
    again = of(save, longer("2030-01-01"), longer("2033-01-01", "2035-03-31"))
    assert again.external_until == date(2035, 3, 31)
    assert of(save, longer("2030-01-01", "2030-12-31")).refused == (1,)
    assert of(longer("2030-01-01")).refused == (0,)
    gone = of(save, happened("destroy_medium", "2031-02-02"), longer("2031-02-03"))
    assert (gone.refused, gone.external_until) == ((2,), date(2031, 2, 1))
    assert of(save, longer("2031-05-01"), policy=with_policy("media", extended_late=False)).refused == (1,)


KINDS: TypeAdapter[Event] = TypeAdapter(Event)


@st.composite
def events(draw: st.DrawFn) -> dict[str, Any]:
    kind = draw(st.sampled_from(TYPES))
    moment = draw(st.datetimes(datetime(2026, 1, 15, 10), datetime(2034, 1, 1)))  # noqa: DTZ001  # in Japan
    made: dict[str, Any] = {"type": kind, "at": moment.replace(tzinfo=JST)}
    if kind == "erase_request":
        made["decision"] = draw(st.sampled_from([None, "approved", "refused", "not_applicable"]))
        if made["decision"]:
            made["decided_at"] = made["at"] + draw(st.timedeltas(timedelta(0), timedelta(days=90)))
    elif kind == "extension":
        made |= {"until": draw(st.dates(date(2026, 1, 1), date(2040, 1, 1))), "basis": "34条"}
    elif kind == "disclosure_decided":
        made["decision"] = draw(st.sampled_from(["granted", "refused"]))
    return made


@given(st.lists(events(), max_size=12))
def test_never_sooner_unless_somebody_approved_it_and_never_while_something_stops_it(
    given: list[dict[str, Any]],
) -> None:
    found = of(*given)
    approved = {each["decided_at"] for each in given if each.get("decision") == "approved"}
    assert (found.primary_until, found.secondary_until) in ((FIRST, SECOND), (FIRST, None))
    if found.erased_at is not None:
        assert found.erased_at >= END or found.erased_at in approved
    assert set(found.refused) <= set(range(len(given)))
    for place in found.refused:
        assert given[place]["type"] in ("erase_request", "external_save", "extension", "destroy_medium")
    if found.external_until is not None:
        assert found.external_until >= min(
            day_of(each["at"]).replace(year=each["at"].year + 5)
            if (each["at"].month, each["at"].day) != (2, 29) else date(each["at"].year + 5, 2, 28)
            for each in given if each["type"] == "external_save"
        )  # fmt: skip


@given(st.lists(events(), max_size=12))
def test_what_is_refused_changes_nothing(given: list[dict[str, Any]]) -> None:
    found = of(*given)
    allowed = of(*(each for place, each in enumerate(given) if place not in found.refused))
    assert allowed.refused == ()
    assert (allowed.primary_until, allowed.secondary_until, allowed.erased_at, allowed.external_until) == (
        found.primary_until, found.secondary_until, found.erased_at, found.external_until
    )  # fmt: skip


@given(st.lists(events(), max_size=8, unique_by=lambda each: each["at"]), st.randoms())
def test_the_order_of_the_list_does_not_count(given: list[dict[str, Any]], chance: Any) -> None:
    ends = [each.get("decided_at", each["at"]) for each in given]
    if len({*ends}) < len(ends):
        return
    shuffled = list(given)
    chance.shuffle(shuffled)
    first, second = of(*given), of(*shuffled)
    assert (first.erased_at, first.external_until) == (second.erased_at, second.external_until)


def test_an_instant_without_a_zone_is_japan_s() -> None:
    assert of(ended="2026-01-15T23:59:59").primary_until == FIRST
    assert course(Recorded(id=1, recorded_at=datetime(2026, 1, 15, 14, 59, tzinfo=UTC)), POLICY).primary_until == FIRST
