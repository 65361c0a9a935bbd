"""What callers hear: ours is complete and sounds as it should, the bureau's own takes its place, mistakes are named."""

import os
import shlex
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import soundfile

from cti.errors import PromptError
from cti.prompts import LANGUAGES, Language, files, index, problems, render, shelf, shipped, texts
from cti.prompts.shape import LEVEL, finished, telephone
from cti.prompts.sound import RATE, Flaw, Samples, decode, encode, flaws, frames, heard, loudness
from cti.prompts.stock import Prompt
from cti.prompts.words import read

ROOT = Path(__file__).parents[3]
OURS = shelf(None)
ROWS = {language: index.load(shipped() / language) for language in LANGUAGES}


def tone(seconds: float = 1.0, level: float = -20.0, rate: int = RATE) -> Samples:
    """A note of 400 Hz, `level` dBFS (RMS)."""
    peak = 32768 * 10 ** (level / 20) * np.sqrt(2)
    return np.rint(peak * np.sin(np.arange(round(seconds * rate)) * 2 * np.pi * 400 / rate)).astype(np.int16)


def save(path: Path, samples: Samples, rate: int = RATE, **form: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples / 32768, rate, **form)
    return path


# --- ours -------------------------------------------------------------------------------------------------------------


def test_nothing_is_wrong_with_ours() -> None:
    assert problems(None) == []


def test_what_the_dialplan_plays_is_there() -> None:
    names = """recorded waiting whisper closed closed-section menu menu-english again next-opening is callback-offer
        your-number your-number-ok enter-number entered-number entered-number-ok taken taken-urgent not-taken goodbye
        connecting emergency-busy emergency-failed emergency-again unsure group"""
    for language in LANGUAGES:
        assert {f"prompts/{language}/{name}.ulaw" for name in names.split()} <= files(None).keys()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_folder_holds_the_prompts_and_what_is_to_know_of_them(language: Language) -> None:
    folder = shipped() / language
    wanted = {f"{each.name}.ulaw" for each in OURS if each.language == language}
    assert {path.name for path in folder.iterdir()} == wanted | {"LICENSE", "index.tsv"}
    rows = ROWS[language]
    assert list(rows) == [f"{each.name}.ulaw" for each in OURS if each.language == language]
    licence, notice = ((ROOT / name).read_text("utf-8") for name in (folder / "LICENSE", "NOTICE"))
    for voice in {row.voice for row in rows.values()} - {"pause"}:
        assert voice in licence
        assert voice in notice


def test_all_of_it_is_small() -> None:
    assert sum(path.stat().st_size for path in shipped().rglob("*")) < 5 << 20


def speech_is_uneven(prompt: Prompt) -> bool:
    """Too loud or quiet, or with too little or too much silence around it."""
    samples = heard(prompt.file)
    sound = samples / 32768
    loud = np.flatnonzero(frames(sound) > 10 ** (-55 / 20)) / 50
    even = -21 < loudness(sound) < -19.5 and np.abs(samples.astype(int)).max() < 30000
    return not even or not 0.02 <= loud[0] <= 0.12 or not 0.02 <= len(samples) / RATE - loud[-1] <= 0.4


def test_speech_is_even_and_begins_and_ends_at_once() -> None:
    assert [f"{each.language}/{each.name}" for each in OURS if each.words and speech_is_uneven(each)] == []


def length_is_odd(prompt: Prompt) -> bool:
    """Not as long as it takes to say what was read: 2.5 to 15 phones, 4 to 10 morae a second; pauses count in."""
    seconds = len(heard(prompt.file)) / RATE
    reading = ROWS[prompt.language][prompt.file.name].reading
    if not prompt.words:
        return seconds != pytest.approx(0.2)
    if prompt.text.spoken_in(prompt.language) == "ja":
        return not 4 < sum(sound not in "ャュョァィゥェォ 、" for sound in reading) / (seconds - 0.1) < 10
    return not 2.5 < sum(phone != "pau" for phone in reading.split()) / (seconds - 0.1) < 15


def test_a_prompt_is_as_long_as_its_words() -> None:
    assert [f"{each.language}/{each.name}" for each in OURS if length_is_odd(each)] == []


