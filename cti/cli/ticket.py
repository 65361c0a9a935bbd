"""`kikitori ticket`: what was promised to customers, or is owed to them, and how much of it was kept. By a session."""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cti.cases.acts import TicketEnd, TicketKind
from cti.cli.case import asked_of, customer, given, named, names_of
from cti.cli.common import Commands, Json, err, out, say_json, table
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.cli.typed import time_of
from cti.explain import word
from cti.i18n import _
from cti.sentences import moment_text

if TYPE_CHECKING:
    from cti.api.caseshapes import Arrival, Ticket

Since = Annotated[str | None, typer.Option("--from", help=_("Due then or later: 2027-04-01T09:00."))]
Until = Annotated[str | None, typer.Option("--to", help=_("Due before then."))]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Tickets: callbacks that were promised, transfers, calls that nobody answered."))
    group.command(
        "list",
        help=_("What is due, the first first; with --all what became of it, the newest first."),
        epilog=_("Examples: kikitori ticket list --late · kikitori ticket list --unit kyusui --kind callback --json"),
    )(list_)
    group.command(
        "rate",
        help=_("How many were kept in time, by kind, of those that were due."),
        epilog=_("Example: kikitori ticket rate --from 2027-04-01 --to 2027-05-01"),
    )(rate)
    group.command(
        "arriving",
        help=_(
            "Callers who are put through to you, with their case, before your telephone rings; until Ctrl-C, or the "
            "end of the session."
        ),
        epilog=_("Examples: kikitori ticket arriving · kikitori ticket arriving --json"),
    )(arriving)
    app.add_typer(group, name="ticket")


def arriving(as_json: Json = False) -> None:
    """Watch."""
    with at_api() as client:
        names = {} if as_json else names_of(client)
        for one in client.arrivals():
            if as_json:
                say_json(one.model_dump(mode="json"))
            else:
                _announce(one, names)
    err.print(_("The session is over: `kikitori login ID`"))


def _announce(one: "Arrival", names: Mapping[str, str]) -> None:
    case = one.case
    why = " ".join(filter(None, (word(one.why) if one.why else "", one_line(one.words))))
    out.bell()
    head = _("Case {number} comes, from {phone}").format(number=case.number, phone=one.phone or _("the menu"))
    out.print(f"{head}{f': {why}' if why else ''}", style="bold", highlight=False)
    lines = [customer(case), names.get(case.category or "", ""), one_line(case.inquiry)]
    lines += [one_line(str(act["text"])) for act in case.history if act["kind"] == "note"]
    for line in filter(None, lines):
        out.print(f"  {line}", highlight=False)
    for earlier in one.earlier:
        when = moment_text(earlier.received_at)
        said = f"{earlier.number}  {when}  {word(earlier.state)}  {asked_of(earlier)}"
        before = _("Before: {case}").format(case=said)
        out.print(f"  {before}", style="dim", highlight=False)


def list_(
    everything: Annotated[bool, typer.Option("--all", help=_("With those that are over."))] = False,
    kind: Annotated[TicketKind | None, typer.Option("--kind", help=_("Of this kind."))] = None,
    unit: Annotated[
        str | None, typer.Option("--unit", help=_("Who keeps it: cc, contractor, or a 所管課's name."))
    ] = None,
    since: Since = None,
    until: Until = None,
    late: Annotated[bool, typer.Option("--late", help=_("Only what should have been done."))] = False,
    most: Annotated[int, typer.Option("--limit", min=1, max=1000, help=_("At most so many."))] = 200,
    as_json: Json = False,
) -> None:
    """List tickets."""
    wanted = {
        "all": everything or None, "kind": kind, "late": late or None, "limit": most,
        "from": time_of(since, "--from") if since else None, "to": time_of(until, "--to") if until else None,
    }  # fmt: skip
    listed(wanted, unit, as_json=as_json)


def listed(
    wanted: Mapping[str, Any], unit: str | None, *, as_json: bool, kinds: Collection[TicketKind] = tuple(TicketKind)
) -> None:
    """Show the tickets that are `wanted`, of these kinds."""
    with at_api() as client:
        names = names_of(client)
        found = client.tickets(given(**wanted, unit=named(names, "--unit", unit)))
    found = [one for one in found if one.kind in kinds]
    if as_json:
        for one in found:
            say_json(one.model_dump(mode="json"))
        return
    if not found:
        out.print(_("No tickets."))
        return
    table(
        (_("Ticket"), _("Kind"), _("Unit"), _("Due"), _("State"), _("Customer"), _("What they ask")),
        (
            (one.ticket, word(one.kind), names.get(one.unit, one.unit), moment_text(one.due) if one.due else "",
             _state(one), _customer(one), asked_of(one))
            for one in found
        ),
    )  # fmt: skip


def _customer(one: "Ticket") -> str:
    """With further open cases of the number: whoever calls them sees to all of them."""
    if not one.others:
        return customer(one)
    also = _("(also: case {numbers})").format(numbers=", ".join(str(number) for number in one.others))
    return f"{customer(one)} {also}"


def rate(since: Since = None, until: Until = None, as_json: Json = False) -> None:
    """How many were kept."""
    wanted = given(
        all=True, limit=1000,
        **{"from": time_of(since, "--from") if since else None, "to": time_of(until, "--to") if until else None},
    )  # fmt: skip
    with at_api() as client:
        found = client.tickets(wanted)
    rows = [_kept(kind, [one for one in found if one.kind is kind]) for kind in TicketKind]
    if as_json:
        for row in rows:
            say_json(row)
        return
    table(
        (_("Kind"), _("Were due"), _("Kept in time"), _("Kept late"), _("Still open"), _("Share")),
        (
            (word(row["kind"]), row["due"], row["in_time"], row["late"], row["open"],
             f"{row['share']:.0%}" if row["share"] is not None else "-")
            for row in rows
        ),
    )  # fmt: skip
    if len(found) == 1000:
        out.print(_("Of the newest 1000 only: name a shorter time with --from and --to."), style="yellow")


def _kept(kind: TicketKind, found: "list[Ticket]") -> "dict[str, str | int | float | None]":
    """Of one kind. What was passed on or void was never to be kept; what is open and not due yet is not counted."""
    counts = Counter[str]()
    for one in found:
        if one.outcome in (TicketEnd.PASSED_ON, TicketEnd.VOID) or (one.outcome is None and not one.late):
            continue
        kept = one.outcome is TicketEnd.KEPT
        counts["due"] += 1
        counts["open"] += one.outcome is None
        counts["in_time"] += kept and not one.late
        counts["late"] += kept and one.late
    share = counts["in_time"] / counts["due"] if counts["due"] else None
    return {"kind": kind.value, **{name: counts[name] for name in ("due", "in_time", "late", "open")}, "share": share}


def _state(one: "Ticket") -> str:
    if one.outcome is None:
        said = _("LATE") if one.late else _("waits")
        if not one.tries:
            return said
        again = moment_text(one.again) if one.again else "-"
        return _("{state}; tried {count}×, again: {time}").format(state=said, count=one.tries, time=again)
    return word(one.outcome)
