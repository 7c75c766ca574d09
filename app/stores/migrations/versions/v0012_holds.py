"""A hold keeps the batch itself: the held rows with before and after, the rules that spoke, and what was decided."""

from alembic import op

from app.stores.migrations.columns import add, bigs, moments, row_id, texts, words

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    """Add the rows, and what a hold says of itself. Holds from before have no rows: the next read replaces them."""
    add("holds", *texts("findings", default="[]"), *bigs("digest", "rows", default="0"))
    add("holds", *words("absent", nullable=True), *moments("read_at", "believed_until", nullable=True))
    op.create_table(
        "hold_rows",
        *(row_id(), *bigs("hold_id"), *words("item", "row_key"), *texts("fields"), *texts("record", nullable=True)),
    )
    op.create_index("ix_hold_rows_item", "hold_rows", ["hold_id", "item"])
