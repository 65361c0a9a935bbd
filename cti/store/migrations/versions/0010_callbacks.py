"""How often a customer was called for a ticket, when first, and when next."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As cti.cases.tables has it."""
    op.add_column("tickets", sa.Column("tries", sa.Integer, nullable=False, server_default="0"))
    op.add_column("tickets", sa.Column("tried_at", sa.DateTime))
    op.add_column("tickets", sa.Column("again", sa.DateTime))


def downgrade() -> None:
    """Without it."""
    with op.batch_alter_table("tickets") as batch:
        for column in ("tries", "tried_at", "again"):
            batch.drop_column(column)
