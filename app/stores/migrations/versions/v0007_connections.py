"""The state of each connection and of its kinds."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "connection_states",
        sa.Column("connection", sa.String(), primary_key=True, nullable=False),
        sa.Column("kind", sa.String(), primary_key=True, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("since", Moment(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("next_probe_at", Moment(), nullable=True),
        sa.Column("probes", sa.Integer(), nullable=False),
        sa.Column("paused_by", sa.Text(), nullable=True),
        sa.Column("credentials", sa.String(), nullable=False),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("connection_states")
