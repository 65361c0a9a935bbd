"""Tell whoever started us that we are ready, alive, or ending (sd_notify(3)), and die when we are not alive."""

import asyncio
import os
import socket
import threading
from collections.abc import Mapping

BEAT = 0.5  # seconds
READY_SECONDS = 30.0  # without a sign of life, before one is ready: then it hangs


class Notifier:
    """Speaks to systemd or to `kikitori serve`; silent where neither listens."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        """Reads NOTIFY_SOCKET."""
        self._address = environ.get("NOTIFY_SOCKET", "").replace("@", "\0", 1)

    def send(self, state: str) -> None:
        """One datagram; a listener that is gone is no fault of ours."""
        if not self._address:
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as channel:
            try:
                channel.sendto(state.encode(), self._address)
            except OSError:
                return

    async def beat(self) -> None:
        """Say that the event loop turns, until cancelled. systemd looks at its watchdog only once one is ready."""
        while True:
            self.send(f"WATCHDOG=1\nEXTEND_TIMEOUT_USEC={int(READY_SECONDS * 1e6)}")
            await asyncio.sleep(BEAT)


class Watchdog:
    """A thread that ends the process when the event loop has not turned for `limit` seconds.

    Ending closes every socket: a caller whom a hung gate holds goes on through the dialplan's fallback.
    """

    def __init__(self, limit: float) -> None:
        """`start` within a running loop."""
        self.limit = limit
        self._turned = threading.Event()

    async def run(self) -> None:
        """Start the thread and show it that the loop turns, until cancelled."""
        threading.Thread(target=self._watch, name="watchdog", daemon=True).start()
        while True:
            self._turned.set()
            await asyncio.sleep(BEAT)

    def _watch(self) -> None:
        while self._turned.wait(self.limit):
            self._turned.clear()
        os._exit(70)
