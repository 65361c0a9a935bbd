"""Bytes of a connection -> lines. A protocol: with streams, a caller cost the gate half as much again (tests/bench)."""

import asyncio

LIMIT = 64 * 1024  # bytes of a line; a StreamReader's too


# Of all connections: what is read is taken out before the next is. asyncio's own way makes room for 256 KiB at each
# read, which malloc hands back to the kernel and asks for again: 40 us a caller.
_READ = memoryview(bytearray(LIMIT))


class Lines(asyncio.BufferedProtocol):
    """Gives lines, without their ends, to `lines`; closes the connection of one that is longer than `LIMIT`."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        """For `create_server` or `create_connection`."""
        self._rest = bytearray()
        self._unsent: list[bytes] = []

    def send(self, line: bytes) -> None:
        """With all that is sent in this turn of the loop: one system call instead of one a line."""
        if not self._unsent:
            asyncio.get_running_loop().call_soon(self._flush)
        self._unsent.append(line)

    def _flush(self) -> None:
        self.transport.write(b"".join(self._unsent))
        self._unsent.clear()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio's."""
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  # of a stream, whatever its type says
        self.transport = transport
        self._rest.clear()

    def get_buffer(self, sizehint: int) -> memoryview:
        """asyncio's."""
        return _READ

    def buffer_updated(self, nbytes: int) -> None:
        """asyncio's."""
        self.data_received(bytes(_READ[:nbytes]))

    def data_received(self, data: bytes) -> None:
        """This came."""
        self._rest += data
        if b"\n" in data:
            lines = bytes(self._rest).split(b"\n")
            self._rest[:] = lines.pop()
            self.lines(lines)
        if len(self._rest) > LIMIT:
            self.too_long()

    def lines(self, lines: list[bytes]) -> None:
        """These came at once."""
        raise NotImplementedError

    def too_long(self) -> None:
        """A line has no end."""
        self.transport.abort()
