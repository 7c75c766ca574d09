"""Which listings are out of stock or low: computed from the stock rows at each query.

On hand is the sum over a listing's locations: *out* at zero or less, *low* at the reorder point or less. A listing
without any stock row is neither, because its stock is unknown. Only live, active listings count.
"""

from collections.abc import Sequence
from decimal import Decimal
from typing import NamedTuple

from sqlalchemy import Connection

from app.domain import ON_HAND, quantity
from app.stores.sql.statements import Statement, bound_list

OUT = "out"
LOW = "low"


class CriticalItem(NamedTuple):
    """A listing to worry about; ``state`` is ``out`` or ``low``."""

    external_id: str
    sku: str | None
    name: str | None
    on_hand: Decimal
    reorder_point: Decimal | None
    state: str


_COUNTED = f"state = '{ON_HAND}' AND NOT deleted"
_CRITICAL = "(on_hand <= 0 OR on_hand <= reorder_point)"
_STATE = f"CASE WHEN on_hand <= 0 THEN '{OUT}' ELSE '{LOW}' END"
_SUM = "round(sum(quantity), 5)"  # SQLite adds fractions as floats; five decimals are all that a quantity has

_AMONG = Statement(
    f"""
    SELECT external_id, sku, name, on_hand, reorder_point, {_STATE}
    FROM (SELECT external_id, sku, name, reorder_point,
                 (SELECT {_SUM} FROM stock
                  WHERE connection = :connection AND listing_id = external_id AND {_COUNTED}) AS on_hand
          FROM listings
          WHERE connection = :connection AND active AND NOT deleted AND external_id AMONG :ids) counted
    WHERE {_CRITICAL} ORDER BY external_id
    """
)
# One sum over all stock takes half the time of one per listing.
_ALL = f"""
    FROM (SELECT listing_id, {_SUM} AS on_hand FROM stock
          WHERE connection = :connection AND {_COUNTED} GROUP BY listing_id) counted
    JOIN listings ON connection = :connection AND external_id = listing_id
    WHERE active AND NOT deleted AND {_CRITICAL}
"""
_STATES = Statement(f"SELECT external_id, {_STATE} {_ALL}")
_IDS = Statement(f"SELECT external_id {_ALL} ORDER BY external_id")
_SOME_IDS = Statement(f"SELECT external_id {_ALL} ORDER BY external_id LIMIT :limit")


def among(conn: Connection, connection: str, listings: Sequence[str]) -> list[CriticalItem]:
    """The given listings that are critical now, in order of their id."""
    rows = _AMONG.run(conn, {"connection": connection, "ids": bound_list(conn, listings)})
    return [_item(*row) for row in rows]


def states(conn: Connection, connection: str) -> list[tuple[str, str]]:
    """Every critical listing's external id and state, in no order."""
    return [(id, state) for id, state in _STATES.run(conn, {"connection": connection})]


def ids(conn: Connection, connection: str, limit: int | None) -> list[str]:
    """The external ids of the critical listings, in their order; all without a limit.

    ``catalog.items_of`` has their parents, for sources that are asked for these.
    """
    statement = _IDS if limit is None else _SOME_IDS
    values = {"connection": connection} if limit is None else {"connection": connection, "limit": limit}
    return [id for (id,) in statement.run(conn, values)]


def _item(
    external_id: str, sku: str | None, name: str | None, on_hand: object, reorder_point: object, state: str
) -> CriticalItem:
    threshold = None if reorder_point is None else quantity(str(reorder_point))
    return CriticalItem(external_id, sku, name, quantity(str(on_hand)), threshold, state)