READINGS = {
    "digit": "ゼロ イチ ニー サン ヨン ゴー ロク ナナ ハチ キュー",
    "month": """- イチガツ ニガツ サンガツ シガツ ゴガツ ロクガツ シチガツ ハチガツ クガツ ジューガツ
        ジューイチガツ ジューニガツ""",
    "day": """- ツイタチ フツカ ミッカ ヨッカ イツカ ムイカ ナノカ ヨーカ ココノカ トーカ ジューイチニチ ジューニニチ
        ジューサンニチ ジューヨッカ ジューゴニチ ジューロクニチ ジューシチニチ ジューハチニチ ジュークニチ ハツカ
        ニジューイチニチ ニジューニニチ ニジューサンニチ ニジューヨッカ ニジューゴニチ ニジューロクニチ ニジューシチニチ
        ニジューハチニチ ニジュークニチ サンジューニチ サンジューイチニチ""",
    "am": """ゴゼンレージ ゴゼンイチジ ゴゼンニジ ゴゼンサンジ ゴゼンヨジ ゴゼンゴジ ゴゼンロクジ ゴゼンシチジ
        ゴゼンハチジ ゴゼンクジ ゴゼンジュージ ゴゼンジューイチジ""",
    "minute": "- イップン ニフン サンプン ヨンプン ゴフン ロップン ナナフン ハップン キューフン ジュップン",
}  # fmt: skip
READINGS["pm"] = READINGS["am"].replace("ゴゼン", "ゴゴ")
TENS = ["", "ジュー", "ニジュー", "サンジュー", "ヨンジュー", "ゴジュー"]


def spoken_as(name: str) -> str:
    return ROWS["ja"][f"{name}.ulaw"].reading.replace(" ", "")


@pytest.mark.parametrize("kind", READINGS)
def test_dates_times_and_digits_are_read_as_people_read_them(kind: str) -> None:
    wanted = {f"{kind}-{number}": reading for number, reading in enumerate(READINGS[kind].split()) if reading != "-"}
    assert {name: spoken_as(name) for name in wanted} == wanted


