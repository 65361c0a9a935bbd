"""The Japanese of the user interface: complete, current, whole on a terminal, and there where errors are shown."""

import ast
import importlib
import json
import os
import pkgutil
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.mofile import read_mo
from babel.messages.pofile import read_po
from rich.cells import cell_len

import cti
import policies
import recorder
import retention
from cti.i18n import language
from cti.phrases import KINDS, LIBC, OURS, PHRASES, PYDANTIC, TYPER, TYPER_OWN, WORDS

ROOT = Path(cti.__file__).resolve().parent.parent
FOLDER = ROOT / "cti/locale/ja/LC_MESSAGES"
PACKAGES = (cti, recorder, retention, policies)
JAPANESE = re.compile("[\u3040-\u30ff\u4e00-\u9fff]")
ENGLISH = re.compile(r"(?<![-\w.])(the|of|and|is|for|with|this|or|not|be|a)(?![-\w.])")
EXAMPLES = ("例: ", "最初の手順: ")

# One process speaks one language, and starting one costs most of a second: each of these answers for all tests.
PAGES = """
import json, os, sys
from typer.main import get_command
from typer.testing import CliRunner
from cti.cli.root import app

def walk(command, words):
    context = command.make_context("kikitori", [], resilient_parsing=True)
    pages = {}
    for columns in (80, 400):
        os.environ["COLUMNS"] = str(columns)
        pages[columns] = CliRunner().invoke(app, [*words, "--help"], prog_name="kikitori").output
    yield {
        "name": " ".join(["kikitori", *words]), "help": command.help, "epilog": command.epilog or "",
        "parameters": [[parameter.opts[0], parameter.help] for parameter in command.get_params(context)],
        "narrow": pages[80], "wide": pages[400],
    }
    for name, below in getattr(command, "commands", {}).items():
        yield from walk(below, [*words, name])

json.dump(list(walk(get_command(app), [])), sys.stdout)
"""
SAID = """
import contextlib, io, json, sys
from cti.cli import common
from cti.cli.root import main

said = []
for line in json.load(sys.stdin):
    sys.argv = ["kikitori", *line]
    common.State.config = None
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            main()
        except SystemExit as left:
            status = left.code
    said.append([status, err.getvalue(), out.getvalue()])
json.dump(said, sys.stdout)
"""
EXPLAINED = """
import json, sys
from cti.explain import explain, localise, word
from policies.errors import PolicyError
from recorder.access.errors import LogBusyError
from recorder.vault.errors import PayloadError
from recorder.vault.keys import WrongPassphraseError
from recorder.vault.manifest import ManifestError

errors = [
    WrongPassphraseError(), LogBusyError("access.db: the entry was not written (locked)"),
    PayloadError(3, "it does not authenticate"), ManifestError("a.manifest", "segment", "empty"),
    PolicyError("numbers.toml:3: did", "Field required", "Correct the line named"),
    PermissionError(13, "Permission denied", "/x"), ValueError("something else"),
]
json.dump({
    "errors": [explain(error) for error in errors],
    "found": localise("entries 3 to 5: missing at the end, the head counts 6"),
    "words": [word("no-answer"), word("play.intent"), word("made up"), word(None)],
}, sys.stdout)
"""


