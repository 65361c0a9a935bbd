"""How Asterisk calls a call to a customer for a ticket: by what it is for, so that its own record says so. Pure."""

import re
from datetime import datetime
from typing import Final

_LEG: Final = re.compile(r"callback-([1-9][0-9]{0,9})-([1-9][0-9]{0,5})-[0-9]{1,11}\.[0-9]{1,6}")


def leg_of(case: int, act: int, at: datetime) -> str:
    """The unique id of the channel by which act number `act` of a case calls; with its second, as Asterisk's own."""
    return f"callback-{case}-{act}-{int(at.timestamp())}.{act}"


def called_for(leg: str) -> tuple[int, int] | None:
    """(case, act) that a channel calls for; None for any other channel. Nobody but us names channels."""
    found = _LEG.fullmatch(leg)
    return (int(found[1]), int(found[2])) if found else None
