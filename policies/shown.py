"""A value of a policy as people write it."""

from typing import Any

from policies.calendar import interval_text


def shown(value: Any) -> str:
    """`09:00-17:00` for hours, `-` for none of something, `true` for a yes."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, tuple):
        if len(value) == 2 and all(isinstance(part, int) for part in value) and value[1] >= 60:  # seconds of a day
            return interval_text(value)
        return ", ".join(shown(part) for part in value) or "-"
    return str(value)
