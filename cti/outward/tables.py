"""What was told to whom: of each destination and case, up to which act, and what is in the way."""

from sqlalchemy import Column, DateTime, ForeignKey, Index, Integer, String, Table

from cti.cases.tables import metadata

deliveries = Table(
    "deliveries",
    metadata,
    Column("destination", String(64), primary_key=True),
    Column("case", Integer, ForeignKey("cases.number"), primary_key=True),
    Column("act", Integer, nullable=False),
    Column("tries", Integer, nullable=False),
    Column("failed_at", DateTime),
    Column("next_at", DateTime),
    Column("dead_at", DateTime),
    Column("error", String(200)),
    Column("theirs", String(64)),
    Column("target", String(16), nullable=False),
    Column("taken_until", DateTime),
    Index("deliveries_waiting", "destination", "next_at"),
)
"""`act`: told up to it. `failed_at`: since when it fails, `next_at`: when it is tried next, `dead_at`: nobody tries it
any more until somebody says so. `theirs`: what the other system calls the case; `?4` where act 4 asked it to make one.
`target`: of which address all that is so. `taken_until`: by one desk at a time.
"""
