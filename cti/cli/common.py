"""What every command shares: settings, output for people or programs, errors that say what to do."""

import getpass
import json
import os
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime
from enum import Enum
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any, ClassVar, NoReturn, TextIO, TypeVar

import typer
from rich.table import Table
from rich.text import Text
from typer.core import TyperCommand, TyperGroup

from cti.cli.lines import break_japanese
from cti.cli.terminal import STEERING, Terminal, one_line, printable
from cti.errors import SettingsError, UsageError
from cti.explain import explain, localise
from cti.i18n import _
from cti.settings import Loaded, Paths, find, load
from policies.calendar import JST

break_japanese()
out = Terminal()
err = Terminal(stderr=True)
_TIME = re.compile(r"\d{4}-\d\d-\d\d")
BLOCKS = " ▁▂▃▄▅▆▇█"
"""Bars of a picture of sound."""
Function = TypeVar("Function", bound=Callable[..., Any])

Json = Annotated[bool, typer.Option("--json", help=_("Print JSON, one object a line."))]
PassphraseFile = Annotated[
    Path | None,
    typer.Option(
        "--passphrase-file",
        envvar="KIKITORI_PASSPHRASE_FILE",
        help=_("File whose first line is the passphrase of the vault. Without it you are asked."),
        show_envvar=True,
    ),
]
PolicyFolder = Annotated[
    Path | None,
    typer.Option("--policies", help=_("Folder of policies. Default: the installation's, else the shipped ones.")),
]
Recording = Annotated[str, typer.Argument(help=_("Id of the recording, or its beginning."), metavar="ID")]


class _Worded:
    """A command whose usage line and own options speak the reader's language; Typer's speak English to everyone."""

    def format_usage(self, ctx: Any, formatter: Any) -> None:
        """Write the usage line."""
        formatter.write_usage(ctx.command_path, " ".join(self.collect_usage_pieces(ctx)), prefix=_("Usage: "))  # type: ignore[attr-defined]

    def get_params(self, ctx: Any) -> Any:
        """The command's options and arguments, and --help."""
        params = super().get_params(ctx)  # type: ignore[misc]
        for param in params:
            param.help = localise(param.help or "") or None
        return params


class _Command(_Worded, TyperCommand):
    """A command."""


class _Group(_Worded, TyperGroup):
    """A group of commands."""


class _Unloaded(dict[str, Any]):
    """Commands by name; each is loaded when it is looked at. What a command needs may take a second to load."""

    def __init__(self, modules: Mapping[str, str]) -> None:
        """`modules`: the module below cti.cli that registers each."""
        super().__init__(dict.fromkeys(modules))
        self._modules = modules

    def __getitem__(self, name: str) -> Any:
        if super().__getitem__(name) is None:
            holder = Commands()
            import_module(f"cti.cli.{self._modules[name]}").register(holder)
            self[name] = typer.main.get_group(holder).commands[name]
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        try:
            return self[name]
        except KeyError:
            return default

    def items(self) -> Any:
        return [(name, self[name]) for name in self]

    def values(self) -> Any:
        return [self[name] for name in self]


class Root(_Group):
    """All of them. `modules`: command -> the module below cti.cli that has it."""

    modules: ClassVar[Mapping[str, str]] = {}

    def __init__(self, **options: Any) -> None:
        """As Typer makes a group."""
        super().__init__(**options)
        self.commands = _Unloaded(self.modules)

    def list_commands(self, ctx: Any) -> list[str]:
        """Their names; none is loaded for it."""
        return list(self.commands)


class Commands(typer.Typer):
    """A group of commands; without one of them it shows its help."""

    def __init__(self, kind: type[_Group] = _Group, **options: Any) -> None:
        """`options` as Typer's."""
        super().__init__(
            cls=kind,
            no_args_is_help=True,
            rich_markup_mode="rich",
            options_metavar=_("[OPTIONS]"),
            subcommand_metavar=_("COMMAND [ARGS]..."),
            **options,
        )

    def command(self, name: str | None = None, **options: Any) -> Callable[[Function], Function]:
        """As Typer's."""
        return super().command(name, cls=_Command, options_metavar=_("[OPTIONS]"), **options)


class State:
    """What the options before the command said."""

    config: Path | None = None


def settings_file() -> Path | None:
    """The file whose settings apply; None where there is none."""
    return State.config or find(os.environ, Path.cwd())


def settings() -> Loaded:
    """The settings that apply. Raises SettingsError where no file is found."""
    file = settings_file()
    if file is None:
        from cti.cli.session import signed_in  # which needs what is here

        if signed_in():
            raise SettingsError(_("this is done at the recorder's host: it does not go by your session"))
        raise SettingsError(
            _("no kikitori.toml here, in KIKITORI_CONFIG or in /etc/kikitori. `kikitori init DIR` makes one")
        )
    return load(file, os.environ)


