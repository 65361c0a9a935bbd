"""What every request and every answer goes through, before anything is known of who asks."""

import asyncio
import time
from collections import OrderedDict
from typing import Final

from starlette.datastructures import MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from cti.api.problems import TooFastError, of, problem
from cti.i18n import _, mark, reading

LARGEST: Final = 64 * 1024
"""Bytes of a request's body: passwords and words; no sound is ever sent here."""
BURST: Final = 200.0
RATE: Final = 50.0
"""Requests of one address: so many at once, and so many a second. Somebody who drags a player about makes ten."""
REMEMBERED: Final = 10_000
PATIENCE: Final = 10.0
"""Seconds for the body of a request."""
TOO_LARGE: Final = mark("A request has 64 KiB at most")
TOO_SLOW: Final = mark("The request did not come in time")

_HEADERS: Final = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'; sandbox",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000",
    "X-Content-Type-Options": "nosniff",
}


class Edge:
    """ASGI: around the whole application."""

    def __init__(self, app: ASGIApp) -> None:
        """`app` is what is inside."""
        self._app = app
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers[name] = value
            await send(message)

        given = {name.lower(): value for name, value in scope["headers"]}
        with reading("ja" if given.get(b"accept-language", b"").strip().lower().startswith(b"ja") else "en"):
            if (wait := self._wait(scope["client"][0] if scope["client"] else "", time.monotonic())) > 0:
                await of(TooFastError(wait))(scope, receive, sending)
                return
            try:
                async with asyncio.timeout(PATIENCE):
                    body = await _whole(receive, given.get(b"content-length", b""))
            except TimeoutError:
                await _closing(408, "too-slow", _(TOO_SLOW))(scope, receive, sending)
                return
            if body is None:
                await _closing(413, "too-large", _(TOO_LARGE))(scope, receive, sending)
                return
            await self._app(scope, _given(body, receive), sending)

    def _wait(self, address: str, at: float) -> float:
        """Seconds until `address` may ask again; 0 where it may now."""
        tokens, before = self._buckets.pop(address, (BURST, at))
        tokens = min(BURST, tokens + (at - before) * RATE)
        allowed = tokens >= 1
        self._buckets[address] = (tokens - 1 if allowed else tokens, at)
        while len(self._buckets) > REMEMBERED:
            self._buckets.popitem(last=False)
        return 0.0 if allowed else (1 - tokens) / RATE


def _closing(status: int, code: str, said: str) -> Response:
    return problem(status, code, said, said, {"Connection": "close"})


async def _whole(receive: Receive, announced: bytes) -> bytes | None:
    """The body of a request; None where it is larger than any of ours."""
    if announced.isdigit() and int(announced[:20]) > LARGEST:
        return None
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return b"".join(parts)  # gone; whoever reads on will be told
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > LARGEST:
            return None
        if not message.get("more_body"):
            return b"".join(parts)


def _given(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives `body` first, and then whatever comes: that who asked has gone."""
    waiting = [{"type": "http.request", "body": body, "more_body": False}]

    async def receiving() -> Message:
        return waiting.pop() if waiting else await receive()

    return receiving
