"""`kikitori audit review` as 課長 uses it."""

import json
from pathlib import Path

import pytest

from tests.unit.cti.cli.conftest import Kikitori, Later
from tests.unit.cti.cli.people import enrolled, password


@pytest.mark.rule("B-30")
def test_a_month_is_shown_and_signed_for(kikitori: Kikitori, house: Path, later: Later) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    tanaka = ("--by", "tanaka", *password(house))
    enrolled(kikitori, house, "sato", "staff", *tanaka)
    assert kikitori("audit", "list", "--by", "sato", *password(house)).status == 77
    early = kikitori("audit", "review", "--sign", "--yes", *tanaka)
    assert (early.status, early.err) == (64, "kikitori: 2027-04 is not over yet\n")
    later(days=40)
    shown = kikitori("audit", "review", *tanaka)
    assert shown.status == 0
    assert "2027-04: " in shown.out
    assert "Unusual, to be looked at" in shown.out
    assert "log.read" in shown.out
    assert kikitori("audit", "review", "--sign", *tanaka).status == 64, "nobody to ask"
    assert kikitori("audit", "review", "--sign", "--yes", "--by", "sato", *password(house)).status == 77
    signed = json.loads(kikitori("audit", "review", "--sign", "--yes", "--json", *tanaka).out)
    assert (signed["month"], signed["signed"]) == ("2027-04", True)
    assert [one["what"] for one in signed["unusual"]] == ["denied", "keys", "keys"]
    again = kikitori("audit", "review", "2027-04", "--sign", "--yes", *tanaka)
    assert "2027-04 was looked through by tanaka on 2027-05-" in again.err
    assert json.loads(kikitori("audit", "review", "--json", *tanaka).out)["month"] == "2027-05"


def test_who_has_no_account_signs_for_nothing(kikitori: Kikitori, house: Path, later: Later) -> None:
    assert kikitori("audit", "verify").status == 0
    later(days=40)
    said = kikitori("audit", "review", "2027-04", "--sign", "--yes")
    assert said.status == 77
    assert "who signs has an account" in said.err


@pytest.mark.parametrize("month", ["2027", "April", "2027-13"])
def test_what_is_no_month(kikitori: Kikitori, house: Path, month: str) -> None:
    said = kikitori("audit", "review", month)
    assert (said.status, said.out) == (64, "")
    assert "is no month: write 2027-04" in said.err
