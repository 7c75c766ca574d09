"""Calls to the vendors are counted by hour and by what they are made for."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; what was called before is known of runs only."""
    op.create_table(
        "call_slots",
        sa.Column("slot", Moment(), primary_key=True),
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("purpose", sa.String(), primary_key=True),
        sa.Column("calls", sa.BigInteger(), nullable=False),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("call_slots")
