"""Whether every conversation was recorded: what Asterisk wrote is read another way than the tracker reads it."""

import json
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti.calls.cel import CEL_COLUMNS, CelEvent
from cti.completeness import TOLERANCE, Account, Billed, Kept, Lack, Mismatch, Talk, account, billed, talks
from policies.calendar import JST
from policies.load import Policies, shipped
from policies.model import Kind

PLAN = Policies(shipped()).plan
DAY = date(2027, 4, 1)
NOON = datetime(2027, 4, 1, 12, tzinfo=JST).astimezone(UTC)
NOW = NOON + timedelta(hours=8)
TRUNK, PHONE, OTHER, SECTION = "PJSIP/trunk", "PJSIP/2001", "PJSIP/2002", "PJSIP/3101"


def at(seconds: float) -> datetime:
    return NOON + timedelta(seconds=seconds)


def row(
    kind: str, seconds: float, channel: str, serial: int, *, bridge: str = "", linked: int | None = None
) -> CelEvent:
    values = dict.fromkeys(CEL_COLUMNS, "")
    number = f"pbx1-1790000000.{serial}"
    values |= {"eventtype": kind, "eventtime": f"{at(seconds).timestamp():.6f}", "uniqueid": number}
    values |= {
        "channame": f"{channel}-{serial:08x}",
        "linkedid": f"pbx1-1790000000.{serial if linked is None else linked}",
    }
    return CelEvent(values | {"eventextra": json.dumps({"bridge_id": bridge}) if bridge else ""})


def enter(seconds: float, channel: str, serial: int, bridge: str = "b1", linked: int = 0) -> CelEvent:
    return row("BRIDGE_ENTER", seconds, channel, serial, bridge=bridge, linked=linked)


def leave(seconds: float, channel: str, serial: int, bridge: str = "b1", linked: int = 0) -> CelEvent:
    return row("BRIDGE_EXIT", seconds, channel, serial, bridge=bridge, linked=linked)


def call(first: float = 0, last: float = 60, phone: str = PHONE, other: str = TRUNK, serial: int = 0) -> list[CelEvent]:
    """`other` calls `phone`; they talk from `first` to `last`."""
    one, two = serial, serial + 1
    bridge = f"b{serial}"
    return [
        row("CHAN_START", first - 5, other, one, linked=one), row("CHAN_START", first - 4, phone, two, linked=one),
        row("ANSWER", first - 0.1, phone, two, linked=one), enter(first, phone, two, bridge, one),
        enter(first + 0.01, other, one, bridge, one), leave(last, other, one, bridge, one),
        leave(last + 0.01, phone, two, bridge, one), row("CHAN_END", last + 0.02, phone, two, linked=one),
        row("CHAN_END", last + 0.03, other, one, linked=one),
    ]  # fmt: skip


def spoken(events: Sequence[CelEvent], *, internal_too: bool = True) -> list[Talk]:
    return talks(events, PLAN.kind, internal_too=internal_too)


def spans(found: Sequence[Talk]) -> list[tuple[float, float | None]]:
    return [
        (round((talk.start - NOON).total_seconds(), 2), talk.end and round((talk.end - NOON).total_seconds(), 2))
        for talk in found
    ]


# --- who talked with whom -------------------------------------------------------------------------------------------


def test_a_call_is_one_talk_from_the_second_party_to_the_first_that_leaves() -> None:
    (talk,) = spoken(call())
    assert spans([talk]) == [(0.01, 60)]
    assert talk.phones == {"2001"}
    assert talk.channels == {"pbx1-1790000000.0", "pbx1-1790000000.1"}
    assert talk.linkedids == {"pbx1-1790000000.0"}


def test_a_clock_that_is_set_back_hides_nothing() -> None:
    """The order in Asterisk's file is the true one, whatever the times say."""
    before, after = (
        call(0, 60)[:5],
        [*call(-40, -20, serial=10), leave(-10, TRUNK, 0, "b0"), leave(-10, PHONE, 1, "b0")],
    )
    found = spoken([*before, *after])
    assert [(talk.phones, talk.least) for talk in found] == [({"2001"}, False), ({"2001"}, False)]
    assert {talk.end for talk in found} == {at(-20), max(at(0.01), at(-10))}


