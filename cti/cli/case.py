"""`kikitori case`: every question of every channel, and what was done with it. By a session alone."""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from cti.app.clock import wall_clock
from cti.cases.acts import CENTRE, CONTRACTOR, EMERGENCY, SYSTEM, Channel, Outcome, State, VoiceBasis, VoiceState, Why
from cti.cases.contact import Missing, folded
from cti.cases.model import as_asked
from cti.cli import importing
from cti.cli.common import Commands, Json, err, out, say_json, table
from cti.cli.history import called, done, spoken_channel
from cti.cli.session import at_api
from cti.cli.terminal import one_line
from cti.cli.typed import time_of
from cti.errors import KikitoriError, UsageError
from cti.explain import word
from cti.i18n import _
from cti.sentences import moment_text
from policies.calendar import JST

if TYPE_CHECKING:
    from cti.api.caseshapes import Case, CaseLine, Ringing, Ticket

WIDE: Final = 40
"""Characters of a question in a list."""
_CLOCK = re.compile(r"\d{1,2}:\d\d", re.ASCII)

Which = Annotated[str, typer.Argument(help=_("Number of the case, or the beginning of its id."), metavar="CASE")]
Category = Annotated[str | None, typer.Option("--category", help=_("Kind of question, as `section list` has them."))]
Main = Annotated[str | None, typer.Option("--main", help=_("The one main 所管課: name or title."))]
Related = Annotated[
    list[str] | None, typer.Option("--related", help=_("Another 所管課 that it concerns; again for more."))
]
Name = Annotated[str | None, typer.Option("--name", help=_("Name of the customer."))]
Contact = Annotated[str | None, typer.Option("--contact", help=_("Telephone number of the customer, in any writing."))]
NoNumber = Annotated[Missing | None, typer.Option("--no-number", help=_("Why there is no number."))]
ReadBack = Annotated[bool, typer.Option("--read-back", help=_("The number was read to them, and they said yes (4条)."))]
Email = Annotated[str | None, typer.Option("--email", help=_("E-mail address of the customer."))]
Address = Annotated[str | None, typer.Option("--address", help=_("Postal address of the customer."))]
Between = Annotated[
    str | None,
    typer.Option(
        "--between",
        help=_("Hours in which they want to be called; any: whichever the policy has."),
        metavar="18:00-20:00",
    ),
]
Discreet = Annotated[
    bool | None,
    typer.Option("--discreet/--not-discreet", help=_("Nothing of it is said to family or a voicemail, or it may be.")),
]
Agrees = Annotated[
    bool | None, typer.Option("--callback/--no-callback", help=_("They agree to be called back, or do not (4条)."))
]
Call = Annotated[str | None, typer.Option("--call", help=_("Conversation that it came up in, as `calls list` has it."))]
When = Annotated[
    str | None,
    typer.Option("--promised", help=_("When they will be called, as they were told: 15:00 today, or a time.")),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(
        help=_("Cases: every question of every channel, and what was done with it. `kikitori login` first.")
    )
    add(
        group,
        ("enter", enter, _("Enter a question, with what is known of whoever asks."),
         "enter --inquiry 断水の予定 --name 山田 --contact 06-6458-1132 --read-back --callback --main 給水課",
         "enter --channel fax --inquiry 検針票の金額が先月の倍"),
        ("list", list_, _("Cases that you may see, the newest first; or what is to be done first."),
         "list --state open --soonest", "list 漏水 山田", "list --number 06-6458-1132 --json"),
        ("show", show, _("One case, with everything that was done."), "show 12"),
        ("note", note, _("Write down something to be known."), "note 12 家の裏に止水栓"),
        ("amend", amend, _("Put right what is asked; what it said before stays in the history."),
         "amend 12 --inquiry 検針票の金額が先々月の倍 --category 料金"),
        ("reach", reach, _("How the customer is reached, and whether they agree to be called back."),
         "reach 12 --name 山田 --contact 090-1234-5678 --read-back --callback"),
        ("assign", assign, _("Whose it is: one main 所管課, and others that it concerns."),
         "assign 12 給水課 --related 庶務課"),
        ("hand-over", hand_over, _("Hand it over to the main 所管課, which calls back; or as the options say (4条)."),
         "hand-over 12 --main 給水課 --promised 15:00", "hand-over 12 --transfer wish",
         "hand-over 12 --told 06-6458-7160 --promised 15:00"),
        ("put-through", put_through,
         _("Put the caller whom you have on the telephone through to a 所管課 at once (4条ただし書). It sees the case "
           "before its telephone rings; if nobody takes the call, you have it again."),
         "put-through 12 --why wish", "put-through 12 給水課 --why other --words 担当者との約束"),
        ("accept", accept, _("Take what was handed over to your 所管課."), "accept 12"),
        ("answer", answer, _("The customer was answered: how, and what came of it. Closes the case."),
         "answer 12 --result 修繕業者を案内", "answer 12 --outcome declined --result 条例により減額できない"),
        ("expect", expect, _("Until when somebody acts next."), "expect 12 2027-04-02T10:00 --reason 在宅の日"),
        ("reopen", reopen, _("It was not over."), "reopen 12 もう一度電話があった"),
        ("demand", demand, _("不当要求行為: what was demanded, in their words. 水道局長 is to be told at once (5条3)."),
         "demand 12 土下座しろ"),
        ("report", report, _("水道局長 was told of an unjust demand."), "report 12", "report 12 --at 14:50"),
        ("voice", voice, _("It is 市民の声 (5条(3)): 広聴担当 sees to it."), "voice 12 --basis unit-judged"),
        ("voice-step", voice_step, _("How far the procedure of 市民の声 is."), "voice-step 12 done 全所属に周知"),
        ("import", importing.import_, _("Rows of a sheet (CSV, Excel) become cases; a dry run without --apply."),
         "import 受付簿.xlsx --channel phone --time 09:00 --report report.csv",
         "import 受付簿.csv --column inquiry=ご用件 --keep 天気 --apply --all-or-nothing"),
        ("template", importing.template, _("An empty sheet with every heading that `case import` knows."),
         "template 受付簿.xlsx"),
    )  # fmt: skip
    from cti.cli import joining, letters, sharing  # they do what they do by this module

    joining.register(group)
    letters.register(group)
    sharing.register(group)
    app.add_typer(group, name="case")


def add(group: typer.Typer, *commands: tuple[Any, ...]) -> None:
    """Add commands to `kikitori case`, each by (name, function, what it does, example...)."""
    for name, function, said, *examples in commands:
        shown = " · ".join(f"kikitori case {example}" for example in examples)
        group.command(name, help=said, epilog=_("Examples: {examples}").format(examples=shown))(function)


def enter(
    inquiry: Annotated[str, typer.Option("--inquiry", help=_("What they ask."), prompt=_("What they ask"))],
    channel: Annotated[Channel, typer.Option("--channel", help=_("How it came in."))] = Channel.PHONE,
    category: Category = None,
    main: Main = None,
    related: Related = None,
    name: Name = None,
    contact: Contact = None,
    no_number: NoNumber = None,
    read_back: ReadBack = False,
    email: Email = None,
    address: Address = None,
    between: Between = None,
    discreet: Discreet = None,
    agrees: Agrees = None,
    call: Call = None,
    received_by: Annotated[
        str | None, typer.Option("--received-by", help=_("Who took it: cc, contractor, emergency, or a 所管課."))
    ] = None,
    received_at: Annotated[
        str | None, typer.Option("--received-at", help=_("When it was taken. Default: now."))
    ] = None,
    as_json: Json = False,
) -> None:
    """Enter a case."""
    from cti.api.caseshapes import Enter
    from cti.cli.ways import shaped

    with naming_options():
        asked = shaped(Enter, **given(
            channel=channel, inquiry=inquiry, category=category, main=main, related=related, name=name, contact=contact,
            missing=no_number, read_back=read_back or None, email=email, address=address,
            **_hours(between), discreet=discreet, consent=agrees, conversation=call, received_by=received_by,
            received_at=then(received_at, "--received-at") if received_at else None,
        ))  # fmt: skip
        with at_api() as client:
            case = client.enter_case(asked)
    _say(case, _("Entered: case {number}."), as_json=as_json)
    if case.others and not as_json:
        numbers = ", ".join(str(number) for number in case.others)
        err.print(_("The same number has other open cases: {numbers}").format(numbers=numbers), style="yellow")


def list_(
    words: Annotated[
        list[str] | None,
        typer.Argument(help=_("Words that were written, all of them, or a telephone number."), metavar="[WORD]..."),
    ] = None,
    state: Annotated[list[State] | None, typer.Option("--state", help=_("Where it stands; again for more."))] = None,
    owner: Annotated[
        str | None, typer.Option("--owner", help=_("Who sees to it: cc, contractor, or a 所管課's name."))
    ] = None,
    main: Annotated[str | None, typer.Option("--main", help=_("Main 所管課, by name."))] = None,
    category: Category = None,
    channel: Annotated[Channel | None, typer.Option("--channel", help=_("How it came in."))] = None,
    number: Annotated[str | None, typer.Option("--number", help=_("Telephone number of the customer."))] = None,
    call: Call = None,
    since: Annotated[str | None, typer.Option("--from", help=_("Received then or later: 2027-04-01T09:00."))] = None,
    until: Annotated[str | None, typer.Option("--to", help=_("Received before then."))] = None,
    late: Annotated[bool, typer.Option("--late", help=_("Only what should have been done."))] = False,
    soonest: Annotated[bool, typer.Option("--soonest", help=_("What is to be done first, first."))] = False,
    most: Annotated[int, typer.Option("--limit", min=1, max=100_000, help=_("At most so many."))] = 100,
    as_json: Json = False,
) -> None:
    """List cases."""
    stands = state or ([one for one in State if one is not State.CLOSED] if soonest else None)
    wanted = given(
        state=stands, channel=channel, number=number, words=" ".join(words) if words else None, conversation=call,
        late=late or None, soonest=soonest or None,
        **{"from": time_of(since, "--from") if since else None, "to": time_of(until, "--to") if until else None},
    )  # fmt: skip
    with naming_options(), at_api() as client:
        names = names_of(client)
        wanted |= given(
            owner=named(names, "--owner", owner), main=named(names, "--main", main),
            category=named(names, "--category", category, "category:"),
        )  # fmt: skip
        found = list(client.cases(wanted, most))
    if as_json:
        for line in found:
            say_json(line.model_dump(mode="json"))
        return
    if not found:
        out.print(_("No cases."))
        return
    if len(found) == most:
        err.print(_("The first {count} only; --limit shows more.").format(count=most), style="yellow")
    table(
        (_("No."), _("Received"), _("Came in by"), _("State"), _("Seen to by"), _("Due"), _("Customer"),
         _("What they ask")),
        (
            (line.number, moment_text(line.received_at), spoken_channel(line.channel), _stands(line.state),
             names.get(line.owner, line.owner), _until(line), customer(line), asked_of(line))
            for line in found
        ),
    )  # fmt: skip


def show(case: Which, as_json: Json = False) -> None:
    """Show a case."""
    with at_api() as client:
        found = client.case(folded(case))
        names = {} if as_json else names_of(client)
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    title = _("Case {number}: {state}").format(number=found.number, state=_stands(found.state))
    out.print(title, style="bold", highlight=False)
    rows = [
        (
            _("Received"),
            f"{moment_text(found.received_at)}, {spoken_channel(found.channel)}, {called(names, found.received_by)}",
        ),
        (_("Seen to by"), called(names, found.owner)),
        (_("Main 所管課"), called(names, found.main) if found.main else ""),
        (_("Also concerned"), ", ".join(called(names, unit) for unit in found.related)),
        (_("Shared with"), ", ".join(called(names, unit) for unit in found.shared)),
        (_("Kind of question"), called(names, f"category:{found.category}") if found.category else ""),
        (_("Customer"), customer(found)),
        (_("Due"), _until(found)),
        (_("Call"), found.conversation or ""),
        (_("Same number"), ", ".join(str(number) for number in found.others)),
        (_("Duplicate of"), str(found.joined or "")),
        (_("Duplicates"), ", ".join(_duplicates(found))),
    ]
    for name, value in rows:
        if value:
            out.print(f"  {name}: {one_line(value)}", highlight=False, soft_wrap=True)
    out.print()
    out.print(one_line(found.inquiry) or _("(what they ask is not entered yet)"), highlight=False, soft_wrap=True)
    out.print()
    table(
        (_("When"), _("Who"), _("Unit"), _("What was done")),
        (
            (moment_text(datetime.fromisoformat(act["at"])), _("by itself") if act["by"] == SYSTEM else act["by"],
             called(names, act["unit"]), done(act, names))
            for act in found.history
        ),
    )  # fmt: skip


def _duplicates(found: "Case") -> Iterator[str]:
    """The cases that have ended in it, each with its call."""
    for act in found.history:
        if act["kind"] == "joined":
            yield " ".join(filter(None, (str(act["duplicate"]), act["conversation"])))


def note(
    case: Which,
    text: Annotated[str, typer.Argument(help=_("What is to be known."), metavar="TEXT")],
    as_json: Json = False,
) -> None:
    """Add a note."""
    do(case, [{"kind": "note", "text": text}], as_json=as_json)


def amend(
    case: Which,
    inquiry: Annotated[str | None, typer.Option("--inquiry", help=_("What they ask."))] = None,
    category: Category = None,
    call: Call = None,
    as_json: Json = False,
) -> None:
    """Put right."""
    said = given(inquiry=inquiry, category=category, conversation=call)
    if not said:
        raise UsageError(_("name what is put right: --inquiry, --category or --call"))
    do(case, [{"kind": "amend", **said}], as_json=as_json)


def reach(
    case: Which,
    name: Name = None,
    contact: Contact = None,
    no_number: NoNumber = None,
    read_back: ReadBack = False,
    email: Email = None,
    address: Address = None,
    between: Between = None,
    discreet: Discreet = None,
    agrees: Agrees = None,
    as_json: Json = False,
) -> None:
    """How they are reached."""
    acts = []
    said = given(
        name=name, contact=contact, missing=no_number, read_back=read_back or None, email=email, address=address,
        **_hours(between), discreet=discreet,
    )  # fmt: skip
    if said:
        if read_back and contact is None:
            raise UsageError(_("--read-back: name the number that was read back, --contact"))
        acts.append({"kind": "reach", **said})
    if agrees is not None:
        acts.append({"kind": "consent", "given": agrees})
    if not acts:
        raise UsageError(_("name what is known: --contact, --name, --email, --address, --between, --callback …"))
    do(case, acts, as_json=as_json)


def assign(
    case: Which,
    main: Annotated[str, typer.Argument(help=_("The one main 所管課: name or title."), metavar="所管課")],
    related: Related = None,
    category: Category = None,
    as_json: Json = False,
) -> None:
    """Whose it is."""
    do(case, [{"kind": "assign", "main": main, **given(related=related, category=category)}], as_json=as_json)


def hand_over(
    case: Which,
    main: Main = None,
    promised: When = None,
    transfer: Annotated[
        Why | None, typer.Option("--transfer", help=_("They were put through at once: why (4条ただし書)."))
    ] = None,
    words: Annotated[str | None, typer.Option("--words", help=_("The other reason."))] = None,
    told: Annotated[
        str | None, typer.Option("--told", help=_("Urgent: the 所管課 was told by telephone, on this number (4条(3))."))
    ] = None,
    written: Annotated[
        bool, typer.Option("--written", help=_("It came in writing: nobody is called (4条(2))."))
    ] = False,
    as_json: Json = False,
) -> None:
    """Hand over."""
    if sum((transfer is not None, told is not None, written)) > 1:
        raise UsageError(_("one of --transfer, --told and --written; none of them: they are called back"))
    way = "transfer" if transfer else "telephone" if told else "system" if written else "callback"
    over = {"kind": "hand-over", "way": way, **given(
        promised=then(promised, "--promised") if promised else None, why=transfer, words=words, reached=told,
    )}  # fmt: skip
    do(case, [*([{"kind": "assign", "main": main}] if main else []), over], as_json=as_json)


def put_through(
    case: Which,
    why: Annotated[Why, typer.Option("--why", help=_("Why they are put through."))],
    section: Annotated[
        str | None, typer.Argument(help=_("所管課, by name or title. Default: by the case."), metavar="SECTION")
    ] = None,
    words: Annotated[str | None, typer.Option("--words", help=_("The reason, if other."), metavar="TEXT")] = None,
    as_json: Json = False,
) -> None:
    """Put through."""
    from cti.api.caseshapes import PutThrough
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        names = names_of(client)
        put = client.put_through(case, shaped(PutThrough, **given(section=section, why=why, words=words)))
    if as_json:
        say_json(put.model_dump(mode="json"))
        return
    called = names.get(put.section, put.section)
    out.print(_("The caller goes to {section}, {phone}.").format(section=called, phone=put.phone), highlight=False)
    if put.instead:
        out.print(_("It stands in for the one that was meant, which is closed."))


def accept(case: Which, as_json: Json = False) -> None:
    """Take it."""
    do(case, [{"kind": "accept"}], as_json=as_json)


def answer(
    case: Which,
    result: Annotated[str, typer.Option("--result", help=_("What was done and what came of it."), prompt=_("Result"))],
    channel: Annotated[
        Channel | None, typer.Option("--channel", help=_("How they were answered. Default: as they asked (5条(1))."))
    ] = None,
    at: Annotated[
        str | None, typer.Option("--at", help=_("When they were answered: 14:50 today, or a time. Default: now."))
    ] = None,
    wish: Annotated[
        str | None, typer.Option("--wish", help=_("Their wish to be answered otherwise than they asked."))
    ] = None,
    outcome: Annotated[
        Outcome,
        typer.Option("--outcome", help=_("declined: with its reason; withdrawn: they want no answer any more.")),
    ] = Outcome.ANSWERED,
    keep_open: Annotated[bool, typer.Option("--keep-open", help=_("Do not close it yet."))] = False,
    as_json: Json = False,
) -> None:
    """Answered."""
    acts: list[dict[str, Any]] = [{"kind": "result", "outcome": outcome, "text": result}]
    if not keep_open:
        acts.append({"kind": "close"})

    def replied(found: "Case") -> list[dict[str, Any]]:
        if outcome is Outcome.WITHDRAWN and channel is None:
            return acts
        by = as_asked(found.channel)
        when = then(at, "--at") if at else None
        return [{"kind": "reply", "channel": channel or by, **given(wish=wish, answered_at=when)}, *acts]

    do(case, replied, as_json=as_json)


def expect(
    case: Which,
    until: Annotated[str, typer.Argument(help=_("15:00 today, or a time; -: nothing is waited for."), metavar="TIME")],
    reason: Annotated[str, typer.Option("--reason", help=_("Why then."))] = "",
    as_json: Json = False,
) -> None:
    """Until when."""
    at = None if until == "-" else then(until, "TIME")
    do(case, [{"kind": "expect", "until": at, "reason": reason}], as_json=as_json)


def reopen(
    case: Which,
    reason: Annotated[str, typer.Argument(help=_("Why it was not over."), metavar="REASON")],
    as_json: Json = False,
) -> None:
    """Open again."""
    do(case, [{"kind": "reopen", "reason": reason}], as_json=as_json)


def demand(
    case: Which,
    text: Annotated[str, typer.Argument(help=_("What was demanded, in their words."), metavar="TEXT")],
    call: Call = None,
    as_json: Json = False,
) -> None:
    """An unjust demand."""
    found = do(case, [{"kind": "unjust-demand", "text": text, **given(conversation=call)}], as_json=as_json)
    if as_json:
        return
    if found.held == "held":
        out.print(_("The recordings of its call are held (6条1ただし書)."), style="green")
    elif found.held is None:
        said = _("No call belongs to it, so no recording is held: kikitori case amend {case} --call CONVERSATION")
        err.print(said.format(case=found.number), style="yellow", highlight=False)
    else:
        err.print(_("The recordings of its call are not held yet: it is tried again."), style="yellow")


def report(
    case: Which,
    to: Annotated[str, typer.Option("--to", help=_("Who was told."))] = "水道局長",
    at: Annotated[
        str | None, typer.Option("--at", help=_("When they were told: 14:50 today, or a time. Default: now."))
    ] = None,
    as_json: Json = False,
) -> None:
    """Told of it."""
    told_at = then(at, "--at") if at else None
    do(case, [{"kind": "reported", "to": to, **given(told_at=told_at)}], as_json=as_json)


def voice(
    case: Which,
    basis: Annotated[
        VoiceBasis, typer.Option("--basis", help=_("unit-judged: all units are to know; customer-asked: they wish it."))
    ],
    text: Annotated[str, typer.Option("--text", help=_("What is to be known of it."))] = "",
    as_json: Json = False,
) -> None:
    """市民の声."""
    do(case, [{"kind": "voice", "basis": basis, "text": text}], as_json=as_json)


def voice_step(
    case: Which,
    step: Annotated[VoiceState, typer.Argument(help=_("How far it is."), metavar="STEP")],
    text: Annotated[str, typer.Argument(help=_("What was done."), metavar="[TEXT]")] = "",
    as_json: Json = False,
) -> None:
    """How far."""
    do(case, [{"kind": "voice-step", "step": step, "text": text}], as_json=as_json)


# --- inside -----------------------------------------------------------------------------------------------------------


def do(
    case: str, acts: Sequence[Mapping[str, Any]] | Callable[["Case"], Sequence[Mapping[str, Any]]], *, as_json: bool
) -> "Case":
    """Do it; where what is done depends on the case, only if nobody has done anything with it meanwhile."""
    from cti.api.caseshapes import Do
    from cti.cli.ways import shaped

    with naming_options(), at_api() as client:
        if callable(acts):
            before = client.case(folded(case))
            asked = shaped(Do, acts=acts(before), seen=before.acts)
        else:
            asked = shaped(Do, acts=acts)
        found: Case = client.act(folded(case), asked)
    _say(found, _("Done: case {number}."), as_json=as_json)
    return found


def _say(found: "Case", said: str, *, as_json: bool) -> None:
    if as_json:
        say_json(found.model_dump(mode="json"))
        return
    tell(found, said.format(number=found.number))


def tell(found: "Case", said: str) -> None:
    """What was done, and how the case stands."""
    told = [said, f"{_stands(found.state)}."]
    if found.next_at:
        told.append(_("Due: {until}").format(until=_until(found)))
    out.print(" ".join(told), style="green", highlight=False)
    warn(found)


def warn(found: "Case") -> None:
    """Whoever wrote what says neither yes nor no is told so (E-15)."""
    if found.evasive:
        said = _("It says neither yes nor no: {phrases}. Say what is done and until when, or decline, and why.")
        err.print(said.format(phrases=", ".join(found.evasive)), style="yellow", highlight=False)


@contextmanager
def naming_options() -> Iterator[None]:
    """What is said of a field is said of the option that gave it."""
    options = {
        "missing": "--no-number", "consent": "--callback", "conversation": "--call", "reached": "--told",
        "why": "--transfer", "text": "TEXT", "until": "TIME", "words": "WORD", "answered_at": "--at",
        "received_by": "--received-by", "received_at": "--received-at", "read_back": "--read-back",
        "ticket": "TICKET",
    }  # fmt: skip
    try:
        yield
    except KikitoriError as error:
        wrong: list[dict[str, str]] = getattr(error, "errors", [])
        if len(wrong) != 1:
            raise
        field = wrong[0]["at"].rpartition(".")[2]
        raise UsageError(f"{options.get(field, f'--{field}')}: {wrong[0]['problem']}") from error


def given(**values: Any) -> dict[str, Any]:
    """What was said at all."""
    return {name: value for name, value in values.items() if value is not None}


def then(text: str, where: str) -> datetime:
    """A time; only hours and minutes: of today, in Japan. Digits as they come out of a Japanese keyboard."""
    text = folded(text).strip()
    if _CLOCK.fullmatch(text):
        return time_of(f"{wall_clock().astimezone(JST).date().isoformat()}T{text.zfill(5)}", where)
    return time_of(text, where)


def _hours(text: str | None) -> dict[str, Any]:
    """18:00-20:00, or `any`. Raises UsageError."""
    if text is None or text == "any":
        return {"any_hour": True} if text else {}
    first, dash, last = (part.strip() for part in folded(text).partition("-"))
    if not dash or not _CLOCK.fullmatch(first) or not _CLOCK.fullmatch(last):
        raise UsageError(_("--between: {text!r} are no hours of a day: 18:00-20:00").format(text=text))
    return {"between": (first.zfill(5), last.zfill(5))}


def names_of(client: Any) -> dict[str, str]:
    """What units and kinds of questions are called."""
    found = client.sections()
    names = {CENTRE: "CC", CONTRACTOR: "運営会社", EMERGENCY: "緊急受付窓口"}
    names |= {one.name: one.title for one in found.sections}
    return names | {f"category:{one.name}": one.title for one in found.categories}


def named(names: Mapping[str, str], option: str, text: str | None, kind: str = "") -> str | None:
    """The name that `text` is, or is the title of. Raises UsageError for neither."""
    if text is None:
        return None
    known = {
        name.removeprefix(kind): title
        for name, title in names.items()
        if name.startswith(kind) and (kind or ":" not in name)
    }
    for name, title in known.items():
        if text in (name, title):
            return name
    raise UsageError(
        _("{option}: {text!r} is none of {names}").format(option=option, text=text, names=", ".join(known))
    )


def _stands(state: State) -> str:
    said = {
        State.OPEN: "being worked on", State.HANDED_OVER: "handed over", State.ACCEPTED: "taken on",
        State.CLOSED: "done with",
    }  # fmt: skip
    return word(said[state])


def _until(line: "CaseLine") -> str:
    if line.next_at is None:
        return ""
    said = moment_text(line.next_at)
    return _("{time} LATE").format(time=said) if line.late else said


def customer(line: "CaseLine | Ticket | Ringing") -> str:
    """Name and number."""
    number = line.contact.number or word(line.contact.missing) if line.contact else ""
    return " ".join(filter(None, (line.name, number)))


def asked_of(line: "CaseLine | Ticket") -> str:
    """The beginning of the question; of a row that was changed in the database, that."""
    return _("(changed in the database)") if line.damaged else in_short(line.inquiry)


def in_short(text: str) -> str:
    """The beginning of a text."""
    flat = one_line(text)
    return flat if len(flat) <= WIDE else f"{flat[: WIDE - 1]}…"
