"""policies.md and open-questions.md: what a policy file may say, and what the shipped ones leave open."""

import importlib
import inspect
import json
import pkgutil
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import policies
from policies.load import check
from policies.model import Policy
from policies.shown import shown
from policies.toml import Document, read
from scripts.pages.markdown import DocsError, page, table

HEAD = tuple(Policy.model_fields)

Schema = dict[str, Any]


def policy_files(root: Path) -> dict[str, tuple[type[Policy], Document]]:
    """Each file of policies/data with its model: the one whose docstring begins with the file's name in backquotes."""
    for module in pkgutil.iter_modules(policies.__path__, "policies."):
        importlib.import_module(module.name)
    models: dict[str, type[Policy]] = {}
    for model in _leaves(Policy):
        if match := re.match(r"`([\w-]+\.toml)`: ", model.__doc__ or ""):
            models[match[1]] = model
        else:
            raise DocsError(f"{model.__module__}.{model.__name__}: begin its docstring with the file: `name.toml`: ...")
    documents = {path.name: read(path) for path in sorted((root / "policies/data").glob("*.toml"))}
    if missing := sorted(set(documents) - set(models)):
        raise DocsError(f"policies/data: no model reads {', '.join(missing)}. Remove the file or add its model")
    return {name: (models[name], document) for name, document in documents.items()}


def _leaves(model: type[Policy]) -> Iterator[type[Policy]]:
    for child in model.__subclasses__():
        yield from _leaves(child) if child.__subclasses__() else (child,)


def questions_page(root: Path) -> str:
    """open-questions.md. Raises PolicyError for a file that its model refuses."""
    sections = []
    count = 0
    for name, (model, document) in policy_files(root).items():
        policy = check(document, model)
        count += len(policy.open_questions)
        head = ["basis", "decided by", "effective from"]
        decision = table(head, [[policy.basis, policy.decided_by, policy.effective_from]])
        rows = [[f"`{key}`", f"`{shown(policy.value(key))}`", text] for key, text in policy.open_questions.items()]
        listed = table(["key", "value", "to be confirmed"], rows) if rows else "Nothing open."
        sections.append(f"## [{name}](../../policies/data/{name})\n\n{decision}\n\n{listed}")
    intro = (
        f"# Open questions\n\n{count} values that the source documents leave open, to be confirmed by the bureau.\n"
        "In parentheses: what the shipped policy does until then. A policy file lists its own under `open_questions`;\n"
        "`kikitori policy open-questions` lists those of an installation."
    )
    return page(intro, *sections)


def policies_page(root: Path) -> str:
    """policies.md."""
    sections = []
    for name, (model, document) in policy_files(root).items():
        schema = model.model_json_schema()
        purpose = inspect.cleandoc(model.__doc__ or "").partition(": ")[2]
        own = {key: value for key, value in schema["properties"].items() if key not in HEAD}
        body = "\n\n".join(_keys(schema | {"properties": own}, schema.get("$defs", {}), document, ()))
        sections.append(f"## {name}\n\n{purpose[:1].upper()}{purpose[1:]}\n\n{body}")
    head = Policy.model_json_schema()
    intro = (
        "# Policies\n\nEvery key of every policy file. The folder `policies/data` holds the files that are shipped;\n"
        "an unknown key, an empty file or a missing one is refused.\n\n## Head of every file\n\n"
        "Which rules the file rests on, who decided it, from which day it holds, and what the bureau still has to\n"
        f"confirm ([all open questions](open-questions.md)).\n\n{_key_table(head, {}, None, ())}"
    )
    return page(intro, *sections)