def test_who_waits_in_a_holding_bridge_talks_to_nobody() -> None:
    waiting = enter(10, PHONE, 1, "h")
    waiting = replace(
        waiting, row=waiting.row | {"eventextra": '{"bridge_id": "h", "bridge_technology": "holding_bridge"}'}
    )
    assert (
        spoken([row("CHAN_START", 0, TRUNK, 0), row("CHAN_START", 1, PHONE, 1), enter(5, TRUNK, 0, "h"), waiting]) == []
    )


@pytest.mark.rule("B-02")
@pytest.mark.parametrize(
    ("phone", "other", "internal_too", "count"),
    [
        (PHONE, TRUNK, False, 1), (PHONE, SECTION, True, 1), (PHONE, SECTION, False, 0), (PHONE, OTHER, True, 1),
        (PHONE, OTHER, False, 0), (SECTION, TRUNK, True, 0), (SECTION, "PJSIP/3102", True, 0),
        (PHONE, "PJSIP/unknown", False, 1),
    ],
)  # fmt: skip
def test_what_the_rules_record_is_a_talk(phone: str, other: str, internal_too: bool, count: int) -> None:
    assert len(spoken(call(phone=phone, other=other), internal_too=internal_too)) == count


def test_a_transfer_to_a_section_ends_it_and_one_to_a_designated_phone_is_another() -> None:
    start = call(0, 30)[:5]
    to_section = [*start, leave(30, PHONE, 1), row("CHAN_END", 30, PHONE, 1, linked=0), enter(31, SECTION, 2),
                  row("CHAN_END", 60, SECTION, 2, linked=0), leave(60, TRUNK, 0)]  # fmt: skip
    to_section = [replace_bridge(event) for event in to_section]
    assert spans(spoken(to_section)) == [(0.01, 30)]
    to_other = [
        replace(event, row=event.row | {"channame": event.row["channame"].replace("3101", "2002")})
        for event in to_section
    ]
    assert [talk.phones for talk in spoken(to_other)] == [{"2001"}, {"2002"}]


def replace_bridge(event: CelEvent) -> CelEvent:
    extra = event.row["eventextra"].replace('"b0"', '"b1"')
    return replace(event, row=event.row | {"eventextra": extra})


def test_rooms_that_a_local_channel_joins_are_one() -> None:
    start = [row("CHAN_START", -5, TRUNK, 0), row("CHAN_START", -4, "Local/x@y", 1, linked=0)]
    first, second = (
        row("BRIDGE_ENTER", 1, "", 1, bridge="b1", linked=0),
        row("BRIDGE_ENTER", 2, "", 2, bridge="b2", linked=0),
    )
    one = replace(first, row=first.row | {"channame": "Local/x@y-00000001;1"})
    two = replace(second, row=second.row | {"channame": "Local/x@y-00000001;2"})
    events = [*start, enter(0, TRUNK, 0), one, two, enter(3, PHONE, 3, "b2"), leave(9, PHONE, 3, "b2")]
    assert spans(spoken(events)) == [(3, 9)]
    (talk,) = spoken(events)
    assert talk.channels == {"pbx1-1790000000.0", "pbx1-1790000000.3"}


def test_what_goes_on_has_no_end_and_what_asterisks_death_ended_has_a_least_one() -> None:
    open_call = call(0, 60)[:5]
    assert spans(spoken(open_call)) == [(0.01, None)]
    later = row("ANSWER", 40, TRUNK, 0)
    died = [*open_call, later, *(of_another_start(event) for event in call(500, 530))]
    first, second = spoken(died)
    assert (spans([first]), first.least, second.least) == ([(0.01, 40)], True, False)


def test_nonsense_in_a_row_hides_no_other() -> None:
    bad = [
        replace(event, row=event.row | {"eventtime": text})
        for event, text in zip(call(), ("", "x", "nan", "1e99", "-1"), strict=False)
    ]
    extra = enter(5, PHONE, 77)
    extra = replace(extra, row=extra.row | {"eventextra": "{" * 5000})
    assert len(spoken([*bad, extra, *call()])) == 1


CHANNELS = [TRUNK, TRUNK, PHONE, OTHER, SECTION]
MOVES = st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["", "b1", "b2"]), st.integers(1, 50)), max_size=30)


