"""`kikitori accounts` as 課長 and the person use it."""

import json
import subprocess
from pathlib import Path

import pytest

from tests.unit.cti.cli.conftest import TOTP, Kikitori
from tests.unit.cti.cli.people import enrolled, password


@pytest.mark.rule("B-06")
def test_from_the_first_manager_to_the_end_of_an_account(kikitori: Kikitori, house: Path) -> None:
    assert TOTP in enrolled(kikitori, house, "tanaka", "manager").out
    manager = ("--by", "tanaka", *password(house))
    enrolled(kikitori, house, "sato", "staff", *manager)
    assert kikitori("accounts", "review", "sato", *manager).status == 0
    rows = {
        row["id"]: row for row in map(json.loads, kikitori("accounts", "list", "--json", *manager).out.splitlines())
    }
    assert rows["tanaka"]["issued_by"] == "init"
    assert (rows["sato"]["issued_by"], rows["sato"]["role"], rows["sato"]["reviewed_by"]) == (
        "tanaka",
        "staff",
        "tanaka",
    )
    shown = kikitori("accounts", "list", *manager).out
    assert "課長" in shown
    assert "職員" in shown
    assert kikitori("accounts", "end", "sato", "--reason", "異動", "--yes", *manager).status == 0
    assert "sato" not in kikitori("accounts", "list", *manager).out
    assert "異動" in kikitori("accounts", "list", "--all", *manager).out
    actions = [json.loads(line)["action"] for line in kikitori("audit", "list", "--json", *manager).out.splitlines()]
    assert [action for action in actions if action.startswith("account.") and action != "account.signed-in"] == [
        "account.issued", "account.enrolled", "account.issued", "account.enrolled", "account.reviewed", "account.ended",
    ]  # fmt: skip


