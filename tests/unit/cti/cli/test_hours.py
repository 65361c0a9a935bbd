"""`kikitori hours` and `kikitori policy`: open or closed and why, and who may decide otherwise."""

import json
import os
import sys
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from cti import setup
from cti.hours import overrides_file
from cti.settings import FILE
from policies.calendar import JST
from policies.holidays import UNNAMED, parse_forecast
from policies.load import shipped
from policies.overrides import moment
from recorder.access.log import AccessLog
from tests.unit.cti.cli.conftest import Kikitori, Said
from tests.unit.recorder.rig import ram_folder

BUREAU = "お客さまセンターに関する事務取扱要綱"
KEYS = {
    "at", "state", "rule", "basis", "until", "class", "hours", "holiday", "holidays", "override", "in_force",
}  # fmt: skip
DECISION = {"from": "2026-12-28", "to": "2026-12-28", "kind": "closed", "by": "水道局長"}


def rows(said: Said) -> list[dict[str, Any]]:
    assert said.status == 0, said.err
    return [json.loads(line) for line in said.out.splitlines()]


def decisions(*entries: object, file: str = "d.jsonl") -> Path:
    path = Path(file)
    path.write_text(
        "".join(entry if isinstance(entry, str) else json.dumps(entry) + "\n" for entry in entries), "utf-8"
    )
    return path


@contextmanager
def typed(monkeypatch: pytest.MonkeyPatch, data: bytes) -> Iterator[None]:
    """`data` on standard input."""
    Path("stdin").write_bytes(data)
    with Path("stdin").open(encoding="utf-8") as file, monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", file)
        yield


# --- hours check ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-09")
def test_an_answer_is_one_line_of_json(kikitori: Kikitori) -> None:
    (row,) = rows(kikitori("hours", "check", "2025-12-30T08:59:59", "--json"))
    assert row.keys() == KEYS
    assert row == {
        "at": "2025-12-30T08:59:59+09:00", "state": "closed", "rule": "A-09", "basis": f"{BUREAU} 3条1項(2)",
        "until": "2025-12-30T09:00:00+09:00", "class": "year-end-open", "hours": "09:00-17:00", "holiday": None,
        "holidays": "table", "override": None, "in_force": True,
    }  # fmt: skip


def test_each_time_is_answered_in_its_place(kikitori: Kikitori) -> None:
    times = ["2026-12-28T07:59:59", "2026-12-28T08:00", "2026-12-31", "2026-12-28T19:59:59.999", "2026-12-28T20:00"]
    found = rows(kikitori("hours", "check", *times, "--json"))
    assert [row["state"] for row in found] == ["closed", "open", "closed", "open", "closed"]
    assert [row["rule"] for row in found] == ["A-08", "A-08", "A-11", "A-08", "A-08"]
    assert found[2]["at"] == "2026-12-31T00:00:00+09:00", "a day is its first moment"


def test_times_are_read_from_standard_input_among_the_others(
    kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch
) -> None:
    with typed(monkeypatch, b"2026-12-28T08:00\n\n   \n 2026-12-28T07:00 \r\n2026-12-28T09:00"):
        found = rows(kikitori("hours", "check", "2026-12-27", "-", "2026-12-31", "--json"))
    assert [row["at"][5:16] for row in found] == [
        "12-27T00:00", "12-28T08:00", "12-28T07:00", "12-28T09:00", "12-31T00:00",
    ]  # fmt: skip