@given(MOVES, st.booleans())
def test_at_each_moment_as_many_talks_as_rooms_with_a_designated_phone(
    moves: list[tuple[int, str, int]], internal_too: bool
) -> None:
    """Against a look at every second: who is where, and does the rule record it."""
    events, now, where = [row("CHAN_START", -5, name, serial) for serial, name in enumerate(CHANNELS)], 0, {}
    truth: dict[int, int] = {}
    for serial, bridge, wait in moves:
        if where.get(serial):
            events.append(leave(now, CHANNELS[serial], serial, where[serial], serial))
        where[serial] = bridge
        if bridge:
            events.append(enter(now, CHANNELS[serial], serial, bridge, serial))
        for second in range(now, now + wait):
            truth[second] = sum(_wanted([n for n in where if where[n] == b], internal_too) for b in ("b1", "b2"))
        now += wait
    found = spoken(events, internal_too=internal_too)
    for second, count in truth.items():
        moment = at(second + 0.5)
        assert sum(talk.start <= moment and (talk.end is None or moment < talk.end) for talk in found) == count


def _wanted(serials: list[int], internal_too: bool) -> bool:
    kinds = [PLAN.kind(CHANNELS[serial].removeprefix("PJSIP/")) for serial in serials]
    others = [kind for kind in kinds if kind is Kind.TRUNK] or (kinds if internal_too else [])
    return Kind.DESIGNATED in kinds and len(kinds) > 1 and bool(others)


# --- against the vault ----------------------------------------------------------------------------------------------


def kept(first: float, last: float, serial: int = 0, note: str = "", recording: str = "r1") -> Kept:
    name = f"pbx1-1790000000.{serial}"
    return Kept(recording=recording, start=at(first), end=at(last), channel=name, linkedid=name, note=note)


def compared(events: Sequence[CelEvent], *pieces: Kept, paid: Sequence[Billed] = (), day: date = DAY) -> Account:
    return account(day, spoken(events), pieces, paid, now=NOW)


def lacks(found: Account) -> list[tuple[str, float, float]]:
    return [
        (one.lack.value, round((one.start - NOON).total_seconds(), 2), round((one.end - NOON).total_seconds(), 2))
        for one in found.exceptions
    ]


@pytest.mark.rule("B-04")
def test_all_recorded_is_complete() -> None:
    found = compared([*call(), *call(100, 130, serial=10)], kept(0, 60), kept(100.3, 129.8, 10))
    assert (found.complete, found.conversations, found.recorded) == (True, 2, 2)
    assert (found.seconds, found.kept) == (89.98, 89.5)


@pytest.mark.parametrize(
    ("pieces", "wanted"),
    [
        ([], [("missing", 0.01, 60)]),
        ([(0, 30)], [("short", 30, 60)]),
        ([(0, 20), (25, 60)], [("short", 20, 25)]),
        ([(5, 60)], [("short", 0.01, 5)]),
        ([(0, 60), (10, 20)], [("extra", 10, 20)]),
        ([(0, 90)], [("extra", 60, 90)]),
        ([(second, second + 0.5) for second in range(60)], [("short", s + 0.5, s + 1) for s in range(60)]),
        ([(0, 20), (20.9, 40), (40.9, 60)], []),
        ([(0, 30), (30, 60)], []),
        ([(0, 30), (30.9, 60.9)], []),
    ],
)
def test_what_does_not_agree_is_named_from_when_to_when(
    pieces: list[tuple[float, float]], wanted: list[tuple[str, float, float]]
) -> None:
    found = compared(call(), *(kept(*piece) for piece in pieces))
    assert lacks(found) == wanted
    assert found.recorded == int(not any(lack in ("missing", "short") for lack, _, _ in wanted))
    assert all(one.linkedid == "pbx1-1790000000.0" for one in found.exceptions)


def test_a_recording_without_a_conversation_is_named() -> None:
    found = compared(call(), kept(0, 60), kept(300, 310, serial=50, recording="r2"))
    (only,) = found.exceptions
    assert (only.lack, only.recording, found.conversations) == (Lack.EXTRA, "r2", 1)