def test_minutes_are_read_as_people_read_them() -> None:
    single = READINGS["minute"].split()[:10]
    for minute in range(11, 60):
        tens, ones = TENS[minute // 10], single[minute % 10]
        assert spoken_as(f"minute-{minute}") == (
            tens.removesuffix("ジュー") + "ジュップン" if ones == "-" else tens + ones
        )


# --- the bureau's own -------------------------------------------------------------------------------------------------


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some of the prompts: looking at all of them takes a while."""
    some = {name: texts()[name] for name in ("group", "hour-9", "recorded", "closed", "menu")}
    for module in ("stock", "speak"):
        monkeypatch.setattr(f"cti.prompts.{module}.texts", lambda: some)


def test_a_recording_that_is_dropped_in_is_heard(tmp_path: Path) -> None:
    save(tmp_path / "ja/recorded.wav", tone())
    (tmp_path / "en").mkdir()
    (tmp_path / "en/closed.ulaw").write_bytes(encode(tone(0.5)))
    ours = files(None)
    changed = {name: data for name, data in files(tmp_path).items() if data != ours[name]}
    assert changed == {"prompts/ja/recorded.ulaw": encode(tone()), "prompts/en/closed.ulaw": encode(tone(0.5))}
    assert [each.file for each in shelf(tmp_path) if each.own] == [
        tmp_path / "ja/recorded.wav", tmp_path / "en/closed.ulaw",
    ]  # fmt: skip
    assert problems(tmp_path) == []


def test_without_a_folder_ours_are_heard(tmp_path: Path) -> None:
    assert files(tmp_path / "none") == files(tmp_path) == files(None)
    assert problems(tmp_path / "none") == []


@pytest.mark.usefixtures("few")
def test_notes_beside_recordings_are_no_mistake(tmp_path: Path) -> None:
    for name in ("README.ja.md", "LICENSE", ".DS_Store", "ja/Thumbs.db", "ja/台本.txt", "ja/index.tsv"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert problems(tmp_path) == []
    assert files(tmp_path) == files(None)


def mended_by_its_own_command(path: Path, folder: Path) -> None:
    """What the sentence says to type is typed."""
    with pytest.raises(PromptError) as caught:
        files(folder)
    command = str(caught.value).partition("Mend it: ")[2]
    assert shlex.quote(str(path)) in command
    subprocess.run(["sh", "-c", command], cwd=folder.parent, check=True)
    assert problems(folder) == []
    assert loudness(heard(path) / 32768) == pytest.approx(-20, abs=0.5)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("rate", "channels", "subtype"),
    [(8000, 2, "PCM_16"), (44100, 1, "PCM_16"), (48000, 2, "PCM_24"), (16000, 1, "FLOAT"), (8000, 1, "ULAW")],
)
def test_another_format_is_named_with_the_command_that_mends_it(
    tmp_path: Path, rate: int, channels: int, subtype: str
) -> None:
    path = tmp_path / "own recordings/ja/closed.wav"
    save(path, np.column_stack([tone(rate=rate)] * channels), rate, subtype=subtype)
    [problem] = problems(path.parents[1])
    assert (problem.file, problem.flaw) == (path, Flaw.FORMAT)
    assert problem.problem.startswith(f"{path} is WAV {subtype}, {rate} Hz, {channels} ch; 16-bit WAV of 8000 Hz, mono")
    mended_by_its_own_command(path, path.parents[1])


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(("kind", "form"), [("wav", "WAV"), ("au", "AU"), ("flac", "FLAC")])
def test_what_only_is_named_u_law_is_found(tmp_path: Path, kind: str, form: str) -> None:
    path = save(tmp_path / f"own/ja/closed.{kind}", tone(), format=form).rename(tmp_path / "own/ja/closed.ulaw")
    [problem] = problems(tmp_path / "own")
    assert problem.flaw is Flaw.FORMAT
    assert problem.problem.startswith(f"{path} is named raw u-law and is {kind}")
    mended_by_its_own_command(path, tmp_path / "own")


@pytest.mark.usefixtures("few")
def test_another_format_in_a_wav_is_found(tmp_path: Path) -> None:
    save(tmp_path / "ja/x.flac", tone()).rename(tmp_path / "ja/closed.wav")
    [problem] = problems(tmp_path)
    assert problem.flaw is Flaw.FORMAT
    assert "is FLAC PCM_16, 8000 Hz" in problem.problem


def loud_and_cut() -> Samples:
    return np.clip(tone(level=-1).astype(np.int32) * 3, -32768, 32767).astype(np.int16)


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("samples", "flaw"),
    [
        (np.zeros(8000, np.int16), Flaw.SILENT),
        (tone(level=-70), Flaw.SILENT),
        (loud_and_cut(), Flaw.CLIPPED),
        (tone(60.1), Flaw.LONG),
        (tone(60), None),
        (tone(level=-4), None),
        (tone(level=-45), None),
    ],
)
@pytest.mark.parametrize("suffix", ["wav", "ulaw"])
def test_sound_that_callers_should_not_hear(tmp_path: Path, samples: Samples, flaw: Flaw | None, suffix: str) -> None:
    path = tmp_path / f"ja/closed.{suffix}"
    if suffix == "wav":
        save(path, samples)
    else:
        path.parent.mkdir()
        path.write_bytes(encode(samples))
    assert [(found.file, found.flaw) for found in problems(tmp_path)] == ([(path, flaw)] if flaw else [])
    assert all(str(path) in found.problem for found in problems(tmp_path))


def test_silence_is_silent_and_one_peak_is_not_cut() -> None:
    peak = tone()
    peak[100] = 32767
    assert flaws(peak) == []
    assert flaws(np.zeros(0, np.int16)) == [Flaw.SILENT]


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize("data", [b"", b"RIFF", b"RIFF\x00\x00\x00\x00WAVEfmt ", b"not sound at all" * 10])
def test_a_wav_that_is_none(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "ja/closed.wav"
    path.parent.mkdir()
    path.write_bytes(data)
    [problem] = problems(tmp_path)
    assert (problem.file, problem.flaw) == (path, Flaw.UNREADABLE)
    assert "record it again" in problem.problem
    with pytest.raises(PromptError, match="record it again"):
        files(tmp_path)


@pytest.mark.usefixtures("few")
def test_a_recording_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "ja/closed.wav").mkdir(parents=True)
    [problem] = problems(tmp_path)
    assert problem.flaw is Flaw.UNREADABLE
    assert problem.problem == f"{tmp_path}/ja/closed.wav cannot be read: Is a directory"


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("name", "flaw", "says"),
    [
        ("ja/closd.wav", Flaw.UNKNOWN, "Did you mean closed?"),
        ("ja/Recorded.wav", Flaw.UNKNOWN, "Did you mean recorded?"),
        ("ja/hour-9.wav", Flaw.UNKNOWN, "is no prompt"),
        ("en/留守.wav", Flaw.UNKNOWN, "`kikitori prompts list` shows every name"),
        ("en/closed.mp3", Flaw.FORMAT, "is neither .wav (16-bit, 8000 Hz, mono) nor .ulaw"),
        ("en/closed.WAV", Flaw.FORMAT, "is neither .wav"),
        ("closed.wav", Flaw.UNKNOWN, "recordings lie in the folders ja and en"),
        ("jp/closed.wav", Flaw.UNKNOWN, "recordings lie in the folders ja and en"),
    ],
)
def test_a_mistyped_name_does_not_pass_silently(tmp_path: Path, name: str, flaw: Flaw, says: str) -> None:
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(encode(tone()))
    [problem] = problems(tmp_path)
    assert problem.flaw is flaw
    assert problem.file in (path, path.parent)
    assert says in problem.problem
    with pytest.raises(PromptError, match=r"closed|is no prompt|jp"):
        files(tmp_path)


@pytest.mark.usefixtures("few")
def test_two_recordings_of_one_prompt(tmp_path: Path) -> None:
    save(tmp_path / "ja/closed.wav", tone())
    (tmp_path / "ja/closed.ulaw").write_bytes(encode(tone()))
    [problem] = problems(tmp_path)
    assert problem.flaw is Flaw.TWICE
    assert "closed.ulaw" in problem.problem
    assert "closed.wav" in problem.problem


# --- out of date ------------------------------------------------------------------------------------------------------


@pytest.fixture
def copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The shipped prompts, in a folder where they may be spoiled."""
    folder = tmp_path / "prompts"
    subprocess.run(["cp", "-r", shipped(), folder], check=True)
    monkeypatch.setattr("cti.prompts.stock.shipped", lambda: folder)
    return folder


def edit(path: Path, change: Callable[[str], str]) -> None:
    path.write_text(change(path.read_text("utf-8")), "utf-8")


@pytest.mark.parametrize("field", ["ja", "ja_voice"])
def test_a_text_that_changed_after_it_was_spoken(copy: Path, monkeypatch: pytest.MonkeyPatch, field: str) -> None:
    changed = dict(texts()) | {"closed": texts()["closed"].model_copy(update={field: "ただいま休みです。"})}
    monkeypatch.setattr("cti.prompts.stock.texts", lambda: changed)
    [problem] = problems(None)
    assert (problem.file, problem.flaw) == (copy / "ja/closed.ulaw", Flaw.STALE)
    assert problem.problem.endswith(
        f"says what was its text once. Make it anew: kikitori prompts render --out {copy} --only closed"
    )


def test_a_voice_or_a_manner_that_changed(copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(copy / "en/index.tsv", lambda text: text.replace("\tcmu_us_slt\t", "\tanother\t", 1))
    assert [problem.flaw for problem in problems(None)] == [Flaw.STALE]
    monkeypatch.setattr("cti.prompts.speak.MANNER", {"ja": ("-r", "2"), "en": ()})
    assert {problem.flaw for problem in problems(None)} == {Flaw.STALE}
    assert len(problems(None)) == len([each for each in OURS if each.words])


def test_a_file_that_is_missing_or_another(copy: Path) -> None:
    (copy / "ja/closed.ulaw").unlink()
    (copy / "ja/menu.ulaw").write_bytes((copy / "ja/again.ulaw").read_bytes())
    edit(
        copy / "en/index.tsv",
        lambda text: "".join(line for line in text.splitlines(True) if not line.startswith("again.")),
    )
    assert [(problem.file.relative_to(copy).as_posix(), problem.flaw) for problem in problems(None)] == [
        ("ja/closed.ulaw", Flaw.MISSING), ("ja/menu.ulaw", Flaw.STALE), ("en/again.ulaw", Flaw.STALE),
    ]  # fmt: skip
    with pytest.raises(FileNotFoundError):
        files(None)


def test_without_its_index_a_folder_is_out_of_date(copy: Path) -> None:
    (copy / "ja/index.tsv").unlink()
    assert {(problem.file.parent.name, problem.flaw) for problem in problems(None)} == {("ja", Flaw.STALE)}


def test_what_the_bureau_replaces_is_not_out_of_date(copy: Path, tmp_path: Path) -> None:
    (copy / "ja/closed.ulaw").unlink()
    save(tmp_path / "own/ja/closed.wav", tone())
    assert problems(tmp_path / "own") == []


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('Closed = { ja = "x" }', "Closed is no name of a prompt"),
        ('closed = { jp = "x" }', r"closed.jp: Extra inputs"),
        ('closed = { ja = 1 }', r"closed.ja: Input should be a valid string"),
        ('closed = { ja = "x\\ty" }', r"closed\.ja: String should match"),
        ("closed = 1 2", "line 1"),
    ],
)  # fmt: skip
def test_texts_that_are_none(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "texts.toml").write_text(text)
    with pytest.raises(PromptError, match=rf"texts\.toml: .*{says}"):
        read(tmp_path / "texts.toml")


