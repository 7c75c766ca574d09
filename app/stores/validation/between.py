"""What differs between connections: listings that share a SKU, but not their name, their price or what is on hand.

Known lag is excluded: a pair does not count while an item of either side is owed, or if either side was written within
the last minute (``Cutoffs.quiet``). A SKU that a connection uses twice does not identify a listing, so it makes
no pair; duplicates have a check of their own.
"""

from app.domain import ON_HAND
from app.stores.validation.asking import Check, Question
from app.stores.validation.inside import ALIKE, FOR_SALE, HAS_SKU


def _on_hand(connection: str, item: str) -> str:
    """Null where no stock is known. Rounded, because SQLite adds fractions as floats."""
    return f"""(SELECT round(sum(s.quantity), 5) FROM stock s
                WHERE s.connection = {connection} AND s.listing_id = {item} AND s.state = '{ON_HAND}' AND NOT s.deleted)
            """


def _is_settled(connection: str, item: str, parent: str) -> str:
    return f"""
        NOT EXISTS (SELECT 1 FROM owed_items o WHERE o.connection = {connection} AND o.kind IN ('product', 'stock')
                    AND o.external_id IN ({item}, {parent}))
        AND NOT EXISTS (SELECT 1 FROM stock s WHERE s.connection = {connection} AND s.listing_id = {item}
                        AND s.written_at >= :quiet)
    """


# Each side is one row, so min() takes it as it is.
_SIDES = f"""
    SELECT connection, {ALIKE} AS alike, min(sku) AS sku, min(external_id) AS item, min(parent_id) AS parent,
           min(trim(name)) AS name, min(price_minor) AS price_minor, min(currency) AS currency,
           min(written_at) AS written_at
    FROM listings WHERE {FOR_SALE} AND {HAS_SKU} GROUP BY connection, {ALIKE} HAVING count(*) = 1
"""
_PAIRS = f"""
    SELECT mine.sku, mine.item, mine.parent, theirs.connection AS other, theirs.item AS other_item,
           theirs.parent AS other_parent, mine.name, theirs.name AS other_name, mine.price_minor,
           theirs.price_minor AS other_price_minor, mine.currency, mine.currency = theirs.currency AS comparable,
           {_on_hand("mine.connection", "mine.item")} AS on_hand,
           {_on_hand("theirs.connection", "theirs.item")} AS other_on_hand
    FROM side mine JOIN side theirs ON theirs.alike = mine.alike AND theirs.connection <> mine.connection
    WHERE mine.connection = :connection AND mine.written_at < :quiet AND theirs.written_at < :quiet
"""
_PRICES_DIFFER = "comparable AND price_minor <> other_price_minor"
_FOUND = f"""
    SELECT pair.* FROM pair
    WHERE (name <> other_name OR ({_PRICES_DIFFER}) OR on_hand <> other_on_hand)
          AND {_is_settled(":connection", "pair.item", "pair.parent")}
          AND {_is_settled("pair.other", "pair.other_item", "pair.other_parent")}
"""
_PAIR = ("sku", "other", "item", "other_item")
MISMATCHES = Question(
    _FOUND,
    [
        Check("name_mismatches", (*_PAIR, "name", "other_name"), where="name <> other_name"),
        Check("stock_mismatches", (*_PAIR, "on_hand", "other_on_hand"), where="on_hand <> other_on_hand"),
        Check(
            "price_mismatches", (*_PAIR, "price_minor", "other_price_minor", "currency"), where=f"({_PRICES_DIFFER})"
        ),
    ],
    given={"side": _SIDES, "pair": _PAIRS},
)
