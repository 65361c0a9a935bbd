"""Open or closed: tables that were read from the rules by somebody who did not see the code, and what holds always."""

import json
import shutil
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.calendar import JST, clock, clock_text, midnight
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.load import Policies, shipped
from policies.overrides import Overrides, moment, parse

VECTORS = Path(__file__).parents[2] / "vectors/hours"
POLICIES = Policies(shipped())
HOURS = POLICIES.opening_hours()

instants = st.integers(-10_000 * 86400, 33_000 * 86400).map(lambda second: datetime.fromtimestamp(second, JST))


def decided(*entries: dict[str, object]) -> OpeningHours:
    """The shipped hours with decisions of 水道局長."""
    text = "\n".join(json.dumps({"by": "水道局長"} | entry) for entry in entries)
    return POLICIES.opening_hours(parse(text, "test", *POLICIES.authorities))


def opens(hours: OpeningHours, at: str) -> bool:
    return hours.at(moment(at)).open


@pytest.mark.rule("A-08", "A-09", "A-10", "A-11", "L-12")
def test_the_table_of_instants() -> None:
    rows = [json.loads(line) for line in (VECTORS / "instants.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) > 300
    wrong = [row for row in rows if opens(HOURS, row["at"]) is not (row["state"] == "open")]
    assert not wrong


@pytest.mark.rule("A-13", "C-32")
def test_the_table_of_decisions_on_other_hours() -> None:
    wrong = []
    cases = json.loads((VECTORS / "overrides.json").read_text("utf-8"))
    assert len(cases) > 40
    for case in cases:
        hours = decided(*({"by": None} | entry for entry in case["overrides"]))
        wrong += [
            (case["name"], check)
            for check in case["checks"]
            if opens(hours, check["at"]) is not (check["state"] == "open")
        ]
    assert not wrong


@pytest.mark.rule("A-22")
def test_the_table_of_business_days() -> None:
    rows = json.loads((VECTORS / "business.json").read_text("utf-8"))
    assert len(rows) >= 40
    wrong = [row for row in rows if str(HOURS.next_business_day(moment(row["at"]))) != row["next"]]
    assert not wrong


@pytest.mark.rule("A-22")
@pytest.mark.parametrize(
    ("at", "due"),
    [("2026-11-28T22:00", "2026-11-30"), ("2026-03-07T22:00", "2026-03-08"), ("2026-11-30T03:00", "2026-12-01")],
)
def test_what_the_night_took_is_due_on_the_next_day_of_business(at: str, due: str) -> None:
    assert str(HOURS.next_business_day(moment(at))) == due


@pytest.mark.parametrize(
    ("at", "rule", "name", "article"),
    [
        ("2026-12-30T08:30", "A-09", "year-end-open", "3条1項(2)"),
        ("2026-05-04T12:00", "A-10", "holiday", "3条1項(2)"),
        ("2026-05-06T12:00", "A-10", "substitute", "3条1項(2)"),
        ("2026-09-22T12:00", "A-10", "between", "3条1項(2)"),
        ("2023-01-02T12:00", "A-10", "substitute", "3条1項(2)"),
        ("2026-03-15T12:00", "A-09", "sunday-spring", "3条1項(2)"),
        ("2026-02-15T12:00", "A-11", "other", "3条1項"),
        ("2026-12-31T12:00", "A-11", "year-end", "3条1項"),
        ("2026-11-26T12:00", "A-08", "weekday", "3条1項(1)"),
    ],
)
def test_the_rule_that_decided(at: str, rule: str, name: str, article: str) -> None:
    reason = HOURS.at(moment(at)).reason
    assert (reason.rule, reason.name) == (rule, name)
    assert reason.basis == f"お客さまセンターに関する事務取扱要綱 {article}"


def test_until_is_the_next_moment_at_which_it_is_otherwise() -> None:
    shut = HOURS.at(moment("2026-12-31T10:00"))
    assert shut.until == moment("2027-01-01T09:00")
    assert HOURS.at(moment("2026-11-26T19:59:59")).until == moment("2026-11-26T20:00")


@given(instants)
def test_at_until_it_is_otherwise_and_a_second_before_it_is_not(at: datetime) -> None:
    state = HOURS.at(at)
    assert state.until is not None
    assert state.until > at
    assert HOURS.at(state.until).open is not state.open
    assert HOURS.at(state.until - timedelta(seconds=1)).open is state.open
    if not state.open:
        assert HOURS.next_opening(at) == state.until


@given(instants)
def test_the_same_instant_in_another_zone(at: datetime) -> None:
    assert HOURS.at(at.astimezone(UTC)) == HOURS.at(at)


overrides = st.lists(
    st.builds(
        lambda kind, day, length, opens, hours: (
            {
                "kind": kind,
                "from": (date(2026, 11, 1) + timedelta(days=day)).isoformat(),
                "to": (date(2026, 11, 1) + timedelta(days=day + length)).isoformat(),
            }
            | ({"open": f"{opens:02}:30", "close": f"{opens + hours:02}:00"} if kind != "closed" else {})
        ),
        st.sampled_from(["closed", "hours", "open"]),
        st.integers(0, 60),
        st.integers(0, 5),
        st.integers(0, 20),
        st.integers(1, 3),
    ),
    max_size=4,
)


@given(overrides, st.integers(0, 70 * 24 * 60))
def test_the_last_decision_on_a_moment_counts(entries: list[dict[str, str]], minute: int) -> None:
    at = midnight(date(2026, 11, 1)) + timedelta(minutes=minute)
    expected = HOURS.at(at).open
    for entry in entries:
        if entry["from"] <= at.date().isoformat() <= entry["to"]:
            inside = entry.get("open", "") <= f"{at:%H:%M}" < entry.get("close", "")
            expected = {"closed": False, "open": expected or inside, "hours": inside}[entry["kind"]]
    hours = decided(*entries)
    assert hours.at(at).open is expected
    spans = hours.day(at.date()).spans
    assert spans[0].start == 0
    assert spans[-1].end == 24 * 3600
    assert all(before.end == after.start for before, after in pairwise(spans))
    assert all(span.start < span.end for span in spans)


@given(overrides, st.integers(0, 70 * 24 * 60))
def test_until_is_right_among_decisions(entries: list[dict[str, str]], minute: int) -> None:
    hours = decided(*entries)
    at = midnight(date(2026, 11, 1)) + timedelta(minutes=minute)
    state = hours.at(at)
    assert state.until is not None
    assert hours.at(state.until).open is not state.open
    between = int((state.until - at).total_seconds() // 60)
    assert {hours.at(at + timedelta(minutes=later)).open for later in range(0, between, 7)} <= {state.open}


def test_thousands_of_decisions_of_before_are_not_looked_through_for_each_moment() -> None:
    made = [
        {
            "id": f"a{n}",
            "kind": "closed",
            "from": (day := (date(2016, 1, 1) + timedelta(days=n)).isoformat()),
            "to": day,
        }
        for n in range(3000)
    ]
    hours = decided(*made, {"id": "long", "kind": "closed", "from": "2026-01-01", "to": "2040-01-01"})
    assert hours.at(moment("2027-05-06T10:00")).until is None
    assert len(hours._cuts) < 20, "of 400 days ahead each class is cut once"
    assert opens(hours, "2016-01-04T10:00") is False
    assert opens(hours, "2025-12-22T10:00") is True


def test_a_second_revocation_changes_nothing() -> None:
    whole = {"id": "a", "kind": "closed", "from": "2026-11-26", "to": "2026-11-26"}
    once = {"revoke": "a", "entered_at": "2026-11-26T10:00:00+09:00"}
    hours = decided(whole, once, once | {"entered_at": "2026-11-26T15:00:00+09:00"})
    assert [opens(hours, f"2026-11-26T{at}") for at in ("09:00", "10:00", "14:00", "16:00")] == [
        False,
        True,
        True,
        True,
    ]


def test_a_decision_counts_from_when_it_was_entered_until_it_was_revoked() -> None:
    whole = {"id": "a", "kind": "closed", "from": "2026-11-26", "to": "2026-11-27"}
    hours = decided(
        whole | {"entered_at": "2026-11-26T10:00:00.4+09:00"},
        {"revoke": "a", "entered_at": "2026-11-26T15:00:00.6+09:00"},
    )
    said = [opens(hours, f"2026-11-26T{at}") for at in ("09:59:59", "10:00:00", "14:59:59", "15:00:00")]
    assert said == [True, False, False, True]


@pytest.mark.rule("A-46")
def test_a_later_version_leaves_earlier_days_as_they_were(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(shipped(), folder)
    text = (folder / "hours.toml").read_text("utf-8")
    text = text.replace("effective_from = 2024-04-01", "effective_from = 2027-04-01")
    (folder / "hours-2027.toml").write_text(text.replace("08:00-20:00", "08:00-18:00"), "utf-8")
    hours = Policies(folder).opening_hours()
    assert opens(hours, "2027-03-31T19:00")
    assert not opens(hours, "2027-04-01T19:00")
    assert opens(hours, "2024-04-01T19:00")


def test_before_the_rules_the_first_one_is_taken_and_that_is_said() -> None:
    assert HOURS.at(moment("2024-03-31T12:00")).public()["in_force"] is False
    assert HOURS.at(moment("2024-04-01T12:00")).public()["in_force"] is True


@pytest.mark.rule("L-14")
def test_the_offices_have_other_days_than_the_centre() -> None:
    at = moment("2026-12-29T12:00")
    assert HOURS.at(at).open
    assert not HOURS.at(at, "office").open
    shut = decided({"kind": "closed", "from": "2026-11-26", "to": "2026-11-26"})
    assert shut.at(moment("2026-11-26T12:00"), "office").open, "nobody may override the offices' hours"


def test_a_calendar_that_never_changes_has_no_next_change() -> None:
    shut = decided({"kind": "closed", "from": "2020-01-01", "to": "2099-12-31"})
    state = shut.at(moment("2026-11-26T12:00"))
    assert state.until is None
    assert shut.next_opening(moment("2026-11-26T12:00")) is None
    assert shut.next_business_day(moment("2026-11-26T12:00")) is None


def test_whatever_is_asked_it_answers_to_the_end_of_time() -> None:
    assert HOURS.at(datetime(9998, 12, 31, tzinfo=JST)).until is not None
    assert HOURS.at(datetime(1900, 1, 1, tzinfo=JST)).day.holidays == "unknown"


@given(st.integers(0, 24 * 3600))
def test_a_time_of_day_as_it_is_written(seconds: int) -> None:
    assert clock(clock_text(seconds)) == seconds


@pytest.mark.parametrize("text", ["", "9", "24:01", "12:60", "25:00", "-1:00", "９:００", "09:00-17:00"])
def test_what_is_no_time_of_day(text: str) -> None:
    with pytest.raises(ValueError, match="is no time of day"):
        clock(text)


@pytest.mark.parametrize(
    ("old", "new", "says"),
    [
        ('hours = ["08:00-20:00"]', 'hours = ["20:00-08:00"]', "ends before it begins"),
        ('hours = ["08:00-20:00"]', 'hours = ["08:00-12:00", "11:00-20:00"]', "overlap"),
        ('hours = ["08:00-20:00"]', 'hours = ["8-20"]', "is no time of day"),
        ('dates = ["12-29", "12-30"]', 'dates = ["02-30"]', "is no day of the year"),
        ('name = "other"', 'name = "other"\nweekdays = ["sun"]', "must take every day that is left"),
        ('name = "saturday"', 'name = "holiday"', "named twice"),
        ('"calendar.centre.day.holiday.hours"', '"calendar.centre.day.x.hours"', "asks of"),
    ],
)  # fmt: skip
def test_hours_that_decide_nothing_or_twice_are_refused(tmp_path: Path, old: str, new: str, says: str) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(shipped(), folder)
    text = (folder / "hours.toml").read_text("utf-8")
    assert old in text
    (folder / "hours.toml").write_text(text.replace(old, new, 1), "utf-8")
    with pytest.raises(PolicyError, match=says) as refused:
        Policies(folder).opening_hours()
    assert "hours.toml" in str(refused.value)


def test_two_versions_from_one_day_are_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(shipped(), folder)
    shutil.copy(folder / "hours.toml", folder / "hours-again.toml")
    with pytest.raises(PolicyError, match="two versions"):
        Policies(folder).opening_hours()


def test_a_number_whose_hours_nobody_knows_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "policies"
    shutil.copytree(shipped(), folder)
    text = (folder / "numbers.toml").read_text("utf-8")
    (folder / "numbers.toml").write_text(text.replace('hours = "office"', 'hours = "ofice"'), "utf-8")
    with pytest.raises(PolicyError, match="no calendar 'ofice'"):
        Policies(folder).opening_hours()


def test_nobody_decides_where_the_policy_names_nobody() -> None:
    assert parse('{"from": "2026-01-01", "to": "2026-01-02", "kind": "closed", "by": ""}', "-", "").all == ()
    assert Overrides().find("") is None
