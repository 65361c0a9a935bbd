"""A captured manager stream through framing and tracker, event by event."""

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from cti.ami.framing import Framer
from cti.ami.hostile import Joiner, strict
from cti.ami.message import Message
from cti.calls.model import Fact
from cti.calls.tracker import MissingTimestampError, Silence, Tracker, event_time
from cti.errors import KikitoriError
from cti.explain import localise
from cti.i18n import _

BLOCK = 1 << 16


class StreamError(KikitoriError):
    """A captured stream cannot be replayed."""

    code = "stream"
    status = 65


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a stream, and what was made of it: facts, or a reason why none.

    `tampered`: somebody wrote into it, and that was taken out.
    """

    number: int
    event: Message
    facts: list[Fact]
    silence: Silence | None
    tampered: bool


class _Listing:
    """Answers to CoreShowChannels within a stream: a replay learns of standing calls as the live service does."""

    def __init__(self, tracker: Tracker) -> None:
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
            at = event_time(self._timed) if self._timed is not None else None
            # Half a list would end calls that go on.
            if message.get("ListItems") == str(len(channels)) and (at is not None or not self._tracker.timed):
                return self._tracker.resync(channels, at)
        return []


def steps_of(file: Path, tracker: Tracker) -> Iterator[Step]:
    """What `tracker` makes of each event of a captured stream; `-` is standard input. Raises StreamError."""
    framer, listing = Framer(), _Listing(tracker)
    joiner: Joiner | None = None
    number = 0
    try:
        with file.open("rb") if str(file) != "-" else sys.stdin.buffer as stream:
            while data := stream.read(BLOCK):
                for block in framer.feed(data):
                    joiner = joiner or (Joiner() if strict(block) else None)
                    whole = joiner.feed(block) if joiner else block
                    if whole is None:
                        continue
                    event = Message(whole)
                    number += bool(event.event)
                    facts = listing.feed(event)
                    silence = tracker.silence(event)
                    yield Step(number, event, facts + tracker.feed(event), silence, tampered=whole != block)
    except OSError as error:
        raise StreamError(f"{file}: {localise(error.strerror or str(error))}") from error
    except MissingTimestampError as error:
        raise StreamError(f"{file}: {localise(str(error))}") from error
    if not number:
        raise StreamError(_("{file} holds no manager event: is it a captured manager stream?").format(file=file))


def facts_of(file: Path, tracker: Tracker) -> Iterator[Fact]:
    """The facts of a captured stream. Raises StreamError."""
    for step in steps_of(file, tracker):
        yield from step.facts
