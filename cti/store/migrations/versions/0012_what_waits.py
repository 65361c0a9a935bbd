"""What waits is found without looking at what is over: when somebody acts next stands beside whose it is."""

import sqlalchemy as sa
from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As cti.cases.tables has it."""
    op.add_column("tickets", sa.Column("next_at", sa.DateTime))
    op.add_column("case_units", sa.Column("waits", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("case_units", sa.Column("next_at", sa.DateTime))
    op.execute(
        "UPDATE tickets SET next_at = CASE "
        "WHEN tried_at IS NULL AND due IS NOT NULL AND (again IS NULL OR again > due) THEN due "
        "ELSE COALESCE(again, due, at) END"
    )
    op.execute(
        'UPDATE case_units SET next_at = (SELECT next_at FROM cases WHERE number = case_units."case"), '
        "waits = EXISTS (SELECT 1 FROM cases WHERE number = case_units.\"case\" AND state <> 'closed') "
        'OR EXISTS (SELECT 1 FROM tickets WHERE tickets."case" = case_units."case" AND outcome IS NULL)'
    )
    waits = sa.text("outcome IS NULL")
    op.create_index(
        "tickets_open", "tickets", ["next_at", "case", "place"], sqlite_where=waits, postgresql_where=waits
    )  # fmt: skip
    op.create_index("ix_tickets_conversation", "tickets", ["conversation"])
    op.create_index("ix_case_units_case", "case_units", ["case"])
    op.create_index("case_units_next", "case_units", ["unit", "waits", "next_at"])
    op.create_index("cases_next", "cases", ["next_at", "received_at"])


def downgrade() -> None:
    """Without it."""
    op.drop_index("cases_next", "cases")
    op.drop_index("case_units_next", "case_units")
    op.drop_index("ix_case_units_case", "case_units")
    op.drop_index("ix_tickets_conversation", "tickets")
    op.drop_index("tickets_open", "tickets")
    op.drop_column("case_units", "next_at")
    op.drop_column("case_units", "waits")
    op.drop_column("tickets", "next_at")
