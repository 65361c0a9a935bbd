"""`kikitori hours`: open or closed, and why."""

import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Annotated

import typer

from cti.app.clock import wall_clock
from cti.cli import holidays, overrides
from cti.cli.common import Commands, Json, PolicyFolder, complain, installed, out, say_json, table
from cti.cli.terminal import one_line
from cti.cli.typed import YEARS, time_of
from cti.errors import UsageError
from cti.explain import localise
from cti.hours import known
from cti.i18n import _, ngettext
from cti.ics import year_ics
from cti.sentences import certainty, day_text, moment_text, sentences
from policies.calendar import Hours
from policies.hours import HORIZON, Day, OpeningHours
from policies.load import Policies, shipped
from policies.load import check as fits
from policies.overrides import Overrides
from policies.toml import read

OverridesFile = Annotated[
    Path | None,
    typer.Option("--overrides", help=_("Decisions on other hours, JSON lines, instead of the installation's.")),
]
CalendarName = Annotated[str, typer.Option("--calendar", help=_("Whose hours: centre, office, ..."))]
SYMBOLS = "#+o=%x"


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Opening hours: open or closed, and why."))
    group.command(
        "check",
        help=_("Open or closed at each TIME: the rule that decides, its article, and until when."),
        epilog=_(
            "Examples: kikitori hours check · kikitori hours check 2026-12-30T08:59:59 2026-12-30T09:00 --json · "
            "kikitori hours check - --overrides decisions.jsonl"
        ),
    )(check)
    group.command(
        "explain",
        help=_("Why it is open or closed at TIME, in sentences."),
        epilog=_("Example: kikitori hours explain 2027-01-02T10:00"),
    )(explain)
    group.command(
        "year",
        help=_("A year at a glance."),
        epilog=_("Examples: kikitori hours year 2027 · kikitori hours year 2027 --ics"),
    )(year)
    group.command(
        "diff",
        help=_("Which days two versions of the hours treat differently."),
        epilog=_("Example: kikitori hours diff hours.toml hours-2027.toml --from 2027-04-01"),
    )(diff)
    overrides.register(group)
    holidays.register(group)
    app.add_typer(group, name="hours")


def given(folder: Path | None, file: Path | None) -> OpeningHours:
    """The hours as the options say. Refused decisions are told on standard error. Raises PolicyError, SettingsError."""
    paths = installed() if folder is None else None
    if paths is not None:
        policies, found = known(paths.policies, paths.hours)
    else:
        policies, found = Policies(folder or shipped()), Overrides()
    if file is not None:
        found = policies.overrides(file)
    for refused in found.refused:
        complain(
            _("refused: {where}: {problem}. {remedy}").format(
                where=refused.where, problem=localise(refused.problem), remedy=localise(refused.remedy)
            )
        )
    return policies.opening_hours(found)


def of(hours: OpeningHours, calendar: str) -> str:
    """`calendar`, if there is such a one. Raises UsageError."""
    names = [one.name for one in hours.versions[0].calendar]
    if calendar not in names:
        raise UsageError(_("no calendar {name!r}: there are {names}").format(name=calendar, names=", ".join(names)))
    return calendar


def times_of(given_times: list[str] | None) -> list[datetime]:
    """The instants of the command line; of standard input for `-`; now for none. Raises UsageError."""
    found = []
    for text in given_times or [wall_clock().isoformat()]:
        if text == "-":
            try:
                lines = list(sys.stdin)
            except UnicodeDecodeError as error:
                raise UsageError(_("standard input") + ": " + localise("not UTF-8")) from error
            found += [
                time_of(line, _("standard input, line {number}").format(number=number))
                for number, line in enumerate(lines, start=1)
                if line.strip()
            ]
        else:
            found.append(time_of(text))
    return found


