"""Answers that take seconds to find are remembered."""

from alembic import op

from app.stores.migrations.columns import keys, moments, numbers, texts

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    """Add the table."""
    columns = (*keys("connection", "question"), *texts("answer"), *moments("found_at"), *numbers("took_ms"))
    op.create_table("answers", *columns)
