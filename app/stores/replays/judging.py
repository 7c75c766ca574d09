"""What came of the members of a replay."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from app.stores.sql.statements import Statement

STATES = ("waiting", "sending", "sent", "done", "failed", "left", "skipped")


_OF_ITEM = "{other}.connection = m.connection AND {other}.kind = m.kind AND {other}.external_id = m.external_id"
_OWED = f"SELECT 1 FROM owed_items o WHERE {_OF_ITEM.format(other='o')}"
_LATER = f"SELECT 1 FROM settlements s WHERE {_OF_ITEM.format(other='s')} AND s.id > m.mark"
_FAILED = Statement(
    f"""
    UPDATE replay_items AS m SET state = 'failed', ended_at = :now
    WHERE replay_id = :id AND state = 'sent' AND (
        EXISTS ({_LATER} AND s.outcome IN ('dead', 'held'))
        OR EXISTS ({_OWED} AND o.attempts > 0))
    """
)
_DONE = Statement(
    f"""
    UPDATE replay_items AS m SET state = 'done', ended_at = :now
    WHERE replay_id = :id AND state = 'sent' AND EXISTS ({_LATER}) AND NOT EXISTS ({_OWED})
    """
)
_COUNTS = Statement("SELECT state, count(*), min(sent_at) FROM replay_items WHERE replay_id = :id GROUP BY state")


def judge(conn: Connection, id: int, now: datetime) -> dict[str, int]:
    """See what came of the items that were sent; returns how many members are in each of ``STATES``."""
    _FAILED.run(conn, {"id": id, "now": now})
    _DONE.run(conn, {"id": id, "now": now})
    return counts(conn, id)


def counts(conn: Connection, id: int) -> dict[str, int]:
    """How many members are in each of ``STATES``."""
    return {**dict.fromkeys(STATES, 0), **{row[0]: int(row[1]) for row in _COUNTS.run(conn, {"id": id})}}


_WHY = Statement(
    """
    SELECT m.connection, m.kind, m.external_id, coalesce(m.error,
        (SELECT l.error_type || ': ' || l.error FROM dead_letters l
         WHERE l.connection = m.connection AND l.kind = m.kind AND l.external_id = m.external_id
         ORDER BY l.died_at DESC LIMIT 1), '')
    FROM replay_items m WHERE m.replay_id = :id AND m.state = 'failed' ORDER BY m.ended_at, m.id LIMIT 1
    """
)
_LAST_TRY = Statement(
    "SELECT error_type || ': ' || error FROM attempts WHERE message_key = :key ORDER BY id DESC LIMIT 1"
)


def first_failure(conn: Connection, id: int) -> str | None:
    """The first member that failed, and its error, in words."""
    rows = _WHY.run(conn, {"id": id})
    if not rows:
        return None
    connection, kind, external_id, error = rows[0]
    key = f"{connection}/{kind}/{external_id}"
    tried = _LAST_TRY.run(conn, {"key": key})
    return f"{key if connection else 'a message'} failed: {tried[0][0] if tried else error or 'it died'}"
