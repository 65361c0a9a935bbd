"""Accounts: each issued by 課長 to one person, with issuer and date (B-06). What a person may, `policies.rights` says.

```
accounts      id, name, role, section; by whom and when it was issued, ended, looked through
credentials   what the person's password opens (credentials.py); the step of the last code that was used
grants        the identity of an epoch, sealed to the person's own key; refused by SQL for who is no 職員
```
Issued with a one-time secret, which opens nothing but the way to a password of one's own. Ending an account takes its
credential and its grants away at once; the row itself stays: the log speaks of it.
"""

import asyncio
import io
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ColumnElement,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    RowMapping,
    String,
    Table,
    UniqueConstraint,
    and_,
    delete,
    func,
    insert,
    select,
    update,
)
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from policies.rights import OPERATORS, Role
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
from recorder.access.entry import Entry
from recorder.access.errors import AccessError
from recorder.access.throttle import Throttle
from recorder.catalogue import plain
from recorder.vault.age import Identity, Recipient
from recorder.vault.errors import VaultError
from recorder.vault.stream import decrypt, encrypt

VALID_FOR: Final = timedelta(days=7)
"""How long a one-time secret may wait to be used."""
AT_ONCE: Final = 2
"""Derivations at a time: each takes 64 MiB."""
DECIDING: Final = (
    "account.issued", "account.enrolled", "account.renewed", "account.ended", "key.granted", "key.revoked",
)  # fmt: skip
"""The actions in the access log that say whether an account is, of which role, and with which keys."""
INSTALLER: Final = "init"
"""Who issues the first account: there is no 課長 yet who could."""

_ID = re.compile(r"[a-z][a-z0-9.-]{1,31}", re.ASCII)
_WORDS = ("kikitori", "suido", "水道局", "password", "パスワード")

metadata = MetaData()


def _one_of(column: str, roles: Collection[Role]) -> str:
    return f"{column} IN ({', '.join(repr(str(role)) for role in sorted(roles))})"


accounts = Table(
    "accounts",
    metadata,
    Column("id", String(32), primary_key=True),
    Column("name", String(120), nullable=False),
    Column("role", String(16), nullable=False),
    Column("section", String(120)),
    Column("issued_by", String(32), nullable=False),
    Column("issued_at", DateTime, nullable=False),
    Column("ended_by", String(32)),
    Column("ended_at", DateTime),
    Column("reason", String(200)),
    Column("reviewed_by", String(32)),
    Column("reviewed_at", DateTime),
    Column("seen_at", DateTime),
    UniqueConstraint("id", "role", name="accounts_id_role"),
    CheckConstraint(_one_of("role", set(Role)), name="accounts_role"),
    CheckConstraint("(role = 'section') = (section IS NOT NULL)", name="accounts_section"),
    CheckConstraint("issued_by <> ''", name="accounts_issuer"),
    CheckConstraint("(ended_by IS NULL) = (ended_at IS NULL)", name="accounts_ended"),
)

