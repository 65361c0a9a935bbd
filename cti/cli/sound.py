"""`kikitori play` and `kikitori export`."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cti.cli.common import Json, PassphraseFile, Recording, err, length, say_json, seconds
from cti.cli.player import WIDTH, Player, program
from cti.cli.signin import By, Code, PasswordFile
from cti.cli.ways import Gaps, Heard, OverApi, Part, way
from cti.errors import UsageError
from cti.i18n import _
from cti.purpose import Purpose
from recorder.export import whole_file
from recorder.vault.age import Recipient


class Side(StrEnum):
    """Which side to hear."""

    both = "both"
    left = "left"
    right = "right"


class Format(StrEnum):
    """What to write."""

    age = "age"
    flac = "flac"
    wav = "wav"


ForPurpose = Annotated[
    str,
    typer.Option(
        "--purpose",
        help=_("Why: quality (応対品質の管理), content (対応内容等の確認) or disclosure (開示). Goes into the log."),
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "play",
        help=_(
            "Hear a recording on the loudspeaker (after `kikitori login`; arrow keys go back and forth), or write it "
            "as WAV. Needs a purpose; writes a log line first."
        ),
        epilog=_("Example: kikitori play 3f2a --purpose quality --from 1:20"),
    )(play)
    app.command(
        "export",
        help=_("Write a whole recording: age (for a recipient, same bytes as in the vault), flac or wav."),
        epilog=_("Example: kikitori export 3f2a --purpose content --format age --recipient age1... -o call.age"),
    )(export)


def play(
    recording: Recording,
    purpose: ForPurpose,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help=_("File, or - for standard output. Default: the loudspeaker.")),
    ] = None,
    start: Annotated[str, typer.Option("--from", help=_("Begin there: 80, 1:20 or 1:02:03."))] = "0",
    end: Annotated[str | None, typer.Option("--to", help=_("End there."))] = None,
    side: Annotated[Side, typer.Option(help=_("left: the hooked party, right: what it heard."))] = Side.both,
    request: Annotated[
        str | None, typer.Option(help=_("受付番号 of the request; for disclosure it is needed (7条)."))
    ] = None,
    witness: Annotated[
        str | None, typer.Option(help=_("For disclosure: ID of the second person, who is there (8条)."))
    ] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Play a recording."""
    part = Part(
        recording=recording, purpose=Purpose.parse(purpose), side=side.value, start=seconds(start) or 0.0,
        end=seconds(end), request=request, witness=witness,
    )  # fmt: skip
    if output == "-" and sys.stdout is None:
        raise UsageError(_("standard output is closed: name a file"))
    if output == "-" and sys.stdout.isatty():
        raise UsageError(_("sound on a terminal is noise: name a file, or pipe it on (| aplay)"))
    by_way = way(by, password_file, code, passphrase_file)
    gaps = (lambda _: None) if as_json else _state_gaps
    if output is None:
        if not isinstance(by_way, OverApi):
            raise UsageError(_("the loudspeaker needs a session: `kikitori login ID`, or name a file with --output"))
        program(8000, 2)  # before there is a line in the log
        heard = by_way.hear(part, gaps, _on_loudspeaker)
    else:
        with nullcontext(sys.stdout.buffer) if output == "-" else whole_file(Path(output)) as file:
            heard = by_way.play(part, file, gaps)
    if as_json:
        # Sound and words do not share standard output.
        _report(heard, output, {"side": side.value}, sys.stderr if output == "-" else sys.stdout)
    elif output not in (None, "-"):
        _written(heard, output)


def _on_loudspeaker(client: Any, play: Any) -> None:
    levels = client.level(play, WIDTH)
    if sys.stdin.isatty():
        err.print(_("← → 5 s, ↑ ↓ 30 s, space: pause, q: end"), style="dim")
    Player(
        sound=lambda sample: client.audio(play, 44 + sample * 2 * play.channels), seconds=play.seconds, rate=play.rate,
        channels=play.channels, picture=[max(pair) for pair in zip(levels.left, levels.right, strict=True)],
        paused=lambda: client.playing(play),
    ).run()  # fmt: skip


def export(
    recording: Recording,
    purpose: ForPurpose,
    kind: Annotated[Format, typer.Option("--format", help=_("age, flac or wav."))],
    output: Annotated[Path, typer.Option("--output", "-o", help=_("File to write; never over an existing one."))],
    recipient: Annotated[str | None, typer.Option(help=_("For age: the recipient's public key (age1...)."))] = None,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Export a recording."""
    why = Purpose.parse(purpose)
    if why is Purpose.DISCLOSURE:
        raise UsageError(_("for disclosure a recording is played, at a registered terminal (8条)"))
    if recipient:
        Recipient.parse(recipient)
    if kind is Format.age and not recipient:
        raise UsageError(_("--format age needs --recipient age1...: whom the file is for"))
    by_way = way(by, password_file, code, passphrase_file)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    quiet = not err.is_terminal
    with whole_file(output) as file, Progress(*columns, console=err, transient=True, disable=quiet) as shown:
        written = by_way.export(recording, why, kind.value, recipient, file, _Bar(shown))
    if as_json:
        values = {"format": kind.value, "segments": written.segments, "bytes": output.stat().st_size}
        _report(written, str(output), values, sys.stdout)
        return
    _state_gaps(written.gaps)
    _written(written, output)
    if kind is Format.age and written.segments > 1:
        err.print(
            _(
                "{file} is a tar of {count} segments with their manifests; README.txt in it says how to join them"
            ).format(file=output, count=written.segments),
            highlight=False,
        )


class _Bar:
    """On a terminal."""

    def __init__(self, shown: Progress) -> None:
        self._shown, self._task = shown, shown.add_task(_("Exporting"), total=None)

    def of(self, whole: int) -> None:
        """Of so much."""
        self._shown.update(self._task, total=whole)

    def step(self, much: int) -> None:
        """So much more is done."""
        self._shown.advance(self._task, much)


def _report(heard: Heard, output: str | None, values: Mapping[str, object], to: TextIO) -> None:
    """What was written, for programs."""
    gaps = [{"at": at, "seconds": lost} for at, lost in heard.gaps]
    say_json({"recording": heard.recording, "output": output, **values, "seconds": heard.seconds, "gaps": gaps}, to)


def _written(heard: Heard, output: object) -> None:
    said = _("{file}: {length} of {recording}").format(
        file=output, length=length(heard.seconds), recording=heard.recording[:8]
    )
    err.print(said, style="green", highlight=False)


def _state_gaps(gaps: Gaps) -> None:
    for at, lost in gaps:
        err.print(_("gap: {gap:.3f} s are missing at {at}").format(gap=lost, at=length(at)), style="yellow")
