"""Recordings: looked for, looked at, heard, exported."""

import asyncio
import io
import time
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import datetime
from itertools import chain
from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import StreamingResponse
from pydantic import AfterValidator, AwareDatetime
from starlette.types import Receive, Scope, Send

from cti.api.hearing import HEAD, Hearing
from cti.api.problems import DisclosureError, problem
from cti.api.ranges import UnsatisfiableError, span
from cti.api.service import Once, Service, may, service_of
from cti.api.shapes import Ask, Details, Export, Gap, Levels, Play, Recording, Recordings, from_cursor, to_cursor
from cti.api.signing import address
from cti.desk import Sound
from cti.errors import UsageError
from cti.i18n import _
from cti.purpose import Purpose
from policies.rights import OPERATORS, Act
from recorder.access.sessions import Session
from recorder.level import level
from recorder.vault.age import Recipient
from recorder.wanted import Wanted

router = APIRouter(route_class=Once, tags=["recordings"])
files = APIRouter(tags=["recordings"])

_TYPES = {"age": "application/octet-stream", "flac": "audio/flac", "wav": "audio/wav"}

BLOCK = 256 * 1024
SENDING = 600.0
"""Seconds in which an export has to be taken."""

Number = Annotated[str | None, Query(pattern=r"^\+?[0-9]{1,31}$")]


def _in_range(at: datetime | None) -> datetime | None:
    # Of year 1 and 9999 the time in another zone may not exist.
    if at is not None and not 1970 <= at.year <= 9000:
        raise ValueError("the year must lie between 1970 and 9000")
    return at


@router.get("/recordings")
async def recordings(
    request: Request,
    session: Session = may(Act.SEARCH),
    number: Number = None,
    caller: Number = None,
    callee: Number = None,
    agent: Annotated[str | None, Query(pattern=r"^[A-Za-z0-9_-]{1,32}$")] = None,
    direction: Annotated[str | None, Query(pattern=r"^(in|out|internal)$")] = None,
    since: Annotated[AwareDatetime | None, Query(alias="from"), AfterValidator(_in_range)] = None,
    until: Annotated[AwareDatetime | None, Query(alias="to"), AfterValidator(_in_range)] = None,
    shortest: Annotated[float | None, Query(ge=0, le=1e6, alias="min_seconds")] = None,
    longest: Annotated[float | None, Query(ge=0, le=1e6, alias="max_seconds")] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    cursor: Annotated[str | None, Query(max_length=200)] = None,
) -> Recordings:
    """Recordings, newest first: what was looked for, but not whom, goes into the access log."""
    wanted = Wanted(
        number=number, caller=caller, callee=callee, agent=agent, direction=direction, since=since, until=until,
        shortest=shortest, longest=longest,
    )  # fmt: skip
    after = from_cursor(cursor) if cursor is not None else None
    desk = service_of(request).desk.by(session.who.account.id)
    found = await desk.recordings(wanted, limit=limit + 1, after=after)
    page = [Recording(**row) for row in found[:limit]]
    more = to_cursor((page[-1].start, page[-1].recording)) if len(found) > limit else None
    return Recordings(items=page, next=more)


@router.get("/recordings/{recording}")
async def recording(recording: str, request: Request, session: Session = may(Act.SEARCH)) -> Details:
    """One recording with its segments. `recording` may be the beginning of an id."""
    return Details(**await service_of(request).desk.by(session.who.account.id).show(recording))


@router.post("/recordings/{recording}/plays", status_code=201)
async def play(recording: str, asked: Ask, request: Request, session: Session = may(None)) -> Play:
    """Open a recording to hear it. The access log has the purpose before anything of it can be heard.

    For disclosure (7条, 8条): at a registered terminal, with the number of the request and the ID of a second person.
    """
    service = service_of(request)
    act = Act.DISCLOSE if asked.purpose is Purpose.DISCLOSURE else Act.PLAY
    await service.entitled(session.who.account, act)  # before anybody learns what there is
    identity = await service.desk.find(recording)
    detail: dict[str, Any] = {"request": asked.request} if asked.request else {}
    if act is Act.DISCLOSE:
        detail |= await _disclosure(service, asked, session, address(request))
    elif asked.witness:
        raise UsageError(_("a second person is named for disclosure only"))
    sound = await asyncio.to_thread(service.desk.open, identity, asked.start, asked.end)
    held = await service.may_open(session, sound.epochs, sound.recording)
    detail |= {"from": sound.start / sound.rate, "to": sound.end / sound.rate}
    hearing = await service.hear(
        session, sound, held.opening, purpose=asked.purpose, which=asked.side, act=act,
        terminal=detail.get("terminal"), detail=detail,
    )  # fmt: skip
    return _play(request, hearing)


