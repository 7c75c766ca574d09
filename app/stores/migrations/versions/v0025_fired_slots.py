"""Which slot of a schedule fired last, apart from when its slots began to count."""

from app.stores.migrations.columns import add, moments

revision = "0025"
down_revision = "0024"


def upgrade() -> None:
    """Add the column; whether a slot or an edit was the last before the upgrade is not known."""
    add("schedules", *moments("fired_slot", nullable=True))
