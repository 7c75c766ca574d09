"""Wrong passwords are counted by name and place: who guesses from elsewhere locks nobody out."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0026"
down_revision = "0025"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the places, and when a name last failed; names that are locked now stay so for their last hour at most, and what
    was counted before, without an end, counts no more."""
    op.execute("UPDATE users SET failures = 0")
    op.add_column("users", sa.Column("failed_at", Moment(), nullable=True))
    op.create_table(
        "sign_in_places",
        sa.Column("user_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        sa.Column("place", sa.String(), primary_key=True),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("failed_at", Moment(), nullable=True),
        sa.Column("locked_until", Moment(), nullable=True),
        sa.Column("signed_in_at", Moment(), nullable=True),
        sa.Column("hour", Moment(), nullable=True),
        sa.Column("hour_failures", sa.Integer(), nullable=False),
        sa.Column("seen_at", Moment(), nullable=False),
    )


def downgrade() -> None:
    """Take them away."""
    op.drop_table("sign_in_places")
    op.drop_column("users", "failed_at")
