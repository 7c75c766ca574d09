"""The first schema: the merchant's six tables with two views on them, and what Tallyhook must remember."""

from typing import Any

import sqlalchemy as sa
from alembic import op

from app.stores.sql.columns import Moment, Quantity

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table."""
    _catalog()
    _inbox()
    _owed()
    _failures()
    _reading()
    _runs()
    _clock()
    _views()
    if op.get_bind().dialect.name == "postgresql":
        _tune_postgresql()


def downgrade() -> None:
    """Take every table away again, with all that is in it."""
    for view in ("order_lines", "stock_levels"):
        op.execute(f"DROP VIEW {view}")
    for table in (
        *("beats", "schedules", "holds", "drift", "runs", "budget_use", "watermarks", "dead_letters", "attempts"),
        *("settlements", "owed_items", "inbox_events"),
        *("categories", "vendors", "locations", "orders", "stock", "listings"),
    ):
        op.drop_table(table)


def _id() -> sa.Column[Any]:
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), primary_key=True, nullable=False)


def _key(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.String(), primary_key=True, nullable=False)


def _words(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(), nullable=False) for name in names]


def _maybe(*names: str) -> list[sa.Column[Any]]:
    return [sa.Column(name, sa.String(), nullable=True) for name in names]


def _text(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Text(), nullable=nullable)


def _number(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.Integer(), nullable=nullable)


def _big(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, sa.BigInteger(), nullable=nullable)


def _yes(name: str) -> sa.Column[Any]:
    return sa.Column(name, sa.Boolean(), nullable=False)


def _moment(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Moment(), nullable=nullable)


def _amount(name: str, *, nullable: bool = False) -> sa.Column[Any]:
    return sa.Column(name, Quantity(), nullable=nullable)


def _kept() -> list[sa.Column[Any]]:
    columns = [_yes("deleted"), _big("version"), _moment("modified_at", nullable=True), _big("row_hash")]
    return [*columns, _moment("read_at"), _moment("written_at")]


def _catalog() -> None:
    op.create_table(
        "listings",
        *(_key("connection"), _key("external_id")),
        *_maybe("parent_id", "sku", "name"),
        *(_text("description", nullable=True), _yes("active")),
        *_maybe("category_id", "category", "barcode"),
        *(_big("price_minor", nullable=True), _big("cost_minor", nullable=True), *_maybe("currency")),
        *(_text("prices", nullable=True), *_maybe("supplier_id", "supplier_sku"), _text("suppliers", nullable=True)),
        *(_number("lead_time_days", nullable=True),),
        *(_amount("reorder_point", nullable=True), _amount("reorder_quantity", nullable=True)),
        *(_text("reorders", nullable=True), _text("extra", nullable=True)),
        *_kept(),
    )
    op.create_index("ix_listings_sku", "listings", ["connection", "sku"])
    op.create_index("ix_listings_parent", "listings", ["connection", "parent_id"])
    op.create_table(
        "stock",
        *(_key("connection"), _key("listing_id"), _key("location_id"), _key("state")),
        *(_amount("quantity"), _text("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "orders",
        *(_key("connection"), _key("external_id")),
        *(*_maybe("number"), *_words("type"), *_maybe("status", "location_id", "party_id", "ordered_on")),
        *(_big("total_minor", nullable=True), *_maybe("currency")),
        *(_text("lines", nullable=True), _text("extra", nullable=True)),
        *_kept(),
    )
    op.create_index("ix_orders_modified", "orders", ["connection", "modified_at"])
    op.create_table(
        "locations",
        *(_key("connection"), _key("external_id"), *_maybe("parent_id", "name"), _yes("active")),
        *(*_maybe("currency", "timezone"), _text("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "vendors",
        *(_key("connection"), _key("external_id"), *_maybe("name"), _yes("active")),
        *(*_maybe("account_number", "email", "phone"), _text("extra", nullable=True)),
        *_kept(),
    )
    op.create_table(
        "categories",
        *(_key("connection"), _key("external_id"), *_maybe("parent_id", "name"), _text("extra", nullable=True)),
        *_kept(),
    )


def _inbox() -> None:
    op.create_table(
        "inbox_events",
        *(_id(), *_words("connection", "event_id", "type")),
        *(_moment("received_at"), _moment("occurred_at", nullable=True), *_words("verdict")),
        *(_text("items"), _text("headers"), sa.Column("body", sa.LargeBinary(), nullable=False)),
        sa.UniqueConstraint("connection", "event_id"),
    )
    op.create_index("ix_inbox_received", "inbox_events", ["received_at"])


def _owed() -> None:
    op.create_table(
        "owed_items",
        *(_key("connection"), _key("kind"), _key("external_id")),
        *(_big("rev"), _big("version"), *_words("cause"), _moment("first_seen_at"), _moment("next_at")),
        *(_moment("hinted_at", nullable=True), _number("attempts"), _number("kills")),
        *(*_maybe("token"), _moment("lease_until", nullable=True)),
    )
    op.create_table(
        "settlements",
        *(_id(), *_words("connection", "kind", "external_id", "cause", "outcome")),
        *(_big("changes"), _number("attempts"), _moment("first_seen_at"), _moment("settled_at")),
    )
    op.create_index("ix_settlements_item", "settlements", ["connection", "kind", "external_id", "settled_at"])
    op.create_index("ix_settlements_at", "settlements", ["settled_at"])


def _failures() -> None:
    op.create_table(
        "attempts",
        *(_id(), *_words("message_key"), _number("number"), _moment("at")),
        *(*_words("worker", "error_type"), _text("error"), _text("traceback")),
    )
    op.create_index("ix_attempts_message", "attempts", ["message_key"])
    op.create_table(
        "dead_letters",
        *(_id(), *_words("message_id", "actor", "queue"), _text("args")),
        *_maybe("connection", "kind", "external_id", "cause"),
        *(*_words("error_type"), _text("error"), _text("attempts")),
        *(_moment("first_failed_at"), _moment("died_at"), *_words("state")),
        *(_number("replays"), _moment("replayed_at", nullable=True)),
        sa.UniqueConstraint("message_id"),
    )
    op.create_index("ix_dead_state", "dead_letters", ["state", "died_at"])
    op.create_index("ix_dead_item", "dead_letters", ["connection", "kind", "external_id"])


def _reading() -> None:
    op.create_table(
        "watermarks",
        *(_key("connection"), _key("kind"), *_words("value"), _moment("pulled_at")),
    )
    op.create_table("budget_use", _key("connection"), _key("name"), _text("taken"))


def _runs() -> None:
    op.create_table(
        "runs",
        *(_id(), *_words("connection", "strategy", "cause", "status"), _moment("slot", nullable=True)),
        *(_moment("created_at"), _moment("started_at", nullable=True), _moment("finished_at", nullable=True)),
        *(_moment("hinted_at", nullable=True), *_maybe("token"), _moment("lease_until", nullable=True)),
        *(_number("kills"), _text("counts"), _number("calls"), _text("error", nullable=True)),
        sa.UniqueConstraint("connection", "strategy", "slot"),
    )
    active = sa.text("status IN ('idle', 'running')")
    op.create_index(
        "ux_runs_active", "runs", ["connection"], unique=True, sqlite_where=active, postgresql_where=active
    )
    op.create_index("ix_runs_started", "runs", ["connection", "created_at"])
    op.create_table(
        "drift",
        *(_id(), _big("run_id"), *_words("connection", "kind", "item", "change"), _text("fields")),
        *(*_words("cause"), _moment("since", nullable=True), _moment("found_at")),
    )
    op.create_index("ix_drift_run", "drift", ["run_id", "kind"])
    op.create_table(
        "holds",
        *(_id(), *_words("connection", "kind"), _big("run_id", nullable=True)),
        *(_text("reason"), _text("summary"), *_words("state"), _moment("held_at")),
    )


def _clock() -> None:
    op.create_table(
        "schedules",
        *(_key("connection"), _key("job"), *_words("cron", "timezone"), _yes("enabled")),
        _moment("last_slot", nullable=True),
    )
    op.create_table("beats", _key("process"), *_words("role"), _moment("started_at"), _moment("seen_at"))


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
