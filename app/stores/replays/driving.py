"""Replays under way: leased by the worker that drives them, and sent member by member."""

from collections.abc import Collection
from datetime import datetime, timedelta
from itertools import takewhile

from sqlalchemy import Connection

from app.domain import Cause, ItemKey
from app.stores import owed
from app.stores.replays.rows import Member, ReplayRow, get
from app.stores.sql.statements import Statement, bound_list

_START = Statement(
    """
    UPDATE replays SET status = 'running', token = :token, lease_until = :until, hinted_at = NULL,
           started_at = coalesce(started_at, :now)
    WHERE id = :id AND (status = 'idle' OR (status = 'running' AND lease_until <= :now)) RETURNING id
    """
)
_MINE = "id = :id AND token = :token AND status = 'running'"
_HOLD = Statement(f"UPDATE replays SET lease_until = :until WHERE {_MINE}")
_YIELD = Statement(f"UPDATE replays SET lease_until = :now, hinted_at = NULL WHERE {_MINE}")
_END = Statement(
    """
    UPDATE replays SET status = :status, reason = :reason, finished_at = :now, token = NULL, lease_until = NULL
    WHERE id = :id AND status IN ('idle', 'running')
    """
)
_LEAVE = Statement(
    "UPDATE replay_items SET state = 'left', ended_at = :now WHERE replay_id = :id AND state = 'waiting'"
)
_UNQUEUE = Statement("UPDATE dead_letters SET state = 'dead' WHERE replay_id = :id AND state = 'queued'")


def start(conn: Connection, id: int, token: str, lease: float, now: datetime) -> ReplayRow | None:
    """Lease an idle replay, or one whose driver is gone, for ``lease`` seconds; ``None`` if it is neither."""
    leased = {"id": id, "token": token, "until": now + timedelta(seconds=lease), "now": now}
    return get(conn, id) if _START.run(conn, leased) else None


def hold(conn: Connection, id: int, token: str, until: datetime) -> bool:
    """Extend the lease; ``False`` if another worker has the replay now: the transaction must do nothing more."""
    return _HOLD.count(conn, {"id": id, "token": token, "until": until}) == 1


def give_way(conn: Connection, id: int, token: str, now: datetime) -> None:
    """Give the lease back: another worker may continue at once."""
    _YIELD.run(conn, {"id": id, "token": token, "now": now})


def end(conn: Connection, id: int, status: str, reason: str | None, now: datetime) -> bool:
    """Close a replay as ``completed``, ``stopped`` or ``aborted``; letters that it had not reached are dead again.

    ``False`` if it was over already.
    """
    if _END.count(conn, {"id": id, "status": status, "reason": reason, "now": now}) == 0:
        return False
    _LEAVE.run(conn, {"id": id, "now": now})
    _UNQUEUE.run(conn, {"id": id})
    return True


_NEWEST = Statement("SELECT coalesce(max(id), 0) FROM settlements")
_NEXT = Statement(
    """
    SELECT id, connection, kind, external_id, letter_id FROM replay_items
    WHERE replay_id = :id AND state = 'waiting' AND connection NOT AMONG :paused
          AND connection || '/' || kind NOT AMONG :paused
    ORDER BY id LIMIT :count
    """
)
_MARK = Statement(
    """
    UPDATE replay_items SET state = 'sent', mark = :mark, sent_at = :now
    WHERE replay_id = :id AND letter_id = 0 AND id BETWEEN :first AND :last AND state = 'waiting'
          AND connection NOT AMONG :paused AND connection || '/' || kind NOT AMONG :paused
    """
)
_REPLAYED = Statement(
    """
    UPDATE dead_letters SET state = 'replayed', replays = replays + 1, replayed_at = :now
    WHERE replay_id = :id AND state = 'queued' AND id IN (
        SELECT l.id FROM replay_items m
        JOIN dead_letters l ON l.connection = m.connection AND l.kind = m.kind AND l.external_id = m.external_id
        WHERE m.replay_id = :id AND m.letter_id = 0 AND m.id BETWEEN :first AND :last AND m.state = 'sent')
    """
)


def send(
    conn: Connection, id: int, count: int, now: datetime, paused: Collection[str] = ()
) -> tuple[list[ItemKey], Member | None]:
    """Owe the next items again and mark their letters as replayed; returns the items, to be enqueued.

    Members of ``paused`` connections (``shop``) and kinds (``shop/vendor``) wait. The items end before the first
    member that is about no item; if that is the very next member, it is returned instead.
    """
    excluded = bound_list(conn, sorted(paused))
    ready = [Member(*row) for row in _NEXT.run(conn, {"id": id, "count": count, "paused": excluded})]
    items = list(takewhile(lambda member: not member.letter_id, ready))
    if not items:
        return [], ready[0] if ready else None
    ((mark,),) = _NEWEST.run(conn, {})
    params = {"id": id, "first": items[0].id, "last": items[-1].id, "now": now}
    _MARK.run(conn, {**params, "mark": mark, "paused": excluded})
    _REPLAYED.run(conn, params)
    keys = [member.key for member in items]
    owed.revive_all(conn, keys, Cause.REPLAY, now)
    return keys, None


_SENDING = Statement(
    """
    UPDATE replay_items SET state = 'sending', sent_at = :now WHERE id = :member AND state IN ('waiting', 'sending')
    """
)
_LETTER_SENT = Statement(
    """
    UPDATE dead_letters SET state = 'replayed', replays = replays + 1, replayed_at = :now
    WHERE id = :letter AND state = 'queued'
    """
)
_END_MEMBER = Statement("UPDATE replay_items SET state = :state, error = :error, ended_at = :now WHERE id = :member")
_UNFINISHED = Statement(
    """
    SELECT id, connection, kind, external_id, letter_id FROM replay_items
    WHERE replay_id = :id AND state = 'sending' ORDER BY id LIMIT 1
    """
)


def sending(conn: Connection, member: Member, now: datetime) -> None:
    """Mark a message without item as on its way, and its letter as replayed; after a crash ``unfinished`` finds it."""
    _SENDING.run(conn, {"member": member.id, "now": now})
    _LETTER_SENT.run(conn, {"letter": member.letter_id, "now": now})


def unfinished(conn: Connection, id: int) -> Member | None:
    """A message without item that is on its way: its sender may have crashed."""
    rows = _UNFINISHED.run(conn, {"id": id})
    return Member(*rows[0]) if rows else None


def end_member(conn: Connection, member_id: int, error: str | None, now: datetime) -> None:
    """Mark a member as done, or as failed if there is an ``error``."""
    state = "done" if error is None else "failed"
    _END_MEMBER.run(conn, {"member": member_id, "state": state, "error": error, "now": now})


_OVERDUE = Statement(
    """
    UPDATE replays SET hinted_at = :now WHERE id IN (
        SELECT id FROM replays
        WHERE (status = 'idle' OR (status = 'running' AND lease_until <= :now))
              AND (hinted_at IS NULL OR hinted_at <= :before)
        FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)


def overdue(conn: Connection, now: datetime, requeue_after: float) -> list[int]:
    """Replays that no worker drives and that were not enqueued for ``requeue_after`` seconds; they count as enqueued now."""
    rows = _OVERDUE.run(conn, {"now": now, "before": now - timedelta(seconds=requeue_after)})
    return sorted(id for (id,) in rows)
