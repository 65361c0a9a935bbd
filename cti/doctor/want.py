"""What this installation expects of its PBX and its host."""

from dataclasses import dataclass

from cti.pbxconfig import Decided
from cti.settings import Settings


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """`phones` and `trunks` are endpoints; `at_once`: the most calls that can be recorded at a time."""

    settings: Settings
    decided: Decided
    phones: tuple[str, ...]
    trunks: tuple[str, ...]
    at_once: int
    rate: int

    @classmethod
    def of(cls, settings: Settings, decided: Decided) -> "Want":
        """From settings and policies."""
        plan = decided.plan
        phones = tuple(phone for group in plan.group for phone in group.phones)
        return cls(
            settings=settings,
            decided=decided,
            phones=phones,
            trunks=plan.trunks,
            at_once=max(1, sum(plan.designated(phone) for phone in phones)),
            rate=decided.recording.rate,
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Phones and trunks."""
        return (*self.phones, *self.trunks)