# --- made by a voice --------------------------------------------------------------------------------------------------

JTALK = """#!/bin/sh
for last; do
  case $before in -ot) trace=$last ;; esac
  before=$last
done
cat >>"{folder}/asked"
cp "{folder}/trace" "$trace"
"""
HTS = """#!/bin/sh
for last; do
  case $before in -ow) sound=$last ;; -m) voice=$last ;; esac
  before=$last
done
[ "$(cat "$voice")" = good ] || {{ echo "HTS_Engine_load: cannot open" >&2; exit 1; }}
cp "{folder}/tone.wav" "$sound"
cp "$last" "{folder}/labels"
"""
TRACE = """[Text analysis result]
ミナ,名詞,一般,*,*,*,*,ミナ,ミナ,ミ’ナ,0/2,*,-1
です,助動詞,*,*,*,*,*,です,デス,デス’,1/2,*,1
。,記号,句点,*,*,*,*,。,、,、,0/0,*,0

[Output label]
0 1 xx^xx-sil+sh=I/A:xx+xx+xx/B:xx
1 2 xx^sil-sh+I=d/A:-1+1+2/B:xx-xx_xx
2 3 sil^sh-I+d=e/A:-1+1+2/B:xx-xx_xx
3 4 sh^I-d+e=s/A:0+2+1/B:xx-xx_xx
4 5 I^d-e+s=U/A:0+2+1/B:xx-xx_xx
5 6 d^e-s+U=sil/A:0+2+1/B:xx-xx_xx
6 7 e^s-U+sil=xx/A:0+2+1/B:xx-xx_xx
7 8 s^U-sil+xx=xx/A:xx+xx+xx/B:xx

[Global parameter]
Sampring frequency -> 48000(Hz)
"""
FLITE = """#!/bin/sh
for last; do
  case $before in -o) sound=$last ;; -t) text=$last ;; esac
  before=$last
done
echo "$text" >>"{folder}/asked"
cp "{folder}/tone.wav" "$sound"
echo "pau aa b pau "
"""


