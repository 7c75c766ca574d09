"""Doubtful changes of products that came few at a time, for the guard to judge with the next ones."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0027"
down_revision = "0026"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; nothing has come so far."""
    op.create_table(
        "trickled_changes",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("external_id", sa.String(), nullable=False),
        sa.Column("before", sa.Text(), nullable=False),
        sa.Column("at", Moment(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "external_id"),
    )
    op.create_index("ix_trickled_changes_at", "trickled_changes", ["connection", "at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_table("trickled_changes")
