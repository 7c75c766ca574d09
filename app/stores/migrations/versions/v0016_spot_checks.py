"""Spot checks between complete reads; a difference may be found by one, without a run."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import allow_null, flags, keys, moments, row_id, words

revision = "0016"
down_revision = "0015"


def upgrade() -> None:
    """Add what was checked and when it is next; a difference needs no run any more."""
    op.create_table(
        "spot_checks",
        *(row_id(), *words("connection", "kind", "item"), *moments("at"), *flags("equal")),
    )
    op.create_index("ix_spot_checks_at", "spot_checks", ["connection", "kind", "at"])
    op.create_table("spot_check_turns", *keys("connection", "kind"), *moments("next_at"))
    allow_null("drift", "run_id", sa.BigInteger())
