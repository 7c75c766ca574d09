"""What usually happens to a kind in a day, so that the guard can compare."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table; nothing is known yet."""
    op.create_table(
        "usual_days",
        sa.Column("connection", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("day", sa.String(), nullable=False),
        sa.Column("changes", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("connection", "kind", "day"),
    )


def downgrade() -> None:
    """Take it away."""
    op.drop_table("usual_days")
