"""Settlements by outcome: a filter by an outcome begins with what came to it, instead of reading every delivery."""

from alembic import op

revision = "0028"
down_revision = "0027"


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_settlements_outcome", "settlements", ["outcome", "settled_at"])
