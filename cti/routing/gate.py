"""The FastAGI server. It asks the recorder whether the call is being recorded, and lets the call go on either way.

What the channel is told: KIKITORI_ARMED = yes | no. On `no`, on a closed connection and on none at all, the dialplan
starts MixMonitor itself.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable

import structlog

from cti.routing.agi import UNIQUEID, Agi, AgiError

log = structlog.get_logger()

BACKLOG = 1024  # the usual 100 gave 500 callers a tail of a second
ENVIRONMENT_SECONDS = 1.0
TOTAL_SECONDS = 2.0
_CAME_IN = re.compile(r"/in/(\d{1,15})$", re.ASCII)  # E.164 has 15 digits at most

Ask = Callable[[str, str | None], Awaitable[str]]


class Gate:
    """`ask(uniqueid, dialled)` gives `yes` (recorded), `skip` (the rules want nothing recorded) or `no`, within its
    deadline. `dialled` is the number that a call from outside came in through.
    """

    def __init__(self, ask: Ask) -> None:
        """Serve with `start`."""
        self.ask = ask
        self.served = 0
        self.failed = 0

    async def start(self, host: str, port: int) -> asyncio.Server:
        """Listen. Raises OSError where the port is taken."""
        return await asyncio.start_server(self._serve, host, port, backlog=BACKLOG)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(TOTAL_SECONDS):
                await self._answer(Agi(reader, writer))
            self.served += 1
        except (AgiError, TimeoutError, OSError) as error:
            self.failed += 1
            log.warning("gate left a call to the dialplan", error=str(error) or type(error).__name__)
        finally:
            writer.close()

    async def _answer(self, agi: Agi) -> None:
        async with asyncio.timeout(ENVIRONMENT_SECONDS):
            environment = await agi.environment()
        uniqueid = environment["agi_uniqueid"]
        if not UNIQUEID.match(uniqueid):
            raise AgiError("agi_uniqueid is not one")
        # From the request, which Asterisk sends first: what comes behind the caller's number may be the caller's.
        came_in = _CAME_IN.search(environment.get("agi_request", ""))
        answer = await self.ask(uniqueid, came_in[1] if came_in else None)
        await agi.set_variable("KIKITORI_ARMED", "no" if answer == "no" else "yes")
