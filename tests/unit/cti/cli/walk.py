"""Reads every help page in a language: {"kikitori audit list": "..."}."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import typer.main
from typer.testing import CliRunner

ROOT = Path(__file__).resolve().parents[4]


def paths(command: object, names: tuple[str, ...] = ()) -> Iterator[tuple[str, ...]]:
    """Every command and group, by the words one types."""
    yield names
    for name, inner in getattr(command, "commands", {}).items():
        yield from paths(inner, (*names, name))


@cache
def pages(language: str) -> dict[str, str]:
    """Help pages by command, wide enough that no sentence is broken. The language is bound when the program starts."""
    environ = os.environ | {"KIKITORI_LANG": language, "TERMINAL_WIDTH": "400", "COLUMNS": "400", "NO_COLOR": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "tests.unit.cti.cli.walk"],
        check=False, capture_output=True, text=True, cwd=ROOT, env=environ,
    )  # fmt: skip
    if done.returncode != 0:
        raise RuntimeError(done.stderr)
    read: dict[str, str] = json.loads(done.stdout)
    return read


def _print() -> None:
    from cti.cli.root import app

    runner, found = CliRunner(), {}
    for names in paths(typer.main.get_command(app)):
        result = runner.invoke(app, [*names, "--help"], prog_name="kikitori")
        if result.exit_code != 0:
            raise SystemExit(f"{names}: {result.output}")
        found[" ".join(("kikitori", *names))] = result.output
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _print()
