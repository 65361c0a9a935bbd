"""Who was passed on and whom nobody answered, out of rows that a real Asterisk wrote, and of rows that come torn."""

import csv
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cti.calls.cel import CEL_COLUMNS, CelEvent, read
from cti.calls.passing import FORMS, LONGEST, Passed, Passing

# Five calls in through 06-6458-7211 that 2201 answered: passed on to 3101, who answered; who was busy; who let it ring
# until the caller gave up; whom 2201 had asked before; and whose telephone still rang.
REAL = Path(__file__).parents[3] / "replays/passing.csv"
BEGAN = 1795819096


def rows() -> list[CelEvent]:
    return list(read(REAL.read_text("utf-8")))


def fed(events: list[CelEvent], passing: Passing | None = None) -> list[Passed]:
    passing = passing or Passing()
    return [found for event in events for found in passing.feed(event)]


def short(found: Passed) -> tuple[str, ...]:
    return (found.what, *(value for name, value in found.values.items() if name != "leg"))


TOLD = [
    ("transfer", "blind", "2201", "3101", "trunk", "0903000003"), ("outcome", "answered"),
    ("transfer", "blind", "2201", "3101", "trunk", "0903000008"), ("outcome", "busy"),
    ("transfer", "blind", "2201", "3101", "trunk", "0903000013"), ("outcome", "cancelled"),
    ("transfer", "attended", "2201", "3101", "trunk", "0903000018"), ("outcome", "answered"),
    ("transfer", "blonde", "2201", "3101", "trunk", "0903000026"), ("outcome", "answered"),
]  # fmt: skip


@pytest.mark.rule("A-19", "A-30")
def test_what_a_real_pbx_wrote_of_transfers_is_told() -> None:
    found = [one for one in fed(rows()) if one.what != "reached"]
    assert [short(one) for one in found] == TOLD
    assert len(fed(rows())) == len(found) + 5, "2201 answered each"
    for transfer, outcome in zip(found[::2], found[1::2], strict=True):
        assert (transfer.uniqueid, transfer.linkedid) == (outcome.uniqueid, outcome.linkedid), "of one caller"
        assert transfer.values["leg"] == outcome.values["leg"] != transfer.uniqueid
        assert transfer.at <= outcome.at
    assert len({one.key for one in found}) == len(found)


def test_it_is_told_the_same_wherever_reading_stops() -> None:
    events, whole = rows(), fed(rows())
    for place in range(len(events)):
        passing = Passing()
        first = fed(events[:place], passing)
        again = Passing.read(json.loads(json.dumps(passing.kept())))
        assert first + fed(events[place:], again) == whole


def test_what_ended_is_forgotten() -> None:
    passing = Passing()
    fed(rows(), passing)
    assert passing == Passing()


