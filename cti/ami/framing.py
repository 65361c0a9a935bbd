"""Cut a stream of manager bytes into blocks, tolerantly and in linear time."""

import re

# CoreShowChannelMap of Asterisk ends its blocks with CR LF LF (asterisk#761).
_ODD_END = re.compile(rb"\r\n\n+(?:\r\n)*")
_END = b"\r\n\r\n"


class Framer:
    """Feed bytes as they come, get whole blocks (header lines without the blank line that ends them).

    A block over `limit` bytes is dropped and counted in `oversized`: an unbounded one would take the memory that
    the recordings need. Stray line ends between blocks (TestEvent MIXMONITOR_END sends one too many) are skipped.
    """

    def __init__(self, limit: int = 16 * 1024 * 1024) -> None:
        """`limit` in bytes."""
        self.limit = limit
        self.oversized = 0
        self._pieces: list[bytes] = []
        self._pending = 0
        self._last = b""
        self._skipping = False

    def feed(self, data: bytes) -> list[bytes]:
        """Blocks completed by `data`, in order."""
        # Only the last three bytes can be the beginning of an end that `data` completes: joining more than these
        # for each arriving piece would make a large event quadratic.
        recent = self._last + data
        self._last = recent[-3:]
        if _END not in recent and b"\r\n\n" not in recent:
            self._hold(data)
            return []
        joined = b"".join((*self._pieces, data))
        odd = b"\r\n\n" in joined
        blocks = joined.split(_END)
        self._pieces, self._pending = [], 0
        rest = blocks.pop()
        whole: list[bytes] = []
        for block in blocks:
            if odd or self._skipping or block[:1] in b"\r\n" or len(block) > self.limit:
                self._add(block, whole)
            else:
                whole.append(block)
        if odd and b"\r\n\n" in rest:
            *more, rest = _ODD_END.split(rest)
            for block in more:
                self._add(block, whole)
        self._hold(rest)
        return whole

    def _add(self, block: bytes, whole: list[bytes]) -> None:
        if b"\r\n\n" in block:
            for part in _ODD_END.split(block):
                self._add(part, whole)
            return
        if self._skipping:
            self._skipping = False
            return
        if block[:1] in b"\r\n":
            block = block.lstrip(b"\r\n")
        if len(block) > self.limit:
            self.oversized += 1
        elif block:
            whole.append(block)

    def _hold(self, data: bytes) -> None:
        if self._skipping:
            self._pieces = [self._last]
            return
        if not self._pieces:
            data = data.lstrip(b"\r\n")
        if data:
            self._pieces.append(data)
            self._pending += len(data)
        # Up to three of the bytes held may be the beginning of the block's end.
        if self._pending > self.limit + 3:
            self.oversized += 1
            self._skipping = True
            self._pieces, self._pending = [self._last], 0