def test_bytes_that_are_no_text_are_a_bad_time(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    with typed(monkeypatch, b"2026-12-28\n\xff\n"):
        said = kikitori("hours", "check", "-", "--json")
    assert (said.status, said.out) == (64, "")


def test_no_time_on_standard_input_is_no_answer(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    with typed(monkeypatch, b""):
        assert rows(kikitori("hours", "check", "-", "--json")) == []


@pytest.mark.parametrize(
    ("text", "state"),
    [
        ("2026-12-28T08:00", "open"),
        ("2026-12-28T08:00+09:00", "open"),
        ("2026-12-27T23:00Z", "open"),
        ("2026-12-27T23:00:00+00:00", "open"),
        ("2026-12-27T22:59:59Z", "closed"),
        ("2026-12-28T08:00Z", "open"),
        ("2026-12-28T08:00-03:00", "closed"),
        ("20261228T080000", "open"),
    ],
)
def test_a_time_without_a_zone_is_japan_s_and_one_with_a_zone_its_own(
    kikitori: Kikitori, text: str, state: str
) -> None:
    (row,) = rows(kikitori("hours", "check", text, "--json"))
    assert row["state"] == state
    assert row["at"].endswith("+09:00")


@pytest.mark.parametrize(
    "text",
    ["nope", "2026-13-01", "2026-02-29", "2026-12-28T25:00", "28.12.2026", "08:00", "1899-12-31", "9999-01-01", " "],
)
def test_a_bad_time_is_named_and_nothing_is_answered(kikitori: Kikitori, text: str) -> None:
    said = kikitori("hours", "check", "2026-12-28", text)
    assert (said.status, said.out) == (64, "")
    assert said.err.startswith("kikitori: TIME: ")
    assert text in said.err


def test_a_bad_time_on_standard_input_is_named_by_its_line(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    with typed(monkeypatch, b"2026-12-28\n\nnope\n2026-12-29\n"):
        said = kikitori("hours", "check", "-", "--json")
    assert (said.status, said.out) == (64, "")
    assert said.err.startswith("kikitori: standard input, line 3: 'nope")


def test_without_a_time_it_is_now(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cti.cli.hours.wall_clock", lambda: datetime(2026, 12, 28, 3, tzinfo=UTC))
    assert rows(kikitori("hours", "check", "--json"))[0]["at"] == "2026-12-28T12:00:00+09:00"


def test_people_read_a_table(kikitori: Kikitori) -> None:
    said = kikitori("hours", "check", "2026-12-30T18:00", "2026-12-28T12:00")
    assert said.status == 0
    first, second = said.out.splitlines()[1:]
    assert first.split()[:7] == ["2026-12-30", "(Wed)", "18:00:00", "closed", "2027-01-01", "(Fri)", "09:00"]
    assert second.split()[3:8] == ["open", "2026-12-28", "(Mon)", "20:00", "A-08"]
    assert BUREAU in first


@pytest.mark.rule("L-14")
def test_the_offices_have_a_calendar_of_their_own(kikitori: Kikitori) -> None:
    times = ("2026-12-28T17:29:59", "2026-12-28T17:30", "2026-12-29T10:00", "2027-01-01T10:00")
    office = rows(kikitori("hours", "check", *times, "--calendar", "office", "--json"))
    assert [row["state"] for row in office] == ["open", "closed", "closed", "closed"]
    assert {row["rule"] for row in office} == {"L-14"}
    assert {row["state"] for row in rows(kikitori("hours", "check", *times, "--json"))} == {"open"}


@pytest.mark.parametrize("verb", [("check",), ("explain",), ("year", "2026"), ("diff", "hours.toml", "hours.toml")])
def test_a_calendar_that_is_none(kikitori: Kikitori, verb: tuple[str, ...]) -> None:
    said = kikitori("hours", *verb, "--calendar", "nobody")
    assert (said.status, said.out) == (64, "")
    assert said.err == "kikitori: no calendar 'nobody': there are centre, office\n"


def test_a_folder_of_policies_that_is_not_there(kikitori: Kikitori) -> None:
    said = kikitori("hours", "check", "2026-12-28", "--policies", "nowhere")
    assert (said.status, said.out) == (1, "")
    assert "cannot be read" in said.err


# --- --overrides ------------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-13")
def test_a_decision_of_a_file_counts(kikitori: Kikitori) -> None:
    path = decisions(DECISION | {"id": "20261201-0001", "reason": "停電"})
    (row,) = rows(kikitori("hours", "check", "2026-12-28T10:00", "--overrides", path, "--json"))
    assert (row["state"], row["rule"], row["basis"], row["override"]) == (
        "closed", "A-13", f"{BUREAU} 3条2項", "20261201-0001",
    )  # fmt: skip
    assert row["until"] == "2026-12-29T09:00:00+09:00"


@pytest.mark.rule("A-13")
def test_a_decision_of_anybody_else_is_refused_and_the_others_count(kikitori: Kikitori) -> None:
    path = decisions(DECISION | {"by": "課長"}, "\n", DECISION | {"from": "2026-12-29", "to": "2026-12-29"})
    said = kikitori("hours", "check", "2026-12-28T10:00", "2026-12-29T10:00", "--overrides", path, "--json")
    assert [row["state"] for row in rows(said)] == ["open", "closed"]
    assert said.err == (
        f"kikitori: refused: {path}:1: by: '課長' does not count. Other hours are decided by 水道局長 alone\n"
    )


@pytest.mark.parametrize(
    ("line", "where"),
    [
        ("{\n", "d.jsonl:2: "),
        ("[]\n", "d.jsonl:2: "),
        (DECISION | {"to": "2026-12-28x"}, "d.jsonl:2: to: "),
        (DECISION | {"from": None}, "d.jsonl:2: from: "),
        (DECISION | {"to": "2026-12-27"}, "d.jsonl:2: to: "),
        (DECISION | {"kind": "shut"}, "d.jsonl:2: kind: "),
        (DECISION | {"kind": "hours", "open": "9"}, "d.jsonl:2: close: "),
        (DECISION | {"whom": 1}, "d.jsonl:2: whom: "),
        ({"revoke": "x", "by": "水道局長"}, "d.jsonl:2: revoke: "),
    ],
)
def test_a_line_that_cannot_be_read_is_named_with_its_field(kikitori: Kikitori, line: object, where: str) -> None:
    path = decisions(DECISION, line, DECISION)
    said = kikitori("hours", "check", "2026-12-28T10:00", "--overrides", path, "--json")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"kikitori: {where}")


def test_a_file_of_decisions_that_is_not_there(kikitori: Kikitori) -> None:
    said = kikitori("hours", "check", "2026-12-28", "--overrides", "none.jsonl")
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("kikitori: none.jsonl: cannot be read (No such file or directory)")


# --- hours explain ----------------------------------------------------------------------------------------------------


def explained(said: Said) -> list[str]:
    assert (said.status, said.err) == (0, "")
    return said.out.splitlines()


def test_an_explanation_names_the_rule_its_article_and_what_comes_next(kikitori: Kikitori) -> None:
    assert explained(kikitori("hours", "explain", "2025-12-28T10:00")) == [
        "2025-12-28 (Sun) 10:00:00: お客さまセンター is closed.",
        f"Class of day “日曜日”: closed all day (A-11, {BUREAU} 3条1項).",
        "It opens at 2025-12-29 (Mon) 09:00.",
    ]
    assert explained(kikitori("hours", "explain", "2025-12-26T10:00")) == [
        "2025-12-26 (Fri) 10:00:00: お客さまセンター is open.",
        f"Class of day “平日”: open 08:00-20:00 (A-08, {BUREAU} 3条1項(1)).",
        "It closes at 2025-12-26 (Fri) 20:00.",
    ]


def test_an_explanation_says_the_holiday_and_what_the_bureau_has_to_confirm(kikitori: Kikitori) -> None:
    said = "\n".join(explained(kikitori("hours", "explain", "2025-11-24T10:00")))
    assert "The day is a holiday: 振替休日 (振替休日)." in said
    assert "To be confirmed by the bureau: 振替休日の受付時間" in said
    assert "forecast" not in said


@pytest.mark.rule("A-10")
def test_a_forecast_and_what_nobody_knows_are_said(kikitori: Kikitori) -> None:
    forecast = "\n".join(explained(kikitori("hours", "explain", "2027-01-01T10:00")))
    assert "The holidays of that year are a forecast: the Cabinet Office's table does not reach it yet." in forecast
    unknown = "\n".join(explained(kikitori("hours", "explain", "2190-01-05T10:00")))
    assert "The holidays of that year are not known: neither a table nor a forecast reaches it." in unknown


@pytest.mark.rule("A-46")
def test_a_day_before_the_rules_is_said_to_be_one(kikitori: Kikitori) -> None:
    said = explained(kikitori("hours", "explain", "2024-03-29T10:00"))
    assert "No rules are known to have been in force on that day; those from 2024-04-01 (Mon) were taken." in said
    assert rows(kikitori("hours", "check", "2024-03-29", "2024-04-01", "--json"))[0]["in_force"] is False


@pytest.mark.rule("A-13")
def test_a_decision_is_explained_with_its_reason_and_what_was_without_it(kikitori: Kikitori) -> None:
    entry = DECISION | {
        "id": "20261201-0001", "reason": "停電のため", "entered_by": "os:sato", "entered_at": "2026-12-01T10:00",
    }  # fmt: skip
    said = explained(kikitori("hours", "explain", "2026-12-28T10:00", "--overrides", decisions(entry)))
    assert said[:3] == [
        "2026-12-28 (Mon) 10:00:00: お客さまセンター is closed.",
        f"水道局長 decided: closed from 2026-12-28 (Mon) 00:00 to 2026-12-29 (Tue) 00:00 (A-13, {BUREAU} 3条2項; "
        "decision 20261201-0001). Reason: 停電のため. Entered by os:sato at 2026-12-01 (Tue) 10:00:00.",
        f"Without it: Class of day “平日”: open 08:00-20:00 (A-08, {BUREAU} 3条1項(1)).",
    ]


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"kind": "hours", "open": "10:00", "close": "15:00"}, "水道局長 decided: open 10:00-15:00 only, from "),
        ({"kind": "open", "open": "20:00", "close": "23:00"}, "水道局長 decided: also open 20:00-23:00, from "),
        ({"kind": "open"}, "水道局長 decided: open from "),
    ],
)
def test_each_kind_of_decision_has_its_sentence(kikitori: Kikitori, more: dict[str, str], says: str) -> None:
    at = "2026-12-28T20:30"
    assert explained(kikitori("hours", "explain", at, "--overrides", decisions(DECISION | more)))[1].startswith(says)


