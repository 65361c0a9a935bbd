"""`kikitori completeness statement --verify` as an auditor runs it: a statement, a public key, and nothing else."""

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path

import pytest

from cti import statement
from cti.completeness import Account, Lack, Mismatch
from cti.records import Day
from recorder.vault.note import Signer
from tests.unit.cti.cli.conftest import Kikitori

AT = datetime(2027, 4, 1, 1, tzinfo=UTC)
SIGNER = Signer.generate("kikitori/pbx1/log")
LOST = Mismatch(
    lack=Lack.MISSING, start=AT, end=AT.replace(minute=1), linkedid="pbx1-1.1", phones=("2001",), reason="x"
)


def issued(*exceptions: Mismatch) -> Path:
    """A statement, and the key beside it."""
    account = Account(
        day=date(2027, 4, 1), over=True, conversations=3, recorded=3 - len(exceptions), going_on=0, seconds=9.0,
        kept=9.0, exceptions=exceptions,
    )  # fmt: skip
    witness = Day(day=account.day, first=AT, cdr=True, sources=(), talks=(), billed=())
    path = Path("2027-04-01.note")
    path.write_text(statement.dump(statement.values(account, witness, "pbx1"), AT, SIGNER), "utf-8")
    Path("log.pub").write_text(f"{SIGNER.verifier}\n", "utf-8")
    return path


@pytest.mark.rule("B-04")
def test_a_complete_one_is_so_called_and_by_whom_it_is_signed(kikitori: Kikitori) -> None:
    said = kikitori("completeness", "statement", "--verify", issued(), "--key", "log.pub")
    assert said.status == 0, said.err
    assert "As kikitori/pbx1/log signed it: 2027-04-01, 3 conversations, 3 of them recorded." in said.out
    assert "Complete" in said.out


def test_one_that_says_that_something_is_missing_names_it_and_ends_with_1(kikitori: Kikitori) -> None:
    said = kikitori("completeness", "statement", "--verify", issued(LOST), "--key", "log.pub")
    assert said.status == 1
    assert "NOT complete" in said.out
    assert all(word in said.out for word in ("missing", "10:00:00.000", "60.000", "2001", "pbx1-1.1"))
    said = kikitori("completeness", "statement", "--verify", issued(LOST), "--key", "log.pub", "--json")
    assert (said.status, json.loads(said.out)["exceptions"][0]["lack"]) == (1, "missing")


@pytest.mark.parametrize(
    "change",
    [lambda text: text.replace('"recorded": 2', '"recorded": 3'), lambda text: text[:-9], lambda _: "", lambda _: "\0"],
)
def test_one_that_somebody_changed_is_refused(kikitori: Kikitori, change: Callable[[str], str]) -> None:
    path = issued(LOST)
    path.write_text(change(path.read_text("utf-8")), "utf-8")
    said = kikitori("completeness", "statement", "--verify", path, "--key", "log.pub")
    assert (said.status, said.out) == (65, "")
    assert "2027-04-01.note" in said.err


def test_what_an_auditor_forgets_is_named(kikitori: Kikitori) -> None:
    said = kikitori("completeness", "statement", "--verify", issued())
    assert said.status == 64
    assert "--key" in said.err
    said = kikitori("completeness", "statement", "--verify", issued(), "--key", "log.pub", "--day", "2027-04-01")
    assert said.status == 64
    assert "--day" in said.err
    assert kikitori("completeness", "statement", "--verify", "none.note", "--key", "log.pub").status == 74


@pytest.mark.parametrize("day", ["x", "2027-13-01", "2027-04-01T10:00", "20270401", "", "２０２７-04-01"])
def test_what_is_no_day_is_refused_with_what_to_write(kikitori: Kikitori, day: str) -> None:
    said = kikitori("completeness", "check", "--day", day)
    assert said.status in (64, 78)
    assert "--day" in said.err or said.status == 78
