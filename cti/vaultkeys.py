"""The vault's keys over the years: another epoch each month, every new header tried, the escrow with two persons.

```
escrow -> grants -> list signed -> recorder follows -> headers sealed anew -> line in the log -> old keys destroyed
```
In this order: whatever stops it, somebody can read everything, and `vault rotate` again goes on where it stopped.
"""

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Final

import structlog

from cti.desk import Desk
from cti.i18n import _
from recorder.access.errors import AccessError
from recorder.access.grants import Grants, Held
from recorder.access.tables import SIGNING
from recorder.vault import epochs
from recorder.vault.age import Identity, Passphrase
from recorder.vault.folder import one_at_a_time
from recorder.vault.keys import Recipients, RotationError, check_signed, load_recipients, number_of
from recorder.vault.keys import epochs as filed
from recorder.vault.note import Signer

log = structlog.get_logger()

PATIENCE: Final = 10.0
"""Seconds in which a running recorder has read the new list."""
NAMED: Final = 100
"""Slots that a line of the log names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Giver:
    """Who changes the keys: an account's, or, as long as nobody holds them, the vault's passphrase."""

    actor: str
    identities: Mapping[int, Identity] = field(repr=False)
    signer: Signer = field(repr=False)
    passphrase: Passphrase | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a rotation would do. `before`: the epochs whose keys are still here; `holders` get the new one's."""

    epoch: int
    since: datetime
    before: tuple[int, ...]
    holders: tuple[str, ...]
    slots: int

    @property
    def unfinished(self) -> bool:
        """A rotation was begun and did not end: it goes on, and no further epoch begins."""
        return any(epoch < self.epoch for epoch in self.before)


@dataclass(frozen=True, slots=True, kw_only=True)
class Rotated:
    """What one did. `kept`: the old keys are still here, for the slots that are `foreign` or `lost`."""

    epoch: int
    moved: int
    slots: int
    holders: tuple[str, ...]
    without: tuple[str, ...]
    foreign: tuple[int, ...]
    lost: tuple[int, ...]
    kept: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Tested:
    """How far headers were tried. `foreign`: the slots that nobody here could open when they were."""

    slots: int
    foreign: tuple[int, ...]


