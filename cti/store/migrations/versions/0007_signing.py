"""課長's signing key is a grant too, of epoch 0; SQL refuses it to anybody else."""

from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """As recorder.access.tables has it."""
    with op.batch_alter_table("grants") as batch:
        batch.create_check_constraint("grants_signing", "epoch > 0 OR role = 'manager'")


def downgrade() -> None:
    """Without it."""
    op.execute("DELETE FROM grants WHERE epoch = 0")
    with op.batch_alter_table("grants") as batch:
        batch.drop_constraint("grants_signing", type_="check")
