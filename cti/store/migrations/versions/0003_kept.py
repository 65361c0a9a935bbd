"""What staff did with an intake lies in the vault; here is an index of it."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_COLUMNS = (("done_at", sa.DateTime), ("done_by", sa.String(120)), ("note", sa.String(1000)))


def upgrade() -> None:
    """A table of its own, with what was known so far."""
    op.create_table(
        "kept",
        sa.Column("id", sa.String(36), primary_key=True),
        sa.Column("at", sa.DateTime, nullable=False),
        sa.Column("by", sa.String(120), nullable=False),
        sa.Column("note", sa.String(1000), nullable=False),
    )
    op.execute(
        """INSERT INTO kept (id, at, "by", note)
           SELECT id, done_at, coalesce(done_by, ''), coalesce(note, '') FROM intakes WHERE done_at IS NOT NULL"""
    )
    with op.batch_alter_table("intakes") as table:
        for name, _ in _COLUMNS:
            table.drop_column(name)


def downgrade() -> None:
    """Back into the rows themselves."""
    for name, kind in _COLUMNS:
        op.add_column("intakes", sa.Column(name, kind))
    for name, source in (("done_at", "at"), ("done_by", '"by"'), ("note", "note")):
        op.execute(f"UPDATE intakes SET {name} = (SELECT {source} FROM kept WHERE kept.id = intakes.id)")  # noqa: S608  # nosec  # names from above
    op.drop_table("kept")
