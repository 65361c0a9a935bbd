"""Telling by a ticket in Zammad: the first act of a case makes one, each other is an article of it.

Zammad has no keys that make a request happen once: before a ticket is made again, it is looked for by its title.
"""

import json
import re
from collections.abc import Mapping
from typing import Any, Final

import httpx

from cti.outward.webhook import NotToldError
from policies.outward import Destination

_ID: Final = re.compile(r"[1-9][0-9]{0,17}", re.ASCII)
_SHOWN: Final = ("inquiry", "name", "number", "email", "main", "owner")
ASKED: Final = "?"
"""Before the number of an act, in place of a ticket's id: that act asked for one, and perhaps it was made."""
LONGEST: Final = 1 << 20
"""Bytes of an answer that are read."""


async def tell(
    http: httpx.AsyncClient, destination: Destination, token: str, event: Mapping[str, Any], theirs: str | None
) -> str:
    """The id of the ticket; `theirs`: as far as it is known. Raises NotToldError, httpx.HTTPError."""
    headers = {"Authorization": f"Token token={token}"}
    root = destination.url.rstrip("/") + "/api/v1/tickets"
    title = f"案件 {event['data']['case']} ({event['subject'][:8]})"
    asked = theirs[1:] if theirs is not None and theirs.startswith(ASKED) else None
    if asked is not None:
        theirs = await _known(http, root, headers, title)
        if theirs is not None and asked == str(event["data"]["act"]):
            return theirs  # made by the act that asked for it
    state = "closed" if event["data"]["state"] == "closed" else "open"
    article = {"subject": event["type"], "body": _text(event), "type": "note", "internal": True}
    if theirs is None:
        made = {
            "title": title, "group": destination.group, "customer": destination.customer, "state": state,
            "article": article,
        }  # fmt: skip
        found = await _ask(http, "POST", root, headers, made)
        theirs = str(found.get("id", "")) if isinstance(found, dict) else ""
        if not _ID.fullmatch(theirs):
            raise NotToldError("the answer names no ticket")
        return theirs
    await _ask(http, "PUT", f"{root}/{theirs}", headers, {"state": state, "article": article})
    return theirs


async def reached(http: httpx.AsyncClient, destination: Destination, token: str) -> None:
    """Whether it lets us in. Raises NotToldError, httpx.HTTPError."""
    url = destination.url.rstrip("/") + "/api/v1/users/me"
    await _ask(http, "GET", url, {"Authorization": f"Token token={token}"}, None)


async def _known(http: httpx.AsyncClient, root: str, headers: Mapping[str, str], title: str) -> str | None:
    found = await _ask(http, "GET", f"{root}/search", headers, None, {"query": f'title:"{title}"', "limit": "10"})
    for name in ("assets", "Ticket"):
        found = found.get(name) if isinstance(found, dict) and name in found else found
    each = found.values() if isinstance(found, dict) else found if isinstance(found, list) else ()
    for one in each:
        if isinstance(one, dict) and one.get("title") == title and _ID.fullmatch(str(one.get("id"))):
            return str(one["id"])
    return None


async def _ask(
    http: httpx.AsyncClient, method: str, url: str, headers: Mapping[str, str], sent: Mapping[str, Any] | None,
    query: Mapping[str, str] | None = None,
) -> Any:  # fmt: skip
    async with http.stream(method, url, headers=headers, json=sent, params=query) as answer:
        if not answer.is_success:
            raise NotToldError(f"HTTP {answer.status_code}")
        read = b""
        async for piece in answer.aiter_raw():
            read += piece
            if len(read) > LONGEST:
                raise NotToldError("the answer is too long")
    try:
        return json.loads(read)
    except (ValueError, RecursionError) as error:
        raise NotToldError("the answer is no JSON") from error


def _text(event: Mapping[str, Any]) -> str:
    data = event["data"]
    lines = [f"{data['kind']}  {event['time']}  {data['unit']}"]
    lines += [f"{name}: {data[name]}" for name in _SHOWN if data.get(name)]
    lines += [f"{name}: {value}" for name, value in data["details"].items() if value]
    lines += [
        f"{one['ticket']} {one['kind']} → {one['unit']} {one['due'] or ''} {one['outcome'] or ''}".rstrip()
        for one in data["tickets"]
    ]
    return "\n".join(lines)
