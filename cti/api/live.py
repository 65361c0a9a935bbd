"""The calls that go on, as server-sent events: one at once, and one whenever something has changed."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
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
    watched(service, session, TICK)
    desk = service.desk.by(session.who.account.id)
    await asyncio.to_thread(desk.log, "calls.watched", desk.catalogue.pbx, {"session": session.id})
    return StreamingResponse(_events(service, session), media_type="text/event-stream")


def _events(service: Service, session: Session) -> AsyncIterator[bytes]:
    before: Any = ()  # nothing that can be told

    async def news() -> list[bytes]:
        nonlocal before
        try:
            told: Any = (await service.desk.ask({"ask": "calls"}))["calls"]
        except (OSError, KeyError):
            told = None  # the recorder is away
        if told == before:
            return []
        before = told
        return [b"event: calls\ndata: " + json.dumps({"calls": told}, ensure_ascii=False).encode()]

    return streamed(service, session, Act.LIVE, news, tick=TICK, quiet=b"nothing has changed")


def watched(service: Service, session: Session, tick: float) -> None:
    """Raises TooFastError where a session watches enough already."""
    if service.watching[session.id] >= AT_ONCE:
        raise TooFastError(tick)


async def streamed(
    service: Service, session: Session, act: Act, news: Callable[[], Awaitable[list[bytes]]], *, tick: float,
    quiet: bytes,
) -> AsyncIterator[bytes]:  # fmt: skip
    """What is new every `tick` seconds, as long as the session may do `act`; `quiet`: said where nothing is."""
    service.watching[session.id] += 1
    try:
        loop = asyncio.get_running_loop()
        said = loop.time()
        while await service.may_watch(session, act):
            events = await news()
            for event in events:
                yield event + b"\n\n"
            if events or loop.time() - said >= QUIET:
                said = loop.time()
                if not events:
                    yield b": " + quiet + b"\n\n"
            await asyncio.sleep(tick)
    finally:
        service.watching[session.id] -= 1
        if not service.watching[session.id]:
            del service.watching[session.id]
