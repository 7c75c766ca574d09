"""Outages: times in which no delivery of a connection came though some should have, and what was done about each."""

from datetime import datetime
from typing import NamedTuple

from sqlalchemy import Connection, select, update

from app.stores import tables
from app.stores.inbox.rows import Outage
from app.stores.sql.columns import moment_from
from app.stores.sql.matching import newest, seen_by
from app.stores.sql.statements import Statement

_GAPS = tables.core(tables.Outage)
_SELECT = select(*(_GAPS.c[name] for name in Outage.__struct_fields__))

_OPEN = Statement(
    """
    INSERT INTO gaps (connection, reason, state, began_at, ended_at, expected, missed, replayed, found_at)
    SELECT :connection, :reason, 'open', :began_at, :ended_at, :expected, 0, 0, :now
    WHERE NOT EXISTS (SELECT 1 FROM gaps WHERE connection = :connection AND began_at = :began_at)
    ON CONFLICT DO NOTHING RETURNING id
    """,
    postgresql="""
    INSERT INTO gaps (connection, reason, state, began_at, ended_at, expected, missed, replayed, found_at)
    SELECT :connection::text, :reason::text, 'open', :began_at::timestamptz, :ended_at::timestamptz, :expected::int, 0, 0,
           :now::timestamptz
    WHERE NOT EXISTS (SELECT 1 FROM gaps WHERE connection = :connection::text AND began_at = :began_at::timestamptz)
    ON CONFLICT DO NOTHING RETURNING id
    """,
)
_CLAIM = Statement(
    "UPDATE gaps SET tried_at = :now WHERE id = :id AND state = 'open' AND (tried_at IS NULL OR tried_at <= :before)"
)
_COUNT = Statement(
    """
    SELECT count(*) FROM inbox_events
    WHERE connection = :connection AND received_at >= :since AND received_at < :until
    """
)
_FIRST = Statement(
    "SELECT min(received_at) FROM inbox_events WHERE connection = :connection AND received_at >= :since"
)
_MARKED = "received_at >= :since AND headers = :marked"
_SAME = "o.connection = e.connection AND o.kind = i.value ->> 0 AND o.external_id = i.value ->> 1"
_NAMING = f"""
    SELECT count(*) FROM inbox_events e WHERE {_MARKED} AND EXISTS (
        SELECT 1 FROM {{items}} JOIN {{table}} o ON {_SAME} {{condition}})
"""


def _naming(table: str, condition: str = "") -> Statement:
    """How many deliveries name an item that is in a table."""
    sqlite, postgresql = (
        _NAMING.format(items=items, table=table, condition=condition)
        for items in ("json_each(e.items) i", "json_array_elements(e.items::json) AS i(value)")
    )
    return Statement(sqlite, postgresql=postgresql)


_OWED = _naming("owed_items")
_DIED = _naming("dead_letters", "AND o.state = 'dead' AND o.died_at >= :since")
_FINISH = Statement(
    """
    UPDATE gaps SET replayed = :replayed, note = :note
    WHERE id = :id AND state = 'filled' AND replayed < missed AND note IS NULL
    """
)


def open_(
    conn: Connection,
    connection: str,
    reason: str,
    *,
    began_at: datetime,
    ended_at: datetime | None,
    expected: int,
    now: datetime,
) -> int | None:
    """A new open outage; ``None`` if it is known, or another one of the connection is open."""
    values = {"connection": connection, "reason": reason, "began_at": began_at, "ended_at": ended_at}
    rows = _OPEN.run(conn, {**values, "expected": expected, "now": now})
    return int(rows[0][0]) if rows else None


def claim(conn: Connection, id: int, now: datetime, before: datetime) -> bool:
    """Claim an outage to heal it now; ``False`` if somebody tried after ``before``."""
    return _CLAIM.count(conn, {"id": id, "now": now, "before": before}) == 1


def save(conn: Connection, outage: Outage) -> None:
    """Write what healing changes: state, end, number of missed deliveries, and note."""
    values = {name: getattr(outage, name) for name in ("state", "ended_at", "closed_at", "missed", "note")}
    conn.execute(update(_GAPS).where(_GAPS.c.id == outage.id).values(values))


def latest(
    conn: Connection, *, connections: frozenset[str] | None = None, limit: int = 50, before_id: int | None = None
) -> list[Outage]:
    """Outages, newest first; ``before_id`` continues after the last one of the previous page."""
    query = newest(_SELECT.where(seen_by(_GAPS.c.connection, connections)), _GAPS.c.id, limit, before_id)
    return [Outage(**row) for row in conn.execute(query).mappings()]


def unfinished(conn: Connection) -> list[Outage]:
    """Outages that are open, or whose deliveries are not all settled or dead."""
    waiting = (_GAPS.c.replayed < _GAPS.c.missed) & _GAPS.c.note.is_(None)
    query = _SELECT.where((_GAPS.c.state == "open") | ((_GAPS.c.state == "filled") & waiting)).order_by(_GAPS.c.id)
    return [Outage(**row) for row in conn.execute(query).mappings()]


def heard(conn: Connection, connection: str, since: datetime, until: datetime) -> int:
    """How many deliveries of a connection came between two moments."""
    return int(_COUNT.run(conn, {"connection": connection, "since": since, "until": until})[0][0])


def first_heard(conn: Connection, connection: str, since: datetime) -> datetime | None:
    """When the first delivery of a connection came since then."""
    return moment_from(_FIRST.run(conn, {"connection": connection, "since": since})[0][0])


class Unsettled(NamedTuple):
    """How many of the deliveries that filled an outage name an item that is still ``owed``, or that ``died`` since."""

    owed: int
    died: int


def unsettled(conn: Connection, since: datetime, marked: str) -> Unsettled:
    """Counts among the deliveries since then that have exactly these headers (JSON text)."""
    params = {"since": since, "marked": marked}
    return Unsettled(int(_OWED.run(conn, params)[0][0]), int(_DIED.run(conn, params)[0][0]))


def finish(conn: Connection, id: int, *, replayed: int, note: str | None) -> bool:
    """Write how many deliveries of a filled outage were replayed; ``True`` for the caller that is first."""
    return _FINISH.count(conn, {"id": id, "replayed": replayed, "note": note}) == 1
