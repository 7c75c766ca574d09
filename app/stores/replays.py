"""Replays as rows: opened with everything they are to send, leased by whoever drives them, judged by what came of it.

Each step is one transaction, so a crash between any two lines neither loses nor doubles a letter.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, func, insert, select, update
from sqlmodel import SQLModel

from app.domain import Cause, ItemKey, Kind, batches
from app.stores import owed, tables
from app.stores.statements import Statement, bound_list

_REPLAYS = SQLModel.metadata.tables[str(tables.Replay.__tablename__)]
_LETTERS = SQLModel.metadata.tables[str(tables.DeadLetter.__tablename__)]
_ITEMS = SQLModel.metadata.tables[str(tables.ReplayItem.__tablename__)]

STATES = ("waiting", "sending", "sent", "done", "failed", "left", "skipped")


class Member(NamedTuple):
    """A member of a replay that is about no item: which letter, and the message it came from."""

    id: int
    letter_id: int


def open_(
    conn: Connection, *, of: str, name: str, filter: str, rate: int, canary: bool, asked_by: str, now: datetime
) -> int:
    """A new idle replay without members; returns its number."""
    row = {"of": of, "name": name, "filter": filter, "rate": rate, "canary": canary, "asked_by": asked_by}
    more = {"status": "idle", "letters": 0, "items": 0, "asked_at": now}
    return int(conn.execute(insert(_REPLAYS).values(**row, **more).returning(_REPLAYS.c.id)).scalar_one())


# In the order in which they died first; a letter without item is a member by itself.
_MEMBERS = Statement(
    """
    INSERT INTO replay_items (replay_id, connection, kind, external_id, letter_id, state, mark)
    SELECT :id, coalesce(connection, ''), coalesce(kind, ''), coalesce(external_id, ''),
           CASE WHEN external_id IS NULL THEN id ELSE 0 END AS letter, 'waiting', 0
    FROM dead_letters WHERE replay_id = :id AND state = 'queued'
    GROUP BY 2, 3, 4, 5 ORDER BY min(id)
    """
)
_COUNTED = Statement(
    "UPDATE replays SET letters = :letters, items = (SELECT count(*) FROM replay_items WHERE replay_id = :id) WHERE id = :id"
)


def add_letters(conn: Connection, id: int, found: Sequence[ColumnElement[bool]]) -> int:
    """Queue the dead letters that the conditions match; their items become members, each once. Returns how many
    letters."""
    queued = update(_LETTERS).where(*found, _LETTERS.c.state == "dead").values(state="queued", replay_id=id)
    letters = conn.execute(queued).rowcount
    _MEMBERS.run(conn, {"id": id})
    _COUNTED.run(conn, {"id": id, "letters": letters})
    return int(letters)


def add_items(conn: Connection, id: int, keys: Sequence[ItemKey]) -> None:
    """Make these items members, each once, in this order."""
    for some in batches(list(dict.fromkeys(keys)), 1_000):
        rows = [{**key._asdict(), "replay_id": id, "letter_id": 0, "state": "waiting", "mark": 0} for key in some]
        conn.execute(insert(_ITEMS), rows)
    _COUNTED.run(conn, {"id": id, "letters": 0})


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


def start(conn: Connection, id: int, token: str, lease: float, now: datetime) -> dict[str, Any] | None:
    """Lease an idle replay, or one whose driver is gone, for ``lease`` seconds; ``None`` when there is nothing to do."""
    leased = {"id": id, "token": token, "until": now + timedelta(seconds=lease), "now": now}
    return get(conn, id) if _START.run(conn, leased) else None


def hold(conn: Connection, id: int, token: str, until: datetime) -> bool:
    """Keep the lease; ``False`` when the replay is ours no longer: the transaction must do nothing more."""
    return _HOLD.count(conn, {"id": id, "token": token, "until": until}) == 1


def give_way(conn: Connection, id: int, token: str, now: datetime) -> None:
    """Let somebody else go on with it at once."""
    _YIELD.run(conn, {"id": id, "token": token, "now": now})


def end(conn: Connection, id: int, status: str, reason: str | None, now: datetime) -> bool:
    """Close a replay as ``completed``, ``stopped`` or ``aborted``; what it had not come to waits for a person again.

    ``False`` when it was over.
    """
    if _END.count(conn, {"id": id, "status": status, "reason": reason, "now": now}) == 0:
        return False
    _LEAVE.run(conn, {"id": id, "now": now})
    _UNQUEUE.run(conn, {"id": id})
    return True


_NEWEST = Statement("SELECT coalesce(max(id), 0) FROM settlements")
_NEXT_SQL = """
    SELECT id, connection, kind, external_id, letter_id FROM replay_items
    WHERE replay_id = :id AND state = 'waiting' AND {not_paused} ORDER BY id LIMIT :count
