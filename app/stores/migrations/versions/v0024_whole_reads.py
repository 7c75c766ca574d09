"""When the last read of a whole kind began: what an older one had shown by then is overtaken by it."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; of reads before the upgrade it is not known, and they are over."""
    op.add_column("watermarks", sa.Column("whole_read_at", Moment(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("watermarks", "whole_read_at")