class VaultKeys:
    """Those of one PBX."""

    def __init__(self, desk: Desk, grants: Grants, escrow: Path, serve: timedelta) -> None:
        """`escrow`: the folder on the second medium. `serve`: how long one epoch's identity does."""
        self.desk, self.grants, self.escrow, self.serve = desk, grants, escrow, serve

    # --- another epoch ------------------------------------------------------------------------------------------------

    def due(self, since: datetime, now: datetime) -> bool:
        """Whether an epoch has lasted long enough."""
        return now >= since + self.serve

    async def plan(self) -> Plan:
        """What `rotate` would do now. Raises KeysError."""
        found = await asyncio.to_thread(load_recipients, self.desk.keys)
        every = await self.grants.all()
        here = {one.epoch for one in every if one.epoch != SIGNING} | set(filed(self.desk.keys))
        return Plan(
            epoch=found.epoch, since=found.since, before=tuple(sorted(one for one in here if one <= found.epoch)),
            holders=tuple(sorted({one.account for one in every if one.epoch == found.epoch})),
            slots=self.desk.vault.slots.count(),
        )  # fmt: skip

    async def rotate(
        self, giver: Giver, done: Callable[[int], None], *, give_up: bool = False, no_recorder: bool = False
    ) -> Rotated:
        """Begin an epoch, or end what a rotation before left undone. `done` is told of headers that were looked at.

        `give_up`: the old keys go, although slots are left that none of them opens, or that are lost. `no_recorder`: it
        does not run, here or elsewhere, and reads the list when it starts. Raises KeysError,
        RotationError, AccessError, LogUnavailableError, OSError.
        """
        with self._alone():
            plan = await self.plan()
            recipients = await asyncio.to_thread(load_recipients, self.desk.keys)
            self._check(giver, plan)
            if not no_recorder:
                await self._answering()
            new, holders = giver.identities[plan.epoch], plan.holders
            without: tuple[str, ...] = ()
            if not plan.unfinished:
                recipients, new, holders, without = await self._begin(giver, plan, recipients)
            if not no_recorder:
                await self._followed(recipients.epoch)
            old = [one for epoch, one in giver.identities.items() if epoch != recipients.epoch]
            moved, found = 0, epochs.Resealed(moved=1, foreign=(), lost=())
            while found.moved:  # whoever held the old list in hand may have written one more
                found = await asyncio.to_thread(epochs.reseal, self.desk.vault.slots, old, new, done)
                moved += found.moved
            slots = self.desk.vault.slots.count()
            self._line("keys.tested", {"slots": slots, "foreign": list(found.foreign[:NAMED])}, giver.actor)
            kept = bool(found.foreign or found.lost) and not give_up
            if not kept:
                self._line("keys.retired", {"before": recipients.epoch, "moved": moved, "slots": slots}, giver.actor)
                await self._retire(recipients.epoch)
        return Rotated(
            epoch=recipients.epoch, moved=moved, slots=slots, holders=holders, without=without, foreign=found.foreign,
            lost=found.lost, kept=kept,
        )  # fmt: skip

    def _check(self, giver: Giver, plan: Plan) -> None:
        # Of an older one that is missing the headers are left, and with them that key.
        if plan.epoch not in giver.identities:
            raise RotationError(
                _(
                    "{actor} does not hold the key of epoch {epoch}: whoever does grants it (`kikitori vault grant`)"
                ).format(actor=giver.actor, epoch=plan.epoch)
            )
        check_signed(self.desk.keys, plan.epoch, giver.identities[plan.epoch])

    async def _begin(
        self, giver: Giver, plan: Plan, before: Recipients
    ) -> tuple[Recipients, Identity, tuple[str, ...], tuple[str, ...]]:
        after, identity = await asyncio.to_thread(
            epochs.begin, self.desk.keys, self.escrow, before, since=self.desk.now(), passphrase=giver.passphrase
        )
        held, without = [], []
        for account in sorted(plan.holders, key=lambda one: one != giver.actor):
            try:
                await self.grants.give(account, after.epoch, identity, by=giver.actor)
                held.append(account)
            except AccessError as error:  # ended meanwhile, or not what the log says
                if account == giver.actor:
                    raise
                log.error("a holder gets no key of the new epoch", account=account, error=str(error))
                without.append(account)
        said = {"epoch": after.epoch, "public": str(after.recipient), "before": before.epoch, "holders": held}
        self._line("keys.rotated", said, giver.actor)
        await asyncio.to_thread(epochs.publish, self.desk.keys, after, giver.signer)
        return after, identity, tuple(held), tuple(without)

    async def _followed(self, epoch: int) -> None:
        """Wait until the recorder encrypts to `epoch`. Raises RotationError."""
        try:
            async with asyncio.timeout(PATIENCE):
                while True:
                    with suppress(OSError):
                        if (await self.desk.ask({"ask": "status"})).get("epoch") == epoch:
                            return
                    await asyncio.sleep(0.2)
        except TimeoutError as error:
            raise RotationError(
                _(
                    "the recorder goes on with the key of before, so that is not destroyed: see `kikitori status`, "
                    "restart the recorder if need be, then `kikitori vault rotate` again"
                )
            ) from error

    async def _answering(self) -> None:
        """Whoever does not answer may go on with the old key, elsewhere or hung: then nothing is begun."""
        try:
            await self.desk.ask({"ask": "status"})
        except OSError as error:
            raise RotationError(
                _(
                    "the recorder does not answer, and has to be told of the new key: start the service; if it does "
                    "not run at all, say so with --no-recorder"
                )
            ) from error

    async def _retire(self, epoch: int) -> None:
        await self.grants.retire(epoch)
        for path in self.desk.keys.glob("epoch-*.age"):
            if number_of(path) != epoch:
                await asyncio.to_thread(epochs.destroy, path)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        try:
            with one_at_a_time(self.desk.keys, wait=False):
                yield
        except BlockingIOError as error:
            raise RotationError(_("the keys are being changed just now")) from error

    def _line(self, action: str, detail: Mapping[str, Any], actor: str) -> None:
        self.desk.log(action, self.grants.pbx, detail, actor=actor)

    # --- every new header is tried ------------------------------------------------------------------------------------

    def tested(self) -> Tested:
        """By the access log. Raises LogUnavailableError."""
        lines = self.desk.logged_of(self.grants.pbx, ["keys.tested"])
        if not lines:
            return Tested(slots=0, foreign=())
        return Tested(slots=int(lines[-1].detail["slots"]), foreign=tuple(lines[-1].detail["foreign"]))

    async def test(self, held: Held, most: int | None = None) -> Tested:
        """Try the headers that are new since the last time, and those that did not open then: a swapped key shows.

        `most`: of the new ones. Whoever does not hold every key tries none. Raises LogUnavailableError, KeysError.
        """
        plan = await self.plan()
        before = await asyncio.to_thread(self.tested)
        if not {*plan.before, plan.epoch} <= held.identities.keys():
            return before
        until = plan.slots if most is None else min(plan.slots, before.slots + most)
        numbers: Sequence[int] = [*before.foreign, *range(before.slots, until)]
        if not numbers:
            return before
        slots, every = self.desk.vault.slots, [held.identities[one] for one in sorted(held.identities, reverse=True)]
        found = await asyncio.to_thread(epochs.foreign, slots, numbers, every)
        if until > before.slots or tuple(found) != before.foreign:
            said = {"slots": until, "foreign": found[:NAMED]}
            await asyncio.to_thread(self._line, "keys.tested", said, held.account)
        if found:
            log.error("headers that nobody here can open", slots=found[:NAMED])
        return Tested(slots=until, foreign=tuple(found))
