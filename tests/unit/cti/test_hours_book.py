"""The hours in force: read again when a file changes, kept when one breaks, and a decision is never lost."""

import json
import multiprocessing
import os
import stat
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from shutil import copytree, rmtree
from typing import Any

import pytest

from cti.hours import LOOK, MOST, HoursBook, enter, overrides_file
from policies.calendar import JST
from policies.errors import PolicyError
from policies.load import Policies, shipped

NOON = datetime(2027, 1, 5, 12, tzinfo=JST)  # a Tuesday
CLOSED = {"from": "2027-01-05", "to": "2027-01-05", "kind": "closed", "by": "水道局長"}
TICK = timedelta(milliseconds=1)


class Site:
    """Policies, a folder of decisions, and the book of both."""

    def __init__(self, folder: Path) -> None:
        self.policies, self.hours = folder / "policies", folder / "hours"
        copytree(shipped(), self.policies)
        self.hours.mkdir()
        self.file = overrides_file(self.hours)
        self.book = HoursBook(self.policies, self.hours)

    def open(self, at: datetime) -> bool:
        return self.book.now(at).at(NOON).open

    def trouble(self) -> str:
        return self.book.trouble or ""

    def change(self, name: str, old: str, new: str) -> None:
        path = self.policies / name
        text = path.read_text("utf-8")
        assert old in text
        path.write_text(text.replace(old, new), "utf-8")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def decided(**more: Any) -> dict[str, Any]:
    return CLOSED | more


# --- HoursBook --------------------------------------------------------------------------------------------------------


def test_nothing_is_read_before_it_is_asked(tmp_path: Path) -> None:
    book = HoursBook(tmp_path / "none", tmp_path)
    assert (book.trouble, book.plan) == (None, None)


@pytest.mark.rule("A-13")
def test_a_decision_counts_at_the_next_question(site: Site) -> None:
    assert site.open(NOON)
    enter(site.hours, decided(id="a"))
    assert not site.open(NOON), "no time has passed"
    enter(site.hours, {"revoke": "a", "by": "水道局長"})
    assert site.open(NOON)
    assert site.trouble() == ""


@pytest.mark.rule("A-13")
@pytest.mark.parametrize("left", [None, b"", b"{}"])
def test_a_file_of_decisions_that_goes_or_shrinks_takes_none_of_them_with_it(site: Site, left: bytes | None) -> None:
    enter(site.hours, decided())
    assert not site.open(NOON)
    whole = site.file.read_bytes()
    site.file.unlink()
    if left is not None:
        site.file.write_bytes(left)
    assert not site.open(NOON), "it only grows: what was decided counts"
    assert "shorter than it was" in site.trouble()
    site.file.write_bytes(whole)
    assert not site.open(NOON)
    assert site.trouble() == ""


def test_a_file_of_decisions_that_is_too_long_holds_nobody(site: Site) -> None:
    enter(site.hours, decided())
    assert not site.open(NOON)
    with site.file.open("ab") as file:
        file.write(b"x\n" * MOST)
    assert not site.open(NOON)
    assert "is longer than" in site.trouble()


def test_of_many_refused_lines_a_few_are_named(site: Site) -> None:
    assert site.open(NOON)
    site.file.write_text("x\n" * 1000)
    assert site.open(NOON)
    assert site.trouble().endswith("and 995 more")


def test_the_plan_comes_with_the_hours(site: Site) -> None:
    site.open(NOON)
    assert site.book.plan == Policies(shipped()).plan


def test_what_has_not_changed_is_not_read_again(site: Site) -> None:
    first = site.book.now(NOON)
    assert site.book.now(NOON + timedelta(days=30)) is first


def test_new_hours_count_a_second_later_at_most(site: Site) -> None:
    assert site.open(NOON)
    site.change("hours.toml", '"08:00-20:00"', '"13:00-20:00"')
    assert site.open(NOON + LOOK - TICK)
    assert not site.open(NOON + LOOK)
    assert timedelta(seconds=1) >= LOOK