def test_a_reason_steers_no_terminal_and_forges_no_sentence(kikitori: Kikitori) -> None:
    path = decisions(DECISION | {"reason": "\x1b[2J\n2026-12-28 (Mon) 10:00:00: お客さまセンター is open."})
    said = explained(kikitori("hours", "explain", "2026-12-28T10:00", "--overrides", path))
    assert not any("\x1b" in line for line in said)
    assert len([line for line in said if line.startswith("2026-12-28 (Mon) 10:00:00")]) == 1


def test_an_explanation_for_programs_has_the_answer_and_the_sentences(kikitori: Kikitori) -> None:
    (row,) = rows(kikitori("hours", "explain", "2027-01-02T10:00", "--json"))
    assert row.keys() == KEYS | {"sentences"}
    assert row["sentences"] == explained(kikitori("hours", "explain", "2027-01-02T10:00"))


# --- hours year -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("number", "count"), [(2028, 366), (2027, 365), (1900, 365), (9998, 365)])
def test_a_year_is_a_line_a_day(kikitori: Kikitori, number: int, count: int) -> None:
    found = rows(kikitori("hours", "year", number, "--json"))
    assert len(found) == len({row["date"] for row in found}) == count
    assert (found[0]["date"], found[-1]["date"]) == (f"{number}-01-01", f"{number}-12-31")
    assert [row["date"] for row in found] == sorted(row["date"] for row in found)


def test_a_day_of_a_year_says_what_it_is(kikitori: Kikitori) -> None:
    path = decisions(DECISION | {"id": "x1"}, DECISION | {"id": "x0"})
    by_date = {row["date"]: row for row in rows(kikitori("hours", "year", 2026, "--overrides", path, "--json"))}
    assert by_date["2026-01-01"] == {
        "date": "2026-01-01", "weekday": "thu", "hours": "09:00-17:00", "class": "holiday", "rule": "A-10",
        "holiday": "元日", "kind": "国民の祝日", "holidays": "forecast", "overrides": [], "in_force": True,
    }  # fmt: skip
    assert (by_date["2026-12-28"]["hours"], by_date["2026-12-28"]["overrides"]) == ("", ["x0"])
    assert by_date["2026-12-27"]["hours"] == ""


@pytest.mark.parametrize("number", ["1899", "9999", "x"])
def test_a_year_that_is_none(kikitori: Kikitori, number: str) -> None:
    said = kikitori("hours", "year", number)
    assert (said.status, said.out) == (2, "")
    assert "YEAR" in said.err


