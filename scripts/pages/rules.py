"""rules.md: the rules of rules.toml, and the tests that cite them.

Tests are read, not run: a citation is `@pytest.mark.rule("B-03")` on a test or its class, or in a `pytestmark`.
"""

import ast
import re
import tomllib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from scripts.pages.markdown import DocsError, page, table

STATES = ("tested", "partly", "built", "planned")
KINDS = {"I": "implement", "E": "enforce", "M": "measure", "D": "document"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """One rule of a source document. `kind`: a letter of KINDS; `built`: a path that implements it, untested.

    `missing`: what the tests that cite it do not show, because it does not exist yet.
    """

    id: str
    source: str
    article: str
    kind: str
    title: str
    title_ja: str
    built: str | None = None
    missing: str | None = None


def load_rules(root: Path) -> tuple[dict[str, str], dict[str, Rule]]:
    """Sources (letter -> title) and rules (id -> Rule) of docs/reference/rules.toml, in its order."""
    path = root / "docs/reference/rules.toml"
    data = tomllib.loads(path.read_text("utf-8"))
    sources: dict[str, str] = data["sources"]
    rules: dict[str, Rule] = {}
    for number, entry in enumerate(data["rule"], start=1):
        where = f"{path}: rule {number} ({entry.get('id', 'no id')})"
        try:
            rule = Rule(**entry)
        except TypeError as error:
            raise DocsError(f"{where}: {error}. Give the keys of Rule in scripts/pages/rules.py") from error
        for wrong, problem in (
            (rule.id in rules, "this id stands above already"),
            (rule.source not in sources, f"[sources] has no {rule.source!r}"),
            (not re.fullmatch(rf"{rule.source}-\d\d", rule.id), f"an id of source {rule.source} is {rule.source}-01"),
            (rule.kind not in KINDS, f"kind is one of {', '.join(KINDS)}, not {rule.kind!r}"),
            (not 0 < len(rule.title) <= 60, f"a title has 1 to 60 characters, this one {len(rule.title)}"),
            (rule.built is not None and not (root / rule.built).exists(), f"built names no file: {rule.built}"),
        ):
            if wrong:
                raise DocsError(f"{where}: {problem}")
        rules[rule.id] = rule
    return sources, rules


def citations(root: Path) -> dict[str, list[str]]:
    """Rule id -> the tests under tests/ that cite it, as `path::name`, sorted. Nothing is imported or run."""
    found: dict[str, list[str]] = {}
    files = (path for pattern in ("test_*.py", "*_test.py") for path in (root / "tests").rglob(pattern))
    for path in sorted(set(files)):
        name = path.relative_to(root).as_posix()
        for test, rule in _cited(ast.parse(path.read_text("utf-8"), name).body, f"{name}::", set(), name):
            found.setdefault(rule, []).append(test)
    return {rule: sorted(set(tests)) for rule, tests in found.items()}


def _cited(body: Iterable[ast.stmt], prefix: str, inherited: set[str], path: str) -> Iterator[tuple[str, str]]:
    statements = list(body)
    for node in statements:
        if isinstance(node, ast.Assign | ast.AnnAssign) and "pytestmark" in _targets(node) and node.value:
            inherited = inherited | _marks([node.value], path)
    for node in statements:
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            yield from _cited(node.body, f"{prefix}{node.name}::", inherited | _marks(node.decorator_list, path), path)
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            for rule in inherited | _marks(node.decorator_list, path):
                yield prefix + node.name, rule
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            # A state machine becomes a test by assignment: TestVault = Machine.TestCase.
            for target in _targets(node):
                if target.startswith("Test"):
                    yield from ((prefix + target, rule) for rule in inherited)


def _targets(node: ast.Assign | ast.AnnAssign) -> list[str]:
    targets = node.targets if isinstance(node, ast.Assign) else [node.target]
    return [target.id for target in targets if isinstance(target, ast.Name)]


def _marks(expressions: Iterable[ast.expr], path: str) -> set[str]:
    rules = set()
    for node in (node for expression in expressions for node in ast.walk(expression)):
        match node:
            case ast.Call(func=ast.Attribute(attr="rule", value=ast.Attribute(attr="mark")), args=arguments):
                for argument in arguments:
                    if not (isinstance(argument, ast.Constant) and isinstance(argument.value, str)):
                        raise DocsError(f"{path}:{argument.lineno}: write each rule id as a plain string")
                    rules.add(argument.value)
    return rules


def state(rule: Rule, cited: dict[str, list[str]]) -> str:
    """One of STATES: tested (or partly) where a test cites the rule, built where a path is named, else planned."""
    if cited.get(rule.id):
        return "partly" if rule.missing else "tested"
    return "built" if rule.built else "planned"


def rules_page(root: Path) -> str:
    """rules.md."""
    sources, rules = load_rules(root)
    cited = citations(root)
    unknown = [f"{tests[0]}: no such rule {rule!r}" for rule, tests in sorted(cited.items()) if rule not in rules]
    if unknown:
        raise DocsError("; ".join(unknown) + ". docs/reference/rules.toml lists the ids")
    states = {rule.id: state(rule, cited) for rule in rules.values()}
    totals: list[list[object]] = []
    sections = []
    for source, title in sources.items():
        own = [rule for rule in rules.values() if rule.source == source]
        totals.append([source, title, len(own), *_count(states[rule.id] for rule in own)])
        rows = [
            [r.id, r.article, KINDS[r.kind], f"{r.title}<br>{r.title_ja}", states[r.id], _evidence(r, cited)]
            for r in own
        ]
        listed = table(["rule", "article", "kind", "title", "state", "shown by"], rows)
        sections.append(f"## {source}: {title}\n\n{listed}")
    totals.append(["", "all", len(rules), *_count(states.values())])
    intro = (
        "# Rules\n\nEvery rule of the source documents that software can implement, enforce, measure or document.\n"
        "`tested`: at least one test cites the rule. `built`: the path named implements it, no test shows it.\n"
        "`partly`: a test shows some of it, and what is missing is said. `planned`: nothing of it exists."
    )
    return page(intro, table(["source", "document", "rules", *STATES], totals), *sections)


def _count(states: Iterable[str]) -> list[int]:
    every = list(states)
    return [every.count(name) for name in STATES]


def _evidence(rule: Rule, cited: dict[str, list[str]]) -> str:
    tests = [f"[{test.removeprefix('tests/')}](../../{test.partition('::')[0]})" for test in cited.get(rule.id, [])]
    if tests and rule.missing:
        tests.append(f"missing: {rule.missing}")
    return "<br>".join(tests) or (f"[{rule.built}](../../{rule.built})" if rule.built else "")
