"""`kikitori audit`."""

import json
import sys
from collections.abc import Mapping
from importlib.resources import files
from pathlib import Path
from typing import Annotated, Any

import typer

from cti.cli import review
from cti.cli.common import Commands, Json, out, say_json, table, when
from cti.cli.local import allowed, at_desk
from cti.cli.session import at_api, by_session
from cti.cli.signin import By, Code, PasswordFile, Proof, proof
from cti.cli.terminal import one_line
from cti.desk import Desk
from cti.errors import NotFoundError, UsageError
from cti.explain import explain, localise, word
from cti.i18n import _, ngettext
from policies.rights import Act
from recorder import access
from recorder.access.audit import Report
from recorder.access.checkpoint import Checkpoint
from recorder.access.entry import Draft, Entry

LONG = ("manifest_sha256", "note", "recipient")
"""What `show` has, and a line of a list has no room for."""


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("The access log."))
    group.command(
        "list",
        help=_("What was done, by whom, when and why."),
        epilog=_("Examples: kikitori audit list --from 120 --json · kikitori audit list --object sato --by tanaka"),
    )(list_)
    group.command(
        "verify",
        help=_("Recompute the log's chain and tree, and compare with the signed checkpoints on the second medium."),
        epilog=_("Example: kikitori audit verify"),
    )(verify)
    group.command(
        "show",
        help=_("One entry, exactly as it stands in the log."),
        epilog=_("Example: kikitori audit show 120"),
    )(show)
    group.command(
        "checkpoint",
        help=_(
            "Sign the log's size and root, and print it. Whoever keeps it elsewhere notices when the log is rewritten."
        ),
        epilog=_("Example: kikitori audit checkpoint"),
    )(checkpoint)
    group.command(
        "proof",
        help=_(
            "An extract for outsiders: each entry with the proof that it is in the log, the signed checkpoint, the "
            "public key, and a program that checks them without Kikitori. No other entry is shown."
        ),
        epilog=_("Example: kikitori audit proof --object 3f2a1b4c-... --out extract"),
    )(extract)
    group.command(
        "consistency",
        help=_("Proof that the log of now continues that of a checkpoint which somebody kept."),
        epilog=_("Example: kikitori audit consistency kept.note --out extract"),
    )(consistency)
    review.register(group)
    app.add_typer(group, name="audit")


