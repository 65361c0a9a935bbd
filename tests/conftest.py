"""Refuses a test that cites a rule which docs/reference/rules.toml does not have."""

import os
from collections.abc import Container, Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from scripts.pages.rules import load_rules

# No test is judged by how busy the machine is. A merge is judged by the same examples each time; whoever works on the
# code lets hypothesis look for new ones.
settings.register_profile("ours", deadline=None)
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile("ci" if "CI" in os.environ else "ours")

ROOT = Path(__file__).resolve().parent.parent


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Raises UsageError (exit code 4) that names every test with a wrong `rule` marker."""
    known = load_rules(ROOT)[1]
    problems = [problem for item in items for problem in _problems(item, known)]
    if problems:
        raise pytest.UsageError("\n".join([*problems, "docs/reference/rules.toml lists the rule ids"]))


def _problems(item: pytest.Item, known: Container[str]) -> Iterator[str]:
    file, line, name = item.location
    where = f"{file}:{(line or 0) + 1}: {name}"
    for mark in item.iter_markers("rule"):
        if not mark.args or mark.kwargs:
            yield f'{where}: write @pytest.mark.rule("B-03"), one or more ids'
        for rule in mark.args:
            if not isinstance(rule, str) or rule not in known:
                yield f"{where}: no such rule {rule!r}"
