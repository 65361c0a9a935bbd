"""`kikitori audit review`."""

from pathlib import Path
from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.app.desk import reviewing_at
from cti.cli.common import Json, agree, out, say_json, settings, table
from cti.cli.local import allowed, at_desk
from cti.cli.session import at_api, by_session
from cti.cli.signin import By, Code, PasswordFile, proof
from cti.cli.terminal import one_line
from cti.desk import Desk
from cti.errors import NotEntitledError, UsageError
from cti.explain import word
from cti.i18n import _, ngettext
from cti.review import Kind, Month, Person, Report, Unusual
from policies.rights import Act


def register(group: typer.Typer) -> None:
    """Add the command."""
    group.command(
        "review",
        help=_(
            "A month of the access log for 課長 to look through (9条2): who did how much, and what is unusual. With "
            "--sign the looking through is noted in the log, by name."
        ),
        epilog=_("Examples: kikitori audit review --by tanaka · kikitori audit review 2027-04 --sign --by tanaka"),
    )(review)


def review(
    month: Annotated[
        str | None,
        typer.Argument(
            help=_("The month, 2027-04. Without it the oldest that nobody has signed for."), metavar="[MONTH]"
        ),
    ] = None,
    sign: Annotated[bool, typer.Option("--sign", help=_("Sign for it, after a question."))] = False,
    yes: Annotated[bool, typer.Option("--yes", help=_("Do not ask."))] = False,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Review."""
    wanted = Month.parse(month) if month else None
    if sign and wanted and wall_clock() < wanted.end:  # before a code is used up
        raise UsageError(_("{month} is not over yet").format(month=wanted))
    if by_session(by):
        report, signed = _over_api(wanted, sign=sign, yes=yes, as_json=as_json)
    else:
        report, signed = _here(wanted, by, password_file, code, sign=sign, yes=yes, as_json=as_json)
    if as_json:
        say_json(report.values() | {"sha256": report.digest, "signed": signed})
    elif signed:
        out.print(
            _("Signed for: {month}, SHA-256 {digest}.").format(month=report.month, digest=report.digest), style="green"
        )


def _over_api(wanted: Month | None, *, sign: bool, yes: bool, as_json: bool) -> tuple[Report, bool]:
    from cti.api.shapes import Sign  # who stays at the recorder does not wait until it is loaded

    with at_api() as client:
        found = client.review(str(wanted or client.reviews().next))
        report = Report(
            month=Month.parse(found.month), first=found.first, next=found.next,
            people=tuple(Person(**one.model_dump()) for one in found.people),
            unusual=tuple(
                Unusual(**one.model_dump() | {"what": Kind(one.what), "entries": tuple(one.entries)})
                for one in found.unusual
            ),
        )  # fmt: skip
        if not as_json:
            _say(report)
        if sign:
            _ask(report, yes=yes)
            client.sign_off(str(report.month), Sign(sha256=report.digest))
    return report, sign


def _ask(report: Report, *, yes: bool) -> None:
    if not yes:
        agree(_("You have looked through {month}, and at what is unusual in it?").format(month=report.month))


def _here(
    wanted: Month | None,
    by: str | None,
    password_file: Path | None,
    code: str | None,
    *,
    sign: bool,
    yes: bool,
    as_json: bool,
) -> tuple[Report, bool]:
    who = proof(by, password_file, code) if by else None

    async def do(desk: Desk) -> tuple[Report, bool]:
        held = await allowed(desk, Act.REVIEW if sign else Act.LOG, who)
        reviewing = reviewing_at(desk, settings().settings)
        report = await reviewing.report(wanted or await reviewing.next())
        if held is not None:
            desk.log("log.read", desk.catalogue.pbx, {"from": report.first})
        if not as_json:
            _say(report)
        if not sign:
            return report, False
        if held is None:
            raise NotEntitledError(_("who signs has an account (B-06): name your own ID with --by"))
        _ask(report, yes=yes)
        await reviewing.sign_off(report.month, report.digest, held.account)
        return report, True

    return at_desk(do)


def _say(report: Report) -> None:
    count = report.next - report.first
    told = ngettext(
        "{month}: {count} entry of the access log, from number {first} on.",
        "{month}: {count} entries of the access log, from number {first} on.",
        count,
    )
    out.print(told.format(month=report.month, count=count, first=report.first), style="bold")
    table(
        (
            _("Who"), _("Searches"), _("Looked at"), _("Plays"), _("Minutes"), _("Exports"), _("Disclosures"),
            _("Refused rights"), _("Refused tries"),
        ),
        (
            (one.actor, one.searches, one.looked, one.plays, f"{one.seconds / 60:.0f}", one.exports, one.disclosures,
             one.denied, one.refused)
            for one in report.people
        ),
    )  # fmt: skip
    if not report.unusual:
        out.print(_("Nothing is unusual."), style="green")
        return
    out.print(_("Unusual, to be looked at (`kikitori audit show NUMBER`):"), style="yellow")
    table((_("What"), _("Who"), _("Day"), _("How often"), _("Of"), _("Entries")), map(_row, report.unusual))


def _row(one: Unusual) -> tuple[object, ...]:
    named = ", ".join(map(str, one.entries[:5])) + (" ..." if one.count > 5 else "")
    return word(one.what), one_line(one.actor), one.day, one.count, word(one.about or ""), named
