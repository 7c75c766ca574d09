"""Runs carry options, progress and a checkpoint; pages of an unfinished read and items that failed are kept."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import add, bigs, flags, moments, numbers, row_id, texts, words

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the columns and the two tables."""
    add("runs", *texts("options", "progress", "checkpoint", default="{}"), *texts("reason", nullable=True))
    add("runs", *flags("dry", default=sa.false()))
    op.create_table(
        "run_pages",
        sa.Column("run_id", sa.BigInteger(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("records", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "failed_items",
        *(row_id(), *bigs("run_id"), *words("connection", "kind", "external_id", "category", "error_type")),
        *(*texts("error", "traceback"), *numbers("attempts")),
        *(*moments("failed_at"), *moments("resolved_at", nullable=True)),
        sa.UniqueConstraint("connection", "kind", "external_id"),
    )
    op.create_index("ix_failed_items_run", "failed_items", ["run_id"])
