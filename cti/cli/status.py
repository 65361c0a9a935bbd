"""`kikitori status`: how everything is, on one screen."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any, NoReturn

import typer
from rich.table import Table
from rich.text import Text

from cti import health
from cti.app.clock import wall_clock
from cti.app.desk import build_desk
from cti.app.site import want_of
from cti.cli.common import Json, out, say_json, settings
from cti.cli.doctor import NOT_MADE, SIGNS
from cti.cli.session import at_api, from_afar
from cti.cli.terminal import printable
from cti.doctor import storage
from cti.doctor.finding import Finding, Severity
from cti.doctor.seen import Unseen
from cti.errors import KikitoriError, NotRunningError
from cti.explain import localise
from cti.health import HealthSeen
from cti.i18n import _
from cti.settings import Settings
from policies.errors import PolicyError


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command(
        "status",
        help=_(
            "How the recorder, the gate, the disks, the clock, the keys, the statements and the promises are, on one "
            "screen. Ends with 0 where nothing is wrong."
        ),
        epilog=_("Example: kikitori status --json"),
    )(status)


def status(as_json: Json = False) -> None:
    """Look."""
    if from_afar():
        _from_afar(as_json=as_json)
    loaded = settings().settings
    seen = asyncio.run(_look(loaded))
    down = None
    if isinstance(seen.recorder, Unseen):
        # Said first of all, whatever else is wrong here.
        sentence = _(
            "the recorder does not answer: {why}. Start it: systemctl start kikitori (without units: kikitori serve)"
        )
        down = NotRunningError(sentence.format(why=seen.recorder.why))
    try:
        findings = health.judge(seen, want_of(loaded), wall_clock())
    except PolicyError:
        if down is not None:
            raise down from None
        _tell(seen, [], as_json=as_json)  # what the recorder says is worth knowing all the same
        raise
    _tell(seen, findings, as_json=as_json)
    if down is not None:
        raise down
    raise typer.Exit(1 if any(finding.severity is Severity.error for finding in findings) else 0)


def _from_afar(*, as_json: bool) -> NoReturn:
    """As the desk tells whoever is signed in."""
    with at_api() as client:
        found = client.status()
    findings = [Finding(**one | {"severity": Severity(one["severity"])}) for one in found["findings"]]
    if as_json:
        say_json({**(found["recorder"] or {}), "findings": found["findings"]})
    else:
        if found["recorder"]:
            _say(found["recorder"])
        _show(findings)
    raise typer.Exit(1 if any(finding.severity is Severity.error for finding in findings) else 0)


def _tell(seen: HealthSeen, findings: Sequence[Finding], *, as_json: bool) -> None:
    told = {} if isinstance(seen.recorder, Unseen) else dict(seen.recorder)
    if as_json:
        minutes = {"spool_minutes": round(_minutes(told), 1)} if told else {}
        say_json({**told, **minutes, "findings": [asdict(finding) for finding in findings]})
        return
    if told:
        _say(told)
    _show([finding for finding in findings if not told or finding.check not in ("recorder", "events")])


async def _look(loaded: Settings) -> HealthSeen:
    stock = await asyncio.to_thread(storage.stock, loaded, wall_clock())
    try:
        desk = await build_desk(loaded, wall_clock, "status")
    except KikitoriError:
        return await health.look(loaded, None, wall_clock(), stock)
    try:
        return await health.look(loaded, desk, wall_clock(), stock)
    finally:
        await desk.close()


def _minutes(told: Mapping[str, Any]) -> float:
    """How long the spool lasts for what is recorded now, were nothing taken out of it. At 8 kHz."""
    minutes: float = told["spool_free"] / 32000 / max(1, told["recording"]) / 60
    return minutes


def _say(told: Mapping[str, Any]) -> None:
    """What the recorder says of itself."""
    out.print(_("PBX: {state}").format(state=_("connected and in step") if told["in_step"] else _("NOT CONNECTED")))
    out.print(_("Calls: {calls}, recorded now: {recording}").format(**told))
    out.print(
        _("Events: {waiting} wait, the last one was {late:.1f} s late; {lost} lost since the start").format(
            waiting=told["events_waiting"],
            late=told["events_delay"],
            lost=told["events_dropped"] + told["events_oversized"],
        )
    )
    out.print(
        _("Spool: {free} MiB free, enough for {minutes} minutes of what is recorded now").format(
            free=told["spool_free"] >> 20, minutes=int(_minutes(told))
        )
    )
    if told["trouble"]:
        out.print(_("TROUBLE: {what}").format(what=localise(told["trouble"])), style="bold red")


def _show(findings: Sequence[Finding]) -> None:
    """Everything else, one line each, and what to do where it is not well."""
    called = health.titles()
    made = Table(box=None, show_header=False, pad_edge=False)
    made.add_column(no_wrap=True)
    made.add_column(no_wrap=True)
    made.add_column(overflow="fold", ratio=1)
    for finding in findings:
        sign, colour = SIGNS[finding.severity] if finding.made else NOT_MADE
        wrong = finding.severity is not Severity.ok
        text = Text(printable(finding.found), style=colour if wrong else "")
        if wrong and finding.remedy:
            text.append(f"\n→ {printable(finding.remedy)}", style="dim")
        made.add_row(Text(sign, style=f"bold {colour}"), called[finding.check], text)
    out.print(made)
