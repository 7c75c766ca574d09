"""How far the nightly comparison of older rows has come."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; the first round begins with the oldest rows."""
    op.create_table(
        "slices",
        sa.Column("connection", sa.String(), primary_key=True),
        sa.Column("kind", sa.String(), primary_key=True),
        sa.Column("upto", Moment(), nullable=False),
        sa.Column("compared", sa.BigInteger(), nullable=False),
        sa.Column("nights", sa.BigInteger(), nullable=False),
        sa.Column("ended_at", Moment(), nullable=False),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("slices")