@router.get("/plays/{play}")
async def playing(play: str, request: Request, session: Session = may(None)) -> Play:
    """One that goes on."""
    return _play(request, await service_of(request).hearing(session, play, address(request)))


@router.get(
    "/plays/{play}/audio",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"audio/wav": {}}, "description": "All of it"},
        206: {"content": {"audio/wav": {}}, "description": "What Range asks for"},
        416: {"description": "There is nothing of what Range asks for"},
    },
)
async def audio(play: str, request: Request, session: Session = may(None)) -> Response:
    """The sound as WAV, or what Range asks for of it: sample n lies at byte 44 + 2 n (one side), 44 + 4 n (both)."""
    hearing = await service_of(request).hearing(session, play, address(request))
    etag = f'"{hearing.name}"'
    headers = {"Accept-Ranges": "bytes", "ETag": etag}
    try:
        part = span(request.headers.get("range"), request.headers.get("if-range"), hearing.size, etag)
    except UnsatisfiableError:
        said = _("there is nothing of what Range asks for")
        return problem(416, "range", said, said, {"Content-Range": f"bytes */{hearing.size}"})
    first, last = (part.first, part.last) if part else (0, hearing.size - 1)
    headers["Content-Length"] = str(last + 1 - first)
    if part:
        headers["Content-Range"] = f"bytes {first}-{last}/{hearing.size}"
    blocks = await asyncio.to_thread(_begun, hearing, first, last)
    return StreamingResponse(blocks, 206 if part else 200, headers, "audio/wav")


@router.get("/plays/{play}/level")
async def levels(
    play: str, request: Request, session: Session = may(None), points: Annotated[int, Query(ge=1, le=2000)] = 120
) -> Levels:
    """How loud each side is over the length of what is heard, and how much each speaks. Reads all of it.

    Of a short stretch there are fewer points: ten a second at most.
    """
    hearing = await service_of(request).hearing(session, play, address(request))
    sound = hearing.sound

    # Ten a second are a picture; eight thousand would be the sound.
    most = max(1, min(points, int(10 * sound.seconds)))
    hearing.levels += 1

    def look() -> Levels:
        blocks = hearing.player.joined(sound.parts, sound.start, sound.end)
        found = level(blocks, sound.end - sound.start, sound.rate, most)
        return Levels(left=found.left, right=found.right, speech=found.speech)

    # One at a time, and given back by the thread: who asks and goes does not make it two.
    slot = service_of(request).levelling
    await slot.acquire()
    looking = asyncio.get_running_loop().run_in_executor(None, look)
    looking.add_done_callback(lambda _: slot.release())
    return await asyncio.shield(looking)


@router.delete("/plays/{play}", status_code=204)
async def stop(play: str, request: Request, session: Session = may(None)) -> Response:
    """End it: the access log has what was heard."""
    hearings = service_of(request).hearings
    await hearings.end(hearings.find(session, play, time.monotonic()))
    return Response(status_code=204)


