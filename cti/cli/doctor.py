"""`kikitori doctor`, and `kikitori asterisk doctor` for the PBX alone."""

import asyncio
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from cti.ami.errors import AmiError
from cti.app.clock import Clock, wall_clock
from cti.app.site import ami_config, want_of
from cti.cli.common import Commands, Json, out, say_json, settings
from cti.cli.terminal import printable
from cti.doctor import host, house, pbx
from cti.doctor.finding import Finding, Severity, house_titles, titles
from cti.doctor.judge import judge
from cti.doctor.seen import PbxSeen, Seen, Unseen
from cti.doctor.want import Want
from cti.errors import SettingsError
from cti.explain import explain
from cti.i18n import _, ngettext

SIGNS = {Severity.ok: ("✓", "green"), Severity.warning: ("!", "yellow"), Severity.error: ("✗", "red")}
NOT_MADE = ("?", "yellow")


Listen = Annotated[float, typer.Option(min=0.2, max=60.0, help=_("Seconds to listen for events that should not come."))]


def register(app: typer.Typer) -> None:
    """Add the command that looks at everything."""
    app.command(
        "doctor",
        help=_(
            "Look at the host, the installation and the PBX, and say of each finding why it matters and what mends it. "
            "Ends with 0 where nothing has to be mended."
        ),
        epilog=_("Example: kikitori doctor --json"),
    )(doctor)


def register_pbx(group: Commands) -> None:
    """Add the command to those of `kikitori asterisk`."""
    group.command(
        "doctor",
        help=_(
            "Look at the PBX, the spool, the gate and the recorder, and say of each finding what to do. Ends with 0 "
            "where nothing has to be mended."
        ),
        epilog=_("Example: kikitori asterisk doctor --json"),
    )(doctor_of_pbx)


def doctor(listen: Listen = 1.0, as_json: Json = False) -> None:
    """Examine everything."""
    loaded = settings()
    want = want_of(loaded.settings)
    machine = house.judge(house.look(loaded.settings, loaded.file, wall_clock), want, wall_clock())
    _tell([*machine, *judge(asyncio.run(look(want, wall_clock, listen)), want)], as_json=as_json)


def doctor_of_pbx(listen: Listen = 1.0, as_json: Json = False) -> None:
    """Examine the PBX."""
    want = want_of(settings().settings)
    _tell(judge(asyncio.run(look(want, wall_clock, listen)), want), as_json=as_json)


def _tell(findings: Sequence[Finding], *, as_json: bool) -> NoReturn:
    if as_json:
        for finding in findings:
            say_json(asdict(finding))
    else:
        _show(findings)
    raise typer.Exit(1 if any(finding.severity is Severity.error for finding in findings) else 0)


async def look(want: Want, now: Clock, listen: float) -> Seen:
    """Everything there is to see."""
    ours = want.settings
    return Seen(
        pbx=await _pbx(want, now, listen),
        spool=host.spool(ours),
        asterisk=host.asterisk(ours),
        gate=await host.gate(ours),
        recorder=await host.recorder(ours),
        cel=host.cel(ours, now()),
        hours=host.hours(ours, now()),
        decided=host.decided(ours, now()),
    )


async def _pbx(want: Want, now: Clock, listen: float) -> PbxSeen | Unseen:
    try:
        config = ami_config(want.settings)
    except (SettingsError, AmiError) as error:
        reason = error.__cause__
        return host.denied(reason) if isinstance(reason, PermissionError) else Unseen(explain(error))
    try:
        return await pbx.look(config, want.endpoints, now, listen)
    except (AmiError, OSError) as error:
        return Unseen(explain(error))


def _show(findings: Sequence[Finding]) -> None:
    called = house_titles() | titles()
    made = Table(box=None, header_style="bold", pad_edge=False)
    for column, ratio in (("", None), (_("Check"), None), (_("Finding"), 3), (_("What to do"), 2)):
        made.add_column(column, overflow="fold", no_wrap=ratio is None, ratio=ratio)
    for finding in findings:
        sign, colour = SIGNS[finding.severity] if finding.made else NOT_MADE
        found = Text(printable(finding.found), style="" if finding.severity is Severity.ok and finding.made else colour)
        if finding.why:
            found.append(f"\n{printable(finding.why)}", style="dim")
        made.add_row(Text(sign, style=f"bold {colour}"), called[finding.check], found, Text(printable(finding.remedy)))
    out.print(made)
    out.print(_summary(findings), highlight=False)


def _summary(findings: Sequence[Finding]) -> str:
    errors = sum(finding.severity is Severity.error for finding in findings)
    unmade = sum(not finding.made for finding in findings)
    warnings = sum(finding.severity is Severity.warning for finding in findings) - unmade
    return _("{errors}, {warnings}, {unmade}").format(
        errors=ngettext("{count} error", "{count} errors", errors).format(count=errors),
        warnings=ngettext("{count} warning", "{count} warnings", warnings).format(count=warnings),
        unmade=_("{count} not checked").format(count=unmade),
    )
