"""Reads replays back."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, func, select
from sqlmodel import SQLModel

from app.stores import tables

_REPLAYS = SQLModel.metadata.tables[str(tables.Replay.__tablename__)]
_ITEMS = SQLModel.metadata.tables[str(tables.ReplayItem.__tablename__)]


def get(conn: Connection, id: int) -> dict[str, Any] | None:
    """One replay, without its members."""
    row = conn.execute(select(_REPLAYS).where(_REPLAYS.c.id == id)).mappings().first()
    return None if row is None else dict(row)


def latest(conn: Connection, *, limit: int = 50, before_id: int | None = None) -> list[dict[str, Any]]:
    """Replays, newest first; ``before_id`` continues after the last one of the page before."""
    query = select(_REPLAYS).order_by(_REPLAYS.c.id.desc()).limit(limit)
    if before_id is not None:
        query = query.where(_REPLAYS.c.id < before_id)
    return [dict(row) for row in conn.execute(query).mappings()]


def connections(conn: Connection, id: int) -> set[str]:
    """The connections whose items are members."""
    query = select(func.distinct(_ITEMS.c.connection)).where(_ITEMS.c.replay_id == id)
    return {str(found) for (found,) in conn.execute(query)}