def test_two_conversations_at_once_of_one_phone_need_two_recordings() -> None:
    """A consultation while the caller is on hold: one recording must not excuse the other."""
    consulting = [row("CHAN_START", 20, PHONE, 2), row("CHAN_START", 21, SECTION, 3, linked=2),
                  enter(22, SECTION, 3, "b2", 2), enter(22, PHONE, 2, "b2", 0),
                  leave(40, SECTION, 3, "b2", 2)]  # fmt: skip
    events = [*call(), *consulting]
    assert lacks(compared(events, kept(0, 60))) == [("missing", 22, 40)]
    assert sorted(lacks(compared(events, kept(0, 60), kept(22, 40)))) == [("extra", 22, 40), ("missing", 22, 40)]
    assert compared(events, kept(0, 60), kept(22, 40, 3)).complete


def test_after_asterisks_death_a_longer_recording_is_no_exception_and_a_shorter_one_is() -> None:
    later = row("ANSWER", 40, TRUNK, 0)
    died = [*call(0, 60)[:5], later, *[of_another_start(event) for event in call(500, 530)]]
    new = replace(kept(500, 530), channel="pbx1-1790009999.0", linkedid="pbx1-1790009999.0")
    assert compared(died, kept(0, 57), new).complete
    assert lacks(compared(died, kept(0, 30), new)) == [("short", 30, 40)]


def test_a_conversation_that_had_just_begun_when_asterisk_died_is_not_forgotten() -> None:
    died = [*call(0, 60)[:5], *[of_another_start(event) for event in call(500, 530)]]
    new = replace(kept(500, 530), channel="pbx1-1790009999.0", linkedid="pbx1-1790009999.0")
    found = compared(died, kept(0.2, 7), new)
    assert (found.complete, found.conversations) == (True, 2)


def of_another_start(event: CelEvent) -> CelEvent:
    """Of an Asterisk that was started hours later."""
    return replace(event, row={name: value.replace("1790000000", "1790009999") for name, value in event.row.items()})


def test_what_is_missing_beside_a_gap_is_named_unless_it_is_less_than_a_packet() -> None:
    assert lacks(compared(call(), kept(0.011, 20), kept(30, 59.4))) == [("short", 20, 30), ("short", 59.4, 60)]


def test_what_is_missing_packet_by_packet_is_named_as_one() -> None:
    pieces = [kept(begin / 20, begin / 20 + 0.03) for begin in range(300)]
    assert lacks(compared(call(0, 15), *pieces)) == [("short", 0.03, 15)]


def test_how_a_segment_ended_is_the_reason() -> None:
    found = compared(call(), kept(0, 30, note="cut: recorder killed"))
    assert [one.reason for one in found.exceptions] == ["cut: recorder killed"]


def test_a_conversation_that_goes_on_is_counted_and_not_judged() -> None:
    found = compared(call()[:5], kept(0, 60))
    assert (found.conversations, found.going_on, found.complete) == (0, 1, True)
    later = account(DAY, spoken(call()[:5]), [kept(0, 60)], now=NOON + timedelta(hours=23))
    assert (later.going_on, later.complete, later.exceptions) == (1, False, ()), "a day that is over has ended"


def test_one_that_never_ended_is_named_and_excuses_no_other() -> None:
    events = [*call()[:5], *call(100, 130, serial=10)]
    found = account(DAY, spoken(events), [kept(0, 60)], now=NOON + timedelta(days=2))
    assert lacks(found) == [("endless", 0.01, 0.01), ("missing", 100.01, 130)]
    assert (found.conversations, found.recorded, found.going_on) == (2, 0, 0)


def test_a_talk_of_which_nothing_is_kept_is_missing_however_short() -> None:
    assert lacks(compared(call(0, 0.9))) == [("missing", 0.01, 0.9)]
    over_at_once = compared(call(0, 0.2))
    assert (over_at_once.complete, over_at_once.conversations) == (True, 0), "over before there was anything"
    assert compared(call(0, 0.2), kept(0, 0.2)).conversations == 1


def test_two_outside_lines_in_one_room_are_two_recordings_and_none_excuses_the_other() -> None:
    third = [row("CHAN_START", 5, TRUNK, 2), enter(10, TRUNK, 2, "b0", 0)]
    events = [*call()[:5], *third, *call()[5:]]
    assert compared(events, kept(0, 60), kept(10, 60, 2)).complete
    doubled = compared(events, kept(0, 60), kept(10, 60))
    assert lacks(doubled) == [("extra", 10, 60)]


