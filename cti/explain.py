"""Errors and findings in the reader's language: a known kind, then the phrases of `cti.phrases` with their blanks."""

import re
from functools import cache

from cti.errors import KikitoriError
from cti.i18n import _, reader
from cti.phrases import KINDS, PHRASES, WORDS
from policies.errors import PolicyError
from recorder.vault.manifest import ManifestError

_BLANK = re.compile(r"\{(\w+)\}")


def word(value: object) -> str:
    """A value of a table's cell; what is no word of ours stays as it is."""
    text = "" if value is None else str(value)
    return _(text) if text in WORDS else text


def place(source: str) -> str:
    """Where a setting comes from: `default`, `environment NAME` or `file:line`."""
    kind, blank, name = source.partition(" ")
    return f"{word(kind)}{blank}{name}"


def localise(text: str) -> str:
    """`text` with every phrase in it that is known, in the reader's language."""
    if reader() == "en" or not text:
        return text
    for kind in KINDS.values():
        if text == kind:
            return _(kind)
        if text.startswith(f"{kind}: "):
            return f"{_(kind)}: {localise(text[len(kind) + 2 :])}"
    for phrase, pattern in _patterns():
        if match := pattern.fullmatch(text):
            return _(phrase).format(**{name: localise(value) for name, value in match.groupdict().items()})
    return text


def explain(error: BaseException) -> str:
    """What `error` says. A kind of error whose sentence is English is introduced by its kind."""
    text = str(error)
    kind = KINDS.get(str(getattr(error, "code", "")))
    if isinstance(error, OSError) and error.strerror:
        reason = localise(error.strerror)
        return f"{error.filename}: {reason}" if error.filename else reason
    if kind and not text:
        return _(kind)
    if reader() == "en" or kind is None or isinstance(error, KikitoriError):
        return localise(text)
    if isinstance(error, PolicyError):
        return f"{_(kind)}: {error.where}: {localise(error.problem)}。{localise(error.remedy)}"
    if isinstance(error, ManifestError):
        place = f"{error.where}: {error.field}" if error.field else error.where
        return f"{_(kind)}: {place}: {localise(error.problem)}"
    return localise(text) if text.startswith(kind) else f"{_(kind)}: {localise(text)}"


@cache
def _patterns() -> list[tuple[str, re.Pattern[str]]]:
    """The most literal first: a phrase must not be taken for a wider one."""
    ordered = sorted(PHRASES, key=lambda phrase: -len(_BLANK.sub("", phrase)))
    return [(phrase, re.compile(_expression(phrase), re.DOTALL)) for phrase in ordered]


def _expression(phrase: str) -> str:
    pieces = _BLANK.split(phrase)
    return "".join(f"(?P<{piece}>.+?)" if odd % 2 else re.escape(piece) for odd, piece in enumerate(pieces))
