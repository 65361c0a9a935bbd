"""Whose an account is, and that database and access log say the same of it."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import RowMapping, select
from sqlalchemy.ext.asyncio import AsyncConnection

from policies.rights import Role
from recorder.access.errors import AccessError
from recorder.access.known import Known
from recorder.access.tables import accounts, credentials
from recorder.vault.age import Identity

Logged = Callable[[str], Known | None]
Tell = Callable[[str, str, str, Mapping[str, Any]], object]


class AccountError(AccessError):
    """This cannot be done with that account."""

    code = "account"
    status = 65


class ForgedError(AccessError):
    """The database says other things of an account than the access log."""

    code = "forged"
    status = 77


@dataclass(frozen=True, slots=True, kw_only=True)
class Account:
    """One person's. `initial`: its one-time secret was not used yet."""

    id: str
    name: str
    role: Role
    section: str | None
    issued_by: str
    issued_at: datetime
    ended_by: str | None = None
    ended_at: datetime | None = None
    reason: str | None = None
    reviewed_by: str | None = None
    reviewed_at: datetime | None = None
    seen_at: datetime | None = None
    initial: bool = False

    @property
    def live(self) -> bool:
        """Whether somebody may come in by it."""
        return self.ended_at is None


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedIn:
    """Somebody who has proved who they are; `own` opens what was sealed to them."""

    account: Account
    own: Identity = field(repr=False)


@dataclass(frozen=True, slots=True)
class Ledger:
    """The access log, as accounts and grants use it.

    `tell(actor, action, object, detail)` makes a line in it durable; without one nothing is done. `logged` reads back
    what such lines say of an account (`known`).
    """

    tell: Tell
    logged: Logged

    async def write(self, actor: str, action: str, about: str, detail: Mapping[str, Any]) -> None:
        """One line."""
        await asyncio.to_thread(self.tell, actor, action, about, detail)

    async def known(self, account: str) -> Known | None:
        """What it says of an account."""
        return await asyncio.to_thread(self.logged, account)

    async def agrees(self, found: Account, recipient: str) -> bool:
        """Whether it says the same of role and key."""
        known = await self.known(found.id)
        return known is not None and (known.role, known.recipient) == (str(found.role), recipient)

    async def check(self, found: Account, recipient: str) -> None:
        """Raises ForgedError where it says anything else; a line tells that somebody tried."""
        if not await self.agrees(found, recipient):
            await self.write("nobody", "account.forged", found.id, {"role": str(found.role)})
            raise ForgedError(f"{found.id}: role or key in the database are not those of the access log")


async def find(connection: AsyncConnection, account: str) -> Account | None:
    """One, ended or not."""
    row = (await connection.execute(_accounts().where(accounts.c.id == account))).mappings().one_or_none()
    return _account(row) if row is not None else None


async def live(connection: AsyncConnection, account: str) -> Account:
    """One by which somebody may come in. Raises AccountError."""
    found = await find(connection, account)
    if found is None or not found.live:
        raise AccountError(f"there is no live account {account!r}; `kikitori accounts list` shows them")
    return found


async def every(connection: AsyncConnection) -> list[Account]:
    """Every account that ever was, by its ID."""
    rows = (await connection.execute(_accounts().order_by(accounts.c.id))).mappings().all()
    return [_account(row) for row in rows]


def utc(at: datetime) -> datetime:
    """As the database keeps times: without a zone."""
    return at.replace(tzinfo=UTC)


def _accounts() -> Any:
    return select(accounts, credentials.c.initial).outerjoin(credentials, credentials.c.account == accounts.c.id)


def _account(row: RowMapping) -> Account:
    values: dict[str, Any] = {
        str(name): utc(value) if isinstance(value, datetime) else value for name, value in row.items()
    }
    return Account(**values | {"role": Role(row["role"]), "initial": bool(row["initial"])})
