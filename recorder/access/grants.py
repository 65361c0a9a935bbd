"""Who holds the vault's keys: each sealed to the person's own key, by somebody who holds it, with a line in the log.

Nobody can grant what they do not hold, an administrator of the database included: a grant that the log does not know,
or that opens to another key than the log names, is none.
"""

import io
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import ColumnElement, RowMapping, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from policies.rights import OPERATORS, Role
from recorder.access.errors import AccessError
from recorder.access.people import AccountError, Ledger, SignedIn, live, utc
from recorder.access.tables import SIGNING, credentials, grants
from recorder.catalogue import plain
from recorder.vault.age import Identity, Recipient
from recorder.vault.errors import VaultError
from recorder.vault.keys import later
from recorder.vault.note import Signer
from recorder.vault.stream import decrypt, encrypt


class NoKeyHeldError(AccessError):
    """The account holds no key of that epoch."""

    code = "no-key-held"
    status = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who holds the key of an epoch, from whom and since when."""

    account: str
    epoch: int
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Held:
    """What somebody can open just now. `signer`: 課長's signing key. `spoilt`: the epochs of grants that are none."""

    account: str
    identities: Mapping[int, Identity] = field(repr=False)
    signer: Signer | None = None
    spoilt: tuple[int, ...] = ()

    def opening(self, epoch: int) -> tuple[Identity, ...]:
        """What may open what was recorded in `epoch`, the likeliest first. Raises NoKeyHeldError."""
        found = later(self.identities, epoch)
        if not found:
            raise NoKeyHeldError(
                f"{self.account} holds none of epoch {epoch}; whoever does grants it: `kikitori vault grant`"
            )
        return found


class Grants:
    """Those of one PBX."""

    def __init__(self, engine: AsyncEngine, pbx: str, ledger: Ledger, now: Callable[[], datetime]) -> None:
        """`pbx`: the one whose vault's keys are granted here; accounts are of all."""
        self.engine, self.pbx, self._ledger, self._now = engine, pbx, ledger, now

    async def give(self, account: str, epoch: int, key: Identity | Signer, *, by: str) -> None:
        """Seal the identity of an epoch, or 課長's signing key (SIGNING), to a person; whoever grants it holds it.

        Raises AccountError, ForgedError.
        """
        async with self.engine.begin() as connection:
            found = await live(connection, account)
            if found.role not in OPERATORS:  # as the table itself has it, here and below
                raise AccountError(f"{account} is {found.role.wording}: only 職員 can be given a key (3条3)")
            if epoch == SIGNING and found.role is not Role.MANAGER:
                raise AccountError(f"{account} is {found.role.wording}: only 課長 can be given the signing key (9条2)")
            # Locked: who enrols meanwhile would be given what only the key of before opens.
            wanted = select(credentials.c.recipient).where(credentials.c.account == account).with_for_update()
            recipient = str((await connection.execute(wanted)).scalar_one())
            await self._ledger.check(found, recipient)
            row = {"account": account, "pbx": self.pbx, "epoch": epoch, "role": str(found.role), "granted_by": by}
            sealed = encrypt(_text(key).encode(), [Recipient.parse(recipient)])
            await self._ledger.write(by, "key.granted", account, {"epoch": epoch, "public": _public(key)})
            await connection.execute(delete(grants).where(self._of(account) & (grants.c.epoch == epoch)))
            await connection.execute(insert(grants).values(**row, sealed=sealed, granted_at=plain(self._now())))

    async def give_all(
        self, account: str, identities: Mapping[int, Identity], signer: Signer | None, *, by: str
    ) -> None:
        """Every key that somebody needs to do what they may; the signing key to 課長 alone. Raises as `give`."""
        async with self.engine.connect() as connection:
            found = await live(connection, account)
        for epoch, identity in sorted(identities.items()):
            await self.give(account, epoch, identity, by=by)
        if signer is not None and found.role is Role.MANAGER:
            await self.give(account, SIGNING, signer, by=by)

    async def revoke(self, account: str, *, by: str) -> int:
        """Take every key of this PBX away from a person; how many. Raises AccountError.

        What the person's own process opened and kept it still opens: only a rotation ends that.
        """
        async with self.engine.begin() as connection:
            await live(connection, account)
            await self._ledger.write(by, "key.revoked", account, {"pbx": self.pbx})
            return int((await connection.execute(delete(grants).where(self._of(account)))).rowcount)

    async def retire(self, keep: Collection[int]) -> int:
        """Nobody holds the key of any other epoch than `keep` any more; how many grants that were."""
        old = and_(grants.c.pbx == self.pbx, grants.c.epoch.notin_((SIGNING, *keep)))
        async with self.engine.begin() as connection:
            return int((await connection.execute(delete(grants).where(old))).rowcount)

    async def holders(self, epoch: int) -> tuple[str, ...]:
        """Who can open it: a row that the log knows nothing of makes nobody one."""
        found = [one.account for one in await self.all() if one.epoch == epoch]
        known = {account: await self._ledger.known(account) for account in found}
        return tuple(account for account, one in known.items() if one is not None and epoch in one.epochs)

    async def all(self) -> list[Grant]:
        """Who holds which key."""
        wanted = select(grants).where(grants.c.pbx == self.pbx).order_by(grants.c.epoch, grants.c.account)
        async with self.engine.connect() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [
            Grant(
                account=row["account"], epoch=row["epoch"], granted_by=row["granted_by"],
                granted_at=utc(row["granted_at"]),
            )
            for row in rows
        ]  # fmt: skip

    async def held(self, who: SignedIn) -> Held:
        """What somebody can open just now: granted, not taken away meanwhile, and what the log says it is."""
        async with self.engine.connect() as connection:
            rows = (await connection.execute(select(grants).where(self._of(who.account.id)))).mappings().all()
        known = await self._ledger.known(who.account.id)
        return _opened(who, rows, known.epochs if known else {})

    def _of(self, account: str) -> ColumnElement[bool]:
        return and_(grants.c.account == account, grants.c.pbx == self.pbx)


