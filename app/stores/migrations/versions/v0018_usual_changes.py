"""What usually happens to a kind in a day, so that the guard can compare."""

from alembic import op

from app.stores.migrations.columns import keys, texts

revision = "0018"
down_revision = "0017"


def upgrade() -> None:
    """Add the table; nothing is known yet."""
    op.create_table("usual_days", *keys("connection", "kind", "day"), *texts("changes"))
