"""Accounts: each issued by 課長 to one person, with issuer and date (B-06). What a person may, `policies.rights` says.

Issued with a one-time secret, which opens nothing but the way to a password of one's own. Ending an account takes its
credential and its grants away at once; the row itself stays: the log speaks of it.
"""

import asyncio
import re
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import RowMapping, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from policies.rights import Role
from recorder.access import people
from recorder.access.credentials import (
    Cost,
    Credential,
    Opened,
    RefusedError,
    check_password,
    nobody,
    one_time_secret,
    seal,
    seed,
    step_of,
    unseal,
)
from recorder.access.errors import AccessError
from recorder.access.grants import Grants, drop, hand_over
from recorder.access.people import Account, AccountError, Ledger, Logged, SignedIn, Tell, utc
from recorder.access.tables import accounts, credentials
from recorder.access.throttle import Throttle
from recorder.catalogue import plain
from recorder.vault.age import Identity

VALID_FOR: Final = timedelta(days=7)
"""How long a one-time secret may wait to be used."""
AT_ONCE: Final = 2
"""Derivations at a time: each takes 64 MiB."""
INSTALLER: Final = "init"
"""Who issues the first account: there is no 課長 yet who could."""

_ID = re.compile(r"[a-z][a-z0-9.-]{1,31}", re.ASCII)
_WORDS = ("kikitori", "suido", "水道局", "password", "パスワード")


class TooSoonError(AccessError):
    """Too many tries."""

    code = "too-soon"
    status = 75

    def __init__(self, seconds: float) -> None:
        """`seconds` until the next one is looked at."""
        super().__init__(f"the next one is looked at in {seconds:.0f} s")
        self.seconds = seconds


Result = TypeVar("Result")


