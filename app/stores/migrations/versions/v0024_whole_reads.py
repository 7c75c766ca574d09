"""When the last read of a whole kind began: what an older one had shown by then is overtaken by it."""

from app.stores.migrations.columns import add, moments

revision = "0024"
down_revision = "0023"


def upgrade() -> None:
    """Add the column; of reads before the upgrade it is not known, and they are over."""
    add("watermarks", *moments("whole_read_at", nullable=True))
