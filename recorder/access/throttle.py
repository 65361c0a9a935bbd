"""How soon somebody may try again: guessing is slow, and nobody is locked out who was in before. Pure; in memory.

an account from one address     0, 0, 0, 1, 2, 4 ... 900 s after that many tries; a success forgets them
an account from any address     at most 5 s, whatever strangers tried
an address, whatever it tries   30 tries in ten minutes that were wrong
"""

from collections import OrderedDict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

FREE: Final = 3
LONGEST: Final = 900.0  # s
SHARED: Final = 5.0  # s
WINDOW: Final = timedelta(minutes=10)
IN_WINDOW: Final = 30
REMEMBERED: Final = 10_000  # pairs, accounts and addresses, each; the oldest are forgotten first


@dataclass(slots=True)
class _Failures:
    count: int = 0
    last: datetime | None = None

    def wait(self, now: datetime, longest: float) -> float:
        if self.last is None or self.count < FREE:
            return 0.0
        needed = min(longest, 2.0 ** min(self.count - FREE, 20))
        # A clock that was set back must not make somebody wait for hours.
        return max(0.0, min(needed, needed - (now - self.last).total_seconds()))


@dataclass(slots=True)
class Throttle:
    """One for all who sign in here."""

    _pairs: "OrderedDict[tuple[str, str], _Failures]" = field(default_factory=OrderedDict)
    _accounts: "OrderedDict[str, _Failures]" = field(default_factory=OrderedDict)
    _addresses: "OrderedDict[str, deque[datetime]]" = field(default_factory=OrderedDict)
    _at_home: "OrderedDict[tuple[str, str], None]" = field(default_factory=OrderedDict)

    def wait(self, account: str, address: str, now: datetime) -> float:
        """Seconds until `account` may be tried from `address` again; 0 where it may now."""
        pair = self._pairs.get((account, address), _Failures()).wait(now, LONGEST)
        if (account, address) in self._at_home:
            return pair
        shared = self._accounts.get(account, _Failures()).wait(now, SHARED)
        tries = self._addresses.get(address, deque())
        while tries and not now - WINDOW < tries[0] <= now:
            tries.popleft()
        crowded = (tries[0] + WINDOW - now).total_seconds() if len(tries) >= IN_WINDOW else 0.0
        return max(pair, shared, crowded)

    def tried(self, account: str, address: str, now: datetime) -> None:
        """A try that begins: it counts as wrong until it `passed`."""
        for failures in (
            self._pairs.setdefault((account, address), _Failures()),
            self._accounts.setdefault(account, _Failures()),
        ):
            failures.count, failures.last = failures.count + 1, now
        self._addresses.setdefault(address, deque(maxlen=IN_WINDOW)).append(now)
        self._pairs.move_to_end((account, address))
        self._accounts.move_to_end(account)
        self._addresses.move_to_end(address)
        for known in (self._pairs, self._accounts, self._addresses, self._at_home):
            while len(known) > REMEMBERED:
                known.popitem(last=False)

    def passed(self, account: str, address: str) -> None:
        """It was right: what this person mistyped from here is forgotten."""
        self._pairs.pop((account, address), None)
        self._accounts.pop(account, None)
        self._at_home[account, address] = None
        self._at_home.move_to_end((account, address))
        if tries := self._addresses.get(address):
            tries.pop()
