"""`kikitori play` and `kikitori export`."""

import sys
from collections.abc import Mapping
from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated, TextIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cti.app.clock import wall_clock
from cti.app.desk import accounts_at
from cti.cli.common import Json, PassphraseFile, Recording, err, length, passphrase, say_json, seconds
from cti.cli.recordings import at_desk
from cti.cli.signin import By, Code, PasswordFile, Proof, entitled, proof
from cti.desk import Desk, Keys, Purpose, Sound
from cti.errors import UsageError
from cti.i18n import _
from policies.rights import Act
from recorder.export import total, whole_file
from recorder.replay import Part
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
        "--purpose", help=_("Why: quality (応対品質の管理) or content (対応内容等の確認). Goes into the log.")
    ),
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    app.command(
        "play",
        help=_(
            "Decrypt a recording as WAV, to a file or to standard output. Needs a purpose; writes a log line first."
        ),
        epilog=_("Example: kikitori play 3f2a --purpose quality --from 1:20 --output - | aplay"),
    )(play)
    app.command(
        "export",
        help=_("Write a whole recording: age (for a recipient, same bytes as in the vault), flac or wav."),
        epilog=_("Example: kikitori export 3f2a --purpose content --format age --recipient age1... -o call.age"),
    )(export)


def play(
    recording: Recording,
    purpose: ForPurpose,
    output: Annotated[str, typer.Option("--output", "-o", help=_("File, or - for standard output."))],
    start: Annotated[str, typer.Option("--from", help=_("Begin there: 80, 1:20 or 1:02:03."))] = "0",
    end: Annotated[str | None, typer.Option("--to", help=_("End there."))] = None,
    side: Annotated[Side, typer.Option(help=_("left: the hooked party, right: what it heard."))] = Side.both,
    by: By = None,
    password_file: PasswordFile = None,
    code: Code = None,
    passphrase_file: PassphraseFile = None,
    as_json: Json = False,
) -> None:
    """Play a recording."""
    why = Purpose.parse(purpose)
    begin, finish = seconds(start) or 0.0, seconds(end)
    if output == "-" and sys.stdout is None:
        raise UsageError(_("standard output is closed: name a file"))
    if output == "-" and sys.stdout.isatty():
        raise UsageError(_("sound on a terminal is noise: name a file, or pipe it on (| aplay)"))
    who = proof(by, password_file, code) if by else passphrase(passphrase_file)

    # The file belongs to whoever asks; the desk only fills it.
    with nullcontext(sys.stdout.buffer) if output == "-" else whole_file(Path(output)) as file:

        async def do(desk: Desk) -> Sound:
            keys = await _keys(desk, Act.PLAY, who)
            sound = desk.open(await desk.find(recording), begin, finish)
            if not as_json:
                _state_gaps(sound.parts)
            for block in desk.play(sound, keys, why, side.value):
                file.write(block)
            file.flush()
            return sound

        heard = at_desk(do, unlocked=True)
    if as_json:
        values = {"side": side.value, "seconds": (heard.end - heard.start) / heard.rate}
        # Sound and words do not share standard output.
        _report(heard, output, values, sys.stderr if output == "-" else sys.stdout)


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
    to = Recipient.parse(recipient) if recipient else None
    if kind is Format.age and to is None:
        raise UsageError(_("--format age needs --recipient age1...: whom the file is for"))
    who = proof(by, password_file, code) if by else passphrase(passphrase_file)
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    with whole_file(output) as file, Progress(*columns, console=err, transient=True) as bar:
        task = bar.add_task(_("Exporting"), total=None)

        async def do(desk: Desk) -> Sound:
            keys = await _keys(desk, Act.EXPORT, who)
            sound = desk.open(await desk.find(recording), 0, None)
            bar.update(task, total=total(sound.parts))
            desk.export(
                sound, keys, why, kind=kind.value, recipient=to, out=file,
                progress=lambda samples: bar.advance(task, samples),
            )  # fmt: skip
            return sound

        written = at_desk(do, unlocked=True)
    if as_json:
        values = {"format": kind.value, "segments": len(written.parts), "bytes": output.stat().st_size}
        _report(written, str(output), values | {"seconds": total(written.parts) / written.rate}, sys.stdout)
        return
    _state_gaps(written.parts)
    if kind is Format.age and len(written.parts) > 1:
        err.print(
            _(
                "{file} is a tar of {count} segments with their manifests; README.txt in it says how to join them"
            ).format(file=output, count=len(written.parts)),
            highlight=False,
        )


async def _keys(desk: Desk, act: Act, who: Proof | str) -> Keys:
    """What opens the sound: who asks holds it and may, or knows the passphrase of the vault itself."""
    if isinstance(who, str):
        return desk.by_passphrase(who)
    found = await entitled(accounts_at(desk, wall_clock), act, who)
    desk.actor = found.account.id
    return found.key


def _report(sound: Sound, output: str, values: Mapping[str, object], to: TextIO) -> None:
    """What was written, for programs."""
    gaps = [{"at": part.start / sound.rate, "seconds": part.gap} for part in sound.parts if part.gap]
    say_json({"recording": sound.recording, "output": output, **values, "gaps": gaps}, to)


def _state_gaps(parts: list[Part]) -> None:
    for part in parts:
        if part.gap:
            err.print(
                _("gap: {gap:.3f} s are missing at {at}").format(
                    gap=part.gap, at=length(part.start / part.manifest.rate)
                ),
                style="yellow",
            )
