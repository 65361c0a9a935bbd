"""The list of calls: one record for every call that ended, recorded or not."""

from dataclasses import dataclass
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True, kw_only=True)
class CallRecord:
    """A call that ended, for the list of calls: recorded or not."""

    conversation: str
    linkedid: str
    arrived: datetime | None
    answered: datetime | None
    ended: datetime | None
    number: str | None
    caller: str | None
    disposition: str | None
    recording: str | None


class CallBook(Protocol):
    """Where call records go."""

    def write(self, record: CallRecord) -> None:
        """Keep it, durable soon."""

    def unheard(self, pbx: str, since: datetime, until: datetime, reason: str) -> None:
        """For so long nobody heard what happened on `pbx`."""
