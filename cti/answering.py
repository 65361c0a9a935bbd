"""How soon the telephones are answered, in rings as the caller hears them (C-07). Pure."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from typing import Any

from cti.steps import Step, at_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Rang:
    """When the telephones began to ring for a call, and the policy of that time: `limit` rings of `ring`."""

    at: datetime
    limit: int
    ring: timedelta

    def rings(self, answered: datetime) -> int:
        """Rings that had begun by `answered`: the first begins at once."""
        return max(0, (answered - self.at) // self.ring) + 1


def rang(step: Step) -> Rang | None:
    """What a step `ring` says; None for any other, and where it cannot be used."""
    values = step["values"]
    limit, ms = (str(values.get(name, "")) for name in ("rings", "ms"))
    if step["what"] != "ring" or not (limit.isdecimal() and ms.isdecimal() and 0 < int(ms) < 60_000):
        return None
    return Rang(at=at_of(step), limit=int(limit), ring=timedelta(milliseconds=int(ms)))


def answering(call: Mapping[str, Any], ringing: Rang | None) -> dict[str, Any]:
    """`rang`, `rings` and `in_time` of a call record; null where nothing rang, or nobody answered."""
    answered = call["answered"]
    rings = ringing.rings(answered) if ringing and answered else None
    return {
        "rang": ringing.at if ringing else None,
        "rings": rings,
        "in_time": rings <= ringing.limit if ringing and rings else None,
    }


@dataclass(slots=True)
class Answered:
    """Calls that rang, of one day, month or number."""

    rang: int = 0
    answered: int = 0
    in_time: int = 0
    longest: int = 0

    @property
    def share(self) -> float | None:
        """Of those answered, the part that was answered in time; None where none was."""
        return self.in_time / self.answered if self.answered else None

    @property
    def share_of_all(self) -> float:
        """Of all that rang, also of those that nobody answered."""
        return self.in_time / self.rang if self.rang else 0.0

    def add(self, call: Mapping[str, Any]) -> None:
        """Count one that rang."""
        self.rang += 1
        if call["rings"] is not None:
            self.answered += 1
            self.in_time += bool(call["in_time"])
            self.longest = max(self.longest, call["rings"])

    def public(self) -> dict[str, Any]:
        """As one JSON line."""
        share = None if self.share is None else round(self.share, 4)
        shares = {"share": share, "share_of_all": round(self.share_of_all, 4)}
        return asdict(self) | {"unanswered": self.rang - self.answered} | shares


def count(calls: Iterable[Mapping[str, Any]], key: Callable[[Mapping[str, Any]], str]) -> dict[str, Answered]:
    """Of the calls that rang, by `key`, in its order."""
    found: dict[str, Answered] = {}
    for call in calls:
        if call["rang"] is not None:
            found.setdefault(key(call), Answered()).add(call)
    return dict(sorted(found.items()))
