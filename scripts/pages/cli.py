"""cli.md: every command with its help, arguments, options and example, as the command line itself declares them.

The texts are bound to a language when `cti` is imported, so they are read by a process of its own, in English.
"""

import functools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from enum import Enum
from pathlib import Path
from typing import Any

from scripts.pages.markdown import DocsError, page, table

ROOT = Path(__file__).resolve().parent.parent.parent

Command = dict[str, Any]


@functools.cache
def commands() -> list[Command]:
    """Every command in the order of `kikitori --help`: name, help, examples, parameters. Raises DocsError."""
    environment = os.environ | {"KIKITORI_LANG": "en", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "scripts.pages.cli"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise DocsError(f"the command line cannot be read: {done.stderr.strip()[-500:]}")
    found: list[Command] = json.loads(done.stdout)
    for each in found:
        if not each["help"]:
            raise DocsError(f"{each['name']}: give the command a help text")
        if not each["group"] and each["name"] != "kikitori" and not each["examples"]:
            raise DocsError(f"{each['name']}: give the command an example: epilog=_('Example: {each['name']} ...')")
        for parameter in each["parameters"]:
            if not parameter["help"]:
                raise DocsError(f"{each['name']}: {parameter['names'][0]} has no help text")
    return found


def cli_page(root: Path) -> str:
    """cli.md; `root` is not needed, the command line is that of this program."""
    del root
    first, *rest = commands()
    intro = (
        f"# Commands\n\n{first['help']}\n\n"
        "Every command speaks English and Japanese (`KIKITORI_LANG=ja`, else the locale). With `--json` it prints one\n"
        "object a line. What it may end with is in [exit-codes.md](exit-codes.md), what it reads in\n"
        "[settings.md](settings.md)."
    )
    options = "## Before the command\n\n" + _table(first)
    listed = "\n".join(f"- [`{each['name']}`](#{_anchor(each['name'])})" for each in rest if not each["group"])
    return page(intro, options, listed, *(section for each in rest if not each["group"] for section in _section(each)))


def _anchor(name: str) -> str:
    return name.replace(" ", "-")


def _section(command: Command) -> Iterator[str]:
    yield f"## {command['name']}"
    yield command["help"]
    usage = [command["name"], *(each["metavar"] for each in command["parameters"] if each["argument"]), "[OPTIONS]"]
    yield f"```\n{' '.join(usage)}\n```"
    if command["parameters"]:
        yield _table(command)
    if command["examples"]:
        yield "```\n" + "\n".join(command["examples"]) + "\n```"


def _table(command: Command) -> str:
    rows = []
    for each in command["parameters"]:
        name = f"`{each['metavar']}`" if each["argument"] else ", ".join(f"`{name}`" for name in each["names"])
        need = "required" if each["required"] else each["default"]
        meaning = f"{each['help']} (`{each['envvar']}`)" if each["envvar"] else each["help"]
        rows.append([name, each["value"], need, meaning])
    return table(["name", "value", "default", "meaning"], rows)


def _read(command: Any, name: str) -> Iterator[Command]:
    """What Typer has made of a command, and of those below it."""
    below = getattr(command, "commands", {})
    examples = (command.epilog or "").partition(": ")[2].split(" · ")
    yield {
        "name": name,
        "help": command.help or "",
        "group": bool(below) and name != "kikitori",
        "examples": [example for example in examples if example and name != "kikitori"],
        "parameters": [_parameter(each) for each in command.params],
    }
    for part, each in below.items():
        yield from _read(each, f"{name} {part}")


def _parameter(parameter: Any) -> dict[str, Any]:
    argument = parameter.param_type_name == "argument"
    kind = parameter.type_descriptor.annotation
    choices = issubclass(kind, Enum) if isinstance(kind, type) else False
    default = parameter.default
    flag = bool(getattr(parameter, "is_flag", False))
    off = parameter.secondary_opts
    if flag:
        value, shown = "switch", (f"`{(parameter.opts if default else off)[0]}`" if off and default else "off")
    else:
        value = " or ".join(f"`{each.value}`" for each in kind) if choices else _word(kind)
        bounds = (parameter.min, parameter.max)
        value += f" {bounds[0]} to {bounds[1]}" if None not in bounds else ""
        shown = "none" if default is None else f"`{default.value if choices else default}`"
    return {
        "argument": argument,
        "names": [*parameter.opts, *off],
        "metavar": parameter.metavar or parameter.name.upper(),
        "value": value,
        "required": bool(parameter.required),
        "default": shown,
        "help": parameter.help or "",
        "envvar": parameter.envvar or "",
    }


def _word(kind: Any) -> str:
    return {"Path": "path", "int": "whole number", "str": "text"}.get(getattr(kind, "__name__", ""), "text")


if __name__ == "__main__":
    import typer

    from cti.cli.root import app

    json.dump([*_read(typer.main.get_command(app), "kikitori")], sys.stdout, ensure_ascii=False)
