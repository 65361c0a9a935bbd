"""Voices: programs of the machine that speak a text. Open JTalk and HTS Engine for Japanese, Flite for English."""

import re
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import soundfile

from cti.errors import PromptError
from cti.i18n import _
from cti.prompts.sound import Wave
from cti.prompts.words import Language

DICTIONARY: Final = Path("/var/lib/mecab/dic/open-jtalk/naist-jdic")
PACKAGES: Final = {
    "open_jtalk": "open-jtalk open-jtalk-mecab-naist-jdic",
    "hts_engine": "htsengine",
    "flite": "flite",
}
SECONDS: Final = 60  # that a program may take for one text

# Slower than both speak by themselves: a caller hears each prompt once.
MANNER: Final[Mapping[Language, tuple[str, ...]]] = {
    "ja": ("-r", "0.9"),
    "en": ("-voice", "slt", "--setf", "duration_stretch=1.1"),
}
# dB below the loudest at which a voice is at rest: the f of ふつか is at -45, Flite hisses at -52.
REST: Final[Mapping[Language, float]] = {"ja": -50.0, "en": -43.0}

_WHISPERED, _SILENCES = frozenset("AIUEO"), frozenset({"pau", "sil"})


class Spoken(NamedTuple):
    """What came of a text. `reading`: how it was pronounced, in the program's notation."""

    wave: Wave
    rate: int
    reading: str
    voice: str


def speak(text: str, language: Language, htsvoice: Path | None) -> Spoken:
    """`text` by the voice of a language; Japanese needs `htsvoice`. Raises PromptError."""
    with tempfile.TemporaryDirectory(prefix="kikitori-") as folder:
        return _english(text, Path(folder)) if language == "en" else _japanese(text, htsvoice, Path(folder))


def _english(text: str, folder: Path) -> Spoken:
    sound = folder / "said.wav"
    phones = _run(["flite", *MANNER["en"], "-ps", "-t", text, "-o", str(sound)])
    return Spoken(*_wave(sound, "flite"), " ".join(phones.split()), "cmu_us_slt")


def _japanese(text: str, htsvoice: Path | None, folder: Path) -> Spoken:
    if htsvoice is None:
        raise PromptError(
            _(
                "Japanese needs --voice FILE.htsvoice. The prompts that come with Kikitori are spoken by "
                "mei_normal.htsvoice (MMDAgent, CC BY 3.0), which the Python package pyopenjtalk-plus carries"
            )
        )
    if not htsvoice.is_file():
        raise PromptError(_("{file} is no voice: name an .htsvoice file").format(file=htsvoice))
    trace, labels, sound = (folder / name for name in ("trace", "labels", "said.wav"))
    _run(["open_jtalk", "-x", str(DICTIONARY), "-m", str(htsvoice), "-ot", str(trace)], text)
    told = trace.read_text("utf-8")
    labels.write_text(_articulate(_section(told, "Output label")), "utf-8")
    _run(["hts_engine", "-m", str(htsvoice), *MANNER["ja"], "-ow", str(sound), str(labels)])
    return Spoken(
        *_wave(sound, "hts_engine"),
        _pronounced(_section(told, "Text analysis result")),
        " ".join(htsvoice.stem.split()),
    )


def _section(trace: str, title: str) -> list[str]:
    """The lines of one part of what Open JTalk writes down."""
    return trace.partition(f"[{title}]\n")[2].partition("\n\n")[0].splitlines()


def _pronounced(analysis: Sequence[str]) -> str:
    """In katakana, a space between the words."""
    fields = [line.split(",") for line in analysis]
    return " ".join(line[9].replace("’", "") for line in fields if len(line) > 9)


def _articulate(labels: Sequence[str]) -> str:
    """Labels with every vowel spoken that Open JTalk lets the voice whisper, but the last one of です and ます.

    What is whispered lies above 3.4 kHz: on a telephone しちがつ came out as ちがつ, ふつか as つか (20 dB less).
    """
    contexts = [label.split()[-1].partition("/") for label in labels]
    phones = [re.split(r"[\^+=-]", context)[2] for context, _slash, _rest in contexts]
    around = ["xx", "xx", *phones, "xx", "xx"]
    for place, phone in enumerate(around):
        if phone in _WHISPERED and not (around[place - 1] == "s" and around[place + 1] in _SILENCES):
            around[place] = phone.lower()
    return "".join(
        "{}^{}-{}+{}={}".format(*around[place : place + 5]) + f"/{rest}\n"
        for place, (_context, _slash, rest) in enumerate(contexts)
    )


def _run(command: Sequence[str], given: str = "") -> str:
    program = command[0]
    missing = _("{program} is not installed: apt-get install {packages}").format(
        program=program, packages=PACKAGES[program]
    )
    if program == "open_jtalk" and not DICTIONARY.is_dir():
        raise PromptError(missing)
    try:
        done = subprocess.run(
            command, input=given, capture_output=True, encoding="utf-8", errors="replace", timeout=SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise PromptError(missing) from error
    except subprocess.TimeoutExpired as error:
        raise PromptError(
            _("{program} took longer than {seconds} s").format(program=program, seconds=SECONDS)
        ) from error
    if done.returncode:
        lines = done.stderr.strip().splitlines()
        raise PromptError(_failure(program, lines[-1] if lines else _("it does not say why")))
    return done.stdout


def _failure(program: str, reason: str) -> str:
    return _("{program} failed: {reason}").format(program=program, reason=reason)


def _wave(file: Path, program: str) -> tuple[Wave, int]:
    try:
        wave, rate = soundfile.read(file, dtype="float64", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise PromptError(_failure(program, error.error_string)) from error
    return wave[:, 0], rate
