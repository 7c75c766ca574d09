"""Members of a replay that cannot be sent: their connection was removed, or is paused."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, literal, select, update

from app.stores import tables
from app.stores.replays.rows import Skipped
from app.stores.sql.statements import Statement

_LETTERS = tables.core(tables.DeadLetter)
_ITEMS = tables.core(tables.ReplayItem)

SKIPPED = "skipped"


def skip(conn: Connection, id: int, connections: Collection[str], now: datetime) -> int:
    """Skip the waiting items that belong to none of these connections; returns how many. Their letters are dead again."""
    known = sorted(connections)
    why = literal("there is no connection '") + _ITEMS.c.connection + "'"
    waiting = (_ITEMS.c.replay_id == id, _ITEMS.c.state == "waiting")
    gone = _ITEMS.c.connection.not_in([*known, ""])  # a message about no item has no connection
    skipped = conn.execute(
        update(_ITEMS).where(*waiting, gone).values(state=SKIPPED, ended_at=now, error=why)
    ).rowcount
    if skipped:
        queued = (_LETTERS.c.replay_id == id, _LETTERS.c.state == "queued", _LETTERS.c.external_id.is_not(None))
        conn.execute(update(_LETTERS).where(*queued, _LETTERS.c.connection.not_in(known)).values(state="dead"))
    return int(skipped)


_SKIP_ONE = Statement(
    f"UPDATE replay_items SET state = '{SKIPPED}', error = :why, ended_at = :now WHERE id = :member"
)


def skip_member(conn: Connection, member_id: int, why: str, now: datetime) -> None:
    """Skip one member that is about no item."""
    _SKIP_ONE.run(conn, {"member": member_id, "why": why, "now": now})


def skipped(conn: Connection, id: int) -> list[Skipped]:
    """The skipped members, by connection and reason."""
    by = (_ITEMS.c.connection, _ITEMS.c.error)
    of_replay = (_ITEMS.c.replay_id == id, _ITEMS.c.state == SKIPPED)
    query = select(_ITEMS.c.connection, func.count(), _ITEMS.c.error).where(*of_replay).group_by(*by).order_by(*by)
    return [Skipped(*row) for row in conn.execute(query)]


def unfinished_connections(conn: Connection, id: int) -> set[str]:
    """The connections of members that wait for their turn or are on their way; "" for messages about no item."""
    unfinished = (_ITEMS.c.replay_id == id, _ITEMS.c.state.in_(("waiting", "sending", "sent")))
    return set(conn.execute(select(_ITEMS.c.connection).where(*unfinished).distinct()).scalars())
