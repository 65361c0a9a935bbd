"""`kikitori case draft`, `check`, `checks`: what is answered in writing, and who looks at it first (C-04)."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cti.cases.acts import WRITTEN, Channel, TicketKind
from cti.cases.contact import folded
from cti.cli.case import Which, add, asked_of, do, given, names_of
from cti.cli.common import Json, out, say_json, table
from cti.cli.session import at_api
from cti.cli.terminal import printable
from cti.errors import UsageError
from cti.explain import explain, word
from cti.i18n import _
from cti.sentences import moment_text

if TYPE_CHECKING:
    from cti.api.caseshapes import Case, Letter

KINDS = (TicketKind.CHECK, TicketKind.SEND)


def register(group: typer.Typer) -> None:
    """Add the commands."""
    add(
        group,
        ("draft", draft, _("What is to be sent by fax, letter or on the web: another person checks it first (C-04)."),
         "draft 12 --template answer --text 検針の誤りでした",
         "draft 12 --fax 06-6458-1132 --again 06-6458-1132 --text-file 回答.txt"),
        ("check", check, _("Look at what another person has drafted; --ok: it can go, --back: it goes back."),
         "check 12", "check 12 --ok", "check 12 --back 宛名が違う"),
        ("checks", checks, _("Drafts that wait to be checked, and those that were and are not sent."),
         "checks", "checks --json"),
    )  # fmt: skip


def draft(
    case: Which,
    channel: Annotated[
        Channel | None, typer.Option("--channel", help=_("fax, letter or web. Default: as they asked (5条(1))."))
    ] = None,
    to: Annotated[
        str | None,
        typer.Option("--to", help=_("E-mail or postal address. Default: the customer's, as `case reach` has it.")),
    ] = None,
    fax: Annotated[str | None, typer.Option("--fax", help=_("Fax number; --again has to be the same."))] = None,
    again: Annotated[
        str | None, typer.Option("--again", help=_("The fax number once more, read from what the customer wrote."))
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", help=_("To whom it is addressed. Default: the customer."))
    ] = None,
    text: Annotated[str | None, typer.Option("--text", help=_("What is written to them."))] = None,
    text_file: Annotated[
        Path | None, typer.Option("--text-file", help=_("File (UTF-8) with what is written to them."))
    ] = None,
    template: Annotated[
        str | None, typer.Option("--template", help=_("A template of sections.toml, in which the text goes."))
    ] = None,
    elsewhere: Annotated[
        str | None,
        typer.Option("--other-address", help=_("Why it goes elsewhere than to the customer."), metavar="REASON"),
    ] = None,
    as_json: Json = False,
) -> None:
    """Draft it."""
    if fax is not None and to is not None:
        raise UsageError(_("one of --to and --fax"))
    if text is not None and text_file is not None:
        raise UsageError(_("one of --text and --text-file"))
    if text is None and text_file is None and template is None:
        raise UsageError(_("name what is to be sent: --text, --text-file or --template"))
    written = text if text_file is None else _read(text_file)

    def asked(found: "Case") -> list[dict[str, Any]]:
        by = channel or (Channel.FAX if fax else found.channel)
        if by not in WRITTEN:
            raise UsageError(_("--channel: they did not ask in writing; name fax, letter or web"))
        return [{"kind": "draft", "channel": by, **given(
            to=fax or to, again=again, name=name, text=written, template=template, reason=elsewhere,
        )}]  # fmt: skip

    do(case, asked, as_json=as_json)


def check(
    case: Which,
    ok: Annotated[bool, typer.Option("--ok", help=_("It can go: address, text and enclosures are right."))] = False,
    back: Annotated[str | None, typer.Option("--back", help=_("It goes back: why."), metavar="REASON")] = None,
    as_json: Json = False,
) -> None:
    """Look at a draft, and say what comes of it."""
    if ok and back is not None:
        raise UsageError(_("one of --ok and --back"))
    if ok or back is not None:

        def looked(found: "Case") -> list[dict[str, Any]]:
            if found.letter is None:
                raise UsageError(_("case {number} has no draft").format(number=found.number))
            if not as_json:
                _show(found.letter)
            return [{"kind": "check", "draft": found.letter.draft, "ok": ok, **given(reason=back)}]

        do(case, looked, as_json=as_json)
        return
    with at_api() as client:
        found = client.case(folded(case))
    if as_json:
        say_json(found.letter.model_dump(mode="json") if found.letter else {})
    elif found.letter is None:
        out.print(_("case {number} has no draft").format(number=found.number))
    else:
        _show(found.letter)


def checks(as_json: Json = False) -> None:
    """What waits."""
    with at_api() as client:
        names = names_of(client)
        found = [one for kind in KINDS for one in client.tickets({"kind": kind, "limit": 1000})]
    if as_json:
        for one in found:
            say_json(one.model_dump(mode="json"))
        return
    if not found:
        out.print(_("No drafts wait."))
        return
    table(
        (_("Case"), _("Waits for"), _("Unit"), _("Due"), _("Since"), _("What they ask")),
        (
            (one.case, word(one.kind), names.get(one.unit, one.unit), _by(one), moment_text(one.at), asked_of(one))
            for one in found
        ),
    )  # fmt: skip


def _by(one: Any) -> str:
    if one.due is None:
        return ""
    said = moment_text(one.due)
    return _("{time} LATE").format(time=said) if one.late else said


def _read(path: Path) -> str:
    try:
        return path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(_("--text-file: {error}").format(error=explain(error))) from error


def _show(letter: "Letter") -> None:
    """All that another person looks at: where it goes, to whom, and what is in it."""
    stands = {None: _("nobody has checked it"), True: _("checked"), False: _("given back")}[letter.ok]
    told = [
        (_("Draft"), f"{letter.draft}, {letter.by}, {moment_text(letter.at)}: {stands}"),
        (_("Sent by"), word(letter.channel)), (_("To"), letter.to), (_("Addressed to"), letter.name),
        (_("Other address"), letter.reason), (_("Whom to ask"), letter.ask),
        (_("Checked by"), letter.checked_by or ""), (_("Given back"), letter.back),
    ]  # fmt: skip
    for title, value in told:
        if value:
            out.print(f"  {title}: {printable(value)}", highlight=False, soft_wrap=True)
    out.print()
    out.print(printable(letter.text), highlight=False, soft_wrap=True)
    out.print()
