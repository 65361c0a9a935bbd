"""Callers who are put through to one's 所管課, as server-sent events: each before its telephone rings (E-13)."""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from cti.api.caseshapes import Arrival
from cti.api.live import AT_ONCE, QUIET
from cti.api.problems import TooFastError
from cti.api.service import Service, may, service_of
from policies.rights import Act
from recorder.access.sessions import Session

router = APIRouter()

TICK: Final = 0.5


@router.get(
    "/arrivals",
    tags=["cases"],
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {}}, "description": "Events `arrival`, each a caller"}},
)
async def arrivals(request: Request, session: Session = may(Act.CASES)) -> StreamingResponse:
    """Who is put through to your unit, with the case, why, and what else there is of them, until the session ends.

    The log has each as a look at the case.
    """
    service = service_of(request)
    if service.watching[session.id] >= AT_ONCE:
        raise TooFastError(TICK)
    service.cases.unit(session.who.account)
    return StreamingResponse(_events(service, session), media_type="text/event-stream")


async def _events(service: Service, session: Session) -> AsyncIterator[bytes]:
    service.watching[session.id] += 1
    loop = asyncio.get_running_loop()
    shown, said = set[str](), loop.time()
    try:
        while await service.may_watch(session, Act.CASES):
            for one in await service.cases.arriving(session.who.account, shown):
                shown.add(one.ticket)
                said = loop.time()
                told = Arrival.of(one, service.desk.now()).model_dump_json()
                yield b"event: arrival\ndata: " + told.encode() + b"\n\n"
            if loop.time() - said >= QUIET:
                said = loop.time()
                yield b": nobody comes\n\n"
            await asyncio.sleep(TICK)
    finally:
        service.watching[session.id] -= 1
        if not service.watching[session.id]:
            del service.watching[session.id]
