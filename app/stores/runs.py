"""Bulk syncs as rows with leases: one per slot, one active per connection, taken over when a worker dies."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

import msgspec
from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from app.stores import tables
from app.stores.statements import Statement

_RUNS = SQLModel.metadata.tables[str(tables.Run.__tablename__)]

_OPEN = Statement(
    """
    INSERT INTO runs (connection, strategy, cause, status, slot, created_at, kills, counts, calls)
    VALUES (:connection, :strategy, :cause, 'idle', :slot, :now, 0, '{}', 0)
    ON CONFLICT DO NOTHING RETURNING id
    """
)


def open_run(
    conn: Connection, *, connection: str, strategy: str, cause: str, slot: datetime | None, now: datetime
) -> int | None:
    """A new idle run; ``None`` when the connection has an active one already or the slot was used."""
    asked = {"connection": connection, "strategy": strategy, "cause": cause, "slot": slot, "now": now}
    rows = _OPEN.run(conn, asked)
    return int(rows[0][0]) if rows else None


_START = Statement(
    """
    UPDATE runs SET status = 'running', token = :token, lease_until = :until, hinted_at = NULL,
           started_at = coalesce(started_at, :now), kills = kills + CASE WHEN status = 'running' THEN 1 ELSE 0 END
    WHERE id = :id AND (status = 'idle' OR (status = 'running' AND lease_until <= :now))
    RETURNING id
    """
)
_MINE = "id = :id AND token = :token AND status = 'running'"
_HEARTBEAT = Statement(f"UPDATE runs SET lease_until = :until WHERE {_MINE}")
_FINISH = Statement(
    f"""
    UPDATE runs SET status = :status, finished_at = :now, counts = :counts, calls = :calls, error = :error,
           token = NULL, lease_until = NULL
    WHERE {_MINE}
    """
)
_CANCEL = Statement(
    """
    UPDATE runs SET status = 'cancelled', finished_at = :now, token = NULL, lease_until = NULL
    WHERE id = :id AND status IN ('idle', 'running')
    """
)


def start(conn: Connection, run_id: int, token: str, lease: float, now: datetime) -> dict[str, Any] | None:
    """Lease an idle run for ``lease`` seconds, or take over one whose lease expired (a ``kill``).

    Returns the run, or ``None`` when it is over or somebody else's.
    """
    leased = {"id": run_id, "token": token, "until": now + timedelta(seconds=lease), "now": now}
    return get(conn, run_id) if _START.run(conn, leased) else None


def heartbeat(conn: Connection, run_id: int, token: str, until: datetime) -> bool:
    """Keep a run until a later moment; ``False`` when it is ours no longer (cancelled or taken over): stop."""
    return _HEARTBEAT.count(conn, {"id": run_id, "token": token, "until": until}) == 1


def finish(
    conn: Connection,
    run_id: int,
    token: str,
    status: str,
    counts: Mapping[str, Any],
    calls: int,
    error: str | None,
    now: datetime,
) -> bool:
    """Close a run as ``completed``, ``failed`` or ``cancelled``; ``False`` when it was ours no longer."""
    told = {"id": run_id, "token": token, "status": status, "calls": calls, "error": error, "now": now}
    return _FINISH.count(conn, {**told, "counts": msgspec.json.encode(counts).decode()}) == 1


def cancel(conn: Connection, run_id: int, now: datetime) -> bool:
    """Cancel an active run; its worker learns of it at its next heartbeat. ``False`` when it was over."""
    return _CANCEL.count(conn, {"id": run_id, "now": now}) == 1


_LEFT = """
    (status = 'idle' OR (status = 'running' AND lease_until <= :now)) AND (hinted_at IS NULL OR hinted_at <= :before)
"""
_OVERDUE = Statement(
    f"UPDATE runs SET hinted_at = :now WHERE {_LEFT} RETURNING id",
    postgresql=f"""
    WITH waiting AS MATERIALIZED (SELECT id FROM runs WHERE {_LEFT} FOR UPDATE SKIP LOCKED)
    UPDATE runs SET hinted_at = :now FROM waiting WHERE runs.id = waiting.id RETURNING runs.id
    """,
)


def overdue(conn: Connection, now: datetime, rehint_after: float) -> list[int]:
    """Active runs nobody works on, not hinted for ``rehint_after`` seconds; they count as hinted now."""
    rows = _OVERDUE.run(conn, {"now": now, "before": now - timedelta(seconds=rehint_after)})
    return sorted(id for (id,) in rows)


def get(conn: Connection, run_id: int) -> dict[str, Any] | None:
    """One run, ``counts`` as a mapping."""
    row = conn.execute(select(_RUNS).where(_RUNS.c.id == run_id)).mappings().first()
    return None if row is None else _decoded(row)


def latest(
    conn: Connection, connection: str | None = None, strategy: str | None = None, limit: int = 20
) -> list[dict[str, Any]]:
    """The newest runs first, of one connection or all, of one strategy or all."""
    query = select(_RUNS).order_by(_RUNS.c.id.desc()).limit(limit)
    if connection is not None:
        query = query.where(_RUNS.c.connection == connection)
    if strategy is not None:
        query = query.where(_RUNS.c.strategy == strategy)
    return [_decoded(row) for row in conn.execute(query).mappings()]


def _decoded(row: Any) -> dict[str, Any]:
    return {**row, "counts": msgspec.json.decode(row["counts"])}
