"""A captured manager stream through framing and tracker, event by event."""

import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, islice
from pathlib import Path
from typing import BinaryIO

from cti.ami.framing import Framer
from cti.ami.hostile import Joiner, strict
from cti.ami.message import Message
from cti.calls.model import Fact
from cti.calls.tracker import MissingTimestampError, Silence, Tracker, event_time
from cti.errors import KikitoriError
from cti.explain import localise
from cti.i18n import _

BLOCK = 1 << 16
SAMPLE = 1000  # blocks looked at to learn how this PBX writes them


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
    listing = _Listing(tracker)
    number = 0
    try:
        with file.open("rb") if str(file) != "-" else sys.stdin.buffer as stream:
            blocks = _blocks(stream)
            first = list(islice(blocks, SAMPLE))
            joiner = Joiner() if _strict(first) else None
            for block in chain(first, blocks):
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


def _blocks(stream: BinaryIO) -> Iterator[bytes]:
    framer = Framer()
    bare: bool | None = None
    while data := stream.read(BLOCK):
        # An editor or a mail may have taken the carriage returns out.
        bare = b"\r" not in data if bare is None else bare
        yield from framer.feed(data.replace(b"\n", b"\r\n") if bare else data)


def _strict(blocks: Iterable[bytes]) -> bool:
    """Whether this PBX writes events as Asterisk 18 does: nearly all, since somebody may have written into a few."""
    told = [said for block in blocks if (said := strict(block)) is not None]
    return sum(told) > 0.9 * len(told)


def facts_of(file: Path, tracker: Tracker) -> Iterator[Fact]:
    """The facts of a captured stream. Raises StreamError."""
    for step in steps_of(file, tracker):
        yield from step.facts
