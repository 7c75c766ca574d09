"""Fills a database for the questions: two shops of one merchant with the faults that real ones have, made by SQL."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import insert

from app.stores.reports import settled
from app.stores.sql.engine import Database
from app.stores.sql.statements import Statement
from app.stores.tables import Run

MAIN, OTHER = "finale", "square"
RUNS = 500


@dataclass(frozen=True)
class Sizes:
    """How many rows of each sort, from 280,000 products and 1,000,000 deliveries at scale 1."""

    products: int
    stock: int
    sold_elsewhere: int
    inbox: int
    drift: int
    settlements: int

    @staticmethod
    def at(scale: float) -> "Sizes":
        """The sizes at a share of the full ones."""
        full = (280_000, 600_000, 60_000, 1_000_000, 100_000, 2_000_000)
        return Sizes(*(max(1, int(rows * scale)) for rows in full))


def fill(database: Database, sizes: Sizes) -> None:
    """Put everything into an empty database, as of this moment; each table in a transaction of its own."""
    now = datetime.now(UTC)
    moments = {"now": now, "earlier": now - timedelta(days=2)}
    for statement, rows in (
        (_LISTINGS, sizes.products),
        (_STOCK, sizes.stock),
        (_SOLD_ELSEWHERE, sizes.sold_elsewhere),
        (_COUNTED_ELSEWHERE, sizes.sold_elsewhere),
        (_DRIFT, sizes.drift),
        (_INBOX, sizes.inbox),
        (_SETTLEMENTS, sizes.settlements),
    ):
        with database.begin() as conn:
            statement.run(conn, {**moments, "rows": rows, "products": sizes.products, "epoch": now.timestamp()})
    while settled.sum_slots(database, now):
        pass  # as the clock does, some hours at a time
    _add_runs(database, now - timedelta(days=2))
    if database.dialect == "postgresql":
        with database.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
            conn.exec_driver_sql("VACUUM ANALYZE")  # as autovacuum does within minutes of a load


def _add_runs(database: Database, earlier: datetime) -> None:
    counts = '{"product": {"read": 280000, "updated": 12, "unchanged": 279988, "agreement": 0.99996}}'
    shared = {"strategy": "full", "cause": "schedule", "status": "completed", "counts": counts, "created_at": earlier}
    ended = {"started_at": earlier, "finished_at": earlier}
    with database.begin() as conn:
        conn.execute(
            insert(Run.__table__),  # type: ignore[attr-defined]
            [{**shared, **ended, "connection": (MAIN, OTHER)[number % 2]} for number in range(RUNS)],
        )


def _of_each(insert: str, postgresql: str | None = None) -> Statement:
    """An insert that selects from ``n(i)``: 1 to ``:rows``."""
    return Statement(
        f"WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < :rows) {insert}",
        postgresql=f"WITH n(i) AS (SELECT generate_series(1, CAST(:rows AS integer))) {postgresql or insert}",
    )


_WIDE = "x" * 400  # what a mapped product carries beside the fields we ask for
_SKU = "CASE WHEN i % 4999 = 1 THEN NULL WHEN i % 2000 = 1 THEN 'SKU-' || (1000000 + i + 1) ELSE {own} END"
_OWN = "CASE WHEN i % 3000 = 2 THEN 'sku-' || (1000000 + i + 1) || ' ' ELSE 'SKU-' || (1000000 + i) END"

_LISTINGS = _of_each(
    f"""
    INSERT INTO listings (connection, external_id, sku, name, active, category, price_minor, currency, reorder_point,
                          extra, deleted, version, row_hash, read_at, written_at, written_by)
    SELECT '{MAIN}', CAST(1000000 + i AS text), {_SKU.format(own=_OWN)}, 'Product ' || i, i % 5 <> 0, 'Things',
           CASE WHEN i % 701 = 1 THEN NULL ELSE 100 + i % 5000 END, 'USD', CASE WHEN i % 3 = 0 THEN 5 END,
           '{_WIDE}', i % 100 = 99, 1, i, :earlier, :earlier, 'first load'
    FROM n
    """
)
_STOCK = _of_each(
    f"""
    INSERT INTO stock (connection, listing_id, location_id, state, quantity, deleted, version, row_hash, read_at,
                       written_at, written_by)
    SELECT '{MAIN}', CAST(1000001 + i % :products + CASE WHEN i % 6000 = 0 THEN 5000000 ELSE 0 END AS text),
           'L' || (i / :products), 'on_hand',
           CASE WHEN i % 9000 = 7 THEN -1 WHEN i % 40 = 0 THEN 0 ELSE i % 300 END, 1 = 0, 1, i,
           :earlier, :earlier, 'first load'
    FROM n
    """
)
_SOLD_ELSEWHERE = _of_each(
    f"""
    INSERT INTO listings (connection, external_id, parent_id, sku, name, active, price_minor, currency, extra, deleted,
                          version, row_hash, read_at, written_at, written_by)
    SELECT '{OTHER}', 'V' || i, 'I' || (i / 2), 'SKU-' || (1000000 + i), 'Product ' || i
           || CASE WHEN i % 500 = 3 THEN ' (new)' ELSE '' END, 1 = 1,
           100 + i % 5000 + CASE WHEN i % 600 = 4 THEN 50 ELSE 0 END, 'USD', '{_WIDE}', 1 = 0,
           1, i, :earlier, :earlier, 'first load'
    FROM n
    """
)
_COUNTED_ELSEWHERE = _of_each(
    f"""
    INSERT INTO stock (connection, listing_id, location_id, state, quantity, deleted, version, row_hash, read_at,
                       written_at, written_by)
    SELECT '{OTHER}', 'V' || i, 'S1', 'on_hand', coalesce(
               (SELECT sum(s.quantity) FROM stock s
                WHERE s.connection = '{MAIN}' AND s.listing_id = CAST(1000000 + i AS text)), 0)
           + CASE WHEN i % 400 = 6 THEN 1 ELSE 0 END, 1 = 0, 1, i, :earlier, :earlier, 'first load'
    FROM n
    """
)
_DRIFT = _of_each(
    f"""
    INSERT INTO drift (run_id, connection, kind, item, change, fields, cause, since, found_at)
    SELECT {RUNS}, '{MAIN}', CASE WHEN i % 3 = 0 THEN 'product' ELSE 'stock' END, CAST(1000000 + i AS text),
           'differs', '{{"quantity": ["1", "2"]}}', CASE WHEN i % 4 = 0 THEN 'missed' ELSE 'late' END, :earlier, :now
    FROM n
    """
)
_DELIVERED = """
    INSERT INTO inbox_events (connection, event_id, type, received_at, occurred_at, verdict, items, headers, body)
    SELECT 'square', 'event-' || i, 'inventory.count.updated', :earlier, :earlier, 'accepted',
           '[["stock", "V' || (i % 60000) || '"]]', '{"content-type": "application/json"}',
           CAST('{"merchant_id": "M", "type": "inventory.count.updated", "data": {"object": {}}}' AS binary_type)
    FROM n
"""
_INBOX = _of_each(_DELIVERED.replace("binary_type", "blob"), _DELIVERED.replace("binary_type", "bytea"))
_WEEK = 7 * 86_400
_SETTLED = f"""
    INSERT INTO settlements (connection, kind, external_id, cause, outcome, changes, attempts, first_seen_at, settled_at)
    SELECT CASE WHEN i % 3 = 0 THEN '{MAIN}' ELSE '{OTHER}' END, CASE WHEN i % 2 = 0 THEN 'product' ELSE 'stock' END,
           'V' || (i % 60000), 'webhook',
           CASE WHEN i % 1000 = 0 THEN 'dead' WHEN i % 4 = 0 THEN 'unchanged' ELSE 'applied' END, 1 + i % 3, 0,
           MOMENT(:epoch - {_WEEK} + i * {_WEEK}.0 / :rows - i % 90)), MOMENT(:epoch - {_WEEK} + i * {_WEEK}.0 / :rows))
    FROM n
"""
_SETTLEMENTS = _of_each(
    _SETTLED.replace("MOMENT(", "strftime('%Y-%m-%d %H:%M:%f000', 2440587.5 + 1 / 86400.0 * ("),
    _SETTLED.replace("MOMENT(", "to_timestamp(("),
)
