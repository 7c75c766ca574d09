"""Which slot of a schedule fired last, apart from when its slots began to count."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the column; whether a slot or an edit was the last before the upgrade is not known."""
    op.add_column("schedules", sa.Column("fired_slot", Moment(), nullable=True))


def downgrade() -> None:
    """Take it away."""
    op.drop_column("schedules", "fired_slot")
