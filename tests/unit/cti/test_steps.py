"""Steps out of Asterisk's record of events: each of them, whatever happened to the file, and none that is forged."""

import csv
import io
import json
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cti import steps
from cti.calls.board import conversation_id
from cti.calls.cel import CEL_COLUMNS
from cti.steps import EVENT, POSITION, StepTail, at_of
from recorder import callfile
from recorder.vault.folder import STEPS
from tests.unit.recorder.rig import ram_folder

SECOND = 1798858800  # 2027-01-02 12:00 in Japan
ROUTE = "kikitori/route/closed/A-11/other/gate/0664581132"
FORGED = "kikitori/intake/emergency/0666666666/keyed/ja"


def row(said: str = ROUTE, number: int = 1, at: float = SECOND, **more: Any) -> str:
    """A row as cel_custom writes it: every value within quotes, which it doubles."""
    values = dict.fromkeys(CEL_COLUMNS, "") | {
        "eventtype": EVENT,
        "eventtime": f"{at:.6f}",
        "channame": f"PJSIP/trunk-{number:08x}",
        "uniqueid": f"pbx1-{int(at)}.{number}",
        "linkedid": f"pbx1-{int(at)}.{number}",
        "context": "kikitori-told",
        "exten": "s",
        "appname": "CELGenUserEvent",
        "eventextra": json.dumps({"extra": said}, separators=(",", ":")),
        "callernum": "0312345678",
    }
    text = io.StringIO()
    csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n").writerow((values | more)[name] for name in CEL_COLUMNS)
    return text.getvalue()


OTHER = row("", eventtype="CHAN_START", eventextra="")


class Host:
    """Asterisk's file, a vault's folder, and what reads the one into the other."""

    def __init__(self, folder: Path) -> None:
        self.cel, self.vault = folder / "cel.csv", folder / "vault"
        (self.vault / STEPS).mkdir(parents=True)
        self.position = self.vault / STEPS / POSITION

    def write(self, *text: str) -> None:
        with self.cel.open("a", encoding="utf-8", newline="") as file:
            file.write("".join(text))

    def copy(self) -> int:
        """By a process that has just started."""
        return StepTail(self.cel, self.vault, "pbx1").copy()

    def copied(self) -> list[dict[str, Any]]:
        found = []
        for path in sorted((self.vault / STEPS).glob("*.jsonl")):
            assert list(callfile.check(path)) == []
            found += [json.loads(line) for line in path.read_text().splitlines()]
        return found

    def numbers(self) -> list[int]:
        return [int(step["uniqueid"].rpartition(".")[2]) for step in self.copied()]


@pytest.fixture
def host() -> Iterator[Host]:
    with ram_folder() as folder:
        yield Host(folder)


# --- what a step is ---------------------------------------------------------------------------------------------------


@pytest.mark.rule("A-12")
def test_a_row_of_the_dialplan_is_a_step(host: Host) -> None:
    host.write(OTHER, row(), OTHER)
    assert host.copy() == 1
    (step,) = host.copied()
    assert step.pop("check")
    assert step == {
        "key": f"pbx1/pbx1-{SECOND}.1/{SECOND}.000000/route/closed/A-11/other/gate/0664581132",
        "conversation": str(conversation_id("pbx1", f"pbx1-{SECOND}.1")),
        "uniqueid": f"pbx1-{SECOND}.1",
        "at": "2027-01-02T03:00:00+00:00",
        "what": "route",
        "values": {"route": "closed", "rule": "A-11", "why": "other", "by": "gate", "number": "0664581132"},
    }
    assert at_of(step) == datetime(2027, 1, 2, 3, tzinfo=UTC)


def test_steps_lie_in_the_file_of_their_day(host: Host) -> None:
    host.write(row(number=1), row(number=2, at=SECOND + 21 * 3600 - 1e-6), row(number=3, at=SECOND + 21 * 3600))
    assert host.copy() == 3
    files = {path.name: len(path.read_text().splitlines()) for path in (host.vault / STEPS).glob("*.jsonl")}
    assert files == {"2027-01-02.jsonl": 2, "2027-01-03.jsonl": 1}


@pytest.mark.parametrize(
    "text",
    [
        row("somebody/else"),
        row("kikitori/"),
        row("kikitori/dance/1"),
        row("kikitori/route/a/b/c/d/e/f"),
        row("x kikitori/route/closed"),
        row(eventextra=""),
        row(eventextra="kikitori/route/closed"),
        row(eventextra="[]"),
        row(eventextra='{"extra":{"kikitori/":1}}'),
        row(eventtime="yesterday"),
        row(eventtime="nan"),
        row(eventtime="1e300"),
        row(eventtime=""),
        '"KIKITORI"\n',
        "\n",
        "\x00\n",
        '"KIKITORI","\n',
        row().replace('"', ""),
    ],
)
def test_what_is_no_step_is_passed_over_and_hides_none(host: Host, text: str) -> None:
    host.write(row(number=1), text, row(number=2))
    assert host.copy() == 2
    assert host.numbers() == [1, 2]


