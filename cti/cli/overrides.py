"""`kikitori hours close`, `kikitori hours override`: other hours, which 水道局長 alone decides (3条2項, A-13)."""

import json
import secrets
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from cti import users
from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, actor, agree, out, say_json, settings, table
from cti.cli.local import at_desk
from cti.errors import NotEntitledError, NotFoundError, UsageError
from cti.explain import localise, word
from cti.hours import enter, known
from cti.i18n import _
from cti.sentences import day_text, moment_text
from policies.calendar import JST, interval_text, midnight
from policies.errors import PolicyError
from policies.hours import OpeningHours
from policies.load import Policies
from policies.overrides import Kind, Override, Overrides, days, moment, parse

SHOWN = 14  # days of a long decision

By = Annotated[str, typer.Option("--by", help=_("Who decided; only 水道局長 may."), prompt=_("Decided by"))]
Reason = Annotated[str, typer.Option("--reason", help=_("Why; it is shown to whoever asks."), prompt=_("Reason"))]
Yes = Annotated[bool, typer.Option("--yes", help=_("Do it without asking."))]
DryRun = Annotated[bool, typer.Option("--dry-run", help=_("Show what would change and enter nothing."))]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "close",
        help=_("Close now: counts for the next call. Until the end of the day, or --until."),
        epilog=_("Example: kikitori hours close 停電のため --until 15:00 --by 水道局長 --yes"),
    )(close)
    group = Commands(help=_("Decisions on other hours: entered, listed, revoked; never deleted."))
    group.command(
        "add",
        help=_("Enter a decision on other hours; shows first what it changes."),
        epilog=_(
            "Examples: kikitori hours override add --kind hours --from 2027-08-13 --to 2027-08-15 --open 10:00 "
            "--close 15:00 --reason お盆 --by 水道局長 · kikitori hours override add --kind open --from 2027-05-09 "
            "--to 2027-05-09 --open 9:00 --close 12:00 --reason 臨時開設 --by 水道局長 --dry-run"
        ),
    )(add)
    group.command(
        "list",
        help=_("Decisions, the newest first."),
        epilog=_("Example: kikitori hours override list --json"),
    )(list_)
    group.command(
        "revoke",
        help=_("Take a decision back from now on; it stays in the list."),
        epilog=_("Example: kikitori hours override revoke 20261126-3f2a --reason 復旧 --by 水道局長"),
    )(revoke)
    app.add_typer(group, name="override")