class Accounts:
    """`tell(actor, action, object, detail)` makes a line in the access log durable; without one nothing is done.

    `logged` reads back what such lines say of an account (`known`): whoever can write into the database, and not into
    the log, gets nothing by it.
    """

    def __init__(
        self,
        engine: AsyncEngine,
        pbx: str,
        *,
        tell: Tell,
        logged: Logged,
        now: Callable[[], datetime],
        cost: Cost = Cost(),  # noqa: B008  # it is frozen
    ) -> None:
        """`engine` is migrated already. `pbx`: the one whose vault's keys are granted here; accounts are of all."""
        self.engine, self._now, self._cost = engine, now, cost
        self._ledger = Ledger(tell, logged)
        self.grants = Grants(engine, pbx, self._ledger, now)
        self._throttle, self._computing = Throttle(), asyncio.Semaphore(AT_ONCE)
        self._nobody: Credential | None = None

    # --- what 課長 does ---------------------------------------------------------------------------------------------

    async def issue(self, account: str, *, name: str, role: Role, section: str | None, by: str) -> str:
        """A new account; its one-time secret, shown once. Raises AccountError.

        `by`: the account of whoever issues it, or INSTALLER for the first 課長.
        """
        if not _ID.fullmatch(account) or account in (INSTALLER, "nobody"):
            raise AccountError(
                f"{account!r} is no ID: 2 to 32 small letters, digits, points and hyphens, a letter first"
            )
        _check_text("name", name, 120)
        _check_text("section", section or "-", 120)
        if (role is Role.SECTION) != (section is not None):
            raise AccountError("a section is named for role section, and for no other")
        if by == INSTALLER and (role is not Role.MANAGER or await self.managed()):
            raise AccountError(f"{INSTALLER} issues accounts of role manager (課長) until one of them is in use")
        secret, made = await self._secret(account)
        at = self._now()
        row = {"id": account, "name": name, "role": str(role), "section": section, "issued_by": by}
        try:
            async with self.engine.begin() as connection:
                await connection.execute(insert(accounts).values(**row, issued_at=plain(at)))
                await self._keep(connection, account, made, at, initial=True, step=0)
                detail = {"role": str(role), "recipient": made.recipient} | ({"section": section} if section else {})
                await self._ledger.write(by, "account.issued", account, detail)
        except IntegrityError as error:
            raise AccountError(f"{account} exists already; an ID is never given to a second person") from error
        return secret

    async def renew(self, account: str, *, by: str) -> str:
        """A new one-time secret for who lost password or authenticator; what the old ones opened is to be granted anew.

        Raises AccountError. `by` as in `issue`.
        """
        if by == INSTALLER and await self.managed():
            raise AccountError(f"{INSTALLER} issues accounts of role manager (課長) until one of them is in use")
        secret, made = await self._secret(account)
        async with self.engine.begin() as connection:
            await people.live(connection, account)
            await self._ledger.write(by, "account.renewed", account, {"recipient": made.recipient})
            await drop(connection, account)
            await connection.execute(delete(credentials).where(credentials.c.account == account))
            await self._keep(connection, account, made, self._now(), initial=True, step=0)
        return secret

    async def managed(self) -> bool:
        """Whether a 課長 can sign in, who issues accounts."""
        async with self.engine.connect() as connection:
            return await self._managers(connection) > 0

    async def _secret(self, account: str) -> tuple[str, Credential]:
        secret = one_time_secret()
        opened = Opened(identity=Identity.generate(), totp=seed())
        return secret, await self._compute(seal, account, secret, opened, self._cost)

    async def end(self, account: str, *, by: str, reason: str) -> None:
        """Nobody comes in by it any more, from now on; what it could open it cannot open. Raises AccountError."""
        _check_text("reason", reason, 200)
        async with self.engine.begin() as connection:
            found = await people.live(connection, account)
            if found.role is Role.MANAGER and not found.initial and await self._managers(connection) == 1:
                raise AccountError(
                    f"{account} is the last 課長 who can sign in: another has to be in use first, or nobody could issue"
                )
            await self._ledger.write(by, "account.ended", account, {"reason": reason})
            await drop(connection, account)
            await connection.execute(delete(credentials).where(credentials.c.account == account))
            await connection.execute(
                update(accounts)
                .where(accounts.c.id == account)
                .values(ended_by=by, ended_at=plain(self._now()), reason=reason)
            )

    async def review(self, account: str, *, by: str) -> None:
        """課長 has looked it through: this person still needs it (B-30). Raises AccountError."""
        async with self.engine.begin() as connection:
            found = await people.live(connection, account)
            await self._ledger.write(by, "account.reviewed", account, {"role": str(found.role)})
            await connection.execute(
                update(accounts).where(accounts.c.id == account).values(reviewed_by=by, reviewed_at=plain(self._now()))
            )

    async def one(self, account: str) -> Account | None:
        """An account that lives and is in use, as the access log knows it too; None where there is none."""
        async with self.engine.connect() as connection:
            found = await people.find(connection, account)
            wanted = select(credentials.c.recipient).where(credentials.c.account == account)
            recipient = str((await connection.execute(wanted)).scalar_one_or_none())
        if found is None or not found.live or found.initial:
            return None
        return found if await self._ledger.agrees(found, recipient) else None

    async def all(self) -> list[Account]:
        """Every account that ever was, by its ID."""
        async with self.engine.connect() as connection:
            return await people.every(connection)

    # --- what the person does ---------------------------------------------------------------------------------------

    async def enrol(self, account: str, secret: str, password: str, totp: str, code: str, address: str) -> None:
        """Turn the one-time secret into a password and codes of one's own; `code` is one of seed `totp`.

        Raises RefusedError, TooSoonError, PasswordError; then nothing has changed.
        """
        found, kept = await self._one(account, address)
        opened = await self._proved(account, address, secret.strip().upper(), kept)
        now = self._now()
        if found is None or kept is None or not kept["initial"] or now > utc(kept["changed_at"]) + VALID_FOR:
            raise await self._refuse(account, address, "no one-time secret is waiting", known=found is not None)
        if not await self._ledger.agrees(found, str(kept["recipient"])):
            raise await self._refuse(account, address, "not as it was issued, or enrolled meanwhile", known=True)
        self._throttle.passed(account, address)
        check_password(password, (account, found.name, found.section or "", *_WORDS))
        try:
            step = step_of(totp, code, now, 0)
        except RefusedError as error:
            raise RefusedError("that is not the code that the authenticator shows now") from error
        mine = Opened(identity=Identity.generate(), totp=totp)
        made = await self._compute(seal, account, password, mine, self._cost)
        async with self.engine.begin() as connection:
            # Of two that do it at once, one.
            gone = await connection.execute(
                delete(credentials).where(credentials.c.account == account, credentials.c.sealed == kept["sealed"])
            )
            if gone.rowcount != 1:
                raise RefusedError
            await self._keep(connection, account, made, now, initial=False, step=step)
            await hand_over(connection, account, opened.identity, mine.identity.recipient)
            await self._ledger.write(account, "account.enrolled", account, {"recipient": made.recipient})

    async def sign_in(self, account: str, password: str, code: str, address: str) -> SignedIn:
        """Raises RefusedError, which does not say of what, and TooSoonError."""
        found, kept = await self._one(account, address)
        opened = await self._proved(account, address, password, kept)
        if found is None or kept is None or kept["initial"]:
            raise await self._refuse(account, address, "not enrolled", known=found is not None)
        await self._ledger.check(found, str(kept["recipient"]))
        now = self._now()
        try:
            step = step_of(opened.totp, code, now, kept["last_step"])
        except RefusedError as error:
            raise await self._refuse(account, address, "code", known=True) from error
        async with self.engine.begin() as connection:
            used = await connection.execute(
                update(credentials)
                .where(
                    credentials.c.account == account,
                    credentials.c.last_step < step,  # a code is good once, whoever is faster
                    credentials.c.sealed == kept["sealed"],
                )
                .values(last_step=step)
            )
            if used.rowcount != 1:
                raise await self._refuse(account, address, "code used before", known=True)
            await connection.execute(update(accounts).where(accounts.c.id == account).values(seen_at=plain(now)))
        self._throttle.passed(account, address)
        who = SignedIn(account=found, own=opened.identity)
        held = await self.grants.held(who)
        detail: dict[str, Any] = {"address": address, "epochs": sorted(held.identities)}
        detail |= {"unusable": list(held.spoilt)} if held.spoilt else {}
        await self._ledger.write(account, "account.signed-in", account, detail)
        return who

    async def still(self, who: SignedIn) -> bool:
        """Whether somebody who signed in before may still come in: the account lives, and nobody has changed it.

        Raises ForgedError where somebody has, but not here.
        """
        async with self.engine.connect() as connection:
            found = await people.find(connection, who.account.id)
            wanted = select(credentials.c.recipient).where(credentials.c.account == who.account.id)
            recipient = (await connection.execute(wanted)).scalar_one_or_none()
        if found is None or not found.live or found.initial or recipient != str(who.own.recipient):
            return False
        await self._ledger.check(found, str(recipient))
        return found.role is who.account.role

    def denied(self, account: Account, act: str, about: str | None = None) -> None:
        """Somebody asked for what the role may not; `about`: the recording, if it is one."""
        self._ledger.tell(account.id, "act.denied", about or account.id, {"act": act})

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _one(self, account: str, address: str) -> tuple[Account | None, RowMapping | None]:
        now = self._now()
        if (seconds := self._throttle.wait(account, address, now)) > 0:
            raise TooSoonError(seconds)
        # Counted before it is computed: of a thousand at once the first three are.
        self._throttle.tried(account, address, now)
        async with self.engine.connect() as connection:
            found = await people.find(connection, account)
            rows = await connection.execute(select(credentials).where(credentials.c.account == account))
            kept = rows.mappings().one_or_none()
        return (found, kept) if found is not None and found.live else (None, None)

    async def _proved(self, account: str, address: str, password: str, kept: RowMapping | None) -> Opened:
        if kept is None:
            self._nobody = self._nobody or await self._compute(nobody)
            credential, known = self._nobody, False
        else:
            cost = Cost(memory=kept["memory"], passes=kept["passes"], lanes=kept["lanes"])
            credential = Credential(salt=kept["salt"], cost=cost, recipient=kept["recipient"], sealed=kept["sealed"])
            known = True
        try:
            return await self._compute(unseal, account, password[:1024], credential)
        except RefusedError as error:
            raise await self._refuse(account, address, error.detail or "password", known=known) from error

    async def _refuse(self, account: str, address: str, why: str, *, known: bool) -> RefusedError:
        """Log it. What was typed for an ID that there is not may be a password: it is not kept."""
        await self._ledger.write(
            "nobody", "account.refused", account if known else "unknown", {"address": address, "why": why}
        )
        return RefusedError()

    async def _compute(self, work: Callable[..., Result], *arguments: Any) -> Result:
        async with self._computing:
            return await asyncio.to_thread(work, *arguments)

    async def _keep(
        self, connection: AsyncConnection, account: str, made: Credential, at: datetime, *, initial: bool, step: int
    ) -> None:
        await connection.execute(
            insert(credentials).values(
                account=account,
                salt=made.salt,
                memory=made.cost.memory,
                passes=made.cost.passes,
                lanes=made.cost.lanes,
                recipient=made.recipient,
                sealed=made.sealed,
                initial=initial,
                changed_at=plain(at),
                last_step=step,
            )
        )

    @staticmethod
    async def _managers(connection: AsyncConnection) -> int:
        """Who can issue: live, and enrolled."""
        joined = accounts.join(credentials, credentials.c.account == accounts.c.id)
        enrolled = select(func.count()).select_from(joined).where(credentials.c.initial.is_(False))
        wanted = enrolled.where(accounts.c.role == str(Role.MANAGER), accounts.c.ended_at.is_(None))
        return int((await connection.execute(wanted)).scalar_one())


def _check_text(what: str, text: str, most: int) -> None:
    if not 1 <= len(text) <= most or not text.isprintable():
        raise AccountError(f"{what}: a printable text of 1 to {most} characters is needed")
