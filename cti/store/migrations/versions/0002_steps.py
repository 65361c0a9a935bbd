"""What the dialplan did with each call, and what it took of callers."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "steps",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("conversation", sa.String(36), nullable=False, index=True),
        sa.Column("uniqueid", sa.String(80), nullable=False, index=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("what", sa.String(16), nullable=False),
        sa.Column("values", sa.JSON, nullable=False),
    )
    op.create_table(
        "step_files", sa.Column("name", sa.String(32), primary_key=True), sa.Column("read", sa.Integer, nullable=False)
    )
    op.create_table(
        "intakes",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("conversation", sa.String(36), nullable=False, index=True),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False, index=True),
        sa.Column("dialled", sa.String(32)),
        sa.Column("number", sa.String(32)),
        sa.Column("source", sa.String(16)),
        sa.Column("language", sa.String(8)),
        sa.Column("answered_by", sa.String(32)),
        sa.Column("unanswered", sa.Boolean, nullable=False),
        sa.Column("due", sa.Date),
        sa.Column("done_at", sa.DateTime),
        sa.Column("done_by", sa.String(120)),
        sa.Column("note", sa.String(1000)),
    )


def downgrade() -> None:
    """Drop them: they can be read again from the vault's steps."""
    for table in ("intakes", "step_files", "steps"):
        op.drop_table(table)
