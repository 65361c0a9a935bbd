"""Several PBXs in one database: whose a row is, and how far the files of each vault have been read."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None

_OF_A_SITE = ("segments", "calls", "steps", "intakes", "kept")
_FILES = ("call_files", "step_files")


def upgrade() -> None:
    """Rows of before belong to whoever opens the database next (`Catalogue.adopt`); files are read once more."""
    for table in _OF_A_SITE:
        with op.batch_alter_table(table) as batch:
            batch.add_column(sa.Column("pbx", sa.String(32), nullable=False, server_default=""))
            batch.create_index(f"ix_{table}_pbx", ["pbx"])
    for table in _FILES:
        op.execute(sa.delete(sa.table(table)))
        with op.batch_alter_table(table) as batch:
            batch.alter_column("name", type_=sa.String(120), existing_type=sa.String(32), existing_nullable=False)


def downgrade() -> None:
    """One database, one PBX again."""
    for table in _FILES:
        op.execute(sa.delete(sa.table(table)))
        with op.batch_alter_table(table) as batch:
            batch.alter_column("name", type_=sa.String(32), existing_type=sa.String(120), existing_nullable=False)
    for table in _OF_A_SITE:
        with op.batch_alter_table(table) as batch:
            batch.drop_index(f"ix_{table}_pbx")
            batch.drop_column("pbx")
