"""Sessions: who has signed in, and what they opened, in the memory of the desk alone. Pure.

A token of 256 bits, of which only the SHA-256 is kept, so that a dump of this table lets nobody in. Times are seconds
of a clock that nobody sets: one that was set back must not keep anybody in.
"""

import hashlib
import secrets
from dataclasses import dataclass, field
from typing import Final

from recorder.access.people import SignedIn

IDLE: Final = 15 * 60.0
"""Seconds without a request that end a session (OWASP ASVS 5.0, 7.3)."""
MOST: Final = 10 * 3600.0
"""Seconds that end it whatever is asked."""
AT_ONCE: Final = 5
"""Sessions of one account; the oldest goes when another comes."""


@dataclass(slots=True, kw_only=True, eq=False)
class Session:
    """One sign-in. `id` names it in the log and to others; it opens nothing."""

    id: str
    who: SignedIn = field(repr=False)
    address: str
    began: float
    seen: float


class Sessions:
    """All that are open here."""

    def __init__(self) -> None:
        """None is."""
        self._open: dict[bytes, Session] = {}

    def begin(self, who: SignedIn, address: str, at: float) -> tuple[str, Session, list[Session]]:
        """A new session: its token, itself, and the sessions that ended for it."""
        token = secrets.token_urlsafe(32)
        made = Session(id=secrets.token_hex(8), who=who, address=address, began=at, seen=at)
        self._open[_hash(token)] = made
        mine = [session for session in self._open.values() if session.who.account.id == who.account.id]
        return token, made, self._end(sorted(mine, key=lambda session: session.began)[:-AT_ONCE])

    def find(self, token: str, at: float) -> Session | None:
        """Whose token it is; from now on it is idle again. None where it is nobody's, or its time is over."""
        session = self._open.get(_hash(token))
        if session is None or _over(session, at):
            return None
        session.seen = at
        return session

    def end(self, session: Session) -> None:
        """Nothing is opened by it any more."""
        self._end([session])

    def expire(self, at: float) -> list[Session]:
        """End those whose time is over, and say which."""
        return self._end([session for session in self._open.values() if _over(session, at)])

    def all(self) -> list[Session]:
        """Those that are open."""
        return list(self._open.values())

    def _end(self, ended: list[Session]) -> list[Session]:
        self._open = {key: session for key, session in self._open.items() if session not in ended}
        return ended


def left(session: Session, at: float) -> float:
    """Seconds until it ends if nothing more is asked."""
    return max(0.0, min(session.seen + IDLE, session.began + MOST) - at)


def _over(session: Session, at: float) -> bool:
    return left(session, at) <= 0


def _hash(token: str) -> bytes:
    # Of 256 random bits: to try them is hopeless, with a fast hash as with a slow one.
    return hashlib.sha256(token.encode()).digest()
