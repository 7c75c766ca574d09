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
from app.stores.columns import moment_from, moment_text
from app.stores.statements import Statement, is_sqlite, storable

_EVENTS = SQLModel.metadata.tables[str(tables.InboxEvent.__tablename__)]


class Arrival(msgspec.Struct, frozen=True):
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
    fresh = _insert(conn, batch)
    wanted: dict[ItemKey, owed.Wanted] = {}
    for arrival in fresh:
        if not arrival.delivery.ignored:
            for change in arrival.delivery.changes:
                owed.add(wanted, arrival.connection, change, arrival.received_at)
    return Accepted(len(fresh), len(arrivals) - len(fresh), owed.owe(conn, wanted, Cause.WEBHOOK))


_Batch = dict[tuple[str, str], Arrival]
_COLUMNS = "inbox_events (connection, event_id, type, received_at, occurred_at, verdict, items, headers, body)"
# A statement, and a row of an answer, per batch instead of per event: SQLite's driver gives Python's lock away with
# each, and gets it back from a busy event loop only milliseconds later. Bodies travel as one blob: they are bytes.
_LAST = Statement("SELECT coalesce(max(id), 0) FROM inbox_events")
_INSERT_SQLITE = Statement(
    f"""
    INSERT INTO {_COLUMNS}
    SELECT value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4, value ->> 5, value ->> 6, value ->> 7,
           coalesce(substr(:bodies, value ->> 8, value ->> 9), x'')
    FROM json_each(:rows) WHERE true
    ON CONFLICT (connection, event_id) DO NOTHING
    """
)
_NEW = Statement(
    "SELECT json_group_array(json_array(connection, event_id)) FROM (SELECT * FROM inbox_events WHERE id > :last)"
)
_INSERT_POSTGRESQL = Statement(
    f"""
    INSERT INTO {_COLUMNS}
    SELECT * FROM unnest(:connections::text[], :event_ids::text[], :types::text[], :received::timestamptz[],
        :occurred::timestamptz[], :verdicts::text[], :items::text[], :headers::text[], :bodies::bytea[])
    ON CONFLICT (connection, event_id) DO NOTHING RETURNING connection, event_id
    """
)
_POSTGRESQL = ("connections", "event_ids", "types", "received", "occurred", "verdicts", "items", "headers", "bodies")
_encode = msgspec.json.Encoder().encode


def _insert(conn: Connection, batch: _Batch) -> list[Arrival]:
    if not batch:
        return []
    new = _insert_sqlite(conn, batch) if is_sqlite(conn) else _INSERT_POSTGRESQL.run(conn, _for_postgresql(batch))
    return [batch[connection, event_id] for connection, event_id in new]


def _insert_sqlite(conn: Connection, batch: _Batch) -> list[list[str]]:
    ((last,),) = _LAST.run(conn, {})
    _INSERT_SQLITE.run(conn, _for_sqlite(batch))
    ((new,),) = _NEW.run(conn, {"last": last})  # ours alone: we hold the write lock
    found: list[list[str]] = msgspec.json.decode(new)
    return found


def _for_sqlite(batch: _Batch) -> dict[str, Any]:
    rows, start = [], 1  # SQL counts from one
    for (_, event_id), arrival in batch.items():
        connection, type_, received, occurred, verdict, items, headers = _columns(arrival)
        moments = moment_text(received), moment_text(occurred) if occurred else None
        size = len(arrival.body)
        rows.append((connection, event_id, type_, *moments, verdict, items, headers, start, size))
        start += size
    return {"rows": _encode(rows).decode(), "bodies": b"".join([arrival.body for arrival in batch.values()])}


def _for_postgresql(batch: _Batch) -> dict[str, Any]:
    rows = []
    for (_, event_id), arrival in batch.items():
        connection, *columns = _columns(arrival)
        rows.append((connection, event_id, *columns, arrival.body))
    return dict(zip(_POSTGRESQL, map(list, zip(*rows, strict=True)), strict=True))


def _columns(arrival: Arrival) -> tuple[str, str, datetime, datetime | None, str, str, str]:
    delivery = arrival.delivery
    return (
        arrival.connection,
        storable(delivery.type),
        arrival.received_at,
        delivery.occurred_at,
        "ignored" if delivery.ignored else "accepted",
        _encode([(change.kind, change.external_id) for change in delivery.changes]).decode(),
        _encode(arrival.headers).decode(),
    )


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
