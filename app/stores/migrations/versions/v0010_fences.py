"""How often a hinted version was not shown is counted, and no SKU is too long for its index."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the count. PostgreSQL's trees hold texts of up to 2,704 bytes only, its hashes hold any."""
    op.add_column("owed_items", sa.Column("asks", sa.Integer(), nullable=False, server_default="0"))
    op.drop_index("ix_listings_sku", "listings")
    op.create_index("ix_listings_sku", "listings", ["sku"], postgresql_using="hash")


def downgrade() -> None:
    """Take them away."""
    op.drop_index("ix_listings_sku", "listings")
    op.create_index("ix_listings_sku", "listings", ["connection", "sku"])
    op.drop_column("owed_items", "asks")
