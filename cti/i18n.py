"""Text for people, in English and Japanese. Bound when imported, so that it comes before Typer, which translates its
panel titles when *it* is imported.

The language is KIKITORI_LANG, else that of LC_ALL, LC_MESSAGES, LANG; anything but Japanese reads English. Who serves
several readers says for each what it reads (`reading`).
"""

import gettext as _gettext
import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path

DOMAIN = "kikitori"
FOLDER = Path(__file__).with_name("locale")


def language(environ: "os._Environ[str] | dict[str, str]") -> str:
    """`ja` or `en`."""
    for name in ("KIKITORI_LANG", "LC_ALL", "LC_MESSAGES", "LANG"):
        if value := environ.get(name):
            return "ja" if value.lower().startswith("ja") else "en"
    return "en"


LANGUAGE = language(os.environ)
_translations = {name: _gettext.translation(DOMAIN, FOLDER, languages=[name], fallback=True) for name in ("en", "ja")}
_reader: ContextVar[str] = ContextVar("reader", default=LANGUAGE)
# Typer asks gettext's current domain for its words, in the language of LANGUAGE, LC_ALL, ...: one catalogue holds both.
os.environ["LANGUAGE"] = LANGUAGE
_gettext.bindtextdomain(DOMAIN, str(FOLDER))
_gettext.textdomain(DOMAIN)


def reader() -> str:
    """What the reader reads: `ja` or `en`."""
    return _reader.get()


@contextmanager
def reading(name: str) -> Iterator[None]:
    """All text of the block, and of the tasks and threads that it starts, in the language `name`."""
    token = _reader.set(name)
    try:
        yield
    finally:
        _reader.reset(token)


def _(message: str) -> str:
    """`message` in the reader's language."""
    return _translations[reader()].gettext(message) if message else ""


def ngettext(one: str, many: str, count: int) -> str:
    """`one` or `many`, in the reader's language."""
    return _translations[reader()].ngettext(one, many, count)


def mark(message: str) -> str:
    """`message` as it is, collected into the catalogue: it is translated where it is shown."""
    return message
