"""What the routes stand on: who is signed in, what they may, and what they hear just now."""

import asyncio
import hmac
import re
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import structlog
from fastapi import Depends, Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import SQLAlchemyError

from cti.api.hearing import Hearing, Hearings
from cti.api.problems import OURS, DisclosureError, IdempotencyError, NoSessionError
from cti.api.tending import Tending
from cti.cases.calling import Calling
from cti.cases.desk import CaseDesk
from cti.cases.importing import Importing
from cti.cases.putting import Putting
from cti.deciding import Deciding
from cti.demands import Demands
from cti.desk import Desk, Sound
from cti.errors import LogUnavailableError, UsageError
from cti.guard import Guard
from cti.holding import Holding
from cti.i18n import _
from cti.moving import Moving
from cti.reviewing import Reviewing
from cti.vaultkeys import VaultKeys
from policies.rights import Act
from policies.terminals import Terminal, Terminals
from recorder.access.grants import Held, NoKeyHeldError
from recorder.access.people import Account
from recorder.access.sessions import Session, Sessions
from recorder.vault.keys import Keys

log = structlog.get_logger()

KEPT_ANSWERS: Final = 200
"""Answers of one session that a repeated request is given again."""
TICK: Final = 1.0

_BEARER = re.compile(r"Bearer ([A-Za-z0-9_-]{20,128})", re.ASCII | re.IGNORECASE)
_KEY = re.compile(r"[\x21-\x7e]{8,128}")


@dataclass(slots=True)
class _Answers:
    """What one session's idempotency keys were answered with."""

    kept: dict[str, tuple[bytes, Response]] = field(default_factory=dict)
    working: asyncio.Lock = field(default_factory=asyncio.Lock)