def test_after_a_transfer_sound_may_go_on_where_the_rules_say_so() -> None:
    pieces = [kept(0, 90)]
    assert account(DAY, spoken(call()), pieces, now=NOW, follow=True).complete
    assert not account(DAY, spoken(call()), pieces, now=NOW).complete


def test_what_asterisks_records_do_not_reach_is_said() -> None:
    gone = Mismatch(lack=Lack.UNKNOWN, start=at(-60), end=at(-30), linkedid="", reason="x")
    assert lacks(account(DAY, spoken(call()), [kept(0, 60)], now=NOW, unknown=[gone])) == [("unknown", -60, -30)]


@pytest.mark.parametrize("seconds", [0, -1, 1])
def test_a_conversation_belongs_to_the_day_on_which_it_began_in_japan(seconds: int) -> None:
    midnight = (datetime(2027, 4, 2, tzinfo=JST) - NOON).total_seconds() + seconds
    events = call(midnight, midnight + 100)
    assert compared(events).conversations == int(seconds < 0)
    assert account(DAY + timedelta(days=1), spoken(events), [], now=NOW).conversations == int(seconds >= 0)


def test_a_conversation_that_cel_does_not_know_is_named_by_cdr() -> None:
    base = {"channel": "PJSIP/trunk-00000099", "dstchannel": "PJSIP/2001-0000009a", "disposition": "ANSWERED"}
    base |= {"billsec": "12.5", "answer": f"{at(700).timestamp():.6f}", "uniqueid": "pbx1-1790000000.99"}
    rows = [base | {"linkedid": "pbx1-1790000000.99"}]
    found = compared(call(), kept(0, 60), paid=list(billed(rows, PLAN.kind, internal_too=True)))
    assert lacks(found) == [("unwitnessed", 700, 712.5)]
    known = [base | {"linkedid": "pbx1-1790000000.0"}]
    again = compared(call(), kept(0, 60), paid=list(billed(known, PLAN.kind, internal_too=True)))
    assert lacks(again) == [("unwitnessed", 700, 712.5)], "at another time the same id excuses nothing"
    known[0] |= {"answer": f"{at(0).timestamp():.6f}"}
    assert compared(call(), kept(0, 60), paid=list(billed(known, PLAN.kind, internal_too=True))).complete


@pytest.mark.parametrize(
    "change",
    [{"disposition": "NO ANSWER"}, {"billsec": "0"}, {"billsec": "x"}, {"dstchannel": ""}, {"answer": ""},
     {"dstchannel": "PJSIP/3101-00000001"}],
)  # fmt: skip
def test_what_cdr_does_not_call_a_conversation_of_a_designated_phone(change: dict[str, str]) -> None:
    base = {"channel": "PJSIP/trunk-00000099", "dstchannel": "PJSIP/2001-0000009a", "disposition": "ANSWERED"}
    base |= {"billsec": "12", "answer": "1806548400.0", "uniqueid": "x", "linkedid": "x"}
    assert len(list(billed([base], PLAN.kind, internal_too=True))) == 1
    assert not list(billed([base | change], PLAN.kind, internal_too=True))


@settings(max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 600), st.integers(1, 120)), min_size=1, max_size=6), st.data())
def test_any_piece_that_is_taken_away_is_found(calls: list[tuple[int, int]], data: st.DataObject) -> None:
    events, pieces = [], []
    for number, (first, length) in enumerate(calls):
        events += call(first, first + length + 5, serial=10 * number)
        pieces.append(kept(first, first + length + 5, 10 * number, recording=f"r{number}"))
    assert compared(events, *pieces).complete
    hurt = data.draw(st.integers(0, len(pieces) - 1))
    piece = pieces[hurt]
    most = (piece.end - piece.start).total_seconds()
    lost = data.draw(st.floats(TOLERANCE.total_seconds() + 0.1, most))
    start = data.draw(st.floats(0, most - lost))
    gap = piece.start + timedelta(seconds=start), piece.start + timedelta(seconds=start + lost)
    rest = [replace(piece, end=gap[0]), replace(piece, start=gap[1])]
    pieces[hurt : hurt + 1] = [part for part in rest if part.end > part.start]
    found = compared(events, *pieces)
    assert [one.linkedid for one in found.exceptions] == [f"pbx1-1790000000.{10 * hurt}"]
    (one,) = found.exceptions
    assert abs((one.end - one.start).total_seconds() - lost) < 0.05
