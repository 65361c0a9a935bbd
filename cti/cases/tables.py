"""The tables of the cases: acts are the truth, a case's row is their sum; what is the customer's is sealed."""

from typing import Final

from sqlalchemy import (
    Boolean,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    UniqueConstraint,
    false,
    text,
)

metadata = MetaData()
OPEN: Final = "outcome IS NULL"
"""Which tickets wait: few of all that there are, in an index of their own. PostgreSQL would sort them by another."""

cases = Table(
    "cases",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=True),
    Column("id", String(36), nullable=False, unique=True),
    Column("acts", Integer, nullable=False),
    Column("state", String(16), nullable=False),
    Column("channel", String(16), nullable=False),
    Column("received_by", String(64), nullable=False),
    Column("received_at", DateTime, nullable=False),
    Column("entered_by", String(64), nullable=False),
    Column("entered_at", DateTime, nullable=False),
    Column("owner", String(64), nullable=False),
    Column("main", String(64)),
    Column("category", String(64)),
    Column("conversation", String(36), index=True),
    Column("way", String(16)),
    Column("promised", DateTime),
    Column("next_at", DateTime),
    Column("accepted_at", DateTime),
    Column("replied_at", DateTime),
    Column("outcome", String(16)),
    Column("closed_at", DateTime),
    Column("reopened", Integer, nullable=False),
    Column("last_at", DateTime, nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Index("cases_state", "state", "next_at"),
    Index("cases_owner", "owner", "state", "next_at"),
    Index("cases_next", "next_at", "received_at"),
    sqlite_autoincrement=True,  # a number is given once, whatever becomes of the row
)

acts = Table(
    "acts",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=True),
    Column("case", Integer, ForeignKey("cases.number"), nullable=False),
    Column("act", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("by", String(64), nullable=False),
    Column("unit", String(64), nullable=False),
    Column("site", String(32), nullable=False),
    Column("key", String(200), unique=True),
    Column("tag", String(32), index=True),
    Column("sealed", LargeBinary, nullable=False),
    UniqueConstraint("case", "act", name="acts_in_order"),
)
"""`key`: what caused an act that nobody typed; it is done once. `site`: whose access log knows of it."""

tickets = Table(
    "tickets",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("case", Integer, ForeignKey("cases.number"), nullable=False),
    Column("place", Integer, nullable=False),
    Column("kind", String(16), nullable=False),
    Column("leg", String(80), nullable=False),
    Column("conversation", String(36), index=True),
    Column("unit", String(64), nullable=False),
    Column("at", DateTime, nullable=False),
    Column("due", DateTime),
    Column("done_at", DateTime),
    Column("outcome", String(16)),
    Column("tries", Integer, nullable=False, server_default="0"),
    Column("tried_at", DateTime),
    Column("again", DateTime),
    Column("next_at", DateTime),
    UniqueConstraint("case", "place", name="tickets_in_order"),
    Index("tickets_unit", "outcome", "unit", "due"),
    Index("tickets_due", "due"),
    Index("tickets_open", "next_at", "case", "place", sqlite_where=text(OPEN), postgresql_where=text(OPEN)),
)
"""`id` is made of conversation, kind and leg (D10): there is one of each, whoever enters it how often.

`next_at`: when somebody acts, or else since when it is there.
"""

seers = Table(
    "case_units",
    metadata,
    Column("unit", String(64), primary_key=True),
    Column("case", Integer, ForeignKey("cases.number"), primary_key=True, index=True),
    Column("waits", Boolean, nullable=False, server_default=false()),
    Column("next_at", DateTime),
    Index("case_units_next", "unit", "waits", "next_at"),
)
"""Whose people see which case; whether it, or a ticket of it, is open; and until when somebody acts, as in `cases`."""

outbox = Table(
    "outbox",
    metadata,
    Column("case", Integer, ForeignKey("cases.number"), primary_key=True),
    Column("acts", Integer, nullable=False),
    Column("site", String(32), nullable=False),
)
"""Cases of which something is to be told to other systems (`cti.outward`), written with the acts themselves."""