def test_bytes_that_are_no_text_hide_no_step(host: Host) -> None:
    host.write(row(number=1))
    with host.cel.open("ab") as file:
        file.write(row(number=2, callernum="X").encode().replace(b"X", b"\xff\xfe\x80"))
    host.write(row(number=3))
    host.copy()
    assert host.numbers() == [1, 2, 3]


# --- what happened to the file ----------------------------------------------------------------------------------------


def test_without_a_file_there_is_nothing_to_copy(host: Host) -> None:
    assert host.copy() == 0
    host.cel.touch()
    assert host.copy() == 0


def test_each_step_is_copied_once(host: Host) -> None:
    for number in range(1, 6):
        host.write(row(number=number), OTHER)
        assert host.copy() == 1
        assert host.copy() == 0
    assert host.numbers() == [1, 2, 3, 4, 5]


def test_one_that_keeps_running_and_one_that_starts_anew_copy_the_same(host: Host) -> None:
    running = StepTail(host.cel, host.vault, "pbx1")
    host.write(row(number=1))
    assert running.copy() == 1
    host.write(row(number=2))
    assert host.copy() == 1
    host.write(row(number=3))
    assert running.copy() == 1
    assert host.numbers() == [1, 2, 3]


def test_half_a_row_waits_for_its_other_half(host: Host) -> None:
    text = row(number=2)
    for place in range(1, len(text)):
        host.write(row(number=1), text[:place])
        assert host.copy() == 1
        assert host.copy() == 0
        host.write(text[place:], row(number=3))
        assert host.copy() == 2
    assert host.numbers() == [1, 2, 3] * (len(text) - 1)


def test_half_a_row_that_ends_with_a_break_of_the_number_counts_once(host: Host) -> None:
    text = row(number=1, callernum="03\n12\n")
    for place in (text.index("\n") + 1, len(text) - 2):
        host.write(text[:place])
        host.copy()
        host.write(text[place:])
        host.copy()
    assert host.numbers() == [1, 1]


def test_a_file_longer_than_one_piece_is_copied_whole(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "CHUNK", 100)
    host.write(*(row(number=number) + OTHER for number in range(1, 20)))
    assert host.copy() == 19
    assert host.numbers() == list(range(1, 20))
    assert host.copy() == 0


