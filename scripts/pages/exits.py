"""exit-codes.md: what a command ends with, from the error classes that the command line turns into a sentence."""

import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import cti
import policies
import recorder
import retention
from cti.cli.root import EXPECTED
from scripts.pages.markdown import DocsError, page, table

PACKAGES = (cti, policies, recorder, retention)

STATUSES = {
    0: "done; for `verify`, `audit verify` and `demo`: nothing is wrong",
    1: "`verify`, `audit verify`, `completeness`, `doctor`, `asterisk doctor`, `status`, `demo`: something is wrong, "
    "and was named; else an error listed below",
    2: "the command line itself is wrong: unknown option, missing argument, value out of range",
    64: "what was asked for makes no sense",
    65: "the input is not what it should be",
    66: "there is no such thing",
    69: "the recorder, the PBX or the database does not answer",
    70: "the gate's watchdog ended a gate that hung; `serve` starts it again",
    73: "the installation cannot be made there",
    74: "a file or folder cannot be read or written; the message names it",
    75: "try again later: the access log cannot be written, so nothing was done; or there were too many tries",
    77: "whoever asks or decided that may not, or has not proved who they are",
    78: "a setting is missing or wrong, or cannot be put into a unit of systemd",
    130: "interrupted from the keyboard",
}
"""As sysexits.h has them, where it has one."""


def errors() -> list[type[Exception]]:
    """Every error class that `kikitori` turns into a sentence and a status, by code. Raises DocsError."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                importlib.import_module(module.name)
    names = tuple(f"{package.__name__}." for package in PACKAGES)
    found = {kind for each in EXPECTED for kind in _tree(each) if kind.__module__.startswith(names)}
    for kind in found:
        if not kind.__doc__:
            raise DocsError(f"{kind.__module__}.{kind.__name__}: its docstring is the message, and it has none")
        if status(kind) not in STATUSES:
            raise DocsError(f"{kind.__name__}: exit status {status(kind)} is not in STATUSES of scripts/pages/exits.py")
    return sorted(found, key=lambda kind: (code(kind), kind.__name__))


def code(kind: type[Exception]) -> str:
    """The stable name of an error."""
    return str(getattr(kind, "code", ""))


def status(kind: type[Exception]) -> int:
    """What a command ends with after this error."""
    return int(getattr(kind, "status", 1))


def _tree(kind: type[Exception]) -> Iterator[type[Exception]]:
    yield kind
    for child in kind.__subclasses__():
        yield from _tree(child)


def exits_page(root: Path) -> str:
    """exit-codes.md; `root` is not needed, the errors are those of this program."""
    del root
    intro = (
        "# Exit codes\n\nA command that fails prints one sentence on standard error: what was wrong, where, and\n"
        "what to do. It ends with one of these."
    )
    ends = table(["status", "meaning"], list(STATUSES.items()))
    rows = [
        [f"`{code(kind)}`", status(kind), (kind.__doc__ or "").splitlines()[0], f"`{kind.__module__}.{kind.__name__}`"]
        for kind in errors()
    ]
    listed = table(["code", "status", "what", "class"], rows)
    return page(intro, ends, "## Errors\n\n`code` is the stable name of an error; programs rely on it.", listed)
