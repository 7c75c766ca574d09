"""Wrong passwords are counted by name and place: who guesses from elsewhere locks nobody out."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import add, keys, moments, numbers

revision = "0026"
down_revision = "0025"


def upgrade() -> None:
    """Add the places, and when a name last failed; names that are locked now stay so for their last hour at most, and what
    was counted before, without an end, counts no more."""
    op.execute("UPDATE users SET failures = 0")
    add("users", *moments("failed_at", nullable=True))
    op.create_table(
        "sign_in_places",
        sa.Column("user_id", sa.BigInteger(), primary_key=True, autoincrement=False),
        *(*keys("place"), *numbers("failures")),
        *moments("failed_at", "locked_until", "signed_in_at", "hour", nullable=True),
        *(*numbers("hour_failures"), *moments("seen_at")),
    )
