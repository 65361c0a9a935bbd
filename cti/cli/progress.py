"""`kikitori progress` and `kikitori digest`: how all cases stand, what was left out, a month of them. By a session."""

from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cti.app.clock import wall_clock
from cti.cli.case import names_of
from cti.cli.common import Commands, Json, out, say_json, table
from cti.cli.history import spoken_channel
from cti.cli.session import at_api
from cti.cli.typed import time_of
from cti.explain import word
from cti.i18n import _
from cti.review import Month
from cti.sentences import moment_text

if TYPE_CHECKING:
    from cti.api.caseshapes import Digest, Spread

Since = Annotated[
    str | None, typer.Option("--from", help=_("Recordings since then, without a case. Default: a week ago."))
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("How all cases stand, and what was left out (7条): for 運営会社 and CC."))
    group.command(
        "show",
        help=_(
            "Open cases by unit and age, cases of which nobody entered what was asked or what came of it, drafts that "
            "were not sent, cases and tickets of a unit that is no more, recordings without a case."
        ),
        epilog=_("Examples: kikitori progress show · kikitori progress show --from 2027-04-01 --json"),
    )(show)
    group.command(
        "sign",
        help=_("As show; and you have looked it through, together with CC: that is in the access log."),
        epilog=_("Example: kikitori progress sign"),
    )(sign)
    app.command(
        "digest",
        help=_("A month in numbers, without anybody's name: for the meeting that hears of complaints."),
        epilog=_("Examples: kikitori digest 2027-04 · kikitori digest --json"),
    )(digest)
    app.add_typer(group, name="progress")


def show(since: Since = None, as_json: Json = False) -> None:
    """Show it."""
    _progress(since, sign=False, as_json=as_json)


def sign(since: Since = None, as_json: Json = False) -> None:
    """Sign it."""
    _progress(since, sign=True, as_json=as_json)


def _progress(since: str | None, *, sign: bool, as_json: bool) -> None:
    with at_api() as client:
        found = client.progress(time_of(since, "--from") if since else None, sign=sign)
        names = {} if as_json else names_of(client)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    if found.owners:
        table(
            (_("Seen to by"), _("Open cases"), _("Not taken"), _("Late"), _("Oldest received")),
            (
                (names.get(one.unit, one.unit), one.open, one.untaken, one.late, moment_text(one.oldest))
                for one in found.owners
            ),
        )  # fmt: skip
    else:
        out.print(_("No open cases."))
    if found.unasked:
        numbers = ", ".join(map(str, found.unasked))
        out.print(_("Nobody has entered what was asked: {cases}").format(cases=numbers), style="yellow")
    if found.unsent:
        numbers = ", ".join(map(str, found.unsent))
        out.print(_("A draft should have been checked by now, or sent: {cases}").format(cases=numbers), style="yellow")
    if found.unresolved:
        numbers = ", ".join(map(str, found.unresolved))
        out.print(_("Answered, and nobody has entered what came of it: {cases}").format(cases=numbers), style="yellow")
    if found.ownerless:
        out.print()
        out.print(_("Their unit has ended, or is none of sections.toml any more:"), style="yellow")
        table(
            (_("Case"), _("Ticket"), _("Unit")),
            ((one.case, word(one.kind) if one.kind else "-", names.get(one.unit, one.unit)) for one in found.ownerless),
        )
        out.print(_("`kikitori case assign`, then `case hand-over`, gives a case to another 所管課."), style="dim")
    if found.unentered:
        out.print()
        out.print(_("Recorded, and without a case:"), style="yellow")
        table(
            (_("Began"), _("Number"), _("Phone"), _("Recording")),
            ((moment_text(one.at), one.number, one.agent, one.recording[:8]) for one in found.unentered),
        )
    out.print()
    out.print(_checked(found.checked, signed=sign), style="green" if sign else "dim")


def _checked(last: Any, *, signed: bool) -> str:
    if last is None:
        return _("Nobody has looked it through yet; `kikitori progress sign` does.")
    told = {"account": last.by, "at": moment_text(last.at)}
    if signed:
        return _("Looked through by {account}, {at}.").format(**told)
    return _("Looked through last by {account}, {at}.").format(**told)


def digest(
    month: Annotated[
        str | None, typer.Argument(help=_("2027-04. Default: the month before this one."), metavar="[MONTH]")
    ] = None,
    as_json: Json = False,
) -> None:
    """A month."""
    wanted = Month.parse(month) if month else _before(wall_clock())
    with at_api() as client:
        found = client.digest(str(wanted))
        names = {} if as_json else names_of(client)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    out.print(
        _("{month}: {cases} cases received, {open} still open, {reopened} opened again, {declined} declined.").format(
            month=found.month, cases=found.cases, open=found.open, reopened=found.reopened, declined=found.declined
        ),
        style="bold", highlight=False,
    )  # fmt: skip
    for title, counts, named in (
        (_("Came in by"), found.channel, spoken_channel),
        (_("Kind of question"), found.category, lambda name: names.get(f"category:{name}", name)),
        (_("Main 所管課"), found.main, lambda name: names.get(name, name)),
        (_("What came of it"), found.outcome, word),
    ):
        if counts:
            out.print()
            table(
                (title, _("Cases")), ((named(name), counts[name]) for name in sorted(counts, key=lambda n: -counts[n]))
            )
    if found.tickets:
        out.print()
        table(
            (_("Ticket"), _("Were due"), _("Kept in time"), _("Kept late"), _("Still open")),
            ((word(kind), one.due, one.in_time, one.late, one.open) for kind, one in found.tickets.items()),
        )

    _times(found)
    if found.evasive:
        out.print()
        table((_("Says neither yes nor no"), _("Cases")), found.evasive.items())


def _times(found: "Digest") -> None:
    """How long customers waited."""
    if found.times:
        out.print()
        table(
            (_("Came in by"), _("Cases"), _("Answered"), _("Same day"), _("Half within"), _("Nine of ten within"),
             _("Ended"), _("Opened again")),
            (
                (spoken_channel(name), one.cases, one.answered, "-" if one.same_day is None else one.same_day,
                 *_spread(one.reply), one.ended, one.reopened)
                for name, one in found.times.items()
            ),
        )  # fmt: skip
    calls = found.calls
    if calls.rang:
        out.print()
        table(
            (_("Calls"), _("Rang"), _("Answered"), _("Half within"), _("Nine of ten within")),
            (
                (_("until the answer"), calls.rang, calls.answered, *_spread(calls.answer)),
                (_("talked"), "", "", *_spread(calls.talk)),
            ),
        )
    if any(one.answered and one.reply is None for one in found.times.values()):
        out.print(_("-: too few to say a time of, without saying whose it is."), style="dim")


def _spread(found: "Spread | None") -> tuple[str, str]:
    return (_span(found.median), _span(found.p90)) if found else ("-", "-")


def _span(seconds: int) -> str:
    """Hours and minutes; of less than an hour, minutes and seconds."""
    minutes, rest = divmod(seconds, 60)
    hours, minutes_left = divmod(minutes, 60)
    if hours:
        return _("{hours} h {minutes:02} min").format(hours=hours, minutes=minutes_left)
    return _("{minutes} min {seconds:02} s").format(minutes=minutes, seconds=rest)


def _before(now: datetime) -> Month:
    this = Month.of(now)
    return Month(this.year - (this.number == 1), this.number - 1 or 12)
