"""Rows that were written recently, for the activity log."""

from typing import Any

from sqlalchemy import Connection, text

from app.domain import ON_HAND

TABLES = ("inbox_events", "settlements", "drift", "dead_letters", "holds")
"""The tables that only grow, in the order of events."""

_COLUMNS = {"inbox_events": "id, connection, type, received_at, verdict"}

BATCH_SIZE = 200


def newest(conn: Connection, table: str) -> int:
    """The highest id of one of ``TABLES``, 0 if it is empty."""
    return int(conn.execute(text(f"SELECT coalesce(max(id), 0) FROM {table}")).scalar_one())


def since(conn: Connection, table: str, after_id: int) -> list[dict[str, Any]]:
    """Rows of one of ``TABLES`` after an id, oldest first, at most ``BATCH_SIZE``."""
    columns = _COLUMNS.get(table, "*")
    query = text(f"SELECT {columns} FROM {table} WHERE id > :after ORDER BY id LIMIT {BATCH_SIZE}")
    return [dict(row) for row in conn.execute(query, {"after": after_id}).mappings()]


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
