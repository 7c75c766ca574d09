"""Records that cannot be read: failed items outside of runs, those of kept pages, and pulls that failed."""

import sqlalchemy as sa

from app.stores.migrations.columns import add, allow_null, moments, texts
from app.stores.sql.columns import Moment

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """A poll's failed item has no run; a kept page keeps what it could not read; a kind may have been tried only."""
    allow_null("failed_items", "run_id", sa.BigInteger())
    add("run_pages", *texts("failed", default="[]"))
    allow_null("watermarks", "value", sa.String())
    allow_null("watermarks", "pulled_at", Moment())
    add("watermarks", *moments("failed_at", nullable=True))
