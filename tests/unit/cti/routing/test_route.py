"""Where a call goes: the second of its arrival decides, and whatever breaks closes no line."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from shutil import copytree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.hours import HoursBook, overrides_file
from cti.prompts import LANGUAGES, texts
from cti.routing.direct import FIELDS, Director
from cti.routing.route import LATE, Route, arrival, route
from policies.calendar import JST, midnight
from policies.load import Policies, shipped

POLICIES = Policies(shipped())
HOURS = POLICIES.opening_hours()
PLAN = POLICIES.plan
CENTRE, OFFICE = "0664581132", "0664587000"
UNSURE = "unsure,A-12,not-known,emergency,,"


def jst(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=JST)  # type: ignore[arg-type, misc]


def called(at: datetime) -> str:
    """The unique id of a channel that came at `at`."""
    return f"pbx1-{int(at.timestamp())}.7"


# --- arrival ----------------------------------------------------------------------------------------------------------


def test_the_second_of_the_unique_id_decides() -> None:
    came = jst(2027, 1, 5, 19, 59, 59)
    for late in (timedelta(0), timedelta(milliseconds=999), timedelta(seconds=1), LATE - timedelta(microseconds=1)):
        assert arrival(called(came), came + late) == came


def test_a_time_that_a_shared_clock_does_not_say_is_none() -> None:
    came = jst(2027, 1, 5, 19, 59, 59)
    for now in (came + LATE, came - timedelta(microseconds=1), came - timedelta(days=1), came + timedelta(days=1)):
        assert arrival(called(came), now) == now


@pytest.mark.parametrize(
    "uniqueid",
    ["", "-", ".", "pbx1", "pbx1-", "pbx1-.7", "pbx1-x.7", "pbx1--5.7", "pbx1-٣.7", "pbx1-1e9.7", "pbx1-999999999999.7",
     "pbx1-99999999999.7", "pbx1-0.7", "pbx1- 1798855200.7", "9" * 5000],
)  # fmt: skip
def test_an_id_that_says_no_time_is_now(uniqueid: str) -> None:
    now = jst(2027, 1, 5, 12)
    assert arrival(uniqueid, now) == now


def test_an_id_without_the_name_of_a_pbx_says_it_too() -> None:
    came = jst(2027, 1, 5, 12)
    assert arrival(called(came).removeprefix("pbx1-"), came + timedelta(seconds=2)) == came
    assert arrival(called(came).replace("pbx1", "pbx-east-1"), came + timedelta(seconds=2)) == came


@given(st.text() | st.integers(0, 2**40).map(lambda second: f"pbx1-{second}.1"), st.integers(0, 2**33))
def test_an_arrival_is_never_far_from_now(uniqueid: str, second: int) -> None:
    now = datetime.fromtimestamp(second, UTC)
    assert timedelta(0) <= now - arrival(uniqueid, now) < LATE


@given(st.integers(2**30, 2**33), st.integers(0, 59), st.integers(0, 999_999))
def test_an_arrival_is_the_second_that_the_id_names(second: int, late: int, part: int) -> None:
    now = datetime.fromtimestamp(second, UTC) + timedelta(seconds=late, microseconds=part)
    assert arrival(f"pbx1-{second}.99", now).timestamp() == second


# --- route ------------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-08")
@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (jst(2027, 1, 5, 7, 59, 59), Route.CLOSED),
        (jst(2027, 1, 5, 8), Route.CENTRE),
        (jst(2027, 1, 5, 19, 59, 59), Route.CENTRE),
        (jst(2027, 1, 5, 20), Route.CLOSED),
    ],
)
def test_a_weekday_is_open_from_eight_to_eight(at: datetime, expected: Route) -> None:
    made = route(CENTRE, at, PLAN, HOURS)
    assert (made.route, made.rule, made.why) == (expected, "A-08", "weekday")


def test_an_open_centre_needs_no_next_opening() -> None:
    made = route(CENTRE, jst(2027, 1, 5, 12), PLAN, HOURS)
    assert (made.urgent, made.opens) == ("emergency", None)


@pytest.mark.rule("A-07")
def test_a_closed_centre_leads_to_the_emergency_line_and_says_when_it_opens() -> None:
    night = route(CENTRE, jst(2027, 1, 5, 20), PLAN, HOURS)
    assert (night.urgent, night.opens) == ("emergency", jst(2027, 1, 6, 8))
    morning = route(CENTRE, jst(2027, 1, 5, 3), PLAN, HOURS)
    assert morning.opens == jst(2027, 1, 5, 8)


@pytest.mark.rule("A-11")
def test_after_the_last_day_of_december_it_opens_on_new_year_s_day() -> None:
    made = route(CENTRE, jst(2026, 12, 31, 12), PLAN, HOURS)
    assert (made.route, made.rule, made.why, made.opens) == (Route.CLOSED, "A-11", "year-end", jst(2027, 1, 1, 9))


@pytest.mark.rule("A-07", "L-14")
def test_while_the_centre_is_open_nobody_is_sent_to_the_emergency_line() -> None:
    evening = route(OFFICE, jst(2027, 1, 5, 18), PLAN, HOURS)
    assert (evening.route, evening.rule, evening.urgent) == (Route.CLOSED, "L-14", "centre")
    assert evening.opens == jst(2027, 1, 6, 9)
    night = route(OFFICE, jst(2027, 1, 5, 20), PLAN, HOURS)
    assert (night.route, night.urgent) == (Route.CLOSED, "emergency")
    assert route(OFFICE, jst(2027, 1, 5, 17, 29, 59), PLAN, HOURS).route is Route.CENTRE


@given(st.datetimes(datetime(2024, 4, 1), datetime(2030, 1, 1), timezones=st.just(JST)))  # noqa: DTZ001
def test_who_needs_help_is_sent_where_somebody_answers(at: datetime) -> None:
    for dialled in (CENTRE, OFFICE):
        made = route(dialled, at, PLAN, HOURS)
        if made.route is Route.CLOSED:
            assert made.urgent == ("centre" if HOURS.at(at).open else "emergency")
            assert made.opens is not None
            assert made.opens > at
            assert route(dialled, made.opens, PLAN, HOURS).route is Route.CENTRE
            assert route(dialled, made.opens - timedelta(seconds=1), PLAN, HOURS).route is Route.CLOSED


@pytest.mark.parametrize("dialled", [None, "", "s", "0612345678", "+81 6 0000 0000", "'; drop", "7000"])
def test_a_number_that_nobody_knows_has_the_centre_s_hours(dialled: str | None) -> None:
    assert route(dialled, jst(2027, 1, 5, 18), PLAN, HOURS).route is Route.CENTRE
    assert route(dialled, jst(2027, 1, 5, 20), PLAN, HOURS).route is Route.CLOSED


@pytest.mark.parametrize("dialled", ["0664587000", "06-6458-7000", "+81664587000", "+81 6 6458 7000"])
def test_a_number_is_known_however_it_is_written(dialled: str) -> None:
    assert route(dialled, jst(2027, 1, 5, 18), PLAN, HOURS).rule == "L-14"


# --- the gate's answer ------------------------------------------------------------------------------------------------


class Desk:
    """A folder of policies and one of decisions, a clock, and the director that goes by them."""

    def __init__(self, folder: Path, now: datetime) -> None:
        self.policies, self.hours, self.now = folder / "policies", folder / "hours", now.astimezone(UTC)
        copytree(shipped(), self.policies)
        self.hours.mkdir()
        self.director = Director(HoursBook(self.policies, self.hours), lambda: self.now)

    def decided(self, **more: object) -> None:
        entry = {"from": "2027-01-05", "to": "2027-01-05", "kind": "closed", "by": "水道局長"} | more
        with overrides_file(self.hours).open("a", encoding="utf-8") as file:
            file.write(json.dumps(entry) + "\n")

    def at(self, now: datetime, dialled: str | None = CENTRE) -> list[str]:
        self.now = now.astimezone(UTC)
        return self.director(called(now), dialled).split(",")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, jst(2027, 1, 5, 12))


def test_within_a_second_each_number_has_its_own_answer_and_the_next_second_another(desk: Desk) -> None:
    last = jst(2027, 1, 5, 19, 59, 59)
    asked = [(last, CENTRE), (last, OFFICE), (last, CENTRE), (last + timedelta(seconds=1), CENTRE), (last, CENTRE)]
    assert [desk.at(now, dialled)[0] for now, dialled in asked] == ["centre", "closed", "centre", "closed", "centre"]


@pytest.mark.rule("A-13")
def test_a_decision_counts_for_the_next_call_of_the_same_second(desk: Desk) -> None:
    assert desk.at(desk.now)[0] == "centre"
    desk.decided()
    assert desk.at(desk.now)[0] == "closed"


def test_open_is_six_fields_of_which_the_last_two_are_empty(desk: Desk) -> None:
    assert desk.director(called(desk.now), CENTRE) == "centre,A-08,weekday,emergency,,"


def test_closed_says_when_it_opens_in_both_languages(desk: Desk) -> None:
    said = desk.at(jst(2027, 1, 5, 20))
    assert said == [
        "closed", "A-08", "weekday", "emergency", "tomorrow&month-1&day-6&weekday-wed&am-8",
        "tomorrow&weekday-wed&month-1&day-6&am-8",
    ]  # fmt: skip


def test_who_called_in_time_is_in_time_though_the_gate_was_asked_later(desk: Desk) -> None:
    desk.now = jst(2027, 1, 5, 20, 0, 3).astimezone(UTC)
    assert desk.director(called(jst(2027, 1, 5, 19, 59, 59)), CENTRE).startswith("centre,")
    assert desk.director(called(jst(2027, 1, 5, 20)), CENTRE).startswith("closed,")


def test_tomorrow_becomes_today_at_midnight_in_japan(desk: Desk) -> None:
    assert desk.at(jst(2027, 1, 5, 23, 59, 59))[4].startswith("tomorrow&")
    assert desk.at(jst(2027, 1, 6, 0, 0))[4].startswith("today&")
    assert desk.at(jst(2027, 1, 6, 7, 59, 59))[5].startswith("today&")


def test_two_numbers_that_open_at_other_times_are_told_their_own(desk: Desk) -> None:
    for _ in range(2):
        assert desk.at(jst(2027, 1, 5, 23))[4].endswith("&am-8")
        assert desk.at(jst(2027, 1, 5, 23), OFFICE)[4].endswith("&am-9")


@pytest.mark.parametrize("calendar", [CENTRE, OFFICE])
def test_each_name_that_is_spoken_is_a_prompt(desk: Desk, calendar: str) -> None:
    known = texts()
    for number in range(366):
        for hour in (0, 20, 23):
            said = desk.at(midnight(date(2028, 1, 1) + timedelta(days=number)) + timedelta(hours=hour), calendar)
            assert len(said) == len(FIELDS) == 6
            if said[0] == "closed":
                for language, names in zip(LANGUAGES, said[4:], strict=True):
                    assert names
                    assert [name for name in names.split("&") if known[name].words(language) is None] == []


@pytest.mark.rule("A-13")
def test_a_decision_is_named_by_its_id(desk: Desk) -> None:
    desk.decided(id="20270105-3f2a")
    assert desk.at(jst(2027, 1, 5, 12))[:4] == ["closed", "A-13", "20270105-3f2a", "emergency"]


HOSTILE = ["a,b", "a&b", "${SHELL(reboot)}", "a b", "a\nb", 'a"b', "a)b", "停電", "", "x" * 41, "a/b", "a\\b", "a|b"]


@pytest.mark.parametrize("identity", [*HOSTILE, "a\n", "a;b", "２０２７"])
def test_an_id_that_could_steer_the_dialplan_is_not_said(desk: Desk, identity: str) -> None:
    desk.decided(id=identity)
    said = desk.at(jst(2027, 1, 5, 12))
    assert len(said) == 6
    # Without an id a decision is named by its line.
    assert said[:4] == ["closed", "A-13", "override" if identity else "1", "emergency"]


def test_whatever_is_dialled_the_answer_has_six_plain_fields(desk: Desk) -> None:
    for dialled in [*HOSTILE, None, CENTRE, OFFICE]:
        for now in (jst(2027, 1, 5, 12), jst(2027, 1, 5, 21)):
            said = desk.at(now, dialled)
            assert len(said) == 6
            assert all(character.isascii() and character.isprintable() for field in said for character in field)


# --- nothing closes the line ------------------------------------------------------------------------------------------


@pytest.mark.rule("A-12")
def test_policies_that_cannot_be_read_close_nothing(desk: Desk) -> None:
    (desk.policies / "hours.toml").write_text("basis = ")
    assert desk.director(called(desk.now), CENTRE) == UNSURE


@pytest.mark.rule("A-12")
def test_no_folder_of_policies_closes_nothing(tmp_path: Path) -> None:
    director = Director(HoursBook(tmp_path / "none", tmp_path / "nor-this"), lambda: jst(2027, 1, 5, 12))
    assert director("pbx1-1.1", CENTRE) == UNSURE


@pytest.mark.rule("A-12")
def test_a_number_of_hours_that_no_calendar_has_closes_nothing(desk: Desk) -> None:
    path = desk.policies / "numbers.toml"
    path.write_text(path.read_text("utf-8").replace('hours = "office"', 'hours = "nobody"'), "utf-8")
    assert desk.director(called(desk.now), OFFICE) == UNSURE


@pytest.mark.rule("A-12")
def test_a_calendar_that_is_lost_between_two_readings_closes_nothing(desk: Desk) -> None:
    desk.at(jst(2027, 1, 5, 12))
    book = desk.director._book
    assert book.plan is not None
    numbers = tuple(number.model_copy(update={"hours": "nobody"}) for number in book.plan.number)
    book.plan = book.plan.model_copy(update={"number": numbers})
    with pytest.raises(KeyError):
        route(CENTRE, jst(2027, 1, 5, 12), book.plan, HOURS)
    desk.now += timedelta(seconds=1)
    assert desk.director(called(desk.now), CENTRE) == UNSURE


@pytest.mark.rule("A-12")
def test_a_clock_beyond_the_calendar_closes_nothing(desk: Desk) -> None:
    desk.now = datetime(9999, 12, 31, 23, tzinfo=UTC)
    assert desk.director("x", CENTRE) == UNSURE


@given(uniqueid=st.text(), dialled=st.none() | st.text())
def test_nothing_that_a_call_says_of_itself_raises(uniqueid: str, dialled: str | None) -> None:
    director = Director(HoursBook(shipped(), Path("/nonexistent")), lambda: jst(2027, 1, 5, 21))
    assert director(uniqueid, dialled).startswith("closed,A-08,weekday,emergency,tomorrow&")