def test_people_see_a_year_at_a_glance(kikitori: Kikitori) -> None:
    said = kikitori(
        "hours", "year", 2028, "--overrides", decisions(DECISION | {"from": "2028-12-28", "to": "2028-12-28"})
    )
    text = said.out
    months = text.splitlines()[1:13]
    assert [len(line.split()[1]) for line in months] == [31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
    assert months[11].split()[1][27] == "*"
    counted = [int(line.split()[-2]) for line in text.splitlines() if line.endswith("days")]
    assert sum(counted) == 366
    assert "The holidays of that year are a forecast" in text


def unfolded(text: str) -> list[str]:
    """RFC 5545 3.1."""
    assert text.endswith("\r\n")
    assert "\n" not in text.replace("\r\n", "")
    assert "\r" not in text.replace("\r\n", "")
    assert max(len(line.encode()) for line in text.split("\r\n")) <= 75
    return text[:-2].replace("\r\n ", "").split("\r\n")


def events(text: str) -> list[dict[str, str]]:
    lines = unfolded(text)
    assert (lines[0], lines[-1]) == ("BEGIN:VCALENDAR", "END:VCALENDAR")
    assert lines.count("BEGIN:VEVENT") == lines.count("END:VEVENT")
    found: list[dict[str, str]] = []
    for line in lines[1:-1]:
        name, colon, value = line.partition(":")
        assert colon, line
        if line == "BEGIN:VEVENT":
            found.append({})
        elif found and line != "END:VEVENT":
            assert name not in found[-1]
            found[-1][name] = value
    return found


@pytest.fixture
def ics(kikitori: Kikitori) -> Callable[..., str]:
    """`ics(2028)`: a year's calendar file."""

    def made(*arguments: object) -> str:
        said = kikitori("hours", "year", *arguments, "--ics")
        assert (said.status, said.err) == (0, "")
        return said.out

    return made


@pytest.mark.parametrize("calendar", ["centre", "office"])
def test_a_calendar_file_has_one_event_for_each_interval(
    kikitori: Kikitori, ics: Callable[..., str], calendar: str
) -> None:
    entry = DECISION | {"kind": "open", "open": "21:00", "close": "22:00"}
    options = ("--calendar", calendar, "--overrides", decisions(entry))
    found = []
    for event in events(ics(2026, *options)):
        start, end = (
            datetime.strptime(event[name], "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).astimezone(JST)
            for name in ("DTSTART", "DTEND")
        )
        assert start.date() == end.date()
        assert event.keys() == {"UID", "DTSTAMP", "DTSTART", "DTEND", "SUMMARY", "DESCRIPTION"}
        found.append((start.date().isoformat(), f"{start:%H:%M}-{end:%H:%M}", event["UID"]))
    assert len({uid for *_, uid in found}) == len(found)
    expected = [
        (row["date"], interval)
        for row in rows(kikitori("hours", "year", 2026, "--json", *options))
        for interval in row["hours"].split(", ")
        if interval
    ]
    assert [(day, interval) for day, interval, _ in found] == expected
    assert (("2026-12-28", "21:00-22:00") in expected) is (calendar == "centre")


def test_a_calendar_file_escapes_what_would_be_read_as_its_own(
    ics: Callable[..., str], tmp_path: Path, kikitori: Kikitori
) -> None:
    folder = tmp_path / "p"
    folder.mkdir()
    for path in shipped().iterdir():
        (folder / path.name).write_bytes(path.read_bytes())
    hours = folder / "hours.toml"
    hours.write_text(hours.read_text("utf-8").replace('title = "お客さまセンター"', 'title = "a,b;c\\\\d"'), "utf-8")
    summary = events(ics(2025, "--policies", folder))[0]["SUMMARY"]
    assert summary.startswith("a\\,b\\;c\\\\d (")


def test_an_event_that_a_decision_made_names_the_decision(ics: Callable[..., str]) -> None:
    entry = DECISION | {"kind": "open", "from": "2026-12-31", "to": "2026-12-31", "open": "9:00", "close": "12:00"}
    (event,) = (e for e in events(ics(2026, "--overrides", decisions(entry))) if e["DTSTART"] == "20261231T000000Z")
    assert "A-13" in event["DESCRIPTION"]


# --- hours diff -------------------------------------------------------------------------------------------------------


def version(name: str, *changes: tuple[str, str]) -> Path:
    text = (shipped() / "hours.toml").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    Path(name).write_text(text, "utf-8")
    return Path(name)


SHORTER = (("effective_from = 2024-04-01", "effective_from = 2027-04-01"), ('"08:00-20:00"', '"09:00-18:00"'))


@pytest.mark.rule("A-46")
def test_the_days_that_a_new_version_changes(kikitori: Kikitori) -> None:
    path = version("hours-2027.toml", *SHORTER)
    found = rows(kikitori("hours", "diff", "hours.toml", path, "--days", "7", "--json"))
    assert [row["date"] for row in found] == [
        "2027-04-01", "2027-04-02", "2027-04-05", "2027-04-06", "2027-04-07",
    ]  # fmt: skip
    assert found[0] == {
        "date": "2027-04-01", "before": "08:00-20:00", "after": "09:00-18:00", "class_before": "weekday",
        "class_after": "weekday",
    }  # fmt: skip


def test_people_see_the_changes_by_class_of_day(kikitori: Kikitori) -> None:
    path = version("hours-2027.toml", *SHORTER)
    said = kikitori("hours", "diff", "hours.toml", path, "--from", "2027-04-01", "--days", "7")
    assert said.status == 0
    assert said.out.splitlines()[1].split()[:4] == ["平日", "08:00-20:00", "09:00-18:00", "5"]
    assert "2027-04-01 (Thu), 2027-04-02 (Fri), 2027-04-05 (Mon) ..." in said.out


def test_two_versions_that_are_alike(kikitori: Kikitori) -> None:
    said = kikitori("hours", "diff", "hours.toml", "hours.toml", "--from", "2027-01-01", "--days", "31")
    assert (said.status, said.out) == (
        0, "No day from 2027-01-01 (Fri) to 2027-01-31 (Sun) is treated differently.\n",
    )  # fmt: skip
    assert rows(kikitori("hours", "diff", "hours.toml", "hours.toml", "--json")) == []


def test_a_change_in_another_calendar_is_none_of_the_centre_s(kikitori: Kikitori) -> None:
    path = version("hours-b.toml", ('"09:00-17:30"', '"09:00-17:00"'))
    assert rows(kikitori("hours", "diff", "hours.toml", path, "--json")) == []
    assert rows(kikitori("hours", "diff", "hours.toml", path, "--calendar", "office", "--json"))


@pytest.mark.parametrize("names", [("nope.toml", "hours.toml"), ("hours.toml", "nope.toml")])
def test_a_version_that_is_none_is_named(kikitori: Kikitori, names: tuple[str, str]) -> None:
    said = kikitori("hours", "diff", *names)
    assert (said.status, said.out) == (64, "")
    assert said.err == "kikitori: no version 'nope.toml': neither a file nor one of hours.toml\n"


def test_a_version_that_cannot_be_used_is_named_with_line_and_field(kikitori: Kikitori) -> None:
    path = version("hours-b.toml", ('basis = "A-08"', 'basis = "8"'))
    said = kikitori("hours", "diff", "hours.toml", path)
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith("kikitori: hours-b.toml:")
    assert "basis" in said.err


def test_the_last_days_of_the_calendar_can_be_compared(kikitori: Kikitori) -> None:
    said = kikitori("hours", "diff", "hours.toml", "hours.toml", "--from", "9998-06-01")
    assert said.status in (0, 64)


# --- policy open-questions --------------------------------------------------------------------------------------------


@pytest.mark.rule("A-45")
def test_every_open_question_of_every_file_is_listed_with_its_value(kikitori: Kikitori) -> None:
    found = rows(kikitori("policy", "open-questions", "--json"))
    assert {row.keys() == {"file", "key", "value", "question", "basis", "decided_by"} for row in found} == {True}
    asked = {
        (path.name, key, question)
        for path in shipped().glob("*.toml")
        for key, question in tomllib.loads(path.read_text("utf-8")).get("open_questions", {}).items()
    }
    assert {(row["file"], row["key"], row["question"]) for row in found} == asked
    assert len(found) == len(asked)
    values = {(row["file"], row["key"]): row["value"] for row in found}
    assert values["hours.toml", "calendar.centre.day.holiday.hours"] == "09:00-17:00"
    assert values["hours.toml", "calendar.centre.day.year-end.hours"] == "-"
    assert values["hours.toml", "calendar.centre.next_business_day"] == "after-day"
    assert values["hours.toml", "effective_from"] == "2024-04-01"
    assert values["numbers.toml", "group.emergency.phones"] == "3901"
    assert values["routing.toml", "announcement.recorded"] == "true"
    assert all(row["value"] and row["basis"] and row["decided_by"] for row in found)


def test_people_read_the_open_questions_in_a_table(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "400")
    said = kikitori("policy", "open-questions")
    assert said.status == 0
    for row in rows(kikitori("policy", "open-questions", "--json")):
        assert any(
            all(row[name] in line for name in ("file", "key", "value", "question")) for line in said.out.splitlines()
        )


def test_a_later_version_asks_its_own_questions(kikitori: Kikitori, tmp_path: Path) -> None:
    for path in shipped().iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    here = version("v.toml", *SHORTER)
    (tmp_path / "hours-2027.toml").write_bytes(here.read_bytes())
    found = rows(kikitori("policy", "open-questions", "--policies", tmp_path, "--json"))
    files = [row["file"] for row in found]
    assert files.count("hours-2027.toml") == files.count("hours.toml") > 0


# --- a real installation ----------------------------------------------------------------------------------------------

NOW = datetime(2026, 12, 28, 1, 30, 15, 250_000, tzinfo=UTC)  # a Monday, 10:30:15 in Japan
NIGHT = ("--kind", "closed", "--from", "2026-12-30", "--to", "2026-12-30")


class Site:
    """An installation, and the program in it."""

    def __init__(self, folder: Path, kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self._kikitori, self._monkeypatch = folder, kikitori, monkeypatch
        self.file = overrides_file(folder / "hours")

    def __call__(self, *arguments: object, now: datetime = NOW) -> Said:
        for module in ("hours", "overrides"):
            self._monkeypatch.setattr(f"cti.cli.{module}.wall_clock", lambda: now)
        return self._kikitori("--config", self.folder / FILE, *arguments)

    def state(self, at: str) -> tuple[str, str]:
        (row,) = rows(self("hours", "check", at, "--json"))
        return row["state"], row["rule"]

    def entries(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_text("utf-8").splitlines()] if self.file.exists() else []

    def logged(self, action: str) -> list[tuple[str, dict[str, Any]]]:
        with AccessLog(self.folder / "log/access.db") as access:
            return [(entry.object, dict(entry.detail)) for entry in access.find(action=action)]

    def nothing_was_written(self) -> None:
        assert self.entries() == []
        assert self.logged("hours.override") == self.logged("hours.revoke") == []


@pytest.fixture
def site(kikitori: Kikitori, monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    before = os.umask(0o022)  # the desk sets its own
    with ram_folder() as folder:
        folder.chmod(0o755)  # the desk's user goes through it
        setup.init(
            folder / "site", passphrase="correct horse", pbx="pbx1", now=NOW - timedelta(days=1), work_factor=10,
            mount=False,
        )  # fmt: skip
        yield Site(folder / "site", kikitori, monkeypatch)
    os.umask(before)


def add(*more: object, by: str = "水道局長", reason: str = "停電") -> tuple[object, ...]:
    return ("hours", "override", "add", *NIGHT, "--reason", reason, "--decided-by", by, *more)


def close(*more: object, by: str = "水道局長") -> tuple[object, ...]:
    return ("hours", "close", "停電", "--decided-by", by, *more)


@pytest.mark.rule("A-13")
@pytest.mark.parametrize("by", ["課長", "お客さまサービス課長", "水道局長代理", "kikitori"])
@pytest.mark.parametrize("command", [add, close])
def test_nobody_else_decides_other_hours(site: Site, command: Callable[..., tuple[object, ...]], by: str) -> None:
    for more in (("--yes",), ("--dry-run",)):
        said = site(*command(*more, by=by))
        assert (said.status, said.out) == (77, "")
        assert said.err == f"kikitori: other hours are decided by 水道局長 alone (A-13), not by {by!r}\n"
    site.nothing_was_written()


@pytest.mark.rule("A-13")
def test_a_decision_is_entered_logged_and_in_force(site: Site) -> None:
    assert site.state("2026-12-30T10:00") == ("open", "A-09")
    said = site(*add("--yes"))
    assert (said.status, said.err) == (0, "")
    (entry,) = site.entries()
    assert entry == {
        "id": entry["id"], "kind": "closed", "from": "2026-12-30", "to": "2026-12-30", "reason": "停電",
        "by": "水道局長", "entered_by": entry["entered_by"], "entered_at": "2026-12-28T10:30:15.250000+09:00",
    }  # fmt: skip
    assert entry["id"].startswith("20261228-")
    assert entry["entered_by"].startswith("os:")
    assert f"Entered: {entry['id']}." in said.out
    assert "2026-12-30 (Wed)  12月29日・30日  09:00-17:00  closed" in said.out
    ((object_, detail),) = site.logged("hours.override")
    assert object_ == entry["id"]
    assert detail == {name: value for name, value in entry.items() if name != "id"}
    assert site.state("2026-12-30T10:00") == ("closed", "A-13")
    assert "Reason: 停電." in site("hours", "explain", "2026-12-30T10:00").out
    owner = site.file.stat()
    assert (owner.st_mode & 0o777, owner.st_uid) == (0o644, (site.folder / "hours").stat().st_uid)


@pytest.mark.parametrize("command", [add, close])
def test_a_dry_run_shows_what_would_change_and_writes_nothing(
    site: Site, command: Callable[..., tuple[object, ...]]
) -> None:
    said = site(*command("--dry-run"))
    assert said.status == 0
    assert "closed" in said.out or "08:00-10:30" in said.out
    (row,) = rows(site(*command("--dry-run", "--json")))
    assert row["entered"] is False
    assert len(row["changes"]) == 1
    site.nothing_was_written()


@pytest.mark.parametrize("command", [add, close])
def test_without_yes_and_without_a_terminal_nothing_is_entered(
    site: Site, command: Callable[..., tuple[object, ...]]
) -> None:
    said = site(*command())
    assert said.status == 64
    assert said.err == "kikitori: nobody to ask: add --yes\n"
    site.nothing_was_written()


@contextmanager
def terminal(monkeypatch: pytest.MonkeyPatch, answer: bytes) -> Iterator[None]:
    """A real one, on which `answer` was typed."""
    ours, theirs = os.openpty()
    os.write(ours, answer)
    with os.fdopen(theirs, encoding="utf-8") as file, monkeypatch.context() as patched:
        patched.setattr(sys, "stdin", file)
        yield
    os.close(ours)


@pytest.mark.parametrize(("answer", "status", "count"), [(b"y\n", 0, 1), (b"n\n", 1, 0), (b"\n", 1, 0)])
def test_whoever_sits_at_a_terminal_is_asked(
    site: Site, monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int, count: int
) -> None:
    with terminal(monkeypatch, answer):
        assert site(*add()).status == status
    assert len(site.entries()) == len(site.logged("hours.override")) == count


def test_an_entered_decision_for_programs(site: Site) -> None:
    (row,) = rows(site(*add("--yes", "--json")))
    (entry,) = site.entries()
    assert {name: row[name] for name in entry} == entry
    assert (row["entered"], row["changes"]) == (
        True,
        [{"date": "2026-12-30", "before": "09:00-17:00", "after": "", "class": "12月29日・30日"}],
    )


@pytest.mark.parametrize(
    ("more", "option"),
    [
        (("--to", "2026-12-29"), "--to"),
        (("--to", "2026-12-27"), "--to"),
        (("--from", "x"), "--from"),
        (("--open", "10:00"), "--open"),
        (("--kind", "hours"), "--open"),
        (("--kind", "hours", "--open", "10:00"), "--close"),
        (("--kind", "hours", "--open", "10:00", "--close", "9:00"), "--close"),
        (("--from", "2026-12-01", "--to", "2026-12-27"), "--to"),
    ],
)
def test_an_option_that_makes_no_decision_is_named(site: Site, more: tuple[str, ...], option: str) -> None:
    said = site(*add("--yes", *more))
    assert (said.status, said.out) == (64, "")
    assert option in said.err
    site.nothing_was_written()


@pytest.mark.rule("A-13")
@pytest.mark.parametrize("reason", ["a\u2028b", "a\x85b", "a\nb", '"', "\\", "x" * 5000])
def test_whatever_the_reason_says_the_decision_counts(site: Site, reason: str) -> None:
    assert site(*add("--yes", reason=reason)).status == 0
    assert site.state("2026-12-30T10:00") == ("closed", "A-13")
    assert rows(site("hours", "override", "list", "--json"))[0]["reason"] == reason


@pytest.mark.rule("A-13")
@pytest.mark.parametrize(
    ("more", "end"),
    [((), "2026-12-29T00:00:00"), (("--until", "15:00"), "2026-12-28T15:00:00"),
     (("--until", "2026-12-29T09:30"), "2026-12-29T09:30:00")],
)  # fmt: skip
def test_closed_now_counts_from_the_next_call_on_until_its_end(site: Site, more: tuple[str, ...], end: str) -> None:
    assert site(*close("--yes", *more)).status == 0
    (entry,) = site.entries()
    assert (entry["kind"], moment(entry["to"])) == ("closed", moment(end))
    assert site.state("2026-12-28T10:30:14") == ("open", "A-08")
    assert site.state("2026-12-28T10:30:15") == ("closed", "A-13")
    before, after = (datetime.fromisoformat(end) + timedelta(seconds=by) for by in (-1, 0))
    assert site.state(before.isoformat()) == ("closed", "A-13")
    assert site.state(after.isoformat())[1] != "A-13"


@pytest.mark.parametrize("until", ["10:30", "9:00", "25:00", "soon", "2026-12-27", ""])
def test_an_end_that_is_none_closes_nothing(site: Site, until: str) -> None:
    said = site(*close("--yes", "--until", until))
    assert (said.status, said.out) == (64, "")
    assert "--to" in said.err or "--until" in said.err
    site.nothing_was_written()


@pytest.mark.rule("A-13")
def test_a_decision_is_taken_back_and_its_line_stays(site: Site) -> None:
    site(*add("--yes"))
    before = site.file.read_bytes()
    (entry,) = site.entries()
    revoke = ("hours", "override", "revoke", entry["id"][:10], "--reason", "復旧", "--decided-by")
    said = site(*revoke, "課長", "--yes")
    assert (said.status, site.file.read_bytes()) == (77, before)
    assert site(*revoke, "水道局長").status == 64, "nobody to ask"
    assert site.file.read_bytes() == before
    assert site.logged("hours.revoke") == []
    later = NOW + timedelta(hours=1)
    said = site(*revoke, "水道局長", "--yes", now=later)
    assert (said.status, said.out) == (0, f"Revoked: {entry['id']}. It counts for the next call.\n")
    assert site.file.read_bytes().startswith(before)
    taken_back = site.entries()[1]
    assert (taken_back["revoke"], taken_back["by"], taken_back["reason"]) == (entry["id"], "水道局長", "復旧")
    ((object_, detail),) = site.logged("hours.revoke")
    assert (object_, detail["reason"]) == (entry["id"], "復旧")
    assert site.state("2026-12-30T10:00") == ("open", "A-09")
    (row,) = rows(site("hours", "override", "list", "--json"))
    assert (row["id"], row["state"], row["revoked_at"]) == (entry["id"], "revoked", "2026-12-28T11:30:15.250000+09:00")
    assert site(*revoke, "水道局長", "--yes").status == 64, "it was revoked before"
    assert len(site.entries()) == 2


def test_a_reason_that_is_no_text_is_refused(site: Site) -> None:
    assert site(*add("--yes", reason=os.fsdecode(b"\xff"))).status != 0
    site.nothing_was_written()


@pytest.mark.rule("A-13")
def test_what_was_closed_now_and_taken_back_was_closed_in_between(site: Site) -> None:
    site(*close("--yes"))
    (entry,) = site.entries()
    site("hours", "override", "revoke", entry["id"], "--reason", "復旧", "--decided-by", "水道局長", "--yes",
         now=NOW + timedelta(hours=1))  # fmt: skip
    assert [site.state(f"2026-12-28T{clock}")[0] for clock in ("10:30:14", "10:31", "11:30:14", "11:31")] == [
        "open", "closed", "closed", "open",
    ]  # fmt: skip


@pytest.mark.parametrize("identity", ["", "nope", "2026"])
def test_an_id_that_names_no_one_decision(site: Site, identity: str) -> None:
    for _ in range(2):
        site(*add("--yes"))
    before = site.file.read_bytes()
    said = site("hours", "override", "revoke", identity, "--reason", "x", "--decided-by", "水道局長", "--yes")
    assert said.status == 66
    assert f"decisions begin with {identity!r}" in said.err
    assert site.file.read_bytes() == before


def test_decisions_are_listed_the_newest_first(site: Site) -> None:
    assert rows(site("hours", "override", "list", "--json")) == []
    for hours, day in enumerate(("2026-12-30", "2026-12-28", "2026-12-29")):
        assert site(*add("--yes", "--from", day, "--to", day), now=NOW + timedelta(hours=hours)).status == 0
    found = rows(site("hours", "override", "list", "--json", now=NOW + timedelta(hours=2)))
    assert [row["from"][:10] for row in found] == ["2026-12-29", "2026-12-28", "2026-12-30"]
    assert [row["state"] for row in found] == ["to come", "in force", "to come"]
    assert found[0].keys() == {
        "id", "kind", "from", "to", "hours", "state", "by", "entered_by", "entered_at", "reason", "revoked_at",
    }  # fmt: skip
    later = rows(site("hours", "override", "list", "--json", now=NOW + timedelta(days=30)))
    assert {row["state"] for row in later} == {"over"}
    table = site("hours", "override", "list").out.splitlines()
    assert len(table) == 4
    assert all(row["id"] in line and "停電" in line for row, line in zip(found, table[1:], strict=True))


def test_of_two_decisions_for_one_day_the_later_one_counts(site: Site) -> None:
    site(*add("--yes"))
    site(*add("--yes", "--kind", "hours", "--open", "10:00", "--close", "15:00"))
    assert [site.state(f"2026-12-30T{clock}") for clock in ("09:59", "10:00", "15:00")] == [
        ("closed", "A-13"), ("open", "A-13"), ("closed", "A-13"),
    ]  # fmt: skip


def test_a_torn_line_in_the_file_hides_no_decision(site: Site) -> None:
    site(*add("--yes"))
    with site.file.open("a") as file:
        file.write('{"from": "2026')
    said = site("hours", "check", "2026-12-30T10:00", "--json")
    assert rows(said)[0]["rule"] == "A-13"
    assert f"refused: {site.file}:2: not JSON" in said.err
    assert site(*close("--yes")).status == 0
    assert site.state("2026-12-28T11:00") == ("closed", "A-13")


def test_a_log_that_cannot_be_written_lets_nothing_count(site: Site) -> None:
    (site.folder / "log/access.db").unlink()
    (site.folder / "log/access.db").mkdir()
    said = site(*add("--yes"))
    assert said.status != 0
    assert site.entries() == []


# --- hours holidays update --------------------------------------------------------------------------------------------


def table(until: int, *more: str) -> bytes:
    """The shipped table to the end of `until`, behind its own end as the law has it, and days of our own."""
    lines = (shipped() / "syukujitsu.csv").read_bytes().decode("cp932").splitlines()
    head, days = lines[0], [line for line in lines[1:] if int(line[:4]) <= until]
    last = int(lines[-1][:4])
    forecast = parse_forecast((shipped() / "holidays-forecast.csv").read_text("utf-8"), "forecast")
    for day in forecast:
        if last < day.day.year <= until:
            name = UNNAMED if day.kind.value != "国民の祝日" else day.name
            days.append(f"{day.day.year}/{day.day.month}/{day.day.day},{name}")
    days = sorted([*days, *more], key=lambda line: [int(part) for part in line.partition(",")[0].split("/")])
    assert all(before != after for before, after in pairwise(days))
    return "\r\n".join([head, *days, ""]).encode("cp932")


NEW = table(2026, "2026/6/10,水の日")


@pytest.fixture
def newer(site: Site) -> Path:
    path = site.folder.parent / "syukujitsu.csv"
    path.write_bytes(NEW)
    return path


def policy_files(site: Site) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (site.folder / "policies").iterdir()}


def update(file: Path, *more: object) -> tuple[object, ...]:
    return ("hours", "holidays", "update", file, *more)


def test_a_dry_run_shows_the_days_that_change_and_takes_nothing(site: Site, newer: Path) -> None:
    before = policy_files(site)
    said = site(*update(newer, "--dry-run"))
    assert (said.status, said.err) == (0, "")
    assert "In use: to 2025. The new table: to 2026." in said.out
    assert "2026-06-10 (Wed)  no holiday  水の日 (国民の祝日)" in said.out
    assert rows(site(*update(newer, "--dry-run", "--json"))) == [
        {"date": "2026-06-10", "before": None, "after": "水の日"}
    ]
    assert policy_files(site) == before
    assert site.logged("hours.holidays") == []


@pytest.mark.rule("A-10", "L-12")
def test_a_newer_table_is_taken_and_counts(site: Site, newer: Path) -> None:
    assert site.state("2026-06-10T18:00") == ("open", "A-08")
    said = site(*update(newer, "--yes"))
    assert said.status == 0
    assert "Taken: holidays to 2026." in said.out
    digest = sha256(NEW).hexdigest()
    written = tomllib.loads((site.folder / "policies/holidays.toml").read_text("utf-8"))
    assert written["sha256"] == digest
    assert (site.folder / "policies" / written["table"]).read_bytes() == NEW
    assert site.state("2026-06-10T18:00") == ("closed", "A-10")
    (row,) = rows(site("hours", "check", "2026-06-10T10:00", "--json"))
    assert (row["holiday"], row["holidays"]) == ("水の日", "table")
    (row,) = rows(site("hours", "check", "2027-01-01T10:00", "--json"))
    assert row["holidays"] == "forecast"
    ((_, detail),) = site.logged("hours.holidays")
    assert detail == {"sha256": digest, "until": 2026, "changes": 1}
    assert {path.stat().st_mode & 0o777 for path in (site.folder / "policies").iterdir()} == {0o644}
    old = tomllib.loads((shipped() / "holidays.toml").read_text("utf-8"))
    assert {key for key in written if written[key] != old[key]} == {"table", "sha256"}, "and nothing else of the file"


def test_a_table_that_is_in_use_already_changes_nothing(site: Site, newer: Path) -> None:
    site(*update(newer, "--yes"))
    before = policy_files(site)
    said = site(*update(newer, "--yes"))
    assert said.status == 0
    assert "No day changes." in said.out
    assert policy_files(site) == before
    assert len(site.logged("hours.holidays")) == 1


def test_a_table_is_not_taken_where_nobody_can_be_asked(site: Site, newer: Path) -> None:
    before = policy_files(site)
    said = site(*update(newer))
    assert said.status == 64
    assert said.err == "kikitori: nobody to ask: add --yes\n"
    assert policy_files(site) == before
    assert site.logged("hours.holidays") == []


@pytest.mark.parametrize(("answer", "status", "taken"), [(b"y\n", 0, True), (b"n\n", 1, False)])
def test_whoever_sits_at_a_terminal_is_asked_for_a_table(
    site: Site, newer: Path, monkeypatch: pytest.MonkeyPatch, answer: bytes, status: int, *, taken: bool
) -> None:
    with terminal(monkeypatch, answer):
        assert site(*update(newer)).status == status
    assert (site.state("2026-06-10T18:00") == ("closed", "A-10")) is taken


def test_an_older_table_is_taken_only_by_who_says_yes(site: Site, newer: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    newer.write_bytes(table(2024))
    before = policy_files(site)
    said = site(*update(newer))
    with terminal(monkeypatch, b"y\n"):
        asked = site(*update(newer))
    for refused in (said, asked):
        assert refused.status == 64
        assert f"{newer} ends with 2024, the table in use with 2025" in refused.err
    assert policy_files(site) == before
    assert site(*update(newer, "--yes")).status == 0
    assert site.state("2025-05-05T18:00") == ("open", "A-08"), "the older one does not name that holiday"


def test_a_year_that_neither_table_nor_forecast_reaches_is_not_known(site: Site, newer: Path) -> None:
    newer.write_bytes(table(2024))
    site(*update(newer, "--yes"))
    assert rows(site("hours", "check", "2025-05-05", "--json"))[0]["holidays"] == "unknown"


def test_what_is_shown_of_an_older_table_is_what_happens(site: Site, newer: Path) -> None:
    site(*update(newer, "--yes"))
    before = rows(site("hours", "year", 2026, "--json"))
    newer.write_bytes(table(2025))
    shown = {row["date"] for row in rows(site(*update(newer, "--yes", "--json")))}
    after = rows(site("hours", "year", 2026, "--json"))
    changed = {was["date"] for was, now in zip(before, after, strict=True) if was["holiday"] != now["holiday"]}
    assert shown == changed == {"2026-06-10"}


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"", "no day in it"),
        ("国民の祝日・休日月日,名称\n2026/1/1,元日\n".encode(), ""),
        (table(2025) + "2026/13/1,元日\r\n".encode("cp932"), "is no day"),
        (table(2025) + "2020/1/1,元日\r\n".encode("cp932"), "does not come after"),
        (table(2025) + "2026/6/10,休日\r\n".encode("cp932"), "neither 振替休日 nor 国民の休日"),
        (b"<!DOCTYPE html>\n<html>\n", "a day and its name are needed"),
    ],
)
def test_a_file_that_is_no_table_is_named_and_not_taken(site: Site, newer: Path, data: bytes, says: str) -> None:
    newer.write_bytes(data)
    before = policy_files(site)
    said = site(*update(newer, "--yes"))
    assert (said.status, said.out) == (1, "")
    assert said.err.startswith(f"kikitori: {newer}")
    assert says in said.err
    assert policy_files(site) == before


def test_a_table_that_is_not_there(site: Site) -> None:
    said = site(*update(Path("none.csv"), "--yes"))
    assert (said.status, said.err) == (64, "kikitori: none.csv: No such file or directory\n")


# --- without an installation ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [close("--yes"), add("--yes"), ("hours", "override", "list"), update(Path("x")),
     ("hours", "override", "revoke", "x", "--reason", "x", "--decided-by", "水道局長")],
)  # fmt: skip
def test_what_changes_an_installation_needs_one(kikitori: Kikitori, arguments: tuple[object, ...]) -> None:
    said = kikitori(*arguments)
    assert (said.status, said.out) == (78, "")
    assert "no kikitori.toml here" in said.err
