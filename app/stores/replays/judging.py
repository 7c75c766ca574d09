"""The outcome of a replay's members."""

from datetime import datetime

from sqlalchemy import Connection

from app.stores.replays.rows import Progress
from app.stores.sql.statements import Statement

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
_COUNTS = Statement("SELECT state, count(*) FROM replay_items WHERE replay_id = :id GROUP BY state")


def judge(conn: Connection, id: int, now: datetime) -> Progress:
    """Mark the members that were sent and have an outcome as done or failed; returns the progress."""
    _FAILED.run(conn, {"id": id, "now": now})
    _DONE.run(conn, {"id": id, "now": now})
    return progress(conn, id)


def progress(conn: Connection, id: int) -> Progress:
    """How many members are in each state."""
    return Progress(**dict(_COUNTS.run(conn, {"id": id})))


_FIRST_FAILURE = Statement(
    """
    SELECT m.connection, m.kind, m.external_id, coalesce(m.error,
        (SELECT l.error_type || ': ' || l.error FROM dead_letters l
         WHERE l.connection = m.connection AND l.kind = m.kind AND l.external_id = m.external_id
         ORDER BY l.died_at DESC LIMIT 1), '')
    FROM replay_items m WHERE m.replay_id = :id AND m.state = 'failed' ORDER BY m.ended_at, m.id LIMIT 1
    """
)
_LAST_ATTEMPT = Statement(
    "SELECT error_type || ': ' || error FROM attempts WHERE message_key = :key ORDER BY id DESC LIMIT 1"
)


def first_failure(conn: Connection, id: int) -> str | None:
    """The first member that failed, and its error, for people."""
    rows = _FIRST_FAILURE.run(conn, {"id": id})
    if not rows:
        return None
    connection, kind, external_id, error = rows[0]
    key = f"{connection}/{kind}/{external_id}"
    attempts = _LAST_ATTEMPT.run(conn, {"key": key})
    return f"{key if external_id else 'a message'} failed: {attempts[0][0] if attempts else error or 'it died'}"
