"""A held row keeps when it was read: it may have waited in another hold before, and is no newer for that."""

from app.stores.migrations.columns import add, moments

revision = "0022"
down_revision = "0021"


def upgrade() -> None:
    """Add the column; rows that wait already were read when their hold says."""
    add("hold_rows", *moments("read_at", nullable=True))