credentials = Table(
    "credentials",
    metadata,
    Column("account", String(32), ForeignKey("accounts.id"), primary_key=True),
    Column("salt", LargeBinary, nullable=False),
    Column("memory", Integer, nullable=False),
    Column("passes", Integer, nullable=False),
    Column("lanes", Integer, nullable=False),
    Column("recipient", String(80), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("initial", Boolean, nullable=False),
    Column("changed_at", DateTime, nullable=False),
    Column("last_step", BigInteger, nullable=False),
)

grants = Table(
    "grants",
    metadata,
    Column("account", String(32), primary_key=True),
    Column("pbx", String(32), primary_key=True),
    Column("epoch", Integer, primary_key=True),
    Column("role", String(16), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("granted_by", String(32), nullable=False),
    Column("granted_at", DateTime, nullable=False),
    ForeignKeyConstraint(["account", "role"], ["accounts.id", "accounts.role"], name="grants_account"),
    CheckConstraint(_one_of("role", OPERATORS), name="grants_operators_only"),
)


class AccountError(AccessError):
    """This cannot be done with that account."""

    code = "account"
    status = 65


class ForgedError(AccessError):
    """The database says other things of an account than the access log."""

    code = "forged"
    status = 77


class NoKeyHeldError(AccessError):
    """The account holds no key of that epoch."""

    code = "no-key-held"
    status = 77


class TooSoonError(AccessError):
    """Too many tries."""

    code = "too-soon"
    status = 75

    def __init__(self, seconds: float) -> None:
        """`seconds` until the next one is looked at."""
        super().__init__(f"the next one is looked at in {seconds:.0f} s")
        self.seconds = seconds


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
    """Somebody who has proved who they are; `epochs`: what they can open, as it was then."""

    account: Account
    own: Identity = field(repr=False)
    epochs: Mapping[int, Identity] = field(repr=False)

    def key(self, epoch: int) -> Identity:
        """The identity of `epoch`. Raises NoKeyHeldError."""
        try:
            return self.epochs[epoch]
        except KeyError as error:
            raise _not_held(self.account.id, epoch) from error


@dataclass(frozen=True, slots=True, kw_only=True)
class Grant:
    """Who holds the key of an epoch, from whom and since when."""

    account: str
    epoch: int
    granted_by: str
    granted_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the access log says of a live account: it is not in the database, and cannot be changed with it."""

    role: str
    recipient: str
    epochs: frozenset[int] = frozenset()


Result = TypeVar("Result")
Logged = Callable[[str], Known | None]
Tell = Callable[[str, str, str, Mapping[str, Any]], object]


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
        self.engine, self.pbx, self._tell, self._logged = engine, pbx, tell, logged
        self._now, self._cost = now, cost
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
                await asyncio.to_thread(self._tell, by, "account.issued", account, detail)
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
            await self._live(connection, account)
            await asyncio.to_thread(self._tell, by, "account.renewed", account, {"recipient": made.recipient})
            for table in (grants, credentials):
                await connection.execute(delete(table).where(table.c.account == account))
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
            found = await self._live(connection, account)
            if found.role is Role.MANAGER and not found.initial and await self._managers(connection) == 1:
                raise AccountError(
                    f"{account} is the last 課長 who can sign in: another has to be in use first, or nobody could issue"
                )
            await asyncio.to_thread(self._tell, by, "account.ended", account, {"reason": reason})
            await connection.execute(delete(grants).where(grants.c.account == account))
            await connection.execute(delete(credentials).where(credentials.c.account == account))
            await connection.execute(
                update(accounts)
                .where(accounts.c.id == account)
                .values(ended_by=by, ended_at=plain(self._now()), reason=reason)
            )

    async def review(self, account: str, *, by: str) -> None:
        """課長 has looked it through: this person still needs it (B-30). Raises AccountError."""
        async with self.engine.begin() as connection:
            found = await self._live(connection, account)
            await asyncio.to_thread(self._tell, by, "account.reviewed", account, {"role": str(found.role)})
            await connection.execute(
                update(accounts).where(accounts.c.id == account).values(reviewed_by=by, reviewed_at=plain(self._now()))
            )

    async def one(self, account: str) -> Account | None:
        """An account that lives and is in use, as the access log knows it too; None where there is none."""
        async with self.engine.connect() as connection:
            found = await self._find(connection, account)
            wanted = select(credentials.c.recipient).where(credentials.c.account == account)
            recipient = str((await connection.execute(wanted)).scalar_one_or_none())
        usable = found is not None and found.live and not found.initial
        known = await asyncio.to_thread(self._logged, account) if usable else None
        return found if found is not None and _is(known, found, recipient) else None

    async def all(self) -> list[Account]:
        """Every account that ever was, by its ID."""
        async with self.engine.connect() as connection:
            rows = (await connection.execute(_accounts().order_by(accounts.c.id))).mappings().all()
        return [_account(row) for row in rows]

    # --- what the person does ---------------------------------------------------------------------------------------

    async def enrol(self, account: str, secret: str, password: str, totp: str, code: str, address: str) -> None:
        """Turn the one-time secret into a password and codes of one's own; `code` is one of seed `totp`.

        Raises RefusedError, TooSoonError, PasswordError; then nothing has changed.
        """
        found, kept = await self._one(account, address)
        opened = await self._proved(account, address, secret.strip().upper(), kept)
        now = self._now()
        if found is None or kept is None or not kept["initial"] or now > _utc(kept["changed_at"]) + VALID_FOR:
            raise await self._refuse(account, address, "no one-time secret is waiting", known=found is not None)
        if not _is(await asyncio.to_thread(self._logged, account), found, str(kept["recipient"])):
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
            await self._hand_over(connection, account, opened.identity, mine.identity.recipient)
            await asyncio.to_thread(self._tell, account, "account.enrolled", account, {"recipient": made.recipient})

    async def sign_in(self, account: str, password: str, code: str, address: str) -> SignedIn:
        """Raises RefusedError, which does not say of what, and TooSoonError."""
        found, kept = await self._one(account, address)
        opened = await self._proved(account, address, password, kept)
        if found is None or kept is None or kept["initial"]:
            raise await self._refuse(account, address, "not enrolled", known=found is not None)
        await asyncio.to_thread(self._check_known, found, str(kept["recipient"]))
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
            rows = (await connection.execute(select(grants).where(self._granted(account)))).mappings().all()
        self._throttle.passed(account, address)
        epochs, spoilt = self._opened(rows, opened.identity, await self._granted_by_log(account))
        detail = {"address": address, "epochs": sorted(epochs)} | ({"unusable": spoilt} if spoilt else {})
        await asyncio.to_thread(self._tell, account, "account.signed-in", account, detail)
        return SignedIn(account=found, own=opened.identity, epochs=epochs)

    async def still(self, who: SignedIn) -> bool:
        """Whether somebody who signed in before may still come in: the account lives, and nobody has changed it.

        Raises ForgedError where somebody has, but not here.
        """
        async with self.engine.connect() as connection:
            found = await self._find(connection, who.account.id)
            wanted = select(credentials.c.recipient).where(credentials.c.account == who.account.id)
            recipient = (await connection.execute(wanted)).scalar_one_or_none()
        if found is None or not found.live or found.initial or recipient != str(who.own.recipient):
            return False
        await asyncio.to_thread(self._check_known, found, str(recipient))
        return found.role is who.account.role

    async def check_held(self, who: SignedIn, epochs: Collection[int]) -> None:
        """Raises NoKeyHeldError where one of these keys was taken away from somebody since the sign-in."""
        wanted = select(grants.c.epoch).where(self._granted(who.account.id))
        async with self.engine.connect() as connection:
            held = set(await connection.scalars(wanted)) & await self._granted_by_log(who.account.id)
        if gone := set(epochs) - held:
            raise _not_held(who.account.id, min(gone))

    async def _granted_by_log(self, account: str) -> frozenset[int]:
        known = await asyncio.to_thread(self._logged, account)
        return known.epochs if known else frozenset()

    def denied(self, account: Account, act: str, about: str | None = None) -> None:
        """Somebody asked for what the role may not; `about`: the recording, if it is one."""
        self._tell(account.id, "act.denied", about or account.id, {"act": act})

    # --- keys -------------------------------------------------------------------------------------------------------

    async def grant(self, account: str, epoch: int, identity: Identity, *, by: str) -> None:
        """Seal the identity of an epoch to a person; whoever grants it holds it. Raises AccountError."""
        async with self.engine.begin() as connection:
            found = await self._live(connection, account)
            if found.role not in OPERATORS:  # as the table itself has it
                raise AccountError(f"{account} is {found.role.wording}: only 職員 can be given a key (3条3)")
            # Locked: who enrols meanwhile would be given what only the key of before opens.
            wanted = select(credentials.c.recipient).where(credentials.c.account == account).with_for_update()
            recipient = str((await connection.execute(wanted)).scalar_one())
            await asyncio.to_thread(self._check_known, found, recipient)
            row = {"account": account, "pbx": self.pbx, "epoch": epoch, "role": str(found.role), "granted_by": by}
            sealed = encrypt(str(identity).encode(), [Recipient.parse(recipient)])
            await asyncio.to_thread(self._tell, by, "key.granted", account, {"epoch": epoch})
            await connection.execute(delete(grants).where(self._granted(account) & (grants.c.epoch == epoch)))
            await connection.execute(insert(grants).values(**row, sealed=sealed, granted_at=plain(self._now())))

    async def revoke(self, account: str, *, by: str) -> int:
        """Take every key of this PBX away from a person; how many. Raises AccountError.

        What the person's own process opened and kept it still opens: only a rotation ends that.
        """
        async with self.engine.begin() as connection:
            await self._live(connection, account)
            await asyncio.to_thread(self._tell, by, "key.revoked", account, {"pbx": self.pbx})
            return int((await connection.execute(delete(grants).where(self._granted(account)))).rowcount)

    async def granted(self) -> list[Grant]:
        """Who holds which key of this PBX."""
        wanted = select(grants).where(grants.c.pbx == self.pbx).order_by(grants.c.epoch, grants.c.account)
        async with self.engine.connect() as connection:
            rows = (await connection.execute(wanted)).mappings().all()
        return [
            Grant(
                account=row["account"],
                epoch=row["epoch"],
                granted_by=row["granted_by"],
                granted_at=_utc(row["granted_at"]),
            )
            for row in rows
        ]

    async def _hand_over(self, connection: AsyncConnection, account: str, own: Identity, to: Recipient) -> None:
        rows = (await connection.execute(select(grants).where(grants.c.account == account))).mappings().all()
        for row in rows:  # of every PBX
            try:
                sealed = encrypt(str(_open(row["sealed"], own)).encode(), [to])
            except VaultError:
                continue  # the sign-in says so
            same = and_(*(grants.c[name] == row[name] for name in ("account", "pbx", "epoch")))
            await connection.execute(update(grants).where(same).values(sealed=sealed))

    def _granted(self, account: str) -> ColumnElement[bool]:
        return and_(grants.c.account == account, grants.c.pbx == self.pbx)

    # --- inside -----------------------------------------------------------------------------------------------------

    async def _one(self, account: str, address: str) -> tuple[Account | None, RowMapping | None]:
        now = self._now()
        if (seconds := self._throttle.wait(account, address, now)) > 0:
            raise TooSoonError(seconds)
        # Counted before it is computed: of a thousand at once the first three are.
        self._throttle.tried(account, address, now)
        async with self.engine.connect() as connection:
            found = await self._find(connection, account)
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
        await asyncio.to_thread(
            self._tell, "nobody", "account.refused", account if known else "unknown", {"address": address, "why": why}
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

    async def _live(self, connection: AsyncConnection, account: str) -> Account:
        found = await self._find(connection, account)
        if found is None or not found.live:
            raise AccountError(f"there is no live account {account!r}; `kikitori accounts list` shows them")
        return found

    def _check_known(self, found: Account, recipient: str) -> None:
        """Role and key are those that the access log speaks of. Raises ForgedError."""
        if not _is(self._logged(found.id), found, recipient):
            self._tell("nobody", "account.forged", found.id, {"role": str(found.role)})
            raise ForgedError(f"{found.id}: role or key in the database are not those of the access log")

    @staticmethod
    def _opened(
        rows: Iterable[RowMapping], own: Identity, granted: frozenset[int]
    ) -> tuple[dict[int, Identity], list[int]]:
        """(identities by epoch, epochs whose grant cannot be opened, or is none by the log): one keeps nobody out."""
        found: dict[int, Identity] = {}
        spoilt = []
        for row in rows:
            if int(row["epoch"]) not in granted:
                spoilt.append(int(row["epoch"]))
                continue
            try:
                found[int(row["epoch"])] = _open(row["sealed"], own)
            except VaultError:
                spoilt.append(int(row["epoch"]))
        return found, spoilt

    @staticmethod
    async def _find(connection: AsyncConnection, account: str) -> Account | None:
        row = (await connection.execute(_accounts().where(accounts.c.id == account))).mappings().one_or_none()
        return _account(row) if row is not None else None


def known(entries: Iterable[Entry]) -> Known | None:
    """What the entries of `DECIDING` on one account say of it; None where it was never issued, or has ended."""
    found: Known | None = None
    for entry in entries:
        if entry.action == "account.issued":
            found = Known(role=str(entry.detail["role"]), recipient=str(entry.detail["recipient"]))
        elif found is None:
            continue
        elif entry.action == "account.enrolled":
            found = replace(found, recipient=str(entry.detail["recipient"]))
        elif entry.action == "account.renewed":
            found = replace(found, recipient=str(entry.detail["recipient"]), epochs=frozenset())
        elif entry.action == "key.granted":
            found = replace(found, epochs=found.epochs | {int(entry.detail["epoch"])})
        elif entry.action == "key.revoked":
            found = replace(found, epochs=frozenset())
        elif entry.action == "account.ended":
            found = None
    return found


def _is(known: Known | None, found: Account, recipient: str) -> bool:
    return known is not None and (known.role, known.recipient) == (str(found.role), recipient)


def _not_held(account: str, epoch: int) -> NoKeyHeldError:
    return NoKeyHeldError(f"{account} holds none of epoch {epoch}; whoever does grants it: `kikitori vault grant`")


def _check_text(what: str, text: str, most: int) -> None:
    if not 1 <= len(text) <= most or not text.isprintable():
        raise AccountError(f"{what}: a printable text of 1 to {most} characters is needed")


def _accounts() -> Any:
    return select(accounts, credentials.c.initial).outerjoin(credentials, credentials.c.account == accounts.c.id)


def _account(row: RowMapping) -> Account:
    values: dict[str, Any] = {
        str(name): _utc(value) if isinstance(value, datetime) else value for name, value in row.items()
    }
    return Account(**values | {"role": Role(row["role"]), "initial": bool(row["initial"])})


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC)


def _open(sealed: bytes, own: Identity) -> Identity:
    return Identity.parse(b"".join(decrypt(io.BytesIO(sealed), [own])).decode())
