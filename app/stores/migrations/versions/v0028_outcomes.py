"""Settlements by outcome: a filter by an outcome begins with what came to it, instead of reading every delivery."""

from alembic import op

revision = "0028"
down_revision = "0027"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the index."""
    op.create_index("ix_settlements_outcome", "settlements", ["outcome", "settled_at"])


def downgrade() -> None:
    """Take it away."""
    op.drop_index("ix_settlements_outcome", "settlements")
