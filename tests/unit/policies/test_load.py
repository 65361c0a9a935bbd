"""The shipped policies, and what is wrong with others: file, line, field, remedy."""

import shutil
from pathlib import Path

import pytest

from policies.errors import PolicyError
from policies.load import Policies, shipped
from policies.model import Kind

PLAN = Policies(shipped()).plan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(shipped(), tmp_path / "policies")
    return tmp_path / "policies"


def replace(path: Path, old: str, new: str) -> int:
    """The line on which `old` was."""
    text = path.read_text("utf-8")
    assert old in text
    path.write_text(text.replace(old, new, 1), encoding="utf-8")
    return text[: text.index(old)].count("\n") + 1


@pytest.mark.rule("B-02", "B-09")
@pytest.mark.parametrize(
    ("dialled", "name"),
    [("0664581132", "代表"), ("0664587160", "クレジット"), ("0664587211", "口座"), ("0664587225", "FAX")],
)
def test_the_four_designated_numbers(dialled: str, name: str) -> None:
    number = PLAN.number_of(dialled)
    assert number is not None
    assert (number.name, number.designated, number.digits) == (name, True, dialled)
    group = next(group for group in PLAN.group if group.name == number.group)
    assert group.kind is Kind.DESIGNATED
    assert all(PLAN.designated(phone) for phone in group.phones)


def test_there_are_no_other_designated_numbers() -> None:
    assert sum(number.designated for number in PLAN.number) == 4


@pytest.mark.parametrize("dialled", ["06-6458-1132", "+81664581132", "+81 6 6458 1132", " 0664581132", "(06)6458-1132"])
def test_a_number_however_it_is_written(dialled: str) -> None:
    number = PLAN.number_of(dialled)
    assert number is not None
    assert number.name == "代表"


@pytest.mark.parametrize("dialled", [None, "", "s", "+81", "66458113", "06645811320", "+1664581132", "810664581132"])
def test_what_is_none_of_our_numbers(dialled: str | None) -> None:
    assert PLAN.number_of(dialled) is None


@pytest.mark.parametrize(
    ("endpoint", "kind"),
    [("2001", Kind.DESIGNATED), ("3001", Kind.SECTION), ("3901", Kind.EMERGENCY), ("trunk", Kind.TRUNK),
     ("9999", None), (None, None), ("", None)],
)  # fmt: skip
def test_what_an_endpoint_is(endpoint: str | None, kind: Kind | None) -> None:
    assert PLAN.kind(endpoint) is kind
    assert PLAN.designated(endpoint) is (kind is Kind.DESIGNATED)


def test_both_files_say_who_decided_and_what_is_open(folder: Path) -> None:
    policies = Policies(folder)
    for policy in (policies.plan, policies.recording):
        assert policy.basis
        assert policy.decided_by
        assert policy.open_questions
    assert policies.recording.after_transfer == "stop"
    assert policies.recording.record_internal is True


@pytest.mark.parametrize(
    ("old", "new", "field", "says"),
    [
        ('did = "06-6458-7160"', 'did = "06-6458-1132"', "(file)", "number named twice: 0664581132"),
        ('phones = ["2201"]', 'phones = ["2001"]', "(file)", "phone named twice: 2001"),
        ('phones = ["2201"]', 'phones = ["trunk"]', "(file)", "phone named twice: trunk"),
        ('name = "koza"\n', 'name = "fax"\n', "(file)", "group named twice: fax"),
        ('group = "koza"', 'group = "kouza"', "(file)", "goes to group 'kouza', which no"),
        ("designated = false", "designated = true", "(file)", "is designated, but its group 'shomu' is section"),
        ('did = "06-6458-7160"', 'did = "o6-6458-7160"', "number.1.did", "String should match pattern"),
        ('did = "06-6458-7160"', 'dit = "06-6458-7160"', "number.1.did", "Field required"),
        ('phones = ["2201"]', "phones = []", "group.2.phones", "at least 1"),
        ('strategy = "queue"', 'strategy = "random"', "group.0.strategy", "'queue' or 'ring'"),
        ('kind = "emergency"', 'kind = "trunk"', "group.6.kind", "Input should be"),
        ('phones = ["2201"]', 'phones = ["22/01"]', "group.2.phones.0", "String should match pattern"),
        ("effective_from = 2025-12-01", "effective_from = 'soon'", "effective_from", "valid date"),
        ('trunks = ["trunk"]', "trunks = []", "trunks", "at least 1"),
        ('trunks = ["trunk"]', 'trunk = ["trunk"]', "trunks", "Field required"),
    ],
)
def test_a_wrong_plan(folder: Path, old: str, new: str, field: str, says: str) -> None:
    file = folder / "numbers.toml"
    line = replace(file, old, new)
    with pytest.raises(PolicyError) as raised:
        _ = Policies(folder).plan
    error = raised.value
    assert says in error.problem
    assert error.where.startswith(str(file))
    assert error.where.endswith(f": {field}")
    assert "docs/reference/policies.md" in error.remedy
    if "Field required" not in says and field != "(file)":
        assert error.where == f"{file}:{line}: {field}"


@pytest.mark.parametrize(
    ("old", "new", "field"),
    [
        ("record_internal = true", "record_internal = 2", "record_internal"),
        ('after_transfer = "stop"', 'after_transfer = "maybe"', "after_transfer"),
        ("rate = 8000", "rate = 44100", "rate"),
        ("flac_level = 5", "flac_level = 9", "flac_level"),
        ('basis = "B-02, B-03, B-13"', 'basics = "B-02"', "basis"),
    ],
)
def test_a_wrong_recording_policy(folder: Path, old: str, new: str, field: str) -> None:
    line = replace(folder / "recording.toml", old, new)
    with pytest.raises(PolicyError) as raised:
        _ = Policies(folder).recording
    assert raised.value.where.endswith(f": {field}")
    if field != "basis":
        assert raised.value.where == f"{folder / 'recording.toml'}:{line}: {field}"


@pytest.mark.parametrize("name", ["numbers.toml", "recording.toml"])
def test_an_empty_or_missing_policy_refuses_to_run(folder: Path, name: str) -> None:
    def load() -> object:
        policies = Policies(folder)
        return policies.plan, policies.recording

    (folder / name).write_text("")
    with pytest.raises(PolicyError, match="empty"):
        load()
    (folder / name).unlink()
    with pytest.raises(PolicyError, match="cannot be read"):
        load()
