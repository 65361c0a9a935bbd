"""Actions as bytes, refusing whatever would make one action two."""

from collections.abc import Mapping, Sequence

from cti.ami.errors import UnsafeActionError

# Asterisk reads a line into 1024 bytes, less the line end; 22.10.1 refuses 3,000 bytes with "Message too long".
LINE_LIMIT = 1000
# AST_MAX_MANHEADERS
HEADER_LIMIT = 128

Value = str | int | Sequence[str]


def encode(action: Mapping[str, Value], action_id: str) -> bytes:
    """The bytes of `action`, `ActionID` added. Raises UnsafeActionError naming the header."""
    lines = [f"ActionID: {action_id}"]
    for name, value in action.items():
        values = [value] if isinstance(value, str | int) else value
        lines.extend(f"{name}: {item}" for item in values)
    if len(lines) > HEADER_LIMIT:
        raise UnsafeActionError(f"{len(lines)} headers; Asterisk reads {HEADER_LIMIT}")
    try:
        encoded = [line.encode() for line in lines]
    except UnicodeEncodeError as error:
        raise UnsafeActionError(f"a value is not text: {error.reason}") from error
    for line in encoded:
        name = line.partition(b":")[0].decode()
        if any(char in line for char in b"\r\n\0"):
            raise UnsafeActionError(f"header {name!r} holds a line break or a NUL")
        if len(line) > LINE_LIMIT:
            raise UnsafeActionError(f"header {name!r} has {len(line)} bytes; at most {LINE_LIMIT} pass")
    # `Action` goes first, as in every example of Asterisk's own.
    encoded.sort(key=lambda line: not line.lower().startswith(b"action:"))
    return b"\r\n".join(encoded) + b"\r\n\r\n"
