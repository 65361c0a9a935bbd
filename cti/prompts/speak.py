"""Texts to prompts: each spoken, brought into shape, and put into its folder whole."""

from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import NamedTuple

from cti.errors import PromptError
from cti.i18n import _
from cti.prompts import index
from cti.prompts.index import Row
from cti.prompts.shape import LEVEL, finished, pause, telephone
from cti.prompts.sound import encode
from cti.prompts.voice import MANNER, REST, speak
from cti.prompts.words import LANGUAGES, Language, Text, nearest, texts
from recorder.vault.folder import replace_whole

_PAUSE = 0.2  # s
_BEFORE, _AFTER, _AFTER_SENTENCE = 0.06, 0.06, 0.25  # s of silence
_ENDS = ("。", ".")

Told = Callable[[int, int, str], None]
"""Called with how many prompts are made, of how many, and which was the last."""


class _Made(NamedTuple):
    sound: bytes
    row: Row


def manner(text: Text, language: Language) -> str:
    """How a prompt is made, apart from text and voice: one that was made in another manner is out of date."""
    if not text.words(language):
        return f"pause {_PAUSE}"
    speaker = text.spoken_in(language)
    return f"{' '.join(MANNER[speaker])} {REST[speaker]} {_BEFORE} {_after(text, language)} {LEVEL}"


def render(
    out: Path,
    *,
    voice: Path | None,
    only: Collection[str] = (),
    languages: Collection[Language] = LANGUAGES,
    told: Told = lambda _done, _of, _name: None,
) -> list[Path]:
    """Speak the prompts `only` (all if empty) into `out`/ja and `out`/en; the paths written.

    Nothing is written before everything has been spoken. `voice`: an .htsvoice for what is said in Japanese.
    Raises PromptError, OSError.
    """
    for name in only:
        if name not in texts():
            raise PromptError(_("there is no prompt {name}. {hint}").format(name=name, hint=nearest(name, texts())))
    jobs = [
        (language, name)
        for language in LANGUAGES
        if language in languages
        for name, text in texts().items()
        if (not only or name in only) and text.words(language) is not None
    ]
    made: dict[Language, dict[str, _Made]] = {}
    for number, (language, name) in enumerate(jobs, 1):
        made.setdefault(language, {})[f"{name}.ulaw"] = _make(language, name, voice)
        told(number, len(jobs), f"{language}/{name}")
    for language, files in made.items():
        _put(out / language, files)
    return [out / language / f"{name}.ulaw" for language, name in jobs]


def _after(text: Text, language: Language) -> float:
    return _AFTER_SENTENCE if (text.words(language) or "").endswith(_ENDS) else _AFTER


def _make(language: Language, name: str, htsvoice: Path | None) -> _Made:
    text = texts()[name]
    words, spelled, speaker = text.words(language) or "", text.spelled(language), text.spoken_in(language)
    if words:
        spoken = speak(spelled, speaker, htsvoice)
        reading, voice = spoken.reading, spoken.voice
        try:
            narrow = telephone(spoken.wave, spoken.rate)
            samples = finished(narrow, rest=REST[speaker], before=_BEFORE, after=_after(text, language))
        except PromptError as error:
            raise PromptError(f"{language}/{name}: {error}") from error
    else:
        samples, reading, voice = pause(_PAUSE), "", "pause"
    sound = encode(samples)
    origin = index.made_from(spelled, voice, manner(text, language))
    return _Made(sound, Row(f"{name}.ulaw", words, reading, voice, origin, index.digest(sound)))


def _put(folder: Path, files: Mapping[str, _Made]) -> None:
    """Each file whole; the index last, so that it never speaks of what is not there."""
    folder.mkdir(parents=True, exist_ok=True)
    for file, made in files.items():
        replace_whole(folder / file, made.sound, 0o644)
    rows = {**index.load(folder), **{file: made.row for file, made in files.items()}}
    in_order = [rows[file] for file in (f"{name}.ulaw" for name in texts()) if file in rows]
    replace_whole(folder / index.FILE, index.dump(in_order), 0o644)
