"""What this installation expects of its PBX and its host."""

from dataclasses import dataclass

from cti.settings import Settings
from policies.model import Plan, Recording


@dataclass(frozen=True, slots=True, kw_only=True)
class Want:
    """`phones` and `trunks` are endpoints; `at_once`: the most calls that can be recorded at a time."""

    settings: Settings
    phones: tuple[str, ...]
    trunks: tuple[str, ...]
    at_once: int
    rate: int

    @classmethod
    def of(cls, settings: Settings, plan: Plan, recording: Recording) -> "Want":
        """From settings and policies."""
        phones = tuple(phone for group in plan.group for phone in group.phones)
        return cls(
            settings=settings,
            phones=phones,
            trunks=plan.trunks,
            at_once=max(1, sum(plan.designated(phone) for phone in phones)),
            rate=recording.rate,
        )

    @property
    def endpoints(self) -> tuple[str, ...]:
        """Phones and trunks."""
        return (*self.phones, *self.trunks)
