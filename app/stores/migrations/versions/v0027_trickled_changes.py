"""Doubtful changes of products that came few at a time, for the guard to judge with the next ones."""

from alembic import op

from app.stores.migrations.columns import keys, moments, texts

revision = "0027"
down_revision = "0026"


def upgrade() -> None:
    """Add the table; nothing has come so far."""
    op.create_table("trickled_changes", *keys("connection", "external_id"), *texts("before"), *moments("at"))
    op.create_index("ix_trickled_changes_at", "trickled_changes", ["connection", "at"])
