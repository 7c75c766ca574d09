"""Reads replays back."""

from sqlalchemy import Connection, func, select

from app.stores import tables
from app.stores.replays.rows import ReplayRow
from app.stores.sql.matching import newest

_REPLAYS = tables.core(tables.Replay)
_ITEMS = tables.core(tables.ReplayItem)
_SELECT = select(*(_REPLAYS.c[name] for name in ReplayRow.__struct_fields__))


def get(conn: Connection, id: int) -> ReplayRow | None:
    """One replay, without its members."""
    row = conn.execute(_SELECT.where(_REPLAYS.c.id == id)).mappings().first()
    return None if row is None else ReplayRow(**row)


def latest(conn: Connection, *, limit: int = 50, before_id: int | None = None) -> list[ReplayRow]:
    """Replays, newest first; ``before_id`` continues after the last one of the previous page."""
    query = newest(_SELECT, _REPLAYS.c.id, limit, before_id)
    return [ReplayRow(**row) for row in conn.execute(query).mappings()]


def connections(conn: Connection, id: int) -> set[str]:
    """The connections whose items are members."""
    return set(conn.execute(select(func.distinct(_ITEMS.c.connection)).where(_ITEMS.c.replay_id == id)).scalars())
