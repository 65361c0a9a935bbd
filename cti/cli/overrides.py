"""`kikitori hours close`, `kikitori hours override`: other hours, which 水道局長 alone decides (3条2項, A-13)."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Protocol

import typer

from cti.app.clock import wall_clock
from cti.cli.common import Commands, Json, actor, agree, out, say_json, settings, table
from cti.cli.local import at_desk_for
from cti.cli.session import at_api, signed_in
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.terminal import one_line
from cti.deciding import Deciding, public
from cti.desk import Desk
from cti.errors import FieldError, KikitoriError, NotFoundError, UsageError
from cti.explain import word
from cti.i18n import _
from cti.sentences import day_text, moment_text
from policies.overrides import Kind
from policies.rights import Act

SHOWN = 14  # days of a long decision

DecidedBy = Annotated[
    str, typer.Option("--decided-by", help=_("Who decided; only 水道局長 may."), prompt=_("Decided by"))
]
Reason = Annotated[str, typer.Option("--reason", help=_("Why; it is shown to whoever asks."), prompt=_("Reason"))]
Yes = Annotated[bool, typer.Option("--yes", help=_("Do it without asking."))]
DryRun = Annotated[bool, typer.Option("--dry-run", help=_("Show what would change and enter nothing."))]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "close",
        help=_("Close now: counts for the next call. Until the end of the day, or --until."),
        epilog=_("Example: kikitori hours close 停電のため --until 15:00 --decided-by 水道局長 --by tanaka"),
    )(close)
    group = Commands(help=_("Decisions on other hours: entered, listed, revoked; never deleted."))
    group.command(
        "add",
        help=_("Enter a decision on other hours; shows first what it changes."),
        epilog=_(
            "Examples: kikitori hours override add --kind hours --from 2027-08-13 --to 2027-08-15 --open 10:00 "
            "--close 15:00 --reason お盆 --decided-by 水道局長 · kikitori hours override add --kind open "
            "--from 2027-05-09 --to 2027-05-09 --open 9:00 --close 12:00 --reason 臨時開設 --decided-by 水道局長 "
            "--dry-run"
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
        epilog=_("Example: kikitori hours override revoke 20261126-3f2a --reason 復旧 --decided-by 水道局長"),
    )(revoke)
    app.add_typer(group, name="override")


class Way(Protocol):
    """How decisions are reached: by a session over the API, or here, at the host itself."""

    def all(self) -> list[dict[str, Any]]:
        """The newest first."""

    def enter(self, stated: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """The decision, and the days that it changes; `dry_run`: would change."""

    def take_back(self, identity: str, by: str, reason: str) -> dict[str, Any]:
        """From now on."""


class OverApi:
    """In the name of whoever is signed in."""

    def all(self) -> list[dict[str, Any]]:
        """The newest first."""
        with at_api() as client:
            return [one.model_dump(by_alias=True) for one in client.overrides()]

    def enter(self, stated: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """The decision, and the days that it changes."""
        from cti.api.shapes import Decide
        from cti.cli.ways import shaped

        asked = shaped(Decide, **stated, dry_run=dry_run)
        with at_api() as client:
            found: dict[str, Any] = client.decide(asked).model_dump(by_alias=True, exclude_none=True)
            return found

    def take_back(self, identity: str, by: str, reason: str) -> dict[str, Any]:
        """From now on."""
        from cti.api.shapes import TakeBack
        from cti.cli.ways import shaped

        asked = shaped(TakeBack, by=by, reason=reason)
        with at_api() as client:
            found: dict[str, Any] = client.take_back(identity, asked).model_dump()
            return found


@dataclass(frozen=True, slots=True)
class Here:
    """At the host itself: by an ID of one's own, once anybody has an account. To look, none is needed."""

    by: str | None
    password_file: Path | None
    code: str | None

    def all(self) -> list[dict[str, Any]]:
        """The newest first."""
        now = wall_clock()
        return [public(override, now) for override in _deciding().all()]

    def enter(self, stated: Mapping[str, Any], *, dry_run: bool) -> dict[str, Any]:
        """The decision, and the days that it changes."""
        if dry_run:
            found = _deciding().propose(stated, actor(), wall_clock())
            return {**found.entry, "changes": found.changes, "entered": False}

        async def do(desk: Desk) -> dict[str, Any]:
            deciding = _deciding()
            made = deciding.propose(stated, desk.actor, wall_clock())
            deciding.enter(made, desk.log)
            return {**made.entry, "changes": made.changes, "entered": True}

        return at_desk_for(Act.HOURS, self.by, self.password_file, self.code, do)

    def take_back(self, identity: str, by: str, reason: str) -> dict[str, Any]:
        """From now on."""

        async def do(desk: Desk) -> dict[str, Any]:
            return _deciding().take_back(
                identity, by=by, reason=reason, entered_by=desk.actor, now=wall_clock(), tell=desk.log
            )

        return at_desk_for(Act.HOURS, self.by, self.password_file, self.code, do)


