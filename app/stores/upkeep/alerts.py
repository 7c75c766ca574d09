"""Alerts: what a person should know, whether it is over, and whether a mail was sent."""

from collections.abc import Iterable
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, select

from app.stores import tables
from app.stores.sql.matching import newest, seen_by
from app.stores.sql.statements import Statement

_ALERTS = tables.core(tables.Alert)

FLAPPING = timedelta(hours=1)
"""Trouble that comes back this soon after its end is the same trouble, which people know already."""

LASTING = timedelta(minutes=15)
"""How long trouble that came back must last before people are notified again."""


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """An alert (``tables.Alert`` explains the columns); ``told_at`` is when somebody was notified."""

    id: int
    key: str
    connection: str | None
    severity: str
    title: str
    detail: str
    opened_at: datetime
    closed_at: datetime | None
    told_at: datetime | None
    claimed_until: datetime | None


_RAISE = Statement(
    """
    INSERT INTO alerts (key, connection, severity, title, detail, opened_at, closed_at)
    VALUES (:key, :connection, :severity, :title, :detail, :now, :closed_at)
    ON CONFLICT DO NOTHING RETURNING id
    """
)
_UPDATE = Statement(
    """
    UPDATE alerts SET title = :title, detail = :detail, severity = :severity
    WHERE key = :key AND closed_at IS NULL AND (title <> :title OR detail <> :detail OR severity <> :severity)
    """
)
_CLOSE = Statement("UPDATE alerts SET closed_at = :now WHERE key = :key AND closed_at IS NULL RETURNING id")
_CAME_BACK = """
    SELECT id FROM alerts AS earlier
    WHERE earlier.key = alerts.key AND earlier.id < alerts.id AND earlier.closed_at > :ended_after
          AND alerts.key NOT LIKE '%over'
"""
_DUE = "told_at IS NULL AND (claimed_until IS NULL OR claimed_until <= :now)"
_CLAIM = Statement(
    f"""
    UPDATE alerts SET claimed_until = :until
    WHERE id = (
        SELECT id FROM alerts
        WHERE {_DUE} AND (opened_at <= :opened_by OR NOT EXISTS ({_CAME_BACK})) ORDER BY id LIMIT 1
    ) AND {_DUE}
    RETURNING id
    """
)
_FORGET = Statement(
    f"UPDATE alerts SET told_at = :now WHERE id = :id AND told_at IS NULL AND EXISTS ({_CAME_BACK}) RETURNING id"
)
_NOTIFIED = Statement("UPDATE alerts SET told_at = :now WHERE id = :id")


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
    """Raise an alert; if one with this key is open, update its texts and return ``False``. An alert that is ``over`` is
    closed at once."""
    texts = {"key": key, "severity": severity, "title": title, "detail": detail}
    if _RAISE.run(conn, {**texts, "connection": connection, "now": now, "closed_at": now if over else None}):
        return True
    _UPDATE.run(conn, texts)
    return False


def close(conn: Connection, key: str, now: datetime) -> Alert | None:
    """Close the open alert with this key and return it; ``None`` if there is none."""
    rows = _CLOSE.run(conn, {"key": key, "now": now})
    return get(conn, rows[0][0]) if rows else None


def claim(conn: Connection, now: datetime, until: datetime) -> Alert | None:
    """Claim the next alert that nobody was notified of; after ``until`` another process may claim it. Trouble that came
    back within ``FLAPPING`` waits until it has lasted for ``LASTING``."""
    times = {"ended_after": now - FLAPPING - LASTING, "opened_by": now - LASTING}
    rows = _CLAIM.run(conn, {"now": now, "until": until, **times})
    return None if not rows else get(conn, rows[0][0])


def settle_short(conn: Connection, alert: Alert, now: datetime) -> bool:
    """Mark an alert that ended before anybody was notified as done, if its trouble had come back within ``FLAPPING``;
    returns whether it had."""
    return bool(_FORGET.run(conn, {"id": alert.id, "now": now, "ended_after": alert.opened_at - FLAPPING}))


def mark_notified(conn: Connection, id: int, now: datetime) -> None:
    """Record that somebody was notified of an alert."""
    _NOTIFIED.run(conn, {"id": id, "now": now})


def get(conn: Connection, id: int) -> Alert | None:
    """The alert with this id."""
    row = conn.execute(select(_ALERTS).where(_ALERTS.c.id == id)).mappings().first()
    return None if row is None else Alert(**row)


def open_keys(conn: Connection, prefix: str) -> list[str]:
    """The keys of open alerts that begin with a prefix."""
    conditions = (_ALERTS.c.closed_at.is_(None), _ALERTS.c.key.startswith(prefix, autoescape=True))
    return list(conn.execute(select(_ALERTS.c.key).where(*conditions)).scalars())


def open_beside(conn: Connection, connections: Iterable[str]) -> list[str]:
    """The keys of open alerts about any other connection than these."""
    other = _ALERTS.c.connection.not_in(sorted(connections))
    return list(conn.execute(select(_ALERTS.c.key).where(_ALERTS.c.closed_at.is_(None), other)).scalars())


def latest(
    conn: Connection, *, connections: frozenset[str] | None = None, limit: int = 50, before_id: int | None = None
) -> list[Alert]:
    """Alerts, newest first."""
    query = select(_ALERTS).where(seen_by(_ALERTS.c.connection, connections))
    return [Alert(**row) for row in conn.execute(newest(query, _ALERTS.c.id, limit, before_id)).mappings()]