def list_(
    start: Annotated[int, typer.Option("--from", min=0, help=_("First entry."))] = 0,
    about: Annotated[
        str | None, typer.Option("--object", help=_("Only those about it: the id of a recording or an account."))
    ] = None,
    action: Annotated[
        str | None, typer.Option("--action", help=_("Only those of it: play.result, for example."))
    ] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """List the log."""
    if by_session(by):
        with at_api() as client:
            entries = [_entry(one) for one in client.log(start, about=about, action=action)]
    else:
        who = proof(by, password_file, code) if by else None

        async def do(desk: Desk) -> list[Entry]:
            await _reader(desk, who, start)
            return list(desk.audit(start, about=about, action=action))

        entries = at_desk(do)
    if as_json:
        for entry in entries:
            say_json(json.loads(entry.raw))
        return
    table(
        (_("No."), _("When"), _("Who"), _("What"), _("Of"), _("Details")),
        (
            (entry.seq, when(entry.ts), entry.actor, word(entry.action), entry.object[:40],
             ", ".join(f"{word(key)}={word(value)}" for key, value in entry.detail.items() if key not in LONG))
            for entry in entries
        ),
    )  # fmt: skip


def verify(as_json: Json = False) -> None:
    """Verify the log."""

    async def do(desk: Desk) -> tuple[Report, tuple[str, ...]]:
        return desk.verify_log()

    report, checkpoints = at_desk(do)
    problems = [*report.problems, *checkpoints]
    if as_json:
        say_json({"size": report.size, "root": report.root, "problems": problems})
    else:
        for problem in problems:
            out.print(localise(problem), style="red", highlight=False)
        if not problems:
            out.print(
                _("{size} entries, unbroken; root {root}").format(size=report.size, root=report.root.hex()),
                style="green",
            )
    if problems:
        raise typer.Exit(1)


def show(
    number: Annotated[int, typer.Argument(min=0, help=_("Number of the entry."), metavar="NUMBER")],
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Show an entry."""
    if by_session(by):
        with at_api() as client:
            entry = next(map(_entry, client.log(number)), None)
    else:
        who = proof(by, password_file, code) if by else None

        async def do(desk: Desk) -> Entry | None:
            await _reader(desk, who, number)
            return next(desk.audit(number), None)

        entry = at_desk(do)
    if entry is None or entry.seq != number:
        raise NotFoundError(_("the access log has no entry {number}").format(number=number))
    values = json.loads(entry.raw)
    if as_json:
        say_json(values | {"sha256": entry.digest})
        return
    for name, value in (
        (_("No."), entry.seq), (_("When"), when(entry.ts)), (_("Who"), entry.actor), (_("What"), word(entry.action)),
        (_("Of"), entry.object), (_("SHA-256 of the entry before"), entry.prev), (_("SHA-256"), entry.digest),
    ):  # fmt: skip
        out.print(one_line(f"{name}: {value}"), highlight=False)
    for key, value in entry.detail.items():
        out.print(one_line(f"  {word(key)}: {word(value)}"), highlight=False)


def checkpoint(as_json: Json = False) -> None:
    """Sign one."""

    async def do(desk: Desk) -> Checkpoint:
        return desk.signed_state()

    found = at_desk(do)
    if as_json:
        say_json({"origin": found.origin, "size": found.size, "root": found.root.hex(), "note": found.note})
        return
    sys.stdout.write(found.note)


def _entry(one: Any) -> Entry:
    """An entry that came over the API, with the bytes that it has in the log."""
    draft = Draft(ts=one.ts, actor=one.actor, action=one.action, object=one.object, detail=one.detail)
    return draft.at(one.seq, bytes.fromhex(one.prev))


async def _reader(desk: Desk, who: Proof | None, start: int) -> None:
    """Whoever reads the log has a line in it (9条2); as long as nobody has an account, nobody reads it by name."""
    if await allowed(desk, Act.LOG, who) is not None:
        desk.log("log.read", desk.catalogue.pbx, {"from": start})


Out = Annotated[Path, typer.Option("--out", help=_("New folder for the files."), metavar="DIR")]


def extract(
    out_: Out,
    numbers: Annotated[
        list[int] | None, typer.Argument(min=0, help=_("Numbers of entries."), metavar="NUMBER...")
    ] = None,
    about: Annotated[
        str | None, typer.Option("--object", help=_("All entries about it: the id of a recording or an account."))
    ] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    as_json: Json = False,
) -> None:
    """Write an extract."""
    if bool(numbers) == (about is not None):
        raise UsageError(_("name entries by their numbers, or what they are about with --object"))
    who = proof(by, password_file, code) if by else None

    async def do(desk: Desk) -> tuple[dict[str, bytes], int]:
        await allowed(desk, Act.LOG, who)
        found, newest = desk.proofs(numbers or [], about)
        made = {f"{one.entry.seq}.tlog-proof": one.text.encode() for one in found}
        made["checkpoint.note"] = newest.note.encode()
        return made | _common(desk, "perl verify-log.pl log.pub proof *.tlog-proof"), len(found)

    written, count = at_desk(do)
    _write(out_, written)
    _tell(out_, count, as_json=as_json)


def consistency(
    kept: Annotated[Path, typer.Argument(help=_("The checkpoint that was kept."), metavar="FILE")],
    out_: Out,
    as_json: Json = False,
) -> None:
    """Write a proof of consistency."""
    try:
        note = kept.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{kept}: {explain(error)}") from error

    async def do(desk: Desk) -> dict[str, bytes]:
        text, newest = desk.continues(note, str(kept))
        made = {"consistency.txt": text.encode(), "old.note": note.encode(), "new.note": newest.note.encode()}
        return made | _common(desk, "perl verify-log.pl log.pub consistency consistency.txt old.note new.note")

    _write(out_, at_desk(do))
    _tell(out_, 1, as_json=as_json)


def _common(desk: Desk, command: str) -> dict[str, bytes]:
    program = files(access) / "verify-log.pl"
    readme = _(
        "An extract of an access log. To check it, with Perl and openssl alone:\n\n    {command}\n\n"
        "Get log.pub by another way than this folder: whoever made the folder could have put in a key of his own.\n"
    )
    return {
        "log.pub": (desk.keys / "log.pub").read_bytes(),
        "verify-log.pl": program.read_bytes(),
        "README.txt": readme.format(command=command).encode(),
    }


def _write(folder: Path, content: Mapping[str, bytes]) -> None:
    folder.mkdir()
    for name, data in content.items():
        (folder / name).write_bytes(data)


def _tell(folder: Path, count: int, *, as_json: bool) -> None:
    if as_json:
        say_json({"folder": str(folder), "proofs": count})
        return
    told = ngettext(
        "{count} proof in {folder}; README.txt there says how it is checked.",
        "{count} proofs in {folder}; README.txt there says how they are checked.",
        count,
    )
    out.print(told.format(count=count, folder=folder), style="green", highlight=False)
