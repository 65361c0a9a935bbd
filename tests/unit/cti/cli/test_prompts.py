"""`kikitori prompts`: what is there, what is wrong, and what is made."""

import json
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cti.prompts import shelf
from cti.settings import FILE
from tests.unit.cti.cli.conftest import Kikitori


@pytest.fixture
def own(kikitori: Kikitori) -> Path:
    """The folder of the bureau's own recordings, by the settings that apply here."""
    Path(FILE).write_text('[paths]\nprompts = "recordings"\n')
    folder = Path("recordings").absolute()
    (folder / "ja").mkdir(parents=True)
    return folder


def record(path: Path, seconds: float = 1.5, rate: int = 8000) -> None:
    soundfile.write(path, 0.2 * np.sin(np.arange(round(seconds * rate)) / 4), rate, subtype="PCM_16")


def test_nothing_is_wrong(kikitori: Kikitori) -> None:
    Path(FILE).write_text("[site]\npbx = 'pbx1'\n")
    said = kikitori("prompts", "check")
    assert (said.status, said.out, said.err) == (0, f"{len(shelf(None))} prompts: nothing is wrong.\n", "")
    assert json.loads(kikitori("prompts", "check", "--json").out) == {"prompts": len(shelf(None)), "problems": 0}


def test_what_is_wrong_is_named(kikitori: Kikitori, own: Path) -> None:
    record(own / "ja/closed.wav", rate=16000)
    record(own / "ja/gretting.wav")
    said = kikitori("prompts", "check")
    assert said.status == 1
    assert said.err == "2 problems\n"
    assert f"{own}/ja/closed.wav is WAV PCM_16, 16000 Hz, 1 ch; " in said.out
    assert f"sox -G {own}/ja/closed.wav -r 8000 -c 1" in said.out
    assert f"{own}/ja/gretting.wav is no prompt." in said.out
    said = kikitori("prompts", "check", "--json")
    rows = [json.loads(line) for line in said.out.splitlines()]
    assert [(row.get("flaw"), row.get("file")) for row in rows] == [
        ("unknown", f"{own}/ja/gretting.wav"), ("format", f"{own}/ja/closed.wav"), (None, None),
    ]  # fmt: skip
    assert rows[-1]["problems"] == 2


def test_the_list_says_whose_a_prompt_is(kikitori: Kikitori, own: Path) -> None:
    record(own / "ja/closed.wav")
    rows = [json.loads(line) for line in kikitori("prompts", "list", "--json").out.splitlines()]
    assert len(rows) == len(shelf(None))
    named = {(row["language"], row["name"]): row for row in rows}
    assert named["ja", "closed"]["whose"] == "own"
    assert named["ja", "closed"]["seconds"] == 1.5
    assert named["ja", "closed"]["file"] == str(own / "ja/closed.wav")
    assert named["en", "closed"]["whose"] == "shipped"
    assert named["en", "weekday-mon"]["text"] == "Monday"
    lines = kikitori("prompts", "list", "--language", "ja").out.splitlines()
    assert lines[0].split() == ["Name", "Text", "Seconds", "Whose"]
    assert {line.partition("/")[0].strip() for line in lines[1:] if not line.startswith(" ")} == {"ja"}
    assert next(line for line in lines if line.startswith("ja/closed ")).split()[-2:] == ["1.5", "own"]


def test_the_list_shows_what_cannot_be_played_too(kikitori: Kikitori, own: Path) -> None:
    (own / "ja/closed.wav").write_bytes(b"")
    rows = [json.loads(line) for line in kikitori("prompts", "list", "--json").out.splitlines()]
    assert [row["name"] for row in rows if row["seconds"] is None] == ["closed"]
    assert kikitori("prompts", "list").status == 0


def test_nothing_is_made_without_a_voice(kikitori: Kikitori) -> None:
    said = kikitori("prompts", "render", "--out", "new", "--only", "closed", "--language", "ja")
    assert (said.status, said.out) == (65, "")
    assert said.err.startswith("kikitori: Japanese needs --voice FILE.htsvoice.")
    assert not Path("new").exists()


def test_a_pause_needs_no_voice(kikitori: Kikitori) -> None:
    said = kikitori("prompts", "render", "--out", "new", "--only", "group", "--language", "en", "--json")
    assert said.status == 0
    assert [json.loads(line) for line in said.out.splitlines()] == [{"file": "new/en/group.ulaw"}]
    assert Path("new/en/group.ulaw").stat().st_size == 1600
