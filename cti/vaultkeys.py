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
from recorder.vault import epochs
from recorder.vault.age import Identity, Passphrase
from recorder.vault.epochs import LISTS, Told, told_by
from recorder.vault.folder import one_at_a_time
from recorder.vault.keys import (
    Recipients,
    RotationError,
    check_signed,
    dump_recipients,
    load_recipients,
    load_verifier,
    number_of,
    parse_recipients,
)
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
    """What a rotation would do. `before`: the epochs whose keys are not destroyed, the one in use among them.

    `holders` get the new one's.
    """

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
        """Whether an epoch has lasted long enough; one that begins in the future was begun by a wrong clock."""
        return not since <= now < since + self.serve

    def live(self, current: int) -> tuple[int, ...]:
        """The epochs whose keys are not destroyed, by the access log: a database, or a folder, can be added to.

        Raises LogUnavailableError.
        """
        told = self.desk.logged_of(self.grants.pbx, ["keys.rotated", "keys.retired"])
        retired = max((int(one.detail["epoch"]) for one in told if one.action == "keys.retired"), default=0)
        begun = {int(one.detail[name]) for one in told if one.action == "keys.rotated" for name in ("epoch", "before")}
        return tuple(sorted(one for one in begun | {current} if retired <= one <= current))

    def rotated(self) -> Told | None:
        """What the newest line of a rotation says. Raises LogUnavailableError."""
        return told_by(self.desk.last_of(self.grants.pbx, LISTS))

    def recipients(self) -> Recipients:
        """The list of recipients; where it is not what the access log says (a backup was put back), the log's, if 課長
        has signed that. Raises KeysError, LogUnavailableError.
        """
        found, told = load_recipients(self.desk.keys), self.rotated()
        if epochs.disagreement(self.desk.keys, found, told) and told is not None:
            return parse_recipients(told.note, load_verifier(self.desk.keys / "manager.pub"), "access log")
        return found

    def _strange(self) -> str | None:
        return epochs.disagreement(self.desk.keys, load_recipients(self.desk.keys), self.rotated())

    async def plan(self) -> Plan:
        """What `rotate` would do now. Raises KeysError, LogUnavailableError."""
        return await self.plan_by(await asyncio.to_thread(self.recipients))

    async def plan_by(self, found: Recipients) -> Plan:
        """`plan`, of a list that was read."""
        return Plan(
            epoch=found.epoch, since=found.since, before=await asyncio.to_thread(self.live, found.epoch),
            holders=await self.grants.holders(found.epoch), slots=self.desk.vault.slots.count(),
        )  # fmt: skip

    async def rotate(
        self, giver: Giver, done: Callable[[int], None], *, give_up: bool = False, no_recorder: bool = False
    ) -> Rotated:
        """Begin an epoch, or end what a rotation before left undone. `done` is told of headers that were looked at.

        `give_up`: the old keys go, although slots are left that none of them opens, or that are lost. `no_recorder`: it
        does not run, here or elsewhere, and reads the list when it starts. Raises KeysError,
        RotationError, AccessError, LogUnavailableError, OSError.
        """
        with self.alone():
            recipients = await asyncio.to_thread(self.recipients)
            plan = await self.plan_by(recipients)
            self._check(giver, plan, recipients, give_up=give_up)
            await self._tidy(plan)
            if not no_recorder:
                await self._answering()
            new, holders = giver.identities[plan.epoch], plan.holders
            without: tuple[str, ...] = ()
            if not plan.unfinished:
                recipients, new, holders, without = await self._begin(giver, plan, recipients)
            if await asyncio.to_thread(self._strange):
                # It was stopped between the log and the list, or a list of before was put back.
                await asyncio.to_thread(epochs.publish, self.desk.keys, recipients, giver.signer)
            if not no_recorder:
                await self._followed(recipients.epoch)
            old = [one for epoch, one in giver.identities.items() if epoch != recipients.epoch]
            moved, found = 0, await asyncio.to_thread(epochs.reseal, self.desk.vault.slots, old, new, done)
            while found.moved:  # whoever held the old list in hand may have written one more
                moved += found.moved
                found = await asyncio.to_thread(epochs.reseal, self.desk.vault.slots, old, new, done)
            slots = found.looked
            await self._told(slots, found.foreign, giver.actor)
            kept = not give_up and await self._needed(giver, plan, found)
            if not kept:
                await self._safe(giver, recipients.epoch)
                await self.line(
                    "keys.retired", {"epoch": recipients.epoch, "moved": moved, "slots": slots}, giver.actor
                )
                await self._retire([recipients.epoch])
        return Rotated(
            epoch=recipients.epoch, moved=moved, slots=slots, holders=holders, without=without, foreign=found.foreign,
            lost=found.lost, kept=kept,
        )  # fmt: skip

    def _check(self, giver: Giver, plan: Plan, recipients: Recipients, *, give_up: bool) -> None:
        # Of an older one that is missing the headers are left, and with them that key: unless they are given up.
        for epoch in (plan.epoch, *(plan.before if give_up else ())):
            if epoch not in giver.identities:
                said = _(
                    "{actor} does not hold the key of epoch {epoch}: whoever does grants it (`kikitori vault grant`)"
                )
                raise RotationError(said.format(actor=giver.actor, epoch=epoch))
        check_signed(self.desk.keys, recipients, giver.identities[plan.epoch])

    async def _begin(
        self, giver: Giver, plan: Plan, before: Recipients
    ) -> tuple[Recipients, Identity, tuple[str, ...], tuple[str, ...]]:
        told = await asyncio.to_thread(self.rotated)
        highest = max(before.epoch, told.epoch if told else 0)
        after, identity = await asyncio.to_thread(
            epochs.begin, self.desk.keys, self.escrow, before, highest, since=self.desk.now(),
            passphrase=giver.passphrase,
        )  # fmt: skip
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
        # The list itself too: a recorder that finds another one has what 課長 signed.
        note = dump_recipients(after, giver.signer)
        said = {"epoch": after.epoch, "before": before.epoch, "holders": held, "note": note}
        await self.line("keys.rotated", said, giver.actor)
        await asyncio.to_thread(epochs.publish, self.desk.keys, after, giver.signer)
        return after, identity, tuple(held), tuple(without)

    async def _needed(self, giver: Giver, plan: Plan, found: epochs.Resealed) -> bool:
        """Whether an old key may be good for something yet: of a segment's header that was put right from a backup, or
        of one that somebody else opens. What no segment uses was never more than begun.
        """
        left = {*found.foreign, *found.lost}
        if not left:
            return False
        every = set(plan.before) <= giver.identities.keys()
        return not every or bool(left & await asyncio.to_thread(self.desk.slots_in_use))

    async def _safe(self, giver: Giver, epoch: int) -> None:
        """Before the old keys go, somebody holds the new one, or the passphrase opens it. Raises RotationError."""
        if epoch not in filed(self.desk.keys) and not await self.grants.holders(epoch):
            said = _("nobody holds the key of epoch {epoch} any more, so that those of before are not destroyed")
            raise RotationError(said.format(epoch=epoch))

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

    async def tidy(self) -> None:
        """End what a rotation was stopped in after its last line: the keys that it gave up are destroyed."""
        with self.alone():
            await self._tidy(await self.plan())

    async def _tidy(self, plan: Plan) -> None:
        if await asyncio.to_thread(self._strange):
            return  # of a log that is older than the list nobody learns what is over
        for folder in (self.desk.keys, self.escrow):
            await asyncio.to_thread(epochs.sweep, folder)
        await self._retire(plan.before)

    async def _retire(self, keep: Sequence[int]) -> None:
        await self.grants.retire(keep)
        for path in self.desk.keys.glob("epoch-*.age"):
            if number_of(path) not in (0, *keep):
                await asyncio.to_thread(epochs.destroy, path)

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Nobody else changes keys meanwhile. Raises RotationError where somebody does."""
        try:
            with one_at_a_time(self.desk.keys, wait=False):
                yield
        except BlockingIOError as error:
            raise RotationError(_("the keys are being changed just now")) from error

    async def give_all(self, account: str, identities: Mapping[int, Identity], signer: Signer | None, by: str) -> None:
        """As `Grants.give_all`, not in the middle of a rotation. Raises RotationError too."""
        with self.alone():
            await self.grants.give_all(account, identities, signer, by=by)

    async def revoke(self, account: str, by: str) -> int:
        """As `Grants.revoke`, not in the middle of a rotation. Raises RotationError too."""
        with self.alone():
            return await self.grants.revoke(account, by=by)

    async def line(self, action: str, detail: Mapping[str, Any], actor: str) -> None:
        """One in the access log, about the keys of this PBX. Raises LogUnavailableError."""
        await asyncio.to_thread(self.desk.log, action, self.grants.pbx, detail, actor=actor)

    async def _told(self, slots: int, found: Sequence[int], actor: str) -> Tested:
        """A line of how far headers were tried. What it has no room to name is tried again."""
        if len(found) > NAMED:
            slots = min(slots, sorted(found)[NAMED])
        named = sorted(found)[:NAMED]
        await self.line("keys.tested", {"slots": slots, "foreign": named}, actor)
        return Tested(slots=slots, foreign=tuple(named))

    # --- every new header is tried ------------------------------------------------------------------------------------

    def tested(self) -> Tested:
        """By the access log. Raises LogUnavailableError."""
        last = self.desk.last_of(self.grants.pbx, ["keys.tested"])
        if last is None:
            return Tested(slots=0, foreign=())
        return Tested(slots=int(last.detail["slots"]), foreign=tuple(last.detail["foreign"]))

    async def test(self, held: Held, most: int | None = None) -> Tested:
        """Try the headers that are new since the last time, and those that did not open then: a swapped key shows.

        `most`: of the new ones. Whoever does not hold every key tries none. Raises LogUnavailableError, KeysError.
        """
        plan = await self.plan()
        before = await asyncio.to_thread(self.tested)
        if not set(plan.before) <= held.identities.keys() and not await asyncio.to_thread(self._strange):
            return before
        until = plan.slots if most is None else min(plan.slots, before.slots + most)
        numbers: Sequence[int] = [*before.foreign, *range(before.slots, until)]
        if not numbers:
            return before
        slots, every = self.desk.vault.slots, [held.identities[one] for one in sorted(held.identities, reverse=True)]
        found = await asyncio.to_thread(epochs.foreign, slots, numbers, every)
        if found:
            log.error("headers that nobody here can open", slots=found[:NAMED])
        if until == before.slots and tuple(found) == before.foreign:
            return before
        return await self._told(until, found, held.account)