@files.post(
    "/recordings/{recording}/exports",
    response_class=StreamingResponse,
    responses={200: {"content": {kind: {} for kind in sorted(set(_TYPES.values()))}, "description": "The file"}},
)
async def export(recording: str, asked: Export, request: Request, session: Session = may(Act.EXPORT)) -> Response:
    """A whole recording as a file: for age the same bytes as in the vault, under a header for `recipient`."""
    service = service_of(request)
    to = Recipient.parse(asked.recipient) if asked.recipient else None
    desk = service.desk.by(session.who.account.id)
    sound = await asyncio.to_thread(desk.open, await desk.find(recording), 0, None)
    await service.may_open(session, sound.epochs, sound.recording)
    said: dict[str, Any] = {"purpose": asked.purpose.value, "format": asked.format}
    said |= {"recipient": asked.recipient} if asked.recipient else {}
    await service.exporting.acquire()  # one at a time: an hour is 115 MB as WAV
    act, file = "", io.BytesIO()
    try:
        # Who has waited looks again.
        await service.session(request)
        await service.entitled(session.who.account, Act.EXPORT, sound.recording)
        held = await service.may_open(session, sound.epochs, sound.recording)
        act = await asyncio.to_thread(desk.intent, "export", sound, said)
        await asyncio.to_thread(desk.write, sound, held.opening, asked.format, to, file, lambda _: None)
    except BaseException as error:
        service.exporting.release()
        if act:
            why = f"failed: {type(error).__name__}"
            await asyncio.shield(asyncio.to_thread(desk.result, "export", sound, act, why, {"seconds": 0.0}))
        raise

    def told(sent: int, size: int) -> None:
        seconds = sound.seconds * sent / size
        desk.result("export", sound, act, "done" if sent == size else "interrupted", {"seconds": seconds})

    name = f"{sound.recording}.{_suffix(asked.format, sound)}"
    return _File(file, _TYPES[asked.format], name, service.exporting, told)


class _File(StreamingResponse):
    """An export in memory: in the clear it must not touch a disk. `slot` is given back when it was sent, or not."""

    def __init__(
        self, file: io.BytesIO, kind: str, name: str, slot: asyncio.Semaphore, told: Callable[[int, int], None]
    ) -> None:
        self._slot, self._told, self._view, self._sent = slot, told, file.getbuffer(), 0
        headers = {
            "Content-Disposition": f'attachment; filename="{name}"', "Content-Length": str(self._view.nbytes)
        }  # fmt: skip
        super().__init__(self._blocks(), 200, headers, kind)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it. Who takes too long does not keep others waiting."""
        try:
            async with asyncio.timeout(SENDING):
                await super().__call__(scope, receive, send)
        finally:
            self._slot.release()
            await asyncio.shield(asyncio.to_thread(self._told, self._sent, self._view.nbytes))

    async def _blocks(self) -> AsyncIterator[bytes]:
        while self._sent < self._view.nbytes:
            block = bytes(self._view[self._sent : self._sent + BLOCK])
            self._sent += len(block)
            yield block


def _suffix(kind: str, sound: Sound) -> str:
    if kind != "age":
        return kind
    return "tar" if len(sound.parts) > 1 else "flac.age"


def _begun(hearing: Hearing, first: int, last: int) -> Iterator[bytes]:
    """The bytes, of which the first are there: what cannot be opened is a problem, and no sound that breaks off."""
    blocks = hearing.read(first, last)
    begun = [next(blocks, b"")]
    if first < HEAD <= last:  # the head opens nothing
        begun.append(next(blocks, b""))
    return chain(begun, blocks)


async def _disclosure(service: Service, asked: Ask, session: Session, at: str) -> dict[str, Any]:
    """What the log has of a disclosure. Raises DisclosureError where the rules do not allow it."""
    terminal = service.terminal(at)
    if not asked.request:
        raise DisclosureError(_("the number of the request is missing (7条)"))
    witness = await service.guard.accounts.one(asked.witness) if asked.witness else None
    if witness is None or witness.id == session.who.account.id or witness.role not in OPERATORS:
        raise DisclosureError(_("name a second person: the ID of another 職員 who is there (8条)"))
    return {"terminal": terminal.name, "witness": witness.id}


def _play(request: Request, hearing: Hearing) -> Play:
    sound = hearing.sound
    return Play(
        play=hearing.name,
        recording=sound.recording,
        audio=str(request.app.url_path_for("audio", play=hearing.name)),
        seconds=sound.seconds,
        rate=sound.rate,
        channels=hearing.frame // 2,
        segments=len(sound.parts),
        gaps=[Gap(at=at, seconds=lost) for at, lost in sound.gaps],
    )
