"""Which file is heard for each prompt: ours, or the bureau's own in its place."""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cti.errors import PromptError
from cti.explain import localise
from cti.i18n import _
from cti.prompts import index
from cti.prompts.index import Row
from cti.prompts.sound import SUFFIXES, Flaw, PromptSoundError, flaws, heard, played, sentence
from cti.prompts.speak import manner
from cti.prompts.words import LANGUAGES, Language, Text, nearest, shipped, texts

# What lies beside recordings: notes of people, and what their computers leave in every folder.
_BESIDE: Final = re.compile(r"\..*|(LICENSE|README).*|index\.tsv|Thumbs\.db|desktop\.ini|.*\.(txt|md)", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Prompt:
    """A prompt in one language, and the file that is heard. `own`: the bureau's, in place of ours."""

    language: Language
    name: str
    text: Text
    file: Path
    own: bool

    @property
    def words(self) -> str:
        """What our file says; the bureau's may say it in other words."""
        return self.text.words(self.language) or ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """What is wrong with a file, and what to do."""

    file: Path
    flaw: Flaw
    problem: str


def shelf(own: Path | None) -> list[Prompt]:
    """Every prompt of both languages. `own`: the folder of the bureau's recordings; None or missing: there are none."""
    return _shelf(_own(own)[0])


def files(own: Path | None) -> dict[str, bytes]:
    """`prompts/ja/recorded.ulaw` -> u-law, for every prompt of both languages.

    Raises PromptError for a recording in `own` that cannot be played, or that no prompt is named like.
    """
    found, strays = _own(own)
    if strays:
        raise PromptError(strays[0].problem)
    return {f"prompts/{each.language}/{each.name}.ulaw": played(each.file) for each in _shelf(found)}


def problems(own: Path | None) -> list[Problem]:
    """Everything that is wrong with what callers would hear, and with what lies in `own`."""
    found, strays = _own(own)
    listed = list(strays)
    for language in LANGUAGES:
        rows = index.load(shipped() / language)
        for each in _shelf(found):
            if each.language == language:
                listed += _judged(each, rows.get(each.file.name))
    return listed


def _shelf(found: dict[tuple[Language, str], Path]) -> list[Prompt]:
    return [
        Prompt(
            language=language,
            name=name,
            text=text,
            file=found.get((language, name), shipped() / language / f"{name}.ulaw"),
            own=(language, name) in found,
        )
        for language in LANGUAGES
        for name, text in _named(language).items()
    ]


def _named(language: Language) -> dict[str, Text]:
    return {name: text for name, text in texts().items() if text.words(language) is not None}


def _own(folder: Path | None) -> tuple[dict[tuple[Language, str], Path], list[Problem]]:
    """The bureau's recordings, and whatever else lies there that a person may have meant as one."""
    found: dict[tuple[Language, str], Path] = {}
    strays: list[Problem] = []
    if folder is None or not folder.exists():
        return found, strays
    for path in _entries(folder):
        if path.name not in LANGUAGES or not path.is_dir():
            problem = _("{file} is not looked at: recordings lie in the folders ja and en").format(file=path)
            strays.append(Problem(file=path, flaw=Flaw.UNKNOWN, problem=problem))
    for language in LANGUAGES:
        for path in _entries(folder / language) if (folder / language).is_dir() else ():
            key = (language, path.stem)
            if stray := _stray(path, _named(language)):
                strays.append(stray)
            elif key in found:
                problem = _("{file} and {other} are the same prompt: take one away").format(file=path, other=found[key])
                strays.append(Problem(file=path, flaw=Flaw.TWICE, problem=problem))
            else:
                found[key] = path
    return found, strays


def _entries(folder: Path) -> Iterator[Path]:
    return (path for path in sorted(folder.iterdir()) if not _BESIDE.fullmatch(path.name))


def _stray(path: Path, names: Collection[str]) -> Problem | None:
    if path.stem not in names:
        problem = _("{file} is no prompt. {hint}").format(file=path, hint=nearest(path.stem, names))
        return Problem(file=path, flaw=Flaw.UNKNOWN, problem=problem)
    if path.suffix not in SUFFIXES:
        problem = _("{file} is neither .wav (16-bit, 8000 Hz, mono) nor .ulaw (raw, 8000 Hz)").format(file=path)
        return Problem(file=path, flaw=Flaw.FORMAT, problem=problem)
    return None


def _judged(prompt: Prompt, row: Row | None) -> Iterator[Problem]:
    path = prompt.file
    try:
        samples = heard(path)
    except PromptSoundError as error:
        yield Problem(file=path, flaw=error.flaw, problem=str(error))
        return
    except FileNotFoundError:
        problem = _("{file} is missing: install Kikitori again, or render it").format(file=path)
        yield Problem(file=path, flaw=Flaw.MISSING, problem=problem)
        return
    except OSError as error:
        problem = _("{file} cannot be read: {reason}").format(file=path, reason=localise(error.strerror or str(error)))
        yield Problem(file=path, flaw=Flaw.UNREADABLE, problem=problem)
        return
    for flaw in flaws(samples):
        if flaw is not Flaw.SILENT or prompt.words:
            yield Problem(file=path, flaw=flaw, problem=sentence(flaw, path))
    if not prompt.own and (problem := _stale(prompt, row)):
        yield Problem(
            file=path, flaw=Flaw.STALE, problem=problem.format(file=path, name=prompt.name, folder=path.parent.parent)
        )


def _stale(prompt: Prompt, row: Row | None) -> str:
    if row is None:
        return _("{file} has no line in index.tsv. Make it: kikitori prompts render --out {folder} --only {name}")
    spelled, spoken = prompt.text.spelled(prompt.language), manner(prompt.text, prompt.language)
    if row.text != prompt.words or row.made_from != index.made_from(spelled, row.voice, spoken):
        return _(
            "{file} says what was its text once. Make it anew: kikitori prompts render --out {folder} --only {name}"
        )
    if row.sha256 != index.digest(prompt.file.read_bytes()):
        return _(
            "{file} is not the file that was made. Make it anew: kikitori prompts render --out {folder} --only {name}"
        )
    return ""
