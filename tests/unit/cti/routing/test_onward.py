"""Which telephone rings for whom an operator puts through: by the hours of the 所管課, and of those that stand in."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cti.hours import HoursBook
from cti.routing.direct import Director
from cti.routing.onward import How, Onward, code_of, onward, read
from policies.load import Policies, shipped
from policies.sections import Category, Section, SectionKind, Sections

pytestmark = pytest.mark.rule("A-19", "A-30")

HOURS = Policies(shipped()).opening_hours()
OPEN = datetime(2027, 4, 1, 1, tzinfo=UTC)
"""A Thursday, 10:00 in Japan."""
NIGHT = datetime(2027, 4, 1, 13, tzinfo=UTC)


def section(name: str, **more: Any) -> Section:
    values = {"name": name, "title": name, "kind": SectionKind.SECTION, "phone": "3101"}
    return Section(**values | more)


def sections(*those: Section, category: tuple[Category, ...] = ()) -> Sections:
    return Sections(
        basis="A-05", decided_by="x", effective_from=date(2025, 12, 1), section=those, category=category
    )  # fmt: skip


def test_its_own_while_it_is_open() -> None:
    one = section("kyusui")
    assert onward(one, OPEN, sections(one), HOURS) == Onward(section="kyusui", phone="3101", how=How.OPEN)
    assert onward(one, NIGHT, sections(one), HOURS).how is How.CLOSED


def test_whoever_stands_in_for_it_and_for_them() -> None:
    first = section("first", until=date(2026, 1, 1), instead="second", phone="3001")
    second, third = section("second", until=date(2026, 1, 1), instead="third", phone="3002"), section("third")
    of = sections(first, second, third)
    assert onward(first, OPEN, of, HOURS) == Onward(section="third", phone="3101", how=How.INSTEAD)
    assert onward(first, NIGHT, of, HOURS) == Onward(section="first", phone="3001", how=How.CLOSED)


def test_two_that_stand_in_for_each_other_end() -> None:
    one = section("one", until=date(2026, 1, 1), instead="two")
    two = section("two", until=date(2026, 1, 1), instead="one", phone="3002")
    assert onward(one, OPEN, sections(one, two), HOURS).how is How.CLOSED


@pytest.mark.parametrize(
    ("dialled", "meant"),
    [("*83101", ("3101", "")), ("*83101*1", ("3101", "wish")), ("*87*2", ("7", "urgent")), ("*87*3", ("7", "other")),
     ("*8", None), ("*8*1", None), ("*83101*4", None), ("*83101*", None), ("83101", None), ("*83101\n", None),
     ("*8" + "1" * 16, None), ("*8３１０１", None), ("", None)],
)  # fmt: skip
def test_what_was_dialled_is_read(dialled: str, meant: tuple[str, str] | None) -> None:
    assert read(dialled) == meant


@given(phone=st.from_regex(r"[0-9]{2,15}", fullmatch=True), why=st.sampled_from(["wish", "urgent", "other"]),
       code=st.none() | st.from_regex(r"[0-9]{1,6}", fullmatch=True))  # fmt: skip
def test_what_is_dialled_for_a_section_means_it(phone: str, why: str, code: str | None) -> None:
    one = section("kyusui", phone=phone, code=code)
    dialled = read(code_of(one, why))
    assert dialled is not None
    assert dialled[1] == why
    assert sections(one).dialled(dialled[0]) == one


def director(tmp_path: Path, more: str, at: datetime = OPEN) -> Director:
    for file in shipped().iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    with (tmp_path / "sections.toml").open("a", encoding="utf-8") as policy:
        policy.write(more)
    return Director(HoursBook(tmp_path, tmp_path), lambda: at)


KEY = """
[[category]]
name = "pipes"
title = "配管"
section = "kyusui"
key = "4"
"""


def test_the_gate_is_told_as_the_policy_has_it(tmp_path: Path) -> None:
    told = director(tmp_path, KEY)
    assert told.passing("3101") == "kyusui,3101,open,"
    assert told.passing("9") == told.chosen("5") == ""
    assert told.chosen("4") == "kyusui,3101,open,pipes"


def test_at_night_an_operator_s_caller_comes_back_and_who_presses_a_key_goes_to_the_centre(tmp_path: Path) -> None:
    told = director(tmp_path, KEY, NIGHT)
    assert told.passing("3101") == "kyusui,3101,closed,"
    assert told.chosen("4") == ""


def test_a_policy_that_cannot_be_read_leaves_it_to_the_dialplan(tmp_path: Path) -> None:
    told = director(tmp_path, "nonsense")
    assert told.passing("3101") == told.chosen("4") == ""