def ask(program: str, given: Any = None, **environment: str) -> Any:
    """What `program` answers in a process of its own, in Japanese unless `environment` says otherwise."""
    done = subprocess.run(
        [sys.executable, "-c", program],
        input=json.dumps(given),
        env=os.environ | {"KIKITORI_LANG": "ja", "LC_ALL": "C.UTF-8", "COLUMNS": "400"} | environment,
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def catalogue() -> Catalog:
    with (FOLDER / "kikitori.po").open("rb") as file:
        return read_po(file, locale="ja", domain="kikitori")


def sentences(found: Catalog) -> dict[str, str]:
    """Message -> translation; of one with a plural, the singular, since Japanese has one form."""
    return {
        message.id if isinstance(message.id, str) else message.id[0]: (
            message.string if isinstance(message.string, str) else message.string[0]
        )
        for message in found
        if message.id
    }


def blanks(text: str) -> set[str]:
    return set(re.findall(r"\{[^{}]*\}", text))


def test_nothing_is_untranslated_or_fuzzy() -> None:
    fuzzy = [message.id for message in catalogue() if message.id and message.fuzzy]
    assert not fuzzy
    assert not [english for english, japanese in sentences(catalogue()).items() if not japanese]


def test_translations_fill_in_what_their_messages_do() -> None:
    unsaid = {"Input is not a valid path for {kind}"}  # the name of a Python class
    wrong = [english for english, japanese in sentences(catalogue()).items() if blanks(english) != blanks(japanese)]
    assert set(wrong) <= unsaid


def test_rich_markup_survives_translation() -> None:
    for english, japanese in sentences(catalogue()).items():
        assert english.count("[/]") == japanese.count("[/]"), english


def test_catalogue_is_current() -> None:
    keywords = {"_": None, "ngettext": (1, 2), "mark": None}
    said: set[str] = set()
    for package in PACKAGES:
        folder = Path(str(package.__file__)).parent
        for _file, _line, message, _comments, _context in extract_from_dir(folder, [("**.py", "python")], {}, keywords):
            said.add(message if isinstance(message, str) else message[0])
    known = sentences(catalogue()).keys()
    assert said - known == set(), "run scripts/messages and translate what it adds"
    assert known - said == set(), "run scripts/messages"


def test_compiled_catalogue_is_current() -> None:
    with (FOLDER / "kikitori.mo").open("rb") as file:
        compiled = sentences(read_mo(file))
    assert compiled == sentences(catalogue()), "run make env"


def test_no_message_hides_in_an_f_string() -> None:
    """The extraction does not look into them, so such a message would never reach the catalogue."""
    hidden = [
        f"{path}:{inner.lineno}"
        for package in PACKAGES
        for path in Path(str(package.__file__)).parent.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text("utf-8")))
        if isinstance(node, ast.JoinedStr)
        for inner in ast.walk(node)
        if isinstance(inner, ast.Call) and isinstance(inner.func, ast.Name) and inner.func.id in ("_", "ngettext")
        if inner.args and isinstance(inner.args[0], ast.Constant)
    ]
    assert not hidden


def error_classes() -> Iterator[type[Exception]]:
    for package in PACKAGES:
        for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if found.name.endswith("__main__") or ".migrations." in found.name:
                continue
            module = importlib.import_module(found.name)
            for value in vars(module).values():
                if isinstance(value, type) and issubclass(value, Exception) and "code" in vars(value):
                    yield value


def test_every_kind_of_error_has_its_sentence() -> None:
    classes = {kind for kind in error_classes() if kind.__module__.partition(".")[0] in {p.__name__ for p in PACKAGES}}
    gists = {
        str(vars(kind)["code"]): " ".join((kind.__doc__ or "").partition("\n\n")[0].split()).rstrip(".")
        for kind in classes
    }
    assert gists == dict(KINDS)
    japanese = sentences(catalogue())
    assert all(JAPANESE.search(japanese[gist]) for gist in gists.values())


