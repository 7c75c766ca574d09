"""The last sign of life of each process, so that a person can see whether anybody is working."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection

from app.stores.statements import Statement

_BEAT = Statement(
    """
    INSERT INTO beats (process, role, started_at, seen_at) VALUES (:process, :role, :started_at, :now)
    ON CONFLICT (process) DO UPDATE
    SET role = excluded.role, started_at = excluded.started_at, seen_at = excluded.seen_at
    """
)
_ALIVE = Statement("SELECT count(*) FROM beats WHERE role = :role AND seen_at >= :since")


def beat(conn: Connection, process: str, role: str, started_at: datetime, now: datetime) -> None:
    """Say that a process lives."""
    _BEAT.run(conn, {"process": process, "role": role, "started_at": started_at, "now": now})


def alive(conn: Connection, role: str, since: datetime) -> int:
    """How many processes of a role gave a sign since then."""
    return int(_ALIVE.run(conn, {"role": role, "since": since})[0][0])
