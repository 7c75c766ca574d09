"""How often a hinted version was not shown is counted, and no SKU is too long for its index."""

from alembic import op

from app.stores.migrations.columns import add, numbers

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    """Add the count. PostgreSQL's trees hold texts of up to 2,704 bytes only, its hashes hold any."""
    add("owed_items", *numbers("asks", default="0"))
    op.drop_index("ix_listings_sku", "listings")
    op.create_index("ix_listings_sku", "listings", ["sku"], postgresql_using="hash")
