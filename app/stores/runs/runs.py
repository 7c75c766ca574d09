"""Bulk syncs as rows with leases: one per slot, one active per connection, taken over when a worker dies."""

import sqlite3
from collections.abc import Collection, Mapping
from datetime import datetime, timedelta
from typing import Any

import psycopg
from sqlalchemy import Connection, select
from sqlalchemy.exc import IntegrityError

from app.domain import Options
from app.rules.runs.checkpoint import Checkpoint
from app.rules.runs.kind_counts import KindCounts
from app.rules.runs.progress import Progress
from app.stores.owed import NEVER
from app.stores.runs.run_row import RUNS, Run, run_of
from app.stores.sql.statements import Statement, bound_list, json_text

NO_OPTIONS = Options()

CLASHES: tuple[type[Exception], ...] = (IntegrityError, psycopg.IntegrityError, sqlite3.IntegrityError)
"""The errors with which the database refuses the second of two runs of a connection that become active at the same time."""

_OPEN = Statement(
    """
    INSERT INTO runs (connection, strategy, cause, status, slot, created_at, kills, counts, calls, dry, options,
                      progress, checkpoint)
    VALUES (:connection, :strategy, :cause, 'idle', :slot, :now, 0, '{}', 0, :dry, :options, '{}', '{}')
    ON CONFLICT DO NOTHING RETURNING id
    """
)


def open_run(
    conn: Connection,
    *,
    connection: str,
    strategy: str,
    cause: str,
    slot: datetime | None,
    now: datetime,
    options: Options = NO_OPTIONS,
) -> int | None:
    """A new idle run; ``None`` when the connection has an active one already or the slot was used."""
    params = {
        "connection": connection,
        "strategy": str(strategy),
        "cause": cause,
        "slot": slot,
        "now": now,
        "dry": options.dry_run,
        "options": json_text(options),
    }
    rows = _OPEN.run(conn, params)
    if not rows:
        return None
    run_id = int(rows[0][0])
    _inherit(conn, run_id, connection, strategy, options, now - INHERIT_WITHIN)
    return run_id


_STUCK_ERROR = "stuck: its worker gave no sign of life for {:g} s; the next such run goes on where it stopped"
_INHERIT = Statement(
    """
    UPDATE runs SET (checkpoint, progress, counts) = (
        SELECT checkpoint, progress, counts FROM runs WHERE id = :stuck)
    WHERE id = :id
    """
)
_INHERIT_PAGES = Statement("UPDATE run_pages SET run_id = :id WHERE run_id = :stuck")
_PREDECESSOR = Statement(
    """
    SELECT id, error FROM runs
    WHERE connection = :connection AND strategy = :strategy AND options = :options AND id < :id AND created_at >= :since
    ORDER BY id DESC LIMIT 1
    """
)
INHERIT_WITHIN = timedelta(days=1)
"""A run that was requested longer ago than this leaves nothing to its successor."""


def _inherit(
    conn: Connection, run_id: int, connection: str, strategy: str, options: Options, since: datetime
) -> None:
    """Let the successor of a stuck run go on where that one stopped."""
    same = {"connection": connection, "strategy": str(strategy), "options": json_text(options)}
    rows = _PREDECESSOR.run(conn, {**same, "id": run_id, "since": since})
    if rows and (rows[0][1] or "").startswith("stuck:"):
        ids = {"id": run_id, "stuck": rows[0][0]}
        _INHERIT.run(conn, ids)
        _INHERIT_PAGES.run(conn, ids)


