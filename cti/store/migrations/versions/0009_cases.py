"""Cases: acts, their sum, the tickets in them, and whose people see which; steps of calls that are to be tickets."""

import sqlalchemy as sa
from alembic import op

from cti.cases.searching import MAKE

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As cti.cases.tables has it."""
    op.create_table(
        "cases",
        sa.Column("number", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("id", sa.String(36), nullable=False, unique=True),
        sa.Column("acts", sa.Integer, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("channel", sa.String(16), nullable=False),
        sa.Column("received_by", sa.String(64), nullable=False),
        sa.Column("received_at", sa.DateTime, nullable=False),
        sa.Column("entered_by", sa.String(64), nullable=False),
        sa.Column("entered_at", sa.DateTime, nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("main", sa.String(64)),
        sa.Column("category", sa.String(64)),
        sa.Column("conversation", sa.String(36), index=True),
        sa.Column("way", sa.String(16)),
        sa.Column("promised", sa.DateTime),
        sa.Column("next_at", sa.DateTime),
        sa.Column("accepted_at", sa.DateTime),
        sa.Column("replied_at", sa.DateTime),
        sa.Column("outcome", sa.String(16)),
        sa.Column("closed_at", sa.DateTime),
        sa.Column("reopened", sa.Integer, nullable=False),
        sa.Column("last_at", sa.DateTime, nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sqlite_autoincrement=True,
    )
    op.create_index("cases_state", "cases", ["state", "next_at"])
    op.create_index("cases_owner", "cases", ["owner", "state", "next_at"])
    op.create_table(
        "acts",
        sa.Column("id", sa.Integer, primary_key=True, autoincrement=True),
        sa.Column("case", sa.Integer, sa.ForeignKey("cases.number"), nullable=False),
        sa.Column("act", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("by", sa.String(64), nullable=False),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("site", sa.String(32), nullable=False),
        sa.Column("key", sa.String(200), unique=True),
        sa.Column("tag", sa.String(32), index=True),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.UniqueConstraint("case", "act", name="acts_in_order"),
    )
    op.create_table(
        "tickets",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("case", sa.Integer, sa.ForeignKey("cases.number"), nullable=False),
        sa.Column("place", sa.Integer, nullable=False),
        sa.Column("kind", sa.String(16), nullable=False),
        sa.Column("leg", sa.String(80), nullable=False),
        sa.Column("conversation", sa.String(36)),
        sa.Column("unit", sa.String(64), nullable=False),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("due", sa.DateTime),
        sa.Column("done_at", sa.DateTime),
        sa.Column("outcome", sa.String(16)),
        sa.UniqueConstraint("case", "place", name="tickets_in_order"),
    )
    op.create_index("tickets_unit", "tickets", ["outcome", "unit", "due"])
    op.create_index("tickets_due", "tickets", ["due"])
    op.create_table(
        "steps_to_tickets",
        sa.Column("key", sa.String(200), primary_key=True),
        sa.Column("pbx", sa.String(32), nullable=False),
    )
    for statement in MAKE[op.get_bind().dialect.name]:
        op.execute(statement)
    op.create_table(
        "case_units",
        sa.Column("unit", sa.String(64), primary_key=True),
        sa.Column("case", sa.Integer, sa.ForeignKey("cases.number"), primary_key=True),
    )


def downgrade() -> None:
    """Without it."""
    for table in ("act_words", "case_units", "steps_to_tickets", "tickets", "acts", "cases"):
        op.drop_table(table)
