"""A process that stopped as it should says so: it is not waited for as one that was killed is."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of processes that ended before, nothing is known but their last sign of life."""
    op.add_column("beats", sa.Column("stopped_at", Moment(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("beats", "stopped_at")