def _keys(schema: Schema, defs: Schema, document: Document, at: tuple[str | int, ...]) -> Iterator[str]:
    """The table of a schema's plain keys, then those of each table below it, as Markdown."""
    tables = {key: found for key, value in schema["properties"].items() if (found := _below(value, defs))}
    plain = {key: value for key, value in schema["properties"].items() if key not in tables}
    if plain:
        yield _key_table(schema | {"properties": plain}, defs, document, at)
    for key, (below, step) in tables.items():
        dotted = ".".join(str(part) for part in (*at, key) if part != 0)
        title = {0: f"[[{dotted}]]", "*": f"[{dotted}.NAME]"}.get(step, f"[{dotted}]")
        need = "required" if key in schema.get("required", ()) else "may be absent"
        yield f"### {title}\n\n{below.get('description', '')} ({need})".replace("\n\n (", "\n\n(")
        yield from _keys(below, defs, document, (*at, key) if step == "" else (*at, key, step))


def _below(value: Schema, defs: Schema) -> tuple[Schema, str | int] | None:
    """The table that a key holds, and how it holds it: "" one, 0 a list, "*" one for each name. None: a plain value."""
    for part, step in ((value, ""), (value.get("items"), 0), (value.get("additionalProperties"), "*")):
        if isinstance(part, dict):
            options = [_resolve(option, defs) for option in part.get("anyOf", [part])]
            objects = [option for option in options if "properties" in option]
            if len(objects) == 1:
                return objects[0], step
    return None


def _resolve(value: Schema, defs: Schema) -> Schema:
    return {**defs[value["$ref"].rpartition("/")[2]], **value} if "$ref" in value else value


def _key_table(schema: Schema, defs: Schema, document: Document | None, at: tuple[str | int, ...]) -> str:
    single = document is not None and not {0, "*"} & set(at)
    rows = []
    for key, value in schema["properties"].items():
        default = "required" if key in schema.get("required", ()) else literal(value.get("default"))
        meaning = value.get("description") or (_comment(document, (*at, key)) if document else "")
        row: list[object] = [f"`{key}`", kind(value, defs), default]
        if single and document:
            row.append(_shipped(document.values, (*at, key)))
        rows.append([*row, meaning] if document else row)
    head = ["key", "value", "default", *(["shipped"] if single else []), *(["meaning"] if document else [])]
    return table(head, rows)


def _shipped(values: Any, key: tuple[str | int, ...]) -> str:
    for part in key:
        if not isinstance(values, dict) or part not in values:
            return ""
        values = values[part]
    return literal(values)


def literal(value: object) -> str:
    return "none" if value is None else f"`{json.dumps(value, ensure_ascii=False, default=str)}`"


def _comment(document: Document, key: tuple[str | int, ...]) -> str:
    """The comment lines right above `key`; the one that opens the file speaks of the file."""
    lines = document.path.read_text("utf-8").splitlines()
    above = document.lines.get(key, 1) - 1
    first = above
    while first > 0 and lines[first - 1].startswith("#"):
        first -= 1
    return " ".join(line.lstrip("# ") for line in lines[first:above]) if first else ""


def kind(value: Schema, defs: Schema) -> str:
    """What a value may be, in words."""
    value = _resolve(value, defs)
    if "anyOf" in value:
        return " or ".join(kind(option, defs) for option in value["anyOf"] if option.get("type") != "null")
    if "enum" in value or "const" in value:
        choices = value.get("enum", [value.get("const")])
        return ("one of " if len(choices) > 1 else "") + ", ".join(literal(choice) for choice in choices)
    match value.get("type"):
        case "array":
            least = f", at least {value['minItems']}" if value.get("minItems") else ""
            return f"list of {kind(value.get('items', {}), defs)}{least}"
        case "object" if isinstance(value.get("additionalProperties"), dict):
            return f"table: name = {kind(value['additionalProperties'], defs)}"
        case "string":
            pattern = f" like `{value['pattern']}`" if "pattern" in value else ""
            return f"{value.get('format', 'text')}{pattern}"
        case "boolean":
            return "true or false"
        case "integer" | "number" as number:
            return ("whole number" if number == "integer" else "number") + _range(value)
        case other:
            return f"{other or 'any value'}"


def _range(value: Schema) -> str:
    words = {"minimum": "from", "exclusiveMinimum": "above", "maximum": "to", "exclusiveMaximum": "below"}
    return "".join(f" {word} {value[key]}" for key, word in words.items() if key in value)
