"""`kikitori prompts`."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn

from cti.cli.common import Commands, Json, err, out, say_json, settings, table
from cti.errors import PromptError
from cti.explain import word
from cti.i18n import _, ngettext
from cti.prompts import LANGUAGES, Language, problems, shelf
from cti.prompts import render as speak
from cti.prompts.sound import RATE, heard


class Spoken(StrEnum):
    """The languages of prompts."""

    ja = "ja"
    en = "en"


OfLanguage = Annotated[Spoken | None, typer.Option("--language", help=_("One language alone: ja or en."))]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("What callers hear before and around a conversation."))
    group.command(
        "check",
        help=_(
            "Look at every prompt, ours and the bureau's own: missing, unreadable, of another format, silent, clipped, "
            "too long, misnamed, out of date. Ends with 0 where nothing is wrong."
        ),
        epilog=_("Example: kikitori prompts check --json"),
    )(check)
    group.command(
        "list",
        help=_(
            "Every prompt: its words, how long it is, and whose. A recording NAME.wav or NAME.ulaw in ja/ or en/ of "
            "the folder that the setting paths.prompts names is heard in place of ours."
        ),
        epilog=_("Example: kikitori prompts list --language en"),
    )(list_)
    group.command(
        "render",
        help=_(
            "Speak the texts anew, with Open JTalk and Flite. Nothing is fetched: our Japanese is spoken by "
            "mei_normal.htsvoice (MMDAgent, CC BY 3.0), which the Python package pyopenjtalk-plus carries."
        ),
        epilog=_(
            "Example: kikitori prompts render --voice mei_normal.htsvoice --only closed --out asterisk-config/prompts"
        ),
    )(render)
    app.add_typer(group, name="prompts")


def check(as_json: Json = False) -> None:
    """Check."""
    own = settings().settings.paths.prompts
    found = problems(own)
    for each in found:
        if as_json:
            say_json({"file": each.file, "flaw": each.flaw, "problem": each.problem})
        else:
            out.print(each.problem, style="red", highlight=False, soft_wrap=True)
    count = len(shelf(own))
    if as_json:
        say_json({"prompts": count, "problems": len(found)})
    elif not found:
        text = ngettext("{count} prompt: nothing is wrong.", "{count} prompts: nothing is wrong.", count)
        out.print(text.format(count=count), style="green")
    if found:
        err.print(_("{count} problems").format(count=len(found)), style="bold red")
        raise typer.Exit(1)


def list_(language: OfLanguage = None, as_json: Json = False) -> None:
    """List the prompts."""
    rows = [
        {
            "language": each.language,
            "name": each.name,
            "text": each.words,
            "seconds": _seconds(each.file),
            "whose": "own" if each.own else "shipped",
            "file": each.file,
        }
        for each in shelf(settings().settings.paths.prompts)
        if each.language in _languages(language)
    ]
    if as_json:
        for row in rows:
            say_json(row)
        return
    table(
        (_("Name"), _("Text"), _("Seconds"), _("Whose")),
        ((f"{row['language']}/{row['name']}", row["text"], row["seconds"], word(row["whose"])) for row in rows),
    )


def render(
    folder: Annotated[
        Path, typer.Option("--out", help=_("Folder of the folders ja and en, which are made."), metavar="DIR")
    ],
    voice: Annotated[
        Path | None, typer.Option(help=_("Voice for what is said in Japanese."), metavar="FILE.htsvoice")
    ] = None,
    only: Annotated[
        list[str] | None, typer.Option(help=_("This prompt alone; may be repeated."), metavar="NAME")
    ] = None,
    language: OfLanguage = None,
    as_json: Json = False,
) -> None:
    """Render."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("")
        written = speak(
            folder,
            voice=voice,
            only=only or (),
            languages=_languages(language),
            told=lambda done, total, name: bar.update(task, completed=done, total=total, description=name),
        )
    for path in written:
        if as_json:
            say_json({"file": path})
        else:
            out.print(str(path), highlight=False)


def _languages(chosen: Spoken | None) -> tuple[Language, ...]:
    return tuple(each for each in LANGUAGES if chosen in (None, each))


def _seconds(file: Path) -> float | None:
    """None where `check` has something to say about the file."""
    try:
        return round(len(heard(file)) / RATE, 1)
    except (PromptError, OSError):
        return None
