"""Calls to the vendors are counted by hour and by what they are made for."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import bigs, keys
from app.stores.sql.columns import Moment

revision = "0017"
down_revision = "0016"


def upgrade() -> None:
    """Add the table; what was called before is known of runs only."""
    op.create_table(
        "call_slots",
        sa.Column("slot", Moment(), primary_key=True),
        *(*keys("connection", "purpose"), *bigs("calls")),
    )