def check(
    times: Annotated[
        list[str] | None,
        typer.Argument(
            help=_("Times (2026-12-30T08:30), in Japan where they name no zone; - reads them; none: now."),
            metavar="[TIME]...",
        ),
    ] = None,
    overrides_given: OverridesFile = None,
    calendar: CalendarName = "centre",
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """Check instants."""
    instants = times_of(times)
    hours = given(folder, overrides_given)
    name = of(hours, calendar)
    answers = (hours.at(at, name) for at in instants)
    if as_json:
        for answer in answers:
            say_json(answer.public())
        return
    table(
        (_("Time"), _("State"), _("Until"), _("Rule"), _("Basis")),
        (
            (moment_text(answer.at, seconds=True), _("open") if answer.open else _("closed"),
             moment_text(answer.until) if answer.until else "", answer.reason.rule,
             f"{answer.reason.basis} {answer.reason.title}")
            for answer in answers
        ),
    )  # fmt: skip


def explain(
    time: Annotated[
        str | None, typer.Argument(help=_("A time, in Japan where it names no zone; none: now."), metavar="[TIME]")
    ] = None,
    overrides_given: OverridesFile = None,
    calendar: CalendarName = "centre",
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """Explain an instant."""
    at = times_of([time] if time else None)[0]
    hours = given(folder, overrides_given)
    answer = hours.at(at, of(hours, calendar))
    said = list(sentences(answer, hours))
    if as_json:
        say_json(answer.public() | {"sentences": said})
        return
    for sentence in said:
        out.print(one_line(sentence), highlight=False, soft_wrap=True)


def year(
    number: Annotated[int, typer.Argument(help=_("The year."), min=YEARS[0], max=YEARS[1], metavar="YEAR")],
    ics: Annotated[bool, typer.Option("--ics", help=_("Print an iCalendar file."))] = False,
    overrides_given: OverridesFile = None,
    calendar: CalendarName = "centre",
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """Show a year."""
    hours = given(folder, overrides_given)
    name = of(hours, calendar)
    days = [hours.day(date(number, 1, 1) + timedelta(days=count), name) for count in range(366)]
    days = [day for day in days if day.date.year == number]
    if as_json:
        for day in days:
            say_json(_public(day))
    elif ics:
        sys.stdout.write(year_ics(days, wall_clock()))
    else:
        _at_a_glance(number, days)


def _public(day: Day) -> dict[str, object]:
    return {
        "date": day.date,
        "weekday": day.date.strftime("%a").lower(),
        "hours": day.text,
        "class": day.kind.name,
        "rule": day.kind.basis,
        "holiday": day.holiday.name if day.holiday else None,
        "kind": day.holiday.kind.value if day.holiday else None,
        "holidays": day.holidays,
        "overrides": sorted({span.reason.name for span in day.spans if span.reason.override}),
        "in_force": day.in_force,
    }


def _at_a_glance(number: int, days: list[Day]) -> None:
    counts: dict[str, int] = defaultdict(int)
    for day in days:
        counts[day.text] += 1
    often = sorted((text for text in counts if text), key=lambda text: -counts[text])
    symbols = {text: SYMBOLS[min(place, len(SYMBOLS) - 1)] for place, text in enumerate(often)} | {"": "."}
    out.print(f"{number}   " + "".join(f"{day:<5}" for day in range(1, 32, 5)), highlight=False)
    for month in range(1, 13):
        row = "".join(
            "*" if any(span.reason.override for span in day.spans) else symbols[day.text]
            for day in days
            if day.date.month == month
        )
        out.print(" " * 3 + f"{month:>2}" + " " * 3 + row, highlight=False)
    out.print()
    for text in [*often, ""]:
        said = ngettext("{count} day", "{count} days", counts[text]).format(count=counts[text])
        out.print("  ".join(("", symbols[text], text or _("closed"), said)), highlight=False)
    if any(span.reason.override for day in days for span in day.spans):
        out.print("  *  " + _("other hours by a decision"), highlight=False)
    if days[-1].holidays != "table":
        out.print(certainty(days[-1].holidays), style="yellow", highlight=False)
    out.print()
    special = [day for day in days if day.holiday or day.kind.dates or any(span.reason.override for span in day.spans)]
    table(
        (_("Day"), _("Hours"), _("Class"), _("Holiday"), _("Decision")),
        (
            (day_text(day.date), day.text or _("closed"), day.kind.title, day.holiday.name if day.holiday else "",
             "; ".join(dict.fromkeys(span.reason.title for span in day.spans if span.reason.override)))
            for day in special
        ),
    )  # fmt: skip


def diff(
    old: Annotated[str, typer.Argument(help=_("A version: a file, or the name of one in the folder."), metavar="OLD")],
    new: Annotated[str, typer.Argument(help=_("Another one."), metavar="NEW")],
    start: Annotated[
        str | None, typer.Option("--from", help=_("First day. Default: from when NEW holds."), metavar="DAY")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help=_("How many days are compared."))] = 731,
    calendar: CalendarName = "centre",
    folder: PolicyFolder = None,
    as_json: Json = False,
) -> None:
    """Compare two versions."""
    if folder is None:
        paths = installed()
        folder = paths.policies if paths else shipped()
    holidays_known = Policies(folder).holidays
    before, after = (OpeningHours([_version(name, folder)], holidays_known) for name in (old, new))
    for hours in (before, after):
        of(hours, calendar)
    first = time_of(start, "--from").date() if start else after.versions[0].effective_from
    pairs = [
        (before.day(day, calendar), after.day(day, calendar))
        for day in (first + timedelta(days=count) for count in range(min(days, (date.max - first).days - HORIZON)))
    ]
    changed = [(was, now) for was, now in pairs if was.intervals != now.intervals]
    if as_json:
        for was, now in changed:
            say_json(
                {"date": was.date, "before": was.text, "after": now.text, "class_before": was.kind.name,
                 "class_after": now.kind.name}
            )  # fmt: skip
        return
    if not changed:
        out.print(
            _("No day from {first} to {last} is treated differently.").format(
                first=day_text(first), last=day_text(pairs[-1][0].date)
            ),
            style="green",
        )
        return
    table((_("Class"), _("Before"), _("After"), _("Days"), _("Which")), _grouped(changed))


def _grouped(changed: Iterable[tuple[Day, Day]]) -> Iterator[tuple[object, ...]]:
    groups: dict[tuple[str, str, str], list[date]] = defaultdict(list)
    for was, now in changed:
        title = was.kind.title if was.kind.title == now.kind.title else f"{was.kind.title} → {now.kind.title}"
        groups[title, was.text or _("closed"), now.text or _("closed")].append(was.date)
    for (title, was_text, now_text), dates in groups.items():
        shown = ", ".join(day_text(day) for day in dates[:3])
        yield title, was_text, now_text, len(dates), shown + (" ..." if len(dates) > 3 else "")


def _version(name: str, folder: Path) -> Hours:
    path = Path(name) if Path(name).exists() else folder / name
    if not path.exists():
        there = ", ".join(sorted(found.name for found in folder.glob("hours*.toml")))
        raise UsageError(_("no version {name!r}: neither a file nor one of {there}").format(name=name, there=there))
    return fits(read(path), Hours)
