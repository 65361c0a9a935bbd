"""`texts.toml`: the words of every prompt."""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Final, Literal

from pydantic import BaseModel, ConfigDict, StringConstraints, TypeAdapter, ValidationError

import cti
from cti.errors import PromptError
from cti.i18n import _

Language = Literal["ja", "en"]
LANGUAGES: Final[tuple[Language, ...]] = ("ja", "en")
NAME: Final = re.compile(r"[a-z0-9-]+")
# One line, a field of index.tsv; Open JTalk reads 1 KiB and drops the rest without a word.
Words = Annotated[str, StringConstraints(pattern=r"^[^\t\r\n]*$", max_length=300)]


class Text(BaseModel):
    """The words of one prompt; None in a language that does not need it. No words at all are a pause.

    `ja_voice`, `en_voice`: how they are spelled for a voice that would read the words themselves wrongly.
    `speaker`: the language that it is spoken in, in both folders.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ja: Words | None = None
    ja_voice: Words | None = None
    en: Words | None = None
    en_voice: Words | None = None
    speaker: Language | None = None

    def words(self, language: Language) -> str | None:
        """As a person reads them."""
        return self.ja if language == "ja" else self.en

    def spoken_in(self, language: Language) -> Language:
        """Whose voice speaks it in the folder of `language`."""
        return self.speaker or language

    def spelled(self, language: Language) -> str:
        """As that voice is given them."""
        other = self.ja_voice if self.spoken_in(language) == "ja" else self.en_voice
        return other or self.words(language) or ""


def shipped() -> Path:
    """The folder of the prompts that come with Kikitori: `texts.toml`, `ja/` and `en/`."""
    package = Path(cti.__file__).parent
    installed = package / "asterisk_config"
    return (installed if installed.is_dir() else package.parent / "asterisk-config") / "prompts"


@cache
def texts() -> Mapping[str, Text]:
    """Name -> words, in the order of the file."""
    return read(shipped() / "texts.toml")


def read(path: Path) -> Mapping[str, Text]:
    """The texts in a file. Raises PromptError naming what does not fit."""
    try:
        found = TypeAdapter(dict[str, Text]).validate_python(tomllib.loads(path.read_text("utf-8")))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise PromptError(_("{where}: {problem}").format(where=f"{path}: {where}", problem=first["msg"])) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PromptError(_("{where}: {problem}").format(where=path, problem=error)) from error
    if odd := next((name for name in found if not NAME.fullmatch(name)), None):
        raise PromptError(
            _("{file}: {name} is no name of a prompt: small letters, digits and hyphens").format(file=path, name=odd)
        )
    return MappingProxyType(found)


def nearest(name: str, names: Iterable[str]) -> str:
    """What somebody who wrote `name` may have meant, as a sentence."""
    if found := difflib.get_close_matches(name.lower(), names, 1):
        return _("Did you mean {name}?").format(name=found[0])
    return _("`kikitori prompts list` shows every name")