"""
_MARK_SQL = """
    UPDATE replay_items SET state = 'sent', mark = :mark, sent_at = :now
    WHERE replay_id = :id AND letter_id = 0 AND id BETWEEN :first AND :last AND state = 'waiting' AND {not_paused}
"""
_NOT_PAUSED = "connection NOT IN (SELECT value FROM json_each(:paused))"
_NOT_PAUSED_POSTGRESQL = "connection <> ALL(:paused::text[])"
_NEXT, _MARK = (
    Statement(
        sql.format(not_paused=_NOT_PAUSED),
        postgresql=sql.format(not_paused=_NOT_PAUSED_POSTGRESQL),
    )
    for sql in (_NEXT_SQL, _MARK_SQL)
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
    """Owe the next items again, in one transaction with their letters' mark; returns them, to be woken.

    Items of ``paused`` connections wait. The others end before the first member that is about no item; if that is the
    very next one it is returned instead.
    """
    without = bound_list(conn, sorted(paused))
    ready = _NEXT.run(conn, {"id": id, "count": count, "paused": without})
    items = []
    for row in ready:
        if row[4]:
            break
        items.append(row)
    if not items:
        return [], Member(ready[0][0], ready[0][4]) if ready else None
    ((mark,),) = _NEWEST.run(conn, {})
    keys = [ItemKey(connection, Kind(kind), external_id) for _, connection, kind, external_id, _ in items]
    told = {"id": id, "first": items[0][0], "last": items[-1][0], "now": now, "mark": mark}
    _MARK.run(conn, {**told, "paused": without})
    _REPLAYED.run(conn, told)
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
    "SELECT id, letter_id FROM replay_items WHERE replay_id = :id AND state = 'sending' ORDER BY id LIMIT 1"
)


def sending(conn: Connection, member: Member, now: datetime) -> None:
    """Mark a message without item as on its way, and its letter as replayed: after a crash it is found here again."""
    _SENDING.run(conn, {"member": member.id, "now": now})
    _LETTER_SENT.run(conn, {"letter": member.letter_id, "now": now})


def unfinished(conn: Connection, id: int) -> Member | None:
    """A message without item whose sender may have died over it."""
    rows = _UNFINISHED.run(conn, {"id": id})
    return Member(*rows[0]) if rows else None


def end_member(conn: Connection, member_id: int, error: str | None, now: datetime) -> None:
    """A member is done, or failed with an error."""
    state = "done" if error is None else "failed"
    _END_MEMBER.run(conn, {"member": member_id, "state": state, "error": error, "now": now})


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


_LEFT = "(status = 'idle' OR (status = 'running' AND lease_until <= :now)) AND (hinted_at IS NULL OR hinted_at <= :before)"
_OVERDUE = Statement(
    f"UPDATE replays SET hinted_at = :now WHERE {_LEFT} RETURNING id",
    postgresql=f"""
    WITH left_alone AS MATERIALIZED (SELECT id FROM replays WHERE {_LEFT} FOR UPDATE SKIP LOCKED)
    UPDATE replays SET hinted_at = :now FROM left_alone WHERE replays.id = left_alone.id RETURNING replays.id
    """,
)


def overdue(conn: Connection, now: datetime, rehint_after: float) -> list[int]:
    """Replays that nobody drives, not hinted for ``rehint_after`` seconds; they count as hinted now."""
    rows = _OVERDUE.run(conn, {"now": now, "before": now - timedelta(seconds=rehint_after)})
    return sorted(id for (id,) in rows)


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
