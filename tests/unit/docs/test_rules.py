"""The table of rules, the citations in tests, and the pages made of both."""

import shutil
import subprocess
import sys
from collections import Counter
from datetime import time
from pathlib import Path

import pytest
from pydantic import BaseModel, Field

from policies.toml import read
from scripts import docs
from scripts.pages.markdown import DocsError
from scripts.pages.policies import _keys
from scripts.pages.reliability import DATA, FAULTS
from scripts.pages.rules import citations, load_rules

TABLE = """
rule = [
  { id = "B-01", source = "B", article = "1条", kind = "D", title = "First", title_ja = "一" },
  { id = "B-02", source = "B", article = "2条", kind = "E", title = "Second", title_ja = "二", built = "made.py" },
  { id = "B-03", source = "B", article = "3条", kind = "E", title = "Third", title_ja = "三" },
]
[sources]
B = "要綱"
"""


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A small repository: three rules, one of them built, the shipped policies, no tests."""
    (tmp_path / "docs/reference").mkdir(parents=True)
    (tmp_path / "docs/reference/rules.toml").write_text(TABLE, "utf-8")
    for name in (FAULTS, DATA, "requirements.lock"):
        shutil.copy(docs.ROOT / name, tmp_path / name)
    (tmp_path / "made.py").write_text("", "utf-8")
    (tmp_path / "tests/unit").mkdir(parents=True)
    shutil.copytree(docs.ROOT / "policies/data", tmp_path / "policies/data")
    return tmp_path


def write_test(repository: Path, text: str) -> None:
    (repository / "tests/unit/test_it.py").write_text(text, "utf-8")


def change_table(repository: Path, old: str, new: str) -> None:
    assert old in TABLE
    (repository / "docs/reference/rules.toml").write_text(TABLE.replace(old, new, 1), "utf-8")


def row(repository: Path, rule: str) -> str:
    page = (repository / "docs/reference/rules.md").read_text("utf-8")
    return next(line for line in page.splitlines() if line.startswith(f"| {rule} |"))


def test_every_source_has_all_its_rules_in_order() -> None:
    sources, rules = load_rules(docs.ROOT)
    expected = {"A": 46, "B": 34, "C": 32, "D": 17, "E": 18, "L": 14}
    assert list(sources) == list(expected)
    assert list(rules) == [f"{source}-{number:02}" for source in expected for number in range(1, expected[source] + 1)]


def test_no_two_rules_share_a_title() -> None:
    rules = load_rules(docs.ROOT)[1].values()
    titles = Counter(title for rule in rules for title in (rule.title, rule.title_ja))
    assert [title for title, count in titles.items() if count > 1] == []


def test_the_generated_pages_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    code = docs.main(["--check"])
    assert code == 0, capsys.readouterr().out


def test_a_citation_is_found_wherever_a_marker_may_stand(repository: Path) -> None:
    write_test(
        repository,
        '''
import pytest
pytestmark = [pytest.mark.slow, pytest.mark.rule("B-01")]

@pytest.mark.rule("B-02", "B-03")
async def test_decorated(): ...

@pytest.mark.parametrize("x", [pytest.param(1, marks=pytest.mark.rule("B-02"))])
def test_param(x): ...

@pytest.mark.rule("B-03")
class TestGroup:
    pytestmark = pytest.mark.rule("B-02")
    def test_inside(self): ...

@pytest.mark.rule("B-03")
def helper(): """@pytest.mark.rule("B-03")"""

TestMachine = object
''',
    )
    at = "tests/unit/test_it.py::"
    assert citations(repository) == {
        "B-01": [at + name for name in ("TestGroup::test_inside", "TestMachine", "test_decorated", "test_param")],
        "B-02": [at + name for name in ("TestGroup::test_inside", "test_decorated", "test_param")],
        "B-03": [at + name for name in ("TestGroup::test_inside", "test_decorated")],
    }


def test_a_citation_that_cannot_be_read_without_running_is_refused(repository: Path) -> None:
    write_test(repository, "import pytest\nRULE = 'B-01'\n@pytest.mark.rule(RULE)\ndef test_it(): ...\n")
    with pytest.raises(DocsError, match=r"test_it\.py:3: write each rule id as a plain string"):
        citations(repository)


def test_a_rule_is_tested_by_a_citation_built_by_a_path_and_else_planned(repository: Path) -> None:
    write_test(repository, 'import pytest\n@pytest.mark.rule("B-01")\ndef test_it(): ...\n')
    assert docs.main(["--root", str(repository)]) == 0
    assert row(repository, "B-01").endswith("| tested | [unit/test_it.py::test_it](../../tests/unit/test_it.py) |")
    assert row(repository, "B-02").endswith("| built | [made.py](../../made.py) |")
    assert row(repository, "B-03").endswith("| planned |  |")
    assert "| B | 要綱 | 3 | 1 | 0 | 1 | 1 |" in (repository / "docs/reference/rules.md").read_text("utf-8")


def test_a_rule_of_which_something_is_missing_is_tested_partly(repository: Path) -> None:
    rules = repository / "docs/reference/rules.toml"
    text = rules.read_text("utf-8")
    at = text.index('id = "B-01"')
    end = text.index("}", at) if "}" in text[at:] else text.index("\n", at)
    rules.write_text(text[:end].rstrip() + ', missing = "the other half" ' + text[end:], "utf-8")
    write_test(repository, 'import pytest\n@pytest.mark.rule("B-01")\ndef test_it(): ...\n')
    assert docs.main(["--root", str(repository)]) == 0
    shown = row(repository, "B-01")
    assert "| partly |" in shown
    assert shown.endswith("<br>missing: the other half |")


def test_check_shows_what_a_new_citation_changes_and_writes_nothing(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = ["--root", str(repository)]
    docs.main(root)
    assert docs.main([*root, "--check"]) == 0
    write_test(repository, 'import pytest\n@pytest.mark.rule("B-03")\ndef test_it(): ...\n')
    before = row(repository, "B-03")
    assert docs.main([*root, "--check"]) == 1
    shown = capsys.readouterr().out.splitlines()
    assert f"-{before}" in shown
    assert any(line.startswith("+| B-03 |") and "| tested |" in line for line in shown)
    assert row(repository, "B-03") == before


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ('id = "B-02"', 'id = "B-01"', "rule 2 (B-01): this id stands above already"),
        ('id = "B-02"', 'id = "X-02"', "rule 2 (X-02): an id of source B is B-01"),
        ('kind = "E"', 'kind = "X"', "rule 2 (B-02): kind is one of I, E, M, D, not 'X'"),
        ('source = "B"', 'source = "C"', "rule 1 (B-01): [sources] has no 'C'"),
        ("made.py", "gone.py", "rule 2 (B-02): built names no file: gone.py"),
        ('"First"', f'"{"x" * 61}"', "rule 1 (B-01): a title has 1 to 60 characters, this one 61"),
        ('article = "1条", ', "", "rule 1 (B-01): Rule.__init__() missing 1 required"),
    ],
)
def test_a_wrong_table_is_refused_with_the_place(
    repository: Path, capsys: pytest.CaptureFixture[str], old: str, new: str, problem: str
) -> None:
    change_table(repository, old, new)
    assert docs.main(["--root", str(repository)]) == 2
    assert problem in capsys.readouterr().err
    assert not (repository / "docs/reference/rules.md").exists()


def test_open_questions_and_keys_of_every_policy_file_are_listed(repository: Path) -> None:
    recording = repository / "policies/data/recording.toml"
    text = recording.read_text("utf-8")
    text = text.replace(
        "open_questions.record_internal", 'open_questions.rate = "新しい問い"\nopen_questions.record_internal'
    )
    recording.write_text(text, "utf-8")
    docs.main(["--root", str(repository)])
    questions = (repository / "docs/reference/open-questions.md").read_text("utf-8")
    keys = (repository / "docs/reference/policies.md").read_text("utf-8")
    assert "| `rate` | `8000` | 新しい問い |" in questions
    for path in (repository / "policies/data").glob("*.toml"):
        assert f"## [{path.name}]" in questions
        assert f"## {path.name}\n" in keys
    assert "| `flac_level` | whole number from 0 to 8 | required |" in keys
    assert "### [[number]]" in keys


def test_a_policy_file_without_a_model_is_refused(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (repository / "policies/data/stray.toml").write_text('basis = "B-02"\n', "utf-8")
    assert docs.main(["--root", str(repository)]) == 2
    assert "no model reads stray.toml" in capsys.readouterr().err


class Hours(BaseModel):
    """Opening hours."""

    opens: time
    closes: time | None = None


class Calendar(BaseModel):
    """A model with every way in which a key may hold others."""

    week: dict[str, Hours]
    night: Hours | None = None
    special: tuple[Hours, ...] = ()
    names: dict[str, str] = {}
    share: float = Field(gt=0, le=1, description="A part | of all.")


def test_keys_of_nested_tables_carry_value_default_shipped_value_and_comment(tmp_path: Path) -> None:
    path = tmp_path / "calendar.toml"
    path.write_text("# The file.\nshare = 0.5\n\n[night]\n# From when.\nopens = 22:00:00\n", "utf-8")
    schema = Calendar.model_json_schema()
    page = "\n".join(_keys(schema, schema["$defs"], read(path), ()))
    assert [line for line in page.splitlines() if line and not line.startswith("| ---")] == [
        "| key | value | default | shipped | meaning |",
        "| `names` | table: name = text | `{}` |  |  |",
        "| `share` | number above 0 to 1 | required | `0.5` | A part \\| of all. |",
        "### [week.NAME]",
        "Opening hours. (required)",
        "| key | value | default | meaning |",
        "| `opens` | time | required |  |",
        "| `closes` | time | none |  |",
        "### [night]",
        "Opening hours. (may be absent)",
        "| key | value | default | shipped | meaning |",
        '| `opens` | time | required | `"22:00:00"` | From when. |',
        "| `closes` | time | none |  |  |",
        "### [[special]]",
        "Opening hours. (may be absent)",
        "| key | value | default | meaning |",
        "| `opens` | time | required |  |",
        "| `closes` | time | none |  |",
    ]


@pytest.mark.parametrize(
    ("decorator", "code", "said"),
    [
        ('@pytest.mark.rule("B-03")', 0, "1 passed"),
        ('@pytest.mark.rule("B-03", "B-99")', 4, "test_it.py:3: test_it: no such rule 'B-99'"),
        ("@pytest.mark.rule()", 4, "test_it.py:3: test_it: write @pytest.mark.rule"),
    ],
)
def test_collection_refuses_an_unknown_rule(tmp_path: Path, decorator: str, code: int, said: str) -> None:
    path = tmp_path / "test_it.py"
    path.write_text(f"import pytest\n\n{decorator}\ndef test_it(): ...\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-c", "pyproject.toml", "-p", "tests.conftest", "-p", "no:cacheprovider"]
    run = subprocess.run([*command, str(path)], cwd=docs.ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == code, run.stdout + run.stderr
    assert said in run.stdout + run.stderr