class Service:
    """One of a desk."""

    def __init__(
        self,
        desk: Desk,
        guard: Guard,
        *,
        terminals: Callable[[], Terminals],
        health: Callable[[], Any],
        keys: VaultKeys,
        reviewing: Reviewing,
        deciding: Deciding,
        cases: CaseDesk,
        calling: Calling,
        putting: Putting,
        holding: Holding,
        demands: Demands,
        moving: Moving,
    ) -> None:
        """`terminals` reads the policy in force; `health` looks and judges (status)."""
        self.tending, self.reviewing, self.deciding = Tending(keys, guard), reviewing, deciding
        self.cases, self.calling, self.putting, self.importing = cases, calling, putting, Importing(cases)
        self.holding, self.demands, self.moving = holding, demands, moving
        self.desk, self.guard, self.terminals, self.health = desk, guard, terminals, health
        self.sessions, self.hearings = Sessions(), Hearings(desk)
        self.exporting, self.levelling = asyncio.Semaphore(1), asyncio.Semaphore(1)
        self.watching = Counter[str]()
        """How many streams of events each session has open."""
        self._answers: dict[str, _Answers] = {}

    # --- sessions -----------------------------------------------------------------------------------------------------

    async def begin(self, account: str, password: str, code: str, address: str) -> tuple[str, Session]:
        """Sign somebody in. Raises RefusedError, TooSoonError, ForgedError."""
        who = await self.guard.accounts.sign_in(account, password, code, address)
        token, session, ended = self.sessions.begin(who, address, time.monotonic())
        await self._over(ended, "signed in elsewhere")
        self.tending.signed_in(who)
        return token, session

    async def session(self, request: Request) -> Session:
        """Whose request it is: signed in, not idle for too long, and the account as it was. Raises NoSessionError."""
        given = _BEARER.fullmatch(request.headers.get("Authorization", ""))
        session = self.sessions.find(given[1], time.monotonic()) if given else None
        if session is None:
            raise NoSessionError(_("sign in: `kikitori login`, or POST /v1/session"))
        if not await self.guard.accounts.still(session.who):
            await self.end(session, "account ended or changed")
            raise NoSessionError(_("the account was ended or changed meanwhile"))
        self.check_open(session)
        return session

    def check_open(self, session: Session) -> None:
        """Whether it is still there: whoever has waited for something looks again. Raises NoSessionError."""
        if session not in self.sessions.all():
            raise NoSessionError(_("sign in: `kikitori login`, or POST /v1/session"))

    async def end(self, session: Session, why: str) -> None:
        """Nobody does anything by it any more, from now on."""
        if session in self.sessions.all():
            self.sessions.end(session)
            await self._over([session], why)

    async def end_of(self, account: str, why: str) -> None:
        """All sessions of an account."""
        for session in self.sessions.all():
            if session.who.account.id == account:
                await self.end(session, why)

    async def _over(self, sessions: Iterable[Session], why: str) -> None:
        for session in sessions:
            self._answers.pop(session.id, None)
            about = session.who.account.id
            try:
                await self.hearings.end_of(session, "interrupted")
                said = {"session": session.id, "why": why}
                await asyncio.to_thread(self.desk.log, "account.signed-out", about, said, actor=about)
            except LogUnavailableError as error:
                # Nothing is opened by it any more; of what it heard `expire` writes the line when it can.
                log.error("the end of a session is not in the access log", error=str(error), session=session.id)

    async def keep(self) -> None:
        """Look, for ever."""
        while True:
            await asyncio.sleep(TICK)
            try:
                await self.look()
            except (*OURS, SQLAlchemyError, OSError) as error:
                log.error("a session could not be looked at", error=str(error))

    async def look(self) -> None:
        """End what is over: what somebody hears who may no more, sessions, plays."""
        for hearing in self.hearings.all():
            if why := await self._no_more(hearing):
                log.info("a play ends", why=why, account=hearing.session.who.account.id)
                hearing.stop("interrupted")  # its line is written below, or as soon as it can be
        await self._over(self.sessions.expire(time.monotonic()), "idle, or too long")
        await self.hearings.expire(time.monotonic())

    async def _no_more(self, hearing: Hearing) -> str:
        """Why somebody who hears something just now, by one long answer, may no more; empty where they may.

        What cannot be found out is no leave: listening fails closed.
        """
        try:
            if not await self.guard.accounts.still(hearing.session.who):
                await self.end(hearing.session, "account ended or changed")
                return "account"
            await self._may_go_on(hearing)
        except (*OURS, SQLAlchemyError, OSError) as error:
            return str(getattr(error, "code", type(error).__name__))
        return ""

    async def close(self) -> None:
        """The desk ends: so does everything that is open here, in the log too."""
        for session in self.sessions.all():
            await self.end(session, "the desk ended")
        await self.hearings.expire(time.monotonic())
        await self.tending.close()

    async def may_watch(self, session: Session, act: Act) -> bool:
        """Whether somebody who watches what goes on may go on. What cannot be found out is no leave."""
        if session not in self.sessions.all():
            return False
        try:
            still = await self.guard.accounts.still(session.who)
            return still and self.guard.rights().allows(session.who.account.role, act)
        except (*OURS, SQLAlchemyError, OSError):
            return False

    # --- rights -------------------------------------------------------------------------------------------------------

    async def entitled(self, account: Account, act: Act, about: str | None = None) -> None:
        """Raises NotEntitledError."""
        await asyncio.to_thread(self.guard.entitled, account, act, about)

    async def may_open(self, session: Session, epochs: Iterable[int], about: str) -> Held:
        """What somebody can open just now. Raises NoKeyHeldError where one of the keys is not among it: that is logged.

        Asked each time: keys are given, taken away and changed while people are signed in.
        """
        held = await self.guard.accounts.grants.held(session.who)
        try:
            for epoch in set(epochs):
                held.opening(epoch)
        except NoKeyHeldError:
            await asyncio.to_thread(self.guard.accounts.denied, session.who.account, "open without the key", about)
            raise
        return held

    async def hear(self, session: Session, sound: Sound, keys: Keys, **how: Any) -> Hearing:
        """Begin a play (`Hearings.begin`), unless the session has ended meanwhile: then nothing can be heard."""
        made = await self.hearings.begin(session, sound, keys, **how)
        if session not in self.sessions.all():
            await self.hearings.end(made, "interrupted")
            self.check_open(session)
        return made

    async def hearing(self, session: Session, name: str, address: str) -> Hearing:
        """What `session` hears under that name, and may still. Raises NotFoundError, NotEntitledError and the like."""
        found = self.hearings.find(session, name, time.monotonic())
        await self._may_go_on(found, address)
        self.check_open(session)
        return found

    async def _may_go_on(self, hearing: Hearing, address: str | None = None) -> None:
        session, recording = hearing.session, hearing.sound.recording
        if hearing.terminal is not None:
            self.terminal(address or session.address, hearing.terminal)
        await self.entitled(session.who.account, hearing.act, recording)
        held = await self.may_open(session, hearing.sound.epochs, recording)
        hearing.player.keys = held.opening  # they may have been changed while it is heard

    def terminal(self, address: str, name: str | None = None) -> Terminal:
        """The one that asks from `address`, of that `name` if one is given. Raises DisclosureError where it is none."""
        found = self.terminals().at(address)
        if found is None or name not in (None, found.name):
            raise DisclosureError(
                _(
                    "{address} is no terminal that 課長 has registered for disclosure (policies/terminals.toml; 8条)"
                ).format(address=address)
            )
        return found

    # --- once ---------------------------------------------------------------------------------------------------------

    async def once(self, request: Request, act: Act | None, work: Callable[[], Awaitable[Response]]) -> Response:
        """The answer of before, where the same request with the same Idempotency-Key was done; else of `work`.

        `act`: the right that the request needs, now as then. Raises IdempotencyError, UsageError, NoSessionError.
        """
        key = request.headers.get("Idempotency-Key", "")
        if not key:
            return await work()
        if not _KEY.fullmatch(key):
            raise UsageError(_("Idempotency-Key: 8 to 128 printable ASCII characters without spaces"))
        session = await self.session(request)
        answers = self._answers.setdefault(session.id, _Answers())
        asked = sha256(f"{request.method} {request.url.path}?{request.url.query}\n".encode() + await request.body())
        async with answers.working:
            if before := answers.kept.get(key):
                if not hmac.compare_digest(before[0], asked.digest()):
                    raise IdempotencyError(_("this Idempotency-Key was used for another request"))
                if act is not None:
                    await self.entitled(session.who.account, act)
                return before[1]
            answer = await work()
            if answer.status_code < 400 and session in self.sessions.all():
                answers.kept[key] = asked.digest(), answer
                while len(answers.kept) > KEPT_ANSWERS:
                    del answers.kept[next(iter(answers.kept))]
            return answer


class Once(APIRoute):
    """A route whose writes are done once for each Idempotency-Key. None of them gives sound: that is never kept."""

    def get_route_handler(self) -> Callable[[Request], Any]:
        """FastAPI's."""
        inside = super().get_route_handler()

        async def handler(request: Request) -> Response:
            if request.method == "GET":
                answer: Response = await inside(request)
                return answer
            acts = [one.call.act for one in self.dependant.dependencies if isinstance(one.call, May)]
            return await service_of(request).once(request, acts[0], lambda: inside(request))

        return handler


def service_of(request: Request) -> Service:
    """The service behind a request."""
    service: Service = request.app.state.service
    return service


@dataclass(frozen=True, slots=True)
class May:
    """A route's dependency: somebody who is signed in and may do `act`; None: whoever is signed in."""

    act: Act | None

    async def __call__(self, request: Request) -> Session:
        """The session."""
        service = service_of(request)
        session = await service.session(request)
        if self.act is not None:
            await service.entitled(session.who.account, self.act)
        return session


def may(act: Act | None) -> Any:
    """`session: Session = may(Act.PLAY)`"""
    return Depends(May(act))