def test_a_clock_that_goes_back_reads_anew(site: Site) -> None:
    assert site.open(NOON)
    site.change("hours.toml", '"08:00-20:00"', '"13:00-20:00"')
    assert not site.open(NOON - timedelta(days=1))


BROKEN = {
    "no TOML": ("hours.toml", 'name = "centre"', 'name = "centre'),
    "a class without hours": ("hours.toml", 'hours = ["08:00-20:00"]\n', ""),
    "another table": ("holidays.toml", 'sha256 = "be9a', 'sha256 = "0000'),
    "a calendar that is none": ("numbers.toml", 'hours = "office"', 'hours = "nobody"'),
}


@pytest.mark.parametrize(("name", "old", "new"), BROKEN.values(), ids=BROKEN)
def test_a_file_that_breaks_is_trouble_and_what_was_read_stays(site: Site, name: str, old: str, new: str) -> None:
    before = site.book.now(NOON)
    site.change(name, old, new)
    assert site.book.now(NOON + LOOK - TICK) is before
    assert site.trouble() == ""
    assert site.book.now(NOON + LOOK) is before
    assert site.trouble()
    assert str(site.policies) in site.trouble()
    plan = Policies(shipped()).plan
    assert site.book.plan == plan, "a number without hours is in force nowhere"
    (site.policies / name).write_bytes((shipped() / name).read_bytes())
    assert site.open(NOON + 2 * LOOK)
    assert site.trouble() == ""


def test_a_file_that_goes_is_trouble_until_it_is_back(site: Site) -> None:
    assert site.open(NOON)
    data = (site.policies / "syukujitsu.csv").read_bytes()
    (site.policies / "syukujitsu.csv").unlink()
    assert site.open(NOON + LOOK)
    assert "syukujitsu.csv" in site.trouble()
    (site.policies / "syukujitsu.csv").write_bytes(data)
    assert site.open(NOON + 2 * LOOK)
    assert site.trouble() == ""


@pytest.mark.rule("A-13")
def test_a_decision_counts_though_a_policy_is_broken(site: Site) -> None:
    assert site.open(NOON)
    site.change("hours.toml", 'name = "centre"', 'name = "centre')
    assert site.open(NOON + LOOK)
    enter(site.hours, decided())
    assert not site.open(NOON + LOOK)


def test_a_decision_does_not_end_the_trouble_of_a_policy(site: Site) -> None:
    assert site.open(NOON)
    site.change("hours.toml", 'name = "centre"', 'name = "centre')
    assert site.open(NOON + LOOK)
    enter(site.hours, decided())
    site.book.now(NOON + LOOK)
    assert "hours.toml" in site.trouble(), "it is broken still"


def test_without_anything_readable_there_is_no_answer(tmp_path: Path) -> None:
    book = HoursBook(tmp_path / "none", tmp_path)
    for seconds in range(3):
        with pytest.raises(PolicyError, match="cannot be read"):
            book.now(NOON + timedelta(seconds=seconds))
    assert "cannot be read" in (book.trouble or "")
    copytree(shipped(), tmp_path / "none")
    assert book.now(NOON + timedelta(seconds=4)).at(NOON).open
    assert book.trouble is None


def test_what_was_once_read_outlives_its_folder(site: Site) -> None:
    assert site.open(NOON)
    rmtree(site.policies)
    assert site.open(NOON + timedelta(days=1))
    assert site.trouble()


@pytest.mark.rule("A-13")
@pytest.mark.parametrize("torn", ['{"from": "2027-01-06", "to"', "{}", "\x00\x00", "\ufffd", "[" * 10_000])
def test_a_torn_last_line_hides_nothing(site: Site, torn: str) -> None:
    enter(site.hours, decided())
    with site.file.open("a", encoding="utf-8") as file:
        file.write(torn)
    assert not site.open(NOON)
    assert f"{site.file}:2" in site.trouble()


