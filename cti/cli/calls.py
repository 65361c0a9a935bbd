"""`kikitori calls`."""

from collections.abc import Mapping
from datetime import date
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from cti.answering import Answered, count
from cti.calls.model import Fact
from cti.calls.tracker import Silence, Tracker
from cti.cli import capture, live, why
from cti.cli.common import Commands, Json, out, say_json, table, when
from cti.cli.local import at_desk_for
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.terminal import one_line
from cti.cli.typed import day_of
from cti.explain import word
from cti.i18n import _
from cti.replay import Step, steps_of
from policies.calendar import JST
from policies.load import Policies
from policies.rights import Act


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Calls."))
    group.command(
        "list", help=_("Calls, newest first, answered or not."), epilog=_("Example: kikitori calls list --json")
    )(list_)
    group.command(
        "answering",
        help=_(
            "How soon the telephones were answered: rings, and the share within those promised, of the calls that were "
            "answered and of all that rang (C-07)."
        ),
        epilog=_("Examples: kikitori calls answering --from 2027-04-01 · kikitori calls answering --per month --json"),
    )(answering)
    group.command(
        "replay",
        help=_("Run a captured manager stream through framing and tracker; one line a fact."),
        epilog=_(
            "Examples: kikitori calls replay capture.ami --untimed --json · kikitori calls replay capture.ami --explain"
        ),
    )(replay)
    why.register(group)
    capture.register(group)
    live.register(group)
    app.add_typer(group, name="calls")


def list_(by: By = None, password_file: PasswordFile = None, code: Code = None, as_json: Json = False) -> None:
    """List calls."""

    found = at_desk_for(Act.LIVE, by, password_file, code, lambda desk: desk.calls())
    if as_json:
        for call in found:
            say_json(call)
        return
    table(
        (_("Call"), _("Arrived"), _("Answered"), _("Rings"), _("Ended"), _("Number"), _("Caller"), _("Outcome"),
         _("Recording")),
        (
            (call["conversation"][:8], when(call["arrived"]), when(call["answered"]), call["rings"],
             when(call["ended"]), call["number"], call["caller"], word(call["disposition"]),
             str(call["recording"] or "")[:8])
            for call in found
        ),
    )  # fmt: skip


class Per(StrEnum):
    """What calls are counted by."""

    DAY = "day"
    MONTH = "month"
    NUMBER = "number"

    def of(self, call: Mapping[str, Any]) -> str:
        """The line of the table that a call belongs to."""
        if self is Per.NUMBER:
            return str(call["number"] or "")
        day = str(call["rang"].astimezone(JST).date())
        return day if self is Per.DAY else day[:7]


def answering(
    start: Annotated[str | None, typer.Option("--from", help=_("First day."), metavar="DAY")] = None,
    end: Annotated[str | None, typer.Option("--to", help=_("Last day."), metavar="DAY")] = None,
    per: Annotated[Per, typer.Option(help=_("What to count by."))] = Per.DAY,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Count how soon the telephones were answered."""
    first = day_of(start, "--from") if start else date.min
    last = day_of(end, "--to") if end else date.max
    calls = at_desk_for(Act.LIVE, by, password_file, code, lambda desk: desk.calls())
    wanted = [call for call in calls if call["rang"] and first <= call["rang"].astimezone(JST).date() <= last]
    found = count(wanted, per.of)
    whole = count(wanted, lambda _call: "").get("", Answered())
    if as_json:
        for name, counted in found.items():
            say_json({per.value: name} | counted.public())
        return
    titles = {Per.DAY: _("Day"), Per.MONTH: _("Month"), Per.NUMBER: _("Number")}
    table(
        (
            titles[per],
            _("Rang"),
            _("Answered"),
            _("In time"),
            _("Of answered"),
            _("Of all"),
            _("Not answered"),
            _("Most rings"),
        ),
        (
            (
                name,
                row.rang,
                row.answered,
                row.in_time,
                _percent(row.share),
                _percent(row.share_of_all),
                row.rang - row.answered,
                row.longest or "",
            )
            for name, row in [*found.items(), (_("All"), whole)]
        ),
    )


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.1%}"


def replay(
    file: Annotated[
        Path, typer.Argument(help=_("Captured manager stream, or - for standard input."), metavar="FILE.ami")
    ],
    untimed: Annotated[bool, typer.Option(help=_("The stream has no Timestamp headers; `at` is null."))] = False,
    explain: Annotated[
        bool, typer.Option(help=_("Show every event, with what was made of it or why nothing was."))
    ] = False,
    policies: Annotated[
        Path | None, typer.Option(help=_("Folder of policies that know this PBX. Without it, `designated` is null."))
    ] = None,
    pbx: Annotated[str, typer.Option(help=_("Name of the PBX, for the conversations' ids."))] = "pbx1",
    as_json: Json = False,
) -> None:
    """Replay a stream."""
    tracker = Tracker(pbx=pbx, plan=Policies(policies).plan if policies else None, timed=not untimed)
    for step in steps_of(file, tracker):
        if explain:
            _explain(step, as_json=as_json)
        else:
            for fact in step.facts:
                _say(fact, as_json=as_json)


def _say(fact: Fact, *, as_json: bool, indent: str = "") -> None:
    if as_json:
        say_json(fact.public())
        return
    legs = "  ".join(f"{leg.channel} {leg.number or ''}" for leg in fact.legs)
    told = [word(fact.kind), word(fact.disposition), str(fact.merged or "")[:8], *fact.more.values()]
    about = " ".join(filter(None, told))
    at = fact.at.strftime("%H:%M:%S.%f")[:-3] if fact.at else ""
    _line(f"{indent}{at:12} {fact.what.value:15} {str(fact.conversation)[:8]}  {legs}  {about}".rstrip())


def _line(text: str) -> None:
    out.print(one_line(text), highlight=False, soft_wrap=True)


def _explain(step: Step, *, as_json: bool) -> None:
    event = step.event
    channel = (
        event.get("Channel")
        or event.get("DestChannel")
        or event.get("OrigTransfererChannel")
        or event.get("TransfererChannel")
    )
    if as_json:
        row = {"number": step.number, "event": event.event, "channel": channel or None, "tampered": step.tampered}
        say_json(row | {"silence": step.silence, "facts": [fact.public() for fact in step.facts]})
        return
    if not event.event:
        return
    reasons = {
        Silence.OF_NO_CALL: _("not needed"),
        Silence.NO_CHANNEL: _("names no channel"),
        Silence.OVER: _("its channel has ended"),
    }
    why = "" if step.facts else reasons[step.silence] if step.silence else _("nothing new")
    mended = _("somebody wrote into it, mended") if step.tampered else ""
    _line(f"{step.number:6} {event.event:20} {channel}  {'; '.join(filter(None, (why, mended)))}".rstrip())
    for fact in step.facts:
        _say(fact, as_json=False, indent="       -> ")
