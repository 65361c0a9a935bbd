"""`kikitori calls why`: where a call went, by which rule, and what the caller chose."""

from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Final

import typer

from cti.cli.common import Json, out, say_json, settings
from cti.cli.local import at_desk_for
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.terminal import one_line
from cti.explain import word
from cti.hours import known
from cti.i18n import _
from cti.sentences import moment_text, sentences
from policies.rights import Act


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "why",
        help=_("Why a call went where it went: the rule, its reason, and each step after it."),
        epilog=_("Examples: kikitori calls why 3f2a · kikitori calls why pbx1-1790000000.7 --json"),
    )(why)


def why(
    call: Annotated[
        str,
        typer.Argument(help=_("The call: its conversation, channel or recording, or the beginning."), metavar="CALL"),
    ],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Say why."""
    steps = at_desk_for(Act.LIVE, by, password_file, code, lambda desk: desk.why(call))
    if as_json:
        for step in steps:
            say_json({name: step[name] for name in ("at", "conversation", "uniqueid", "what")} | dict(step["values"]))
        return
    for step in steps:
        out.print(one_line(f"{moment_text(step['at'], seconds=True)}  {_said(step)}"), highlight=False, soft_wrap=True)
    first = next((step for step in steps if step["what"] == "route"), None)
    if first is not None:
        _say_rule(first)


def _say_rule(first: Mapping[str, Any]) -> None:
    paths = settings().settings.paths
    policies, decisions = known(paths.policies, paths.hours)
    hours = policies.opening_hours(decisions)
    number = policies.plan.number_of(first["values"].get("number"))
    answer = hours.at(first["at"], number.hours if number else "centre")
    out.print()
    for sentence in sentences(answer, hours):
        out.print(one_line(sentence), highlight=False, soft_wrap=True)
    decided = {"centre": True, "closed": False}.get(str(first["values"].get("route")))
    if decided is not None and decided is not answer.open:
        out.print(
            _("That is how the policies read now; when the call came, they or the decisions were others, or the "
              "dialplan decided by those that it was rendered with."),
            style="yellow", soft_wrap=True,
        )  # fmt: skip


def _said(step: Mapping[str, Any]) -> str:
    values = dict(step["values"])
    return " ".join(_words(step["what"], values))


def _words(what: str, values: Mapping[str, str]) -> Iterator[str]:
    if what == "route":
        yield {
            "centre": _("Put through to the telephones of {number}."),
            "closed": _("Outside the opening hours of {number}: the caller heard the announcement and the choice."),
            "unsure": _(
                "The hours of {number} could not be told: the centre and the emergency line were both offered."
            ),
            "emergency": _("To the emergency line."),
        }.get(values.get("route", ""), "{route}").format(route=values.get("route", ""), number=values.get("number", ""))
        yield _("Rule {rule}, reason {why}.").format(rule=values.get("rule", ""), why=word(values.get("why", "")))
        if values.get("by") == "baseline":
            yield _("The gate was silent: the dialplan's own hours decided.")
        elif values.get("by") == "menu":
            yield _("The caller chose it, or pressed nothing usable.")
    elif what == "key":
        key = values.get("key")
        yield (
            _("Menu {menu}: the caller pressed {key}.") if key else _("Menu {menu}: the caller pressed nothing.")
        ).format(menu=word(values.get("menu", "")), key=key)
    elif what == "ring":
        yield _("The telephones of {number} began to ring.").format(number=values.get("number", ""))
    elif what == "line":
        yield _("Emergency line {destination}: {status}.").format(
            destination=values.get("destination", ""), status=word(values.get("status", ""))
        )
    elif what in _PASSED:
        yield _PASSED[what](values)
    else:
        yield {
            "callback": _("A wish to be called back was taken."),
            "emergency": _("An intake of the emergency line was opened."),
            "unanswered": _("The emergency line did not answer: alarm."),
            "urgent": _("The caller's number was taken for an urgent call back."),
        }.get(values.get("kind", ""), "{kind}").format(kind=values.get("kind", ""))
        if values.get("number"):
            yield _("Number {number} ({source}).").format(
                number=values["number"], source=word(values.get("source", ""))
            )


def _put_through(values: Mapping[str, str]) -> str:
    said = {
        "open": _("To {section}, {phone}."),
        "instead": _("To {section}, {phone}, which stands in for the 所管課 that was meant."),
        "closed": _("{section} is closed, and nobody stands in for it."),
    }.get(values.get("how", ""), _("To {phone}, as it was dialled: the gate was silent, or no 所管課 has it."))
    return said.format(section=values.get("section", ""), phone=values.get("phone", ""))


def _back(values: Mapping[str, str]) -> str:
    return _("Nobody took the caller ({status}): back to whoever put them through, and then to the centre.").format(
        status=word(values.get("status", ""))
    )


def _transferred(values: Mapping[str, str]) -> str:
    number, kind = values.get("to") or "?", values.get("kind", "")
    if kind == "menu":
        return _("The caller chose what it is about, and goes to {number}.").format(number=number)
    return _("{phone} put the caller through to {number} ({kind}).").format(
        phone=values.get("by", ""), number=number, kind=word(kind)
    )


def _became(values: Mapping[str, str]) -> str:
    return _("What came of it: {outcome}.").format(outcome=word(values.get("outcome", "")))


def _missed(values: Mapping[str, str]) -> str:
    return _("Nobody answered: {why}, after {seconds} s.").format(
        why=word(values.get("why", "")), seconds=values.get("seconds", "")
    )


_PASSED: Final[Mapping[str, Callable[[Mapping[str, str]], str]]] = {
    "pass": _put_through, "back": _back, "reached": lambda _values: _("The centre answered."),
    "transfer": _transferred, "outcome": _became, "missed": _missed,
}  # fmt: skip
"""What was done with a caller after the telephones rang."""