@pytest.mark.parametrize("seed", range(20))
def test_rows_that_are_lost_or_come_twice_make_no_transfer_of_none(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311
    events = [event for event in rows() for _ in range(chance.choice([0, 1, 1, 1, 2]))]
    found = [one for one in fed(events) if one.what in ("transfer", "outcome")]
    there = {event.row["uniqueid"] for event in events if "TRANSFER" in event.row["eventtype"]}
    assert {one.values["leg"] for one in found} <= there
    for what in ("transfer", "outcome"):
        each = [one for one in found if one.what == what]
        assert len({one.key for one in each}) == len({one.values["leg"] for one in each}), what


@pytest.mark.parametrize(
    "kept", [None, 3, [], {}, {"channels": 3}, {"channels": {}, "pending": {}, "waiting": {"x": {"dialled": 1}}},
             {"channels": {}, "pending": {}, "waiting": {"x": {"dialled": "1", "since": "soon"}}},
             {"channels": {"x": {"number": "1"}}, "pending": {}, "waiting": {}}],
)  # fmt: skip
def test_what_is_no_state_is_none(kept: Any) -> None:
    assert Passing.read(kept) == Passing()


def event(kind: str, at: float, uniqueid: str = f"pbx1-{BEGAN}.1", extra: Any = "", **more: str) -> CelEvent:
    values = dict.fromkeys(CEL_COLUMNS, "") | {
        "eventtype": kind, "eventtime": f"{at:.6f}", "uniqueid": uniqueid, "linkedid": uniqueid,
        "channame": "PJSIP/trunk-00000001", "callernum": "0312345678", "exten": "0664581132",
        "eventextra": extra if isinstance(extra, str) else json.dumps(extra),
    }  # fmt: skip
    return CelEvent(values | more)


def caller(*middle: CelEvent, end: Any = None, route: str = "centre") -> list[CelEvent]:
    extra = {"hangupcause": 16, "hangupsource": "PJSIP/trunk-00000001"} if end is None else end
    return [
        event("CHAN_START", BEGAN),
        event("KIKITORI", BEGAN + 1, extra={"extra": f"kikitori/route/{route}/A-08/weekday/gate/0664581132"}),
        *middle,
        event("HANGUP", BEGAN + 13.4, extra=extra),
        event("CHAN_END", BEGAN + 13.4),
    ]


@pytest.mark.rule("C-06")
@pytest.mark.parametrize(
    ("end", "why"),
    [
        (None, "cancelled"),
        ({"hangupcause": 16, "hangupsource": "dialplan/builtin"}, "no-answer"),
        ({"hangupcause": 17, "hangupsource": "dialplan/builtin"}, "busy"),
        ({"hangupcause": 21, "hangupsource": "dialplan/builtin"}, "rejected"),
        ({"hangupcause": 34, "hangupsource": "dialplan/builtin"}, "failed"),
        ("{", "failed"), ("[3]", "failed"), ("", "failed"),
    ],
)  # fmt: skip
def test_who_reached_the_centre_and_was_not_answered_is_told(end: Any, why: str) -> None:
    (found,) = fed(caller(end=end))
    assert short(found) == ("missed", "0664581132", "0312345678", why, "12")
    assert found.uniqueid == f"pbx1-{BEGAN}.1"


@pytest.mark.parametrize("route", ["closed", "emergency"])
def test_who_the_menu_or_the_emergency_line_sees_to_is_not(route: str) -> None:
    assert fed(caller(route=route)) == []
    unsure = caller(event("KIKITORI", BEGAN + 2, extra={"extra": f"kikitori/route/{route}/A-12"}), route="unsure")
    assert fed(unsure) == []


def test_who_was_answered_is_not() -> None:
    assert [short(one) for one in fed(caller(event("BRIDGE_ENTER", BEGAN + 3)))] == [
        ("reached", "0664581132", "0312345678")
    ]  # fmt: skip
    assert len(fed(caller(event("BRIDGE_ENTER", BEGAN + 3, uniqueid="pbx1-1.9")))) == 1, "another was"


def test_hostile_numbers_and_names_are_none() -> None:
    events = caller()
    events[0] = event("CHAN_START", BEGAN, callernum='031\n,"x', channame="PJSIP/../../x-1", exten="0664581132;rm")
    (found,) = fed(events)
    assert "from" not in found.values
    transfer = event("BLINDTRANSFER", BEGAN + 2, extra={"extension": "3101/x", "transferee_channel_uniqueid": ["a"]})
    (found,) = fed([transfer])
    assert found.values == {"leg": f"pbx1-{BEGAN}.1", "kind": "blind", "by": "trunk"}


def test_an_id_that_is_none_of_asterisk_s_is_passed_over() -> None:
    long = "pbx1-" + "1" * 80
    assert fed([replace_id(one, long) for one in caller()]) == []
    extra = {"extension": "3101", "transferee_channel_uniqueid": long}
    (found,) = fed([event("BLINDTRANSFER", BEGAN + 2, extra=extra)])
    assert found.uniqueid == f"pbx1-{BEGAN}.1"


def replace_id(one: CelEvent, uniqueid: str) -> CelEvent:
    return CelEvent(one.row | {"uniqueid": uniqueid})


def test_a_channel_whose_end_nobody_wrote_is_forgotten() -> None:
    passing = Passing()
    fed([event("CHAN_START", BEGAN), caller()[1]], passing)
    later = BEGAN + LONGEST.total_seconds() + 5
    fed([event("CHAN_START", later, uniqueid=f"pbx1-{int(later)}.7")], passing)
    assert list(passing.channels) == [f"pbx1-{int(later)}.7"]
    assert passing.waiting == {}


def test_the_rows_are_those_that_the_pbx_is_told_to_write() -> None:
    from cti.pbxconfig import CEL_EVENTS

    with REAL.open(newline="", encoding="utf-8") as file:
        kinds: Iterator[str] = (row[0] for row in csv.reader(file))
        assert set(kinds) - {"KIKITORI"} <= set(CEL_EVENTS)


OURS = f"callback-12-5-{BEGAN}.5"


def calling(*middle: CelEvent, end: float, status: str = "", cause: int = 16) -> list[CelEvent]:
    """A telephone of ours that is rung for ticket 12-1, as Asterisk 22 wrote it."""
    of = {"uniqueid": OURS, "linkedid": OURS, "channame": "PJSIP/2201-00000000"}
    extra = {"hangupcause": cause, "hangupsource": "dialplan/builtin", "dialstatus": status}
    return [
        event("CHAN_START", BEGAN, **of), *middle, event("HANGUP", BEGAN + end, extra=extra, **of),
        event("CHAN_END", BEGAN + end, **of),
    ]  # fmt: skip


def ours(kind: str, at: float) -> CelEvent:
    return event(kind, BEGAN + at, uniqueid=OURS, linkedid=OURS, channame="PJSIP/2201-00000000")


@pytest.mark.rule("C-06")
@pytest.mark.parametrize(
    ("rows", "outcome", "seconds"),
    [
        (calling(ours("ANSWER", 2), ours("BRIDGE_ENTER", 9), end=40, status="ANSWER"), "answered", "31"),
        (calling(ours("ANSWER", 2), ours("BRIDGE_ENTER", 9), ours("BRIDGE_EXIT", 20), ours("BRIDGE_ENTER", 21), end=30,
                 status="ANSWER"), "answered", "21"),
        (calling(ours("ANSWER", 2), end=4, status="BUSY", cause=17), "busy", "2"),
        (calling(ours("ANSWER", 2), end=4, status="NOANSWER", cause=21), "rejected", "2"),
        (calling(ours("ANSWER", 2), end=4, status="NOANSWER", cause=19), "no-answer", "2"),
        (calling(ours("ANSWER", 2), end=4, status="NOANSWER", cause=1), "failed", "2"),
        (calling(ours("ANSWER", 2), end=4, status="CONGESTION", cause=34), "failed", "2"),
        (calling(ours("ANSWER", 2), end=4, status="CHANUNAVAIL", cause=0), "failed", "2"),
        (calling(ours("ANSWER", 2), end=16, status="CANCEL"), "cancelled", "14"),
        (calling(ours("ANSWER", 2), end=17, status="CANCEL"), "no-answer", "15"),
        (calling(ours("ANSWER", 2), end=3), "cancelled", "1"),
        (calling(end=30), "not-picked-up", "0"),
    ],
)  # fmt: skip
def test_what_came_of_a_call_to_a_customer_is_told(rows: list[CelEvent], outcome: str, seconds: str) -> None:
    (found,) = fed(rows)
    assert short(found) == ("called-back", outcome, seconds)
    assert (found.uniqueid, found.linkedid) == (OURS, OURS)
    for place in range(len(rows)):
        passing = Passing()
        first = fed(rows[:place], passing)
        assert first + fed(rows[place:], Passing.read(json.loads(json.dumps(passing.kept())))) == [found]


def test_a_state_of_before_there_were_callbacks_is_read() -> None:
    kept = Passing().kept()
    del kept["calling"]
    assert Passing.read(kept) == Passing()


def test_what_is_not_understood_of_callbacks_takes_nothing_else_with_it() -> None:
    passing = Passing()
    fed(rows()[:30], passing)
    for calling_ in (None, [], {"x": {"later": 1}}, {"x": None}):
        assert Passing.read(json.loads(json.dumps(passing.kept())) | {"calling": calling_}) == passing


@pytest.mark.parametrize("name", ["callback-0-1-1.1", "callback-12-5", "xcallback-12-5-1.5", "callback-12-5-1.5\n"])
def test_no_other_channel_is_a_call_to_a_customer(name: str) -> None:
    rows = [event("CHAN_START", BEGAN, uniqueid=name), event("HANGUP", BEGAN + 3, uniqueid=name)]
    assert [one for one in fed(rows) if one.what == "called-back"] == []


OPERATOR = f"pbx1-{BEGAN}.2"


def said(what: str, at: float) -> CelEvent:
    return event("KIKITORI", at, extra={"extra": f"kikitori/{what}"})


def put_through(*after: CelEvent, dialled: str = "*83101*2", end: float = BEGAN + 60) -> list[CelEvent]:
    """An operator transfers a caller to a 所管課; the dialplan says `after`."""
    agent = {"uniqueid": OPERATOR, "linkedid": f"pbx1-{BEGAN}.1", "channame": "PJSIP/2201-00000002"}
    extra = {
        "extension": dialled, "transferee_channel_name": "PJSIP/trunk-00000001",
        "transferee_channel_uniqueid": f"pbx1-{BEGAN}.1",
    }  # fmt: skip
    return [
        event("CHAN_START", BEGAN), said("route/centre/A-08/weekday/gate/0664581132", BEGAN + 1),
        event("CHAN_START", BEGAN + 2, callernum="2201", **agent), event("BRIDGE_ENTER", BEGAN + 3),
        event("BLINDTRANSFER", BEGAN + 9, extra=extra, **agent), *after,
        event("HANGUP", end, extra={"hangupcause": 16, "hangupsource": "PJSIP/trunk-00000001"}),
        event("CHAN_END", end),
    ]  # fmt: skip


PASS = said("pass/kyusui/3101/open/urgent//", BEGAN + 9.1)
BACK = said("back/kyusui/NOANSWER", BEGAN + 30)
CLOSED = said("back/kyusui/closed", BEGAN + 10)
WENT = ("transfer", "blind", "2201", "3101", "trunk", "0312345678", "kyusui", "open", "urgent")


def told(rows: list[CelEvent]) -> list[tuple[str, ...]]:
    return [(one.what, *(one.values[name] for name in FORMS[one.what] if name in one.values and name != "leg"))
            for one in fed(rows) if one.what != "reached"]  # fmt: skip


@pytest.mark.rule("A-19", "E-13")
def test_where_an_operator_s_caller_goes_the_dialplan_says() -> None:
    assert told(put_through(PASS, event("BRIDGE_ENTER", BEGAN + 12))) == [WENT, ("outcome", "answered")]
    _, transfer, outcome = fed(put_through(PASS, event("BRIDGE_ENTER", BEGAN + 12)))
    assert transfer.values["leg"] == outcome.values["leg"] == OPERATOR
    assert transfer.uniqueid == f"pbx1-{BEGAN}.1"


@pytest.mark.rule("A-19", "E-13")
@pytest.mark.parametrize(
    ("said_before", "after", "came"),
    [
        (1, [event("BRIDGE_ENTER", BEGAN + 12)], "answered"), (1, [], "cancelled"), (2, [CLOSED], "closed"),
        (1, [BACK, event("BRIDGE_ENTER", BEGAN + 40)], "returned"),
        (2, [CLOSED, event("BRIDGE_ENTER", BEGAN + 40)], "returned"),
    ],
)  # fmt: skip
def test_a_dialplan_that_speaks_before_the_transfer_is_written_says_the_same(
    said_before: int, after: list[CelEvent], came: str
) -> None:
    """They are two threads of Asterisk's, and its record has the row of whichever is first."""
    events = put_through(PASS, *after)
    (place,) = [place for place, one in enumerate(events) if one.row["eventtype"] == "BLINDTRANSFER"]
    transfer = events.pop(place)
    assert told(events)[0] == ("transfer", "blind", *WENT[3:]), "one that is never written: nobody knows by whom"
    events.insert(place + said_before, transfer)
    assert told(events) == [WENT, ("outcome", came)]
    assert [one.values["leg"] for one in fed(events) if one.what != "reached"] == [OPERATOR, OPERATOR]


@pytest.mark.rule("A-19", "C-06")
def test_who_comes_back_was_not_taken_and_is_called_only_if_nobody_had_them_again() -> None:
    assert told(put_through(PASS, BACK, event("BRIDGE_ENTER", BEGAN + 40))) == [WENT, ("outcome", "returned")]
    assert told(put_through(PASS, BACK)) == [WENT, ("outcome", "no-answer")]
    assert told(put_through(PASS, CLOSED))[-1] == ("outcome", "closed")
    assert told(put_through(PASS, said("back/kyusui/CHANUNAVAIL", BEGAN + 30)))[-1] == ("outcome", "failed")
    assert told(put_through(PASS)) == [WENT, ("outcome", "cancelled")], "hung up while it rang"


@pytest.mark.rule("C-06")
def test_who_is_gone_before_the_dialplan_could_say_is_not_lost() -> None:
    assert told(put_through()) == [
        ("transfer", "blind", "2201", "*83101*2", "trunk", "0312345678"), ("outcome", "cancelled")
    ]  # fmt: skip


@pytest.mark.rule("A-19")
def test_what_a_caller_pressed_puts_them_through_too_and_nobody_is_owed_two_calls() -> None:
    chosen = [event("CHAN_START", BEGAN), said("route/centre/A-08/weekday/gate/0664581132", BEGAN + 1),
              said("pass/kyusui/3101/open/wish/menu/leak", BEGAN + 5)]  # fmt: skip
    end = event("HANGUP", BEGAN + 40, extra={"hangupcause": 16, "hangupsource": "PJSIP/trunk-00000001"})
    went = ("transfer", "menu", "3101", "trunk", "0312345678", "kyusui", "open", "wish", "leak")
    assert told([*chosen, event("BRIDGE_ENTER", BEGAN + 9), end]) == [went, ("outcome", "answered")]
    assert told([*chosen, end]) == [went, ("outcome", "cancelled")]


def test_a_caller_who_is_put_through_twice_has_two_transfers() -> None:
    again = {"uniqueid": f"pbx1-{BEGAN}.9", "linkedid": f"pbx1-{BEGAN}.1", "channame": "PJSIP/2201-00000009"}
    extra = {"extension": "*83001*1", "transferee_channel_uniqueid": f"pbx1-{BEGAN}.1"}
    found = fed(put_through(
        PASS, BACK, event("BRIDGE_ENTER", BEGAN + 40), event("BLINDTRANSFER", BEGAN + 50, extra=extra, **again),
        said("pass/shomu/3001/open/wish//", BEGAN + 51), event("BRIDGE_ENTER", BEGAN + 55),
    ))  # fmt: skip
    assert [one.values.get("section") or one.values.get("outcome") for one in found] == [
        None, "kyusui", "returned", "shomu", "answered"
    ]  # fmt: skip
    assert len({one.key for one in found}) == 5


def test_put_through_it_is_told_the_same_wherever_reading_stops() -> None:
    events = put_through(PASS, BACK, event("BRIDGE_ENTER", BEGAN + 40))
    whole = fed(events)
    for place in range(len(events)):
        passing = Passing()
        first = fed(events[:place], passing)
        assert first + fed(events[place:], Passing.read(json.loads(json.dumps(passing.kept())))) == whole


@pytest.mark.rule("C-06")
def test_who_came_back_and_is_answered_by_nobody_is_owed_one_call() -> None:
    again = said("route/centre/A-08/weekday/gate/0664581132", BEGAN + 200)
    found = told(put_through(PASS, BACK, again, end=BEGAN + 260))
    assert [one[0] for one in found] == ["transfer", "outcome", "missed"]
    assert found[1] == ("outcome", "returned")
    closed = said("route/closed/A-08/weekday/gate/0664581132", BEGAN + 200)
    assert [one[0] for one in told(put_through(PASS, BACK, closed))] == ["transfer", "outcome"], "the menu sees to them"


@pytest.mark.rule("C-06", "A-44")
def test_whoever_was_put_through_when_the_pbx_died_is_owed_a_call() -> None:
    dead = [one for one in put_through(PASS) if one.row["eventtype"] not in ("HANGUP", "CHAN_END")]
    later = BEGAN + LONGEST.total_seconds() + 60
    there = event("CHAN_START", later, uniqueid=f"pbx1-{int(later)}.1")
    assert told([*dead, there]) == [WENT, ("outcome", "failed")]
