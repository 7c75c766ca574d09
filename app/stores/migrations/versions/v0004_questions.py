"""People's questions are answered soon: settlements summed by ten minutes, and indexes for pages of runs and drift."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import bigs, keys
from app.stores.sql.columns import Moment

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Add the table and the indexes."""
    op.create_table(
        "settled_slots",
        sa.Column("slot", Moment(), primary_key=True),
        *keys("connection", "kind", "outcome"),
        *bigs("items", "looks", "changes", "in_five", "in_sixty", "waited_ms"),
    )
    op.create_index("ix_runs_page", "runs", ["connection", "id"])
    op.create_index("ix_runs_counted", "runs", ["connection", "strategy", "status", "dry", "calls"])
    op.drop_index("ix_drift_run", "drift")
    op.create_index("ix_drift_run", "drift", ["run_id", "kind", "change", "cause"])
    op.create_index("ix_drift_run_page", "drift", ["run_id", "id"])
    op.create_index("ix_drift_page", "drift", ["connection", "id"])
