"""Members of a replay that cannot be sent: their connection was removed, or cannot be read now."""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, func, literal, select, update

from app.stores import tables
from app.stores.replays.rows import ItemKind, Skipped
from app.stores.sql.statements import Statement

_LETTERS = tables.core(tables.DeadLetter)
_ITEMS = tables.core(tables.ReplayItem)

SKIPPED = "skipped"


def skip(conn: Connection, id: int, connections: Collection[str], now: datetime) -> int:
    """Skip the waiting items that belong to none of these connections; returns how many. Their letters are dead again."""
    known = sorted(connections)
    why = literal("there is no connection '") + _ITEMS.c.connection + "'"
    waiting = (_ITEMS.c.replay_id == id, _ITEMS.c.state == "waiting")
    gone = _ITEMS.c.connection.not_in([*known, ""])  # a message that is about no connection
    skipped = conn.execute(
        update(_ITEMS).where(*waiting, gone).values(state=SKIPPED, ended_at=now, error=why)
    ).rowcount
    if skipped:
        queued = (_LETTERS.c.replay_id == id, _LETTERS.c.state == "queued")
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


def unfinished_kinds(conn: Connection, id: int) -> set[ItemKind]:
    """Of which kinds members wait for their turn or are on their way; a message about no item has no kind (""), and may
    have no connection."""
    waiting = (_ITEMS.c.replay_id == id, _ITEMS.c.state.in_(("waiting", "sending", "sent")))
    return {
        ItemKind(*row) for row in conn.execute(select(_ITEMS.c.connection, _ITEMS.c.kind).where(*waiting).distinct())
    }
