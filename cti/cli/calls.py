"""`kikitori calls`."""

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from cti.ami.framing import Framer
from cti.ami.hostile import Joiner, strict
from cti.ami.message import Message
from cti.calls.model import Fact
from cti.calls.tracker import MissingTimestampError, Tracker, event_time
from cti.cli import capture
from cti.cli.common import Commands, Json, out, say_json, table, when
from cti.cli.recordings import at_desk
from cti.errors import KikitoriError
from cti.explain import localise, word
from cti.i18n import _
from policies.load import Policies

BLOCK = 1 << 16


class StreamError(KikitoriError):
    """A captured stream cannot be replayed."""

    code = "stream"
    status = 65


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = Commands(help=_("Calls."))
    group.command(
        "list", help=_("Calls, newest first, answered or not."), epilog=_("Example: kikitori calls list --json")
    )(list_)
    group.command(
        "replay",
        help=_("Run a captured manager stream through framing and tracker; one line a fact."),
        epilog=_("Example: kikitori calls replay capture.ami --untimed --json"),
    )(replay)
    capture.register(group)
    app.add_typer(group, name="calls")


def list_(as_json: Json = False) -> None:
    """List calls."""

    found = at_desk(lambda desk: desk.calls())
    if as_json:
        for call in found:
            say_json(call)
        return
    table(
        (_("Arrived"), _("Answered"), _("Ended"), _("Number"), _("Caller"), _("Outcome"), _("Recording")),
        (
            (when(call["arrived"]), when(call["answered"]), when(call["ended"]), call["number"], call["caller"],
             word(call["disposition"]), str(call["recording"] or "")[:8])
            for call in found
        ),
    )  # fmt: skip


class Listing:
    """Answers to CoreShowChannels within a stream: a replay learns of standing calls as the live service does."""

    def __init__(self, tracker: Tracker) -> None:
        """`tracker` is told."""
        self._tracker = tracker
        self._channels: list[Message] = []
        self._timed: Message | None = None

    def feed(self, message: Message) -> list[Fact]:
        """The facts that a whole answer brings; its time is that of the last message that has one (a ping's answer)."""
        if b"\r\nTimestamp: " in message.raw:
            self._timed = message
        if message.event == "CoreShowChannel":
            self._channels.append(message)
        elif message.event == "CoreShowChannelsComplete":
            channels, self._channels = self._channels, []
            if self._timed is not None and (at := event_time(self._timed)) is not None:
                return self._tracker.resync(channels, at)
        return []


def facts_of(file: Path, tracker: Tracker) -> Iterator[Fact]:
    """The facts of a captured stream. Raises StreamError."""
    framer = Framer()
    listing = Listing(tracker)
    joiner: Joiner | None = None
    blocks = 0
    try:
        with file.open("rb") if str(file) != "-" else sys.stdin.buffer as stream:
            while data := stream.read(BLOCK):
                for block in framer.feed(data):
                    joiner = joiner or (Joiner() if strict(block) else None)
                    whole = joiner.feed(block) if joiner else block
                    if whole is None:
                        continue
                    message = Message(whole)
                    blocks += bool(message.event)
                    yield from listing.feed(message)
                    yield from tracker.feed(message)
    except OSError as error:
        raise StreamError(f"{file}: {localise(error.strerror or str(error))}") from error
    except MissingTimestampError as error:
        raise StreamError(f"{file}: {localise(str(error))}") from error
    if not blocks:
        raise StreamError(_("{file} holds no manager event: is it a captured manager stream?").format(file=file))


def replay(
    file: Annotated[
        Path, typer.Argument(help=_("Captured manager stream, or - for standard input."), metavar="FILE.ami")
    ],
    untimed: Annotated[bool, typer.Option(help=_("The stream has no Timestamp headers; `at` is null."))] = False,
    policies: Annotated[
        Path | None, typer.Option(help=_("Folder of policies that know this PBX. Without it, `designated` is null."))
    ] = None,
    pbx: Annotated[str, typer.Option(help=_("Name of the PBX, for the conversations' ids."))] = "pbx1",
    as_json: Json = False,
) -> None:
    """Replay a stream."""
    tracker = Tracker(pbx=pbx, plan=Policies(policies).plan if policies else None, timed=not untimed)
    for fact in facts_of(file, tracker):
        if as_json:
            say_json(fact.public())
        else:
            legs = "  ".join(f"{leg.channel} {leg.number or ''}" for leg in fact.legs)
            at = fact.at.strftime("%H:%M:%S.%f")[:-3] if fact.at else ""
            out.print(
                f"{at:12} {fact.what.value:13} {str(fact.conversation)[:8]}  {legs}",
                highlight=False,
                markup=False,
                soft_wrap=True,
            )