_START = Statement(
    """
    UPDATE runs SET status = 'running', token = :token, lease_until = :until, hinted_at = NULL,
           started_at = coalesce(started_at, :now), kills = kills + CASE
               WHEN status = 'running' AND lease_until < :since THEN 1 ELSE 0 END
    WHERE id = :id AND (status = 'idle' OR (status = 'running' AND lease_until <= :now))
    RETURNING id
    """
)
_MINE = "id = :id AND token = :token AND status = 'running'"
_HEARTBEAT = Statement(f"UPDATE runs SET lease_until = :until WHERE {_MINE}")
_GIVE_BACK = Statement(
    f"UPDATE runs SET status = 'idle', token = NULL, lease_until = NULL, hinted_at = NULL WHERE {_MINE}"
)
_FINISH = Statement(
    f"""UPDATE runs SET status = :status, finished_at = :now, error = :error, token = NULL, lease_until = NULL
    WHERE {_MINE}"""
)
_SAVE = Statement(
    f"""
    UPDATE runs SET checkpoint = :checkpoint, progress = :progress, counts = :counts,
           calls = CASE WHEN :calls > calls THEN :calls ELSE calls END
    WHERE {_MINE}
    """
)
_CANCEL = Statement(
    """
    UPDATE runs SET status = 'cancelled', finished_at = :now, token = NULL, lease_until = NULL
    WHERE id = :id AND status IN ('idle', 'running')
    """
)
_RESUME = Statement(
    """
    UPDATE runs SET status = 'idle', finished_at = NULL, hinted_at = NULL, error = NULL, kills = 0
    WHERE id = :id AND status IN ('failed', 'cancelled')
      AND NOT EXISTS (SELECT 1 FROM runs o WHERE o.connection = runs.connection AND o.status IN ('idle', 'running'))
    """
)
_IS_STUCK = """
    status = 'running' AND lease_until <= :before AND connection NOT AMONG :resting
    AND (CAST(:connection AS TEXT) IS NULL OR connection = :connection)
"""
_FIND_STUCK = Statement(f"SELECT id FROM runs WHERE {_IS_STUCK} ORDER BY id")
_FAIL_STUCK = Statement(
    f"""
    UPDATE runs SET status = 'failed', finished_at = :now, error = :error, token = NULL, lease_until = NULL
    WHERE {_IS_STUCK} RETURNING id
    """
)
_REASON = Statement("UPDATE runs SET reason = :reason WHERE id = :id")


def start(
    conn: Connection,
    run_id: int,
    token: str,
    lease: float,
    now: datetime,
    blameless: datetime = NEVER,
) -> Run | None:
    """Lease an idle run for ``lease`` seconds, or take over one whose lease expired, which counts as a kill.

    A lease that expired since ``blameless``, while the database could not be reached to renew it, counts as none.
    Returns ``None`` when the run is over or leased to another worker.
    """
    leased = {"id": run_id, "token": token, "until": now + timedelta(seconds=lease), "now": now}
    return get(conn, run_id) if _START.run(conn, {**leased, "since": blameless}) else None


def heartbeat(conn: Connection, run_id: int, token: str, until: datetime) -> bool:
    """Extend a lease; ``False`` when the run is no longer ours (cancelled or taken over): stop."""
    return _HEARTBEAT.count(conn, {"id": run_id, "token": token, "until": until}) == 1


def give_back(conn: Connection, run_id: int, token: str) -> bool:
    """Let another worker continue from the checkpoint at once, without counting a kill; ``False`` when it was not ours."""
    return _GIVE_BACK.count(conn, {"id": run_id, "token": token}) == 1


def save(
    conn: Connection,
    run_id: int,
    token: str,
    *,
    checkpoint: Checkpoint,
    progress: Progress,
    counts: Mapping[str, KindCounts],
    calls: int,
) -> bool:
    """Save how far a run is; ``False`` when it is not ours any more: the transaction must then be rolled back."""
    columns = {"checkpoint": json_text(checkpoint), "progress": json_text(progress), "counts": json_text(counts)}
    return _SAVE.count(conn, {**columns, "id": run_id, "token": token, "calls": calls}) == 1


def finish(conn: Connection, run_id: int, token: str, status: str, error: str | None, now: datetime) -> bool:
    """Close a run as ``completed``, ``failed`` or ``cancelled``; ``False`` when it was no longer ours."""
    return _FINISH.count(conn, {"id": run_id, "token": token, "status": status, "error": error, "now": now}) == 1


def give_reason(conn: Connection, run_id: int, reason: str) -> None:
    """Save why a smart run chose its strategy."""
    _REASON.run(conn, {"id": run_id, "reason": reason})


