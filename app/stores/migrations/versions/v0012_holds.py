"""A hold keeps the batch itself: the held rows with before and after, the rules that spoke, and what was decided."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the rows, and what a hold says of itself. Holds from before have no rows: the next read replaces them."""
    op.add_column("holds", sa.Column("findings", sa.Text(), nullable=False, server_default="[]"))
    op.add_column("holds", sa.Column("digest", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("holds", sa.Column("rows", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("holds", sa.Column("absent", sa.String(), nullable=True))
    op.add_column("holds", sa.Column("read_at", Moment(), nullable=True))
    op.add_column("holds", sa.Column("believed_until", Moment(), nullable=True))
    op.create_table(
        "hold_rows",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True),
        sa.Column("hold_id", sa.BigInteger(), nullable=False),
        sa.Column("item", sa.String(), nullable=False),
        sa.Column("row_key", sa.String(), nullable=False),
        sa.Column("fields", sa.Text(), nullable=False),
        sa.Column("record", sa.Text(), nullable=True),
    )
    op.create_index("ix_hold_rows_item", "hold_rows", ["hold_id", "item"])


def downgrade() -> None:
    """Take them away."""
    op.drop_table("hold_rows")
    for column in ("findings", "digest", "rows", "absent", "read_at", "believed_until"):
        op.drop_column("holds", column)
