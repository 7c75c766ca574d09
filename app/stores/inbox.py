"""Every delivery as it came: stored once, together with what it makes us owe, before it is acknowledged."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, func, select
from sqlmodel import SQLModel

from app.domain import Cause, Delivery, ItemKey, Kind
from app.stores import owed, tables
from app.stores.columns import moment_from
from app.stores.statements import Statement, is_sqlite, storable

_EVENTS = SQLModel.metadata.tables[str(tables.InboxEvent.__tablename__)]


@dataclass(frozen=True, slots=True)
class Arrival:
    """One verified delivery with everything that came with it."""

    connection: str
    delivery: Delivery
    headers: dict[str, str]
    body: bytes
    received_at: datetime


@dataclass
class Accepted:
    """What became of a batch. ``owed`` are the items that were not owed before: they need a wake-up."""

    new: int
    duplicates: int
    owed: list[ItemKey]


def accept(conn: Connection, arrivals: Sequence[Arrival]) -> Accepted:
    """Store a batch of deliveries and owe what the new ones changed; a delivery seen before changes nothing."""
    # In the order of their ids: two receivers handed the same deliveries must not wait for each other crosswise.
    distinct = {(arrival.connection, storable(arrival.delivery.event_id)): arrival for arrival in reversed(arrivals)}
    batch = dict(sorted(distinct.items()))
    fresh = _insert_sqlite(conn, batch) if is_sqlite(conn) else _insert_postgresql(conn, batch)
    wanted: dict[ItemKey, owed.Wanted] = {}
    for arrival in fresh:
        if not arrival.delivery.ignored:
            for change in arrival.delivery.changes:
                owed.add(wanted, arrival.connection, change, arrival.received_at)
    return Accepted(len(fresh), len(arrivals) - len(fresh), owed.owe(conn, wanted, Cause.WEBHOOK))


_Batch = dict[tuple[str, str], Arrival]
_COLUMNS = "inbox_events (connection, event_id, type, received_at, occurred_at, verdict, items, headers, body)"
_KNOWN = Statement(
    """
    SELECT event_id FROM inbox_events
    WHERE connection = :connection AND event_id IN (SELECT value FROM json_each(:events))
    """
)
_INSERT = Statement(
    f"""
    INSERT INTO {_COLUMNS}
    VALUES (:connection, :event_id, :type, :received_at, :occurred_at, :verdict, :items, :headers, :body)
    """,
    postgresql=f"""
    INSERT INTO {_COLUMNS}
    SELECT * FROM unnest(:connection::text[], :event_id::text[], :type::text[], :received_at::timestamptz[],
        :occurred_at::timestamptz[], :verdict::text[], :items::text[], :headers::text[], :body::bytea[])
    ON CONFLICT (connection, event_id) DO NOTHING RETURNING connection, event_id
    """,
)


def _insert_postgresql(conn: Connection, batch: _Batch) -> list[Arrival]:
    rows = [_row(event_id, arrival) for (_, event_id), arrival in batch.items()]
    columns = {name: [row[name] for row in rows] for name in rows[0]} if rows else {}
    return [batch[connection, event_id] for connection, event_id in _INSERT.run(conn, columns)] if rows else []


def _insert_sqlite(conn: Connection, batch: _Batch) -> list[Arrival]:
    known: set[tuple[str, str]] = set()
    for connection in {connection for connection, _ in batch}:
        events = msgspec.json.encode([event_id for owner, event_id in batch if owner == connection]).decode()
        found = _KNOWN.run(conn, {"connection": connection, "events": events})
        known.update((connection, event_id) for (event_id,) in found)
    fresh = {key: arrival for key, arrival in batch.items() if key not in known}
    _INSERT.run_many(conn, [_row(event_id, arrival) for (_, event_id), arrival in fresh.items()])
    return list(fresh.values())


def _row(event_id: str, arrival: Arrival) -> dict[str, Any]:
    delivery = arrival.delivery
    return {
        "connection": arrival.connection,
        "event_id": event_id,
        "type": storable(delivery.type),
        "received_at": arrival.received_at,
        "occurred_at": delivery.occurred_at,
        "verdict": "ignored" if delivery.ignored else "accepted",
        "items": msgspec.json.encode([(change.kind, change.external_id) for change in delivery.changes]).decode(),
        "headers": msgspec.json.encode(arrival.headers).decode(),
        "body": arrival.body,
    }


# --- reading ---


def events(
    conn: Connection, *, connection: str | None = None, limit: int = 50, before_id: int | None = None
) -> list[dict[str, Any]]:
    """The latest deliveries, newest first, without headers and body but with the body's ``size`` in bytes.

    ``before_id`` continues after the last one of the page before; ``items`` is a list of ``[kind, external_id]``.
    """
    shown = [column for column in _EVENTS.c if column.name not in ("headers", "body")]
    query = select(*shown, func.length(_EVENTS.c.body).label("size")).order_by(_EVENTS.c.id.desc()).limit(limit)
    if connection is not None:
        query = query.where(_EVENTS.c.connection == connection)
    if before_id is not None:
        query = query.where(_EVENTS.c.id < before_id)
    return [{**row, "items": msgspec.json.decode(row["items"])} for row in conn.execute(query).mappings()]


def get(conn: Connection, id: int) -> dict[str, Any] | None:
    """One delivery whole, ``headers`` as a mapping and ``body`` as bytes."""
    row = conn.execute(select(_EVENTS).where(_EVENTS.c.id == id)).mappings().first()
    if row is None:
        return None
    decoded = {name: msgspec.json.decode(row[name]) for name in ("items", "headers")}
    return {**row, **decoded}


def last_received(conn: Connection, connection: str) -> datetime | None:
    """When the newest delivery of a connection came."""
    newest = select(_EVENTS.c.received_at).where(_EVENTS.c.connection == connection)
    return conn.execute(newest.order_by(_EVENTS.c.received_at.desc()).limit(1)).scalar()


_SEEN = Statement(
    f"""
    SELECT max(seen_at) FROM (
        SELECT first_seen_at AS seen_at FROM owed_items
        WHERE connection = :connection AND kind = :kind AND external_id = :external_id
        UNION ALL
        SELECT first_seen_at FROM settlements
        WHERE connection = :connection AND kind = :kind AND external_id = :external_id AND settled_at >= :since
          AND cause <> '{Cause.RECONCILE}'
    ) AS seen
    """
)


def seen_item(conn: Connection, connection: str, kind: Kind, external_id: str, since: datetime) -> datetime | None:
    """When a change of the item was last noticed, if any is owed still or was settled since then."""
    asked = {"connection": connection, "kind": kind.value, "external_id": external_id, "since": since}
    return moment_from(_SEEN.run(conn, asked)[0][0])
