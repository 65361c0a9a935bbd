"""The generated pages on commands, settings and exit codes: nothing is missing, and what is undocumented is refused."""

import re
import subprocess
import sys

import pytest

from cti.cli.root import EXPECTED
from cti.settings import Settings
from scripts.pages import cli, exits, settings
from scripts.pages.markdown import DocsError
from tests.unit.docs.shell import ROOT


def test_every_command_and_option_is_on_the_page() -> None:
    page = cli.cli_page(ROOT)
    for command in cli.commands():
        assert command["group"] or command["name"] == "kikitori" or f"## {command['name']}\n" in page
        for parameter in command["parameters"]:
            names = [parameter["metavar"]] if parameter["argument"] else parameter["names"]
            assert all(f"`{name}`" in page for name in names)
    assert "| `--side` | `both` or `left` or `right` | `both` |" in page
    assert "| `--purpose` | text | required |" in page
    assert "| `--mount`, `--no-mount` | switch | `--mount` |" in page


def test_the_page_is_english_whatever_the_reader_speaks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KIKITORI_LANG", "ja")
    cli.commands.cache_clear()
    assert "## kikitori recordings list\n\nRecordings, newest first." in cli.cli_page(ROOT)


@pytest.mark.parametrize(("field", "problem"), [("help", "help text"), ("examples", "an example")])
def test_a_command_without_help_or_example_is_refused(
    monkeypatch: pytest.MonkeyPatch, field: str, problem: str
) -> None:
    command = {"name": "kikitori x", "help": "X.", "group": False, "examples": ["kikitori x"], "parameters": []}
    text = cli.json.dumps([command | {field: []}])
    done = subprocess.CompletedProcess([], 0, stdout=text, stderr="")
    monkeypatch.setattr(cli.subprocess, "run", lambda *_args, **_options: done)
    cli.commands.cache_clear()
    with pytest.raises(DocsError, match=rf"kikitori x: give the command (a )?{problem}"):
        cli.commands()
    cli.commands.cache_clear()


def test_every_setting_is_on_the_page_with_its_variable() -> None:
    page = settings.settings_page(ROOT)
    for section, field in Settings.model_fields.items():
        assert f"## [{section}]\n" in page
        for key in type(field.default).model_fields:
            assert re.search(rf"^\| `{key}` \|.*\| `{f'KIKITORI_{section}_{key}'.upper()}` \| \S", page, re.MULTILINE)


def test_every_other_variable_that_the_program_reads_is_on_the_page() -> None:
    code = "".join(path.read_text("utf-8") for path in (ROOT / "cti").rglob("*.py") if "demo" not in path.parts)
    read = set(re.findall(r"""environ\.get\(["']([A-Z_]+)["']""", code))
    assert read
    assert read <= set(settings.VARIABLES)


def test_every_expected_error_is_on_the_page_with_its_status() -> None:
    page = exits.exits_page(ROOT)
    errors = exits.errors()
    assert set(EXPECTED) <= set(errors)
    for kind in errors:
        assert f"| `{exits.code(kind)}` | {exits.status(kind)} |" in page


def test_an_error_whose_status_nobody_explains_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exits, "STATUSES", {key: text for key, text in exits.STATUSES.items() if key != 78})
    with pytest.raises(DocsError, match="exit status 78"):
        exits.errors()


def test_the_statuses_are_those_that_the_program_ends_with() -> None:
    for arguments, status in ((["--help"], 0), (["nonsense"], 2), (["--config", "/nowhere.toml", "status"], 78)):
        done = subprocess.run([sys.executable, "-m", "cti.cli", *arguments], cwd=ROOT, capture_output=True, check=False)
        assert done.returncode == status, done.stderr
        assert status in exits.STATUSES