def resume(conn: Connection, run_id: int) -> bool:
    """Make a failed or cancelled run idle again, so that it continues where it stopped; ``False`` when it is neither, or
    another run of the connection is active. Raises one of ``CLASHES`` when another run becomes active in this moment."""
    return _RESUME.count(conn, {"id": run_id}) == 1


def stuck(
    conn: Connection, now: datetime, after: float, *, resting: Collection[str] = (), connection: str | None = None
) -> list[int]:
    """The runs (of a connection) whose lease expired over ``after`` seconds ago and that no worker took over, except runs of
    ``resting`` connections, which no worker may take over."""
    return [id for (id,) in _FIND_STUCK.run(conn, _stuck_params(conn, now, after, resting, connection))]


def fail_stuck(
    conn: Connection, now: datetime, after: float, *, resting: Collection[str] = (), connection: str | None = None
) -> list[int]:
    """Fail the runs that are ``stuck``; returns their ids."""
    columns = {"now": now, "error": _STUCK_ERROR.format(after)}
    return [
        id for (id,) in _FAIL_STUCK.run(conn, {**columns, **_stuck_params(conn, now, after, resting, connection)})
    ]


def _stuck_params(
    conn: Connection, now: datetime, after: float, resting: Collection[str], connection: str | None
) -> dict[str, Any]:
    before = now - timedelta(seconds=after)
    return {"before": before, "resting": bound_list(conn, sorted(resting)), "connection": connection}


def active(conn: Connection, connection: str) -> Run | None:
    """The connection's run that is idle or running."""
    wanted = select(RUNS).where(RUNS.c.connection == connection, RUNS.c.status.in_(("idle", "running")))
    row = conn.execute(wanted).mappings().first()
    return None if row is None else run_of(row)


_IS_ACTIVE = Statement("SELECT 1 FROM runs WHERE connection = :connection AND status IN ('idle', 'running')")


def is_active(conn: Connection, connection: str) -> bool:
    """Whether a run of the connection is at work, or waits to begin or to continue."""
    return bool(_IS_ACTIVE.run(conn, {"connection": connection}))


def cancel(conn: Connection, run_id: int, now: datetime) -> bool:
    """Cancel an active run; its worker learns of it at its next heartbeat. ``False`` when it was over."""
    return _CANCEL.count(conn, {"id": run_id, "now": now}) == 1


_OVERDUE = Statement(
    """
    UPDATE runs SET hinted_at = :now WHERE id IN (
        SELECT id FROM runs
        WHERE (status = 'idle' OR (status = 'running' AND lease_until <= :now))
              AND (hinted_at IS NULL OR hinted_at <= :before)
        FOR UPDATE SKIP LOCKED)
    RETURNING id
    """
)


def overdue(conn: Connection, now: datetime, requeue_after: float) -> list[int]:
    """Active runs without a worker that had no message for ``requeue_after`` seconds; they count as enqueued from now on."""
    rows = _OVERDUE.run(conn, {"now": now, "before": now - timedelta(seconds=requeue_after)})
    return sorted(id for (id,) in rows)


def get(conn: Connection, run_id: int) -> Run | None:
    """The run of this id, if there is one."""
    row = conn.execute(select(RUNS).where(RUNS.c.id == run_id)).mappings().first()
    return None if row is None else run_of(row)


def latest(conn: Connection, connection: str | None = None, limit: int = 20) -> list[Run]:
    """Runs of one connection or all, newest first."""
    query = select(RUNS).order_by(RUNS.c.id.desc()).limit(limit)
    if connection is not None:
        query = query.where(RUNS.c.connection == connection)
    return [run_of(row) for row in conn.execute(query).mappings()]


def completed(conn: Connection, connection: str) -> list[Run]:
    """The newest 500 completed runs that were not dry runs, newest first."""
    wanted = select(RUNS).where(RUNS.c.connection == connection, RUNS.c.status == "completed", ~RUNS.c.dry)
    return [run_of(row) for row in conn.execute(wanted.order_by(RUNS.c.id.desc()).limit(500)).mappings()]
