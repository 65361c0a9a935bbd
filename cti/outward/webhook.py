"""Telling by a signed webhook: one request an act."""

from datetime import datetime
from typing import Any, Final

import httpx

from cti.outward import signing
from cti.outward.events import body

TYPE: Final = "application/cloudevents+json; charset=utf-8"


class NotToldError(Exception):
    """The other system did not take it. What it says is not repeated: it may be anything."""


async def tell(http: httpx.AsyncClient, url: str, key: bytes, event: dict[str, Any], at: datetime) -> None:
    """Raises NotToldError, httpx.HTTPError."""
    sent = body(event)
    headers = {"Content-Type": TYPE, **signing.headers(key, event["id"], at, sent)}
    async with http.stream("POST", url, content=sent, headers=headers) as answer:
        if not answer.is_success:
            raise NotToldError(f"HTTP {answer.status_code}")
