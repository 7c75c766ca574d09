"""Finds the deliveries that brought a change: those that named the item since it was first owed for it."""

from collections.abc import Sequence
from datetime import datetime

import msgspec
from sqlalchemy import Connection, func, or_, select, tuple_

from app.domain import ItemKey
from app.stores import tables

MOST = 5
"""So many of the deliveries of one change are named, the latest ones."""

_EVENTS, _SETTLED = (tables.core(one) for one in (tables.InboxEvent, tables.Settlement))


def deliveries(conn: Connection, keys: Sequence[ItemKey], recorded_at: datetime) -> list[int]:
    """The numbers of the deliveries that named one of these items (of one connection) between the moment from which on it
    was owed and ``recorded_at``, when the change was written; oldest first, none if either is removed already."""
    settled = _SETTLED.c
    one_of = tuple_(settled.connection, settled.kind, settled.external_id).in_([tuple(key) for key in keys])
    covering = (one_of, settled.settled_at >= recorded_at, settled.first_seen_at <= recorded_at)
    first_seen = conn.execute(select(func.min(settled.first_seen_at)).where(*covering)).scalar()
    if first_seen is None:
        return []
    event = _EVENTS.c
    pairs = [msgspec.json.encode([key.kind, key.external_id]).decode() for key in keys]
    query = select(event.id).where(
        event.received_at >= first_seen,
        event.received_at <= recorded_at,
        event.connection == keys[0].connection,
        or_(*(event["items"].contains(pair, autoescape=True) for pair in pairs)),
    )
    newest = query.order_by(event.received_at.desc(), event.id.desc()).limit(MOST)
    return sorted(conn.execute(newest).scalars())
