"""`index.tsv` in a folder of prompts: what is said in each file, by which voice, and what it was made from.

One line a file, fields between tabs. `reading` is what the voice made of the text, in its own notation; `made-from`
changes with the text, the voice and how it is asked to speak; `sha256` is that of the file.
"""

from collections.abc import Iterable
from dataclasses import astuple, dataclass
from hashlib import sha256
from pathlib import Path

FILE = "index.tsv"
_COLUMNS = ("file", "text", "reading", "voice", "made-from", "sha256")


@dataclass(frozen=True, slots=True)
class Row:
    """One file."""

    file: str
    text: str
    reading: str
    voice: str
    made_from: str
    sha256: str


def made_from(spelled: str, voice: str, manner: str) -> str:
    """The sha256 of what a file is made from."""
    return digest("\n".join((spelled, voice, manner)).encode())


def digest(data: bytes) -> str:
    """The sha256 as in the index."""
    return sha256(data).hexdigest()


def load(folder: Path) -> dict[str, Row]:
    """File name -> row; nothing where there is no index. A line of another form is left out, so its file has no row."""
    try:
        lines = (folder / FILE).read_text("utf-8").splitlines()
    except FileNotFoundError:
        return {}
    fields = [line.split("\t") for line in lines[1:]]
    return {row[0]: Row(*row) for row in fields if len(row) == len(_COLUMNS)}


def dump(rows: Iterable[Row]) -> bytes:
    """The file's bytes."""
    lines = (_COLUMNS, *map(astuple, rows))
    return "".join("\t".join(line) + "\n" for line in lines).encode()