def installed() -> Paths | None:
    """Where the installation lies whose settings apply; None where there are none: then the shipped policies serve."""
    if settings_file():
        return settings().settings.paths
    from cti.cli.session import signed_in

    if signed_in():  # somebody might take it for the desk's
        err.print(_("by the policies that come with Kikitori: those of the desk are not here"), style="yellow")
    return None


def agree(question: str) -> None:
    """Ask, before anything that cannot be undone. Raises UsageError where nobody can be asked, Abort for a no."""
    if not sys.stdin.isatty():
        raise UsageError(_("nobody to ask: add --yes"))
    if not typer.confirm(question):
        raise typer.Abort


def actor() -> str:
    """Who is at the keyboard, for the access log."""
    return f"os:{os.environ.get('SUDO_USER') or getpass.getuser()}"


def passphrase(file: Path | None, *, confirm: bool = False) -> str:
    """From the file, or asked for on the terminal; never from the arguments. Raises UsageError."""
    if file is not None:
        if not (text := first_line(file)):
            raise UsageError(_("{file} is empty: its first line must be the passphrase").format(file=file))
        return text
    if not sys.stdin.isatty():
        raise UsageError(_("no terminal to ask for the passphrase: name --passphrase-file or KIKITORI_PASSPHRASE_FILE"))
    text = getpass.getpass(_("Passphrase of the vault: "))
    if confirm and getpass.getpass(_("Once more: ")) != text:
        raise UsageError(_("the two are not the same"))
    return text


def first_line(file: Path) -> str:
    """Of a file that holds a secret; empty where the file is. Raises UsageError."""
    try:
        return file.read_text("utf-8").partition("\n")[0]
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file}: {_reason(error)}") from error


def plain(value: object) -> Any:
    """`value` as JSON can hold it."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, Path | Enum):
        return str(value)
    if isinstance(value, bytes):
        return value.hex()
    raise TypeError(f"{type(value).__name__} has no JSON form")


def say_json(values: Mapping[str, Any], to: TextIO | None = None) -> None:
    """One line, on standard output if `to` is None. What could steer a terminal is escaped; the value is the same."""
    stream = to or sys.stdout
    line = json.dumps(values, default=plain, ensure_ascii=False)
    stream.write(STEERING.sub(lambda found: f"\\u{ord(found[0]):04x}", line) + "\n")
    stream.flush()


def table(columns: Iterable[str], rows: Iterable[Iterable[object]]) -> None:
    """Rows for people."""
    made = Table(box=None, header_style="bold", pad_edge=False)
    cells = [["" if value is None else one_line(str(value)) for value in row] for row in rows]
    for number, column in enumerate(columns):
        # A time that is broken in its middle is read wrong.
        whole = number == 0 or any(_TIME.match(row[number]) for row in cells)
        made.add_column(column, overflow="fold", no_wrap=whole)
    for row in cells:
        made.add_row(*row)
    out.print(made)


def when(at: datetime | None) -> str:
    """A time as people in Osaka read it."""
    return at.astimezone(JST).strftime("%Y-%m-%d %H:%M:%S") if at else ""


def length(seconds: float) -> str:
    """`1:05.3`; `2:01:05.0`"""
    minutes, tenths = divmod(round(seconds * 10), 600)
    hours, minutes = divmod(minutes, 60)
    rest = f"{minutes:02}" if hours else f"{minutes}"
    return (f"{hours}:" if hours else "") + f"{rest}:{tenths // 10:02}.{tenths % 10}"


def seconds(text: str | None) -> float | None:
    """`80`, `1:20`, `1:02:03.5` as seconds. Raises UsageError."""
    if text is None:
        return None
    if not re.fullmatch(r"(\d+:){0,2}\d+(\.\d+)?", text, re.ASCII):
        raise UsageError(_("{text!r} is no time: write 80, 1:20 or 1:02:03.5").format(text=text))
    total = 0.0
    for part in text.split(":"):
        total = total * 60 + float(part)
    return total


def fail(error: Exception, status: int) -> NoReturn:
    """Say what was wrong on standard error and leave."""
    complain(explain(error))
    raise SystemExit(status)


def refuse(error: typer.TyperException) -> NoReturn:
    """Say what was wrong with the command line, and how it should be written."""
    context: typer.Context | None = getattr(error, "ctx", None)
    message = localise(error.format_message())
    if not message:  # a group without a command: its help has been shown
        raise SystemExit(error.exit_code)
    complain(message)
    if context is not None:
        err.print(context.get_usage(), highlight=False, soft_wrap=True)
        err.print(_("Help: {command} --help").format(command=context.command_path), highlight=False)
    raise SystemExit(error.exit_code)


def _reason(error: OSError | UnicodeDecodeError) -> str:
    return localise(error.strerror or str(error)) if isinstance(error, OSError) else localise("not UTF-8")


def complain(what: str) -> None:
    """A sentence on standard error."""
    said = Text.assemble(("kikitori:", "bold red"), " ", printable(what))
    err.print(said, highlight=False, soft_wrap=True)
