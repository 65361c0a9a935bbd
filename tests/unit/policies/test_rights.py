"""Who may do what, against the role matrix of the rules, written out here by hand."""

import shutil
from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.load import Policies, shipped
from policies.rights import OPERATORS, Act, Rights, Role

ROLES = (Role.MANAGER, Role.DEPUTY, Role.STAFF, Role.LIAISON, Role.CONTRACTOR, Role.SECTION, Role.AUDITOR)
# 課長, 担当課長代理, 職員, 広聴担当, 運営会社, 所管課, 監査
MATRIX = {
    "recordings.search": "x x x x . . .",  # 3条3
    "recordings.play": "x x x x . . .",
    "recordings.export": "x x x x . . .",
    "recordings.disclose": ". . x . . . .",  # 7条, 8条: 職員 does, by forms 1 and 3
    "recordings.hold": "x x x x . . .",  # 6条1ただし書
    "recordings.release": "x x . . . . .",  # the second person
    "calls.live": "x x x x x . .",
    "intake.work": "x x x x x . .",
    "cases.work": "x x x x x x .",  # 4条 to 7条: each for their own unit
    "cases.progress": "x x x x x . .",  # 7条なお書
    "status.read": "x x x . . . .",  # 9条3: responsible, and who assists
    "hours.override": "x . . . . . .",  # 水道局長 decides, 課長 enters
    "log.read": "x . . . . . x",  # 9条2
    "log.review": "x . . . . . .",
    "accounts.issue": "x . . . . . .",  # 3条3
    "accounts.end": "x . . . . . .",
    "accounts.review": "x . . . . . .",
    "keys.manage": "x . . . . . .",
    "keys.escrow": "x x . . . . .",  # two persons
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(shipped(), tmp_path / "policies")


def give(folder: Path, act: str, role: Role) -> None:
    file = folder / "rights.toml"
    lines = file.read_text().splitlines()
    place = lines.index(f'act = "{act}"') + 1
    lines[place] = lines[place].replace("]", f', "{role}"]')
    file.write_text("\n".join(lines))


@pytest.mark.rule("B-06", "B-29", "B-30", "A-04")
@pytest.mark.parametrize("act", Act)
def test_the_matrix_is_that_of_the_rules(act: Act) -> None:
    rights = Policies(shipped()).rights
    assert [rights.allows(role, act) for role in ROLES] == [mark == "x" for mark in MATRIX[act].split()]


def test_every_act_and_every_role_has_its_place() -> None:
    assert set(MATRIX) == set(Act)
    assert set(ROLES) == set(Role)
    assert [role.wording for role in ROLES] == [
        "課長",
        "担当課長代理",
        "職員",
        "広聴担当",
        "運営会社",
        "所管課",
        "監査",
    ]


@pytest.mark.rule("B-06")
@pytest.mark.parametrize("role", sorted(set(Role) - OPERATORS))
@pytest.mark.parametrize("act", [act for act in MATRIX if act.startswith(("recordings.", "keys."))])
def test_nobody_but_staff_can_be_given_a_right_to_the_recorder(folder: Path, role: Role, act: str) -> None:
    give(folder, act, role)
    with pytest.raises(PolicyError, match=f"{act} is given to {role}: only 職員 operate the recorder"):
        _ = Policies(folder).rights


@pytest.mark.rule("B-06", "B-30")
@pytest.mark.parametrize("role", sorted(set(Role) - {Role.MANAGER}))
@pytest.mark.parametrize("act", ["accounts.issue", "accounts.end", "accounts.review", "log.review", "hours.override"])
def test_nobody_but_the_manager_can_be_made_to_issue_or_review(folder: Path, role: Role, act: str) -> None:
    give(folder, act, role)
    with pytest.raises(PolicyError, match=f"{act} is given to {role}: only 課長 does"):
        _ = Policies(folder).rights


@pytest.mark.rule("B-30")
@pytest.mark.parametrize("role", sorted(OPERATORS - {Role.MANAGER}))
def test_of_the_operators_only_the_manager_gives_keys(folder: Path, role: Role) -> None:
    give(folder, "keys.manage", role)
    with pytest.raises(PolicyError, match=f"keys.manage is given to {role}: only 課長 does"):
        _ = Policies(folder).rights


@pytest.mark.rule("B-28")
@pytest.mark.parametrize("role", sorted(OPERATORS - {Role.STAFF}))
def test_only_staff_disclose(folder: Path, role: Role) -> None:
    give(folder, "recordings.disclose", role)
    with pytest.raises(PolicyError, match="given to others than 職員"):
        _ = Policies(folder).rights


@pytest.mark.parametrize("role", [Role.CONTRACTOR, Role.SECTION])
def test_of_whom_the_log_speaks_does_not_read_it(folder: Path, role: Role) -> None:
    give(folder, "log.read", role)
    with pytest.raises(PolicyError, match="of whom the log speaks"):
        _ = Policies(folder).rights


def test_an_installation_of_before_has_the_shipped_ones(folder: Path) -> None:
    (folder / "rights.toml").unlink()
    assert Policies(folder).rights == Policies(shipped()).rights


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (('"staff"', '"boss"'), "boss"), (('act = "log.read"', 'act = "log.erase"'), "log.erase"),
        (('act = "log.read"', 'act = "log.review"'), "act named twice: log.review"),
        (("basis = \"3条3, 4条 (B-06, B-08)\"", ""), "basis"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(folder: Path, change: tuple[str, str], said: str) -> None:
    file = folder / "rights.toml"
    text = file.read_text()
    assert change[0] in text
    file.write_text(text.replace(*change))
    with pytest.raises(PolicyError) as raised:
        _ = Policies(folder).rights
    assert said in str(raised.value) or said in str(raised.value.__cause__)
    assert "rights.toml" in str(raised.value)


def test_what_is_not_named_nobody_may() -> None:
    rights = Policies(shipped()).rights
    fewer = Rights(**rights.model_dump(exclude={"right"}), right=rights.right[1:])
    assert not any(fewer.allows(role, Act.SEARCH) for role in Role)
