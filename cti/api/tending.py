"""The vault's keys, looked after by whoever signs in: new headers are tried, and an epoch that is due is begun."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any, Final

import structlog
from sqlalchemy.exc import SQLAlchemyError

from cti.api.problems import OURS
from cti.explain import explain
from cti.guard import Guard
from cti.i18n import _
from cti.vaultkeys import Giver, Rotated, VaultKeys
from policies.rights import Act
from recorder.access.grants import Held
from recorder.access.people import SignedIn
from recorder.vault.keys import RotationError

log = structlog.get_logger()

SOME: Final = 2000
"""Headers that are tried at a time: a fifth of a second in a thread."""
BREATH: Final = 0.2
ROUNDS: Final = 10_000


@dataclass(slots=True, kw_only=True)
class Rotation:
    """One that goes on, or the last one. `looked` headers `of` so many; `problem`: why it ended before its time."""

    by: str
    of: int
    looked: int = 0
    running: bool = True
    done: Rotated | None = None
    problem: str | None = None


class Tending:
    """In the background of the desk's process."""

    def __init__(self, keys: VaultKeys, guard: Guard) -> None:
        """Nothing is done until somebody signs in."""
        self.keys, self._guard = keys, guard
        self.rotation: Rotation | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._looking = False

    def signed_in(self, who: SignedIn) -> None:
        """Somebody has: what they hold is put to use, while they go on; one at a time."""
        if not self._looking:
            self._looking = True
            self._soon(self._look(who))

    async def rotate(self, held: Held) -> Rotation:
        """Begin another epoch, now. Raises RotationError."""
        if self.rotation is not None and self.rotation.running:
            raise RotationError(_("the keys are being changed just now"))
        if held.signer is None:
            raise RotationError(
                _(
                    "{actor} does not hold the signing key: `kikitori vault grant {actor}` at the recorder itself"
                ).format(actor=held.account)
            )
        giver = Giver(actor=held.account, identities=held.identities, signer=held.signer)
        self.rotation = Rotation(by=held.account, of=2 * self.keys.desk.vault.slots.count())
        self._soon(self._rotate(self.rotation, giver))
        return self.rotation

    async def settled(self) -> None:
        """Until nothing goes on in the background."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def close(self) -> None:
        """Let go; what is half done goes on the next time."""
        for task in self._tasks:
            task.cancel()
        await self.settled()

    def _soon(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _look(self, who: SignedIn) -> None:
        try:
            held = await self.keys.grants.held(who)
            if not held.identities:
                return
            for _round in range(ROUNDS):
                before = await asyncio.to_thread(self.keys.tested)
                if await self.keys.test(held, SOME) == before:
                    break
                await asyncio.sleep(BREATH)  # others are let by
            plan = await self.keys.plan()
            may = self._guard.rights().allows(who.account.role, Act.KEYS) and held.signer is not None
            if may and not plan.unfinished:
                await self.keys.tidy()
            if may and (plan.unfinished or self.keys.due(plan.since, self.keys.desk.now())):
                await self.rotate(held)
        except (*OURS, SQLAlchemyError, OSError) as error:
            log.error("the keys could not be looked after", error=_said(error), account=who.account.id)
        finally:
            self._looking = False

    async def _rotate(self, rotation: Rotation, giver: Giver) -> None:
        def looked(count: int) -> None:
            rotation.looked += count

        try:
            rotation.done = await self.keys.rotate(giver, looked)
        except asyncio.CancelledError:
            rotation.problem = _("the desk ended; it goes on the next time")
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is: who asks is told that it is over
            rotation.problem = _said(error)
            log.error("the keys were not changed", error=rotation.problem, account=giver.actor)
        finally:
            rotation.running = False


def _said(error: Exception) -> str:
    """A sentence of ours; of a database's error nothing but its kind, which would have values in it."""
    return explain(error) if isinstance(error, (*OURS, OSError)) else type(error).__name__
