"""What somebody hears just now: opened with a purpose, a line in the log before its first byte, one after its last.

The sound is WAV, of which any part can be asked for: byte 44 + 4 n is sample n of the whole recording, whatever
segments it is made of, so that a seek is one request, and opens the chunks in which these samples are.
"""

import asyncio
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from threading import Lock
from typing import Any, Final
from uuid import uuid4

from cti.desk import Desk, Sound
from cti.errors import NotFoundError
from cti.i18n import _
from cti.purpose import Purpose
from policies.rights import Act
from recorder.access.sessions import Session
from recorder.replay import Player, side, wav_head
from recorder.vault.keys import Keys

IDLE: Final = 120.0
"""Seconds in which nothing of it is asked for that end it: a pause is longer than a line in the log should wait."""
AT_ONCE: Final = 4
"""Of one session; the one of which nothing was asked for longest goes when another comes."""
HEAD: Final = 44
LISTED: Final = 100
"""Stretches that a line of the log names."""


class OverError(NotFoundError):
    """It was ended while it was sent."""


@dataclass(slots=True, kw_only=True, eq=False)
class Hearing:
    """One recording that one session hears. `sent`: stretches (samples) that went out, merged and in order."""

    name: str
    session: Session
    sound: Sound
    which: str
    player: Player = field(repr=False)
    act: Act
    terminal: str | None
    line: str
    seen: float
    sent: list[tuple[int, int]] = field(default_factory=list)
    samples: int = 0
    levels: int = 0
    outcome: str = "done"
    over: bool = False
    ending: asyncio.Lock = field(default_factory=asyncio.Lock, repr=False)
    _counting: Lock = field(default_factory=Lock, repr=False)  # two parts may go out at once, each in a thread

    @property
    def frame(self) -> int:
        """Bytes of a sample of all sides."""
        return 4 if self.which == "both" else 2

    @property
    def size(self) -> int:
        """Bytes of the whole."""
        return HEAD + (self.sound.end - self.sound.start) * self.frame

    def read(self, first: int, last: int) -> Iterator[bytes]:
        """Bytes `first` to `last`, the latter included, or fewer: once it is `over` nothing more goes out.

        Raises VaultError, AudioError, OverError.
        """
        sound, frame = self.sound, self.frame
        if first < HEAD:
            yield wav_head(sound.end - sound.start, sound.rate, frame // 2)[first : last + 1]
        begin, end = max(first - HEAD, 0), last + 1 - HEAD
        if begin >= end:
            return
        at, stop = sound.start + begin // frame, sound.start + -(-end // frame)
        skip, left = begin % frame, end - begin
        try:
            for block in self.player.joined(sound.parts, at, stop):
                count = len(block) // 4
                # Before it is out: who stops in its middle has heard of it.
                self._count(at, at + count)
                at += count
                out = side(block, self.which)[skip : skip + left]
                skip, left = 0, left - len(out)
                self.seen = self.session.seen = time.monotonic()  # who listens is not idle
                yield out
        except OverError:
            raise
        except Exception as error:
            self.outcome = f"failed: {type(error).__name__}"
            raise

    def stop(self, outcome: str) -> None:
        """What is on its way out stops before its next block; what is counted by now is all that went out.

        `outcome`: unless it was stopped or has failed before.
        """
        with self._counting:
            if not self.over and self.outcome == "done":
                self.outcome = outcome
            self.over = True

    def _count(self, begin: int, end: int) -> None:
        with self._counting:
            if self.over:
                raise OverError(_("no play {text!r} goes on").format(text=self.name))
            self.samples += end - begin
            merged: list[tuple[int, int]] = []
            for one in sorted([*self.sent, (begin, end)]):
                if merged and one[0] <= merged[-1][1]:
                    merged[-1] = merged[-1][0], max(merged[-1][1], one[1])
                else:
                    merged.append(one)
            self.sent = merged

    def told(self) -> dict[str, Any]:
        """For the log: seconds that went out in all, and which stretches of the recording."""
        rate = self.sound.rate
        parts = [[round(begin / rate, 3), round(end / rate, 3)] for begin, end in self.sent]
        heard = sum(end - begin for begin, end in self.sent) / rate
        more: dict[str, Any] = {"levels": self.levels} if self.levels else {}
        if len(parts) > LISTED:
            more["parts_in_all"] = len(parts)
            parts = sorted(sorted(parts, key=lambda part: part[0] - part[1])[:LISTED])  # the longest
        return {"seconds": self.samples / rate, "heard": heard, "parts": parts, **more}


class Hearings:
    """All that go on here."""

    def __init__(self, desk: Desk) -> None:
        """None does."""
        self._desk = desk
        self._open: dict[str, Hearing] = {}

    async def begin(
        self,
        session: Session,
        sound: Sound,
        keys: Keys,
        *,
        purpose: Purpose,
        which: str,
        act: Act,
        terminal: str | None,
        detail: dict[str, Any],
    ) -> Hearing:
        """Open it, and make the line in the log durable. `detail`: what that has beside the purpose.

        `terminal`: the one at which alone it may be heard.

        Raises VaultError, AccessError, LogUnavailableError; then nothing is heard.
        """
        mine = sorted((one for one in self._open.values() if one.session is session), key=lambda one: one.seen)
        for one in mine[: max(0, len(mine) + 1 - AT_ONCE)]:
            await self.end(one)
        desk = self._desk.by(session.who.account.id)
        player = await asyncio.to_thread(desk.player, keys, sound)
        said = detail | {"purpose": purpose.value, "side": which, "session": session.id}
        line = await asyncio.to_thread(desk.intent, "play", sound, said)
        made = Hearing(
            name=str(uuid4()), session=session, sound=sound, which=which, player=player, act=act,
            terminal=terminal, line=line, seen=time.monotonic(),
        )  # fmt: skip
        self._open[made.name] = made
        return made

    def find(self, session: Session, name: str, at: float) -> Hearing:
        """One of `session`'s own, by its name. Raises NotFoundError: of others nobody learns that they are."""
        found = self._open.get(name)
        if found is None or found.session is not session or found.over:
            raise NotFoundError(_("no play {text!r} goes on").format(text=name))
        found.seen = at
        return found

    async def end(self, hearing: Hearing, outcome: str = "done") -> None:
        """No more of it goes out; then the line of what was heard. Raises LogUnavailableError: `expire` tries again."""
        hearing.stop(outcome)
        async with hearing.ending:
            if hearing.name in self._open:
                desk = self._desk.by(hearing.session.who.account.id)
                await asyncio.to_thread(
                    desk.result, "play", hearing.sound, hearing.line, hearing.outcome, hearing.told()
                )  # fmt: skip
                del self._open[hearing.name]

    async def end_of(self, session: Session, outcome: str) -> None:
        """All of a session."""
        for hearing in self._of(lambda one: one.session is session):
            await self.end(hearing, outcome)

    async def expire(self, at: float) -> None:
        """Those of which nothing was asked for long, and those whose line could not be written."""
        for hearing in self._of(lambda one: one.over or at - one.seen > IDLE):
            await self.end(hearing)

    def all(self) -> list[Hearing]:
        """Those that go on."""
        return [one for one in self._open.values() if not one.over]

    def _of(self, which: Any) -> Iterable[Hearing]:
        return [one for one in self._open.values() if which(one)]