def sources() -> Iterator[str]:
    """Every text in the code, an f-string's blanks as {}."""
    for package in PACKAGES:
        for path in Path(str(package.__file__)).parent.rglob("*.py"):
            if path.name == "phrases.py":
                continue
            for node in ast.walk(ast.parse(path.read_text("utf-8"))):
                if isinstance(node, ast.JoinedStr):
                    parts = (part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
                    yield "".join(map(str, parts))
                elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                    yield node.value


# said of a slot: f"is {finding.what}"; of a chunk: its number, and a colon where there is more to say
COMPOSED = {"is missing", "is damaged", "chunk {chunk}: {problem}"}
# a finding that stands behind the entries it is about
BEHIND = "{entries}"


def test_phrases_are_what_the_code_says() -> None:
    """Where a sentence of a package below is reworded, its phrase must follow, or it comes out in English."""
    texts = "\n".join(sources())
    lost = [
        phrase
        for phrase in OURS
        if phrase not in COMPOSED and re.sub(r"\{\w+\}", "{}", phrase.removeprefix(BEHIND)) not in texts
    ]
    assert not lost


def test_phrases_of_the_c_library_are_its_own() -> None:
    assert set(LIBC) <= {os.strerror(number) for number in range(1, 134)}


def test_every_phrase_and_word_is_japanese() -> None:
    japanese = sentences(catalogue())
    only_blanks = {"Value error, {problem}"}
    for phrase in {*PHRASES, *TYPER, *PYDANTIC, *TYPER_OWN, *WORDS, *KINDS.values()} - only_blanks:
        assert JAPANESE.search(japanese[phrase]), phrase


@pytest.fixture(scope="module")
def pages() -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = ask(PAGES)
    assert len(found) > 15
    return found


def test_every_help_text_is_japanese(pages: list[dict[str, Any]]) -> None:
    for page in pages:
        texts = [page["help"], *(text for _name, text in page["parameters"])]
        for text in texts:
            assert JAPANESE.search(text), f"{page['name']}: {text}"
            assert not ENGLISH.search(text), f"{page['name']}: {text}"
            assert text in page["wide"], page["name"]
        if page["epilog"]:
            assert page["epilog"].startswith(EXAMPLES), page["name"]
            assert page["epilog"] in page["wide"]


def test_what_typer_says_of_itself_is_japanese(pages: list[dict[str, Any]]) -> None:
    for page in pages:
        # Of what Typer writes, only the names of types stay: they are what the value must be, not prose.
        shown = "".join(line for line in page["wide"].splitlines() if not line.strip().startswith(EXAMPLES))
        assert "使い方: kikitori" in shown
        assert "─ オプション ─" in shown
        for word in ("Usage", "OPTIONS", "Options", "Arguments", "Commands", "COMMAND", "ARGS", "Show this", "default:",
                     "required", "env var"):  # fmt: skip
            assert word not in shown, page["name"]


def test_help_is_whole_on_a_narrow_terminal(pages: list[dict[str, Any]]) -> None:
    for page in pages:
        assert "…" not in page["narrow"], f"{page['name']}: a text is cut off"
        for line in page["narrow"].splitlines():
            assert cell_len(line) <= 80, f"{page['name']}: {line}"
            if line.startswith(("│", "╭", "╰")):
                assert cell_len(line) == 80, f"{page['name']}: {line}"
            assert not re.match(r"(│ +)?[、。）」]", line), f"{page['name']}: a line begins with closing punctuation"


@pytest.mark.rule("B-01")
def test_recordings_are_called_as_the_rules_call_them(pages: list[dict[str, Any]]) -> None:
    said = {page["name"]: page["help"] for page in pages}
    for name in ("kikitori recordings", "kikitori recordings list", "kikitori recordings show", "kikitori play"):
        assert "音声記録" in said[name], name


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Command line -> exit status, standard error, standard output."""
    folder = tmp_path_factory.mktemp("settings")
    files = {
        "good": '[site]\npbx = "pbx1"\n',
        "port": "[gate]\nport = 70000\n",
        "key": "[gate]\nprt = 1\n",
        "flat": "gate = 3\n",
        "empty": "",
    }
    for name, text in files.items():
        (folder / name).write_text(text, "utf-8")
    lines = [
        "config show",
        f"--config {folder}/absent config show",
        *(f"--config {folder}/{name} config show" for name in files),
        f"--config {folder}/good status",
        "play 3f2a --purpose curiosity -o x.wav",
        "play 3f2a --purpose quality -o x.wav --from 1x",
        "play",
        "play 3f2a",
        "export 3f2a --purpose content --format mp3 -o x",
        "export 3f2a --purpose content --format age -o x",
        "verify",
        "audit list --from -3",
        "audit list --from three",
        "audit list one two",
        "audit list --frm",
        "plya",
        "calls replay /nowhere/at/all",
    ]
    answers = ask(SAID, [line.split() for line in lines], KIKITORI_CONFIG="", HOME=str(folder))
    return {
        line.replace(f"{folder}/", ""): (status, err, out)
        for line, (status, err, out) in zip(lines, answers, strict=True)
    }


EXPECTED = {
    "config show": (78, "設定ファイル kikitori.toml が、現在のフォルダー、"),
    "--config absent config show": (78, "読み込めません（ファイルまたはフォルダーがありません）"),
    "--config port config show": (78, "port:2: gate.port: 65535 以下の値を指定してください"),
    "--config key config show": (78, "key:2: gate.prt: この項目はありません"),
    "--config flat config show": (78, "[gate] の形で書いてください"),
    "--config empty config show": (78, "空です"),
    "--config good status": (69, "録音プロセスが"),
    "play 3f2a --purpose quality -o x.wav --from 1x": (64, "'1x' は時間として読めません"),
    "play": (2, "引数 'ID' を指定してください。"),
    "play 3f2a": (2, "オプション '--purpose' を指定してください。"),
    "export 3f2a --purpose content --format mp3 -o x": (2, "次のいずれかを指定してください: 'age', 'flac', 'wav'"),
    "export 3f2a --purpose content --format age -o x": (64, "--format age には --recipient"),
    "verify": (64, "音声記録を 1 件指定するか、--all を付けてください"),
    "audit list --from -3": (2, "'--from' の値が正しくありません: 0 以上の値を指定してください"),
    "audit list --from three": (2, "整数を指定してください"),
    "audit list one two": (2, "余分な引数があります: one two"),
    "audit list --frm": (2, "--frm というオプションはありません。もしかして: --from"),
    "plya": (2, "'plya' というコマンドはありません。もしかして: 'play'"),
    "calls replay /nowhere/at/all": (65, "/nowhere/at/all: ファイルまたはフォルダーがありません"),
}


@pytest.mark.parametrize("line", EXPECTED)
def test_errors_are_japanese(line: str, said: dict[str, tuple[int, str, str]]) -> None:
    status, err, _out = said[line]
    assert (status, err[:10]) == (EXPECTED[line][0], "kikitori: ")
    assert EXPECTED[line][1] in err
    assert not ENGLISH.search(err)


@pytest.mark.rule("B-08")
def test_a_wrong_purpose_is_refused_with_the_words_of_the_rules(said: dict[str, tuple[int, str, str]]) -> None:
    status, err, _out = said["play 3f2a --purpose curiosity -o x.wav"]
    assert status == 64
    assert "'curiosity' は要綱第4条の目的ではありません" in err
    assert "quality (応対品質の管理), content (対応内容等の確認)" in err


def test_settings_are_shown_in_japanese(said: dict[str, tuple[int, str, str]]) -> None:
    status, _err, out = said["--config good config show"]
    header, *rows = out.splitlines()[1:]
    assert status == 0
    assert header.split() == ["設定", "値", "設定元", "意味"]
    assert len(rows) > 25
    for row in rows:
        assert JAPANESE.search(row.rstrip().split("  ")[-1]), row
    assert sum("既定値" in row for row in rows) == len(rows) - 1


def test_errors_and_findings_of_the_packages_below_are_japanese() -> None:
    told = ask(EXPLAINED)
    assert told["errors"] == [
        "パスフレーズが違います",
        "別のプロセスが操作ログを長く占有していたため、書き込みませんでした: access.db: 書き込めませんでした（locked）",
        "暗号化された音声が壊れているか、改変されているか、途中で切れています: チャンク 3: 真正性を確認できません",
        "マニフェストが使えません: a.manifest: segment: 空です",
        "ポリシーファイルが使えません: numbers.toml:3: did: この項目は必須です。示された行を直してください",
        "/x: 権限がありません",
        "something else",
    ]
    assert told["found"] == "記録 3 から 5 まで: 末尾が失われています。見出しの件数は 6 です"
    assert told["words"] == ["応答なし", "再生の開始", "made up", ""]


def test_english_is_spoken_where_it_is_asked_for() -> None:
    """KIKITORI_LANG beats the locale, for Typer's own words too."""
    found = ask(PAGES, KIKITORI_LANG="en", LC_ALL="ja_JP.UTF-8", LANGUAGE="ja")
    for page in found:
        assert "Usage: kikitori" in page["wide"]
        assert "オプション" not in page["wide"]
        assert "…" not in page["narrow"]


@pytest.mark.parametrize(
    ("environ", "expected"),
    [
        ({}, "en"),
        ({"LANG": "ja_JP.UTF-8"}, "ja"),
        ({"LANG": "ja_JP.UTF-8", "LC_ALL": "C"}, "en"),
        ({"LANG": "de_DE.UTF-8", "LC_MESSAGES": "ja_JP.UTF-8"}, "ja"),
        ({"LC_ALL": "ja_JP.UTF-8", "KIKITORI_LANG": "en"}, "en"),
        ({"LANG": "C", "KIKITORI_LANG": "JA"}, "ja"),
        ({"LANG": "de_DE.UTF-8"}, "en"),
    ],
)
def test_the_language_is_that_of_the_environment(environ: dict[str, str], expected: str) -> None:
    assert language(environ) == expected
