"""Accounts, what their passwords open, and the keys that were sealed to them."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

_ROLES = "'auditor', 'contractor', 'deputy', 'liaison', 'manager', 'section', 'staff'"
_OPERATORS = "'deputy', 'liaison', 'manager', 'staff'"


def upgrade() -> None:
    """As recorder.access.accounts has them."""
    op.create_table(
        "accounts",
        sa.Column("id", sa.String(32), primary_key=True),
        sa.Column("name", sa.String(120), nullable=False),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("section", sa.String(120)),
        sa.Column("issued_by", sa.String(32), nullable=False),
        sa.Column("issued_at", sa.DateTime, nullable=False),
        sa.Column("ended_by", sa.String(32)),
        sa.Column("ended_at", sa.DateTime),
        sa.Column("reason", sa.String(200)),
        sa.Column("reviewed_by", sa.String(32)),
        sa.Column("reviewed_at", sa.DateTime),
        sa.Column("seen_at", sa.DateTime),
        sa.UniqueConstraint("id", "role", name="accounts_id_role"),
        sa.CheckConstraint(f"role IN ({_ROLES})", name="accounts_role"),
        sa.CheckConstraint("(role = 'section') = (section IS NOT NULL)", name="accounts_section"),
        sa.CheckConstraint("issued_by <> ''", name="accounts_issuer"),
        sa.CheckConstraint("(ended_by IS NULL) = (ended_at IS NULL)", name="accounts_ended"),
    )
    op.create_table(
        "credentials",
        sa.Column("account", sa.String(32), sa.ForeignKey("accounts.id"), primary_key=True),
        sa.Column("salt", sa.LargeBinary, nullable=False),
        sa.Column("memory", sa.Integer, nullable=False),
        sa.Column("passes", sa.Integer, nullable=False),
        sa.Column("lanes", sa.Integer, nullable=False),
        sa.Column("recipient", sa.String(80), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("initial", sa.Boolean, nullable=False),
        sa.Column("changed_at", sa.DateTime, nullable=False),
        sa.Column("last_step", sa.BigInteger, nullable=False),
    )
    op.create_table(
        "grants",
        sa.Column("account", sa.String(32), primary_key=True),
        sa.Column("pbx", sa.String(32), primary_key=True),
        sa.Column("epoch", sa.Integer, primary_key=True),
        sa.Column("role", sa.String(16), nullable=False),
        sa.Column("sealed", sa.LargeBinary, nullable=False),
        sa.Column("granted_by", sa.String(32), nullable=False),
        sa.Column("granted_at", sa.DateTime, nullable=False),
        sa.ForeignKeyConstraint(["account", "role"], ["accounts.id", "accounts.role"], name="grants_account"),
        sa.CheckConstraint(f"role IN ({_OPERATORS})", name="grants_operators_only"),
    )


def downgrade() -> None:
    """Nobody has an account any more."""
    for name in ("grants", "credentials", "accounts"):
        op.drop_table(name)