async def hand_over(connection: AsyncConnection, account: str, own: Identity, to: Recipient) -> None:
    """What was sealed to the key of somebody's one-time secret, of every PBX, is sealed to their own."""
    rows = (await connection.execute(select(grants).where(grants.c.account == account))).mappings().all()
    for row in rows:
        try:
            sealed = encrypt(_unsealed(row["sealed"], own), [to])
        except VaultError:
            continue  # the sign-in says so
        same = and_(*(grants.c[name] == row[name] for name in ("account", "pbx", "epoch")))
        await connection.execute(update(grants).where(same).values(sealed=sealed))


async def drop(connection: AsyncConnection, account: str) -> None:
    """Nothing is sealed to somebody any more, of any PBX."""
    await connection.execute(delete(grants).where(grants.c.account == account))


def _opened(who: SignedIn, rows: Iterable[RowMapping], granted: Mapping[int, str]) -> Held:
    """One that cannot be opened, or is none by the log, keeps nobody out."""
    found: dict[int, Identity] = {}
    signer, spoilt = None, []
    for row in rows:
        epoch = int(row["epoch"])
        try:
            text = _unsealed(row["sealed"], who.own).decode()
            key = Signer.parse(text) if epoch == SIGNING else Identity.parse(text)
            good = epoch in granted and granted[epoch] in ("", _public(key))
        except (VaultError, ValueError):
            good = False
        if not good:
            spoilt.append(epoch)
        elif isinstance(key, Signer):
            signer = key
        else:
            found[epoch] = key
    return Held(account=who.account.id, identities=found, signer=signer, spoilt=tuple(spoilt))


def _text(key: Identity | Signer) -> str:
    return key.secret_text() if isinstance(key, Signer) else str(key)


def _public(key: Identity | Signer) -> str:
    return str(key.verifier if isinstance(key, Signer) else key.recipient)


def _unsealed(sealed: bytes, own: Identity) -> bytes:
    return b"".join(decrypt(io.BytesIO(sealed), [own]))
