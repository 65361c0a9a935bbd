"""Callers who are put through to one's 所管課, as server-sent events: each before its telephone rings (E-13)."""

from collections.abc import AsyncIterator
from typing import Final

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse

from cti.api.caseshapes import Arrival
from cti.api.live import streamed, watched
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
    watched(service, session, TICK)
    service.cases.unit(session.who.account)
    return StreamingResponse(_events(service, session), media_type="text/event-stream")


def _events(service: Service, session: Session) -> AsyncIterator[bytes]:
    shown = set[str]()

    async def news() -> list[bytes]:
        found = await service.cases.arriving(session.who.account, shown)
        shown.update(one.ticket for one in found)
        now = service.desk.now()
        return [b"event: arrival\ndata: " + Arrival.of(one, now).model_dump_json().encode() for one in found]

    return streamed(service, session, Act.CASES, news, tick=TICK, quiet=b"nobody comes")
