"""Answers that take seconds to find are remembered."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table."""
    op.create_table(
        "answers",
        sa.Column("connection", sa.String(), primary_key=True, nullable=False),
        sa.Column("question", sa.String(), primary_key=True, nullable=False),
        sa.Column("answer", sa.Text(), nullable=False),
        sa.Column("found_at", Moment(), nullable=False),
        sa.Column("took_ms", sa.Integer(), nullable=False),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("answers")
