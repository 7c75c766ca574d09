"""How far the nightly comparison of older rows has come."""

from alembic import op

from app.stores.migrations.columns import bigs, keys, moments

revision = "0020"
down_revision = "0019"


def upgrade() -> None:
    """Add the table; the first round begins with the oldest rows."""
    columns = (*keys("connection", "kind"), *moments("upto"), *bigs("compared", "nights"), *moments("ended_at"))
    op.create_table("slices", *columns)
