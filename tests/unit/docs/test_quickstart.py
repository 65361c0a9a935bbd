"""What the documentation tells people to type exists as written. The blocks of the quickstart run in tests/office."""

import configparser
import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer
from babel.messages.pofile import read_po

from cti.cli.root import app
from cti.notify import BEAT
from cti.settings import Settings
from cti.supervise import STOP_SECONDS, WATCHDOG
from scripts.pages.cli import commands
from tests.unit.docs.shell import ROOT, blocks

PAGES = sorted((ROOT / "docs").rglob("*.md"))
_COMMAND = re.compile(r"^(?:sudo )?kikitori ([^|>\n]*)", re.MULTILINE)
_INLINE = re.compile(r"`(?:sudo )?kikitori ((?:--config \S+ )?[a-z]+(?: [a-z-]+)?)[^`]*`")
_LINK = re.compile(r"\]\(([^)#\s]+)(?:#[^)]*)?\)")


def commands_of(page: Path) -> list[list[str]]:
    """Every `kikitori ...` in the shell blocks of a page, as words."""
    text = page.read_text("utf-8")
    shell = "\n".join(re.findall(r"^```sh(?: test)?\n(.*?)^```$", text, re.MULTILINE | re.DOTALL))
    return [shlex.split(line) for line in _COMMAND.findall(shell)]


def parse(words: list[str]) -> None:
    """Read a command line as the program does, without doing anything. Raises KeyError, or a usage error."""
    command: Any = typer.main.get_command(app)
    rest = words[2:] if words[0] == "--config" else words
    while hasattr(command, "commands"):
        name, *rest = rest
        command = command.commands[name]
    command.make_context("kikitori", rest)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT / "docs").as_posix())
def test_every_command_in_the_documentation_exists(page: Path) -> None:
    for words in commands_of(page):
        try:
            parse(words)
        except Exception as error:  # noqa: BLE001  # whatever it is, the page is wrong
            pytest.fail(f"kikitori {' '.join(words)}: {type(error).__name__} {error}")
    known = {each["name"].removeprefix("kikitori ") for each in commands()}
    groups = {name.split()[0] for name in known if " " in name}
    for line in _INLINE.findall(page.read_text("utf-8")):
        first, *second = re.sub(r"^--config \S+ ", "", line).split()
        assert first in known, f"{page.name}: kikitori {line}"
        assert first not in groups or not second or f"{first} {second[0]}" in known, f"{page.name}: kikitori {line}"


def test_every_example_of_a_command_is_one() -> None:
    for command in commands():
        for example in command["examples"]:
            assert example.startswith(command["name"]), example
            parse(shlex.split(example.split(" | ")[0])[1:])


@pytest.mark.parametrize(
    "line", ["recordings delete 3f2a", "play 3f2a --purpose quality -o - --loud", "play 3f2a", "serve --role x"]
)
def test_a_command_that_does_not_exist_would_be_noticed(line: str) -> None:
    with pytest.raises(Exception, match=r"delete|--loud|purpose|is not one of"):
        parse(line.split())


def test_the_pages_for_people_name_the_commands_they_are_about() -> None:
    for page in ("quickstart.md", "operations.ja.md"):
        named = {" ".join(words[:2]) for words in commands_of(ROOT / "docs" / page)}
        assert {"recordings list", "recordings show", "play 3f2a", "export 3f2a", "verify --all"} <= named


def test_every_message_that_the_japanese_page_explains_can_be_shown() -> None:
    with (ROOT / "cti/locale/ja/LC_MESSAGES/kikitori.po").open("rb") as file:
        said = [str(message.string) for message in read_po(file)]
    page = (ROOT / "docs/operations.ja.md").read_text("utf-8")
    explained = re.findall(r"^\| `(?:\.\.\. )?([^`]+)` \|", page.partition("## 11.")[2], re.MULTILINE)
    assert len(explained) > 10
    unknown = [text for text in explained if not any(all(p in each for p in text.split(" ... ")) for each in said)]
    assert unknown == []


def test_the_service_unit_fits_the_service() -> None:
    ours = next(unit for unit in blocks("quickstart.md", "ini") if "Type=notify" in unit)
    parser = configparser.RawConfigParser()
    parser.read_string(ours)
    service = parser["Service"]
    parse(shlex.split(service["ExecStart"])[1:])
    assert float(service["WatchdogSec"]) > 4 * BEAT
    # The processes end one after the other; each has its time before it is killed.
    assert float(service["TimeoutStopSec"]) > len(WATCHDOG) * STOP_SECONDS
    assert (service["KillMode"], service["LimitMEMLOCK"]) == ("mixed", "infinity")


def test_the_settings_of_the_quickstart_are_settings() -> None:
    for block in blocks("quickstart.md", "toml"):
        Settings.model_validate(tomllib.loads(block))


def test_links_between_pages_lead_somewhere() -> None:
    links = [(page, target) for page in PAGES for target in _LINK.findall(page.read_text("utf-8"))]
    assert len(links) > 20
    assert [f"{page}: {to}" for page, to in links if "://" not in to and not (page.parent / to).exists()] == []
