"""Records that cannot be read: failed items outside of runs, those of kept pages, and pulls that failed."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A poll's failed item has no run; a kept page keeps what it could not read; a kind may have been tried only."""
    _nullable("failed_items", "run_id", sa.BigInteger(), True)
    op.add_column("run_pages", sa.Column("failed", sa.Text(), nullable=False, server_default="[]"))
    _nullable("watermarks", "value", sa.String(), True)
    _nullable("watermarks", "pulled_at", Moment(), True)
    op.add_column("watermarks", sa.Column("failed_at", Moment(), nullable=True))


def downgrade() -> None:
    """Take it away, with what has no place in the older tables."""
    op.execute("DELETE FROM failed_items WHERE run_id IS NULL")
    _nullable("failed_items", "run_id", sa.BigInteger(), False)
    op.drop_column("run_pages", "failed")
    op.drop_column("watermarks", "failed_at")
    op.execute("DELETE FROM watermarks WHERE value IS NULL")
    _nullable("watermarks", "value", sa.String(), False)
    _nullable("watermarks", "pulled_at", Moment(), False)


def _nullable(table: str, column: str, kind: sa.types.TypeEngine[Any], nullable: bool) -> None:
    with op.batch_alter_table(table) as batch:
        batch.alter_column(column, existing_type=kind, nullable=nullable)
