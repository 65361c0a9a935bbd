"""The vault's keys, looked after by whoever signs in: new headers are tried, and an epoch that is due is begun."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from typing import Any

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

    def signed_in(self, who: SignedIn) -> None:
        """Somebody has: what they hold is put to use, while they go on."""
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
            await self.keys.test(held)
            plan = await self.keys.plan()
            may = self._guard.rights().allows(who.account.role, Act.KEYS) and held.signer is not None
            if may and (plan.unfinished or self.keys.due(plan.since, self.keys.desk.now())):
                await self.rotate(held)
        except (*OURS, SQLAlchemyError, OSError) as error:
            log.error("the keys could not be looked after", error=explain(error), account=who.account.id)

    async def _rotate(self, rotation: Rotation, giver: Giver) -> None:
        def looked(count: int) -> None:
            rotation.looked += count

        try:
            rotation.done = await self.keys.rotate(giver, looked)
        except (*OURS, SQLAlchemyError, OSError) as error:
            rotation.problem = explain(error)
            log.error("the keys were not changed", error=rotation.problem, account=giver.actor)
        finally:
            rotation.running = False
