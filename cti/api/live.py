"""The calls that go on, as server-sent events: one at once, and one whenever something has changed."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from cti.api.problems import TooFastError
from cti.api.service import Service, may, service_of
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter()

TICK: Final = 1.0
QUIET: Final = 10.0
"""Seconds without a change after which a comment is sent: whoever listens, and what lies between, knows that we are."""
AT_ONCE: Final = 2
"""Of one session."""


@router.get(
    "/calls/live",
    tags=["calls"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `calls`, each a list of all"}},
)
async def live(request: Request, session: Session = may(Act.LIVE)) -> StreamingResponse:
    """The calls of designated numbers that go on just now, as long as the session lasts. The log has who looked."""
    service = service_of(request)
    if service.watching[session.id] >= AT_ONCE:
        raise TooFastError(TICK)
    desk = service.desk.by(session.who.account.id)
    await asyncio.to_thread(desk.log, "calls.watched", desk.catalogue.pbx, {"session": session.id})
    return StreamingResponse(_events(service, session), media_type="text/event-stream")


async def _events(service: Service, session: Session) -> AsyncIterator[bytes]:
    service.watching[session.id] += 1
    try:
        before: Any = ()  # nothing that can be told
        loop = asyncio.get_running_loop()
        said = loop.time()
        while await service.may_watch(session, Act.LIVE):
            try:
                told: Any = (await service.desk.ask({"ask": "calls"}))["calls"]
            except (OSError, KeyError):
                told = None  # the recorder is away
            if told != before:
                before, said = told, loop.time()
                yield b"event: calls\ndata: " + json.dumps({"calls": told}, ensure_ascii=False).encode() + b"\n\n"
            elif loop.time() - said >= QUIET:
                said = loop.time()
                yield b": nothing has changed\n\n"
            await asyncio.sleep(TICK)
    finally:
        service.watching[session.id] -= 1
        if not service.watching[session.id]:
            del service.watching[session.id]
