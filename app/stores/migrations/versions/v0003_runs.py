"""Runs carry options, progress and a checkpoint; pages of an unfinished read and items that failed are kept."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Add the columns and the two tables."""
    for name in ("options", "progress", "checkpoint"):
        op.add_column("runs", sa.Column(name, sa.Text(), nullable=False, server_default="{}"))
    op.add_column("runs", sa.Column("reason", sa.Text(), nullable=True))
    op.add_column("runs", sa.Column("dry", sa.Boolean(), nullable=False, server_default=sa.false()))
    op.create_table(
        "run_pages",
        sa.Column("run_id", sa.BigInteger(), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("records", sa.LargeBinary(), nullable=False),
    )
    op.create_table(
        "failed_items",
        sa.Column("id", _ID, primary_key=True, autoincrement=True),
        sa.Column("run_id", sa.BigInteger(), nullable=False),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("connection", "kind", "external_id")),
        *(sa.Column(name, sa.String(), nullable=False) for name in ("category", "error_type")),
        *(sa.Column(name, sa.Text(), nullable=False) for name in ("error", "traceback")),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("failed_at", Moment(), nullable=False),
        sa.Column("resolved_at", Moment(), nullable=True),
        sa.UniqueConstraint("connection", "kind", "external_id"),
    )
    op.create_index("ix_failed_items_run", "failed_items", ["run_id"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("failed_items")
    op.drop_table("run_pages")
    for name in ("dry", "reason", "checkpoint", "progress", "options"):
        op.drop_column("runs", name)