@pytest.mark.rule("B-06")
def test_who_may_not_is_told_who_may(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    enrolled(kikitori, house, "sato", "staff", "--by", "tanaka", *password(house))
    said = kikitori("accounts", "issue", "mori", "--name", "森", "--role", "staff", "--by", "sato", *password(house))
    assert (said.status, said.out) == (77, "")
    assert "sato is 職員, who may not; `kikitori policy rights` shows who may" in said.err


def test_nobody_issues_without_a_name_once_there_is_a_manager(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    said = kikitori("accounts", "issue", "mori", "--name", "森", "--role", "manager")
    assert said.status == 64
    assert "--by" in said.err


def test_the_first_account_is_a_managers(kikitori: Kikitori, house: Path) -> None:
    said = kikitori("accounts", "issue", "mori", "--name", "森", "--role", "staff")
    assert "init issues accounts of role manager" in said.err
    assert kikitori("accounts", "list", "--json").out == ""


def test_a_wrong_password_does_not_say_what_is_wrong(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    (house / "password").write_text("another sentence of words\n")
    said = kikitori("accounts", "review", "tanaka", "--by", "tanaka", *password(house))
    assert said.status == 77
    assert said.err == "kikitori: ID, password or code are not right\n"


def test_an_end_is_asked_for_before_it_is_done(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    said = kikitori("accounts", "end", "tanaka", "--reason", "異動", "--by", "tanaka", *password(house))
    assert said.status == 64
    assert "nobody to ask" in said.err


@pytest.mark.rule("B-07", "B-30")
def test_an_extract_convinces_who_has_no_kikitori(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    first = kikitori("audit", "checkpoint")
    assert first.out.splitlines()[0] == "kikitori/pbx1/log"
    kept = house / "kept.note"
    kept.write_text(first.out, "utf-8")
    enrolled(kikitori, house, "sato", "staff", "--by", "tanaka", *password(house))
    manager = ("--by", "tanaka", *password(house))
    made = json.loads(
        kikitori("audit", "proof", "--object", "sato", "--out", house / "extract", "--json", *manager).out
    )
    names = sorted(path.name for path in (house / "extract").glob("*.tlog-proof"))
    assert made["proofs"] == len(names) >= 2
    said = check(house / "extract", "proof", *names)
    assert [json.loads(line)["object"] for line in said.splitlines()] == ["sato"] * len(names)
    assert (
        json.loads(kikitori("audit", "show", int(names[0].partition(".")[0]), "--json", *manager).out)["object"]
        == "sato"
    )
    assert kikitori("audit", "consistency", kept, "--out", house / "since").status == 0
    assert "begin with the" in check(house / "since", "consistency", "consistency.txt", "old.note", "new.note")
    assert "verify-log.pl" in (house / "since" / "README.txt").read_text("utf-8")
    rows = [json.loads(line) for line in kikitori("audit", "list", "--json", *manager).out.splitlines()]
    (last,) = [row for row in rows if row["action"] == "log.extracted"]
    assert (last["actor"], last["detail"]) == ("tanaka", {"object": "sato"})
    said = kikitori("audit", "list")
    assert (said.status, said.out) == (77, "")


def check(folder: Path, *arguments: str) -> str:
    """What the program in the extract says."""
    command = ["perl", "verify-log.pl", "log.pub", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, cwd=folder).stdout


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (("proof", "--out", "x"), 64), (("proof", "3", "--object", "sato", "--out", "x"), 64),
        (("proof", "999", "--out", "x"), 66), (("proof", "--object", "nobody", "--out", "x"), 66),
        (("show", "999"), 66), (("consistency", "nowhere", "--out", "x"), 64),
        (("consistency", "kikitori.toml", "--out", "x"), 1),
    ],
)  # fmt: skip
def test_an_extract_that_cannot_be_made_leaves_nothing(
    kikitori: Kikitori, house: Path, arguments: tuple[str, ...], status: int
) -> None:
    Path("kikitori.toml").write_text("no checkpoint", "utf-8")
    said = kikitori("audit", *arguments)
    assert (said.status, said.out) == (status, "")
    assert not Path("x").exists()


@pytest.mark.rule("A-04", "B-06")
@pytest.mark.parametrize(
    "command",
    [
        ("recordings", "list"), ("calls", "list"), ("calls", "why", "x"), ("completeness", "check"),
        ("completeness", "statement"), ("audit", "list"), ("audit", "show", "0"), ("audit", "review"),
        ("audit", "proof", "0", "--out", "x"), ("calls", "answering"), ("intake", "list"),
        ("intake", "done", "x", "--done-by", "給水課", "--note", "済"), ("accounts", "list"),
    ],
)  # fmt: skip
def test_once_people_have_accounts_nobody_asks_without_a_name(
    kikitori: Kikitori, house: Path, command: tuple[str, ...]
) -> None:
    assert kikitori(*command).status != 77
    enrolled(kikitori, house, "tanaka", "manager")
    for who in ((), ("--json",)):
        said = kikitori(*command, *who)
        assert (said.status, said.out) == (77, "")
        assert "people have accounts here" in said.err


@pytest.mark.rule("A-13", "B-29")
def test_once_people_have_accounts_other_hours_are_entered_by_the_manager(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    enrolled(kikitori, house, "sato", "staff", "--by", "tanaka", *password(house))
    decided = ("--kind", "closed", "--from", "2027-05-06", "--to", "2027-05-06", "--reason", "停電")
    add = ("hours", "override", "add", *decided, "--decided-by", "水道局長", "--yes", "--json")
    assert json.loads(kikitori(*add, "--dry-run").out)["entered"] is False, "to look, none is needed"
    for who in ((), ("--by", "sato", *password(house))):
        said = kikitori(*add, *who)
        assert (said.status, said.out) == (77, "")
    assert kikitori("hours", "override", "list", "--json").out == ""
    made = json.loads(kikitori(*add, "--by", "tanaka", *password(house)).out)
    assert (made["by"], made["entered_by"], made["entered"]) == ("水道局長", "tanaka", True)
    back = ("hours", "override", "revoke", made["id"], "--decided-by", "水道局長", "--reason", "復旧", "--yes")
    assert kikitori(*back).status == 77
    assert kikitori(*back, "--by", "tanaka", *password(house)).status == 0
    (row,) = kikitori("hours", "override", "list", "--json").out.splitlines()
    assert json.loads(row)["state"] == "revoked"


@pytest.mark.rule("B-06")
def test_an_account_that_is_renewed_does_not_open_the_host_to_everybody(kikitori: Kikitori, house: Path) -> None:
    enrolled(kikitori, house, "tanaka", "manager")
    assert kikitori("accounts", "renew", "tanaka", "--by", "tanaka", *password(house)).status == 0
    for command in (("recordings", "list"), ("calls", "list"), ("intake", "list"), ("audit", "list")):
        said = kikitori(*command)
        assert (said.status, said.out) == (77, ""), command
    assert kikitori("accounts", "renew", "tanaka").status == 0, "whoever installs lets the first 課長 in again"
