"""`kikitori play` and `kikitori export`."""

import sys
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

from cti.api.shapes import Ask
from cti.api.shapes import Export as ExportAsked
from cti.cli.common import Json, PassphraseFile, Recording, err, length, passphrase, say_json, seconds
from cti.cli.local import at_desk
from cti.cli.player import WIDTH, Player, program
from cti.cli.session import at_api, signed_in
from cti.cli.signin import By, Code, PasswordFile, Proof, allowed, proof
from cti.desk import Desk, Keys, Purpose, Sound
from cti.errors import UsageError
from cti.i18n import _
from policies.rights import Act
from recorder.export import total, whole_file
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Heard:
    """What was written or heard; `gaps`: (where, how long) of the whole recording, seconds."""

    recording: str
    seconds: float
    gaps: Sequence[tuple[float, float]]


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
        help=_("Hear a recording on the loudspeaker, or write it as WAV. Needs a purpose; writes a log line first."),
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
    why = Purpose.parse(purpose)
    begin, finish = seconds(start) or 0.0, seconds(end)
    if output == "-" and sys.stdout is None:
        raise UsageError(_("standard output is closed: name a file"))
    if output == "-" and sys.stdout.isatty():
        raise UsageError(_("sound on a terminal is noise: name a file, or pipe it on (| aplay)"))
    remote = by is None and passphrase_file is None and signed_in()
    if not remote and (output is None or why is Purpose.DISCLOSURE):
        raise UsageError(_("sign in first (`kikitori login ID`), or name a file: --output"))
    if not remote and (request or witness):
        raise UsageError(_("--request and --witness go with a session: `kikitori login ID`"))
    heard: Heard
    if remote:
        ask = Ask.model_validate(
            {"purpose": why, "side": side.value, "from": begin, "to": finish, "request": request, "witness": witness}
        )
        heard = _heard_over_api(recording, ask, output, quiet=as_json)
    else:
        who = proof(by, password_file, code) if by else passphrase(passphrase_file)
        heard = _heard_here(recording, why, (begin, finish), side, str(output), who, quiet=as_json)
    if as_json:
        # Sound and words do not share standard output.
        _report(heard, output, {"side": side.value}, sys.stderr if output == "-" else sys.stdout)


def _heard_here(
    recording: str,
    why: Purpose,
    part: tuple[float, float | None],
    side: Side,
    output: str,
    who: Proof | str,
    *,
    quiet: bool,
) -> Heard:
    """At the recorder itself. The file belongs to whoever asks; the desk only fills it."""
    with nullcontext(sys.stdout.buffer) if output == "-" else whole_file(Path(output)) as file:

        async def do(desk: Desk) -> Sound:
            keys = await _keys(desk, Act.PLAY, who)
            sound = desk.open(await desk.find(recording), *part)
            if not quiet:
                _state_gaps(_gaps(sound))
            for block in desk.play(sound, keys, why, side.value):
                file.write(block)
            file.flush()
            return sound

        sound = at_desk(do, unlocked=True)
    return Heard(recording=sound.recording, seconds=(sound.end - sound.start) / sound.rate, gaps=_gaps(sound))


def _heard_over_api(recording: str, ask: Ask, output: str | None, *, quiet: bool) -> Heard:
    """By a session, to a file or on the loudspeaker."""
    if output is None:
        program(8000, 2)  # before there is a line in the log
    with at_api() as client:
        play = client.play(recording, ask)
        gaps = [(gap.at, gap.seconds) for gap in play.gaps]
        if not quiet:
            _state_gaps(gaps)
        try:
            if output is None:
                _on_loudspeaker(client, play)
            else:
                with nullcontext(sys.stdout.buffer) if output == "-" else whole_file(Path(output)) as file:
                    for block in client.audio(play):
                        file.write(block)
                    file.flush()
        finally:
            client.stop(play)
    return Heard(recording=play.recording, seconds=play.seconds, gaps=gaps)


def _on_loudspeaker(client: Any, play: Any) -> None:
    levels = client.level(play, WIDTH)
    if sys.stdin.isatty():
        err.print(_("← → 5 s, ↑ ↓ 30 s, space: pause, q: end"), style="dim")
    Player(
        sound=lambda sample: client.audio(play, 44 + sample * 2 * play.channels), seconds=play.seconds, rate=play.rate,
        channels=play.channels, picture=[max(pair) for pair in zip(levels.left, levels.right, strict=True)],
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
    to = Recipient.parse(recipient) if recipient else None
    if kind is Format.age and to is None:
        raise UsageError(_("--format age needs --recipient age1...: whom the file is for"))
    columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
    if by is None and passphrase_file is None and signed_in():
        with whole_file(output) as file, Progress(*columns, console=err, transient=True) as bar, at_api() as client:
            task = bar.add_task(_("Exporting"), total=None)
            details = client.recording(recording)
            with client.export(details.recording, ExportAsked(purpose=why, format=kind.value, recipient=recipient)) as (
                size,
                blocks,
            ):
                bar.update(task, total=size)
                for block in blocks:
                    file.write(block)
                    bar.advance(task, len(block))
        gaps = [(part["starts_at"], part["gap"]) for part in details.parts if part["gap"]]
        written = Heard(recording=details.recording, seconds=details.seconds, gaps=gaps)
        count = len(details.parts)
    else:
        who = proof(by, password_file, code) if by else passphrase(passphrase_file)
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

            sound = at_desk(do, unlocked=True)
        count = len(sound.parts)
        written = Heard(recording=sound.recording, seconds=total(sound.parts) / sound.rate, gaps=_gaps(sound))
    if as_json:
        values = {"format": kind.value, "segments": count, "bytes": output.stat().st_size}
        _report(written, str(output), values, sys.stdout)
        return
    _state_gaps(written.gaps)
    if kind is Format.age and count > 1:
        err.print(
            _(
                "{file} is a tar of {count} segments with their manifests; README.txt in it says how to join them"
            ).format(file=output, count=count),
            highlight=False,
        )


async def _keys(desk: Desk, act: Act, who: Proof | str) -> Keys:
    """What opens the sound: who asks may and holds it; or the vault's passphrase, while nobody has an account."""
    if isinstance(who, str):
        await allowed(desk, act, None)
        return desk.by_passphrase(who)
    found = await allowed(desk, act, who)
    assert found is not None  # noqa: S101  # it is who proved it
    return found.key


def _gaps(sound: Sound) -> list[tuple[float, float]]:
    return [(part.start / sound.rate, part.gap) for part in sound.parts if part.gap]


def _report(heard: Heard, output: str | None, values: Mapping[str, object], to: TextIO) -> None:
    """What was written, for programs."""
    gaps = [{"at": at, "seconds": lost} for at, lost in heard.gaps]
    say_json({"recording": heard.recording, "output": output, **values, "seconds": heard.seconds, "gaps": gaps}, to)


def _state_gaps(gaps: Sequence[tuple[float, float]]) -> None:
    for at, lost in gaps:
        err.print(_("gap: {gap:.3f} s are missing at {at}").format(gap=lost, at=length(at)), style="yellow")
