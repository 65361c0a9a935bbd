"""What the watch makes of what it sees."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import pytest

from cti import health
from cti.doctor.finding import Finding, Severity, house_titles, titles
from cti.doctor.machine import DiskSeen
from cti.doctor.seen import Unseen
from cti.health import HealthSeen, Unreached
from tests.unit.cti.doctor import good, good_house
from tests.unit.cti.doctor.good_house import NOW, WANT

RECORDER = {
    "in_step": True, "trouble": None, "calls": 2, "recording": 1, "events_waiting": 0, "events_delay": 0.01,
    "events_dropped": 0, "events_tampered": 0, "events_oversized": 0, "spool_free": 2 << 30, "spool_size": 2 << 30,
    "by_dialplan": 0,
}  # fmt: skip
VAULT = good_house.SEEN.disks["vault"]
TODAY = date(2026, 11, 27)
SEEN = HealthSeen(
    recorder=RECORDER,
    gate=good.SEEN.gate,
    clock=good_house.SEEN.clock,
    vault=VAULT,
    mirror=good_house.SEEN.disks["mirror"],
    stock=good_house.SEEN.stock,
    keys=good_house.SEEN.keys,
    untold={"log": 0, "index": 3},
    statements={TODAY - timedelta(days=ago): 0 for ago in range(1, 8)},
    overdue=0,
    untaken=0,
    unreached=Unreached(0, 3, ("佐藤",)),
    unmoved=0,
    stopped=0,
    unreviewed=(),
)


def found(**changes: Any) -> dict[str, Finding]:
    return {finding.check: finding for finding in health.judge(replace(SEEN, **changes), WANT, NOW)}


def test_all_is_well() -> None:
    assert {finding.severity for finding in found().values()} == {Severity.ok}
    assert found().keys() <= (titles() | house_titles() | health.titles()).keys()


@pytest.mark.parametrize(
    ("check", "changes", "severity"),
    [
        ("recorder", {"recorder": Unseen("no answer in time")}, Severity.error),
        ("recorder", {"recorder": RECORDER | {"trouble": "No space left on device"}}, Severity.error),
        ("recorder", {"recorder": RECORDER | {"in_step": False}}, Severity.error),
        ("events", {"recorder": RECORDER | {"events_waiting": 10_000}}, Severity.error),
        ("events", {"recorder": RECORDER | {"events_waiting": 5, "events_delay": 2.5}}, Severity.warning),
        ("dialplan", {"recorder": RECORDER | {"by_dialplan": 1}}, Severity.warning),
        ("spool-room", {"recorder": RECORDER | {"spool_free": 20 << 20}}, Severity.warning),
        ("spool-room", {"recorder": RECORDER | {"spool_free": 1 << 20}}, Severity.error),
        ("gate", {"gate": Unseen("connection refused")}, Severity.error),
        ("untold", {"untold": {"log": 51, "index": 0}}, Severity.warning),
        ("statement", {"statements": {TODAY - timedelta(days=1): None}}, Severity.error),
        ("completeness", {"statements": {TODAY - timedelta(days=1): 2}}, Severity.error),
        ("overdue", {"overdue": 1}, Severity.warning),
        ("outward", {"untaken": 1}, Severity.warning),
        ("unreached", {"unreached": Unreached(2, 3, ("佐藤",))}, Severity.warning),
        ("moved", {"unmoved": 1}, Severity.error),
        ("held", {"stopped": 2}, Severity.warning),
        ("review", {"unreviewed": ("2027-04",)}, Severity.warning),
    ],
)
def test_what_is_not_well_is_named(check: str, changes: dict[str, Any], severity: Severity) -> None:
    wrong = {name: finding for name, finding in found(**changes).items() if finding.severity is not Severity.ok}
    assert list(wrong) == [check]
    assert wrong[check].severity is severity
    assert wrong[check].remedy


def test_a_late_event_of_an_hour_ago_is_no_alarm() -> None:
    assert found(recorder=RECORDER | {"events_delay": 60.0})["events"].severity is Severity.ok


def test_a_disk_that_fills_up_is_an_error_before_it_is_full() -> None:
    assert isinstance(VAULT, DiskSeen)
    assert found(vault=replace(VAULT, free=1 << 20))["days"].severity is Severity.error
    assert found(mirror=replace(VAULT, free=1 << 20))["second-days"].severity is Severity.error


@pytest.mark.parametrize(
    "name", ["untold", "statements", "overdue", "unreviewed", "untaken", "unreached", "unmoved", "stopped"]
)
def test_what_cannot_be_seen_is_not_taken_for_well(name: str) -> None:
    assert [finding for finding in found(**{name: Unseen("Permission denied")}).values() if not finding.made]


class Books:
    """A desk's, as far as statements go: those of `stated` are there, and all in order."""

    def __init__(self, *, begun: datetime | None, installed: datetime | None, stated: int = 0) -> None:
        self.begun, self.catalogue = installed, self
        self._first, self._stated = begun, {TODAY - timedelta(days=ago) for ago in range(1, stated + 1)}

    async def first_begin(self) -> datetime | None:
        return self._first

    def installed(self, after: timedelta) -> datetime | None:
        return self.begun + after if self.begun else None

    def stated(self, day: date) -> list[date]:
        return [day] if day in self._stated else []

    def read_statement(self, _path: date) -> dict[str, Any]:
        return {"exceptions": []}


@pytest.mark.parametrize(
    ("books", "due", "severity"),
    [
        (Books(begun=None, installed=NOW - timedelta(days=30)), 7, Severity.error),
        (Books(begun=None, installed=NOW - timedelta(days=5)), 3, Severity.error),
        (Books(begun=None, installed=NOW), 0, Severity.ok),
        (Books(begun=None, installed=None), 0, Severity.ok),
        (Books(begun=NOW - timedelta(days=2), installed=NOW - timedelta(days=3), stated=2), 2, Severity.ok),
        (Books(begun=NOW - timedelta(days=30), installed=NOW - timedelta(days=31), stated=7), 7, Severity.ok),
        (Books(begun=NOW - timedelta(days=30), installed=NOW - timedelta(days=31), stated=6), 7, Severity.error),
    ],
)
async def test_an_installation_that_records_nothing_is_not_well(books: Any, due: int, severity: Severity) -> None:
    seen = await health._statements(books, NOW)
    assert not isinstance(seen, Unseen)
    assert len(seen) == due
    assert found(statements=seen)["statement"].severity is severity


def test_a_gate_that_is_asked_by_a_script_is_not_looked_at() -> None:
    assert "gate" not in found(gate=None)
