"""`kikitori outward`: which other systems are told of cases, how far they are, and what nobody tells them any more."""

import secrets
from typing import Annotated, Any

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, out, say_json, settings, table
from cti.cli.local import at_desk
from cti.desk import Desk
from cti.errors import NotFoundError
from cti.i18n import _
from cti.outward import signing
from cti.outward.queue import Delivery, Outbox
from cti.outward.sending import try_once
from cti.sentences import moment_text
from policies.load import Policies
from policies.outward import Destination

Which = Annotated[str, typer.Argument(help=_("Name of the destination in outward.toml."), metavar="DESTINATION")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(
        help=_("Other systems that are told of cases: signed webhooks, tickets in Zammad, files in an exchange folder.")
    )
    for name, function, said, *examples in (
        ("list", list_, _("What is not told yet, and why; with --dead, what nobody tries any more."),
         "list", "list --dead --json"),
        ("test", try_,
         _("Tell a destination something that is no case, or put a file for a moment, and say what came of it."),
         "test portal"),
        ("replay", replay, _("Try again what nobody tries any more, from where it stopped."), "replay portal",
         "replay portal --case 12"),
        ("skip", skip, _("Leave out the act of a case that a destination does not take; the log has it."),
         "skip portal 12"),
        ("secret", secret, _("A new secret for a webhook: one for the file here, the same for the receiver."),
         "secret"),
    ):  # fmt: skip
        shown = " · ".join(f"kikitori outward {example}" for example in examples)
        group.command(name, help=said, epilog=_("Examples: {examples}").format(examples=shown))(function)
    app.add_typer(group, name="outward")


def list_(
    dead: Annotated[bool, typer.Option("--dead", help=_("Only what nobody tries any more."))] = False,
    as_json: Json = False,
) -> None:
    """List what is not told."""

    async def find(desk: Desk) -> list[Delivery]:
        queue = _queue(desk)
        return [one for each in _destinations() for one in await queue.waiting(each, dead=dead)]

    found = at_desk(find)
    if as_json:
        for one in found:
            say_json(_public(one))
        return
    if not found:
        out.print(_("Everything is told.") if _destinations() else _("No destination: outward.toml names none."))
        return
    table(
        (_("Destination"), _("Case"), _("Told"), _("Tries"), _("State"), _("Why")),
        (
            (one.destination, one.case, f"{one.act}/{one.acts}", one.tries, _state(one), one.error or "")
            for one in found
        ),
    )  # fmt: skip


def try_(destination: Which, as_json: Json = False) -> None:
    """Tell something that is no case."""
    one = _destination(destination)
    problem = at_desk(lambda desk: try_once(one, desk.catalogue.pbx, wall_clock()))
    if as_json:
        say_json({"destination": one.name, "problem": problem})
    elif problem is None:
        out.print(_("{destination} took it.").format(destination=one.name), style="green", highlight=False)
    else:
        out.print(_("{destination} did not take it: {problem}").format(destination=one.name, problem=problem),
                  style="red", highlight=False)  # fmt: skip
    if problem is not None:
        raise typer.Exit(69)


def replay(
    destination: Which,
    case: Annotated[int | None, typer.Option("--case", min=1, help=_("Only this case, by its number."))] = None,
    as_json: Json = False,
) -> None:
    """Try again."""
    one = _destination(destination)

    async def again(desk: Desk) -> int:
        desk.log("outward.replayed", one.name, {"number": case})
        return await _queue(desk).again(one, case)

    count = at_desk(again)
    if as_json:
        say_json({"destination": one.name, "cases": count})
    else:
        out.print(_("Tried again: {count} cases.").format(count=count), style="green", highlight=False)


def skip(
    destination: Which,
    case: Annotated[int, typer.Argument(min=1, help=_("Number of the case."), metavar="CASE")],
    as_json: Json = False,
) -> None:
    """Leave out."""
    one = _destination(destination)

    async def leave(desk: Desk) -> Delivery | None:
        found = await _queue(desk).in_the_way(one, case)
        if found is None:
            return None
        desk.log("outward.skipped", one.name, {"number": case, "act": found.act + 1})
        return await _queue(desk).told(found, found.act + 1)

    after = at_desk(leave)
    if after is None:
        raise NotFoundError(
            _("nothing of case {case} is in the way at {destination}; `kikitori outward list` shows what is").format(
                destination=one.name, case=case
            )
        )
    if as_json:
        say_json(_public(after))
    else:
        out.print(_("Left out: act {act} of case {case}.").format(act=after.act, case=case), style="green")


def secret(as_json: Json = False) -> None:
    """Make one."""
    made = signing.made(secrets.token_bytes(32))
    if as_json:
        say_json({"secret": made})
    else:
        out.print(made, highlight=False, soft_wrap=True)


def _destinations() -> tuple[Destination, ...]:
    return Policies(settings().settings.paths.policies).outward.destination


def _destination(name: str) -> Destination:
    known = _destinations()
    found = next((one for one in known if one.name == name), None)
    if found is None:
        names = ", ".join(one.name for one in known) or "-"
        raise NotFoundError(_("no destination {name!r}: outward.toml has {names}").format(name=name, names=names))
    return found


def _queue(desk: Desk) -> Outbox:
    return Outbox(desk.catalogue.engine, desk.catalogue.pbx)


def _state(one: Delivery) -> str:
    if one.dead:
        return _("given up")
    return _("again at {time}").format(time=moment_text(one.next_at)) if one.next_at else _("waits")


def _public(one: Delivery) -> dict[str, Any]:
    return {
        "destination": one.destination, "case": one.case, "told": one.act, "acts": one.acts, "tries": one.tries,
        "failed_at": one.failed_at.isoformat() if one.failed_at else None,
        "next_at": one.next_at.isoformat() if one.next_at else None, "dead": one.dead, "error": one.error,
    }  # fmt: skip
