"""On which medium a recording lies: what is due is found without looking at what is not."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As recorder.catalogue has it."""
    op.add_column("recordings", sa.Column("medium", sa.String(8), nullable=False, server_default="first"))
    op.create_index("recordings_medium", "recordings", ["pbx", "medium", "end", "recording"])


def downgrade() -> None:
    """Without it."""
    op.drop_index("recordings_medium", "recordings")
    op.drop_column("recordings", "medium")
