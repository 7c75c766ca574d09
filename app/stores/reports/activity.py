"""Rows that were written recently, for the activity log."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, func, select, text

from app.domain import ON_HAND
from app.stores.tables import DeadLetter, Drift, Hold, InboxEvent, Settlement, core

_TABLES = {table.name: table for table in map(core, (InboxEvent, Settlement, Drift, DeadLetter, Hold))}
TABLES = tuple(_TABLES)
"""The tables that only grow, in the order of events."""

_LARGE = ("headers", "body", "attempts")
"""Columns that nobody needs here."""

BATCH_SIZE = 200


def newest(conn: Connection, table: str) -> int:
    """The highest id of one of ``TABLES``, 0 if it is empty."""
    return int(conn.execute(select(func.coalesce(func.max(_TABLES[table].c.id), 0))).scalar_one())


def since(conn: Connection, table: str, after_id: int) -> Sequence[Row[Any]]:
    """Rows of one of ``TABLES`` after an id, oldest first, at most ``BATCH_SIZE``; the columns are those of the table."""
    id = _TABLES[table].c.id
    columns = [column for column in _TABLES[table].c if column.name not in _LARGE]
    return conn.execute(select(*columns).where(id > after_id).order_by(id).limit(BATCH_SIZE)).all()


def describe_item(conn: Connection, connection: str, external_id: str) -> str:
    """A product or variation in a merchant's words: name, SKU and what is on hand; else its id."""
    listing = conn.execute(
        text(
            """SELECT l.name, l.sku, (SELECT sum(s.quantity) FROM stock s WHERE s.connection = l.connection
                     AND s.listing_id = l.external_id AND s.state = :state AND NOT s.deleted) AS on_hand
                 FROM listings l
                WHERE l.connection = :connection AND (l.external_id = :item OR l.parent_id = :item)
                ORDER BY l.external_id LIMIT 1"""
        ),
        {"connection": connection, "item": external_id, "state": ON_HAND},
    ).first()
    if listing is None:
        return external_id
    on_hand = "" if listing.on_hand is None else f", {float(listing.on_hand):g} on hand"
    return f"{listing.name} ({listing.sku or external_id}){on_hand}"
