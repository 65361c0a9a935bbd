"""TOML with line numbers: the standard parser gives values but not places, and an error has to name its line."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from policies.errors import PolicyError

_TABLE = re.compile(r"^\s*(\[\[?)\s*([^\]]+?)\s*\]\]?\s*(?:#.*)?$")
_KEY = re.compile(r"""^\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*=""")

Key = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed file: `values` as tomllib gives them, `lines` the line on which each key or table begins."""

    path: Path
    values: dict[str, Any]
    lines: dict[Key, int]

    def where(self, key: Key) -> str:
        """`file:line: key` of `key`, or of the nearest table around it."""
        at = key
        while at and at not in self.lines:
            at = at[:-1]
        line = f":{self.lines[at]}" if at else ""
        return f"{self.path}{line}: {'.'.join(str(part) for part in key) or '(file)'}"


def read(path: Path) -> Document:
    """Parse `path` (UTF-8). Raises PolicyError where it is missing, empty or not TOML."""
    try:
        text = path.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(str(path), "not UTF-8", "Save the file as UTF-8") from error
    except OSError as error:
        raise PolicyError(
            str(path), f"cannot be read ({error.strerror})", "Check that it exists and is readable"
        ) from error
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise PolicyError(str(path), f"not TOML: {error}", "Correct the line named") from error
    if not values:
        raise PolicyError(str(path), "empty", "An empty file decides nothing; restore it or name another")
    return Document(path=path, values=values, lines=_lines(text))


def _parts(dotted: str) -> list[str]:
    return [part.strip().strip("\"'") for part in re.findall(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""", dotted)]


def _lines(text: str) -> dict[Key, int]:
    lines: dict[Key, int] = {}
    counts: dict[Key, int] = {}
    table: Key = ()
    for number, line in enumerate(text.splitlines(), start=1):
        if match := _TABLE.match(line):
            path: Key = ()
            names = _parts(match[2])
            for position, name in enumerate(names):
                path = (*path, name)
                last = position == len(names) - 1
                if last and match[1] == "[[":
                    counts[path] = counts.get(path, -1) + 1
                    lines.setdefault(path, number)
                if path in counts:
                    path = (*path, counts[path])
            table = path
            lines.setdefault(table, number)
        elif match := _KEY.match(line):
            lines.setdefault((*table, *_parts(match[1])), number)
    return lines
