"""What a person should know, once: alerts, open until what they speak of is over, and whether they were told."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, select
from sqlmodel import SQLModel

from app.stores import tables
from app.stores.sql.statements import Statement

_ALERTS = SQLModel.metadata.tables[str(tables.Alert.__tablename__)]

_RAISE = Statement(
    """
    INSERT INTO alerts (key, connection, severity, title, detail, opened_at, closed_at)
    VALUES (:key, :connection, :severity, :title, :detail, :now, :closed_at)
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_RENEW = Statement(
    """
    UPDATE alerts SET title = :title, detail = :detail, severity = :severity
    WHERE key = :key AND closed_at IS NULL AND (title <> :title OR detail <> :detail OR severity <> :severity)
    """
)
_CLOSE = Statement("UPDATE alerts SET closed_at = :now WHERE key = :key AND closed_at IS NULL RETURNING id")
_DUE = "told_at IS NULL AND (claimed_until IS NULL OR claimed_until <= :now)"
_CLAIM = Statement(
    f"""
    UPDATE alerts SET claimed_until = :until WHERE id = (SELECT id FROM alerts WHERE {_DUE} ORDER BY id LIMIT 1) AND {_DUE}
    RETURNING id
    """
)
_TOLD = Statement("UPDATE alerts SET told_at = :now WHERE id = :id")


def raise_(
    conn: Connection,
    key: str,
    *,
    title: str,
    detail: str,
    severity: str,
    now: datetime,
    connection: str | None = None,
    over: bool = False,
) -> bool:
    """Raise an alert; ``False`` while one with this key is open, which then says what is so now. One that is ``over``
    is closed at once."""
    texts = {"key": key, "severity": severity, "title": title, "detail": detail}
    raised = {**texts, "connection": connection, "now": now, "closed_at": now if over else None}
    if _RAISE.run(conn, raised):
        return True
    _RENEW.run(conn, texts)
    return False


def close(conn: Connection, key: str, now: datetime) -> dict[str, Any] | None:
    """Close the open alert with this key and return it; ``None`` when there is none."""
    rows = _CLOSE.run(conn, {"key": key, "now": now})
    return get(conn, rows[0][0]) if rows else None


def claim(conn: Connection, now: datetime, until: datetime) -> dict[str, Any] | None:
    """The next alert that was not told, ours to tell until then; after that somebody else may."""
    rows = _CLAIM.run(conn, {"now": now, "until": until})
    return None if not rows else get(conn, rows[0][0])


def told(conn: Connection, id: int, now: datetime) -> None:
    """It was told."""
    _TOLD.run(conn, {"id": id, "now": now})


def get(conn: Connection, id: int) -> dict[str, Any] | None:
    """One alert."""
    row = conn.execute(select(_ALERTS).where(_ALERTS.c.id == id)).mappings().first()
    return None if row is None else dict(row)


def open_keys(conn: Connection, beginning: str) -> list[str]:
    """The keys of open alerts that begin so."""
    wanted = (_ALERTS.c.closed_at.is_(None), _ALERTS.c.key.startswith(beginning, autoescape=True))
    return [str(key) for (key,) in conn.execute(select(_ALERTS.c.key).where(*wanted))]


def latest(
    conn: Connection, *, connections: frozenset[str] | None = None, limit: int = 50, before_id: int | None = None
) -> list[dict[str, Any]]:
    """Alerts, newest first."""
    query = select(_ALERTS).order_by(_ALERTS.c.id.desc()).limit(limit)
    if connections is not None:
        query = query.where(_ALERTS.c.connection.in_(sorted(connections)))
    if before_id is not None:
        query = query.where(_ALERTS.c.id < before_id)
    return [dict(row) for row in conn.execute(query).mappings()]
