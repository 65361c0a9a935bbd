"""The gate's server. It asks the recorder whether the call is being recorded, and lets the call go on either way.

What the channel is told, by what was asked:

    /out, /internal   KIKITORI_ARMED = yes | no
    /in/DIALLED       KIKITORI_GATE  = yes | no, then where the call goes and why (`direct.FIELDS`), in one command
    /say/DIGITS       KIKITORI_SAY   = the prompts that spell a number
    /pass/CODE        KIKITORI_PASS  = section,telephone,how: where a caller goes who is put through to a 所管課
    /choose/KEY       KIKITORI_PASS  = the same for what a caller pressed, and the kind of question
    /note/SECTION     KIKITORI_NOTE  = the case that the 所管課 has been told of; wait; no

On `no`, on a closed connection and on none at all, the dialplan starts MixMonitor itself, and goes by hours of its own.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Protocol

import structlog

from cti.routing.agi import UNIQUEID, Agi, AgiError
from cti.routing.speech import number

log = structlog.get_logger()

BACKLOG = 1024  # the usual 100 gave 500 callers a tail of a second
LOOK = 0.05  # seconds between two looks at the deadlines
_CAME_IN = re.compile(r"/in/(\d{1,15})(?:\?|$)", re.ASCII)  # E.164 has 15 digits at most
_SAY = re.compile(r"/say/(\d{1,20})(?:\?|$)", re.ASCII)
_ONWARD = re.compile(r"/(pass|choose)/(\d{1,15})(?:\?|$)", re.ASCII)
_NOTE = re.compile(r"/note/([a-z][a-z0-9-]{0,31})(?:\?|$)", re.ASCII)

Ask = Callable[[str, str | None], Awaitable[str]]
Noted = Callable[[str, str], Awaitable[str]]


class Direct(Protocol):
    """Where calls go; it never raises (`direct.Director`)."""

    def __call__(self, uniqueid: str, dialled: str | None) -> str:
        """One that comes in."""
        ...

    def passing(self, code: str) -> str:
        """One that is put through to a 所管課."""
        ...

    def chosen(self, key: str) -> str:
        """One who pressed a key."""
        ...


class Gate:
    """`ask(uniqueid, dialled)` gives `yes` (recorded), `skip` (the rules want nothing recorded) or `no`, within its
    deadline. `direct(uniqueid, dialled)` says where the call goes. `dialled` is the number that it came in through.
    `noted(uniqueid, section)`: the number of the case that this 所管課 was told of, `wait`, or `no`.
    """

    def __init__(self, ask: Ask, direct: Direct, noted: Noted) -> None:
        """Serve with `start`."""
        self.ask, self.direct, self.noted = ask, direct, noted
        self.served = 0
        self.failed = 0
        self._open: set[Agi] = set()
        self._looking = False

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises OSError where the port is taken."""
        return await asyncio.get_running_loop().create_server(self._begun, host, port, backlog=BACKLOG)

    async def variables(self, uniqueid: str, request: str) -> dict[str, str]:
        """What the channel is to be told. Raises AgiError where `uniqueid` is none."""
        if not UNIQUEID.fullmatch(uniqueid):
            raise AgiError("agi_uniqueid is not one")
        came_in = _CAME_IN.search(request)
        if came_in is None and "/say/" in request:
            spelt = _SAY.search(request)
            return {"KIKITORI_SAY": "&".join(number(spelt[1])) if spelt else ""}
        if came_in is None and (put := _ONWARD.search(request)) is not None:
            decide = self.direct.passing if put[1] == "pass" else self.direct.chosen
            return {"KIKITORI_PASS": decide(put[2])}
        if came_in is None and (note := _NOTE.search(request)) is not None:
            return {"KIKITORI_NOTE": await self.noted(uniqueid, note[1])}
        answer = await self.ask(uniqueid, came_in[1] if came_in else None)
        armed = "yes" if answer in ("yes", "skip") else "no"
        if came_in is None:
            return {"KIKITORI_ARMED": armed}
        return {"KIKITORI_GATE": f"{armed},{self.direct(uniqueid, came_in[1])}"}

    async def route(self, question: Mapping[str, Any]) -> dict[str, Any]:
        """The same for `asterisk-config/agi-bin/kikitori-route`, which asks over a Unix socket (`cti.control`)."""
        try:
            return {"set": await self.variables(str(question["uniqueid"]), str(question["request"]))}
        except AgiError as error:
            return {"error": str(error)}

    async def _talk(self, agi: Agi) -> None:
        # From the request, which Asterisk sends first: what comes behind the caller's number may be the caller's.
        for name, value in (await self.variables(agi["agi_uniqueid"], agi["agi_request"])).items():
            await agi.set_variable(name, value)

    def _begun(self) -> Agi:
        agi = Agi(self._talk, self._ended)
        if not self._looking:
            self._looking = True
            asyncio.get_running_loop().call_later(LOOK, self._look)
        self._open.add(agi)
        return agi

    def _look(self) -> None:
        loop = asyncio.get_running_loop()
        for agi in [agi for agi in self._open if agi.due <= loop.time()]:
            agi.end(TimeoutError("Asterisk or the recorder took too long"))
        self._looking = bool(self._open)
        if self._looking:
            loop.call_later(LOOK, self._look)

    def _ended(self, agi: Agi, error: BaseException | None) -> None:
        self._open.discard(agi)
        if error is None:
            self.served += 1
            return
        self.failed += 1
        known = isinstance(error, AgiError | OSError)
        log.warning(
            "gate left a call to the dialplan",
            error=str(error) or type(error).__name__,
            exc_info=None if known else error,
        )
