"""Where a call from outside goes, and why. Pure: number, arrival, opening hours in, a decision out (A-07 to A-13)."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from policies.hours import OpeningHours
from policies.model import Plan

LATE = timedelta(seconds=60)
"""A unique id that says another time than this is none of a clock that we share."""


class Route(StrEnum):
    """What the dialplan does with a call."""

    CENTRE = "centre"  # to the telephones of the number
    CLOSED = "closed"  # the announcement, the emergency line, a wish to be called back
    UNSURE = "unsure"  # the hours could not be told: the telephones and the emergency line both


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """`rule` is the id of the rule that decided, `why` a class of day or the id of an override.

    `urgent`: where somebody in need is connected: the emergency line, or the centre while that is open (A-07).
    `opens`: when the number is answered next.
    """

    route: Route
    rule: str
    why: str
    urgent: str = "emergency"
    opens: datetime | None = None


NOT_KNOWN = Decision(route=Route.UNSURE, rule="A-12", why="not-known")
"""Never silently closed: where the hours cannot be told, the caller has both."""


def arrival(uniqueid: str, now: datetime) -> datetime:
    """When the call came, which is what decides: Asterisk's second in its channel's unique id (`pbx1-1790000000.7`).

    A call of 19:59:59 that is asked about at 20:00:00 came in time. `now` where the id says nothing that can be.
    """
    seconds = uniqueid.rpartition("-")[2].partition(".")[0]
    if seconds.isascii() and seconds.isdigit() and len(seconds) <= 11:
        at = datetime.fromtimestamp(int(seconds), now.tzinfo)
        if timedelta(0) <= now - at < LATE:
            return at
    return now


def route(dialled: str | None, at: datetime, plan: Plan, hours: OpeningHours) -> Decision:
    """For a call that came in through `dialled` at `at`. Raises KeyError, OverflowError: then it is `NOT_KNOWN`."""
    number = plan.number_of(dialled)
    calendar = number.hours if number is not None else "centre"
    state = hours.at(at, calendar)
    if state.open:
        return Decision(route=Route.CENTRE, rule=state.reason.rule, why=state.reason.name)
    return Decision(
        route=Route.CLOSED,
        rule=state.reason.rule,
        why=state.reason.name,
        urgent="centre" if calendar != "centre" and hours.at(at).open else "emergency",
        opens=hours.next_opening(at, calendar),
    )
