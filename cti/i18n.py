"""Text for people, in English and Japanese. Bound when imported, so that it comes before Typer, which translates its
panel titles when *it* is imported.

The language is KIKITORI_LANG, else that of LC_ALL, LC_MESSAGES, LANG; anything but Japanese reads English.
"""

import gettext as _gettext
import os
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
_translations = _gettext.translation(DOMAIN, FOLDER, languages=[LANGUAGE], fallback=True)
# Typer asks gettext's current domain for its words, in the language of LANGUAGE, LC_ALL, ...: one catalogue holds both.
os.environ["LANGUAGE"] = LANGUAGE
_gettext.bindtextdomain(DOMAIN, str(FOLDER))
_gettext.textdomain(DOMAIN)


def _(message: str) -> str:
    """`message` in the reader's language."""
    return _translations.gettext(message) if message else ""


def ngettext(one: str, many: str, count: int) -> str:
    """`one` or `many`, in the reader's language."""
    return _translations.ngettext(one, many, count)


def mark(message: str) -> str:
    """`message` as it is, collected into the catalogue: it is translated where it is shown."""
    return message