def test_a_row_of_several_lines_may_lie_across_two_pieces(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    numbers = [1, 2, 3]
    host.write(*(row(number=number, callernum="03\n12\n\n") for number in numbers))
    for size in range(1, host.cel.stat().st_size + 1):
        monkeypatch.setattr(steps, "CHUNK", size)
        host.position.unlink(missing_ok=True)
        assert host.copy() == 3, size
    assert host.numbers() == numbers * host.cel.stat().st_size


@pytest.mark.parametrize("copied_before", [True, False])
def test_a_file_that_was_put_aside_is_read_to_its_end_and_then_the_new_one(host: Host, *, copied_before: bool) -> None:
    host.write(row(number=1))
    host.copy()
    if copied_before:
        assert host.copy() == 0
    host.write(row(number=2))
    host.cel.rename(host.cel.with_name("cel.csv.1"))
    assert host.copy() == 0, "Asterisk writes into the one that was renamed until it is told"
    with host.cel.with_name("cel.csv.1").open("a") as old:
        old.write(row(number=3))
    host.write(row(number=4))
    assert host.copy() == 3
    host.write(row(number=5))
    assert host.copy() == 1
    assert host.numbers() == [1, 2, 3, 4, 5]


def test_two_files_that_were_put_aside_while_it_was_down_are_both_read(host: Host) -> None:
    host.write(row(number=1))
    host.copy()
    host.write(row(number=2))
    host.cel.rename(host.cel.with_name("cel.csv.2"))
    host.write(row(number=3))
    host.cel.rename(host.cel.with_name("cel.csv.1"))
    host.write(row(number=4))
    host.copy()
    assert host.numbers() == [1, 2, 3, 4]


def test_a_file_that_was_cut_off_is_read_from_its_beginning(host: Host) -> None:
    host.write(row(number=1), row(number=2))
    assert host.copy() == 2
    with host.cel.open("r+b") as file:
        file.truncate()
    host.write(row(number=3))
    assert host.copy() == 1
    assert host.numbers() == [1, 2, 3]


# --- how far it was read ----------------------------------------------------------------------------------------------

GARBAGE = [
    b"",
    b"{",
    b"[]",
    b"null",
    b"7",
    b"{}",
    b'{"inode": 1}',
    b'{"inode": "x", "read": 0}',
    b'{"inode": null, "read": 0}',
    b"\xff\xfe",
    b"\x00" * 40,
    b'{"inode": [], "read": 0}',
    b'{"inode": 1, "read": 1e999}',
    b'{"inode": NaN, "read": 1}',
    b"[" * 100_000,
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=range(len(GARBAGE)))
def test_a_position_that_is_none_begins_again_and_the_key_tells_the_twice_copied(host: Host, garbage: bytes) -> None:
    host.write(row(number=1), row(number=2))
    assert host.copy() == 2
    host.position.write_bytes(garbage)
    host.write(row(number=3))
    assert host.copy() == 3
    assert host.numbers() == [1, 2, 1, 2, 3]
    assert len({step["key"] for step in host.copied()}) == 3
    assert host.copy() == 0


def test_a_position_before_the_beginning_begins_again(host: Host) -> None:
    host.write(row())
    host.position.write_text(json.dumps({"inode": host.cel.stat().st_ino, "read": -5}))
    assert host.copy() == 1


def test_a_position_behind_the_end_begins_again(host: Host) -> None:
    host.write(row())
    host.position.write_text(json.dumps({"inode": host.cel.stat().st_ino, "read": 10**6}))
    assert host.copy() == 1


def test_what_died_before_it_noted_how_far_it_was_copies_again(host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    host.write(row(number=1), row(number=2))

    def dies(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as broken:
        broken.setattr(StepTail, "_remember", dies)
        with pytest.raises(OSError, match="No space left"):
            host.copy()
    assert host.copy() == 2
    assert host.numbers() == [1, 2, 1, 2]
    assert len({step["key"] for step in host.copied()}) == 2


def test_half_a_position_that_a_crash_left_is_in_nobody_s_way(host: Host) -> None:
    host.position.with_suffix(".new").write_text("{")
    host.write(row())
    assert host.copy() == 1
    assert host.copy() == 0


@pytest.mark.parametrize("differs", [{"said": FORGED}, {"number": 2}, {"at": SECOND + 0.500001}])
def test_steps_of_which_one_thing_differs_have_keys_of_their_own(host: Host, differs: dict[str, Any]) -> None:
    first: dict[str, Any] = {"said": ROUTE, "number": 1, "at": SECOND + 0.5}
    host.write(row(**first), row(**first | differs), row(**first))
    host.copy()
    assert len({step["key"] for step in host.copied()}) == 2


# --- what a caller can write ------------------------------------------------------------------------------------------

HOSTILE = [
    "\n" + row(FORGED, number=99),
    row(FORGED, number=99),
    '"\n' + row(FORGED, number=99),
    '",""\n' + row(FORGED, number=99),
    '\n"KIKITORI","1798858800.1","x"',
    "\r\n\r\n",
    '"',
    '""',
    '","',
    "\u2028" + row(FORGED, number=99),
    "\x85\x0b\x0c\x1c",
    "\x00",
    "\\",
    "\\\n",
    "'",
    '\n"',
    ",,,,,,,,,,,,,,,,",
]


@pytest.mark.parametrize("field", ["callernum", "peer", "channame", "exten"])
@pytest.mark.parametrize("number", HOSTILE)
def test_a_number_with_breaks_and_quotes_forges_nothing_and_hides_nothing(host: Host, number: str, field: str) -> None:
    hostile: dict[str, Any] = {field: number}
    host.write(
        row(number=1), row("", number=98, eventtype="ANSWER", **hostile), row(number=2, **hostile), row(number=3)
    )
    host.copy()
    assert host.numbers() == [1, 2, 3]
    assert {step["what"] for step in host.copied()} == {"route"}


@pytest.mark.parametrize("number", ["\n" + row(FORGED, number=99), "\n" + row(FORGED, number=99).replace('"', "")])
def test_wherever_a_piece_begins_nothing_is_forged(host: Host, monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    host.write(row(number=1), row("", number=98, eventtype="ANSWER", callernum=number), row(number=2))
    for size in range(1, host.cel.stat().st_size + 1):
        monkeypatch.setattr(steps, "CHUNK", size)
        host.position.unlink(missing_ok=True)
        host.copy()
    assert set(host.numbers()) == {1, 2}
    assert {step["what"] for step in host.copied()} == {"route"}


@settings(max_examples=200, deadline=None)
@given(
    st.lists(st.text(st.sampled_from('"\n\r,x\u2028') | st.characters(codec="utf-8")), min_size=1, max_size=4),
    st.data(),
)
def test_no_number_forges_or_hides_a_step_however_the_file_is_read(numbers: list[str], data: st.DataObject) -> None:
    with ram_folder() as folder:
        host = Host(folder)
        for place, number in enumerate(numbers, 1):
            host.write(row(number=place, callernum=number), row("", eventtype="ANSWER", callernum=number + row(FORGED)))
            if data.draw(st.booleans()):
                host.copy()
        host.copy()
        assert host.numbers() == list(range(1, len(numbers) + 1))
        assert {step["what"] for step in host.copied()} == {"route"}
