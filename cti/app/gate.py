"""The gate's process: small, so that another one is there soon after it died."""

import asyncio
import resource

import structlog

from cti import control
from cti.app.clock import Clock
from cti.app.process import terminated
from cti.hours import HoursBook
from cti.notify import Notifier, Watchdog
from cti.places import GATE_SOCKET, SOCKET
from cti.routing.direct import Director
from cti.routing.gate import Gate
from cti.settings import Settings
from cti.supervise import WATCHDOG

log = structlog.get_logger()


def build_gate(settings: Settings, clock: Clock) -> Gate:
    """The gate, which asks the recorder over its socket. It starts whatever the policies say: callers wait for it."""
    recorder = control.Wire(settings.paths.run / SOCKET)

    async def said(what: str, question: dict[str, str | None]) -> str:
        """What the recorder says to `what`, under the same name; `no` where it does not."""
        try:
            reply = await recorder.ask({"ask": what, **question}, deadline)
        except (OSError, TimeoutError, ValueError) as error:
            log.warning("recorder does not answer", error=str(error) or type(error).__name__)
            return "no"
        return str(reply.get(what, "no"))

    async def ask(uniqueid: str, dialled: str | None) -> str:
        return await said("armed", {"uniqueid": uniqueid, "dialled": dialled})

    async def noted(uniqueid: str, section: str) -> str:
        return await said("noted", {"uniqueid": uniqueid, "section": section})

    book = HoursBook(settings.paths.policies, settings.paths.hours)
    # The script gives up after half a second, and where the call goes must be told before that.
    deadline = min(settings.gate.deadline + 0.1, 0.35 if settings.asterisk.gate == "script" else 10.0)
    return Gate(ask, Director(book, clock), noted)


async def run_gate(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The gate's process, until SIGTERM."""
    gate = build_gate(settings, clock)
    # A socket a caller, and the usual 1,024 are soon taken by connections that stay silent.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    watchdog = asyncio.create_task(Watchdog(WATCHDOG["gate"]).run())
    beating = asyncio.create_task(notifier.beat())
    if settings.asterisk.gate == "script":
        # Its folder, setgid, hands it to Asterisk's group.
        server = await control.serve(settings.paths.gate / GATE_SOCKET, {"route": gate.route})
    else:
        server = await gate.start(settings.gate.host, settings.gate.port)
    notifier.send("READY=1")
    await terminated()
    notifier.send("STOPPING=1")
    server.close()
    for task in (watchdog, beating):
        task.cancel()
