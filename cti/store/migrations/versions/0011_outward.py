"""What is told of cases to other systems, and how far."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As cti.cases.tables and cti.outward.tables have it."""
    op.create_table(
        "outbox",
        sa.Column("case", sa.Integer, sa.ForeignKey("cases.number"), primary_key=True),
        sa.Column("acts", sa.Integer, nullable=False),
        sa.Column("site", sa.String(32), nullable=False),
    )
    op.create_table(
        "deliveries",
        sa.Column("destination", sa.String(64), primary_key=True),
        sa.Column("case", sa.Integer, sa.ForeignKey("cases.number"), primary_key=True),
        sa.Column("act", sa.Integer, nullable=False),
        sa.Column("tries", sa.Integer, nullable=False),
        sa.Column("failed_at", sa.DateTime),
        sa.Column("next_at", sa.DateTime),
        sa.Column("dead_at", sa.DateTime),
        sa.Column("error", sa.String(200)),
        sa.Column("theirs", sa.String(64)),
        sa.Column("target", sa.String(16), nullable=False),
        sa.Column("taken_until", sa.DateTime),
    )
    op.create_index("deliveries_waiting", "deliveries", ["destination", "next_at"])


def downgrade() -> None:
    """Without it."""
    op.drop_table("deliveries")
    op.drop_table("outbox")
