"""The tables of accounts; what must never be is refused by SQL itself.

```
accounts      id, name, role, section; by whom and when it was issued, ended, looked through
credentials   what the person's password opens (credentials.py); the step of the last code that was used
grants        the identity of an epoch (0: 課長's signing key), sealed to the person's own key
```
"""

from collections.abc import Collection
from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    ForeignKeyConstraint,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
)

from policies.rights import OPERATORS, Role

SIGNING: Final = 0
"""Instead of an epoch: the key that signs to whom is encrypted. Only who is 課長 can be given it."""

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
    CheckConstraint(f"epoch > {SIGNING} OR role = '{Role.MANAGER}'", name="grants_signing"),
)
