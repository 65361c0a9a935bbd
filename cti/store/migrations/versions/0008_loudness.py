"""How loud each side is and how much it speaks, for lists."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

_TABLES = ("segments", "recordings")


def upgrade() -> None:
    """As recorder.catalogue has it."""
    for table in _TABLES:
        op.add_column(table, sa.Column("loudness", sa.JSON))


def downgrade() -> None:
    """Without it."""
    for table in _TABLES:
        with op.batch_alter_table(table) as batch:
            batch.drop_column("loudness")
