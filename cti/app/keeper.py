"""The keeper's process: the one that takes recordings from a medium. It opens none, and talks to the desk alone.

The desk says what is due, by its catalogue; whether it is, the keeper reads from the signed manifests itself.
"""

import asyncio
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import structlog

from cti import control
from cti.app.clock import Clock
from cti.app.process import terminated
from cti.errors import KikitoriError
from cti.notify import Notifier
from cti.places import KEEPER_SOCKET
from cti.settings import Settings
from policies.errors import PolicyError
from policies.load import Fresh
from recorder.access.checkpoint import try_checkpoint
from recorder.access.entry import Draft
from recorder.access.errors import AccessError
from recorder.access.log import AccessLog
from recorder.vault.errors import VaultError
from recorder.vault.folder import HELD, VaultFolder, one_at_a_time
from recorder.vault.keys import load_signer, load_verifier
from retention.held import HeldFolder
from retention.mover import Mover, Outcome, Tell, problem_of
from retention.plan import Plan

log = structlog.get_logger()
ACTOR = "keeper"


class Pace:
    """So many bytes a second at most, on average; whoever is faster waits."""

    def __init__(self, rate: int) -> None:
        """`rate`: bytes a second."""
        self._rate = rate
        self._free = time.monotonic()
        self._never = threading.Event()

    def moved(self, size: int) -> None:
        """Wait, where it goes too fast. Called in a thread."""
        now = time.monotonic()
        self._free = max(self._free, now) + size / self._rate
        if self._free - now > 0.05:
            self._never.wait(self._free - now)


def teller(settings: Settings, clock: Clock) -> Tell:
    """Puts what the keeper does into the access log, with a checkpoint on the second medium where that is there."""

    def tell(lines: Sequence[tuple[str, str, Mapping[str, Any]]]) -> None:
        drafts = [
            Draft(ts=clock(), actor=ACTOR, action=action, object=about, detail=detail)
            for action, about, detail in lines
        ]
        signer = load_signer(settings.paths.keys / "log.key")
        with AccessLog(settings.paths.log / "access.db") as access:
            access.append_all(drafts)
            if error := try_checkpoint(access, settings.paths.mirror / "checkpoints", signer, clock()):
                log.warning("no checkpoint", error=str(error))

    return tell


def build_mover(settings: Settings, clock: Clock) -> Mover:
    """Needs no database, and no key that opens anything; policy and holds are read at each batch. Raises VaultError."""
    policies = Fresh(settings.paths.policies)
    vault = VaultFolder(settings.paths.vault, settings.paths.mirror)
    held = HeldFolder(vault.root / HELD)
    return Mover(
        vault, [load_verifier(settings.paths.keys / "recorder.pub")],
        lambda: Plan(policies.now().retention, held.now(), clock()),
        teller(settings, clock), Pace(settings.keeper.rate << 20).moved,
    )  # fmt: skip


async def run_keeper(settings: Settings, clock: Clock, notifier: Notifier) -> None:
    """The keeper's process, until SIGTERM; what it has begun it ends, or it is done again."""
    mover = build_mover(settings, clock)

    def alone(names: list[str], act: str) -> list[Outcome]:
        # Two keepers would take each other's half-written copies for their own.
        with one_at_a_time(mover.vault.root / "segments"):
            return mover.move(names, act)

    async def move(question: dict[str, Any]) -> dict[str, Any]:
        names, act = [str(name) for name in question["recordings"]], str(question["act"])
        try:
            outcomes = await asyncio.to_thread(alone, names, act)
        except (OSError, AccessError, VaultError, PolicyError, KikitoriError) as error:
            log.error("nothing moved", error=str(error))
            return {"problem": problem_of(error)}
        return {"outcomes": [asdict(outcome) for outcome in outcomes]}

    server = await control.serve(settings.paths.run / KEEPER_SOCKET, {"move": move})
    beating = asyncio.create_task(notifier.beat())
    notifier.send("READY=1")
    await terminated()
    notifier.send("STOPPING=1")
    server.close()
    beating.cancel()
