"""Traces of why a row was wrong: complete reads, refused deliveries, restored backups, rows that others deleted; and
the agreement of each day."""

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None

KINDS = {
    "listings": ("product", "external_id"),
    "stock": ("stock", "listing_id", "location_id", "state"),
    "orders": ("order", "external_id"),
    "locations": ("location", "external_id"),
    "vendors": ("vendor", "external_id"),
    "categories": ("category", "external_id"),
}
AUTO_ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A live row is deleted by nobody but somebody else: what vanishes at the source becomes a tombstone here.
_SQLITE = """
CREATE TRIGGER {table}_removed AFTER DELETE ON {table} WHEN NOT OLD.deleted
BEGIN INSERT INTO removals (connection, kind, item, at)
    VALUES (OLD.connection, '{kind}', {item}, strftime('%Y-%m-%d %H:%M:%f000', 'now')); END
"""
_FUNCTION = """
CREATE FUNCTION {table}_removed() RETURNS trigger LANGUAGE plpgsql AS
$$ BEGIN INSERT INTO removals (connection, kind, item, at)
    VALUES (OLD.connection, '{kind}', {item}, clock_timestamp()); RETURN NULL; END $$
"""
_POSTGRESQL = """
CREATE TRIGGER {table}_removed AFTER DELETE ON {table} FOR EACH ROW
WHEN (NOT OLD.deleted) EXECUTE FUNCTION {table}_removed()
"""


def upgrade() -> None:
    """Add the tables, the triggers, and what a difference says more."""
    for name, columns in _tables().items():
        op.create_table(name, *columns)
    op.create_index("ix_refusals_at", "refusals", ["connection", "at"])
    op.create_index("ix_removals_item", "removals", ["connection", "kind", "item"])
    op.add_column("drift", sa.Column("since_latest", Moment(), nullable=True))
    op.add_column("drift", sa.Column("why", sa.Text(), nullable=True))
    op.add_column("drift", sa.Column("corrected_from", sa.String(), nullable=True))
    op.add_column("drift", sa.Column("corrected_at", Moment(), nullable=True))
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, (kind, *keys) in KINDS.items():
        told = {"table": table, "kind": kind, "item": " || '/' || ".join(f"OLD.{key}" for key in keys)}
        if postgresql:
            op.execute(_FUNCTION.format(**told))
        op.execute((_POSTGRESQL if postgresql else _SQLITE).format(**told))


def downgrade() -> None:
    """Take them away."""
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table in KINDS:
        op.execute(f"DROP TRIGGER {table}_removed" + (f" ON {table}" if postgresql else ""))
        if postgresql:
            op.execute(f"DROP FUNCTION {table}_removed()")
    for column in ("corrected_at", "corrected_from", "why", "since_latest"):
        op.drop_column("drift", column)
    for name in _tables():
        op.drop_table(name)


def _tables() -> dict[str, list[sa.Column[object]]]:
    return {
        "full_reads": [
            *_keys("connection", "kind"),
            sa.Column("run_id", sa.BigInteger(), nullable=False),
            *(sa.Column(name, Moment(), nullable=False) for name in ("began_at", "ended_at", "mapping_at")),
            *_texts("shape", "mapping"),
            *(sa.Column(name, Moment(), nullable=True) for name in ("mapping_after", "checked_at", "wrote_at")),
        ],
        "refusals": [
            _id(),
            *_texts("connection", "reason"),
            sa.Column("at", Moment(), nullable=False),
            sa.Column("items", sa.Text(), nullable=False),
            sa.Column("count", sa.BigInteger(), nullable=False),
        ],
        "marks": [
            *_keys("name"),
            *_texts("lineage"),
            sa.Column("number", sa.BigInteger(), nullable=False),
            sa.Column("at", Moment(), nullable=False),
        ],
        "restores": [
            _id(),
            *(sa.Column(name, Moment(), nullable=False) for name in ("back_to", "lost_at", "found_at")),
        ],
        "removals": [_id(), *_texts("connection", "kind", "item"), sa.Column("at", Moment(), nullable=False)],
        "agreement_days": [
            *_keys("connection", "kind", "day"),
            sa.Column("equal", sa.BigInteger(), nullable=True),
            sa.Column("differed", sa.BigInteger(), nullable=False),
            sa.Column("rows", sa.BigInteger(), nullable=False),
            sa.Column("run_id", sa.BigInteger(), nullable=False),
            sa.Column("at", Moment(), nullable=False),
            sa.Column("unknown", sa.Text(), nullable=True),
        ],
    }


def _id() -> sa.Column[object]:
    return sa.Column("id", AUTO_ID, primary_key=True)


def _keys(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), primary_key=True) for name in names]


def _texts(*names: str) -> list[sa.Column[object]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]
