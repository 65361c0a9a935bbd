"""One block of the manager interface, parsed when somebody asks."""

from collections.abc import Iterator


def text(value: bytes) -> str:
    """Bytes of the telephone network as text: UTF-8, else CP932 (Japanese phones), else with replacement marks."""
    for encoding in ("utf-8", "cp932"):
        try:
            return value.decode(encoding)
        except UnicodeDecodeError:
            continue
    return value.decode("utf-8", "replace")


class Message:
    """An event or a response. Header names compare without case; a repeated header keeps all its values."""

    __slots__ = ("_headers", "raw")

    def __init__(self, raw: bytes) -> None:
        """`raw` is a block as the framer gives it."""
        self.raw = raw
        self._headers: dict[bytes, list[bytes]] | None = None

    def _parsed(self) -> dict[bytes, list[bytes]]:
        if self._headers is None:
            headers: dict[bytes, list[bytes]] = {}
            for line in self.raw.split(b"\r\n"):
                name, colon, value = line.partition(b":")
                if colon:
                    headers.setdefault(name.strip().lower(), []).append(value.strip())
            self._headers = headers
        return self._headers

    def __contains__(self, name: str) -> bool:
        return name.lower().encode() in self._parsed()

    def get(self, name: str, default: str = "") -> str:
        """The first value of header `name`."""
        values = self._parsed().get(name.lower().encode())
        return text(values[0]) if values else default

    def all(self, name: str) -> list[str]:
        """Every value of header `name`, in order."""
        return [text(value) for value in self._parsed().get(name.lower().encode(), [])]

    def items(self) -> Iterator[tuple[str, str]]:
        """Every header, repeated ones too."""
        for name, values in self._parsed().items():
            for value in values:
                yield text(name), text(value)

    @property
    def event(self) -> str:
        """The event's name; empty for a response."""
        # Asterisk writes `Event:` first: looking there spares parsing the events that nobody wants.
        if self.raw.startswith(b"Event: "):
            end = self.raw.find(b"\r\n")
            return text(self.raw[7 : end if end >= 0 else None].strip())
        return self.get("Event")

    def __repr__(self) -> str:
        return f"<Message {self.event or self.get('Response')} {len(self.raw)} bytes>"
