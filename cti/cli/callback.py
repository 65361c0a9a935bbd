"""`kikitori callback`: who is to be called, the call itself, and what came of it. By a session alone."""

import sys
import time
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer
from click import Choice

from cti.cases.acts import CALLED, Met
from cti.cli.case import customer, given, naming_options, then, warn
from cti.cli.common import Commands, Json, err, out, say_json
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.cli.ticket import listed
from cti.explain import word
from cti.i18n import _
from cti.sentences import moment_text

if TYPE_CHECKING:
    from cti.api.caseshapes import Called, Case, Ringing

LOOK: Final = 1.0
"""Seconds between two looks at how a call goes."""

Which = Annotated[str, typer.Argument(help=_("Name of the ticket: 12-1, the first of case 12."), metavar="TICKET")]
Phone = Annotated[
    str, typer.Option("--phone", envvar="KIKITORI_PHONE", help=_("Your telephone: it rings first."), metavar="PHONE")
]
Again = Annotated[
    str | None,
    typer.Option("--again", help=_("When they are called again: 15:00 today, or a time. Default: by the policy.")),
]
Left = Annotated[
    str | None, typer.Option("--left", help=_("What was said to another person, or a voicemail."), metavar="TEXT")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Callbacks: who is to be called, the call itself, and what came of it."))
    group.command(
        "list",
        help=_("Who is to be called, the first first: what was promised, and calls that nobody answered."),
        epilog=_("Examples: kikitori callback list · kikitori callback list --late --json"),
    )(list_)
    group.command(
        "dial",
        help=_(
            "Call for a ticket: your telephone rings, and when you pick it up, the customer's. Recorded as every call "
            "from that telephone is. Afterwards it is asked whom you met. Once `export KIKITORI_PHONE=2001` spares "
            "--phone."
        ),
        epilog=_("Example: kikitori callback dial 12-1 --phone 2001"),
    )(dial)
    group.command(
        "result",
        help=_("Whom a call for a ticket met. Of the customer, the promise is kept; else it is tried again."),
        epilog=_(
            "Examples: kikitori callback result 12-1 customer · kikitori callback result 12-1 voicemail --again 17:30"
        ),
    )(result)
    app.add_typer(group, name="callback")


def list_(
    late: Annotated[bool, typer.Option("--late", help=_("Only what should have been done."))] = False,
    unit: Annotated[
        str | None, typer.Option("--unit", help=_("Who keeps it: cc, contractor, or a 所管課's name."))
    ] = None,
    as_json: Json = False,
) -> None:
    """List who is to be called."""
    listed({"late": late or None, "limit": 1000}, unit, as_json=as_json, kinds=CALLED)


def dial(ticket: Which, phone: Phone, as_json: Json = False) -> None:
    """Call."""
    from cti.api.caseshapes import Dial
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        call = client.dial(ticket, shaped(Dial, phone=phone))
        if as_json:
            say_json(call.model_dump(mode="json"))
            return
        _announce(call)
        called = _follow(client, ticket)
        if called is None:
            return
        _tell(called)
        if called.outcome != "answered":
            return
        if not sys.stdin.isatty():
            out.print(_("Say whom you met: kikitori callback result {ticket} …").format(ticket=ticket))
            return
        met = Met(typer.prompt(_("Whom did you meet"), type=Choice([one.value for one in Met])))
        _say(client, ticket, met, None, None)


def result(
    ticket: Which,
    met: Annotated[Met, typer.Argument(help=_("Whom the call met."), metavar="WHOM")],
    again: Again = None,
    left: Left = None,
    as_json: Json = False,
) -> None:
    """Whom a call met."""
    with naming_options(), at_api() as client:
        _say(client, ticket, met, left, again, as_json=as_json)


def _announce(call: "Ringing") -> None:
    out.print(_("{phone} rings: pick it up.").format(phone=call.phone), highlight=False)
    out.print(f"{customer(call)}  {one_line(call.inquiry)}".strip(), highlight=False)
    if call.contact is not None and call.contact.extension:
        out.print(_("Ask for extension {extension}.").format(extension=call.contact.extension))
    if call.discreet:
        out.print(_("Say nothing of it to family or a voicemail: they asked for that."), style="bold yellow")
    if call.others:
        others = ", ".join(call.others)
        out.print(_("The same number is to be called for {tickets}, too.").format(tickets=others), highlight=False)


def _follow(client: Any, ticket: str) -> "Called | None":
    """Until the call is over; None where nobody waits for that."""
    try:
        with err.status(_("Calling…")):
            while (called := client.last_call(ticket)).outcome is None:
                time.sleep(LOOK)
    except KeyboardInterrupt:
        err.print(_("The call goes on. Afterwards: kikitori callback result {ticket} …").format(ticket=ticket))
        return None
    return called  # type: ignore[no-any-return]  # the client's type is its own


def _tell(called: "Called") -> None:
    said = word(called.outcome)
    if called.outcome == "answered":
        said = _("Answered, {seconds} s.").format(seconds=called.seconds)
    elif called.again is not None:
        said = _("{outcome}; again at {time}.").format(outcome=said, time=moment_text(called.again))
    out.print(said, highlight=False)


def _say(client: Any, ticket: str, met: Met, left: str | None, again: str | None, *, as_json: bool = False) -> None:
    from cti.api.caseshapes import TriedIn
    from cti.cli.ways import shaped

    asked = shaped(TriedIn, met=met, **given(left=left, again=then(again, "--again") if again else None))
    found: Case = client.tried(ticket, asked)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    next_try = found.history[-1].get("again")
    if next_try:
        said = _("Put down; again at {time}.").format(time=moment_text(datetime.fromisoformat(next_try)))
    elif met is Met.CUSTOMER:
        said = _("Kept: {ticket}. Then: kikitori case answer {case}").format(ticket=ticket, case=found.number)
    else:
        said = _("Put down. Another number: kikitori case reach {case} --contact …").format(case=found.number)
    out.print(said, style="green", highlight=False)
    warn(found)
