"""The catalogue: segments, calls, and how far the files of calls have been read."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables."""
    op.create_table(
        "segments",
        sa.Column("name", sa.String(64), primary_key=True),
        sa.Column("recording", sa.String(36), nullable=False, index=True),
        sa.Column("segment", sa.Integer, nullable=False),
        sa.Column("conversation", sa.String(36), nullable=False, index=True),
        sa.Column("number", sa.String(32), index=True),
        sa.Column("direction", sa.String(8)),
        sa.Column("caller", sa.String(32), index=True),
        sa.Column("callee", sa.String(32), index=True),
        sa.Column("agent", sa.String(32), index=True),
        sa.Column("start", sa.DateTime, nullable=False, index=True),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("slot", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
    )
    op.create_table(
        "calls",
        sa.Column("conversation", sa.String(36), primary_key=True),
        sa.Column("arrived", sa.DateTime, index=True),
        sa.Column("answered", sa.DateTime),
        sa.Column("ended", sa.DateTime),
        sa.Column("number", sa.String(32), index=True),
        sa.Column("caller", sa.String(32), index=True),
        sa.Column("disposition", sa.String(16)),
        sa.Column("recording", sa.String(36)),
    )
    op.create_table(
        "call_files", sa.Column("name", sa.String(32), primary_key=True), sa.Column("read", sa.Integer, nullable=False)
    )


def downgrade() -> None:
    """Drop them: the catalogue can be rebuilt."""
    for table in ("call_files", "calls", "segments"):
        op.drop_table(table)