def _deciding() -> Deciding:
    paths = settings().settings.paths
    return Deciding(paths.policies, paths.hours)


def _way(by: str | None, password_file: Path | None, code: str | None) -> Way:
    return OverApi() if by is None and signed_in() else Here(by, password_file, code)


def close(
    reason: Annotated[str, typer.Argument(help=_("Why; it is shown to whoever asks."), metavar="REASON")],
    until: Annotated[
        str | None, typer.Option("--until", help=_("15:00 today, or a time. Default: the end of the day."))
    ] = None,
    decided_by: DecidedBy = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Close now."""
    stated = {"kind": Kind.CLOSED.value, "to": until, "reason": reason, "by": decided_by}
    way = _way(by, password_file, code)
    with _options(to="--until", reason="REASON"):
        _enter(stated, way, yes=yes, dry_run=dry_run, as_json=as_json)


def add(
    kind: Annotated[Kind, typer.Option("--kind", help=_("closed; hours: open then only; open: open then as well."))],
    start: Annotated[str, typer.Option("--from", help=_("First day, or a time."), metavar="TIME")],
    end: Annotated[str, typer.Option("--to", help=_("Last day, counted with it, or a time."), metavar="TIME")],
    opens: Annotated[str | None, typer.Option("--open", help=_("Open each day from, as 10:00."))] = None,
    closes: Annotated[str | None, typer.Option("--close", help=_("Open each day until."))] = None,
    reason: Reason = "",
    decided_by: DecidedBy = "",
    yes: Yes = False,
    dry_run: DryRun = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Enter a decision."""
    stated = {
        "kind": kind.value, "from": start, "to": end, "open": opens, "close": closes, "reason": reason,
        "by": decided_by,
    }  # fmt: skip
    way = _way(by, password_file, code)
    with _options():
        _enter(stated, way, yes=yes, dry_run=dry_run, as_json=as_json)


@contextmanager
def _options(**named: str) -> Iterator[None]:
    """What is said of a field is said of the option that gave it; `named`: those that are called otherwise."""
    options = {"by": "--decided-by"} | named
    try:
        yield
    except FieldError as error:
        raise UsageError(f"{options.get(error.field, f'--{error.field}')}: {error.problem}") from error
    except KikitoriError as error:
        wrong: list[dict[str, str]] = getattr(error, "errors", [])
        if len(wrong) != 1:
            raise
        field = wrong[0]["at"].removeprefix("body.")
        raise UsageError(f"{options.get(field, f'--{field}')}: {wrong[0]['problem']}") from error


def _enter(stated: Mapping[str, Any], way: Way, *, yes: bool, dry_run: bool, as_json: bool) -> None:
    found = way.enter(stated, dry_run=dry_run or not yes)
    if not as_json:
        _show(found["changes"])
    if not (dry_run or yes):
        agree(_("Enter it?"))
        found = way.enter(stated, dry_run=False)
    if as_json:
        say_json(found)
    elif found["entered"]:
        out.print(_("Entered: {id}. It counts for the next call.").format(id=found["id"]), style="green")
        out.print(
            _("The dialplan's own hours, for when the gate is silent, learn of it with `kikitori asterisk render`."),
            style="dim",
        )


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


def list_(as_json: Json = False) -> None:
    """List decisions."""
    rows = _way(None, None, None).all()
    if as_json:
        for row in rows:
            say_json(row)
        return
    table(
        (_("Id"), _("Kind"), _("Begins"), _("Ends"), _("Hours"), _("State"), _("Reason"), _("Decided by"),
         _("Entered by")),
        (
            (row["id"], word(row["kind"]), moment_text(row["from"]), moment_text(row["to"]), row["hours"],
             word(row["state"]), row["reason"], row["by"], row["entered_by"])
            for row in rows
        ),
    )  # fmt: skip


def revoke(
    identity: Annotated[str, typer.Argument(help=_("Id of the decision, or its beginning."), metavar="ID")],
    reason: Reason = "",
    decided_by: DecidedBy = "",
    yes: Yes = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Take a decision back."""
    way = _way(by, password_file, code)
    rows = way.all()
    found = [row for row in rows if row["id"] == identity] or [
        row for row in rows if identity and row["id"].startswith(identity)
    ]
    if len(found) != 1:
        raise NotFoundError(
            _("{count} decisions begin with {text!r}; `kikitori hours override list` shows them").format(
                count=len(found), text=identity
            )
        )
    if not yes:
        agree(_("Take back {id} ({reason})?").format(id=found[0]["id"], reason=one_line(found[0]["reason"])))
    with _options():
        entry = way.take_back(found[0]["id"], decided_by, reason)
    if as_json:
        say_json(entry)
    else:
        out.print(_("Revoked: {id}. It counts for the next call.").format(id=entry["revoke"]), style="green")