def close(
    reason: Annotated[str, typer.Argument(help=_("Why; it is shown to whoever asks."), metavar="REASON")],
    until: Annotated[
        str | None, typer.Option("--until", help=_("15:00 today, or a time. Default: the end of the day."))
    ] = None,
    by: By = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Close now."""
    now = wall_clock()
    today = now.astimezone(JST).date()
    end = midnight(today + timedelta(days=1))
    if until is not None:
        end = _moment(f"{today.isoformat()}T{until.zfill(5)}" if len(until) <= 5 else until, "--until")
    _enter(
        {"kind": Kind.CLOSED.value, "from": now.astimezone(JST).isoformat(), "to": end.isoformat(), "reason": reason,
         "by": by},
        now, yes=yes, dry_run=dry_run, as_json=as_json,
    )  # fmt: skip


def add(
    kind: Annotated[Kind, typer.Option("--kind", help=_("closed; hours: open then only; open: open then as well."))],
    start: Annotated[str, typer.Option("--from", help=_("First day, or a time."), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=_("Last day, counted with it, or a time."), metavar="TIME")],
    opens: Annotated[str | None, typer.Option("--open", help=_("Open each day from, as 10:00."))] = None,
    closes: Annotated[str | None, typer.Option("--close", help=_("Open each day until."))] = None,
    reason: Reason = "",
    by: By = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    as_json: Json = False,
) -> None:
    """Enter a decision."""
    entry = {"kind": kind.value, "from": start, "to": end, "open": opens, "close": closes, "reason": reason, "by": by}
    _enter(entry, wall_clock(), yes=yes, dry_run=dry_run, as_json=as_json)


def _enter(entry: Mapping[str, Any], now: datetime, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    whole = {"id": f"{now.astimezone(JST):%Y%m%d}-{secrets.token_hex(4)}", **_stated(entry)}
    whole |= {"entered_by": actor(), "entered_at": now.astimezone(JST).isoformat()}
    policies, before_it = _known()
    made = _read(whole, policies)
    if made.span is None:
        raise UsageError(_("it would be over before it counts: --to lies in the past"))
    before, after = policies.opening_hours(before_it), policies.opening_hours(Overrides((*before_it.all, made)))
    changed = list(_changed(before, after, made))
    if not as_json:
        _show(changed)
    if dry_run:
        if as_json:
            say_json(whole | {"entered": False, "changes": changed})
        return
    if not yes:
        agree(_("Enter it?"))
    _log_and_enter("hours.override", whole)
    if as_json:
        say_json(whole | {"entered": True, "changes": changed})
    else:
        out.print(_("Entered: {id}. It counts for the next call.").format(id=whole["id"]), style="green")
        out.print(
            _("The dialplan's own hours, for when the gate is silent, learn of it with `kikitori asterisk render`."),
            style="dim",
        )


def _stated(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in entry.items() if value is not None}


def _known() -> tuple[Policies, Overrides]:
    paths = settings().settings.paths
    return known(paths.policies, paths.hours)


def _read(entry: Mapping[str, Any], policies: Policies) -> Override:
    """The decision that `entry` is. Raises UsageError, NotEntitledError."""
    try:
        found = parse(json.dumps(dict(entry)), "", *policies.authorities)
    except PolicyError as error:
        field = error.where.rpartition(": ")[2]
        option = {"from": "--from", "to": "--to", "open": "--open", "close": "--close", "by": "--by"}.get(field, field)
        raise UsageError(f"{option}: {localise(error.problem)}") from error
    if not found.all:
        raise _not_entitled(policies, entry["by"])
    return found.all[0]


def _not_entitled(policies: Policies, by: str) -> NotEntitledError:
    return NotEntitledError(
        _("other hours are decided by {authority} alone (A-13), not by {by!r}").format(
            authority=", ".join(policies.authorities), by=by
        )
    )


def _changed(before: OpeningHours, after: OpeningHours, override: Override) -> Iterator[dict[str, Any]]:
    first, last = days(override)
    for number in range(min((last - first).days, 3660) + 1):
        day = first + timedelta(days=number)
        was, now = before.day(day), after.day(day)
        if was.intervals != now.intervals:
            yield {"date": day, "before": was.text, "after": now.text, "class": was.kind.title}


def _show(changed: list[dict[str, Any]]) -> None:
    if not changed:
        out.print(_("No opening hours change by it."), style="yellow")
        return
    table(
        (_("Day"), _("Class"), _("Before"), _("After")),
        (
            (day_text(row["date"]), row["class"], row["before"] or _("closed"), row["after"] or _("closed"))
            for row in changed[:SHOWN]
        ),
    )
    if len(changed) > SHOWN:
        out.print(_("... and {count} days more").format(count=len(changed) - SHOWN), style="dim")


def _log_and_enter(action: str, entry: dict[str, Any]) -> None:
    """First into the access log: what is not in it does not count."""
    detail = {name: value for name, value in entry.items() if name not in ("id", "revoke")}

    async def log(desk: Any) -> None:
        desk.log(action, entry.get("id") or entry["revoke"], detail)

    at_desk(log)
    loaded = settings().settings
    with users.acting_as(loaded.users.desk):
        enter(Path(loaded.paths.hours), entry)


def list_(as_json: Json = False) -> None:
    """List decisions."""
    now = wall_clock()
    rows = sorted(_known()[1].all, key=lambda override: override.entered_at or override.start, reverse=True)
    if as_json:
        for override in rows:
            say_json(_public(override, now))
        return
    table(
        (_("Id"), _("Kind"), _("Begins"), _("Ends"), _("Hours"), _("State"), _("Reason"), _("Decided by"),
         _("Entered by")),
        (
            (override.id, word(override.kind), moment_text(override.start), moment_text(override.end),
             _hours(override), word(_state(override, now)), override.reason, override.by, override.entered_by)
            for override in rows
        ),
    )  # fmt: skip


def _hours(override: Override) -> str:
    return interval_text(override.hours) if override.hours else ""


def _state(override: Override, now: datetime) -> str:
    if override.revoked:
        return "revoked"
    if now >= override.end:
        return "over"
    return "in force" if now >= override.start else "to come"


def _public(override: Override, now: datetime) -> dict[str, Any]:
    return {
        "id": override.id,
        "kind": override.kind.value,
        "from": override.start,
        "to": override.end,
        "hours": _hours(override) or None,
        "state": _state(override, now),
        "by": override.by,
        "entered_by": override.entered_by,
        "entered_at": override.entered_at,
        "reason": override.reason,
        "revoked_at": override.revoked_at,
    }


def revoke(
    identity: Annotated[str, typer.Argument(help=_("Id of the decision, or its beginning."), metavar="ID")],
    reason: Reason = "",
    by: By = "",
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Take a decision back."""
    policies, decisions = _known()
    found = decisions.find(identity)
    if len(found) != 1 or not identity:
        raise NotFoundError(
            _("{count} decisions begin with {text!r}; `kikitori hours override list` shows them").format(
                count=len(found) if identity else 0, text=identity
            )
        )
    override = found[0]
    if override.revoked:
        raise UsageError(_("decision {id} was revoked before").format(id=override.id))
    now = wall_clock()
    entry = {"revoke": override.id, "by": by, "reason": reason, "entered_by": actor()}
    entry["entered_at"] = now.astimezone(JST).isoformat()
    if by not in policies.authorities:
        raise _not_entitled(policies, by)
    if not yes:
        agree(_("Enter it?"))
    _log_and_enter("hours.revoke", entry)
    if as_json:
        say_json(entry)
    else:
        out.print(_("Revoked: {id}. It counts for the next call.").format(id=override.id), style="green")


def _moment(text: str, option: str) -> datetime:
    try:
        return moment(text)
    except ValueError as error:
        raise UsageError(f"{option}: {localise(str(error))}") from error