def test_bytes_that_are_no_text_hide_nothing(site: Site) -> None:
    enter(site.hours, decided())
    with site.file.open("ab") as file:
        file.write(b'\xff\xfe{"\n')
    enter(site.hours, decided(**{"from": "2027-01-07", "to": "2027-01-07"}))
    hours = site.book.now(NOON)
    assert [hours.at(NOON + timedelta(days=days)).open for days in range(3)] == [False, True, False]


@pytest.mark.rule("A-13")
def test_a_line_of_anybody_else_is_trouble_and_counts_for_nothing(site: Site) -> None:
    enter(site.hours, decided(by="課長"))
    assert site.open(NOON)
    assert "水道局長 alone" in site.trouble()


# --- enter ------------------------------------------------------------------------------------------------------------


def lines(file: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def test_what_is_entered_stands_behind_what_stood_there(site: Site) -> None:
    enter(site.hours, decided(id="a", reason="停電"))
    before = site.file.read_bytes()
    enter(site.hours, decided(id="b"))
    assert site.file.read_bytes().startswith(before)
    assert lines(site.file) == [decided(id="a", reason="停電"), decided(id="b")]
    assert "停電" in site.file.read_text("utf-8"), "people read that file"


@pytest.mark.parametrize("torn", [b"{", b'{"from": "2027-01-06", "to"', b"\xe6\xb0", b"\n\n{"])
def test_half_a_line_does_not_take_the_next_with_it(site: Site, torn: bytes) -> None:
    enter(site.hours, decided(id="a"))
    with site.file.open("ab") as file:
        file.write(torn)
    enter(site.hours, decided(id="b"))
    assert json.loads(site.file.read_bytes().splitlines()[-1])["id"] == "b"
    assert [override.id for override in site.book.now(NOON).overrides.all] == ["a", "b"]


@pytest.fixture(params=[0o022, 0o077, 0o000])
def umask(request: pytest.FixtureRequest) -> Iterator[None]:
    before = os.umask(request.param)
    yield
    os.umask(before)


@pytest.mark.usefixtures("umask")
def test_everybody_reads_it_and_its_owner_alone_writes_it(site: Site) -> None:
    enter(site.hours, decided())
    assert stat.S_IMODE(site.file.stat().st_mode) == 0o644


@pytest.mark.parametrize(
    "reason", ["a\nb", "a\r\nb", "a\x85b", "a\u2028b", "a\u2029b", "a\x0bb\x0cc\x1cd", '"', "\\", "😀"]
)
def test_whatever_the_reason_says_the_decision_counts(site: Site, reason: str) -> None:
    enter(site.hours, decided(reason=reason))
    assert not site.open(NOON)
    assert site.trouble() == ""
    assert site.book.now(NOON).overrides.all[0].reason == reason


def test_a_disk_that_is_full_leaves_no_half_a_line(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    enter(site.hours, decided(id="a"))
    before, write = site.file.read_bytes(), os.write
    monkeypatch.setattr(os, "write", lambda handle, data: write(handle, data[:9]))
    with pytest.raises(OSError, match="No space left"):
        enter(site.hours, decided(id="b"))
    assert site.file.read_bytes() == before


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        enter(tmp_path / "none", decided())


ENTRIES = 60


def _enter_many(folder: Path, name: str) -> None:
    for number in range(ENTRIES):
        enter(folder, decided(id=f"{name}-{number}", reason=name * 500))


def test_two_who_enter_at_once_lose_no_line(site: Site) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_enter_many, args=(site.hours, name)) for name in "ab"]
    for process in processes:
        process.start()
    for process in processes:
        process.join(60)
    assert [process.exitcode for process in processes] == [0, 0]
    found = [entry["id"] for entry in lines(site.file)]
    for name in "ab":
        assert [one for one in found if one[0] == name] == [f"{name}-{number}" for number in range(ENTRIES)]
