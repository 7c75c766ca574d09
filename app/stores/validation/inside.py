"""What can be wrong inside one connection: SKUs, stock, fields and rows that are missing or old.

Listings that are no longer for sale (inactive or deleted) are checked only if stock points at them.
"""

from collections.abc import Sequence

from app.domain import ON_HAND, Kind
from app.stores.catalog import catalog_sql
from app.stores.validation.asking import Check, Question

ALIKE = "ltrim(replace(lower(sku), ' ', ''), '0')"
"""SKUs that differ only by case, spaces or leading zeros have this in common."""

FOR_SALE = "active AND NOT deleted"
HAS_SKU = "trim(sku) <> ''"  # not so for null either
_MINE = "connection = :connection"

DUPLICATES = Question(
    f"""
    SELECT sku, count(*) AS listings, min(external_id) AS item, max(external_id) AS other_item FROM listings
    WHERE {_MINE} AND {FOR_SALE} AND {HAS_SKU} GROUP BY sku HAVING count(*) > 1
    """,
    [Check("duplicate_skus", ("sku", "listings", "item", "other_item"))],
)
NEAR_DUPLICATES = Question(
    f"""
    SELECT min(sku) AS sku, max(sku) AS other_sku, count(*) AS listings FROM listings
    WHERE {_MINE} AND {FOR_SALE} AND {HAS_SKU} GROUP BY {ALIKE} HAVING min(sku) <> max(sku)
    """,
    [Check("near_duplicate_skus", ("sku", "other_sku", "listings"))],
)
NEGATIVE_STOCK = Question(
    f"""
    SELECT listing_id AS item, location_id AS location, quantity FROM stock
    WHERE {_MINE} AND quantity < 0 AND state = '{ON_HAND}' AND NOT deleted
    """,
    [Check("negative_stock", ("item", "location", "quantity"))],
)
MISSING_FIELDS = Question(
    f"""
    SELECT external_id AS item, sku, name, price_minor, coalesce(trim(sku), '') = '' AS no_sku,
           coalesce(trim(name), '') = '' AS no_name
    FROM listings
    WHERE {_MINE} AND {FOR_SALE}
          AND (coalesce(trim(sku), '') = '' OR coalesce(trim(name), '') = '' OR price_minor IS NULL)
    """,
    [
        Check("missing_sku", ("item", "name"), where="no_sku"),
        Check("missing_name", ("item", "sku"), where="no_name"),
        Check("missing_price", ("item", "sku", "name"), where="price_minor IS NULL"),
    ],
)
# Only quantities other than zero are orphans: zero is right for a listing that is gone. Each listing is looked up once,
# not once per stock row: half the time on SQLite.
_UNKNOWN = f"""
    SELECT listing_id FROM (SELECT DISTINCT listing_id FROM stock WHERE {_MINE}) AS counted
    WHERE NOT EXISTS (SELECT 1 FROM listings WHERE {_MINE} AND external_id = counted.listing_id AND NOT deleted)
          AND NOT EXISTS (SELECT 1 FROM owed_items
                          WHERE {_MINE} AND kind = 'product' AND external_id = counted.listing_id)
"""
STOCK_ORPHANS = Question(
    """
    SELECT s.listing_id AS item, s.location_id AS location, s.state, s.quantity
    FROM unknown JOIN stock s ON s.connection = :connection AND s.listing_id = unknown.listing_id
    WHERE NOT s.deleted AND s.quantity <> 0 AND s.written_at < :quiet
    """,
    [Check("stock_without_listing", ("item", "location", "state", "quantity"))],
    given={"unknown": _UNKNOWN},
)
# A connection without any categories does not have that kind.
CATEGORY_ORPHANS = Question(
    f"""
    SELECT external_id AS item, sku, category_id AS category FROM listings
    WHERE {_MINE} AND {FOR_SALE} AND written_at < :quiet AND category_id IS NOT NULL
          AND category_id NOT IN (SELECT external_id FROM categories WHERE {_MINE} AND NOT deleted)
          AND EXISTS (SELECT 1 FROM categories WHERE {_MINE})
    """,
    [Check("listing_without_category", ("item", "sku", "category"))],
)
# An order may name a listing that was deleted since, but not one that we never held.
ORDER_ORPHANS = Question(
    f"""
    SELECT o.external_id AS order_id, line.listing_id AS item, line.sku AS sku
    FROM orders o JOIN order_lines line ON line.connection = o.connection AND line.order_id = o.external_id
    WHERE o.connection = :connection AND o.modified_at >= :recent AND o.written_at < :quiet AND NOT o.deleted
          AND line.listing_id IS NOT NULL AND coalesce(line.kind, '') <> 'modifier'
          AND NOT EXISTS (SELECT 1 FROM listings WHERE {_MINE} AND external_id = line.listing_id)
    """,
    [Check("order_line_without_listing", ("order_id", "item", "sku"))],
)
# Orders with a line that has no total cannot be checked.
ORDER_SUMS = Question(
    """
    SELECT o.external_id AS order_id, o.ordered_on, o.total_minor,
           CAST(sum(line.total_minor) AS bigint) AS lines_minor, o.currency
    FROM orders o JOIN order_lines line ON line.connection = o.connection AND line.order_id = o.external_id
    WHERE o.connection = :connection AND NOT o.deleted AND o.total_minor IS NOT NULL
    GROUP BY o.external_id, o.ordered_on, o.total_minor, o.currency
    HAVING count(line.total_minor) = count(*) AND sum(line.total_minor) <> o.total_minor
    """,
    [Check("order_without_its_sum", ("order_id", "ordered_on", "total_minor", "lines_minor", "currency"))],
)
LONG_OWED = Question(
    f"""
    SELECT first_seen_at, kind, external_id AS item, attempts FROM owed_items
    WHERE {_MINE} AND first_seen_at < :patience
    """,
    [Check("owed_too_long", ("first_seen_at", "kind", "item", "attempts"))],
)


def not_read(kinds: Sequence[Kind]) -> Question:
    """Live rows of these kinds, which no recent complete read covers, that were last read too long ago.

    Only kinds that were pulled since: a kind that nobody reads has findings elsewhere.
    """
    return Question(
        " UNION ALL ".join(_old_rows(kind) for kind in kinds) or _NO_ROWS,
        [Check("not_read_lately", ("read_at", "kind", "item"))],
    )


_NO_ROWS = "SELECT NULL AS read_at, NULL AS kind, NULL AS item WHERE 1 = 0"


def _old_rows(kind: Kind) -> str:
    return f"""
        SELECT read_at, '{kind}' AS kind, {catalog_sql.item_text(kind)} AS item FROM {catalog_sql.shape(kind).table}
        WHERE {_MINE} AND NOT deleted AND read_at < :stale
              AND EXISTS (SELECT 1 FROM watermarks
                          WHERE {_MINE} AND kind = '{kind}' AND pulled_at >= :stale)
    """
