"""One row for each recording, in the order in which they are searched: a page of a million costs what a page costs."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None

_SUMS = """
INSERT INTO recordings
  (recording, pbx, conversation, number, direction, caller, callee, agent, start, "end", seconds, segments)
SELECT recording, min(pbx), min(conversation), min(number), min(direction), min(caller), min(callee), min(agent),
  min(start), max("end"), sum(seconds), count(*)
FROM segments GROUP BY recording
"""


def upgrade() -> None:
    """As recorder.catalogue has it."""
    op.create_table(
        "recordings",
        sa.Column("recording", sa.String(36), primary_key=True),
        sa.Column("pbx", sa.String(32), nullable=False, index=True),
        sa.Column("conversation", sa.String(36), nullable=False),
        sa.Column("number", sa.String(32)),
        sa.Column("direction", sa.String(8)),
        sa.Column("caller", sa.String(32)),
        sa.Column("callee", sa.String(32)),
        sa.Column("agent", sa.String(32)),
        sa.Column("start", sa.DateTime, nullable=False),
        sa.Column("end", sa.DateTime, nullable=False),
        sa.Column("seconds", sa.Float, nullable=False),
        sa.Column("segments", sa.Integer, nullable=False),
    )
    op.create_index("recordings_start", "recordings", ["start", "recording"])
    op.create_index("recordings_number", "recordings", ["number", "start", "recording"])
    op.execute(_SUMS)


def downgrade() -> None:
    """Without it."""
    op.drop_table("recordings")
