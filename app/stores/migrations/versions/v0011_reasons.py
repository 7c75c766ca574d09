"""Traces of why a row was wrong: complete reads, refused deliveries, restored backups, rows that others deleted; and
the agreement of each day."""

from alembic import op

from app.stores.migrations.columns import add, bigs, keys, moments, row_id, texts, words

revision = "0011"
down_revision = "0010"

KINDS = {
    "listings": ("product", "external_id"),
    "stock": ("stock", "listing_id", "location_id", "state"),
    "orders": ("order", "external_id"),
    "locations": ("location", "external_id"),
    "vendors": ("vendor", "external_id"),
    "categories": ("category", "external_id"),
}

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
    _evidence()
    _figures()
    add("drift", *moments("since_latest", nullable=True), *texts("why", nullable=True))
    add("drift", *words("corrected_from", nullable=True), *moments("corrected_at", nullable=True))
    postgresql = op.get_bind().dialect.name == "postgresql"
    for table, (kind, *parts) in KINDS.items():
        names = {"table": table, "kind": kind, "item": " || '/' || ".join(f"OLD.{part}" for part in parts)}
        if postgresql:
            op.execute(_FUNCTION.format(**names))
        op.execute((_POSTGRESQL if postgresql else _SQLITE).format(**names))


def _evidence() -> None:
    op.create_table(
        "refusals",
        *(row_id(), *words("connection", "reason"), *moments("at"), *texts("items"), *bigs("count")),
    )
    op.create_index("ix_refusals_at", "refusals", ["connection", "at"])
    op.create_table("marks", *keys("name"), *words("lineage"), *bigs("number"), *moments("at"))
    op.create_table("restores", row_id(), *moments("back_to", "lost_at", "found_at"))
    op.create_table("removals", row_id(), *words("connection", "kind", "item"), *moments("at"))
    op.create_index("ix_removals_item", "removals", ["connection", "kind", "item"])


def _figures() -> None:
    op.create_table(
        "full_reads",
        *(*keys("connection", "kind"), *bigs("run_id"), *moments("began_at", "ended_at", "mapping_at")),
        *(*words("shape", "mapping"), *moments("mapping_after", "checked_at", "wrote_at", nullable=True)),
    )
    op.create_table(
        "agreement_days",
        *(*keys("connection", "kind", "day"), *bigs("equal", nullable=True), *bigs("differed", "rows", "run_id")),
        *(*moments("at"), *texts("unknown", nullable=True)),
    )
