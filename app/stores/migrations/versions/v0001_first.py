"""The first schema: the merchant's six tables with two views on them, and what Tallyhook must remember."""

import sqlalchemy as sa
from alembic import op

from app.stores.migrations.columns import (
    Columns,
    amounts,
    bigs,
    flags,
    keys,
    moments,
    numbers,
    row_id,
    texts,
    unique_where,
    words,
)

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Make every table."""
    _catalog()
    _partners()
    _inbox()
    _owed()
    _failures()
    _reading()
    _runs()
    _clock()
    _views()
    if op.get_bind().dialect.name == "postgresql":
        _tune_postgresql()


def _kept() -> Columns:
    return [
        *(*flags("deleted"), *bigs("version"), *moments("modified_at", nullable=True), *bigs("row_hash")),
        *moments("read_at", "written_at"),
    ]


def _catalog() -> None:
    op.create_table(
        "listings",
        *keys("connection", "external_id"),
        *words("parent_id", "sku", "name", nullable=True),
        *(*texts("description", nullable=True), *flags("active")),
        *words("category_id", "category", "barcode", nullable=True),
        *(*bigs("price_minor", "cost_minor", nullable=True), *words("currency", nullable=True)),
        *(*texts("prices", nullable=True), *words("supplier_id", "supplier_sku", nullable=True)),
        *(*texts("suppliers", nullable=True), *numbers("lead_time_days", nullable=True)),
        *(*amounts("reorder_point", "reorder_quantity", nullable=True), *texts("reorders", "extra", nullable=True)),
        *_kept(),
    )
    op.create_index("ix_listings_sku", "listings", ["connection", "sku"])
    op.create_index("ix_listings_parent", "listings", ["connection", "parent_id"])
    op.create_table(
        "stock",
        *keys("connection", "listing_id", "location_id", "state"),
        *(*amounts("quantity"), *texts("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "orders",
        *keys("connection", "external_id"),
        *(*words("number", nullable=True), *words("type")),
        *words("status", "location_id", "party_id", "ordered_on", nullable=True),
        *(*bigs("total_minor", nullable=True), *words("currency", nullable=True)),
        *texts("lines", "extra", nullable=True),
        *_kept(),
    )
    op.create_index("ix_orders_modified", "orders", ["connection", "modified_at"])


def _partners() -> None:
    """The kinds beside products, stock and orders."""
    op.create_table(
        "locations",
        *(*keys("connection", "external_id"), *words("parent_id", "name", nullable=True), *flags("active")),
        *(*words("currency", "timezone", nullable=True), *texts("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "vendors",
        *(*keys("connection", "external_id"), *words("name", nullable=True), *flags("active")),
        *(*words("account_number", "email", "phone", nullable=True), *texts("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "categories",
        *(*keys("connection", "external_id"), *words("parent_id", "name", nullable=True)),
        *(*texts("extra", nullable=True), *_kept()),
    )


def _inbox() -> None:
    op.create_table(
        "inbox_events",
        *(row_id(), *words("connection", "event_id", "type"), *moments("received_at")),
        *(*moments("occurred_at", nullable=True), *words("verdict"), *texts("items", "headers")),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.UniqueConstraint("connection", "event_id"),
    )
    op.create_index("ix_inbox_received", "inbox_events", ["received_at"])


def _owed() -> None:
    op.create_table(
        "owed_items",
        *keys("connection", "kind", "external_id"),
        *(*bigs("rev", "version"), *words("cause"), *moments("first_seen_at", "next_at")),
        *(*moments("hinted_at", nullable=True), *numbers("attempts", "kills")),
        *(*words("token", nullable=True), *moments("lease_until", nullable=True)),
    )
    op.create_table(
        "settlements",
        *(row_id(), *words("connection", "kind", "external_id", "cause", "outcome")),
        *(*bigs("changes"), *numbers("attempts"), *moments("first_seen_at", "settled_at")),
    )
    op.create_index("ix_settlements_item", "settlements", ["connection", "kind", "external_id", "settled_at"])
    op.create_index("ix_settlements_at", "settlements", ["settled_at"])


def _failures() -> None:
    op.create_table(
        "attempts",
        *(row_id(), *words("message_key"), *numbers("number"), *moments("at")),
        *(*words("worker", "error_type"), *texts("error", "traceback")),
    )
    op.create_index("ix_attempts_message", "attempts", ["message_key"])
    op.create_table(
        "dead_letters",
        *(row_id(), *words("message_id", "actor", "queue"), *texts("args")),
        *words("connection", "kind", "external_id", "cause", nullable=True),
        *(*words("error_type"), *texts("error", "attempts"), *moments("first_failed_at", "died_at")),
        *(*words("state"), *numbers("replays"), *moments("replayed_at", nullable=True)),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("ix_dead_state", "dead_letters", ["state", "died_at"])
    op.create_index("ix_dead_item", "dead_letters", ["connection", "kind", "external_id"])


def _reading() -> None:
    op.create_table("watermarks", *keys("connection", "kind"), *words("value"), *moments("pulled_at"))
    op.create_table("budget_use", *keys("connection", "name"), *texts("taken"))


def _runs() -> None:
    op.create_table(
        "runs",
        *(row_id(), *words("connection", "strategy", "cause", "status"), *moments("slot", nullable=True)),
        *(*moments("created_at"), *moments("started_at", "finished_at", "hinted_at", nullable=True)),
        *(*words("token", nullable=True), *moments("lease_until", nullable=True)),
        *(*numbers("kills"), *texts("counts"), *numbers("calls"), *texts("error", nullable=True)),
        sa.UniqueConstraint("connection", "strategy", "slot"),
    )
    unique_where("ux_runs_active", "runs", ["connection"], "status IN ('idle', 'running')")
    op.create_index("ix_runs_started", "runs", ["connection", "created_at"])
    op.create_table(
        "drift",
        *(row_id(), *bigs("run_id"), *words("connection", "kind", "item", "change"), *texts("fields")),
        *(*words("cause"), *moments("since", nullable=True), *moments("found_at")),
    )
    op.create_index("ix_drift_run", "drift", ["run_id", "kind"])
    op.create_table(
        "holds",
        *(row_id(), *words("connection", "kind"), *bigs("run_id", nullable=True)),
        *(*texts("reason", "summary"), *words("state"), *moments("held_at")),
    )


def _clock() -> None:
    op.create_table(
        "schedules",
        *(*keys("connection", "job"), *words("cron", "timezone"), *flags("enabled")),
        *moments("last_slot", nullable=True),
    )
    op.create_table("beats", *keys("process"), *words("role"), *moments("started_at", "seen_at"))


def _views() -> None:
    # max, not sum: there is one row per state, and SQLite's sum would turn exact amounts into floats.
    op.execute(
        """
        CREATE VIEW stock_levels AS
        SELECT connection, listing_id, location_id,
               max(CASE WHEN state = 'on_hand' THEN quantity END) AS on_hand,
               max(CASE WHEN state = 'on_order' THEN quantity END) AS on_order,
               max(CASE WHEN state = 'reserved' THEN quantity END) AS reserved
        FROM stock WHERE NOT deleted GROUP BY connection, listing_id, location_id
        """
    )
    op.execute(_ORDER_LINES[op.get_bind().dialect.name])


_ORDER_LINES = {
    "sqlite": """
        CREATE VIEW order_lines AS
        SELECT o.connection, o.external_id AS order_id, o.number, o.type, o.status, o.location_id, o.ordered_on,
               json_extract(line.value, '$.line_id') AS line_id,
               json_extract(line.value, '$.listing_id') AS listing_id,
               json_extract(line.value, '$.sku') AS sku,
               json_extract(line.value, '$.name') AS name,
               CAST(json_extract(line.value, '$.quantity') AS NUMERIC) AS quantity,
               json_extract(line.value, '$.unit_minor') AS unit_minor,
               json_extract(line.value, '$.currency') AS currency
        FROM orders o, json_each(o.lines) line WHERE NOT o.deleted
        """,
    "postgresql": """
        CREATE VIEW order_lines AS
        SELECT o.connection, o.external_id AS order_id, o.number, o.type, o.status, o.location_id, o.ordered_on,
               line ->> 'line_id' AS line_id,
               line ->> 'listing_id' AS listing_id,
               line ->> 'sku' AS sku,
               line ->> 'name' AS name,
               (line ->> 'quantity')::numeric AS quantity,
               (line ->> 'unit_minor')::bigint AS unit_minor,
               line ->> 'currency' AS currency
        FROM orders o, jsonb_array_elements(o.lines::jsonb) line WHERE NOT o.deleted
        """,
}


def _tune_postgresql() -> None:
    # Owed items are written, leased and deleted within seconds: room on the page keeps a lease from touching the
    # indexes, and the vacuum must come by number of rows, not by share of a table that is empty most of the time.
    op.execute("ALTER TABLE owed_items SET (fillfactor = 70, autovacuum_vacuum_scale_factor = 0)")
    op.execute("ALTER TABLE owed_items SET (autovacuum_vacuum_threshold = 5000)")
    op.execute("ALTER TABLE stock SET (fillfactor = 90)")
