"""A held row keeps when it was read: it may have waited in another hold before, and is no newer for that."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; rows that wait already were read when their hold says."""
    op.add_column("hold_rows", sa.Column("read_at", Moment(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("hold_rows", "read_at")
