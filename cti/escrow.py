"""The escrow: each epoch's identity, sealed to a key that is on paper only. Two persons open, renew and destroy it.

What it restores is given to both of them as keys of their own: nothing in the clear leaves the process.
"""

import asyncio
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cti.errors import NotFoundError, UsageError
from cti.i18n import _
from cti.vaultkeys import Giver, VaultKeys
from recorder.access.people import SignedIn
from recorder.vault.age import Identity
from recorder.vault.epochs import destroy, publish, sweep
from recorder.vault.errors import VaultError
from recorder.vault.folder import replace_whole, sync_folder
from recorder.vault.keys import KeysError, check_signed, dump_recipients, identity_file, identity_in, number_of
from recorder.vault.stream import decrypt, encrypt


@dataclass(frozen=True, slots=True, kw_only=True)
class Two:
    """Two persons who have both signed in for it."""

    first: SignedIn
    second: SignedIn

    def __post_init__(self) -> None:
        """Raises UsageError."""
        if self.first.account.id == self.second.account.id:
            raise UsageError(_("the escrow needs two persons; {account} is one").format(account=self.first.account.id))


class Escrow:
    """That of one PBX."""

    def __init__(self, keys: VaultKeys) -> None:
        """`keys` knows the medium."""
        self._keys, self._desk, self._folder = keys, keys.desk, keys.escrow

    def files(self) -> dict[int, Path]:
        """By epoch. Raises OSError where the medium is away."""
        return {number: path for path in sorted(self._folder.iterdir()) if (number := number_of(path))}

    async def open(self, paper: Identity, two: Two) -> tuple[int, ...]:
        """Give both persons the keys that are in use; of which epochs. Raises KeysError, AccessError, OSError.

        For when nobody holds them any more: the database was lost, or every password.
        """
        recipients = await asyncio.to_thread(self._keys.recipients)
        plan, found = await self._keys.plan_by(recipients), await asyncio.to_thread(self.files)
        wanted = sorted(set(plan.before) & found.keys())
        if plan.epoch not in wanted:
            raise NotFoundError(
                _("{folder} has no file of epoch {epoch}, which is in use").format(
                    folder=self._folder, epoch=plan.epoch
                )
            )
        identities = {epoch: await asyncio.to_thread(_unsealed, found[epoch], paper) for epoch in wanted}
        check_signed(self._desk.keys, recipients, identities[plan.epoch])
        with self._keys.alone():
            await self._line("escrow.opened", two, {"epochs": wanted})
            for person in (two.first, two.second):
                for epoch, identity in identities.items():
                    await self._keys.grants.give(person.account.id, epoch, identity, by=two.first.account.id)
        return tuple(wanted)

    async def destroy(self, epoch: int, two: Two) -> Path:
        """What is left of an epoch that is over: from now on nothing opens old copies of it. The file that is gone.

        Raises NotFoundError, UsageError, KeysError.
        """
        await asyncio.to_thread(sweep, self._folder)
        path = await self.over(epoch)
        await self._line("escrow.destroyed", two, {"epoch": epoch})
        await asyncio.to_thread(destroy, path)
        return path

    async def over(self, epoch: int) -> Path:
        """The file of an epoch that is not in use any more. Raises NotFoundError, UsageError."""
        plan, found = await self._keys.plan(), await asyncio.to_thread(self.files)
        # Not by who holds what: a database that was lost knows of no key, and headers may still need it.
        if epoch in plan.before:
            raise UsageError(_("epoch {epoch} is in use: `kikitori vault rotate` ends it first").format(epoch=epoch))
        if epoch not in found:
            raise NotFoundError(_("{folder} has no file of epoch {epoch}").format(folder=self._folder, epoch=epoch))
        return found[epoch]

    async def renew(self, giver: Giver, two: Two, show: Callable[[str], None]) -> tuple[int, ...]:
        """Another key on paper, for the epochs in use. `show` has it before anything depends on it.

        Raises KeysError, AccessError.
        """
        with self._keys.alone():
            recipients = await asyncio.to_thread(self._keys.recipients)
            wanted = list((await self._keys.plan_by(recipients)).before)
            if missing := [epoch for epoch in wanted if epoch not in giver.identities]:
                raise KeysError(f"{giver.actor} does not hold the key of epoch {missing[0]}")
            check_signed(self._desk.keys, recipients, giver.identities[recipients.epoch])
            paper = Identity.generate()
            show(str(paper))
            renewed = replace(recipients, escrow_recipient=paper.recipient)
            said = {"epochs": wanted, "epoch": renewed.epoch, "note": dump_recipients(renewed, giver.signer)}
            await self._line("escrow.renewed", two, said)
            for epoch in wanted:
                sealed = encrypt(identity_file(giver.identities[epoch], self._desk.now()), [paper.recipient])
                await asyncio.to_thread(replace_whole, self._folder / f"epoch-{epoch:04d}.escrow.age", sealed, 0o600)
            await asyncio.to_thread(sync_folder, self._folder)
            await asyncio.to_thread(publish, self._desk.keys, renewed, giver.signer)
        return tuple(wanted)

    async def _line(self, action: str, two: Two, detail: dict[str, Any]) -> None:
        await self._keys.line(action, detail | {"with": two.second.account.id}, two.first.account.id)


def _unsealed(path: Path, paper: Identity) -> Identity:
    try:
        text = b"".join(decrypt(io.BytesIO(path.read_bytes()), [paper])).decode()
    except (VaultError, UnicodeDecodeError) as error:
        raise KeysError(f"{path}: this key does not open it") from error
    return identity_in(text, path)
