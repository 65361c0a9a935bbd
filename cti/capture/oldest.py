"""A mapping that forgets its oldest, for what a caller can add to without end."""

from typing import TypeVar

Value = TypeVar("Value")


def put(kept: dict[bytes, Value], key: bytes, value: Value, most: int) -> bytes | None:
    """Put `key` last. Returns the key that was forgotten for it."""
    kept.pop(key, None)
    kept[key] = value
    if len(kept) <= most:
        return None
    oldest = next(iter(kept))
    del kept[oldest]
    return oldest
