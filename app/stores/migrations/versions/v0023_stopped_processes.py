"""A process that stopped as it should says so: it is not waited for as one that was killed is."""

from app.stores.migrations.columns import add, moments

revision = "0023"
down_revision = "0022"


def upgrade() -> None:
    """Add the column; of processes that ended before, nothing is known but their last sign of life."""
    add("beats", *moments("stopped_at", nullable=True))