@pytest.fixture
def voices(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Programs that say one note of half a second to everything, and note what they were asked."""
    folder = tmp_path_factory.mktemp("voices")
    silence = np.zeros(24000, np.int16)
    save(folder / "tone.wav", np.concatenate([silence, tone(0.5, -35, 48000), silence]), 48000)
    (folder / "mei.htsvoice").write_text("good")
    (folder / "dictionary").mkdir()
    (folder / "trace").write_text(TRACE, "utf-8")
    for name, program in (("open_jtalk", JTALK), ("hts_engine", HTS), ("flite", FLITE)):
        (folder / name).write_text(program.format(folder=folder))
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    monkeypatch.setattr("cti.prompts.voice.DICTIONARY", folder / "dictionary")
    return folder


def test_a_prompt_is_spoken(voices: Path, tmp_path: Path) -> None:
    heard_of: list[tuple[int, int, str]] = []
    written = render(
        tmp_path / "new/prompts", voice=voices / "mei.htsvoice", only=["closed", "is", "menu-english"],
        told=lambda *what: heard_of.append(what),
    )  # fmt: skip
    names = ["ja/menu-english", "ja/is", "ja/closed", "en/menu-english", "en/is", "en/closed"]
    assert sorted(path.relative_to(tmp_path / "new/prompts").as_posix() for path in written) == sorted(
        f"{name}.ulaw" for name in names
    )
    assert sorted(name for _, _, name in heard_of) == sorted(names)
    assert [(done, of) for done, of, _ in heard_of] == [(number, 6) for number in range(1, 7)]
    asked = (voices / "asked").read_text("utf-8")
    assert texts()["closed"].spelled("ja") in asked
    assert asked.count("For English, press nine.") == 2
    sound = decode((tmp_path / "new/prompts/ja/closed.ulaw").read_bytes())
    assert len(sound) / RATE == pytest.approx(0.06 + 0.5 + 0.25, abs=0.041)
    assert loudness(sound / 32768) == pytest.approx(LEVEL, abs=0.3)
    assert not heard(tmp_path / "new/prompts/en/is.ulaw").any()
    rows = index.load(tmp_path / "new/prompts/ja")
    assert (rows["closed.ulaw"].reading, rows["closed.ulaw"].voice) == ("ミナ デス 、", "mei")
    assert (rows["menu-english.ulaw"].reading, rows["menu-english.ulaw"].voice) == ("pau aa b pau", "cmu_us_slt")
    assert index.load(tmp_path / "new/prompts/en")["is.ulaw"].voice == "pause"


def test_a_vowel_is_whispered_at_the_end_of_a_sentence_alone(voices: Path, tmp_path: Path) -> None:
    render(tmp_path, voice=voices / "mei.htsvoice", only=["closed"], languages=["ja"])
    assert (voices / "labels").read_text("utf-8").splitlines() == [
        "xx^xx-sil+sh=i/A:xx+xx+xx/B:xx",
        "xx^sil-sh+i=d/A:-1+1+2/B:xx-xx_xx",
        "sil^sh-i+d=e/A:-1+1+2/B:xx-xx_xx",
        "sh^i-d+e=s/A:0+2+1/B:xx-xx_xx",
        "i^d-e+s=U/A:0+2+1/B:xx-xx_xx",
        "d^e-s+U=sil/A:0+2+1/B:xx-xx_xx",
        "e^s-U+sil=xx/A:0+2+1/B:xx-xx_xx",
        "s^U-sil+xx=xx/A:xx+xx+xx/B:xx",
    ]


def test_what_was_spoken_is_up_to_date(voices: Path, copy: Path) -> None:
    (copy / "ja/closed.ulaw").unlink()
    before = index.load(copy / "ja")
    render(copy, voice=voices / "mei.htsvoice", only=["closed"], languages=["ja"])
    assert problems(None) == []
    after = index.load(copy / "ja")
    assert list(after) == list(before)
    assert {file for file, row in after.items() if row != before[file]} == {"closed.ulaw"}


@pytest.mark.usefixtures("few")
def test_every_text_is_asked_for(voices: Path, tmp_path: Path) -> None:
    written = render(tmp_path, voice=None, languages=["en"])
    assert [path.stem for path in written] == ["group", "hour-9", "recorded", "closed", "menu"]
    assert {path.name for path in (tmp_path / "en").iterdir()} == {path.name for path in written} | {"index.tsv"}
    assert not (tmp_path / "ja").exists()


def fails(voices: Path, out: Path, **options: object) -> str:
    """What a render says that leaves nothing behind."""
    with pytest.raises(PromptError) as caught:
        render(out, **{"voice": voices / "mei.htsvoice"} | options)  # type: ignore[arg-type]
    assert not out.exists()
    return str(caught.value)


def test_what_is_missing_is_said(voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    assert "Did you mean closed?" in fails(voices, out, only=["closd"])
    assert "mei_normal.htsvoice (MMDAgent, CC BY 3.0)" in fails(voices, out, voice=None)
    assert "none.htsvoice is no voice" in fails(voices, out, voice=voices / "none.htsvoice")
    (voices / "bad.htsvoice").write_text("bad")
    assert fails(voices, out, voice=voices / "bad.htsvoice") == "hts_engine failed: HTS_Engine_load: cannot open"
    (voices / "dictionary").rmdir()
    wanted = "open_jtalk is not installed: apt-get install open-jtalk open-jtalk-mecab-naist-jdic"
    assert fails(voices, out) == wanted
    (voices / "dictionary").mkdir()
    monkeypatch.setenv("PATH", "/nowhere")
    assert fails(voices, out) == wanted
    assert fails(voices, out, languages=["en"]) == "flite is not installed: apt-get install flite"


@pytest.mark.parametrize(
    ("program", "says"),
    [
        ("exit 3", "flite failed: it does not say why"),
        ("exit 0", "flite failed: "),
        ('for last; do :; done; echo "not sound" >"$last"', "flite failed: "),
        ("sleep 5", "flite took longer than 0.2 s"),
    ],
)
def test_a_program_that_fails(
    voices: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, program: str, says: str
) -> None:
    monkeypatch.setattr("cti.prompts.voice.SECONDS", 0.2)
    (voices / "flite").write_text(f"#!/bin/sh\n{program}\n")
    assert fails(voices, tmp_path / "out", languages=["en"], only=["closed"]).startswith(says)


def test_a_voice_that_says_nothing(voices: Path, tmp_path: Path) -> None:
    save(voices / "tone.wav", np.zeros(48000, np.int16), 48000)
    assert fails(voices, tmp_path / "out", only=["closed"]) == "ja/closed: the voice said nothing"
    save(voices / "tone.wav", tone(rate=44100), 44100)
    assert fails(voices, tmp_path / "out", only=["closed"]) == (
        "ja/closed: the voice speaks at 44100 Hz, which is no multiple of 8000"
    )


def test_a_disk_that_is_full_leaves_the_old_file(voices: Path, copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = {path: path.read_bytes() for path in copy.rglob("*.*")}

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recorder.vault.folder.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        render(copy, voice=voices / "mei.htsvoice", only=["closed"])
    assert {path: path.read_bytes() for path in copy.rglob("*.*")} == before


# --- shape ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16000, 48000])
def test_what_a_telephone_carries_passes_and_nothing_is_folded(rate: int) -> None:
    def level(pitch: float) -> float:
        wave = np.sin(np.arange(rate) * 2 * np.pi * pitch / rate)
        return 10 * float(np.log10(np.mean(telephone(wave, rate)[800:-800] ** 2) * 2))

    assert 6 < level(3000) - level(300) < 8.5
    assert abs(level(3300) - level(3000)) < 1
    if rate > 8000:
        assert level(4300) < -50
        assert level(6700) < -50


def test_quiet_and_loud_speech_come_out_alike() -> None:
    for level in (-45.0, -30.0, -6.0):
        wave = np.concatenate([np.zeros(4000), tone(1, level) / 32768, np.zeros(6000)])
        made = finished(wave, rest=-45, before=0.06, after=0.25)
        assert loudness(made / 32768) == pytest.approx(LEVEL, abs=0.2)
        assert len(made) == pytest.approx((0.06 + 1 + 0.25) * RATE, abs=RATE / 25)


def test_no_peak_is_cut() -> None:
    wave = tone(2, -40) / 32768
    wave[8000:8010] = 0.9
    made = finished(wave, rest=-45, before=0.06, after=0.06)
    assert np.abs(made.astype(int)).max() <= 32768 * 10 ** (-1 / 20) + 1
    assert flaws(made) == []


def test_u_law_is_that_of_the_telephone() -> None:
    assert encode(np.array([0, 8, -8, 32767, -32768, 876], np.int16)).hex() == "fffe7e8000d0"
    assert decode(bytes(range(256))).tolist()[:2] == [-32124, -31100]
